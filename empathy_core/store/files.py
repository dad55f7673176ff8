"""Files that appear whole or not at all, readable by their owner only."""

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empathy_core.errors import Damaged, StorageError

MODE_DIR, MODE_FILE = 0o700, 0o600
"""The text is sensitive: only its owner reads it."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk and a forbidden place into a ``StorageError`` that names *path*."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            msg = (
                f"no space left while writing {path}: nothing that was finished is lost; "
                "free some space or raise the quota, then run the same command again"
            )
            raise StorageError(msg) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            msg = f"cannot write {path}: {error.strerror}; choose another place with --runs"
            raise StorageError(msg) from error
        raise


def make_dir(path: Path) -> Path:
    """Create *path* and its missing parents, readable by the owner only, and return it."""
    with disk_errors(path):
        missing = [path, *path.parents]
        for folder in reversed([p for p in missing if not p.is_dir()]):
            folder.mkdir(mode=MODE_DIR, exist_ok=True)  # parents=True would forget the mode
    return path


def write_bytes(data: bytes, path: Path) -> None:
    """Write *data* so that *path* appears whole or not at all.

    The temporary file stands beside *path*, since a rename is atomic only within one file
    system; file and folder are flushed, so that a power cut cannot leave an empty name.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    make_dir(path.parent)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with disk_errors(path):
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE_FILE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_dir(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(value: object, path: Path) -> None:
    """Write *value* as indented JSON with sorted keys, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes((text + "\n").encode(), path)


def read_json(path: Path) -> Any:
    """Return the value in *path*.

    Raises:
        Damaged: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}): expected JSON written by sweep; run sweep again"
        raise Damaged(msg) from error
