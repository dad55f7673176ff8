"""What a number is called in prose, macros, claims and ``explain``. Pure.

A condition is ``<model>.<prompt>``, e.g. ``llama3_8b.prompt2``; a score ``<condition>.<column>``,
e.g. ``llama3_8b.prompt2.rouge1``; of a subset ``<score>@<subset>``; a difference
``<second>-vs-<first>.<column>``, second less first. Keys are plain ASCII without blanks, so that
they can stand in a LaTeX command and on a command line.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from empathy_core.metrics import MetricProtocol
from empathy_core.types import Column, Condition

ALL = "all"
"""The subset of all rows."""
VERSUS = "-vs-"


def condition_keys(conditions: Iterable[Condition]) -> dict[str, str]:
    """Return condition id → key; decoding, then the id's digest, only where it must tell apart."""
    conditions = tuple(conditions)
    keys = {c.id: f"{c.model.name}.{c.prompt.name}" for c in conditions}
    parts: tuple[Callable[[Condition], str], ...] = (
        lambda c: c.decoding.name,
        lambda c: c.id.rpartition("-")[2],
    )
    for part in parts:
        times = Counter(keys.values())
        keys |= {c.id: f"{keys[c.id]}.{part(c)}" for c in conditions if times[keys[c.id]] > 1}
    return {i: _plain(key) for i, key in keys.items()}


def column_keys(metrics: Mapping[str, MetricProtocol]) -> dict[tuple[str, str], str]:
    """Return (metric key, column) → key; the metric's own where two share a column's name."""
    columns: list[tuple[str, Column]] = [(k, c) for k, m in metrics.items() for c in m.columns]
    times = Counter(c.name for _, c in columns)
    return {
        (k, c.name): _plain(c.name if times[c.name] == 1 else f"{k}.{c.name}") for k, c in columns
    }


def score_key(condition: str, column: str, subset: str = ALL) -> str:
    """Return the key of a score; *condition* and *column* are keys."""
    return f"{condition}.{column}{at(subset)}"


def difference_key(second: str, first: str, column: str, subset: str = ALL) -> str:
    """Return the key of *second* less *first*; all are keys."""
    return f"{second}{VERSUS}{first}.{column}{at(subset)}"


def at(subset: str) -> str:
    """Return what a key of this subset ends in; nothing for all rows."""
    return "" if subset == ALL else f"@{_plain(subset)}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", text)
