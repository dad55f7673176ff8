"""What claims are checked against: scores, differences, ranges over prompts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from empathy_core.stats import Interval, equivalent
from empathy_core.types import Column
from reports.labels import label_below
from reports.numbers.significance import significant


@dataclass(frozen=True, slots=True)
class Subject:
    """A condition that a claim can name.

    Attributes:
        key: See ``reports.keys``.
        model_names: Of its model, the surest first: name, label, published name.
        prompt_names: Of its prompt: name, label; empty where a table gives none.
        row_names: What can stand beside its model's name where the prompt alone does not tell it
            from another row: as tables print it, and prompt and decoding.
        group: Equal for conditions that differ in the prompt alone.
        human: People answered: none of ``every model``, and not among what ``best`` looks at.
        tuned: A fine-tune: a shortened name never means it.
    """

    key: str
    model_names: tuple[str, ...]
    prompt_names: tuple[str, ...]
    group: str
    human: bool = False
    tuned: bool = False
    row_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """A column that a claim can name; *main* ones are meant by ``on all``.

    Attributes:
        aliases: What else it is called, e.g. ``Empathy (human)``.
    """

    key: str
    column: Column
    main: bool = True
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return the heading with the one above it, e.g. ``BERTScore F1``."""
        return f"{self.column.group} {label_below(self.column)}".strip()


@dataclass(frozen=True, slots=True)
class Score:
    """A score; bounds of its 95 % interval and n are null where nobody gives them."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A difference, or the range over prompts.

    Attributes:
        value: Null where no row is scored by both.
        low: Of the 95 % interval; null where there is none, as is *high*.
        p: Corrected; null where there is no test.
        n: Examples that both have scored; null where nobody says.
        n_questions: Clusters that they belong to; null as *n*.
        scores: Of the second and of the first, on those examples; null: not given.
        cells: The same two as the tables print them, each of all its own rows; null: not given.
        opposed: The cells differ the other way than *value*: neither decides.
        least: What *value* is at least, whatever the answers without a score would get; null:
            not known. Without such answers it is *value*, as is *most*.
        unranked: One of the two lacks too many scores to have a place among all.
        narrow: The 90 % interval of *value*, which a test of equivalence takes; null as *low*.
        detectable: The least difference that the test would have found with 80 % probability,
            corrected as *p* is; null where there is no test.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int | None = None
    n_questions: int | None = None
    scores: tuple[float, float] | None = None
    cells: tuple[float, float] | None = None
    opposed: bool = False
    least: float | None = None
    most: float | None = None
    unranked: bool = False
    narrow: tuple[float, float] | None = None
    detectable: float | None = None

    @property
    def significant(self) -> bool | None:
        """Whether *value* is more than chance, in its direction (``ranks.significant``)."""
        return significant(
            self.value, self.p, opposed=self.opposed, least=self.least, most=self.most
        )

    def within(self, margin: float) -> bool | None:
        """Tell whether *value* is shown to be less than *margin* either way.

        Two one-sided tests at 5 % (``stats.equivalent``), and no answer without a score may
        lead out of the margin. Null where there is no interval.
        """
        if self.narrow is None or self.least is None or self.most is None:
            return None
        widest = Interval(min(self.narrow[0], self.least), max(self.narrow[1], self.most))
        return not self.opposed and equivalent(widest, margin)

    def turned(self) -> "Gap":
        """Return the first less the second."""

        def negated(value: float | None) -> float | None:
            return None if value is None else -value

        return replace(
            self,
            value=negated(self.value),
            low=negated(self.high),
            high=negated(self.low),
            least=negated(self.most),
            most=negated(self.least),
            scores=None if self.scores is None else self.scores[::-1],
            cells=None if self.cells is None else self.cells[::-1],
            narrow=None if self.narrow is None else (-self.narrow[1], -self.narrow[0]),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """All numbers that claims may be about.

    Attributes:
        source: What the numbers are of, for the reader.
        scores: (subject key, measure key) → score; absent where there is none.
        gaps: (second, first, measure) → second less first; either order, or absent where nothing
            could be paired.
        places: The same as *gaps* for every two conditions that are ranked, on the examples that
            all ranked ones have: what decides which is best of all.
        unranked: (subject key, measure key) of those that lack too many scores for a place.
        ranges: (group, measure) → highest less lowest over the prompts, with its own test;
            absent where it was not computed.
        interactions: (group, group, measure) → corrected p of prompts doing to one model what
            they do to the other; either order.
        bases: Key of a fine-tune → keys of the conditions that it is compared with.
        margins: Measure key → the least difference that matters, which "not significantly
            different" must exclude; absent where none is declared.
        correction: Whose p is given; empty where there are no rows, hence no tests.
    """

    source: str
    subjects: tuple[Subject, ...]
    measures: tuple[Measure, ...]
    scores: Mapping[tuple[str, str], Score]
    gaps: Mapping[tuple[str, str, str], Gap] = field(default_factory=dict)
    places: Mapping[tuple[str, str, str], Gap] = field(default_factory=dict)
    unranked: frozenset[tuple[str, str]] = frozenset()
    ranges: Mapping[tuple[str, str], Gap] = field(default_factory=dict)
    interactions: Mapping[tuple[str, str, str], float | None] = field(default_factory=dict)
    bases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    correction: str = ""

    def score(self, subject: Subject, measure: Measure) -> Score | None:
        """Return a score; null where there is none."""
        return self.scores.get((subject.key, measure.key))

    def gap(self, second: Subject, first: Subject, measure: Measure) -> Gap:
        """Return *second* less *first*: on common rows where there are rows, else as printed."""
        if found := _either(self.gaps, second, first, measure):
            return found
        ours, theirs = self.score(second, measure), self.score(first, measure)
        if ours is None or theirs is None:
            return Gap(None)
        both = ours.value, theirs.value
        value = _exact(both[0] - both[1])
        return Gap(value, scores=both, cells=both, least=value, most=value)

    def place(self, second: Subject, first: Subject, measure: Measure) -> Gap:
        """Return *second* less *first* as it decides which of all is best."""
        found = _either(self.places, second, first, measure) or self.gap(second, first, measure)
        here = ((of.key, measure.key) for of in (second, first))
        return replace(found, unranked=any(at in self.unranked for at in here))

    def members(self, group: str) -> tuple[Subject, ...]:
        """Return the conditions of a group that have a prompt."""
        return tuple(s for s in self.subjects if s.group == group and s.prompt_names)

    def over_prompts(self, group: str, measure: Measure) -> Gap:
        """Return the highest less the lowest score of a group.

        Where no test of the range is given, p is the least of the group's pairs: being corrected
        over all pairs of the column, it holds for any pair picked out of them.
        """
        if found := self.ranges.get((group, measure.key)):
            return found
        scored = {s: of for s in self.members(group) if (of := self.score(s, measure))}
        if len(scored) < 2:
            return Gap(None)
        ordered = sorted(scored, key=lambda s: scored[s].value)
        ends = self.gap(ordered[-1], ordered[0], measure)
        pairs = [self.gap(a, b, measure) for a in ordered for b in ordered if a.key < b.key]
        tested = [pair.p for pair in pairs if pair.p is not None]
        p = min(tested) if len(tested) == len(pairs) else None
        return replace(ends, p=p)

    def interaction(self, one: str, other: str, measure: Measure) -> float | None:
        """Return the p of two groups being moved alike by their prompts; null: not tested."""
        found = self.interactions.get((one, other, measure.key))
        return found if found is not None else self.interactions.get((other, one, measure.key))


def _either(
    gaps: Mapping[tuple[str, str, str], Gap], second: Subject, first: Subject, measure: Measure
) -> Gap | None:
    if found := gaps.get((second.key, first.key, measure.key)):
        return found
    found = gaps.get((first.key, second.key, measure.key))
    return found and found.turned()


def _exact(difference: float) -> float:
    """Return a difference of printed numbers without the dust of binary fractions."""
    return round(difference, 12) + 0.0
