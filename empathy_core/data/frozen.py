"""Frozen rows beside what the configuration says today: whether they are still the rows it means.

Pure. Two versions of the suite may stand between them: the rows are those that were frozen, by
whatever rules they were cleaned, and a setting that did not exist then had its default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

from empathy_core.data.specs import DataSpec, EvaluateSpec, Source
from empathy_core.types import digest

VERSION = "cleaning_version"
"""Key of an identity: which rules cleaned the rows. It names rows, but is no setting."""

REDACTION_VERSION = "redaction_version"
"""Likewise: which patterns found the personal data that was replaced."""

LISTED = 5


def changes(frozen: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the settings and contents that differ, as ``path: old → new``, at most five of them.

    Args:
        frozen: The identity of a run's rows, by the version of the suite that froze them.
        now: That of the same configuration and files today.
    """
    then, today = (
        {k: v for k, v in side.items() if k not in (VERSION, REDACTION_VERSION)}
        for side in (frozen, now)
    )
    return list(_changes(then, today))[:LISTED]


def _changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if key in old or not _by_default(key, new[key]):
                yield from _changes(old.get(key), new.get(key), f"{path}.{key}")
    elif digest(old) != digest(new):
        yield f"{path[1:]}: {str(old)[:60]} → {str(new)[:60]}"


def _by_default(name: str, value: Any) -> bool:
    """Tell whether a setting that the older version did not have is as if it were not there."""
    return not value or (name in _DEFAULTS and digest(value) == digest(_DEFAULTS[name]))


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


_DEFAULTS = {
    field.name: _plain(field.default)
    for spec in (Source, DataSpec, EvaluateSpec)
    for field in fields(spec)
    if field.default is not MISSING
}
