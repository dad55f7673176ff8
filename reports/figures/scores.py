"""What the figures of scores show: a line for each condition, a panel for each column. Pure."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np
import polars as pl

from empathy_core.types import Condition
from reports.figures.panels import (
    TAILS,
    PanelLine,
    Panels,
    Point,
    Points,
    Singles,
    draw_differences,
    draw_scores,
    draw_singles,
    factor,
    place,
)
from reports.keys import ALL
from reports.labels import full_name, row_labels
from reports.numbers.prompt_effects import prompted
from reports.numbers.significance import ALPHA, Wanted, is_significant, p_column
from reports.numbers.values import both
from reports.rows.collect import Collected
from reports.spec import ReportSpec

_TIED = "\N{NO-BREAK SPACE}"
"""Between words that belong on one line."""


def forest(summary: pl.DataFrame, spec: ReportSpec, stamp: str) -> Panels | None:
    """Return every score of the main table with its interval; null where there is none."""
    lines, wanted, found = condition_lines(spec), spec.main_columns, _scores(summary)
    if not any(at[1:] == place(w) for at in found for w in wanted):
        return None
    people = next((line.key for line in lines if line.reference), None)
    dashed = " Dashed line: human reference." if people else ""
    caption = f"Scores with 95% intervals.{dashed}"
    draw = partial(draw_scores, found, people)
    return Panels("figure-scores", caption, "scores", wanted, lines, draw, stamp)


def differences(
    pairs: pl.DataFrame, contrasts: pl.DataFrame, spec: ReportSpec, stamp: str
) -> Panels | None:
    """Return the declared contrasts, and each model's prompts less its first; null without any."""
    lines = [*_contrast_lines(contrasts), *_prompt_lines(spec)]
    found, wanted = _differences(pairs, contrasts, p_column(spec)), spec.main_columns
    if not any((line.key or "", *place(w)) in found for line in lines for w in wanted):
        return None
    caption = (
        f"Differences with 95% intervals. Filled: the corrected p is below {ALPHA}; the tables' "
        "notes name the test."
    )
    draw = partial(draw_differences, found)
    return Panels("figure-differences", caption, "differences", wanted, lines, draw, stamp)


def distributions(collected: Collected, spec: ReportSpec, stamp: str) -> Panels | None:
    """Return how the scores of single answers are spread; null where nothing is scored."""
    wanted, lines = spec.main_columns, condition_lines(spec)
    found = _singles(collected, spec, wanted)
    if not found:
        return None
    caption = (
        "Per-example score distributions: a histogram of the scores of single answers for each "
        f"condition, with median (dot) and interquartile range (bar); the outermost {TAILS}% on "
        "either side are drawn at the edge. A table's score is that of all answers together, which "
        "for BLEU is not the mean of these."
    )
    draw = partial(draw_singles, found)
    return Panels("figure-answers", caption, "per-example scores", wanted, lines, draw, stamp)


# ---------------------------------------------------------------------------- lines


def condition_lines(spec: ReportSpec) -> list[PanelLine]:
    """Return people first, then models; several rows of a model stand below its name."""

    def of(condition: Condition) -> tuple[bool, str]:
        return condition.model.is_human, condition.model.label

    order = sorted(dict.fromkeys(map(of, spec.conditions)), key=lambda group: not group[0])
    rows = sorted(spec.conditions, key=lambda c: order.index(of(c)))
    names, lines = row_labels(spec.conditions), []
    for (is_human, label), members in groupby(rows, of):
        conditions = list(members)
        if len(conditions) == 1:
            lines.append(PanelLine(full_name(conditions[0], names), conditions[0].id, is_human))
            continue
        lines.append(PanelLine(label, None))
        lines += [PanelLine(names[c.id], c.id, is_human) for c in conditions]
    return lines


def _contrast_lines(contrasts: pl.DataFrame) -> Iterator[PanelLine]:
    named = contrasts.select("name", "label").unique(maintain_order=True)
    if named.height:
        yield PanelLine("Declared contrasts", None)
    for name, label in named.iter_rows():
        yield PanelLine(label, f"contrast.{name}")


def _prompt_lines(spec: ReportSpec) -> Iterator[PanelLine]:
    names = row_labels(spec.conditions)
    for group in prompted(spec):
        base, *others = group.conditions
        yield PanelLine(f"{group.label}: prompt{_TIED}\N{MINUS SIGN}{_TIED}{names[base.id]}", None)
        for other in others:
            yield PanelLine(names[other.id], f"{base.id} {other.id}")


# ---------------------------------------------------------------------------- numbers


def _scores(summary: pl.DataFrame) -> Points:
    rows = summary.filter(pl.col("subset") == ALL, pl.col("score").is_not_null())
    named = rows.select("condition", "metric", "column", "score", "low", "high")
    return {(c, m, name): Point(score, both(low, high))
            for c, m, name, score, low, high in named.iter_rows()}  # fmt: skip


def _differences(pairs: pl.DataFrame, contrasts: pl.DataFrame, p: str) -> Points:
    of_pairs = pairs.filter(pl.col("subset") == ALL).with_columns(
        key=pl.col("first") + " " + pl.col("second")
    )
    of_contrasts = contrasts.with_columns(key="contrast." + pl.col("name"))
    named = (
        "key", "metric", "column", "difference", "low", "high", "opposed", "least", "most", p,
    )  # fmt: skip
    rows = pl.concat([of_pairs.select(named), of_contrasts.select(named)])
    return {
        (row["key"], row["metric"], row["column"]): Point(
            row["difference"],
            both(row["low"], row["high"]),
            filled=is_significant(row, p) is True,
        )
        for row in rows.iter_rows(named=True)
        if row["difference"] is not None
    }


def _singles(collected: Collected, spec: ReportSpec, wanted: Sequence[Wanted]) -> Singles:
    """Return the scores of single answers, as printed: the same reduction, of one row.

    (condition, metric key, column) → one score an answer; what is not scored is left out.
    """
    found = {}
    for (condition, key), scores in collected.scores.items():
        if scores.is_empty():
            continue
        metric = spec.metrics[key]
        names = [column.name for column in metric.columns]
        rows = scores.select(metric.statistics).cast(pl.Float64).fill_null(float("nan"))
        with np.errstate(all="ignore"):
            values = metric.score(rows.to_numpy().reshape(-1, len(metric.statistics)))
        for of, column in wanted:
            if of == key:
                mine = values[:, names.index(column.name)] * factor(column)
                if np.isfinite(mine).any():
                    found[condition, key, column.name] = mine[np.isfinite(mine)]
    return found
