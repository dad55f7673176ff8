"""How much may still be written to a folder: of its file system, and under quotas.

Quotas of a user and of the folder's group are what the site's programs tell.
``lfs quota`` (Lustre) and ``quota`` (ext4, XFS, NFS) print the same columns: the file system, then
used, soft limit, hard limit and grace of kilobytes, then the same four of files; ``*`` marks what
is over its soft limit, and a limit of 0 is none.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WAIT_S = 5
"""How long a program may take to answer: a file server that hangs must not stop a sweep."""

_COLUMNS = 8


@dataclass(frozen=True)
class Space:
    """What may be written, or will be.

    Attributes:
        files: Files and folders; null where nothing sets a number.
        bytes_: Of 8 bits; null likewise.
    """

    files: int | None
    bytes_: int | None


def room(folder: Path) -> Space:
    """Return what may still be written to *folder*: the least under all that limits it."""
    every = [on_file_system(folder), *read_quotas(folder)]
    files = [each.files for each in every if each.files is not None]
    bytes_ = [each.bytes_ for each in every if each.bytes_ is not None]
    return Space(min(files, default=None), min(bytes_, default=None))


def on_file_system(folder: Path) -> Space:
    """Return what is left on the file system of *folder*."""
    found = os.statvfs(folder)
    files = found.f_favail if found.f_files else None
    return Space(files, found.f_bavail * found.f_frsize)


def read_quotas(folder: Path) -> list[Space]:
    """Return what is left under each quota that holds for *folder*; empty where nobody knows."""
    found = []
    for command in _commands(folder):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=WAIT_S, check=False
            )
        except (OSError, subprocess.SubprocessError):
            continue
        # quota ends with 1 where something is over its limit
        found += parse_quotas(done.stdout)
    return found


def _commands(folder: Path) -> Iterator[list[str]]:
    for kind, number in (("-u", os.getuid()), ("-g", folder.stat().st_gid)):
        if shutil.which("lfs"):
            yield ["lfs", "quota", "-q", kind, str(number), str(folder)]
        if shutil.which("quota"):
            yield ["quota", "-w", "-p", "-Q", f"--filesystem={folder}", kind, f"#{number}"]


def parse_quotas(text: str) -> list[Space]:
    """PURE: return what is left on each file system of an output; without limits nothing is."""
    words = [word for word in text.split() if not word.startswith("[")]
    found, at = [], 0
    while at < len(words):
        row = words[at + 1 : at + 1 + _COLUMNS]  # of long names the rest stands on the next line
        if len(row) == _COLUMNS and all(map(_is_number, [*row[:3], *row[4:7]])):
            found.append(Space(_left(*row[4:7]), _kilobytes(_left(*row[:3]))))
            at += _COLUMNS
        at += 1
    return [space for space in found if space != Space(None, None)]


def _is_number(word: str) -> bool:
    return word.rstrip("*").isdigit()


def _left(used: str, soft: str, hard: str) -> int | None:
    """Return what may still be written, up to the limit that nobody gets beyond; null: no limit."""
    most = int(hard.rstrip("*")) or int(soft.rstrip("*"))
    return max(0, most - int(used.rstrip("*"))) if most else None


def _kilobytes(number: int | None) -> int | None:
    return None if number is None else number * 1024
