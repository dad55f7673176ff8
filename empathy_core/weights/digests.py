"""Digests of files, remembered by path, size and time of change."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from empathy_core.errors import StorageError
from empathy_core.store import write_bytes


def cache_dir() -> Path:
    """Return the folder of converted weights and digests: ``$EMPATHY_CACHE`` or a default."""
    return Path(os.environ.get("EMPATHY_CACHE") or "~/.cache/empathy-suite").expanduser()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, remembered by path, size and time of change.

    Hashing 16 GB takes a minute; a sweep is launched more often than weights change.
    """
    state = path.stat()
    key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
    memo = cache_dir() / "digests" / hashlib.sha256(key.encode()).hexdigest()
    with suppress(OSError):
        known = memo.read_text()
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError, StorageError):  # without a cache it is slower, not wrong
        write_bytes(digest.encode(), memo)
    return digest
