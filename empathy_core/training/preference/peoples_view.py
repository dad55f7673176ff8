"""How often people's ratings prefer the reply that a pair prefers. Pure.

Of the pairs that are kept and of which people rated both replies. Pairs that people rate equal
tell nothing of which is better: they are counted, and stand in no share. Pairs of one question are
not independent, hence the interval by question.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from empathy_core.stats import LEAST_CLUSTERS, LEVEL, Resampler, interval, of_few_clusters
from empathy_core.training.preference.candidates import PairCandidate
from empathy_core.types import Column

_NEAR = 1e-9
"""Ratings that differ by less are equal: means of raters are not exact."""
_SHARE = Column("same", "Same reply preferred", share=True, least=0, most=1, ratio=(0, 1))


class QuestionedPair(Protocol):
    """A pair and its question."""

    @property
    def of(self) -> PairCandidate:
        """The pair."""
        ...

    @property
    def question(self) -> str:
        """What pairs of the same question share."""
        ...


def peoples_view(pairs: Iterable[QuestionedPair]) -> list[dict[str, Any]]:
    """Return a record for each dimension that people rated both replies of a pair on.

    ``dimension``; ``same``: share of the pairs in which people rate the chosen reply better, of
    those that they do not rate equal, null where there is none; ``low`` and ``high`` of its 95 %
    interval, null where there is none; ``n`` such pairs, ``n_questions``, and ``n_equal``.
    """
    by: dict[str, list[tuple[str, float]]] = {}
    for pair in pairs:
        for dimension, (chosen, rejected) in pair.of.people.items():
            by.setdefault(dimension, []).append((pair.question, chosen - rejected))
    return [{"dimension": name, **_share(told)} for name, told in sorted(by.items())]


def _share(told: Sequence[tuple[str, float]]) -> dict[str, Any]:
    apart = [(question, gap > 0) for question, gap in told if abs(gap) > _NEAR]
    counts = {"n": len(apart), "n_equal": len(told) - len(apart)}
    questions = [question for question, _ in apart]
    counts |= {"n_questions": len(set(questions))}
    if not apart:
        return {"same": None, "low": None, "high": None, **counts}
    same = np.array([is_same for _, is_same in apart], float)
    rows = np.column_stack([same, np.ones_like(same)])
    (found,) = interval(
        rows, lambda sums: sums[..., :1] / sums[..., 1:], Resampler.by(questions), [_SHARE]
    )
    bounds = found.interval
    if bounds is None and counts["n_questions"] < LEAST_CLUSTERS:
        bounds = of_few_clusters(float(same.mean()), counts["n_questions"], LEVEL)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return {"same": float(same.mean()), "low": low, "high": high, **counts}


def view_text(of: Mapping[str, Any]) -> str:
    """Return a record in words."""
    equal = f"; they rate {of['n_equal']} more equal" if of["n_equal"] else ""
    if of["same"] is None:
        return f"People rate both replies of {of['n_equal']} pairs equal on {of['dimension']}."
    within = "" if of["low"] is None else f" (95 % interval {of['low']:.0%} to {of['high']:.0%})"
    return (
        f"People's ratings ({of['dimension']}) prefer the same reply in {of['same']:.0%}{within} "
        f"of {of['n']} pairs to {of['n_questions']} questions{equal}."
    )
