"""What Slurm's commands print, read into values; and what it means when they fail."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm import queue
from slurm.queue import Accounted, JobIdentity, Queued, SlurmError, Unreachable
from slurm.site import DEFAULT_ARRAY, Site, parse_site
from slurm.submit import Taken, parse_answer

Fake = Callable[[str, str], None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Return a maker of commands: a name and the lines of a shell script. No other is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, lines: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)

    return make


def printing(text: str) -> str:
    return f"while read -r line; do echo \"$line\"; done <<'END'\n{text}\nEND"


# ---------------------------------------------------------------------------- squeue


AT = 1_795_919_400  # 2026-11-29T02:30:00Z


def listed(job: str, index: str, state: str, node: str = "", reason: str = "None") -> str:
    """Return a line of squeue."""
    return (
        f"{job}|{index}|{state}|{node}|2026-11-29T02:30:00|run.generate.m.3f2a|ours:3f2a|{reason}"
    )


def test_elements_of_arrays_are_told_apart():
    """Each line is an array task with its state, node and reason."""
    lines = [listed("12", "0", "RUNNING", "c1"), listed("12", "1", "PENDING", reason="Resources")]
    of = {"submitted": AT, "name": "run.generate.m.3f2a", "comment": "ours:3f2a"}

    assert queue.parse_queue("\n".join(lines)) == [
        Queued("12", 0, "RUNNING", "None", "c1", **of),
        Queued("12", 1, "PENDING", "Resources", "", **of),
    ]


def test_a_job_that_is_no_array_has_index_zero():
    """N/A is printed where there is no index."""
    assert queue.parse_queue(listed("14", "N/A", "RUNNING"))[0].index == 0


def test_a_reason_may_hold_the_separator():
    """The reason comes last, and all of it is kept."""
    reason = "(ReqNodeNotAvail, UnavailableNodes:c1|c2)"

    assert queue.parse_queue(listed("12", "3", "PENDING", reason=reason))[0].reason == reason


@pytest.mark.parametrize("text", ["", "\n", "slurm_load_jobs warning\n", "12|3|PENDING\n"])
def test_what_is_no_element_is_passed_over(text: str):
    """Empty output and words between the lines are no array tasks."""
    assert queue.parse_queue(text) == []


def test_just_the_jobs_that_are_asked_for(fake: Fake):
    """One call names the jobs, their user and their cluster, and asks hidden partitions too."""
    line = listed("12", "1", "PENDING")
    fake("squeue", f'case "$*" in *"-a "*"-r -u 1007 -j 12,13 -M far") echo "{line}";; esac')

    assert [row.job for row in queue.list_queued(["13", "12"], 1007, "far")] == ["12"]
    assert queue.list_queued([], 1007) == []


def test_a_job_that_slurm_has_forgotten_is_not_in_the_queue(fake: Fake):
    """Asked for one job only, squeue fails where it does not know it."""
    fake("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")

    assert queue.list_queued(["12"], 1007) == []


@pytest.mark.parametrize(
    "name",
    ["SQUEUE_PARTITION", "SQUEUE_FORMAT", "SACCT_FORMAT", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT",
     "SCANCEL_STATE", "SLURM_JOB_ID"],
)  # fmt: skip
def test_the_users_variables_do_not_change_what_slurm_answers(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, name: str
):
    """Slurm's commands see none of those that filter or format; times are in UTC."""
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "/etc/mine.conf")
    fake("squeue", f'echo "${{{name}-unset}} $TZ $SLURM_CONF"')

    assert queue.ask(["squeue"]) == "unset UTC /etc/mine.conf\n"


OURS = JobIdentity("3f2a", AT, 1007, "science", "12")


@pytest.mark.parametrize(
    ("job", "submitted", "words", "ours"),
    [
        ("12", AT, ("run.m.3f2a", "suite:3f2a:0001"), True),
        ("12", AT, ("run.m.3f2a", "a plug-in's comment"), True),
        ("12", AT, ("renamed", "suite:3f2a:0001"), True),
        ("12", AT + 86400, ("run.m.3f2a", "suite:3f2a:0001"), True),  # requeued
        ("12", 0, ("run.m.3f2a", ""), True),
        ("13", AT, ("run.m.3f2a", "suite:3f2a:0001"), False),
        ("12", AT, ("other", "suite:77aa:0001"), False),  # a reused id
        ("12", AT - 86400, ("run.m.3f2a", "suite:3f2a:0001"), False),
    ],
)
def test_a_job_is_ours_by_its_token_and_its_time(
    job: str, submitted: int, words: tuple[str, ...], ours: bool
):
    """Its id alone says nothing: a database that was made anew counts from one again."""
    assert OURS.matches(job, submitted, *words) is ours


# ---------------------------------------------------------------------------- sacct


def test_attempts_are_read_oldest_first():
    """A requeued array task has a row an attempt, in the order of their starts."""
    text = (
        "12_10|COMPLETED|0:0|c2|30|billing=1,cpu=1,mem=1G,node=1|2026-11-25T11:00:00|2026-11-25T09:00:00\n"
        "12_2|FAILED|0:9|c1|7|cpu=1|2026-11-25T12:00:00|2026-11-25T11:30:00\n"
        "12_2|NODE_FAIL|1:0|c1|60|cpu=1|2026-11-25T10:00:00|2026-11-25T09:00:00\n"
    )

    assert queue.parse_accounting(text) == [
        Accounted("12", 2, "NODE_FAIL", "1:0", "c1", 60, 0, "2026-11-25T10:00:00", 1795597200),
        Accounted("12", 2, "FAILED", "0:9", "c1", 7, 0, "2026-11-25T12:00:00", 1795606200),
        Accounted("12", 10, "COMPLETED", "0:0", "c2", 30, 0, "2026-11-25T11:00:00", 1795597200),
    ]


def test_who_cancelled_is_not_part_of_the_state():
    """CANCELLED by 0 is CANCELLED; what never ran has no seconds."""
    (row,) = queue.parse_accounting("12_3|CANCELLED by 0|0:0|None assigned|||None|")

    assert (row.state, row.elapsed_s, row.gpus) == ("CANCELLED", 0, 0)


@pytest.mark.parametrize("job", ["12_[3-7]", "12_[3,5-7%2]", "12_[3]"])
def test_pending_ranges_are_no_attempts(job: str):
    """Array tasks that have not started are listed together, and are passed over."""
    text = f"{job}|PENDING|0:0|None assigned|0||Unknown|\n12_1|RUNNING|0:0|c1|5||T|"

    assert [row.index for row in queue.parse_accounting(text)] == [1]


@pytest.mark.parametrize(
    ("tres", "gpus"),
    [
        ("billing=4,cpu=4,gres/gpu=2,mem=16G,node=1", 2),
        ("billing=4,cpu=4,gres/gpu:a100=2,gres/gpu=2,mem=16G,node=1", 2),
        ("cpu=4,mem=16G,node=1", 0),
        ("", 0),
    ],
)
def test_gpus_are_counted_once(tres: str, gpus: int):
    """The typed entry repeats the plain one."""
    (row,) = queue.parse_accounting(f"12_3|RUNNING|0:0|c1|5|{tres}|2026-11-25T10:00:00|")

    assert row.gpus == gpus


def test_the_accounting_is_asked_once_for_all_jobs(fake: Fake):
    """All jobs of a user go into one call, from the first submission on; no job, no call."""
    assert queue.list_attempts([]) == []

    asked = '"-u 1007 -S 2026-11-29T02:29:00 -j 12,13 -M science"'
    fake("sacct", f'case "$*" in *{asked}) echo "12_0|FAILED|1:0|c1|5||T|";; esac')
    later = JobIdentity("77aa", AT + 600, 1007, "science", "13")

    assert [row.job for row in queue.list_attempts([later, OURS])] == ["12"]


def test_attempts_of_an_earlier_job_of_the_same_id_are_left_out(fake: Fake):
    """The accounting remembers jobs from before its ids began again."""
    rows = [f"12_{i}|FAILED|1:0|c1|5||T|{at}" for i, at in
            enumerate(("2025-03-01T10:00:00", "2026-11-29T02:30:01"))]  # fmt: skip
    fake("sacct", printing("\n".join(rows)))

    assert [row.index for row in queue.list_attempts([OURS])] == [1]


# ---------------------------------------------------------------------------- sbatch


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("Submitted batch job 12\n", Taken("12")),
        ("Submitted batch job 12 on cluster far\n", Taken("12", "far")),
        ("Your last job 12345 used 3 hours\nSubmitted batch job 17\n", Taken("17")),
        ("Submitted batch job 3 yesterday\nwelcome\nSubmitted batch job 17\n", Taken("17")),
        ("welcome\n", None),
        ("", None),
    ],
)
def test_the_last_line_of_its_form_is_sbatchs_answer(text: str, taken: Taken | None):
    """A site's wrapper may print what it likes before."""
    assert parse_answer(text) == taken


# ---------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("Configuration data\nMaxArraySize            = 4001\nMaxJobCount = 10", 4001),
        ("MaxArraySize=0", 1),
        ("MaxJobCount = 10", DEFAULT_ARRAY),
        ("MaxArraySize = (null)", DEFAULT_ARRAY),
    ],
)
def test_the_largest_array_is_read(text: str, largest: int):
    """Where a site does not say, Slurm's own standard holds."""
    assert parse_site(text).largest_array == largest


@pytest.mark.parametrize(
    ("value", "hides"), [("none", False), ("jobs,usage", True), ("accounts,jobs", True)]
)
def test_what_a_site_says_of_itself(value: str, hides: bool):
    """Its name, and whether users see each other's jobs."""
    text = f"ClusterName             = science\nPrivateData             = {value}\n"

    assert parse_site(text) == Site("science", DEFAULT_ARRAY, hides)


@pytest.mark.parametrize(
    ("value", "holds"),
    [("none", False), ("associations", False), ("associations,limits,qos", True), ("safe", True)],
)
def test_whether_a_site_enforces_limits(value: str, holds: bool):
    """Limits that are only recorded hold nobody back."""
    assert parse_site(f"AccountingStorageEnforce = {value}\n").enforces_limits is holds


# ---------------------------------------------------------------------------- failures


def test_an_absent_command_is_unreachable(fake: Fake):
    """A machine without Slurm cannot reach it."""
    with pytest.raises(Unreachable, match="squeue is not on PATH"):
        queue.list_jobs(1007)


@pytest.mark.parametrize(
    "words",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "squeue: error: Connection refused",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "sacct: error: Problem talking to the database: Connection refused",
        "Slurm accounting storage is disabled",
        "squeue: fatal: Could not establish a configuration source",
        "slurm_load_jobs error: Zero Bytes were transmitted or received",
    ],
)
def test_a_silent_controller_is_unreachable(fake: Fake, words: str):
    """A command that says that nobody answers is told from one that fails otherwise."""
    fake("squeue", f"echo '{words}' >&2; exit 1")

    with pytest.raises(Unreachable) as caught:
        queue.list_jobs(1007)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("echo 'squeue: error: Invalid user: nobody' >&2; exit 1", "Invalid user: nobody"),
        ("echo 'on stdout'; exit 3", "squeue: on stdout"),
        ("exit 3", "squeue: exit code 3"),
    ],
)
def test_another_failure_is_an_error_with_slurms_words(fake: Fake, lines: str, message: str):
    """What Slurm refuses is no matter of reaching it."""
    fake("squeue", lines)

    with pytest.raises(SlurmError) as caught:
        queue.list_jobs(1007)

    assert not isinstance(caught.value, Unreachable)
    assert message in str(caught.value)


def test_a_command_that_hangs_is_unreachable(fake: Fake):
    """A controller that does not answer in time is not waited for."""
    fake("squeue", "while :; do :; done")

    with pytest.raises(Unreachable, match="did not answer within"):
        queue.ask(["squeue"], timeout_s=0.2)


@given(st.sets(st.tuples(st.sampled_from(["12", "13"]), st.integers(0, 400))))
def test_ranges_name_just_the_tasks_that_they_were_made_of(tasks: set[tuple[str, int]]):
    """Each array task is in one word, and no other is."""
    words = queue.ranges(f"{job}_{index}" for job, index in tasks)
    named = []
    for word in words:
        job, _, parts = word.partition("_")
        for part in parts.strip("[]").split(","):
            first, _, last = part.partition("-")
            named += [(job, i) for i in range(int(first), int(last or first) + 1)]

    assert sorted(named) == sorted(tasks)


def test_ten_thousand_tasks_are_cancelled_by_few_calls(fake: Fake, tmp_path: Path):
    """Every second one of an array is the most that ranges cannot shorten."""
    calls = tmp_path / "calls"
    fake("scancel", f"echo $# >> {calls}")
    queue.cancel(queue.ranges([*(f"12_{i}" for i in range(0, 20_000, 2)), "13", "14_3"]))

    assert len(calls.read_text().split()) == 1
    assert queue.ranges(f"12_{i}" for i in range(10_000)) == ["12_[0-9999]"]


def test_nothing_to_cancel_calls_nothing(fake: Fake):
    """Without a job, scancel is not called; with one, its failure is told."""
    queue.cancel([])
    fake("scancel", 'echo "scancel: error: Kill job error on job id $1: Access denied" >&2; exit 1')

    with pytest.raises(SlurmError, match="12_3: Access denied"):
        queue.cancel(["12_3"])


def test_the_controllers_clock_counts_and_not_that_of_the_login_node():
    """A login node ten minutes ahead took its own jobs for older ones, and submitted them again."""
    text = "Configuration data as of 2026-11-29T23:43:32\nClusterName = science\n"
    there = 1795995812.0

    assert parse_site(text, there + 600.4).ahead_s == 600
    assert parse_site(text, there - 90).ahead_s == -90
    assert parse_site("ClusterName = science\n", there).ahead_s == 0
    drawn = JobIdentity("token", at=1000, job="12", random=True)
    assert drawn.matches("12", 400, "x:token:y")
    assert not drawn.matches("12", 400, "x:other:y")
    assert not replace(drawn, random=False).matches("12", 400, "x:token:y")
