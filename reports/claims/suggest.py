"""Claims that a run supports, ready to be pasted. Pure."""

from collections.abc import Iterator
from itertools import groupby, permutations

from reports.claims.evidence import Evidence, Measure, Subject
from reports.claims.judge import judge
from reports.claims.names import Names

MOST_OF_A_KIND = 6
"""So that neither prompts nor models crowd out the rest."""


def suggest(evidence: Evidence) -> tuple[str, ...]:
    """Return claims about main columns that are true and significant, a few of each kind.

    First what is best of all, then fine-tunes and their bases, prompts of one model, models under
    one prompt, and people and models; of each kind those under most columns first. Every one is
    checked again.
    """
    names = Names(evidence)
    of_pairs = [_pairs(evidence, kind) for kind in ("tuned", "prompts", "models", "people")]
    found: list[str] = []
    for kind in (_best(evidence), *of_pairs):
        ordered = sorted(kind, key=lambda one: -one[0])
        sound = (says for _, says in ordered if judge(says, names).verdict == "true")
        found += [says for _, says in zip(range(MOST_OF_A_KIND), sound, strict=False)]
    return tuple(found)


Suggestion = tuple[int, str]
"""Number of columns, and the claim."""


def _pairs(evidence: Evidence, kind: str) -> Iterator[Suggestion]:
    main = _main(evidence)
    for one, other in permutations(evidence.subjects, 2):
        if _kind(one, other, evidence) == kind:
            found = [m for m in main if _above(one, other, m, evidence)]
            known = [m for m in main if evidence.gap(one, other, m).value is not None]
            if found:
                yield len(found), f"{one.key} > {other.key} on {_columns(found, known)}"


def _kind(one: Subject, other: Subject, evidence: Evidence) -> str:
    """Return why two conditions are worth a comparison; empty if they are not."""
    bases = evidence.bases
    if other.key in bases.get(one.key, ()) or one.key in bases.get(other.key, ()):
        return "tuned"
    if one.human != other.human:
        return "people"
    if one.human or one.tuned or other.tuned:
        return ""
    if one.group == other.group:
        return "prompts"
    return "models" if one.prompt_names == other.prompt_names else ""


def _best(evidence: Evidence) -> Iterator[Suggestion]:
    models = [s for s in evidence.subjects if not s.human]
    winners = [(w, m) for m in _main(evidence) if (w := _winner(models, m, evidence))]
    winners.sort(key=lambda of: of[0].key)
    for key, of in groupby(winners, lambda of: of[0].key):
        found = [m for _, m in of]
        yield len(found), f"{key} is best on {', '.join(m.key for m in found)}"


def _winner(models: list[Subject], measure: Measure, evidence: Evidence) -> Subject | None:
    """Return the condition that is significantly better than every other; null: none is."""
    better = measure.column.better
    for one in models:
        others = [s for s in models if s.key != one.key]
        sides = [(one, o) if better == "higher" else (o, one) for o in others]
        if better and sides and all(_above(*side, measure, evidence) for side in sides):
            return one
    return None


def _main(evidence: Evidence) -> list[Measure]:
    return [m for m in evidence.measures if m.main]


def _above(one: Subject, other: Subject, measure: Measure, evidence: Evidence) -> bool:
    gap = evidence.gap(one, other, measure)
    return gap.value is not None and gap.value > 0 and gap.significant is True


def _columns(found: list[Measure], known: list[Measure]) -> str:
    whole = len(found) > 1 and found == known
    return "all" if whole else ", ".join(m.key for m in found)
