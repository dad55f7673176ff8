"""The training table: a line for each adapter. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from reports.labels import decimal
from reports.numbers.curves import Curve, curves
from reports.spec import ReportSpec
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Span, Table, TableText

DECIMALS = 3
ANSWERS = (
    "Answer tokens: mean length of the answers to a few validation questions, before the training "
    "and at its end; no answer is longer than sample_tokens."
)


def training_tables(spec: ReportSpec, words: TableText) -> tuple[Table, ...]:
    """Return the table beside the curves; none if there is no curve."""
    found = curves(spec)
    if not found:
        return ()
    stubs = ("Training",)
    spans = (
        Span("", 2, 4), Span("Training loss", 5, 6), Span("Validation loss", 7, 10),
    )  # fmt: skip
    names = ["Rows", "Steps", "Epochs", "First", "Last", "First", "Best", "At step", "Last"]
    sampled = any(curve.lengths for curve in found)
    if sampled:
        names += ["First", "Last"]
    lengths = (Span("Answer tokens", 11, 12),) if sampled else ()
    shown = heads(*names)
    groups = tuple(
        Group(curve.label, (Row((), (*_cells(curve), *(_lengths(curve) if sampled else ()))),))
        for curve in found
    )
    words = replace(
        words,
        caption="Training of the adapters.",
        label=f"{words.label}-training",
        notes=(
            "Loss: mean negative log-likelihood of a trained token, natural logarithm.",
            "Best: the lowest validation loss, and the step at which it was reached.",
            *([ANSWERS] if sampled else []),
        ),
    )
    return (Table(words, stubs, (*spans, *lengths), shown, groups, tight=True),)


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


def _lengths(curve: Curve) -> tuple[Cell, ...]:
    """Return the length of answers at the first and the last evaluation."""
    tokens = [of for _, of in curve.lengths]
    return tuple(Cell(decimal(at[0] if at else None, 1)) for at in (tokens[:1], tokens[-1:]))


def _loss(values: Sequence[float]) -> Cell:
    """Return the one loss that is given; none prints ``NOTHING``."""
    return Cell(decimal(values[0] if values else None, DECIMALS))
