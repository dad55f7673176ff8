"""What a run may be called, and whether the names of a configuration can be names of folders."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.store import one_name
from jobs.config import contrasts
from jobs.config.judges import metric_options
from jobs.config.schema import Config

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


def unusable(config: Config) -> Iterator[str]:
    """Yield what is wrong with names that become part of those of folders and files."""
    for place, name in _folders(config):
        try:
            one_name(name, ".html")
        except ConfigError as error:
            yield f"{place}: {error}"


def _folders(config: Config) -> Iterator[tuple[str, str]]:
    """Yield where it is said and the longest name of a file that is made of it."""
    decoding = max((*config.decoding, "asis"), key=len)
    for model, prompt in dict.fromkeys(contrasts.asked(config)):
        stem = Path(prompt).stem if prompt.endswith(".toml") else prompt
        place = f"models.{model[:60]}: it, its prompt and decoding name a folder together"
        yield place, f"{model}.{stem}.{decoding}-00000000"
        yield f"models.{model[:60]}", f"generate-{model}-00000000-00000-of-00000"
    for name in metric_options(config):
        yield f"metrics.{name[:60]}", f"score-{Path(name).stem}-00000000-00000-of-00000"
