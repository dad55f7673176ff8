"""A user's file of labelled replies: read, checked, counted. Nothing of it is guessed."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from empathy_core.counted import counted
from empathy_core.data import files, reading
from empathy_core.data.normal import normalised
from empathy_core.data.specs import MISSING, Source, TextLayout
from empathy_core.errors import DataError
from empathy_core.visible import as_read

LEAST_PAIRS = 10
"""Pairs that each level must have, to train on and to measure agreement with."""
UNLABELLED = -1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """Where labelled replies are, and which columns are read.

    Attributes:
        where: Dotted name of the table that says so.
        context: Columns that together are the question, as of a ``Source``.
        labels: Columns with a level each; an empty cell is no label.
        group: Rows with the same value here are of one fold; null: rows of the same question.
        levels: From least to most, as ``canonical`` spells them.
    """

    path: str
    where: str
    context: tuple[str, ...]
    response: str
    labels: tuple[str, ...]
    group: str | None
    levels: tuple[str, ...]
    layout: TextLayout

    @property
    def source(self) -> Source:
        """The file as the readers of data know it."""
        kept = (*self.labels, *((self.group,) if self.group else ()))
        return Source(
            "classifier", path=self.path, context=self.context, response=self.response,
            keep=kept, layout=self.layout, told_as=self.where,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPairs:
    """The distinct pairs of a question and a reply that have a label.

    Attributes:
        groups: What a pair's fold is told by.
        levels: Number of each label's level from 0, ``UNLABELLED`` where there is none: shape
            (pairs, labels).
        digest: SHA-256 of the file.
        dropped: Reason → rows that are left out.
        conflicts: Of each label the pairs that have several levels, and thus none here.
    """

    questions: tuple[str, ...]
    replies: tuple[str, ...]
    groups: tuple[str, ...]
    levels: np.ndarray
    digest: str
    dropped: Mapping[str, int]
    conflicts: tuple[int, ...]

    def counts(self, n_levels: int) -> list[list[int]]:
        """Return of each label how many pairs have each level."""
        return [np.bincount(of[of >= 0], minlength=n_levels).tolist() for of in self.levels.T]


def canonical(value: str | int | None) -> str:
    """Return a level as it is compared: 1, ``1`` and ``1.0`` are one; empty if there is none."""
    text = "" if value is None else str(value).strip()
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def read(of: LabelledFile, n_folds: int) -> LabelledPairs:
    """Return the labelled pairs, which are remembered as long as the file is not changed.

    Raises:
        ConfigError: The columns contradict each other.
        DataError: The file cannot be read, lacks a column, holds a level that is not known, or too
            few pairs of one.
    """
    path = Path(of.path).expanduser()
    try:
        state = path.stat()
    except OSError as error:
        raise files.unreadable(path, error) from error
    return _read(of, n_folds, (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=4)
def _read(of: LabelledFile, n_folds: int, state: tuple[int, int]) -> LabelledPairs:  # noqa: ARG001
    raw = reading.read(of.source)
    dropped = Counter(raw.dropped)
    found: dict[tuple[str, str], list[set[int]]] = {}
    groups: dict[tuple[str, str], str] = {}
    for row in raw.rows:
        levels = [_level(of, row, i) for i in range(len(of.labels))]
        pair = (as_read(row.context or "").strip(), as_read(row.response or "").strip())
        if reason := _why_left_out(pair, levels):
            dropped[reason] += 1
            continue
        dropped["repeated pair"] += pair in found
        group = row.kept[-1] if of.group else None
        groups.setdefault(pair, group or normalised(pair[0]))
        for known, level in zip(
            found.setdefault(pair, [set() for _ in of.labels]), levels, strict=True
        ):
            known.update({level} - {UNLABELLED})
    pairs = _merged(found, groups, len(of.labels), str(raw.content["sha256"]), +dropped)
    _require_enough(of, pairs, n_folds)
    _say(of, pairs)
    return pairs


def _why_left_out(pair: tuple[str, str], levels: Sequence[int]) -> str:
    if not all(pair):
        return "nothing visible in question or reply"
    return "no label" if set(levels) == {UNLABELLED} else ""


def _level(of: LabelledFile, row: reading.RawRow, place: int) -> int:
    """Return a level's number; a word for a missing value is none unless it names a level."""
    level = canonical(row.kept[place])
    if level in of.levels:
        return of.levels.index(level)
    if not level or level.casefold() in MISSING:
        return UNLABELLED
    raise DataError(
        f"{of.path}, {row.place}: column '{of.labels[place]}' holds the level '{level}': expected "
        f"one of {', '.join(of.levels)}; correct the file, or set {of.where}.levels"
    )


def _merged(
    found: Mapping[tuple[str, str], Sequence[set[int]]],
    groups: Mapping[tuple[str, str], str],
    n_labels: int,
    digest: str,
    dropped: Mapping[str, int],
) -> LabelledPairs:
    """Return the pairs; of a label of which a pair has several levels it has none."""
    levels = np.full((len(found), n_labels), UNLABELLED)
    conflicts = [0] * n_labels
    for i, several in enumerate(found.values()):
        for j, known in enumerate(several):
            conflicts[j] += len(known) > 1
            if len(known) == 1:
                (levels[i, j],) = known
    return LabelledPairs(
        tuple(question for question, _ in found), tuple(reply for _, reply in found),
        tuple(groups[pair] for pair in found), levels, digest, dropped, tuple(conflicts),
    )  # fmt: skip


def _require_enough(of: LabelledFile, pairs: LabelledPairs, n_folds: int) -> None:
    """Refuse labels that cannot be trained on, or whose agreement cannot be measured."""
    problems = []
    for name, levels, counts in zip(
        of.labels, pairs.levels.T, pairs.counts(len(of.levels)), strict=True
    ):
        there = [level for level, n in zip(of.levels, counts, strict=True) if n]
        if len(there) < 2:
            said = f"the one level {there[0]}" if there else "no level"
            problems.append(f"'{name}' has {said} in all rows, expected two or more")
            continue
        for i, (level, n) in enumerate(zip(of.levels, counts, strict=True)):
            n_groups = len({pairs.groups[k] for k in np.flatnonzero(levels == i)})
            if n < LEAST_PAIRS or n_groups < n_folds:
                problems.append(
                    f"level {level} of '{name}' has {counted(n, 'pair')} of "
                    f"{counted(n_groups, 'group')}, expected {LEAST_PAIRS} of {n_folds} at least"
                )
    if problems:
        lost = "".join(f"; {said}" for said in _left_out(of, pairs))
        raise DataError(
            f"{of.path} has too few labels: {'; '.join(problems)}{lost}. Label more replies, or "
            f"leave a label or level out of {of.where}.labels and {of.where}.levels (one table has "
            "one scale for all of its labels)"
        )


def _say(of: LabelledFile, pairs: LabelledPairs) -> None:
    for said in _left_out(of, pairs):
        log.warning("%s: %s", of.path, said)


def _left_out(of: LabelledFile, pairs: LabelledPairs) -> Iterator[str]:
    """Yield which rows and labels do not count, and why."""
    for reason, n in pairs.dropped.items():
        yield f"{counted(n, 'row')} left out: {reason}"
    for name, n in zip(of.labels, pairs.conflicts, strict=True):
        if n:
            yield f"{counted(n, 'pair')} with several levels of '{name}', left out of it"
