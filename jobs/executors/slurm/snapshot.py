"""The suite as it is now, copied into the run: an edit cannot change what waits in the queue."""

import hashlib
import importlib.util
import py_compile
import shutil
import sys
from pathlib import Path

from empathy_core import store
from empathy_core.store import RunDir
from jobs import PACKAGES

SOURCE = Path(__file__).resolve().parents[3]
UNCHECKED = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
"""How compiled code begins that is taken without a look at its source (PEP 552)."""


def snapshot(run: RunDir) -> Path:
    """Return a folder of the run that holds today's code, compiled; made once for equal code."""
    files = [path for package in PACKAGES for path in _files(SOURCE / package)]
    sha = hashlib.sha256()
    for path in files:
        sha.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    target = run.code(sha.hexdigest()[:12])
    if target.is_dir():
        return target
    with store.disk_errors(target), store.whole_folder(target) as partial:
        for path in files:
            copy = partial / path.relative_to(SOURCE)
            store.make_dir(copy.parent)
            shutil.copyfile(path, copy)
            store.set_mode(copy)
            if copy.suffix == ".py":
                _compile(path, copy)
    return target


def _compile(source: Path, copy: Path) -> None:
    """Compile a file that will not change, so that a thousand array tasks need not."""
    folder = store.make_dir(copy.parent / "__pycache__")
    # named here: PYTHONPYCACHEPREFIX of the launcher's names a place where array tasks do not look
    compiled = folder / f"{copy.stem}.{sys.implementation.cache_tag}.pyc"
    known = _compiled_already(source)
    if known is not None:
        compiled.write_bytes(UNCHECKED + importlib.util.source_hash(copy.read_bytes()) + known)
    elif not py_compile.compile(
        str(copy), str(compiled), quiet=2,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    ):  # fmt: skip
        return
    store.set_mode(compiled)


def _compiled_already(source: Path) -> bytes | None:
    """Return the code that the interpreter keeps of *source* in its cache; null without it.

    It is held to be of this source by the time and length that the cache names, as the interpreter
    itself does, and if it is newer: an edit within the same second is seen then. The
    interpreter puts the name of the copy into it when it is imported.
    """
    cached = Path(importlib.util.cache_from_source(str(source)))
    try:
        written, code, found = source.stat(), cached.read_bytes(), cached.stat()
    except OSError:
        return None
    of_this = (int(written.st_mtime), written.st_size)
    named = tuple(int.from_bytes(part, "little") for part in (code[8:12], code[12:16]))
    is_checked = code[:8] == importlib.util.MAGIC_NUMBER + bytes(4)
    if not is_checked or named != of_this or found.st_mtime_ns <= written.st_mtime_ns:
        return None
    return code[16:]


def _files(package: Path) -> list[Path]:
    """Return the files that a package consists of, without caches and the simulated cluster."""
    left_out = {"__pycache__", "sim"}
    return sorted(
        path
        for path in package.rglob("*")
        if path.is_file() and not left_out & set(path.relative_to(package).parts)
    )
