"""Room for what is to be written, asked before anything is submitted."""

import os
from pathlib import Path

import pytest

from jobs.planning import quotas
from jobs.planning.plan import Task
from jobs.planning.quotas import Space, on_file_system, parse_quotas, room
from jobs.planning.space import lacking, needed
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
    assert "room for 1.00 GB more, and up to 3.00 GB will be written" in room


def test_the_file_system_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is left to a user, not to root; 0 files in all means that none are counted."""
    real = os.statvfs(tmp_path)
    assert on_file_system(tmp_path).bytes_ == pytest.approx(real.f_bavail * real.f_frsize, rel=0.2)
    fields = (4096, 512, 1000, 500, 400, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))

    assert on_file_system(tmp_path) == Space(None, 400 * 512)


LUSTRE = "/lustre/scratch 1048576  2097152 3145728       -  999900  1000000 1000100       -\n"
WRAPPED = """     /lustre/scratch/of/a/project/with/a/long/name
                1048576* 1000000 3145728 6d23h59m56s  999900  1000000 1000100       -
"""
NFS = """Disk quotas for user someone (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
server:/export/home     200       0       0       0      12     100       0       0
"""


@pytest.mark.parametrize("text", [LUSTRE, WRAPPED])
def test_what_is_left_is_counted_up_to_the_hard_limits(text: str):
    """Two of three GB, and 200 files; what is over a soft limit may still grow."""
    assert parse_quotas(text) == [Space(200, 2 * 2**30)]


def test_a_limit_of_nought_is_none_and_a_soft_limit_alone_counts():
    """Headings are no numbers."""
    assert parse_quotas(NFS) == [Space(88, None)]
    assert parse_quotas("/home 200 0 0 - 12 0 0 -\n") == []
    assert parse_quotas("Permission denied.\n") == []


def test_the_least_of_file_system_and_quotas_is_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The site's program is asked for the user and for the folder's group."""
    program = tmp_path / "lfs"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n'
        'if [ "$3" = -u ]; then echo "/l 10 0 30 - 5 0 0 -"; else echo "/l 0 0 0 - 5 0 9 -"; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    assert room(tmp_path) == Space(4, 20 * 1024)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [
        f"quota -q -u {os.getuid()} {tmp_path}",
        f"quota -q -g {tmp_path.stat().st_gid} {tmp_path}",
    ]


def test_a_file_server_that_hangs_does_not_stop_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = tmp_path / "lfs"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(quotas, "WAIT_S", 0.1)
    monkeypatch.setattr(quotas, "on_file_system", lambda _: Space(7, 8))

    assert room(tmp_path) == Space(7, 8)
