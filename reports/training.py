"""What the trainings wrote down: a line for each adapter. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.comparisons import labels, ordered
from reports.labels import NOTHING
from reports.spec import Comparison, CurvePoint, ReportSpec
from reports.table import Cell, Group, Head, Row, Span, Table, Words

DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Curve:
    """One adapter's training.

    Attributes:
        family: Name of the table in the configuration.
        best: Point of the lowest validation loss, the first of equals; null if none was taken.
    """

    family: str
    label: str
    train_size: int
    points: tuple[CurvePoint, ...]

    @property
    def losses(self) -> list[tuple[int, float]]:
        """Return (step, training loss)."""
        return [(p.step, p.loss) for p in self.points if p.loss is not None]

    @property
    def validation(self) -> list[tuple[int, float]]:
        """Return (step, validation loss)."""
        taken = ((p.step, p.validation_loss) for p in self.points)
        return [(step, loss) for step, loss in taken if loss is not None]

    @property
    def best(self) -> tuple[int, float] | None:
        """Return (step, validation loss) where that is lowest; null if none was taken."""
        return min(self.validation, key=lambda point: point[1], default=None)


def curves(spec: ReportSpec) -> tuple[Curve, ...]:
    """Return the curves, once for an adapter that several conditions have."""
    told = [c for c in ordered(spec.finetunes) if c.curve]
    found: dict[tuple[str, tuple[CurvePoint, ...]], Comparison] = {}
    for comparison in told:
        found.setdefault((comparison.family, comparison.curve), comparison)
    named = labels(list(found.values()))
    return tuple(Curve(c.family, named[c.tuned], c.train_size, c.curve) for c in found.values())


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
