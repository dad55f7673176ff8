"""Folders that appear whole or not at all."""

import errno
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from empathy_core.store.files import disk_errors, make_dir

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""Why a folder cannot get a name: something stands there."""


@contextmanager
def whole_folder(final: Path, *, is_whole: Callable[[Path], bool] = Path.is_dir) -> Iterator[Path]:
    """Yield an empty folder beside *final*, which gets that name when the block ends.

    Where the block fails, nothing is left. Where another process has put a whole folder there
    meanwhile, that one stays and this one is dropped; what is there and not whole is renamed away.
    Leftovers of a killed process begin with a dot, and no reader looks at them.

    Args:
        final: The folder's name; its parents are created.
        is_whole: Whether what has the name already is complete.

    Raises:
        StorageError: The place cannot be written. Errors of the block are its own.
    """
    made = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield make_dir(made)
        with disk_errors(final):
            _give_name(made, final, is_whole)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _give_name(made: Path, final: Path, is_whole: Callable[[Path], bool]) -> None:
    try:
        made.rename(final)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        if is_whole(final):
            return
        final.rename(final.with_name(f".{final.name}.torn-{uuid.uuid4().hex[:8]}"))
        made.rename(final)


def replace_folder(made: Path, final: Path, kept: Path | None = None) -> Path:
    """Let *made* take the place of *final*, and return *final*.

    A folder that is not empty cannot be renamed over, so the old one is renamed away first. The
    caller makes sure that nobody else is at work on *final*.

    Args:
        made: On the same file system.
        final: May not be there yet.
        kept: Where the old folder goes, in the place of what is there; null: it is removed.
    """
    old = kept or final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.old")
    with disk_errors(final):
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            final.rename(old)
        made.rename(final)
        if not kept:
            shutil.rmtree(old, ignore_errors=True)
    return final
