"""From files that raters returned to the rounds of a run: which round each is of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from empathy_core.annotation import Round, RoundDir, read_rounds
from empathy_core.annotation.importing import (
    ImportedFile,
    ImportRules,
    apply_rules,
    content_of,
    import_file,
)
from empathy_core.annotation.readers import FileContent
from empathy_core.annotation.readers.long_table import PARTS
from empathy_core.annotation.round_items import AskedRound, scales_of
from empathy_core.annotation.rounds import read_key, read_sample
from empathy_core.errors import ConfigError, DataError, EmpathyError, UnknownName
from empathy_core.store import RunDir
from jobs.config.judges import chosen_rubrics


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round that ratings can come back to.

    Attributes:
        of: Its record.
        folder: Its paths.
        asked: Its items and scales.
    """

    of: Round
    folder: RoundDir
    asked: AskedRound


def open_rounds(run: RunDir, name: str | None = None) -> dict[str, OpenRound]:
    """Return the rounds of a run, oldest first, or the one of that *name* alone.

    Raises:
        ConfigError: There is none, or a rubric is not what it was.
        Damaged: A file of a round cannot be read.
    """
    rounds = read_rounds(run)
    if not rounds:
        msg = (
            f"{run.root} has no round of ratings; expected packets that raters were given; make "
            "them with annotate export"
        )
        raise ConfigError(msg)
    if name is not None and name not in rounds:
        raise UnknownName("round", name, rounds)
    return {one: open_round(run, of) for one, of in rounds.items() if name is None or one == name}


def open_round(run: RunDir, of: Round) -> OpenRound:
    """Return a round with its items and scales.

    Raises:
        ConfigError: A rubric is not what it was.
        Damaged: A file of the round cannot be read.
    """
    folder = RoundDir.of(run, of.name)
    rubrics = {rubric.name: rubric for rubric in chosen_rubrics(of.settings["rubrics"], ())}
    scales = scales_of(of, rubrics)
    asked = AskedRound(of, read_key(folder), read_sample(folder), scales)
    return OpenRound(of, folder, asked)


def rated_round(run: RunDir, name: str | None) -> OpenRound:
    """Return the round of that *name*, or the newest that has ratings and does not settle flags.

    Raises:
        ConfigError: There is none, or a rubric is not what it was.
        Damaged: A file of a round cannot be read.
    """
    rounds = list(open_rounds(run, name).values())
    rated = [one for one in rounds if one.of.kind != "adjudication" and one.folder.ratings.exists()]
    return rounds[0] if name is not None or not rated else rated[-1]


def round_of(content: FileContent, rounds: Mapping[str, OpenRound]) -> OpenRound:
    """Return the round most of whose items a file names; of two alike, and for none, the newest."""
    words = set(re.findall(r"[\w-]+", content.text))
    newest_first = list(rounds.values())[::-1]
    return max(newest_first, key=lambda one: len(words & one.asked.items.keys()))


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of a file that was given.

    Attributes:
        name: As it was given.
        round: Which it is of; null if it could not be read.
        done: Its import; null if it failed.
        error: Why it failed; null if it did not.
    """

    name: str
    round: OpenRound | None
    done: ImportedFile | None
    error: EmpathyError | None


def import_files(
    run: RunDir, rounds: Mapping[str, OpenRound], files: Sequence[Path], rules: ImportRules
) -> list[FileOutcome]:
    """Import files one after the other, each whole or not at all; rules hold for every round.

    Raises:
        Damaged: A file of a round cannot be read.
        StorageError: The disk is full.
    """
    with run.task_lock("annotate import"):
        found: list[FileOutcome] = []
        for path in files:
            found.append(_imported(rounds, path, rules, found))
        for one in rounds.values():
            apply_rules(one.folder, one.asked, rules)
    return found


def _imported(
    rounds: Mapping[str, OpenRound], path: Path, rules: ImportRules, so_far: Sequence[FileOutcome]
) -> FileOutcome:
    of = None
    try:
        content = content_of(path)
        of = round_of(content, rounds)
        there = [one.done.ratings for one in so_far if one.done and one.round is of]
        before = there[-1] if there else None  # of a dry run, nothing of it is on the disk
        done = import_file(of.folder, of.asked, content, rules, before)
        return FileOutcome(str(path), of, done, None)
    except DataError as error:
        return FileOutcome(str(path), of, None, error)


# ---------------------------------------------------------------------------- the command line


def column_map(texts: Sequence[str]) -> dict[str, str]:
    """Return what columns are for → their names, from ``item=…,value=…``.

    Raises:
        ConfigError: It is no such list.
    """
    found = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, column = part.partition("=")
        if not equals or name.strip() not in PARTS or not column.strip():
            msg = f"--map {part}: expected {'=…, '.join(PARTS)}=…, each with a column's name"
            raise ConfigError(f"{msg}; correct it")
        found[name.strip()] = column.strip()
    return found


def declared_raters(texts: Sequence[str], rounds: Mapping[str, OpenRound]) -> dict[str, str]:
    """Return name → pseudonym, from ``NAME=R01``.

    Raises:
        ConfigError: It is no such pair, or no round has that rater.
    """
    known = {rater for one in rounds.values() for rater in one.of.raters}
    found = {}
    for text in texts:
        name, equals, rater = text.rpartition("=")
        if not equals or not name.strip() or rater.strip() not in known:
            msg = (
                f"--rater {text}: expected a name as the file has it and one of "
                f"{', '.join(sorted(known))}, e.g. --rater anna={min(known)}; correct it"
            )
            raise ConfigError(msg)
        found[name.strip()] = rater.strip()
    return found


def survey_codes(path: Path | None) -> dict[str, tuple[str, str]]:
    """Return column of a survey → (item, dimension), from the file that export wrote.

    Raises:
        DataError: It has not the columns code, item and dimension.
    """
    if path is None:
        return {}
    content = content_of(path)
    at = {name: content.column(name) for name in ("code", "item", "dimension", "rubric")}
    missing = [name for name in ("code", "item", "dimension") if at[name] is None]
    if missing:
        msg = (
            f"{path} has no column {' and no column '.join(missing)}; expected qualtrics.csv of a "
            "packet, or a file with the columns code, item and dimension; correct --codes"
        )
        raise DataError(msg)
    found = {}
    for _, cells in content.cells():
        row = {name: cells[place] for name, place in at.items() if place is not None}
        rubric = f"{row['rubric']}." if row.get("rubric") else ""
        found[row["code"].strip()] = (row["item"], rubric + row["dimension"])
    return found
