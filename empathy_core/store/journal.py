"""Journals: what an attempt has finished so far, a line a block."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empathy_core.store.files import disk_errors, make_dir, write_line
from empathy_core.store.modes import open_file


class Journal:
    """An append-only log of finished blocks, one line each, written by one attempt at one shard.

    A line counts once it ends in a newline and its digest agrees, so a line torn by a kill or a
    power cut is as if it had never been.
    """

    def __init__(self, path: Path) -> None:
        make_dir(path.parent)
        with disk_errors(path):
            self._descriptor = open_file(path, os.O_WRONLY | os.O_APPEND)
        self.path = path

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
        body = json.dumps(rows, ensure_ascii=False)
        check = hashlib.sha256(body.encode()).hexdigest()[:16]
        head = f'{{"block":{block},"seconds":{seconds:.3f},"check":"{check}"'
        head += "" if version is None else f',"version":{version}'
        line = f'{head},"rows":{body}}}\n'.encode()
        with disk_errors(self.path):
            write_line(self._descriptor, line, self.path)
            os.fsync(self._descriptor)

    def close(self, *, delete: bool = False) -> None:
        """Close the journal; *delete* it where its rows stand in a piece."""
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
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # another copy of this element finished and removed it
        return found
    for line in data.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            body = json.dumps(entry["rows"], ensure_ascii=False)
            if hashlib.sha256(body.encode()).hexdigest()[:16] == entry["check"]:
                done = JournalBlock(entry["rows"], entry["seconds"], entry.get("version"))
                found.setdefault(entry["block"], done)
        except (ValueError, KeyError, TypeError):
            continue
    return found
