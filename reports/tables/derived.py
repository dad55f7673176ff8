"""Table 3: a base, and what tuning, refined prompts and choices made of it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import polars as pl

from empathy_core.types import Column, Condition
from reports.labels import NOTHING, count, full_name, row_labels
from reports.numbers.derived import (
    BASE,
    NO_METRIC,
    TOKENS,
    WORDS,
    chose_by,
    columns_of,
)
from reports.numbers.significance import Wanted, how_tested, is_significant, p_column
from reports.spec import ReportSpec
from reports.tables.cells import difference_cell, heads, score_cell
from reports.tables.table import (
    DAGGER,
    Cell,
    Group,
    Row,
    Table,
    TableText,
    headings,
    line_label,
    panels,
    signed,
)

SHOWN = 5
"""Examples whose score rises, and as many whose falls; ``movers.csv`` has more."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One condition of a family.

    Attributes:
        how: It was made, e.g. ``DPO``.
        label: Of its row.
        found: (metric key, column) → its row of ``derived.DERIVED``.
    """

    condition: Condition
    how: str
    label: str
    found: dict[tuple[str, str], dict[str, object]]


def derived_tables(
    spec: ReportSpec, found: pl.DataFrame, most: pl.DataFrame, words: TableText
) -> tuple[Table, ...]:
    """Return for each family its scores, its differences, and the examples that moved most.

    Args:
        spec: The report.
        found: ``derived.DERIVED``.
        most: ``prompt_effects.MOVERS``, of what was made of the bases.
        words: Around every table.
    """
    tables = [
        table
        for (_, *_), of in found.group_by("family", maintain_order=True)
        for table in _of_family(spec, of, most, words)
    ]
    return tuple(
        replace(t, words=replace(t.words, label=f"{words.label}-made-{i}"))
        for i, t in enumerate(tables, 1)
    )


def _of_family(
    spec: ReportSpec, of: pl.DataFrame, most: pl.DataFrame, words: TableText
) -> Iterator[Table]:
    lines = _lines(spec, of, words)
    name = lines[0].condition.model.label
    shown = panels(columns_of(spec, of))
    for i, wanted in enumerate(shown, 1):
        part = f" ({i} of {len(shown)})" if len(shown) > 1 else ""
        caption = f"{name}, and what was made of it, on the same examples{part}."
        yield _scores(spec, lines, wanted, replace(words, caption=caption, notes=_score_notes(of)))
    compared = [
        [w for w in wanted if w[1] != TOKENS and not w[1].name.startswith("red_by_")]
        for wanted in shown
    ]
    for i, wanted in enumerate(filter(None, compared), 1):
        part = f" ({i} of {len(compared)})" if len(compared) > 1 else ""
        caption = f"{name}: differences to what each row was made of{part}."
        told = replace(words, caption=caption, notes=_difference_notes(spec, of))
        yield _differences(spec, lines, wanted, told)
    yield from _movers(spec, lines, most, words)


def _lines(spec: ReportSpec, of: pl.DataFrame, words: TableText) -> list[_Line]:
    named, labels = {c.id: c for c in spec.conditions}, row_labels(spec.conditions)
    details = {d.condition: d for d in spec.derived}
    ways = [how for _, how in of.select("condition", "how").unique(maintain_order=True).iter_rows()]
    lines = []
    for (id_, how), rows in of.group_by("condition", "how", maintain_order=True):
        condition = named[str(id_)]
        label = labels[condition.id]
        if ways.count(how) > 1 and how != BASE and not condition.choice:
            label = ", ".join(filter(None, (label, details[condition.id].detail)))
        found = {(r["metric"], r["column"]): r for r in rows.iter_rows(named=True)}
        lines.append(_Line(condition, str(how), signed(label, condition.id, words), found))
    return lines


def _grouped(lines: Sequence[_Line], rows: Mapping[str, tuple[Row, ...]]) -> tuple[Group, ...]:
    """Return the rows of neighbouring conditions that were made alike under one label."""
    return tuple(
        Group(how, tuple(row for line in of for row in rows[line.condition.id]))
        for how, of in groupby(lines, lambda line: line.how)
    )


def _scores(
    spec: ReportSpec, lines: Sequence[_Line], wanted: Sequence[Wanted], words: TableText
) -> Table:
    def cell(line: _Line, column: Wanted) -> Cell:
        row = line.found.get((column[0], column[1].name), {})
        found = score_cell(row.get("score"), column[1])
        return replace(found, grey=chose_by(line.condition, column[1]))

    rows = {
        line.condition.id: (Row((line.label,), tuple(cell(line, w) for w in wanted)),)
        for line in lines
    }
    spans, shown = headings([c for _, c in wanted], 2)
    return Table(words, ("Made by", "Row"), spans, shown, _grouped(lines, rows), layout=spec.layout)


def _differences(
    spec: ReportSpec, lines: Sequence[_Line], wanted: Sequence[Wanted], words: TableText
) -> Table:
    made = [line for line in lines if line.how != BASE]

    def cell(line: _Line, column: Wanted, *, adjusted: bool) -> Cell:
        row = line.found.get((column[0], column[1].name), {})
        names = ("adjusted", "adjusted_low", "adjusted_high")
        value, low, high = (
            row.get(n) for n in (names if adjusted else ("difference", "low", "high"))
        )
        marked = bool(row) and not adjusted and not words.stamp
        dagger = marked and is_significant(row, p_column(spec)) is True
        found = difference_cell(value, low, high, column[1], dagger=dagger)
        return replace(found, grey=chose_by(line.condition, column[1]))

    rows = {
        line.condition.id: (
            Row((line.label,), tuple(cell(line, w, adjusted=False) for w in wanted)),
            Row(("at equal length",), tuple(cell(line, w, adjusted=True) for w in wanted)),
        )
        for line in made
    }
    spans, shown = headings([c for _, c in wanted], 2)
    return Table(words, ("Made by", "Row"), spans, shown, _grouped(made, rows), layout=spec.layout)


def _score_notes(of: pl.DataFrame) -> tuple[str, ...]:
    measured = of.filter(pl.col("metric") != NO_METRIC)
    least, most = measured["n_common"].min(), measured["n_common"].max()
    n = count(int(str(most or 0)))
    span = n if least == most else f"{count(int(str(least or 0)))} to {n}"
    return (
        f"Each column on the examples that every row of the table has a score for (n = {span}); "
        "people's ratings on the answers that they rated.",
        f"{WORDS.label} and {TOKENS.label.lower()}: of an answer, on average; of a row that chose "
        "among samples, the tokens of all of these. Severe faults: of the replies to people at "
        "risk.",
        "Grey: ratings by whoever chose the answers, which are too good by construction.",
    )[: 3 if _has_choice(of) else 2]


def _difference_notes(spec: ReportSpec, of: pl.DataFrame) -> tuple[str, ...]:
    n_tests = of[p_column(spec)].count()
    family = f"the {count(n_tests)} differences of the table"
    made = of.filter(pl.col("base").is_not_null())
    names, labels = {c.id: c for c in spec.conditions}, row_labels(spec.conditions)
    pairs = made.select("condition", "base").unique(maintain_order=True).iter_rows()
    against = (f"{full_name(names[c], labels)} to {full_name(names[b], labels)}" for c, b in pairs)
    return (
        f"Difference: {'; '.join(against)}; on the examples that both have a score for, with the "
        "95% interval.",
        *([f"{DAGGER} {how_tested(spec, family, n_tests)}."] if n_tests else []),
        "At equal length: the same difference adjusted for the answers' lengths (regression of "
        "the differences of an example's answers on the difference of the logarithms of their "
        f"words); {NOTHING} where no answer has a score of its own.",
    )


def _has_choice(of: pl.DataFrame) -> bool:
    return any(str(how).startswith("Best of") for how in of["how"].unique())


# ---------------------------------------------------------------------------- rows that moved


def _movers(
    spec: ReportSpec, lines: Sequence[_Line], most: pl.DataFrame, words: TableText
) -> Iterator[Table]:
    """Yield the table of the rows that moved most, by a judgement if there is one."""
    bases = {line.condition.id: str(_base(line)) for line in lines if line.how != BASE}
    wanted = _shown(spec, lines, most)
    if wanted is None:
        return
    key, column = wanted
    mine = most.filter(pl.col("metric") == key, pl.col("column") == column.name)
    rows: dict[str, tuple[Row, ...]] = {}
    for line in lines:
        id_ = line.condition.id
        up = mine.filter(pl.col("highest") == id_, pl.col("lowest") == bases.get(id_, ""))
        down = mine.filter(pl.col("lowest") == id_, pl.col("highest") == bases.get(id_, ""))
        rows[id_] = (
            *(_moved(r, column, rises=True) for r in up.head(SHOWN).iter_rows(named=True)),
            *(_moved(r, column, rises=False) for r in down.head(SHOWN).iter_rows(named=True)),
        )
    groups = tuple(
        Group(f"{line.how}: {line.label}", rows[line.condition.id])
        for line in lines
        if rows[line.condition.id]
    )
    if groups:
        caption = f"Examples that moved most, both ways, by {line_label(column)}."
        shown = heads("Before", "After", "Difference")
        told = replace(words, caption=caption, notes=(
            f"Up to {SHOWN} examples whose score rises, and as many whose falls, from what each "
            "row was made of; movers.csv has more, and every column.",
        ))  # fmt: skip
        yield Table(told, ("Made by", "Example"), (), shown, groups, layout=spec.layout)


def _base(line: _Line) -> object:
    return next(iter(line.found.values())).get("base")


def _shown(spec: ReportSpec, lines: Sequence[_Line], most: pl.DataFrame) -> Wanted | None:
    """Return the column by which rows move: a judge's rather than another, none that chose."""
    ids = [line.condition.id for line in lines]
    mine = most.filter(pl.col("lowest").is_in(ids), pl.col("highest").is_in(ids))
    moved = set(mine.select("metric", "column").iter_rows())
    main = [(k, c) for k, c in spec.main_columns if (k, c.name) in moved]

    def chose(wanted: Wanted) -> bool:
        return any(chose_by(line.condition, wanted[1]) for line in lines)

    rated = [w for w in main if w[0] not in spec.rated_by_people]
    judged_first = sorted(rated, key=lambda w: (not w[1].judge, chose(w)))
    return next(iter(judged_first), None)


def _moved(row: dict[str, object], column: Column, *, rises: bool) -> Row:
    low, high = float(str(row["low_score"])), float(str(row["high_score"]))
    before, after = (low, high) if rises else (high, low)
    return Row(
        (str(row["example"]),),
        (
            score_cell(before, column),
            score_cell(after, column),
            score_cell(after - before, column, signed=True),
        ),
    )
