"""Two reports number by number: what moved, and which changes can have moved it. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from reports.changes import Change, Constituent, MovedNumber, Part, between, causes
from reports.keys import VERSUS

TOLERANCE = 1.5e-6
"""Numbers of a report are rounded to 6 decimals."""

_PARTS: tuple[tuple[Part, tuple[str, ...], tuple[str, ...]], ...] = (
    ("value", ("value",), ("text",)),
    ("interval", ("low", "high"), ("low_text", "high_text")),
    ("p", ("p",), ("p_text",)),
    ("n", ("n", "n_questions"), ("n",)),
)
"""Part → its columns in ``results.csv``, and those of what is printed of it."""


@dataclass(frozen=True, slots=True)
class Reported:
    """One report.

    Attributes:
        version: Of the numbers.
        data: Digest of the rows.
        conditions: Their names in print.
        numbers: ``results.csv``.
        metrics: Name of a metric → its signatures, in the order of the tables.
        columns: Key of a column → name of its metric, and whether it holds shares of rows.
    """

    name: str
    version: int
    data: str
    conditions: tuple[str, ...]
    numbers: pl.DataFrame
    metrics: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Movement:
    """A part of a number that moved.

    Attributes:
        before: As printed; so is *now*. Empty where the report has no such number.
        printed: Whether it can be seen in print.
        causes: The changes that can have moved it; empty: no declared change can.
    """

    moved: MovedNumber
    part: Part
    before: str
    now: str
    printed: bool
    causes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Movements:
    """What tells two reports apart.

    Attributes:
        n_same: Numbers that both have and that are equal in every part.
        signatures: Name of a metric → its signatures in both.
        between: The changes that lie between the two versions.
        found: Every part of a number that moved, in the order of the second report.
    """

    first: Reported
    second: Reported
    n_same: int
    signatures: Mapping[str, tuple[str, str]]
    between: tuple[Change, ...]
    found: tuple[Movement, ...] = field(default=())


Sides = Mapping[tuple[str, str], Constituent]
"""(key of a condition, name of a metric) → what is known of it."""


def compare_reports(
    first: Reported, second: Reported, sides: Sides, contrasts: Mapping[str, Sequence[str]]
) -> Movements:
    """Compare two reports by the keys of their numbers.

    Args:
        first: The older.
        second: The newer.
        sides: What is known of their conditions; may be empty.
        contrasts: Name of a declared contrast → keys of its conditions.
    """
    among = between(first.version, second.version)
    rows = _joined(first.numbers, second.numbers)
    repeated = _repeated(first.numbers) | _repeated(second.numbers)
    found = []
    n_same = 0
    for row in rows.iter_rows(named=True):
        moved = _moved(row, (first, second), sides, contrasts, repeated)
        n_same += not moved.parts
        for part in moved.parts:
            before, now = _shown(row, part, "_before"), _shown(row, part, "")
            can = causes(moved, part, among)
            found.append(Movement(moved, part, before, now, before != now, can))
    return Movements(first, second, n_same, _signatures(first, second), among, tuple(found))


def _joined(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Return both reports' numbers side by side; of several under one key the first."""
    names = [n for of in _PARTS for n in (*of[1], *of[2])]
    wanted = ["key", "kind", *dict.fromkeys(names)]
    one, two = (frame.select(wanted).unique("key", keep="first", maintain_order=True)
                for frame in (first, second))  # fmt: skip
    there = pl.lit(value=True)
    return two.with_columns(there=there).join(
        one.with_columns(there=there),
        on="key", how="full", coalesce=True, suffix="_before", maintain_order="left_right",
    )  # fmt: skip


def _repeated(numbers: pl.DataFrame) -> set[str]:
    return {key for key, times in Counter(numbers["key"]).items() if times > 1}


def _moved(
    row: Mapping[str, Any],
    reports: tuple[Reported, Reported],
    sides: Sides,
    contrasts: Mapping[str, Sequence[str]],
    repeated: set[str],
) -> MovedNumber:
    first, second = reports
    kind = row["kind"] or row["kind_before"]
    conditions, column = _made_of(row["key"], {**first.columns, **second.columns}, contrasts)
    metric, share = second.columns.get(column) or first.columns.get(column) or ("", False)
    known = [sides[c, metric] for c in conditions if (c, metric) in sides]
    return MovedNumber(
        key=row["key"],
        kind=kind,
        parts=tuple(_parts(row)),
        metric=metric,
        share=share and kind == "score",
        sides=tuple(known) if len(known) == len(conditions) else (),
        same_rows=first.data == second.data,
        same_metric=first.metrics.get(metric) == second.metrics.get(metric),
        shared_key=row["key"] in repeated,
    )


def _made_of(
    key: str, columns: Mapping[str, object], contrasts: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], str]:
    """Return the keys of the conditions that a number is made of, and that of its column."""
    body = key.partition("@")[0].removesuffix(".equal_length")
    fitting = [name for name in columns if body.endswith(f".{name}")]
    column = max(fitting, key=len, default="")
    body = body.removesuffix(f".{column}")
    if body.startswith("contrast."):
        return tuple(contrasts.get(body.removeprefix("contrast."), ())), column
    return tuple(body.removeprefix("made.").split(VERSUS)), column


def _parts(row: Mapping[str, Any]) -> Iterator[Part]:
    if not (row["there"] and row["there_before"]):
        yield "key"
        return
    for part, names, _ in _PARTS:
        if any(_differ(row[name], row[f"{name}_before"]) for name in names):
            yield part


def _differ(one: float | None, two: float | None) -> bool:
    if one is None or two is None:
        return one is not two
    return abs(one - two) > TOLERANCE


def _shown(row: Mapping[str, Any], part: Part, side: str) -> str:
    if not row[f"there{side}"]:
        return ""
    if part == "key":
        return str(row[f"text{side}"])
    texts = next(of[2] for of in _PARTS if of[0] == part)
    shown = [str(row[f"{name}{side}"] or "") for name in texts]
    return f"[{', '.join(shown)}]" if part == "interval" and any(shown) else shown[0]


def _signatures(first: Reported, second: Reported) -> dict[str, tuple[str, str]]:
    names = dict.fromkeys((*first.metrics, *second.metrics))
    both = {n: tuple("; ".join(w.metrics.get(n, ())) for w in (first, second)) for n in names}
    return {n: (one, two) for n, (one, two) in both.items() if one != two}
