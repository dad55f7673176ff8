"""What people say of an answer, as a metric, and what it says of judges: corrected columns.

People's ratings are made where scores are read, as a jury is; nothing of them is kept among the
scores of a run. A row's statistics are its ratings' mean times the inverse of its chance of being
rated, and that inverse, so that the ratio of their sums is the mean over all answers of the run
(Hajek (1971)), whatever questions were rated more often than others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from empathy_core import rubrics
from empathy_core.errors import EmpathyError
from empathy_core.metrics import MetricProtocol, rates
from empathy_core.metrics._made_of_ratings import MadeOfRatings
from empathy_core.metrics._parts import Remark, signature
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.rubrics.spec import Dimension, Rubric
from empathy_core.types import Column

PEOPLE, CORRECTED = "people:", "corrected:"
"""How the keys of people's ratings begin, and those of a judge's score corrected by them."""


@dataclass(frozen=True)
class People(MadeOfRatings):
    """The mean of people's ratings of one dimension.

    Attributes:
        instrument: The rubric with the one dimension that was asked.
    """

    instrument: Rubric

    why_unscored: ClassVar[Remark] = Remark("shown to people, who skipped it or sent no rating")

    @property
    def dimension(self) -> Dimension:
        """What was asked."""
        return self.instrument.dimensions[0]

    @property
    def asked(self) -> tuple[str, str]:
        """Rubric and dimension."""
        return self.instrument.name, self.dimension.name

    @property
    def thresholds(self) -> tuple[tuple[str, int], ...]:
        """Names of shares, and the least rating that counts for each."""
        return tuple((t.name, t.at_least) for t in self.instrument.thresholds)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The mean, and the shares above thresholds."""
        of, values = self.dimension, self.dimension.values
        stem = f"human_{self.instrument.name}_{of.name}"
        group, last = f"{self.instrument.label} (people)", len(self.statistics) - 1
        score = Column(
            stem, f"{of.label} (people)", better=of.direction, decimals=1 if of.is_share else 2,
            percent=of.is_share, main=of.severity is None, group=group, least=values[0],
            most=values[-1], ratio=(0, last),
        )  # fmt: skip
        above = [
            Column(
                f"{stem}_{t.name}", f"{of.label}: {t.label} (people)", better=of.direction,
                decimals=1, percent=True, group=group, least=0, most=1, ratio=(i, last),
            )
            for i, t in enumerate(self.instrument.thresholds, 1)
        ]  # fmt: skip
        return score, *above

    @property
    def statistics(self) -> tuple[str, ...]:
        """The score and shares of a row, each times its weight, and the weight."""
        return ("score", *(t.name for t in self.instrument.thresholds), "weight")

    def signature(self) -> str:
        """Name what was asked; which rounds answered it stands in the table's notes."""
        return signature(
            rubric=self.instrument.name, dimension=self.dimension.name,
            text=dimension_digest(self.instrument, self.dimension)[:16],
            raters="people", score="mean", weight="1/chance",
        )  # fmt: skip


def people_key(rubric: str, dimension: str) -> str:
    """Return the key of people's ratings of one dimension."""
    return f"{PEOPLE}{rubric}:{dimension}"


Question = tuple[str, str, str]
"""Rubric, dimension, and ``dimension_digest`` of the text that was asked."""


def instruments(
    asked: Iterable[Question],
    metrics: Mapping[str, MetricProtocol],
    others: Iterable[Rubric] = (),
) -> dict[Question, Rubric]:
    """Return question → the rubric with it alone; questions of unknown text are left out.

    The text is known where a judge of the run is asked it, or where it is that of a rubric that
    ships, or of one of *others*: it must be the same to the letter.
    """
    known = {**dict(_alone(others)), **dict(_known(metrics))}
    return {of: rubric for of in asked if (rubric := known.get(of) or _shipped(of)) is not None}


def _alone(of: Iterable[Rubric]) -> Iterator[tuple[Question, Rubric]]:
    """Yield every question of the rubrics, and its rubric with it alone."""
    for rubric in of:
        for one in rubric.dimensions:
            at = rubric.name, one.name, dimension_digest(rubric, one)
            yield at, replace(rubric, dimensions=(one,))


def _known(metrics: Mapping[str, MetricProtocol]) -> Iterable[tuple[Question, Rubric]]:
    for metric in metrics.values():
        if rates(metric):
            of: Any = metric
            digest = dimension_digest(of.rubric, of.dimension)
            yield (of.rubric.name, of.dimension.name, digest), of.rubric


def _shipped(of: Question) -> Rubric | None:
    try:
        rubric = rubrics.rubric(of[0])
    except EmpathyError:
        return None
    return dict(_alone([rubric])).get(of)


def people(found: Mapping[Question, Rubric]) -> dict[str, People]:
    """Return key → metric of what people were asked; faults stand in no main table."""
    return {people_key(*of[:2]): People(rubric) for of, rubric in found.items()}


# ---------------------------------------------------------------------------- corrected judges


@dataclass(frozen=True)
class CorrectedJudge:
    """A judge's rating corrected by people's: a column of its own, and no scores of rows.

    Attributes:
        judge: The column that is corrected.
        rubric: Name of the rubric.
        dimension: What was asked.
        who: What tells the judge from others in keys and claims.
    """

    judge: Column
    rubric: str
    dimension: Dimension
    who: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """The corrected mean."""
        of = self.judge
        return (
            replace(
                of, name=f"corrected_{self.who}_{self.rubric}_{self.dimension.name}",
                label=f"{self.dimension.label} (corrected, {of.judge})", group="", main=True,
                ratio=None,
            ),
        )  # fmt: skip


def corrected_judges(metrics: Mapping[str, MetricProtocol]) -> dict[str, CorrectedJudge]:
    """Return key → column of every judge or jury that is asked what people were asked.

    The key is ``CORRECTED`` and the judge's own.
    """
    texts = {
        dimension_digest(m.instrument, m.dimension): m
        for m in metrics.values()
        if isinstance(m, People)
    }
    found: dict[str, CorrectedJudge] = {}
    for key, metric in metrics.items():
        of = asked_of(metric)
        if of is not None and dimension_digest(*of) in texts:
            rubric, dimension = of
            column = metric.columns[0]
            who = column.name.removesuffix(f"_{rubric.name}_{dimension.name}")
            found[CORRECTED + key] = CorrectedJudge(column, rubric.name, dimension, who)
    return found


def asked_of(metric: Any) -> tuple[Rubric, Dimension] | None:
    """Return what a judge or a jury rates; null if it is neither."""
    of = next(iter(metric.members.values())) if hasattr(metric, "members") else metric
    return (of.rubric, of.dimension) if rates(of) else None


def once_rated(metrics: Mapping[str, MetricProtocol]) -> dict[str, People | CorrectedJudge]:
    """Return what would have columns if people rated everything that judges are asked."""
    asked = people(dict(_known(metrics)))
    return {**asked, **corrected_judges({**metrics, **asked})}
