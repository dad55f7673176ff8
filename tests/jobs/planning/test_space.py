"""Room for what is to be written, asked before anything is submitted."""

import os
from pathlib import Path

import pytest

from jobs.planning.plan import Task
from jobs.planning.space import Space, free, lacking, needed
from tests.jobs.planning.test_plan import a_plan


def test_each_shard_needs_a_log_and_two_files_a_condition():
    """Two conditions and one metric: four shards of answers, one of scores, the report."""
    tasks = [Task("generate", "m", i, 4) for i in range(4)]
    tasks += [Task("score", "lexical", 0, 1), Task("report", "report", 0, 1)]

    assert needed(a_plan(), tasks, 1_000) == Space(4 * (1 + 2 * 2) + (1 + 2) + 1, 4_096_000)


def test_too_few_files_or_bytes_are_said_with_what_to_do():
    """A file system that counts no files has room for any number."""
    wanted = Space(24, 3 * 2**30)

    assert lacking(Path("r"), wanted, Space(24, 3 * 2**30)) == []
    assert lacking(Path("r"), wanted, Space(None, 3 * 2**30)) == []
    [files] = lacking(Path("r"), wanted, Space(23, 2**40))
    [room] = lacking(Path("r"), wanted, Space(None, 2**30))
    assert "room for 23 more files, and about 24 will be written: free some, use fewer" in files
    assert "1.00 GB free, and up to 3.00 GB will be written" in room


def test_the_file_system_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is left to a user, not to root; 0 files in all means that none are counted."""
    real = os.statvfs(tmp_path)
    assert free(tmp_path).bytes_ == pytest.approx(real.f_bavail * real.f_frsize, rel=0.2)
    fields = (4096, 512, 1000, 500, 400, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))

    assert free(tmp_path) == Space(None, 400 * 512)
