"""A share of pairs, with an interval: pairs of one question are not independent. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from empathy_core.stats import LEAST_CLUSTERS, LEVEL, Resampler, interval, of_few_clusters
from empathy_core.types import Column

_SHARE = Column("share", "Share of pairs", share=True, least=0, most=1, ratio=(0, 1))


def pair_share(right: Sequence[float], questions: Sequence[str]) -> dict[str, Any]:
    """Return ``share``, ``low`` and ``high`` of its 95 % interval, ``n`` and ``n_questions``.

    Args:
        right: Of each pair, 1 or 0, or a half where nothing tells its replies apart.
        questions: The question of each.

    ``share`` is null without a pair, ``low`` and ``high`` where there is no interval.
    """
    n_questions = len(set(questions))
    counts = {"n": len(right), "n_questions": n_questions}
    if not right:
        return {"share": None, "low": None, "high": None, **counts}
    of = np.array(right, float)
    rows = np.column_stack([of, np.ones_like(of)])
    (found,) = interval(
        rows, lambda sums: sums[..., :1] / sums[..., 1:], Resampler.by(questions), [_SHARE]
    )
    bounds = found.interval
    if bounds is None and n_questions < LEAST_CLUSTERS:
        bounds = of_few_clusters(float(of.mean()), n_questions, LEVEL)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    return {"share": float(of.mean()), "low": low, "high": high, **counts}


def within(of: Mapping[str, Any]) -> str:
    """Return the share of a record in words, with its interval."""
    bounds = "" if of["low"] is None else f" (95 % interval {of['low']:.0%} to {of['high']:.0%})"
    return f"{of['share']:.0%}{bounds}"
