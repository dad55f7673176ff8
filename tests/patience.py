"""Waiting for what a test needs: by looks, not by the clock.

A machine may stand still for a minute (it is suspended, moved, or others use it), and its clock
goes on all the same: whoever then looks at the clock gives up on what had no chance to happen. So
patience is a number of looks with a nap before each; what the looks themselves take adds to it.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 300
"""Long enough for any machine; waited out only by a test that fails."""


def until(look: Callable[[], T], patience_s: float = PATIENCE_S, nap_s: float = 0.05) -> T:
    """Return what *look* returns as soon as it is true; what it returned last if it never is."""
    found = look()
    for _ in range(round(patience_s / nap_s)):
        if found:
            break
        time.sleep(nap_s)
        found = look()
    return found
