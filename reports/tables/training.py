"""What the trainings wrote down: a line for each adapter. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from reports.labels import NOTHING
from reports.numbers.curves import Curve, curves
from reports.spec import ReportSpec
from reports.tables.table import Cell, Group, Head, Row, Span, Table, Words

DECIMALS = 3


def training_tables(spec: ReportSpec, words: Words) -> tuple[Table, ...]:
    """Return the table beside the curves; none if there is no curve."""
    found = curves(spec)
    if not found:
        return ()
    stubs = ("Training",)
    spans = (
        Span("", 2, 4), Span("Training loss", 5, 6), Span("Validation loss", 7, 10),
    )  # fmt: skip
    heads = ("Rows", "Steps", "Epochs", "First", "Last", "First", "Best", "At step", "Last")
    groups = tuple(Group(curve.label, (Row((), _cells(curve)),)) for curve in found)
    words = replace(
        words,
        caption="How the adapters were trained.",
        label=f"{words.label}-training",
        notes=(
            *words.notes,
            "Loss: mean negative log-likelihood of a trained token, natural logarithm. Best: the "
            "lowest validation loss, and the step it was reached at.",
        ),
    )
    return (Table(words, stubs, spans, tuple(Head((h,)) for h in heads), groups, tight=True),)


def _cells(curve: Curve) -> tuple[Cell, ...]:
    last = curve.points[-1]
    losses, validation = ([loss for _, loss in of] for of in (curve.losses, curve.validation))
    best = curve.best
    numbers = (
        f"{curve.train_size:,}",
        f"{last.step:,}",
        f"{last.epoch:.2f}",
        *_ends(losses),
        _loss(validation[0] if validation else None),
        _loss(best[1] if best else None),
        f"{best[0]:,}" if best else NOTHING,
        _loss(validation[-1] if validation else None),
    )
    return tuple(map(Cell, numbers))


def _ends(losses: Sequence[float]) -> tuple[str, str]:
    return (_loss(losses[0]), _loss(losses[-1])) if losses else (NOTHING, NOTHING)


def _loss(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.{DECIMALS}f}"
