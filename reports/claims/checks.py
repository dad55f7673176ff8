"""What a statement rests on: one comparison of numbers after the other. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import singledispatch
from itertools import product

from empathy_core.errors import ConfigError
from empathy_core.types import Column
from reports.claims.evidence import Evidence, Gap, Measure, Subject
from reports.claims.names import ClaimSide, Meant, Names, fold
from reports.claims.statements import (
    Alike,
    Amount,
    Compare,
    Digits,
    Extreme,
    FromTo,
    Relation,
    Sensitive,
    Statement,
    Varies,
    Within,
)
from reports.labels import general, number
from reports.numbers.significance import ALPHA, DUST


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        left: Key of the condition, or name of the model whose range over prompts it is.
        right: The other one's; empty where a number alone is looked at.
        score: Of *left*, on the rows that both have; null where there is none, as is *other*.
        gap: *left* less *right*, or the range; of a single score its interval and n.
        holds: Null where numbers, or what the claim needs beside them, are missing.
        shown: Whether chance is excluded: corrected p below 0.05, or the whole interval on the
            right side of the bound. Null where there is no test.
        note: What else must be said.
    """

    measure: Measure
    left: str
    right: str
    score: float | None
    other: float | None
    gap: Gap
    holds: bool | None
    shown: bool | None
    note: str = ""


Pair = tuple[Subject, Subject]

Between = Callable[[Subject, Subject, Measure], Gap]
"""First of a pair less the second."""


Outcome = tuple[bool | None, bool | None]
"""``Check.holds`` and ``Check.shown``."""


@singledispatch
def checks(statement: Statement, names: Names, meant: Meant) -> Iterator[Check]:
    """Yield every comparison of *statement* under the columns *meant*.

    Raises:
        ConfigError: A condition is not known, or there is nothing to compare.
    """
    raise NotImplementedError(type(statement))


@checks.register
def _(statement: Compare, names: Names, meant: Meant) -> Iterator[Check]:
    pairs = _of_sides(statement, names)
    yield from _compared(pairs, statement.relation, names.evidence.gap, meant)


@checks.register
def _(statement: Alike, names: Names, meant: Meant) -> Iterator[Check]:
    for pair, measure in product(_once(_of_sides(statement, names)), meant.measures):
        yield _alike(pair, measure, names.evidence)


@checks.register
def _(statement: Within, names: Names, meant: Meant) -> Iterator[Check]:
    for pair, measure in product(_once(_of_sides(statement, names)), meant.measures):
        yield _within(pair, statement.bound, measure, names.evidence)


@checks.register
def _(statement: Amount, names: Names, meant: Meant) -> Iterator[Check]:
    subjects = names.conditions(statement.subject).subjects
    for subject, measure in product(subjects, meant.measures):
        yield _amount(subject, statement, measure, names.evidence)


@checks.register
def _(statement: Varies, names: Names, meant: Meant) -> Iterator[Check]:
    groups = _groups(names.conditions(statement.subject))
    for group, measure in product(groups, meant.measures):
        yield _varies(group, statement, measure, names.evidence)


@checks.register
def _(statement: Sensitive, names: Names, meant: Meant) -> Iterator[Check]:
    left, right = (_groups(names.conditions(of)) for of in (statement.left, statement.right))
    for one, two, measure in product(left, right, meant.measures):
        yield _sensitive((one, two), measure, names.evidence)


# ---------------------------------------------------------------------------- pairs


def _of_sides(statement: Compare | Alike | Within, names: Names) -> list[Pair]:
    left = names.conditions(statement.left)
    right = names.conditions(statement.right, left.subjects)
    found = [
        (a, b)
        for a, b in product(left.subjects, right.subjects)
        if a.key != b.key
        and _with_own(left, b, a, names.evidence)
        and _with_own(right, a, b, names.evidence)
        and (not statement.same_prompt or _first_prompt(a) == _first_prompt(b))
    ]
    if not found:
        same = " under the same prompt" if statement.same_prompt else ""
        msg = f"nothing to compare: '{statement.left}' and '{statement.right}' have no pair{same}"
        raise ConfigError(msg)
    return found


def _with_own(side: ClaimSide, other: Subject, mine: Subject, evidence: Evidence) -> bool:
    """Tell whether *mine* is what *side* means for *other*."""
    if side.with_own == "base":
        return mine.key in evidence.bases.get(other.key, ())
    return side.with_own is None or mine.group == other.group


def _first_prompt(subject: Subject) -> str:
    return subject.prompt_names[0] if subject.prompt_names else ""


def _once(pairs: Iterable[Pair]) -> list[Pair]:
    """Return pairs of which none is another turned round."""
    return list({frozenset((a.key, b.key)): (a, b) for a, b in pairs}.values())


def _groups(side: ClaimSide) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.group for s in side.subjects))


# ---------------------------------------------------------------------------- comparisons


def _compared(
    pairs: Iterable[Pair], relation: Relation, between: Between, meant: Meant
) -> Iterator[Check]:
    for (a, b), measure in product(pairs, meant.measures):
        sign = _sign(relation, measure.column)
        if sign:
            yield _ordered((a, b), sign, measure, between(a, b, measure))
        elif meant.quantifier == "each":
            msg = (
                f"no value of {measure.title} is better than another: say > or <, highest or "
                "lowest, increases or decreases"
            )
            raise ConfigError(msg)


def _sign(relation: Relation, column: Column) -> str:
    """Return the relation as a sign; empty where a column has no better direction."""
    if relation not in ("better", "worse"):
        return relation
    up = (column.better == "higher") == (relation == "better")
    return "" if column.better is None else ">" if up else "<"


def _ordered(pair: Pair, sign: str, measure: Measure, gap: Gap) -> Check:
    names = pair[0].key, pair[1].key
    toward = gap if sign.startswith(">") else gap.turned()
    if toward.value is None:
        return _check(measure, names, gap, (None, None))
    holds = toward.value > (-DUST if sign.endswith("=") else DUST)
    if gap.opposed:
        return _check(measure, names, gap, (None, None), _in_cells(gap, measure))
    if gap.unranked and not holds:
        return _check(measure, names, gap, (None, None), "one lacks too many scores to be ranked")
    shown = toward.significant
    if sign.endswith("="):
        shown = _no_less(toward)
    note = _in_cells(gap, measure) if _moved(gap, measure) else ""
    if holds and shown is False and toward.p is not None and toward.p < ALPHA:
        note = "answers without a score might turn it"
    return _check(measure, names, gap, (holds, shown), note)


def _no_less(gap: Gap) -> bool | None:
    """Tell whether *gap* is shown not to be below zero; null where it was not tested."""
    if gap.p is None or gap.value is None or gap.least is None:
        return None
    low = gap.value if gap.low is None else gap.low  # the same in every question
    return min(low, gap.least) >= -DUST


def _in_cells(gap: Gap, measure: Measure) -> str:
    """Return the two numbers of the table, which are of other rows than the difference."""
    texts = [number(cell, measure.column) for cell in gap.cells or ()]
    return f"in the table, on all rows of each: {' and '.join(texts)}"


def _moved(gap: Gap, measure: Measure) -> bool:
    """Tell whether the table prints other scores than those on the rows that both have."""
    both = zip(gap.cells or (), gap.scores or (), strict=False)
    return any(number(a, measure.column) != number(b, measure.column) for a, b in both)


def _check(
    measure: Measure, names: tuple[str, str], gap: Gap, outcome: Outcome, note: str = ""
) -> Check:  # fmt: skip
    score, other = gap.scores or (None, None)
    return Check(measure, *names, score, other, gap, *outcome, note)


def _alike(pair: Pair, measure: Measure, evidence: Evidence) -> Check:
    gap, margin = evidence.gap(*pair, measure), evidence.margins.get(measure.key)
    names = pair[0].key, pair[1].key
    if gap.p is None:
        return _check(measure, names, gap, (None, None))
    if gap.significant:
        return _check(measure, names, gap, (False, False))
    if margin is not None and gap.within(margin):
        note = f"equivalent within {general(margin)}"
        return _check(measure, names, gap, (True, True), note)
    return _check(measure, names, gap, (None, None), _undecided(gap, margin, measure))


def _undecided(gap: Gap, margin: float | None, measure: Measure) -> str:
    """Say why neither a difference nor its absence is shown, and what could have been."""
    least = number(gap.detectable, measure.column)
    found = f"a difference of {least} is detectable with 80% power"
    if margin is None:
        return f"no margin is declared (report.margins.{measure.key}); {found}"
    return f"not shown to lie within the margin of {general(margin)}; {found}"


def _within(pair: Pair, bound: Digits, measure: Measure, evidence: Evidence) -> Check:
    gap = evidence.gap(*pair, measure)
    most = bound.value + DUST
    holds = None if gap.value is None else abs(gap.value) <= most
    shown = None
    if gap.low is not None and gap.high is not None:
        shown = -most <= gap.low and gap.high <= most
    names = pair[0].key, pair[1].key
    return _check(measure, names, gap, (holds, shown), f"bound {bound.text}")


def _amount(subject: Subject, of: Amount, measure: Measure, evidence: Evidence) -> Check:
    score = evidence.score(subject, measure)
    if score is None:
        return _check(measure, (subject.key, ""), Gap(None), (None, None))
    gap = Gap(None, score.low, score.high, n=score.n)
    value, number = score.value, of.number
    if of.relation == "=":
        holds: bool | None = number.is_rounding_of(value, measure.column)
        shown = holds
    else:
        holds = _lies(value, of.relation, number.value)
        nearest = score.low if of.relation.startswith(">") else score.high
        shown = None if nearest is None else _lies(nearest, of.relation, number.value)
    return Check(measure, subject.key, "", value, None, gap, holds, shown, f"typed {number.text}")


def _lies(value: float, relation: str, bound: float) -> bool:
    over = value - bound if relation.startswith(">") else bound - value
    return over > (-DUST if relation.endswith("=") else DUST)


# ---------------------------------------------------------------------------- best, changes


@checks.register
def _(statement: Extreme, names: Names, meant: Meant) -> Iterator[Check]:
    of_own = fold(statement.among) in ("prompts", "itsprompts", "allprompts")
    among = names.conditions(statement.among).subjects if statement.among and not of_own else ()
    subjects = names.conditions(statement.subject, among).subjects
    if of_own:
        among = tuple(s for s in names.evidence.subjects if s.group in {t.group for t in subjects})
    elif not among:
        among = tuple(s for s in names.evidence.subjects if not s.human)
    pairs = [(a, b) for a, b in product(subjects, among) if b not in subjects]
    if not pairs:
        msg = f"nothing to compare: '{statement.subject}' is all there is to look at"
        raise ConfigError(msg)
    relations: dict[str, Relation] = {
        "best": "better", "worst": "worse", "highest": ">", "lowest": "<"
    }  # fmt: skip
    yield from _compared(pairs, relations[statement.which], names.evidence.place, meant)


@checks.register
def _(statement: FromTo, names: Names, meant: Meant) -> Iterator[Check]:
    first = names.conditions(statement.first)
    second = names.conditions(statement.second, first.subjects)
    pairs = [
        (b, a)
        for a, b in product(first.subjects, second.subjects)
        if a.key != b.key and _with_own(second, a, b, names.evidence)
    ]
    if not pairs:
        msg = f"nothing to compare: '{statement.first}' and '{statement.second}' are the same"
        raise ConfigError(msg)
    numbers = [n for n in statement.numbers if n]
    if numbers and (len(pairs) > 1 or len(meant.measures) > 1):
        msg = "numbers 'from … to …' need one column and one condition on each side"
        raise ConfigError(msg)
    yield from _compared(pairs, statement.relation, names.evidence.gap, meant)
    for subject, digits in zip(pairs[0][::-1], statement.numbers, strict=True):
        if digits:
            typed = Amount(subject.key, "=", digits, statement.on)
            yield _amount(subject, typed, meant.measures[0], names.evidence)


# ---------------------------------------------------------------------------- over prompts


def _varies(group: str, statement: Varies, measure: Measure, evidence: Evidence) -> Check:
    gap, bound = evidence.over_prompts(group, measure), statement.bound.value
    holds, shown = None, None
    if gap.value is not None:
        holds = _lies(gap.value, statement.relation, bound)
        nearest = gap.low if statement.relation == ">" else gap.high
        shown = None if nearest is None else _lies(nearest, statement.relation, bound)
    note = "fewer than two prompts" if gap.value is None else f"bound {statement.bound.text}"
    return _check(measure, (group, ""), gap, (holds, shown), note)


def _sensitive(groups: tuple[str, str], measure: Measure, evidence: Evidence) -> Check:
    """Return whether prompts move the first of *groups* more than the second.

    It is shown where the prompts do different things to them (the interaction's test) and the
    intervals of the two ranges do not overlap.
    """
    if groups[0] == groups[1]:
        msg = "nothing to compare: both sides are the same model"
        raise ConfigError(msg)
    ours, theirs = (evidence.over_prompts(group, measure) for group in groups)
    if ours.value is None or theirs.value is None:
        note = "fewer than two prompts"
        return Check(measure, *groups, ours.value, theirs.value, Gap(None), None, None, note)
    p, shown = evidence.interaction(*groups, measure), None
    if p is not None and ours.low is not None and theirs.high is not None:
        shown = p < ALPHA and ours.low > theirs.high
    ranges = ours.value, theirs.value
    gap = Gap(ranges[0] - ranges[1], None, None, p, ours.n, ours.n_questions, ranges)
    return _check(measure, groups, gap, (ranges[0] > ranges[1] + DUST, shown), "ranges")
