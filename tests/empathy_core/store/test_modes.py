"""Who may read what is written: the owner alone, or the group of a shared folder."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from empathy_core.store import (
    Journal,
    RunDir,
    append_json_line,
    make_dir,
    set_mode,
    whole_folder,
    write_bytes,
)
from empathy_core.store.modes import umask_in


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def written(root: Path) -> tuple[set[int], set[int]]:
    """Write in all ways below *root*, and return the modes of its folders and files."""
    run = RunDir(root / "runs" / "echo")
    with run.lock(), run.task_lock("task"):
        write_bytes(b"1", run.root / "plans" / "0001.json")
    append_json_line({"job": 1}, run.jobs, flush=True)
    Journal(run.journal("c", 0, 1, "a")).close()
    with whole_folder(run.report) as made:
        write_bytes(b"1", made / "index.html")
    library = make_dir(run.root / "library") / "sub"
    library.mkdir()
    (library / "file").write_text("1")
    for path in (library, library / "file"):
        set_mode(path)
    paths = list(root.rglob("*"))
    folders = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()}
    return folders, {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o755, 0o775, 0o2755])
def test_what_is_not_shared_is_its_owners_alone(tmp_path: Path, mask: int, mode: int):
    """Neither the umask nor a folder that is setgid or writable alone opens anything."""
    tmp_path.chmod(mode)
    with umask(mask):
        folders, files = written(tmp_path)

    assert {folder & 0o777 for folder in folders} == {0o700}
    assert files == {0o600}
    assert umask_in(tmp_path / "not" / "there") == 0o077


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_is_shared_is_its_groups(tmp_path: Path, mask: int):
    """A folder that is setgid and that its group may write to hands both on; others see nothing."""
    tmp_path.chmod(0o2770)
    with umask(mask):
        folders, files = written(tmp_path)

    assert folders == {0o2770}
    assert files == {0o660}
    assert umask_in(tmp_path / "not" / "there") == 0o007
