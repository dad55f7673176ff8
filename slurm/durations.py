"""PURE: times as Slurm writes them."""

import calendar
import re
import time
from functools import lru_cache


def seconds(text: str) -> int | None:
    """Return ``days-hours:minutes:seconds`` in seconds; null if it is no such time."""
    days, _, clock = text.rpartition("-")
    if not re.fullmatch(r"\d*", days) or not re.fullmatch(r"\d+(:\d+){0,2}", clock):
        return None  # UNLIMITED, INVALID
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return 86400 * int(days or 0) + total


def fraction_s(text: str) -> float:
    """Return the same with fractions of a second, as processors' time has; 0 if it is none."""
    whole, _, fraction = text.partition(".")
    return (seconds(whole) or 0) + (float(f"0.{fraction}") if fraction.isdigit() else 0.0)


@lru_cache(maxsize=4096)  # the tasks of an array share it
def since_1970(utc: str) -> int:
    """Return a date in seconds since 1970; 0 if it is none."""
    try:
        return calendar.timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0
