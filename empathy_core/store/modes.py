"""Who may read what is written: its owner alone, or the group of a folder that is shared.

A folder is shared if it is setgid and its group may write to it (``chmod g+rwxs``). What is made
in it is its group's too, whatever the umask is, and shared in its turn. Others never read it.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

MODE_DIR, MODE_FILE = 0o700, 0o600
"""The text is sensitive: only its owner reads it."""

SHARED_DIR, SHARED_FILE = 0o2770, 0o660
"""Where the folder above is shared: its owner and its group read and write it."""


def is_shared(folder: Path) -> bool:
    """Tell whether a folder, or the nearest above it that is there, belongs to a group."""
    for place in (folder, *folder.parents):
        with suppress(OSError):
            mode = place.stat().st_mode
            return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)
    return False


def file_mode(path: Path) -> int:
    """Return the mode of a new file."""
    return SHARED_FILE if is_shared(path.parent) else MODE_FILE


def umask_in(folder: Path) -> int:
    """Return the umask of processes that write to *folder*: it bounds what libraries make there."""
    return 0o007 if is_shared(folder) else 0o077


def set_mode(path: Path) -> None:
    """Give a file or folder that a library has made the mode of our own."""
    shared = is_shared(path.parent)
    if path.is_dir():
        path.chmod(SHARED_DIR if shared else MODE_DIR)
    else:
        path.chmod(SHARED_FILE if shared else MODE_FILE)


def open_file(path: Path, flags: int) -> int:
    """Return a descriptor of a file; what is new gets its mode, whatever the umask is."""
    shared = is_shared(path.parent)
    descriptor = os.open(path, flags | os.O_CREAT, SHARED_FILE if shared else MODE_FILE)
    if shared:
        with suppress(PermissionError):  # another's file, which has its mode
            os.fchmod(descriptor, SHARED_FILE)
    return descriptor
