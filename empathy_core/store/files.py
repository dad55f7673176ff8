"""Files that appear whole or not at all, readable by their owner only, or by a shared group."""

import errno
import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from empathy_core.errors import Damaged, StorageError
from empathy_core.store.modes import MODE_DIR, MODE_FILE, SHARED_DIR, is_shared, open_file

PARTIAL = ".tmp"
"""How the name of a file ends that is not yet whole."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk and a place that cannot be written into a ``StorageError`` of *path*."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            msg = (
                f"no space left while writing {path}: nothing that was finished is lost; "
                "free some space or raise the quota, then run the same command again"
            )
            raise StorageError(msg) from error
        if error.errno in _NO_PLACE:
            raise StorageError(_unwritable(path, error)) from error
        raise


_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP)
"""A file, or a link to nothing, stands where a folder must be."""

_NO_PLACE = (
    *_IN_THE_WAY, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG, errno.EINVAL,
)  # fmt: skip


def _unwritable(path: Path, error: OSError) -> str:
    obstacle = _obstacle(path) if error.errno in _IN_THE_WAY else ""
    return (
        f"cannot write {path}: {obstacle or error.strerror}; expected a folder that you may write "
        "to, or a path where one can be made: choose another place with --runs"
    )


def _obstacle(path: Path) -> str:
    """Return what stands where a folder of *path* must be; empty if nothing does."""
    with suppress(OSError):  # a name that is too long
        for folder in reversed([path, *path.parents]):
            if folder.is_symlink() and not folder.exists():
                return f"{folder} is a link to a path that is not there"
            if folder.exists() and not folder.is_dir():
                return f"{folder} is not a folder"
    return ""


def make_dir(path: Path) -> Path:
    """Create *path* and its missing parents, readable as `modes` tells, and return it."""
    with disk_errors(path):
        missing = [path, *path.parents]
        for folder in reversed([p for p in missing if not p.is_dir()]):
            try:
                _make_one(folder)  # parents=True would forget the mode
            except FileNotFoundError as error:  # its parent is there, but takes no folders: /proc
                raise StorageError(_unwritable(folder, error)) from error
    return path


def _make_one(folder: Path) -> None:
    shared = is_shared(folder.parent)
    folder.mkdir(mode=MODE_DIR, exist_ok=True)
    if shared:
        with suppress(PermissionError):  # another has made it in the meantime
            folder.chmod(SHARED_DIR)


def write_bytes(data: bytes | memoryview, path: Path, *, private: bool = False) -> None:
    """Write *data* so that *path* appears whole or not at all.

    The temporary file stands beside *path*, since a rename is atomic only within one file
    system; file and folder are flushed, so that a power cut cannot leave an empty name.

    Args:
        data: What it holds.
        path: Where.
        private: Only its owner reads it, even in a folder that a group shares.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    write_through(lambda file: file.write(data), path, private=private)


def write_through(
    write: Callable[[BinaryIO], object], path: Path, *, private: bool = False
) -> None:
    """Do what ``write_bytes`` does with what *write* writes; it may be called a second time.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    make_dir(path.parent)
    with disk_errors(path):
        try:
            _write_whole(write, path, private=private)
        except FileNotFoundError:  # remove_leftovers took it in the instant before its lock
            _write_whole(write, path, private=private)


def _write_whole(write: Callable[[BinaryIO], object], path: Path, *, private: bool) -> None:
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    try:
        descriptor = open_file(partial, os.O_WRONLY | os.O_EXCL)
        with os.fdopen(descriptor, "wb") as file:
            _lock(file.fileno())
            if private:
                os.fchmod(file.fileno(), MODE_FILE)
            write(file)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
        sync_dir(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    """Take a lock that ends with the process; False if another has it or there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_leftovers(root: Path) -> list[Path]:
    """Remove the temporary files that killed writers left under *root*, and return them.

    A file that is being written is locked by its writer, and stays.
    """
    found = [
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.startswith(".") and name.endswith(PARTIAL)
    ]
    removed = []
    for partial in found:
        try:
            descriptor = os.open(partial, os.O_RDWR)  # over NFS only a writer may lock
        except OSError:  # its writer has just renamed it, or it is somebody else's
            continue
        try:
            if _lock(descriptor):
                partial.unlink(missing_ok=True)
                removed.append(partial)
        finally:
            os.close(descriptor)
    return removed


def sync_dir(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_json_line(value: Mapping[str, object], path: Path, *, flush: bool) -> None:
    """Add *value* to *path* as one line of JSON, in one write.

    Args:
        value: One object.
        path: Created where it is not there.
        flush: Waits until the line is on the disk, and puts an empty line before it, so that a
            line that a power cut has torn cannot take this one along.

    Raises:
        StorageError: The disk is full or the place cannot be written.
    """
    line = json.dumps(value, ensure_ascii=False) + "\n"
    make_dir(path.parent)
    with disk_errors(path):
        descriptor = open_file(path, os.O_WRONLY | os.O_APPEND)
        try:
            write_line(descriptor, f"\n{line}".encode() if flush else line.encode(), path)
            if flush:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def json_lines(text: str) -> list[str]:
    """Return the lines of a text of JSON lines, without empty ones.

    A line ends in a line feed alone: a string of JSON may hold U+2028, U+0085 and other characters
    at which ``str.splitlines`` would part it.
    """
    return [line for line in text.split("\n") if line.strip()]


def write_line(descriptor: int, line: bytes, path: Path) -> None:
    """Write *line* in one go; a nearly full disk, which takes a part of it, raises ENOSPC."""
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


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
