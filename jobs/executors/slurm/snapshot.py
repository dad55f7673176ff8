"""The suite as it is now, copied into the run: an edit cannot change what waits in the queue."""

import hashlib
import py_compile
import shutil
import sys
from pathlib import Path

from empathy_core import store
from empathy_core.store import RunDir
from jobs import PACKAGES

SOURCE = Path(__file__).resolve().parents[3]


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
                _compile(copy)
    return target


def _compile(copy: Path) -> None:
    """Compile a file that will not change, so that a thousand array tasks need not."""
    folder = store.make_dir(copy.parent / "__pycache__")
    # named here: PYTHONPYCACHEPREFIX of the launcher's names a place where array tasks do not look
    compiled = folder / f"{copy.stem}.{sys.implementation.cache_tag}.pyc"
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if py_compile.compile(str(copy), str(compiled), quiet=2, invalidation_mode=unchecked):
        store.set_mode(compiled)


def _files(package: Path) -> list[Path]:
    """Return the files that a package consists of, without caches and the simulated cluster."""
    left_out = {"__pycache__", "sim"}
    return sorted(
        path
        for path in package.rglob("*")
        if path.is_file() and not left_out & set(path.relative_to(package).parts)
    )
