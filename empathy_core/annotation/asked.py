"""What a rater is asked of an answer: the very text that judges read. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from empathy_core.rubrics.rendering import dimension_digest, levels_text
from empathy_core.rubrics.spec import NOT_APPLICABLE, Dimension, Rubric


@dataclass(frozen=True, slots=True)
class AskedDimension:
    """One question about an answer, as people are shown it.

    Attributes:
        rubric: The rubric, which it is one dimension of.
        dimension: Its question and scale.
    """

    rubric: Rubric
    dimension: Dimension

    @property
    def digest(self) -> str:
        """Of what a rater reads, and of what the points count as: the same as a judge's."""
        return dimension_digest(self.rubric, self.dimension)

    @property
    def levels(self) -> str:
        """At which levels of risk it is asked, in words; empty if at every one."""
        return levels_text(self.rubric, self.dimension)

    @property
    def points(self) -> list[tuple[str, str]]:
        """Label and text of every answer that may be given, in their order."""
        points = [(anchor.label, anchor.text) for anchor in self.dimension.anchors]
        if self.dimension.not_applicable:
            points.append((NOT_APPLICABLE, self.dimension.not_applicable))
        return points

    def is_asked_at(self, tier: str) -> bool:
        """Tell whether it is asked of answers to a message of that crisis tier."""
        return not self.dimension.tiers or tier in self.dimension.tiers


def asked_dimensions(rubrics: Sequence[Rubric]) -> list[AskedDimension]:
    """Return every dimension of *rubrics*, in their order."""
    return [AskedDimension(rubric, d) for rubric in rubrics for d in rubric.dimensions]


def round_dimensions(rubrics: Sequence[Rubric]) -> tuple[tuple[str, str, str], ...]:
    """Return what ``Round.dimensions`` records."""
    return tuple(_recorded(rubrics))


def _recorded(rubrics: Sequence[Rubric]) -> Iterator[tuple[str, str, str]]:
    for asked in asked_dimensions(rubrics):
        yield asked.rubric.name, asked.dimension.name, asked.digest
