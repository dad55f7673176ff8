"""Journals: what an attempt has finished so far, a line a block, or a line a row of a server's."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empathy_core.store.files import disk_errors, make_dir, write_line
from empathy_core.store.modes import open_file

FLUSH_S = 1.0
"""Rows of a server are flushed to the disk in groups: each is in the file at once, where a kill
leaves it, and a power cut takes what came within so many seconds."""


class Journal:
    """An append-only log of what is finished, written by one attempt at one shard.

    A line counts once it ends in a newline and its digest agrees, so a line torn by a kill or a
    power cut is as if it had never been.
    """

    def __init__(self, path: Path) -> None:
        make_dir(path.parent)
        with disk_errors(path):
            self._descriptor = open_file(path, os.O_WRONLY | os.O_APPEND)
        self.path = path
        self._flushed = time.monotonic()

    def append(
        self,
        block: int,
        rows: Sequence[Mapping[str, object]],
        seconds: float,
        version: int | None = None,
    ) -> None:
        """Add a finished block and the time it took, and flush it to the disk.

        Args:
            block: Its number.
            rows: Its rows.
            seconds: What it took.
            version: See ``JournalBlock``.
        """
        with disk_errors(self.path):
            self._write(f'"block":{block},"seconds":{seconds:.3f}', version, rows)
            os.fsync(self._descriptor)

    def append_row(self, row: Mapping[str, object], version: int | None = None) -> None:
        """Add one finished row, of whatever block; see ``FLUSH_S``.

        Args:
            row: The row, ``example`` and ``sample`` in it.
            version: See ``JournalBlock``.
        """
        with disk_errors(self.path):
            self._write('"of":"row"', version, [row])
            if time.monotonic() - self._flushed >= FLUSH_S:
                os.fsync(self._descriptor)
                self._flushed = time.monotonic()

    def _write(self, head: str, version: int | None, rows: Sequence[Mapping[str, object]]) -> None:
        body = json.dumps(rows, ensure_ascii=False)
        check = hashlib.sha256(body.encode()).hexdigest()[:16]
        made_by = "" if version is None else f',"version":{version}'
        line = f'{{{head},"check":"{check}"{made_by},"rows":{body}}}\n'
        write_line(self._descriptor, line.encode(), self.path)

    def close(self, *, delete: bool = False) -> None:
        """Close the journal; *delete* it where its rows stand in a piece."""
        with suppress(OSError):  # a full disk was told when a row was written
            os.fsync(self._descriptor)
        os.close(self._descriptor)
        if delete:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class JournalBlock:
    """One finished block of a journal.

    Attributes:
        seconds: What it took.
        version: Of the generation code, where it is not the one that the condition is of.
    """

    rows: list[dict[str, Any]]
    seconds: float
    version: int | None = None


def read_journal(path: Path) -> dict[int, JournalBlock]:
    """Return block → what was finished, of every line that is whole; a torn line is skipped."""
    found: dict[int, JournalBlock] = {}
    for entry in _entries(path):
        if "block" in entry:
            done = JournalBlock(entry["rows"], entry["seconds"], entry.get("version"))
            found.setdefault(entry["block"], done)
    return found


RowKey = tuple[str, int]
"""Example and sample."""


def read_journal_rows(path: Path) -> dict[RowKey, tuple[dict[str, Any], int | None]]:
    """Return (example, sample) → the row, and the version of the code that made it.

    Of lines that are whole and hold one row; see ``Journal.append_row``.
    """
    found: dict[RowKey, tuple[dict[str, Any], int | None]] = {}
    for entry in _entries(path):
        if entry.get("of") == "row":
            row = entry["rows"][0]
            found.setdefault((row["example"], row["sample"]), (row, entry.get("version")))
    return found


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines that are whole and whose digest agrees."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # another copy of this element finished and removed it
        return
    for line in data.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            body = json.dumps(entry["rows"], ensure_ascii=False)
            if hashlib.sha256(body.encode()).hexdigest()[:16] == entry["check"]:
                yield entry
        except (ValueError, KeyError, TypeError):
            continue
