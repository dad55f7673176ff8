"""Loss curves of trainings."""

from dataclasses import dataclass

from reports.numbers.adapter_vs_base import labels, ordered
from reports.spec import Comparison, CurvePoint, ReportSpec


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
    def lengths(self) -> list[tuple[int, float]]:
        """Return (step, mean tokens of the answers that were sampled there)."""
        taken = ((p.step, p.sample_tokens) for p in self.points)
        return [(step, tokens) for step, tokens in taken if tokens is not None]

    @property
    def best(self) -> tuple[int, float] | None:
        """Return (step, validation loss) where that is lowest; null if none was taken."""
        return min(self.validation, key=lambda point: point[1], default=None)


def curves(spec: ReportSpec) -> tuple[Curve, ...]:
    """Return the curves, once for an adapter that several conditions have."""
    trained = [c for c in ordered(spec.finetunes) if c.curve]
    found: dict[tuple[str, tuple[CurvePoint, ...]], Comparison] = {}
    for comparison in trained:
        found.setdefault((comparison.family, comparison.curve), comparison)
    named = labels(list(found.values()))
    return tuple(Curve(c.family, named[c.tuned], c.train_size, c.curve) for c in found.values())
