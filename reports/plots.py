"""Scores, differences and the scores of single answers, drawn as SVG and PDF.

A line for each condition and a panel for each column of the main table. Shape and fill tell what
colour tells, so that a figure can be read in grey. matplotlib is imported inside functions.
"""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from empathy_core.types import Column, Condition
from reports.collect import Collected
from reports.figures import COLOURS, INK, PAPER, Figure, drawable, figure
from reports.keys import ALL
from reports.labels import full_name, row_labels
from reports.prompts import prompted
from reports.spec import ReportSpec
from reports.table import ALPHA, Wanted, columns, line_label, p_column

PANELS = 4
"""Panels beside each other: more would leave no room for their numbers."""
LINE_IN, PANEL_IN = 0.165, 0.72
"""Height of a line, and of what stands above and below the lines of a panel."""
MANY_LINES, CLOSE = 20, 0.78
"""From so many lines on they stand closer by this factor, so that two rows fit on a page."""
LABEL_POINTS = 7.0
LABEL_WIDTH, TITLE_WIDTH = 30, 15
"""Characters of a line of a label, and of a panel's title."""
N_BINS = 24
TAILS = 0.5
"""Per cent of the single scores at either end that a panel may leave out of sight."""
DATA, PEOPLE = COLOURS[0], INK


@dataclass(frozen=True, slots=True)
class Line:
    """What stands at one height of a panel.

    Attributes:
        key: What its number is looked up by; null for a heading.
        reference: Drawn as people, not as a model.
    """

    label: str
    key: str | None
    reference: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A number and its interval.

    Attributes:
        filled: Of a difference: whether its corrected p is below 0.05.
    """

    value: float
    bounds: tuple[float, float] | None
    filled: bool = True


Draw = Callable[[Any, Wanted, Sequence[Line]], None]
"""Draws one panel: axes, column, lines from the top."""


def forest_figure(summary: pl.DataFrame, spec: ReportSpec, stamp: str) -> Figure | None:
    """Return every score of the main table with its interval; null where there is none."""
    lines, wanted, found = condition_lines(spec), _wanted(spec), _scores(summary)
    if not any(at[1:] == _place(w) for at in found for w in wanted):
        return None
    people = next((line.key for line in lines if line.reference), None)

    def draw(axes: Any, wanted: Wanted, lines: Sequence[Line]) -> None:
        at = found.get((people or "", *_place(wanted)))
        if at:
            axes.axvline(at.value * _factor(wanted[1]), color=PEOPLE, linewidth=0.7, dashes=(4, 2))
        _draw_points(axes, wanted, lines, found)

    dashed = " The dashed line is where the people are." if people else ""
    caption = f"Scores with 95% intervals.{dashed}"
    return _panels("figure-scores", caption, wanted, lines, (draw, stamp, "scores"))


def differences_figure(
    pairs: pl.DataFrame, contrasts: pl.DataFrame, spec: ReportSpec, stamp: str
) -> Figure | None:
    """Return the declared contrasts, and each model's prompts less its first; null without any."""
    lines = [*_contrast_lines(contrasts), *_prompt_lines(spec)]
    found, wanted = _differences(pairs, contrasts, p_column(spec)), _wanted(spec)
    if not any((line.key or "", *_place(w)) in found for line in lines for w in wanted):
        return None

    def draw(axes: Any, wanted: Wanted, lines: Sequence[Line]) -> None:
        axes.axvline(0, color=INK, linewidth=0.7)
        _draw_points(axes, wanted, lines, found)

    caption = (
        f"Differences with 95% intervals; filled where the corrected p is below {ALPHA}, which the "
        "tables' notes explain."
    )
    return _panels("figure-differences", caption, wanted, lines, (draw, stamp, "differences"))


def distribution_figure(collected: Collected, spec: ReportSpec, stamp: str) -> Figure | None:
    """Return how the scores of single answers are spread; null where nothing is scored."""
    wanted, lines = _wanted(spec), condition_lines(spec)
    found = _singles(collected, spec, wanted)
    if not found:
        return None

    def draw(axes: Any, wanted: Wanted, lines: Sequence[Line]) -> None:
        mine = [found.get((line.key or "", *_place(wanted)), np.zeros(0)) for line in lines]
        sides = _sides(mine)
        for reference, colour in ((False, DATA), (True, PEOPLE)):
            of = [
                (height, np.clip(values, *sides))
                for height, (line, values) in enumerate(zip(lines, mine, strict=True))
                if values.size and line.reference is reference
            ]
            if of:
                _draw_spreads(axes, of, sides, colour)

    caption = (
        "Scores of single answers: how many of a condition's answers have which score, their "
        f"median (dot) and the middle half (bar); the last {TAILS}% at either end stand at the "
        "edge. A table's score is that of all answers together, which for BLEU is no mean of these."
    )
    return _panels("figure-answers", caption, wanted, lines, (draw, stamp, "single scores"))


# ---------------------------------------------------------------------------- lines


def condition_lines(spec: ReportSpec) -> list[Line]:
    """Return people first, then models; several rows of a model stand below its name."""

    def of(condition: Condition) -> tuple[bool, str]:
        return condition.model.backend == "human", condition.model.label

    order = sorted(dict.fromkeys(map(of, spec.conditions)), key=lambda group: not group[0])
    rows = sorted(spec.conditions, key=lambda c: order.index(of(c)))
    names, lines = row_labels(spec.conditions), []
    for (is_human, label), members in groupby(rows, of):
        conditions = list(members)
        if len(conditions) == 1:
            lines.append(Line(full_name(conditions[0], names), conditions[0].id, is_human))
            continue
        lines.append(Line(label, None))
        lines += [Line(names[c.id], c.id, is_human) for c in conditions]
    return lines


def _contrast_lines(contrasts: pl.DataFrame) -> Iterator[Line]:
    named = contrasts.select("name", "label").unique(maintain_order=True)
    if named.height:
        yield Line("Declared contrasts", None)
    for name, label in named.iter_rows():
        yield Line(label, f"contrast.{name}")


def _prompt_lines(spec: ReportSpec) -> Iterator[Line]:
    names = row_labels(spec.conditions)
    for group in prompted(spec):
        base, *others = group.conditions
        yield Line(f"{group.label}, less {names[base.id]}", None)
        for other in others:
            yield Line(names[other.id], f"{base.id} {other.id}")


# ---------------------------------------------------------------------------- numbers


def _wanted(spec: ReportSpec) -> list[Wanted]:
    return [w for of_metric in columns(spec, main=True) for w in of_metric]


def _place(wanted: Wanted) -> tuple[str, str]:
    return wanted[0], wanted[1].name


Points = Mapping[tuple[str, str, str], Point]
"""(line's key, metric key, column) → number."""


def _scores(summary: pl.DataFrame) -> Points:
    rows = summary.filter(pl.col("subset") == ALL, pl.col("score").is_not_null())
    named = rows.select("condition", "metric", "column", "score", "low", "high")
    return {(c, m, name): Point(score, _bounds(low, high))
            for c, m, name, score, low, high in named.iter_rows()}  # fmt: skip


def _differences(pairs: pl.DataFrame, contrasts: pl.DataFrame, p: str) -> Points:
    of_pairs = pairs.filter(pl.col("subset") == ALL).with_columns(
        key=pl.col("first") + " " + pl.col("second")
    )
    of_contrasts = contrasts.with_columns(key="contrast." + pl.col("name"))
    named = ("key", "metric", "column", "difference", "low", "high", p)
    rows = pl.concat([of_pairs.select(named), of_contrasts.select(named)])
    return {
        (key, metric, column): Point(
            value, _bounds(low, high), filled=at is not None and at < ALPHA
        )
        for key, metric, column, value, low, high, at in rows.iter_rows()
        if value is not None
    }


def _bounds(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _singles(
    collected: Collected, spec: ReportSpec, wanted: Sequence[Wanted]
) -> dict[tuple[str, str, str], np.ndarray]:
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
                mine = values[:, names.index(column.name)] * _factor(column)
                if np.isfinite(mine).any():
                    found[condition, key, column.name] = mine[np.isfinite(mine)]
    return found


def _factor(column: Column) -> int:
    return 100 if column.percent else 1


def _sides(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return what a panel spans: nearly all of the values."""
    every = np.concatenate(values)
    low, high = np.percentile(every, [TAILS, 100 - TAILS]) if every.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


# ---------------------------------------------------------------------------- drawing


def _panels(
    name: str,
    caption: str,
    wanted: Sequence[Wanted],
    lines: Sequence[Line],
    how: tuple[Draw, str, str],
) -> Figure:
    """Return a panel for each column; *how*: what draws it, the stamp, and what is drawn."""
    draw, stamp, what = how
    n_rows = -(-len(wanted) // PANELS)

    def drawn(drawing: Any) -> None:
        _draw_panels(drawing, wanted, lines, draw)

    named = ", ".join(line_label(column) for _, column in wanted)
    n = sum(line.key is not None for line in lines)
    told = f"Panels of {what} by line: {n} lines; {named}. The page's tables have the numbers."
    found = figure(name, caption, told, drawn, (n_rows * (PANEL_IN + _height(lines)), stamp))
    themed = found.inline.replace(DATA.lower(), "var(--data)").replace(PAPER, "var(--paper)")
    return replace(found, inline=themed)


def _height(lines: Sequence[Line]) -> float:
    """Return the height of a panel's lines in inches: of two-line labels, more for each."""
    most = max(_wrapped(line.label, LABEL_WIDTH).count("\n") + 1 for line in lines)
    return len(lines) * LINE_IN * (0.35 + 0.65 * most) * _closeness(lines)


def _closeness(lines: Sequence[Line]) -> float:
    return CLOSE if len(lines) > MANY_LINES else 1.0


def _wrapped(text: str, width: int) -> str:
    text = drawable(text)
    return "\n".join(textwrap.wrap(text, width)) or text


def _draw_panels(drawing: Any, wanted: Sequence[Wanted], lines: Sequence[Line], draw: Draw) -> None:
    n_columns = min(PANELS, len(wanted))
    n_rows = -(-len(wanted) // n_columns)
    grid = drawing.subplots(n_rows, n_columns, squeeze=False)
    panels = [axes for row in grid for axes in row]
    for axes, one in zip(panels, wanted, strict=False):
        axes.set_ylim(len(lines) - 0.4, -0.75)
        draw(axes, one, lines)
        _frame(axes, one[1])
    for axes in panels[len(wanted) :]:
        axes.set_visible(False)
    for row in grid:
        _label(row[0], lines)


def _label(axes: Any, lines: Sequence[Line]) -> None:
    """Write the lines' labels left of a panel; ticks would take far longer to draw."""
    for height, line in enumerate(lines):
        axes.text(
            -0.06, height, _wrapped(line.label, LABEL_WIDTH), transform=axes.get_yaxis_transform(),
            ha="right", va="center_baseline", linespacing=1.05,
            fontsize=LABEL_POINTS * max(_closeness(lines), 0.88),
            fontweight="bold" if line.key is None else "normal",
            fontstyle="italic" if line.reference else "normal",
        )  # fmt: skip


def _frame(axes: Any, column: Column) -> None:
    from matplotlib.ticker import MaxNLocator

    title = re.sub(
        r" (?=[^\w(]$)", "\N{NO-BREAK SPACE}", line_label(column)
    )  # an arrow stays beside
    axes.set_title(_wrapped(title, TITLE_WIDTH), fontsize=LABEL_POINTS + 0.5)
    n_ticks = 2 if axes.get_xlim()[0] < 0 else 3  # a sign takes room
    axes.xaxis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=LABEL_POINTS - 0.5, length=2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if column.percent:
        axes.xaxis.set_major_formatter("{x:g}%")


def _draw_points(axes: Any, wanted: Wanted, lines: Sequence[Line], found: Points) -> None:
    looks: dict[tuple[bool, bool], list[tuple[int, Point]]] = {}
    for height, line in enumerate(lines):
        point = found.get((line.key or "", *_place(wanted)))
        if point is not None:
            looks.setdefault((line.reference, point.filled), []).append((height, point))
    factor = _factor(wanted[1])
    for (reference, filled), points in looks.items():
        colour = PEOPLE if reference else DATA
        wide = [(height, *point.bounds) for height, point in points if point.bounds]
        if wide:
            heights, low, high = (np.array(values) for values in zip(*wide, strict=True))
            axes.hlines(heights, factor * low, factor * high, color=colour, linewidth=1.1)
        axes.plot(
            [factor * point.value for _, point in points], [height for height, _ in points],
            linestyle="", marker="D" if reference else "o", markersize=3.2 if reference else 3.8,
            color=colour, markerfacecolor=colour if filled else PAPER, markeredgewidth=0.9,
            zorder=4,
        )  # fmt: skip


def _draw_spreads(
    axes: Any, found: Sequence[tuple[int, np.ndarray]], sides: tuple[float, float], colour: str
) -> None:
    """Draw histograms that stand on their lines, the middle half and the median below them."""
    from matplotlib.collections import PolyCollection

    heights = np.array([height for height, _ in found]) + 0.2
    shapes = [
        _histogram(values, height, sides)
        for height, (_, values) in zip(heights, found, strict=True)
    ]
    axes.add_collection(PolyCollection(shapes, facecolor=colour, alpha=0.35, linewidth=0))
    low, middle, high = np.array([np.percentile(v, [25, 50, 75]) for _, v in found]).T
    axes.hlines(heights + 0.07, low, high, color=colour, linewidth=1.4)
    axes.plot(middle, heights + 0.07, linestyle="", marker="o", markersize=2.6, color=colour)
    room = 0.04 * (sides[1] - sides[0])
    axes.set_xlim(sides[0] - room, sides[1] + room)


def _histogram(values: np.ndarray, height: float, sides: tuple[float, float]) -> np.ndarray:
    """Return the corners of a histogram that stands at *height*: shape (2 * bins + 2, 2)."""
    counts, edges = np.histogram(values, bins=N_BINS, range=sides)
    tops = np.repeat(height - 0.72 * counts / max(counts.max(), 1), 2)
    across = np.repeat(edges, 2)
    return np.column_stack([across, [height, *tops, height]])
