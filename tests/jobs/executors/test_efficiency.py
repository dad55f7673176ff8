"""What was used against what was asked for: the accounting's lines, waste, what would fit."""

from pathlib import Path

import pytest

from jobs.executors.slurm.efficiency import (
    TaskUse,
    fits_memory,
    fits_time,
    measure,
    proposals,
    summarized,
)
from jobs.executors.slurm.inspect import ArrayTask
from jobs.executors.slurm.submissions import Submission
from slurm import durations
from slurm.usage import Usage, megabytes, parse_usage

SACCT = """\
7_0|TIMEOUT|3600|01:10:00|2|||2026-11-29T09:00:00
7_0.batch|CANCELLED|3601|01:10:00|2|4194304K|cpu=01:10:00,gres/gpumem=30G,gres/gpuutil=88|2026-11-29T09:00:00
7_0|COMPLETED|1800|00:20:30.500|2|||2026-11-29T10:00:00
7_0.batch|COMPLETED|1800|00:20:30.500|2|2G|cpu=00:20:30|2026-11-29T10:00:00
7_0.extern|COMPLETED|1800|00:00.001|2|1M||2026-11-29T10:00:00
7_1|CANCELLED by 0|5|00:00:00|2|||2026-11-29T09:00:00
7_2|RUNNING|50|00:00:00|2|||2026-11-29T09:00:00
7_[3-9]|PENDING|0|00:00:00|0|||2026-11-29T09:00:00
8_0|COMPLETED|99|00:00:09|1|||2020-01-01T00:00:00
8_0.batch|COMPLETED|99|00:00:09|1|9G||2020-01-01T00:00:00
"""
SINCE = {"7": durations.since_1970("2026-11-29T08:59:00"), "8": 1_700_000_000}
SUBMISSION = Submission(
    "0001-generate-m", "generate", "m", 2, ((0,), (1,)), "0001.json", (),
    asked={"gpus": 2, "mem_gb": 8.0, "time_min": 60}, job="7",
)  # fmt: skip


def event(name: str, at: int, more: str = "") -> str:
    """Return a line of a log."""
    return f'event: {{"event": "{name}", "at": {at}{more}}}\n'


def test_each_attempt_has_what_its_steps_used_and_no_other_job_of_that_number():
    """Requeued attempts stay apart; what runs, waits, or was submitted before is left out."""
    assert parse_usage(SACCT, SINCE) == [
        Usage("7", 0, "TIMEOUT", 3600, 4200.0, 2, 4096.0, 88.0, 30720.0),
        Usage("7", 0, "COMPLETED", 1800, 1230.5, 2, 2048.0, None, None),
        Usage("7", 1, "CANCELLED", 5, 0.0, 2),
    ]


@pytest.mark.parametrize(
    ("text", "mb"), [("1048576", 1.0), ("512K", 0.5), ("1.5G", 1536.0), ("", None), ("0", 0.0)]
)
def test_sizes_without_a_unit_are_bytes(text: str, mb: float | None):
    """As sacct writes them."""
    assert megabytes(text) == mb


def test_an_attempt_that_finished_no_block_is_wasted(tmp_path: Path):
    """Two GPUs: an hour that finished nothing, then half an hour that did."""
    log = tmp_path / "0.log"
    log.write_text(
        event("started", 1000, ', "node": "c1"')
        + event("started", 5000, ', "node": "c1"')
        + event("advanced", 5100)
        + event("ended", 6800, ', "code": 0')
    )
    rows = [row for row in parse_usage(SACCT, SINCE) if row.index == 0]
    read = measure(ArrayTask(SUBMISSION, 0, log), rows, now=9000)
    line = summarized([read], (None, None), "models.m.slurm")

    assert read.attempts == [(3600.0, False), (1800.0, True)]
    assert (line.gpu_h_used, line.gpu_h_wasted) == (3.0, 2.0)
    assert (line.min_used, line.fits_min) == (90.0, 115)
    assert (line.mem_gb_used, line.fits_mem_gb) == (4.0, 5.0)
    assert line.cpu_share == round((4200 + 1230.5) / (2 * 5400), 3)
    assert (line.gpu_share, line.gpu_gb_used) == (0.44, 30.0)
    assert proposals([line]) == {"models.m.slurm": {"mem_gb": 5.0, "time_min": 115}}


def test_without_accounting_times_and_peaks_are_the_processes_own(tmp_path: Path):
    """What runs has finished what it has; nobody measured processors."""
    log = tmp_path / "0.log"
    log.write_text(event("started", 1000) + event("advanced", 1200))
    read = measure(ArrayTask(SUBMISSION, 0, log, "RUNNING"), (), now=2800)
    line = summarized([read], (1536.0, 2048.0), "models.m.slurm")

    assert read.attempts == [(1800.0, True)]
    assert (line.mem_gb_used, line.gpu_gb_used, line.cpu_share) == (1.5, 2.0, None)


def test_what_ran_out_of_memory_needs_more_than_it_had():
    """However little of it the accounting has seen."""
    short = TaskUse(ArrayTask(SUBMISSION, 0, Path("0.log")), [(60.0, False)], ["out of memory"])
    line = summarized([short], (1024.0, None), "models.m.slurm")

    assert line.fits_mem_gb == 12.0
    assert (fits_memory(None), fits_memory(0.09), fits_memory(10.0, 8.0)) == (None, 0.2, 13.0)
    assert (fits_time(0.0), fits_time(40.0), fits_time(1.0, 60)) == (5, 50, 90)


def test_a_table_that_several_share_fits_the_largest():
    """All score groups stand under one."""
    lines = [
        summarized(
            [TaskUse(ArrayTask(SUBMISSION, 0, Path("0.log")), [(seconds, True)], ["done"])],
            (mb, None),
            "slurm.score",
        )
        for seconds, mb in ((600.0, 4096.0), (6000.0, 1024.0))
    ]

    assert proposals(lines) == {"slurm.score": {"mem_gb": 5.0, "time_min": 125}}
