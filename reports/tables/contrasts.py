"""The table of the contrasts that the configuration declares. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from reports.labels import NOTHING, full_name, number, p_text, row_labels
from reports.numbers.significance import how_tested, is_significant, p_column
from reports.spec import ReportSpec
from reports.tables.table import DAGGER, Cell, Group, Head, Row, Table, Words, line_label


def contrast_tables(contrasts: pl.DataFrame, spec: ReportSpec, words: Words) -> Iterator[Table]:
    """Yield the table; none if nothing is declared."""
    if contrasts.is_empty():
        return
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}

    def line(row: dict[str, Any]) -> Row:
        column = columns[row["metric"], row["column"]]

        def cell(name: str, *, signed: bool = False) -> Cell:
            return Cell(number(row[name], column, signed=signed), value=row[name])

        difference = cell("difference", signed=True)
        if row["low"] is not None:
            bounds = f"{cell('low', signed=True).text}, {cell('high', signed=True).text}"
            difference = replace(difference, text=f"{difference.text} [{bounds}]")
        effect, p = row["effect"], row[p_column(spec)]
        shown = f"{effect:.2f}".replace("-", "\N{MINUS SIGN}") if effect is not None else NOTHING
        return Row(
            (line_label(column),),
            (
                cell("first_score"), cell("second_score"), difference,
                Cell(shown), cell("detectable"),
                Cell(p_text(p), dagger=is_significant(row, p_column(spec)) is True),
                Cell(f"{row['n']:,}"),
            ),
        )  # fmt: skip

    groups = tuple(
        Group(str(part["label"][0]), tuple(map(line, part.iter_rows(named=True))))
        for _, part in contrasts.group_by("name", maintain_order=True)
    )
    n_tests = contrasts[p_column(spec)].count() or 1
    tested = how_tested(spec, "the declared contrasts and main columns", n_tests)
    heads = (
        ("First",), ("Second",), ("Difference", "[95% interval]"), ("Effect",),
        ("Detectable",), ("p",), ("n",),
    )  # fmt: skip
    told = "; ".join(f"{c.label}: {_pairs(c.pairs, spec)}" for c in spec.analysis.contrasts)
    notes = (
        *words.notes,
        f"{told}. Difference: second less first, the mean over pairs of conditions. "
        f"{DAGGER} {tested}. Effect: the difference in standard deviations of a question's "
        "difference. Detectable: the least "
        "difference that this many questions and tests show with 80% probability at the 5% level.",
    )
    words = replace(
        words,
        caption="Declared contrasts.",
        label=f"{words.label}-contrasts",
        notes=notes,
    )
    yield Table(
        words, ("Contrast", "Metric"), (), tuple(map(Head, heads)), groups, layout=spec.layout
    )


def _pairs(pairs: tuple[tuple[str, str], ...], spec: ReportSpec) -> str:
    names = row_labels(spec.conditions)
    by_id = {c.id: full_name(c, names) for c in spec.conditions}
    return ", ".join(f"{by_id[second]} less {by_id[first]}" for first, second in pairs)
