"""What a run may be called, and where it is."""

import re
from collections.abc import Iterable
from pathlib import Path

from empathy_core.errors import ConfigError

MOST_CHARACTERS = 200
"""Of a run's name: that of its repetition, ``<name>-again``, is longer."""
_RUN = re.compile(rf"[A-Za-z0-9]([A-Za-z0-9_.-]{{0,{MOST_CHARACTERS - 2}}}[A-Za-z0-9_-])?")


def run_folder(runs: Path, name: str) -> Path:
    """Return the folder of a run; one that is there already may be called by other characters.

    Raises:
        ConfigError: No run can be called so.
    """
    there = _there(runs)
    if name not in there and (problem := _problem(name, there)):
        msg = (
            f"{name[:60]!a} cannot be the name of a run: {problem}; expected at most "
            f"{MOST_CHARACTERS} letters (a to z, A to Z), digits, '_', '-' and '.', first a letter "
            "or digit and last no '.'; choose another name; --runs says in which folder runs are"
        )
        raise ConfigError(msg)
    return runs / name


def _there(runs: Path) -> list[str]:
    """Return the names of runs; none where there is no folder, which whoever needs one says."""
    try:
        return [p.name for p in runs.glob("*") if (p / "plans").is_dir()]
    except OSError:
        return []


def _problem(name: str, there: Iterable[str]) -> str:
    """Return why no new run can be called so beside those that are *there*; empty if it can."""
    if not _RUN.fullmatch(name):
        return "it is a path, too long, or of other characters" if name else "it is empty"
    alike = [other for other in there if other.casefold() == name.casefold()]
    return f"'{alike[0]}' is there, and some file systems take both for one" if alike else ""
