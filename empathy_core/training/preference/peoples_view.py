"""How often people's ratings prefer the reply that a pair prefers. Pure.

Of the pairs that are kept and of which people rated both replies. Pairs that people rate equal
tell nothing of which is better: they are counted, and stand in no share. Pairs of one question are
not independent, hence the interval by question.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from empathy_core.training.preference.candidates import PairCandidate
from empathy_core.training.preference.pair_share import pair_share, within

_NEAR = 1e-9
"""Ratings that differ by less are equal: means of raters are not exact."""


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
    counts = {"n_equal": len(told) - len(apart)}
    found = pair_share([float(is_same) for _, is_same in apart], [q for q, _ in apart])
    return {"same": found.pop("share"), **found, **counts}


def view_text(of: Mapping[str, Any]) -> str:
    """Return a record in words."""
    equal = f"; they rate {of['n_equal']} more equal" if of["n_equal"] else ""
    if of["same"] is None:
        return f"People rate both replies of {of['n_equal']} pairs equal on {of['dimension']}."
    return (
        f"People's ratings ({of['dimension']}) prefer the same reply in "
        f"{within({**of, 'share': of['same']})} "
        f"of {of['n']} pairs to {of['n_questions']} questions{equal}."
    )
