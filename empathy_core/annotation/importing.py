"""One returned file into a round: read, checked, merged, recorded; all of it or nothing.

Written in this order: the kept copy, what names mean, the ratings, then the line in
``imports.jsonl``. A file counts as imported once that line is there; what is killed before is done
again by the same command, with the same result.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.annotation.checks import CellProblem, CheckedFile, check_file
from empathy_core.annotation.exclusions import NO_RULES, ExclusionRules, excluded
from empathy_core.annotation.kept_files import kept_bytes, kept_name
from empathy_core.annotation.merging import MergedRatings, merge_ratings
from empathy_core.annotation.raters import rater_names
from empathy_core.annotation.readers import FileContent, FileMap, GivenFile, RatingFile, read_file
from empathy_core.annotation.readers.protocol import NO_MAP
from empathy_core.annotation.round_items import AskedRound
from empathy_core.annotation.rounds import Round, RoundDir, read_round_ratings, write_ratings
from empathy_core.annotation.writing import read_secret
from empathy_core.errors import Damaged, DataError
from empathy_core.store import append_json_line, json_lines, write_bytes, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRules:
    """How files are imported.

    Attributes:
        map: What columns are for.
        raters: Name → pseudonym, as declared.
        exclude: Which ratings are left out.
        now: Time of the import, ISO 8601 in UTC.
        dry_run: Whether nothing is written.
    """

    map: FileMap = NO_MAP
    raters: Mapping[str, str] = field(default_factory=dict)
    exclude: ExclusionRules = NO_RULES
    now: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What became of a file.

    Attributes:
        name: As the user calls it.
        digest: SHA-256 of its bytes.
        read: What is in it; null if it was imported before.
        checked: What it gives; likewise.
        merged: What it changes; likewise.
        ratings: All ratings of the round after it.
    """

    name: str
    digest: str
    read: RatingFile | None
    checked: CheckedFile | None
    merged: MergedRatings | None
    ratings: pl.DataFrame

    @property
    def problems(self) -> list[CellProblem]:
        """Everything that a person should look at."""
        found = self.checked.problems if self.checked else []
        return [*found, *(self.merged.changed if self.merged else [])]

    @property
    def raters(self) -> list[str]:
        """Whose ratings it holds."""
        return sorted({row["rater"] for row in self.checked.rows}) if self.checked else []


def import_file(
    folder: RoundDir,
    asked: AskedRound,
    content: FileContent,
    rules: ImportRules,
    before: pl.DataFrame | None = None,
) -> ImportedFile:
    """Bring one returned file into a round; the caller holds the round's lock.

    Args:
        folder: The round's paths.
        asked: Its items and scales.
        content: The file.
        rules: How it is imported.
        before: The ratings that are there already; null means those on the disk.

    Raises:
        DataError: It cannot be read, or holds nothing of this round; nothing is changed.
        Damaged: A file of the round cannot be read.
        StorageError: The disk is full.
    """
    digest = hashlib.sha256(content.data).hexdigest()
    records = read_imports(folder)
    old = read_round_ratings(folder) if before is None else before
    if digest in records and folder.ratings.exists():
        now = _write_excluded(folder, old, asked, rules)
        return ImportedFile(content.name, digest, None, None, None, now)
    read = read_file(GivenFile(content, asked, rules.map))
    secret = read_secret(folder)
    names = rater_names(read, asked, rules.raters, read_names(folder), secret)
    checked = check_file(read, asked, names, digest)
    _require_any(content, read, checked, asked)
    rank = {file: _rank(of) for file, of in records.items()} | {digest: (read.at or rules.now,)}
    merged = merge_ratings(old, checked.rows, rank)
    frame = excluded(merged.frame, asked.scales, rules.exclude)
    done = ImportedFile(content.name, digest, read, checked, merged, frame)
    if not rules.dry_run:
        kept = kept_bytes(content, read, names.of)
        kept_as = kept_name(digest, content, read, done.raters)
        write_bytes(kept, folder.raw / kept_as)
        if names.learnt:
            write_json(read_names(folder) | dict(names.learnt), folder.names)
        write_ratings(folder, frame)
        record = _record(done, rules, kept_as, hashlib.sha256(kept).hexdigest())
        append_json_line(record, folder.imports, flush=True)
    return done


def _write_excluded(
    folder: RoundDir, old: pl.DataFrame, asked: AskedRound, rules: ImportRules
) -> pl.DataFrame:
    """Apply the rules to the ratings there are, and return these; what is the same stays."""
    frame = excluded(old, asked.scales, rules.exclude)
    if not frame.equals(old) and not rules.dry_run:
        write_ratings(folder, frame)
    return frame


def apply_rules(folder: RoundDir, asked: AskedRound, rules: ImportRules) -> pl.DataFrame:
    """Apply the rules for exclusion to the ratings of a round, and return these."""
    return _write_excluded(folder, read_round_ratings(folder), asked, rules)


def _require_any(
    content: FileContent, read: RatingFile, checked: CheckedFile, asked: AskedRound
) -> None:
    """Refuse a file of which nothing belongs to the round.

    Raises:
        DataError: There are problems, and no rating.
    """
    if checked.rows or not checked.problems:
        return
    first = checked.problems[0]
    msg = (
        f"{content.name}, read as {read.format}: none of its {len(read.entries)} entries is a "
        f"rating of {asked.name} ({first.place}: {first.kind}, {first.text}); expected items and "
        "questions of that round; name another with --round, or the columns with --map"
    )
    raise DataError(msg)


def _rank(record: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(record.get("at") or record["imported"]),)


def _record(
    done: ImportedFile, rules: ImportRules, kept_as: str, kept_digest: str
) -> dict[str, Any]:
    """Return the line of ``imports.jsonl``: no name of a person or of a file is in it."""
    if done.read is None or done.checked is None or done.merged is None:
        msg = "a file that was imported before has no record of its own"
        raise ValueError(msg)
    return {
        "file": done.digest,
        "kept": kept_as,
        "kept_sha256": kept_digest,
        "format": done.read.format,
        "at": done.read.at,
        "imported": rules.now,
        "raters": done.raters,
        "ratings": len(done.checked.rows),
        "new": done.merged.n_new,
        "same": done.merged.n_same,
        "facts": dict(done.read.facts),
        "columns": dict(rules.map.columns),
        "exclude": asdict(rules.exclude),
        "notes": list(done.read.notes),
        "repairs": [asdict(one) | {"file": done.digest} for one in done.checked.repairs],
        "problems": [asdict(one) | {"file": done.digest} for one in done.problems],
    }


def read_imports(folder: RoundDir) -> dict[str, dict[str, Any]]:
    """Return what was imported: SHA-256 of the file → its record, in the order of the imports.

    A line that a power cut has torn is passed over: its file was not imported.
    """
    found = {}
    if folder.imports.exists():
        for line in json_lines(folder.imports.read_text(encoding="utf-8")):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            found[record["file"]] = record
    return found


def may_train(folder: RoundDir, of: Round) -> frozenset[str]:
    """Return the raters of a round who let models be trained on their ratings.

    What a rater's file says of it counts, of several the one that was saved last. Sheets and files
    of other tools say nothing: then it is what the round says for all (``annotate.may_train``), and
    no where each is to be asked.
    """
    said: dict[str, str] = {}
    for record in sorted(read_imports(folder).values(), key=_rank):
        if fact := record["facts"].get("may_train"):
            said |= dict.fromkeys(record["raters"], fact)
    usual = of.settings.get("may_train", "ask")
    return frozenset(rater for rater in of.raters if said.get(rater, usual) == "yes")


def read_names(folder: RoundDir) -> dict[str, str]:
    """Return keyed digest of a name → pseudonym, as earlier files taught.

    Raises:
        Damaged: The file cannot be read.
    """
    if not folder.names.exists():
        return {}
    try:
        return dict(json.loads(folder.names.read_bytes()))
    except (OSError, ValueError) as error:
        msg = f"{folder.names} cannot be read ({error}): expected digests of names; remove it"
        raise Damaged(f"{msg}, and say who is who with --rater") from error


def content_of(path: Path) -> FileContent:
    """Return a file's bytes under the name that the user gave.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return FileContent(str(path), path.read_bytes())
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); expected a file that a rater returned"
        raise DataError(f"{msg}; correct the path") from error
