"""Best of n: which of several sampled answers to a question is chosen, and by what. Pure.

A choice is settings alone; ``best_of`` has the rule.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class SampleChoice:
    """How the answers of a condition are chosen among the samples of another.

    Attributes:
        of: Id of the condition that the samples are of.
        n: Samples of a question that are chosen among: the first so many.
        metric: Key of the metric whose score chooses.
        made_of: Keys of what is stored of it: of a jury its judges, else itself alone.
        column: Name of its column.
        label: Of that column, as printed; no part of the identity.
        judge: Label of the judge whose opinion it is; empty for every other metric. As *label*.
        better: Direction of the score.
        guards: Keys of the metrics by which a judge looked for severe faults (Red) in the samples:
            what has one is never chosen.
        seed: Of the order in which equal scores are taken.
    """

    of: str
    n: int
    metric: str
    made_of: tuple[str, ...]
    column: str
    label: str
    judge: str
    better: str
    guards: tuple[str, ...] = ()
    seed: int = 0

    @property
    def scores(self) -> tuple[str, ...]:
        """Keys of all stored scores that it is made of, the guards' as well."""
        return tuple(dict.fromkeys((*self.made_of, *self.guards)))

    def identity(self) -> dict[str, object]:
        """Return what could change which answer is chosen."""
        found = asdict(self)
        for absent in ("label", "judge"):
            del found[absent]
        return found
