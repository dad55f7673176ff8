"""The table of the contrasts that the configuration declares. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from reports.labels import decimal, full_name, row_labels
from reports.numbers.significance import how_tested, is_significant, p_column
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, difference_cell, heads, p_cell, score_cell
from reports.tables.table import DAGGER, Cell, Group, Row, Table, TableText, line_label


def contrast_tables(contrasts: pl.DataFrame, spec: ReportSpec, words: TableText) -> Iterator[Table]:
    """Yield the table; none if nothing is declared."""
    if contrasts.is_empty():
        return
    columns = {(k, c.name): c for k, m in spec.metrics.items() for c in m.columns}
    p = p_column(spec)

    def line(row: dict[str, Any]) -> Row:
        column = columns[row["metric"], row["column"]]

        return Row(
            (line_label(column),),
            (
                score_cell(row["first_score"], column), score_cell(row["second_score"], column),
                difference_cell(row["difference"], row["low"], row["high"], column),
                Cell(decimal(row["effect"], 2), value=row["effect"]),
                score_cell(row["detectable"], column),
                p_cell(row[p], dagger=is_significant(row, p) is True),
                count_cell(row["n"]),
            ),
        )  # fmt: skip

    groups = tuple(
        Group(str(part["label"][0]), tuple(map(line, part.iter_rows(named=True))))
        for _, part in contrasts.group_by("name", maintain_order=True)
    )
    n_tests = contrasts[p].count() or 1
    tested = how_tested(spec, "the declared contrasts and main columns", n_tests)
    shown = heads(
        "First", "Second", ("Difference", "[95% interval]"), "Effect", "Detectable", "p", "n"
    )
    declared = "; ".join(f"{c.label}: {_pairs(c.pairs, spec)}" for c in spec.analysis.contrasts)
    notes = (
        f"{declared}.",
        "Difference: second \N{MINUS SIGN} first, the mean over pairs of conditions.",
        f"{DAGGER} {tested}.",
        "Effect: the difference in standard deviations of a question's difference.",
        "Detectable: the smallest difference that this number of questions and tests detects with "
        "80% power at the 5% level.",
    )
    words = replace(
        words,
        caption="Declared contrasts.",
        label=f"{words.label}-contrasts",
        notes=notes,
    )
    yield Table(words, ("Contrast", "Metric"), (), shown, groups, layout=spec.layout)


def _pairs(pairs: tuple[tuple[str, str], ...], spec: ReportSpec) -> str:
    names = row_labels(spec.conditions)
    by_id = {c.id: full_name(c, names) for c in spec.conditions}
    return ", ".join(f"{by_id[second]} \N{MINUS SIGN} {by_id[first]}" for first, second in pairs)
