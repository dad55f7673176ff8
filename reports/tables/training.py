"""The training table: a line for each adapter. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from reports.labels import decimal
from reports.numbers.curves import Curve, curves
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Span, Table, TableText

DECIMALS = 3


def training_tables(spec: ReportSpec, words: TableText) -> tuple[Table, ...]:
    """Return the table beside the curves; none if there is no curve."""
    found = curves(spec)
    if not found:
        return ()
    stubs = ("Training",)
    spans = (
        Span("", 2, 4), Span("Training loss", 5, 6), Span("Validation loss", 7, 10),
    )  # fmt: skip
    shown = heads("Rows", "Steps", "Epochs", "First", "Last", "First", "Best", "At step", "Last")
    groups = tuple(Group(curve.label, (Row((), _cells(curve)),)) for curve in found)
    words = replace(
        words,
        caption="Training of the adapters.",
        label=f"{words.label}-training",
        notes=(
            "Loss: mean negative log-likelihood of a trained token, natural logarithm.",
            "Best: the lowest validation loss, and the step at which it was reached.",
        ),
    )
    return (Table(words, stubs, spans, shown, groups, tight=True),)


def _cells(curve: Curve) -> tuple[Cell, ...]:
    last, best = curve.points[-1], curve.best
    losses, validation = ([loss for _, loss in of] for of in (curve.losses, curve.validation))
    return (
        count_cell(curve.train_size),
        count_cell(last.step),
        Cell(decimal(last.epoch, 2)),
        _loss(losses[:1]),
        _loss(losses[-1:]),
        _loss(validation[:1]),
        _loss([best[1]] if best else []),
        count_cell(best[0] if best else None),
        _loss(validation[-1:]),
    )


def _loss(values: Sequence[float]) -> Cell:
    """Return the one loss that is given; none prints ``NOTHING``."""
    return Cell(decimal(values[0] if values else None, DECIMALS))
