"""Records whose cells are texts or null, as columns: no object is made of any of them.

Only what reads exactly as ``files`` reads it is taken so. For anything else nothing is returned,
and it must be read record by record.
"""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

DEEPEST = 900
"""Brackets of a part beyond those of its records, from which on it may be nested too deeply."""


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Records of texts.

    Attributes:
        frame: The columns that are read, as texts or null.
        columns: Names of all columns that are there, as often as they are.
        first: Number of the first record, where these are a part of all.
    """

    frame: pl.DataFrame
    columns: Sequence[str]
    first: int = 0


def of_json_lines(lines: Sequence[str], wanted: Collection[str], first: int) -> TextColumns | None:
    """Return the objects of lines of JSON; null where one of them holds something else.

    Args:
        lines: Not blank.
        wanted: Names of the fields that are read.
        first: Number of the first line.
    """
    import pyarrow as pa

    # so begun and ended, no object is on several lines
    if not lines or not all(line[0] == "{" and line.rstrip()[-1:] == "}" for line in lines):
        return None
    text = "".join(lines)
    if text.count("{") + text.count("[") > len(lines) + DEEPEST:
        return None
    try:
        table = _parsed(text.encode(), wanted)
    except (pa.ArrowException, UnicodeError):
        return None
    if table.num_rows != len(lines) or any(map(_may_differ, table.columns)):
        return None
    found = of_table(table, table.column_names, wanted, first)
    # a field that no line has cannot be told from one that is null in all
    return None if found and any(of.null_count() == of.len() for of in found.frame) else found


def _parsed(data: bytes, wanted: Collection[str]) -> Any:
    """Return a table of all fields: one that is there twice in an object is an error."""
    import pyarrow as pa
    from pyarrow import json

    how = json.ParseOptions(
        explicit_schema=pa.schema([(name, pa.string()) for name in wanted]),
        unexpected_field_behavior="infer",
    )
    whole = json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    return json.read_json(io.BytesIO(data), whole, how)


def _may_differ(column: Any) -> bool:
    """Tell whether ``json`` may read a column otherwise: nested, or with no finite number."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_floating(column.type):
        return compute.all(compute.is_finite(column)).as_py() is False
    return bool(pa.types.is_nested(column.type))


def of_table(
    table: Any, columns: Sequence[str], wanted: Collection[str], first: int
) -> TextColumns | None:
    """Return a table of pyarrow; null where a column that is read holds no texts.

    Args:
        table: Has columns of ``wanted``.
        columns: Names of all that are there.
        wanted: Of those that are read.
        first: Number of its first row.
    """
    if not set(wanted) <= set(table.schema.names):
        return None
    frame = pl.DataFrame(pl.from_arrow(table.select(list(wanted))))
    texts = all(dtype == pl.String for dtype in frame.dtypes)
    return TextColumns(frame, columns, first) if texts else None


def of_cells(
    rows: Sequence[Sequence[str]], header: Sequence[str], wanted: Collection[str], first: int
) -> TextColumns | None:
    """Return rows of cells; null where they have not all cells, or a text is none in UTF-8.

    Args:
        rows: The cells of each.
        header: Names of the columns.
        wanted: Of those that are read.
        first: Number of the first row.
    """
    if not set(wanted) <= set(header) or any(len(row) != len(header) for row in rows):
        return None
    places = {name: header.index(name) for name in wanted}
    try:
        frame = pl.DataFrame(
            {name: [row[at] for row in rows] for name, at in places.items()},
            schema=dict.fromkeys(places, pl.String),
        )
    except UnicodeEncodeError:
        return None
    return TextColumns(frame, header, first)
