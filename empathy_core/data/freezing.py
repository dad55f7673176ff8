"""Rows of a run on its disk: frozen once, proven when they are read, enlarged without a gap.

``data.json`` is written last and says what the other files are. While rows are enlarged it holds
both: what they are, and under ``growing`` what they will be. Which of the two holds is told by the
digest of ``examples.parquet``, whenever the process is killed.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.data import columns
from empathy_core.data.frozen import VERSION
from empathy_core.data.growing import GrowthStep, as_written, steps_of
from empathy_core.errors import Damaged
from empathy_core.store import (
    RunDir,
    frame_bytes,
    read_json,
    write_bytes,
    write_json,
    write_texts,
)

GROWING = "growing"


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """The rows of a run before they are frozen.

    Attributes:
        examples: ``store.EXAMPLES``, in the run's order; see ``references.united``.
        audit: See ``audit.audit``.
        identity: See ``data.identity``.
        carried: No part of the identity.
    """

    examples: pl.DataFrame
    audit: Mapping[str, Any]
    identity: Mapping[str, Any]
    carried: columns.Carried


@dataclass(frozen=True, slots=True)
class FrozenRows:
    """The rows of a run as they are frozen.

    Attributes:
        examples: ``store.EXAMPLES``, and all references of a row where any has several.
        identity: That of the rows when they were first frozen.
        steps: How they grew; empty where they never did.
        settled: Whether nothing is left of an enlargement that was killed.
    """

    examples: pl.DataFrame
    identity: Mapping[str, Any]
    steps: tuple[GrowthStep, ...] = ()
    settled: bool = True


def cleaned_by(run: RunDir) -> int:
    """Return the version of the cleaning rules that a run's rows were frozen under."""
    return int(read_json(run.data)["identity"][VERSION])


def freeze(prepared: PreparedRows, run: RunDir) -> None:
    """Write the rows, the audit, and last the identity, which says that the others are there."""
    sha256 = write_texts(prepared.examples, run.examples)
    _write_audit(prepared.audit, run)
    frozen = {
        "identity": prepared.identity,
        "rows": prepared.examples.height,
        "sha256": sha256,
        **columns.write(prepared.carried, run),
    }
    write_json(frozen, run.data)


def _write_audit(audit: Mapping[str, Any], run: RunDir) -> None:
    # not sorted: quantiles and counts are read in the order they were made
    write_bytes(json.dumps(audit, indent=1, ensure_ascii=False).encode(), run.audit)


def enlarge(
    examples: pl.DataFrame, steps: Sequence[GrowthStep], audit: Mapping[str, Any], run: RunDir
) -> None:
    """Write more evaluated rows in the place of those that are frozen.

    Args:
        examples: As ``growing.grown`` returns them.
        steps: Likewise.
        audit: Of the enlarged rows.
        run: Its rows are frozen, and were proven.
    """
    there = _record_of(read_json(run.data), hashlib.sha256(run.examples.read_bytes()).hexdigest())
    before = {key: value for key, value in (there or {}).items() if key != GROWING}
    data = frame_bytes(examples)
    digest = hashlib.sha256(data).hexdigest()
    grown = {"rows": examples.height, "sha256": digest, "steps": as_written(steps)}
    if before["sha256"] != digest:
        write_json({**before, GROWING: grown}, run.data)
        write_bytes(data, run.examples)
    _write_audit(audit, run)
    write_json({**before, **grown}, run.data)


_LOOKS = 5
"""So often files are read again that another process is enlarging."""


def load(run: RunDir) -> pl.DataFrame:
    """Return the frozen rows, after proving that they are those.

    They are ``store.EXAMPLES``, and all references of a row where any has several.

    Raises:
        Damaged: A file is missing, or is not what was written.
    """
    return load_frozen(run).examples


def load_frozen(run: RunDir) -> FrozenRows:
    """Return the frozen rows with what is recorded of them, after proving that they are those.

    Raises:
        Damaged: A file is missing, or is not what was written.
    """
    for _ in range(_LOOKS):
        frozen = read_json(run.data)
        try:
            data = run.examples.read_bytes()
        except OSError as error:
            msg = f"{run.examples} cannot be read ({error}): expected the run's frozen rows"
            raise Damaged(f"{msg}; remove {run.data} and run sweep again") from error
        if record := _record_of(frozen, hashlib.sha256(data).hexdigest()):
            examples = pl.read_parquet(io.BytesIO(data))
            settled = GROWING not in frozen
            return FrozenRows(examples, record["identity"], steps_of(record), settled)
    msg = (
        f"{run.examples} is not what was frozen (its digest differs from {run.data.name}): "
        f"restore both from a copy, or remove {run.data} and run sweep again"
    )
    raise Damaged(msg)


def _record_of(frozen: Any, sha256: str) -> Mapping[str, Any] | None:
    """Return what is recorded of rows with this digest; null if nothing is."""
    if not isinstance(frozen, dict):
        return None
    if frozen.get("sha256") == sha256:
        return frozen
    grown = frozen.get(GROWING, {})
    return {**frozen, **grown} if grown.get("sha256") == sha256 else None
