"""Columns of the sources that are carried along, to divide the tables by.

No row, split or answer depends on them: they are no part of a run's identity, and may be chosen
when the answers are there.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.data.cleaning import clean, example_id
from empathy_core.data.reading import Raw
from empathy_core.data.specs import Source
from empathy_core.errors import Damaged
from empathy_core.store import RunDir, read_json, write_bytes, write_json


@dataclass(frozen=True, slots=True)
class Carried:
    """Columns that are carried along.

    Attributes:
        frame: ``id`` and the columns, in the order of the sources; text or null.
        keep: Source → its columns; sources without any are left out.
    """

    frame: pl.DataFrame
    keep: Mapping[str, Sequence[str]]


def wanted(sources: Sequence[Source]) -> dict[str, list[str]]:
    """Return source → columns that it is to carry along."""
    return {source.name: list(source.keep) for source in sources if source.keep}


def carried(sources: Sequence[Source], raws: Mapping[str, Raw], ids: pl.Series) -> Carried:
    """Return what the rows *ids* carry along, cleaned; null where a row's source has no such."""
    keep = wanted(sources)
    names = dict.fromkeys(name for of in keep.values() for name in of)
    parts = [pl.DataFrame(schema={"id": pl.String, **dict.fromkeys(names, pl.String)})]
    for source, columns in keep.items():
        rows = [
            (
                example_id(source, raw.row, raw.turn),
                *(clean(cell or "")[0] or None for cell in raw.kept),
            )
            for raw in raws[source].rows
        ]
        schema = dict.fromkeys(("id", *columns), pl.String)
        parts.append(pl.DataFrame(rows, schema=schema, orient="row"))
    frame = pl.concat(parts, how="diagonal")
    return Carried(frame.filter(pl.col("id").is_in(ids.to_list())), keep)


def write(columns: Carried, run: RunDir) -> dict[str, Any]:
    """Write the columns, and return what is to be noted of them; empty if there are none."""
    if not columns.keep:
        run.columns.unlink(missing_ok=True)
        return {}
    buffer = io.BytesIO()
    columns.frame.write_parquet(buffer, compression="zstd")
    data = buffer.getvalue()
    write_bytes(data, run.columns)
    noted = {"keep": columns.keep, "sha256": hashlib.sha256(data).hexdigest()}
    return {"columns": noted}


def replace(columns: Carried, run: RunDir) -> None:
    """Write other columns beside rows that are frozen, and note them there."""
    frozen = {key: value for key, value in read_json(run.data).items() if key != "columns"}
    write_json(frozen | write(columns, run), run.data)


def load(run: RunDir) -> Carried:
    """Return what is frozen.

    Raises:
        Damaged: The file is missing, or is not what was written.
    """
    noted = read_json(run.data).get("columns") if run.data.exists() else None
    if noted is None:
        return Carried(pl.DataFrame(schema={"id": pl.String}), {})
    try:
        data = run.columns.read_bytes()
    except OSError as error:
        msg = f"{run.columns} cannot be read ({error}): {_MEND}"
        raise Damaged(msg) from error
    if hashlib.sha256(data).hexdigest() != noted["sha256"]:
        msg = f"{run.columns} is not what was frozen: {_MEND}"
        raise Damaged(msg)
    return Carried(pl.read_parquet(io.BytesIO(data)), noted["keep"])


_MEND = "restore it from a copy, or run sweep again"
