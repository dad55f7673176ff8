"""Training curves and faults by train size, as SVG and PDF: the same bytes for the same numbers.

Colours are Okabe and Ito's, told apart by most colour-blind readers; shape or dash tells the same
again, for print. matplotlib is imported inside functions: few reports have a figure.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

from empathy_core.types import Column
from reports.labels import count, decimal, number
from reports.numbers.curves import Curve
from reports.numbers.failures import FaultShares, Series

INK, FAINT, PAPER, ALERT = "#1b1c1e", "#d9dbdf", "#ffffff", "#8a1c10"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
WIDTH_IN = 6.3
"""Text width of a page: in one column of two the words would be under 5 points, so span both."""
BASE_GAP = 2.5
"""The base stands this factor left of the smallest size: a logarithmic axis has no zero."""

LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "kern")
"""Parts of a font that choose and place the shapes of a text."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,  # TrueType: publishers refuse type 3
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.family": "DejaVu Sans",  # comes with matplotlib: every machine has it
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.7,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}


@dataclass(frozen=True)
class Figure:
    """A figure, drawn when its files are first asked for; another process gets it drawn.

    Attributes:
        name: Of its files, without ending.
        description: What it shows in detail, for those who do not see it.
        draw: Returns the SVG and the PDF.
    """

    name: str
    caption: str
    description: str
    draw: Callable[[], tuple[str, bytes]] = field(compare=False, repr=False)

    @cached_property
    def files(self) -> tuple[str, bytes]:
        """The SVG and the PDF."""
        return self.draw()

    @property
    def svg(self) -> str:
        """The figure as SVG."""
        return self.files[0]

    @property
    def pdf(self) -> bytes:
        """The figure as PDF."""
        return self.files[1]

    def __reduce__(self) -> tuple[Callable[..., "Figure"], tuple[Any, ...]]:
        return _drawn_already, (self.name, self.caption, self.description, self.files)


def _drawn_already(name: str, caption: str, description: str, files: tuple[str, bytes]) -> Figure:
    return Figure(name, caption, description, lambda: files)


def training_figure(curves: Sequence[Curve], stamp: str) -> Figure | None:
    """Return loss by step, a colour for each adapter; null if there is no curve."""
    if not curves:
        return None
    words = "; ".join(_curve_in_words(curve) for curve in curves)
    sampled = any(curve.lengths for curve in curves)
    below = " Below: mean length of the answers to a few validation questions." * sampled
    return figure(
        "figure-training",
        f"Training loss (thin) and validation loss (thick) by step. Star: best step.{below}",
        f"A line chart of loss by training step. {words}.",
        lambda drawing: _draw_training(drawing, curves),
        (2.9 + 1.2 * sampled + 0.17 * -(-len(curves) // 2), stamp),
    )


def failures_figure(series: Sequence[Series], stamp: str) -> Figure | None:
    """Return the share of each fault by train size, a panel for each base; null without faults."""
    if not series:
        return None
    words = " ".join(
        f"{s.title}: {'; '.join(_fault_in_words(s, f) for f in s.faults)}." for s in series
    )
    n_rows = -(-len(series) // 2)
    return figure(
        "figure-failures",
        "Share of the answers with each fault, by the number of training rows." + _absent(series),
        f"A line chart of the share of faulty answers by the number of training rows. {words}",
        lambda drawing: _draw_failures(drawing, series),
        (0.5 + 2.5 * n_rows, stamp),
    )


# ---------------------------------------------------------------------------- files


def drawable(text: str) -> str:
    """Return *text* as a figure can hold it: what has no picture of its own is replaced."""
    kept = "\N{NO-BREAK SPACE}"
    return "".join(c if c.isprintable() or c in kept else "\N{REPLACEMENT CHARACTER}" for c in text)


OVERHANG = 4
"""Letters that a word may be longer than its line, since a panel leaves so much room beside it."""


def broken(text: str, width: int) -> str:
    """Return *text* in lines of about *width* letters, broken at spaces and behind hyphens.

    A word is broken only where it is longer than *width* and ``OVERHANG``.
    """
    lines = [""]
    for piece in re.split(r"(?<= )|(?<=-)(?=\w)", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip(" ")) > width:
            lines.append("")
        is_long = len(piece) > width + OVERHANG
        parts = [piece[i : i + width] for i in range(0, len(piece), width)] if is_long else [piece]
        lines[-1] += parts[0]
        lines += parts[1:]
    return "\n".join(line.strip(" ") for line in lines)


def figure(
    name: str,
    caption: str,
    description: str,
    draw: Callable[[Any], None],
    shape: tuple[float, str],
) -> Figure:
    """Return a figure that is drawn once and written twice.

    Args:
        name: Of the files, without ending.
        caption: What it shows, also for those who do not see it.
        description: What it shows in detail, for those who do not see it.
        draw: Draws into a matplotlib figure.
        shape: Height in inches, and the stamp; empty if there is none.
    """
    caption, description = drawable(caption), drawable(description)

    def files() -> tuple[str, bytes]:
        svg, pdf = _saved(name, caption, draw, shape)
        return _described(_short(svg), name, caption, description), pdf

    return Figure(name, caption, description, files)


def _saved(
    name: str, caption: str, draw: Callable[[Any], None], shape: tuple[float, str]
) -> tuple[str, bytes]:
    """Return what matplotlib writes as SVG and as PDF."""
    height_in, stamp = shape
    with _styled(name), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # its box is seen in the figure
        from matplotlib.backends.backend_pdf import FigureCanvasPdf
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Drawing

        drawing = Drawing(figsize=(WIDTH_IN, height_in), layout="constrained")
        draw(drawing)
        if stamp:
            drawing.suptitle(stamp, color=ALERT, fontweight="bold", fontsize=9, ha="right", x=0.99)
        if (engine := drawing.get_layout_engine()) is not None:
            engine.execute(drawing)
            drawing.set_layout_engine("none")  # once is enough for both files
        svg, pdf = io.BytesIO(), io.BytesIO()
        nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        # savefig would draw each file twice: a first time to place what is placed already
        FigureCanvasSVG(drawing).print_svg(svg, metadata=nothing)  # type: ignore[no-untyped-call]
        nothing = {"CreationDate": None, "Creator": None, "Producer": None}
        with _shapes_alone():
            described = nothing | {"Title": caption}
            FigureCanvasPdf(drawing).print_pdf(pdf, metadata=described)  # type: ignore[no-untyped-call]
    return svg.getvalue().decode(), pdf.getvalue()


@contextmanager
def _styled(name: str) -> Iterator[None]:
    """Draw by ``STYLE`` alone, whatever this user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "svg.hashsalt": name})
        yield


@contextmanager
def _shapes_alone() -> Iterator[None]:
    """Embed the shapes of letters without the rules by which text is laid out.

    Nothing that shows a PDF reads these rules, since its text is laid out already; to cut them down
    to the letters that occur takes longer than all the rest of a figure.
    """
    from fontTools import subset

    load = subset.load_font

    def load_shapes(*arguments: Any, **options: Any) -> Any:
        font = load(*arguments, **options)
        for table in LAYOUT_TABLES:
            if table in font:
                del font[table]
        return font

    subset.load_font = load_shapes
    try:
        yield
    finally:
        subset.load_font = load


def _short(svg: str) -> str:
    """Return *svg* with paths to the hundredth of a point."""
    of_path = re.compile(r"(?<=\.\d\d)\d+")
    return re.sub(r' d="[^"]*"', lambda path: of_path.sub("", path[0]), svg)


def _described(svg: str, name: str, title: str, description: str) -> str:
    """Return *svg* with a text for those who do not see it."""
    words = (
        f' role="img" aria-labelledby="{name}-title {name}-desc">\n'
        f' <title id="{name}-title">{escape(title)}</title>\n'
        f' <desc id="{name}-desc">{escape(description)}</desc>\n'
    )
    start = svg.index("<svg ")
    end = svg.index(">", start)
    return svg[:end] + words + svg[end + 1 :].lstrip("\n")


# ---------------------------------------------------------------------------- curves


def _draw_training(drawing: Any, curves: Sequence[Curve]) -> None:
    from matplotlib.lines import Line2D

    axes, below = _training_axes(drawing, curves)
    handles = []
    for i, curve in enumerate(curves):
        look = _look(i)
        axes.plot(*_columns(curve.losses), linewidth=0.7, alpha=0.75, **look)
        axes.plot(*_columns(curve.validation), marker="o", markersize=3, linewidth=1.8, **look)
        if curve.best is not None:
            axes.plot(*curve.best, marker="*", markersize=11, markeredgecolor=PAPER,
                      markeredgewidth=0.7, color=look["color"], zorder=5)  # fmt: skip
        if below is not None:
            below.plot(*_columns(curve.lengths), marker="o", markersize=3, **look)
        handles.append(Line2D([], [], label=drawable(curve.label), **look))
    keys = (
        Line2D([], [], color=INK, linewidth=0.7, label="training"),
        Line2D([], [], color=INK, linewidth=1.8, marker="o", markersize=3, label="validation"),
        Line2D([], [], color=INK, linewidth=0, marker="*", markersize=8, label="best step"),
    )
    axes.set(ylabel="Loss")
    (axes if below is None else below).set_xlabel("Step")
    axes.margins(x=0.02)
    axes.add_artist(axes.legend(handles=keys, loc="upper right", ncols=3, columnspacing=1.2))
    drawing.legend(handles=handles, loc="outside lower center", ncols=2)


def _training_axes(drawing: Any, curves: Sequence[Curve]) -> tuple[Any, Any]:
    """Return where losses are drawn, and where lengths are; null where there are none."""
    if not any(curve.lengths for curve in curves):
        return drawing.subplots(), None
    axes, below = drawing.subplots(2, 1, sharex=True, height_ratios=(2.3, 1))
    below.set_ylabel("Answer tokens")
    below.margins(y=0.15)
    return axes, below


def _look(i: int) -> dict[str, Any]:
    """Return the i-th colour; after all of them they come again, dashed."""
    dash = DASHES[i // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": dash}


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _curve_in_words(curve: Curve) -> str:
    words = [curve.label]
    if curve.losses:
        first, last = (decimal(curve.losses[i][1], 3) for i in (0, -1))
        words.append(f"training loss from {first} to {last}")
    if curve.best is not None:
        step, lowest = curve.best
        words.append(f"lowest validation loss {decimal(lowest, 3)} at step {count(step)}")
    if curve.lengths:
        first, last = (decimal(curve.lengths[i][1], 1) for i in (0, -1))
        words.append(f"answers of {first} tokens at first and {last} at last")
    return ", ".join(words)


# ---------------------------------------------------------------------------- faults


def _draw_failures(drawing: Any, series: Sequence[Series]) -> None:
    n_columns = min(2, len(series))
    n_rows = -(-len(series) // n_columns)
    grid = drawing.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    panels = [axes for line in grid for axes in line]
    handles: dict[str, Any] = {}
    for axes, of in zip(panels, series, strict=False):
        handles |= _draw_series(axes, of)
        if len(series) > 1:
            axes.set_title(drawable(of.title), loc="left")
    for axes in panels[len(series) :]:
        axes.set_visible(False)
    top = max((s for of in series for f in of.faults for _, s in _points(of, f)), default=0.0)
    panels[0].set_ylim(0, max(5.0, 105 * top))
    for line in grid:
        line[0].set_ylabel("Share of the answers (%)")
    drawing.legend(handles=list(handles.values()), loc="outside right center")


def _draw_series(axes: Any, series: Series) -> dict[str, Any]:
    """Draw a line for each fault that occurs; seeds are points, and the line runs through means."""
    from matplotlib.ticker import NullLocator

    sizes = sorted({line.train_size for line in series.lines if line.train_size})
    base_at = sizes[0] / BASE_GAP
    handles = {}
    for i, fault in enumerate(series.faults):
        points = [(x or base_at, 100 * y) for x, y in _points(series, fault)]
        if not any(y for _, y in points):
            continue
        look = {"color": COLOURS[i % len(COLOURS)]}
        mark = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4.5}
        base, *means = ((x, _mean([y for at, y in points if at == x])) for x in (base_at, *sizes))
        known = [(x, y) for x, y in means if y is not None]
        (drawn,) = axes.plot(*_columns(known), label=fault.label, clip_on=False, **look, **mark)
        axes.plot(
            *_columns(points), linestyle="", marker=".", markersize=2.5, clip_on=False, **look
        )
        if base[1] is not None:
            start = [(base_at, base[1])]
            axes.plot(*_columns([*start, *known[:1]]), linestyle=(0, (3, 2)), clip_on=False, **look)
            hollow = {**look, **mark, "markerfacecolor": PAPER, "zorder": 4}
            axes.plot(*_columns(start), linestyle="", clip_on=False, **hollow)
        handles[fault.name] = drawn
    axes.set_xscale("log")
    axes.set_xticks([base_at, *sizes], ["base", *map(count, sizes)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Training rows")
    return handles


def _points(series: Series, fault: Column) -> list[tuple[int, float]]:
    """Return (train size, share) of each condition that has one; size 0 is the base."""
    found = ((line.train_size, line.shares[fault.name]) for line in series.lines)
    return [(size, share) for size, share in found if share is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _absent(series: Sequence[Series]) -> str:
    """Name the faults that no condition shows, and that are therefore not drawn."""
    drawn = {f.name for of in series for f in of.faults if any(s for _, s in _points(of, f))}
    absent = [f.label.lower() for f in series[0].faults if f.name not in drawn]
    return f" Not drawn, since none occurred: {', '.join(absent)}." if absent else ""


def _fault_in_words(series: Series, fault: Column) -> str:
    def in_words(line: FaultShares) -> str:
        return f"{line.label} {number(line.shares[fault.name], fault)}"

    return f"{fault.label.lower()}: {', '.join(map(in_words, series.lines))}"
