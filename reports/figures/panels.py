"""Panels of scores, drawn as SVG and PDF, many of them in a second process.

Shape and fill tell what colour tells, so that a figure can be read in grey. matplotlib is imported
inside functions.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from empathy_core.types import Column
from reports.figures.training import COLOURS, INK, PAPER, Figure, broken, drawable, figure
from reports.numbers.significance import Wanted
from reports.tables.table import line_label

PANELS = 4
"""Panels beside each other: more would leave no room for their numbers."""
LINE_IN, PANEL_IN = 0.165, 0.72
"""Height of a line, and of what stands above and below the lines of a panel."""
TITLE_IN, SHORT_TITLE, STAMP_IN = 0.125, 2, 0.2
"""Height of each line of a title beyond those that a panel has room for, and of the stamp."""
MANY_LINES, CLOSE = 20, 0.78
"""From so many lines on they stand closer by this factor, so that two rows fit on a page."""
LABEL_POINTS = 7.0
LABEL_WIDTH, TITLE_WIDTH = 30, 15
"""Characters of a line of a label, and of a panel's title."""
N_BINS = 24
TAILS = 0.5
"""Per cent of the single scores at either end that a panel may leave out of sight."""
DATA, PEOPLE = COLOURS[0], INK
MANY_PLACES = 200
"""From so many numbers on a second process pays: starting one takes about a second."""


@dataclass(frozen=True, slots=True)
class PanelLine:
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


Points = Mapping[tuple[str, str, str], Point]
"""(line's key, metric key, column) → number."""
Singles = Mapping[tuple[str, str, str], np.ndarray]
"""(condition, metric key, column) → one score an answer, as printed."""
Draw = Callable[[Any, Wanted, Sequence[PanelLine]], None]
"""Draws one panel: axes, column, lines from the top."""


@dataclass(frozen=True, slots=True)
class Panels:
    """A figure before it is drawn; it can be pickled.

    Attributes:
        what: What is drawn, for those who do not see it.
        wanted: A panel for each.
        draw: A function of this module, with the numbers as its first arguments.
        stamp: As on the tables; empty if there is none.
    """

    name: str
    caption: str
    what: str
    wanted: Sequence[Wanted]
    lines: Sequence[PanelLine]
    draw: Draw
    stamp: str

    @property
    def n_places(self) -> int:
        """How many numbers it has room for."""
        return len(self.wanted) * len(self.lines)

    def figure(self) -> Figure:
        """Return it, to be drawn."""
        named = ", ".join(line_label(column) for _, column in self.wanted)
        n = sum(line.key is not None for line in self.lines)
        description = (
            f"Panels of {self.what} by line: {n} lines; {named}. The page's tables have the "
            "numbers."
        )
        height = _whole_height(self.wanted, self.lines, self.stamp)

        def drawn(drawing: Any) -> None:
            _draw_panels(drawing, self.wanted, self.lines, self.draw)

        return figure(self.name, self.caption, description, drawn, (height, self.stamp))


# ---------------------------------------------------------------------------- a second process


@contextmanager
def start_drawing(panels: Sequence[Panels]) -> Iterator[Callable[[], list[Figure]]]:
    """Start to draw *panels* and yield what waits for the figures, in the same order.

    Many numbers are drawn by a second process while this one goes on; where that fails, or there
    is one processor, this one draws each figure when its files are asked for.
    """
    few = sum(p.n_places for p in panels) < MANY_PLACES
    if few or len(os.sched_getaffinity(0)) == 1:
        yield lambda: _figures(panels)
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        waiting = _submitted(pool, panels)

        def wait() -> list[Figure]:
            with suppress(OSError, BrokenProcessPool):
                if waiting:
                    return waiting.result()
            return _figures(panels)

        yield wait


def _submitted(
    pool: ProcessPoolExecutor, panels: Sequence[Panels]
) -> "Future[list[Figure]] | None":
    """Return the figures that a second process draws; null where none can be started."""
    try:
        return pool.submit(_figures, panels)
    except OSError:
        return None


def _figures(panels: Sequence[Panels]) -> list[Figure]:
    return [p.figure() for p in panels]


# ---------------------------------------------------------------------------- drawing


def draw_scores(
    found: Points, people: str | None, axes: Any, wanted: Wanted, lines: Sequence[PanelLine]
) -> None:
    """Draw a column's scores with their intervals, and a line where *people* are."""
    at = found.get((people or "", *place(wanted)))
    if at:
        axes.axvline(at.value * factor(wanted[1]), color=PEOPLE, linewidth=0.7, dashes=(4, 2))
    _draw_points(axes, wanted, lines, found)


def draw_differences(found: Points, axes: Any, wanted: Wanted, lines: Sequence[PanelLine]) -> None:
    """Draw a column's differences with their intervals, and a line at zero."""
    axes.axvline(0, color=INK, linewidth=0.7)
    _draw_points(axes, wanted, lines, found)


def draw_singles(found: Singles, axes: Any, wanted: Wanted, lines: Sequence[PanelLine]) -> None:
    """Draw how a column's single scores are spread."""
    mine = [found.get((line.key or "", *place(wanted)), np.zeros(0)) for line in lines]
    sides = _sides(mine)
    for reference, colour in ((False, DATA), (True, PEOPLE)):
        of = [
            (height, np.clip(values, *sides))
            for height, (line, values) in enumerate(zip(lines, mine, strict=True))
            if values.size and line.reference is reference
        ]
        if of:
            _draw_spreads(axes, of, sides, colour)


def place(wanted: Wanted) -> tuple[str, str]:
    """Return metric key and column's name."""
    return wanted[0], wanted[1].name


def factor(column: Column) -> int:
    """Return what a column's values are multiplied by in print."""
    return 100 if column.percent else 1


def _sides(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return what a panel spans: nearly all of the values."""
    every = np.concatenate(values)
    low, high = np.percentile(every, [TAILS, 100 - TAILS]) if every.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _whole_height(wanted: Sequence[Wanted], lines: Sequence[PanelLine], stamp: str) -> float:
    """Return a figure's height in inches: a row of panels has room for the longest of its titles.

    Without it the titles of judges, which name rubric and judge, leave no room for the panels.
    """
    rows = [wanted[i : i + PANELS] for i in range(0, len(wanted), PANELS)]
    surplus = sum(
        max(0, max(_title(column).count("\n") + 1 for _, column in row) - SHORT_TITLE)
        for row in rows
    )
    whole = len(rows) * (PANEL_IN + _height(lines)) + surplus * TITLE_IN
    return whole + (STAMP_IN if stamp and surplus else 0)


def _height(lines: Sequence[PanelLine]) -> float:
    """Return the height of a panel's lines in inches: of two-line labels, more for each."""
    most = max(_wrapped(line.label, LABEL_WIDTH).count("\n") + 1 for line in lines)
    return len(lines) * LINE_IN * (0.35 + 0.65 * most) * _closeness(lines)


def _closeness(lines: Sequence[PanelLine]) -> float:
    return CLOSE if len(lines) > MANY_LINES else 1.0


def _title(column: Column) -> str:
    """Return the title of a panel; an arrow stays beside its last word."""
    tied = re.sub(r" (?=[^\w(]$)", "\N{NO-BREAK SPACE}", line_label(column))
    return _wrapped(tied, TITLE_WIDTH)


def _wrapped(text: str, width: int) -> str:
    return broken(drawable(text), width)


def _draw_panels(
    drawing: Any, wanted: Sequence[Wanted], lines: Sequence[PanelLine], draw: Draw
) -> None:
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


def _label(axes: Any, lines: Sequence[PanelLine]) -> None:
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

    axes.set_title(_title(column), fontsize=LABEL_POINTS + 0.5)
    n_ticks = 2 if axes.get_xlim()[0] < 0 else 3  # a sign takes room
    axes.xaxis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=LABEL_POINTS - 0.5, length=2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if column.percent:
        axes.xaxis.set_major_formatter("{x:g}%")


def _draw_points(axes: Any, wanted: Wanted, lines: Sequence[PanelLine], found: Points) -> None:
    looks: dict[tuple[bool, bool], list[tuple[int, Point]]] = {}
    for height, line in enumerate(lines):
        point = found.get((line.key or "", *place(wanted)))
        if point is not None:
            looks.setdefault((line.reference, point.filled), []).append((height, point))
    times = factor(wanted[1])
    for (reference, filled), points in looks.items():
        colour = PEOPLE if reference else DATA
        wide = [(height, *point.bounds) for height, point in points if point.bounds]
        if wide:
            heights, low, high = (np.array(values) for values in zip(*wide, strict=True))
            axes.hlines(heights, times * low, times * high, color=colour, linewidth=1.1)
        axes.plot(
            [times * point.value for _, point in points], [height for height, _ in points],
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
