"""The learning rate of each optimiser step: a rise, then the schedule. Pure.

Of N steps the first W = min(floor(warmup · N), N - 1) rise: step s, from 1, has s / (W + 1) of the
full rate. Step W + 1 has the full rate, and from there on, with k = s - W - 1 and M = N - W,
``cosine`` gives (1 + cos(π · k / M)) / 2, ``linear`` 1 - k / M, and ``constant`` 1. So no step is
without a learning rate, and at least one has all of it.

transformers' schedules of the same names begin their rise at 0 and so waste a step, which of one or
two steps is half of the training or all of it; for k they are the same.
"""

import math
from collections.abc import Callable

from empathy_core.training.spec import FinetuneSpec

FEWEST_STEPS = 4.0
"""Full-rate steps below which the preflight stops a training. AdamW moves a weight by about its
learning rate in a step, and LoRA's B begins at 0: after fewer than 4 of them at 2e-4 no weight of
the adapter's update has come as far as 1e-3."""

_ROUNDING = 1e-9  # 0.29 · 100 is 28.999999999999996


def warmup_steps(warmup: float, n_steps: int) -> int:
    """Return in how many of *n_steps* the rate rises; 0 where the share makes no whole step.

    Args:
        warmup: Share of the steps, from 0 to 1.
        n_steps: At least 1.
    """
    return min(math.floor(warmup * n_steps + _ROUNDING), n_steps - 1)


def rate_of(spec: FinetuneSpec, n_steps: int) -> Callable[[int], float]:
    """Return the function from a step, from 0, to its share of the full rate.

    After the last step it is that of the last step: nothing is trained there.
    """
    rise, schedule = warmup_steps(spec.warmup, n_steps), spec.schedule
    fall = n_steps - rise

    def rate(step: int) -> float:
        after = min(step, n_steps - 1) - rise
        if after < 0:
            return (step + 1) / (rise + 1)
        if schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * after / fall))
        return 1.0 - after / fall if schedule == "linear" else 1.0

    return rate


def full_rate_steps(spec: FinetuneSpec, n_steps: int) -> float:
    """Return how many steps at the full rate have the same rates in sum."""
    return sum(map(rate_of(spec, n_steps), range(n_steps)))
