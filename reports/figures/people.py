"""Figures of people's ratings: reliability by dimension, and each judge against people. Pure.

matplotlib is imported inside functions.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from reports.figures.training import COLOURS, INK, MARKERS, PAPER, Figure, broken, drawable, figure
from reports.labels import count, decimal, general
from reports.numbers.agreement import RESPONSE, SYSTEM, AgreementNumbers
from reports.numbers.calibration import CalibrationNumbers

_LEVELS = (
    (RESPONSE, "alpha_ordinal", "alpha (ordinal), single answers"),
    (RESPONSE, "icc_c1", "ICC(C,1), single answers"),
    (SYSTEM, "icc_c1", "ICC(C,1), means of conditions"),
)
"""Level, statistic, and what the legend calls it."""
MOST_PANELS = 12
"""Of judges and dimensions: more would be too small to read."""
_COLUMNS = 4
_WIDE = 20


def agreement_figure(found: AgreementNumbers, stamp: str) -> Figure | None:
    """Return people's reliability by dimension; null where there is none."""
    rows = {(r["label"], r["level"], r["statistic"]): r
            for r in found.agreement.iter_rows(named=True) if r["value"] is not None}  # fmt: skip
    labels = list(dict.fromkeys(label for label, _, _ in rows))
    shown = [of for of in _LEVELS if any((label, *of[:2]) in rows for label in labels)]
    if not labels or not shown:
        return None
    words = "; ".join(
        f"{label}: " + ", ".join(
            f"{name} {decimal(rows[label, level, statistic]['value'], 2)}"
            for level, statistic, name in shown if (label, level, statistic) in rows
        )
        for label in labels
    )  # fmt: skip
    return figure(
        "figure-agreement",
        "Agreement of people by dimension, with 95% intervals; 0 is chance, 1 perfect.",
        f"A dot chart of people's agreement. {words}.",
        lambda drawing: _draw_agreement(drawing, labels, shown, rows),
        (0.9 + 0.42 * len(labels), stamp),
    )


def _draw_agreement(drawing: Any, labels: Sequence[str], shown: Any, rows: Any) -> None:
    axes = drawing.subplots()
    for i, (level, statistic, name) in enumerate(shown):
        known = [
            (place, rows[label, level, statistic]) for place, label in enumerate(labels)
            if (label, level, statistic) in rows
        ]  # fmt: skip
        heights = [place + 0.22 * (i - (len(shown) - 1) / 2) for place, _ in known]
        colour = COLOURS[i % len(COLOURS)]
        wide = [(y, r["low"], r["high"]) for y, (_, r) in zip(heights, known, strict=True)
                if r["low"] is not None]  # fmt: skip
        if wide:
            axes.hlines(*zip(*wide, strict=True), color=colour, linewidth=1.1)
        axes.plot([r["value"] for _, r in known], heights, linestyle="", color=colour, label=name,
                  marker=MARKERS[i % len(MARKERS)], markersize=4.5, zorder=4)  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), [drawable(label) for label in labels])
    low = min(0.0, *(axes.get_xlim()[:1]))
    axes.set_xlim(low, 1.02)
    axes.set_xlabel("Agreement")
    drawing.legend(loc="outside lower center", ncols=len(shown))


def calibration_figure(found: CalibrationNumbers, stamp: str) -> Figure | None:
    """Return judge against people, a panel for each judge and dimension; null where there is none.

    Grey circles are single answers, their area how many lie there; dots are means of conditions.
    """
    biases = found.biases.filter(found.biases["people"].is_not_null()).to_dicts()
    panels = [
        (key, list(of)) for key, of in groupby(biases, lambda r: (r["judge"], r["label"]))
    ][:MOST_PANELS]  # fmt: skip
    if not panels:
        return None
    words = "; ".join(
        f"{judge}, {label}: " + ", ".join(
            f"people {decimal(r['people'], 2)}, judge {decimal(r['people'] + r['bias'], 2)}"
            for r in rows
        )
        for (judge, label), rows in panels
    )  # fmt: skip
    n_rows = -(-len(panels) // _COLUMNS)
    n = len({(r["judge"], r["label"]) for r in biases})
    left = f" The first {count(MOST_PANELS)} of {count(n)}." if n > MOST_PANELS else ""
    return figure(
        "figure-calibration",
        "Judges against people: single answers (circles, their area the number of answers) and "
        f"means of conditions (dots). On the line both say the same.{left}",
        f"Scatter plots of a judge's score against people's. Means of conditions: {words}.",
        lambda drawing: _draw_calibration(drawing, panels, found),
        (0.45 + 1.75 * n_rows, stamp),
    )


def _draw_calibration(drawing: Any, panels: Sequence[Any], found: CalibrationNumbers) -> None:
    n_rows = -(-len(panels) // _COLUMNS)
    grid = drawing.subplots(n_rows, min(_COLUMNS, len(panels)), squeeze=False)
    every = [axes for line in grid for axes in line]
    for axes, ((judge, label), rows) in zip(every, panels, strict=False):
        points = found.points.filter(found.points["metric"] == rows[0]["metric"])
        _draw_panel(axes, rows, points)
        title = drawable(f"{judge}, {label.rpartition(': ')[2]}")
        axes.set_title(broken(title, _WIDE), fontsize=8)
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("Judge")
    for axes in every[max(0, len(panels) - grid.shape[1]) : len(panels)]:
        axes.set_xlabel("People")


def _ends(points: Any, low: float, high: float) -> tuple[float, float]:
    """Return where axes begin and end: a value without its raters' severity may leave the scale."""
    values = [low, high, *points["people"], *points["judge_value"]]
    room = 0.1 * (high - low)  # a circle at the end has its whole area
    return min(values) - room, max(values) + room


def _draw_panel(axes: Any, rows: Sequence[dict[str, Any]], points: Any) -> None:
    low, high = points["least"][0], points["most"][0]
    n = points["n"].to_numpy()
    axes.scatter(
        points["people"], points["judge_value"], s=70 * n / max(n.max(), 1), facecolor="none",
        edgecolor=COLOURS[6], linewidth=0.6,
    )  # fmt: skip
    ends = _ends(points, low, high)
    axes.plot(ends, ends, color=INK, linewidth=0.7)
    axes.plot(
        [r["people"] for r in rows], [r["people"] + r["bias"] for r in rows], linestyle="",
        marker="o", markersize=4.5, color=COLOURS[0], markeredgecolor=PAPER, markeredgewidth=0.6,
        zorder=4,
    )  # fmt: skip
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    ticks = [low, (low + high) / 2, high]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [general(tick) for tick in ticks])
    axes.tick_params(labelsize=7, length=2)
