"""The paper's Table 1 and Table 2, made of the values that it prints."""

from dataclasses import replace

import polars as pl

from reports.labels import number
from reports.numbers.aggregate import SUMMARY
from reports.numbers.significance import Mark, columns
from reports.spec import Intervals, Layout
from reports.tables import published
from reports.tables.table import Cell, Group, Head, Row, Table, TableText, line_label, score_table
from tests.runs.by_hand import Toy, condition, spec

NOTES = (
    "Data: 787 examples of the test split. n = 787 answers in each row.",
    "Assumed, since the paper does not say: models.t5.use = t5_base.",
)


def paper_table(words: TableText | None = None) -> Table:
    """Return the paper's Table 1 as this suite prints it."""
    paper = published.load("huang2024")
    by_metric = {
        "bleu-0": paper.columns[:1],
        "rouge-0": paper.columns[1:4],
        "bertscore-0": paper.columns[4:7],
        "similarity-0": paper.columns[7:],
    }
    rows, conditions = [], []
    for row in paper.tables[0].rows:
        backend = "hf" if row.prompt else "human"
        name = row.model.lower().replace(" ", "_")
        conditions.append(condition(name, row.model, row.prompt or "none", row.model, backend))
        for key, cols in by_metric.items():
            for column in cols:
                value = row.values.get(column.name)
                n = 787 if value is not None else 0
                ranked = backend != "human"
                rows.append(
                    {
                        "condition": conditions[-1].id, "model": row.model, "prompt": row.prompt,
                        "decoding": "greedy", "subset": "all", "metric": key,
                        "column": column.name, "score": value, "n": n, "n_unscored": 787 - n,
                        "n_expected": 787, "n_questions": 500, "n_examples": n, "ranked": ranked,
                        **dict.fromkeys(("common", "least", "most"), value if ranked else None),
                    }
                )  # fmt: skip
    metrics = {
        key: _Columns(tuple(replace(c, main=True) for c in cols)) for key, cols in by_metric.items()
    }
    about = spec(*conditions, metrics=metrics)
    wanted = [w for of_metric in columns(about, main=True) for w in of_metric]
    summary = pl.DataFrame(rows, schema=SUMMARY)
    caption = "Comparison of models across various evaluation metrics."
    words = words or TableText(caption, "tab:main", NOTES)
    return score_table(summary, about, wanted, words)


def second_paper_table() -> Table:
    """Return the paper's Table 2, with what it leaves to the reader: the difference."""
    paper = published.load("huang2024")
    base, tuned = paper.tables[1].rows
    lines = []
    for column in paper.columns:
        if (one := base.values.get(column.name)) is not None:
            two = tuned.values[column.name]
            texts = (
                number(one, column),
                number(two, column),
                number(two - one, column, signed=True),
            )
            marks: tuple[Mark, Mark] = ("best", "") if one > two else ("", "best")
            cells = (Cell(texts[0], marks[0]), Cell(texts[1], marks[1]), Cell(texts[2]))
            lines.append(Group(line_label(column), (Row((), cells),)))
    heads = (Head(("LLaMA", "Baseline")), Head(("LLaMA", "Fine-Tuned")), Head(("Difference",)))
    words = TableText(paper.tables[1].caption, "tab:second", ("As printed.",))
    return Table(words, ("Metric",), (), heads, tuple(lines), tight=True)


def with_intervals(table: Table, intervals: Intervals = "row") -> Table:
    """Return the table with made-up intervals, a dagger at the best of some columns."""
    groups = []
    for group in table.groups:
        rows = []
        for row in group.rows:
            cells = [
                replace(c, interval=_interval(c, intervals), dagger=c.mark == "best" and i % 3 == 1)
                for i, c in enumerate(row.cells)
            ]
            rows.append(replace(row, cells=tuple(cells)))
        groups.append(replace(group, rows=tuple(rows)))
    return replace(table, groups=tuple(groups), layout=Layout(intervals=intervals))


def _interval(cell: Cell, intervals: Intervals) -> str:
    if cell.value is None or intervals == "none":
        return ""
    if intervals == "plusminus":
        return "\N{PLUS-MINUS SIGN} 0.0066"
    return f"[{cell.value - 0.0066:.4f}, {cell.value + 0.0066:.4f}]".replace(
        "[-", "[\N{MINUS SIGN}"
    )


def named(label: str) -> Table:
    """Return a small table whose every text is *label*."""
    table = paper_table(TableText(label, "tab:nasty", (label,), "", label))
    groups = tuple(replace(group, label=label) for group in table.groups)
    rows = tuple(replace(row, stubs=(label,)) for row in groups[1].rows)
    heads = (*table.heads[:-1], Head((label,)))
    return replace(table, groups=(groups[0], replace(groups[1], rows=rows)), heads=heads)


class _Columns(Toy):
    """A metric that is only its columns."""

    def __init__(self, cols: tuple) -> None:
        object.__setattr__(self, "cols", cols)

    @property
    def columns(self) -> tuple:
        return self.cols
