"""What happened to an array task: told from its log, corrected by the accounting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.errors import Incomplete, ModelError
from jobs.executors import failures
from jobs.executors.slurm.history import REMEDIES, attempts, restarts_without_progress
from slurm.events import read_events
from slurm.queue import Accounted, Queued

NOISE = "2026-11-25 10:00:00,123 INFO jobs.stages.generate: generate-m-00000-of-00002: 16 rows\n"
DAEMON = "slurmstepd-c1: error: "
AT = "ON c1 CANCELLED AT 2026-11-25T10:00:00"


def event(name: str, at: int = 1000, **details: Any) -> str:
    """Return an event's line in the form in which an array task writes it."""
    return "event: " + json.dumps({"event": name, "at": at, **details}) + "\n"


def said(name: str, message: str) -> str:
    """Return an event's line in the form in which the batch script writes it."""
    return f'event: {{"event": "{name}", "node": "c1", "at": 1000, "message": "{message}"}}\n'


def started(at: int = 1000, node: str = "c1", restart: int = 0) -> str:
    return event("started", at, job="12", index=3, node=node, restart=restart, pid=7) + NOISE


def failed(kind: str, message: str, code: int = 1) -> str:
    task = "generate-m-00000-of-00002"
    return event("failed", 1100, task=task, kind=kind, message=message, code=code)


def row(state: str, exit_code: str = "0:0", elapsed_s: int = 60) -> Accounted:
    return Accounted("12", 3, state, exit_code, "c9", elapsed_s, 0, "2026-11-25T10:00:00")


DONE = event("done", 1200, task="generate-m-00000-of-00002", seconds=9.0) + event(
    "ended", 1200, code=0
)
WARNED = event("warned", 1300, limit=True, requeued=True, message="asked to be run again")
REQUEUED = f"{DAEMON}*** JOB 12 {AT} DUE TO JOB REQUEUE ***\n"
STUCK = event(
    "warned",
    limit=True,
    requeued=False,
    advanced=False,
    message="nothing is finished yet: going on",
)
TERM = event("term", 1300, message="asked to end: preempted or cancelled")
ENDS = {
    "done": DONE,
    "time limit": WARNED + REQUEUED,
    "time limit, nothing finished": STUCK + f"{DAEMON}*** JOB 12 {AT} DUE TO TIME LIMIT ***\n",
    "preempted": TERM + f"{DAEMON}*** JOB 12 {AT} DUE TO PREEMPTION ***\n",
    "cancelled": TERM + f"{DAEMON}*** JOB 12 {AT} ***\n",
    "out of memory": f"{DAEMON}Detected 1 oom_kill event in StepId=12.batch. "
    "Some of the step tasks have been OOM Killed.\n",
    "bad node": failed("bad node", "RuntimeError: CUDA error: uncorrectable ECC error"),
    "mistake": failed("mistake", "RunMismatch: other packages", code=2),
    "exception": failed("exception", "ZeroDivisionError: division by zero"),
    "incomplete": failed("mistake", "3 rows are missing", code=3),
}
"""Class → how an attempt's log ends."""


def only(log: str, *rows: Accounted, state: str | None = None) -> str:
    """Return the class of the one attempt of a log."""
    (one,) = attempts(log, rows, state)
    return one.kind


@pytest.mark.parametrize("kind", ENDS)
def test_each_end_is_named_from_the_log_alone(kind: str):
    """Every way to end has its class, without any accounting."""
    assert only(started() + ENDS[kind]) == kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            f"{DAEMON}Job 12 exceeded memory limit (1048576 > 524288), being killed",
            "out of memory",
        ),
        (
            f"{DAEMON}Detected 1 oom-kill event(s) in StepId=12.batch cgroup. Some of your "
            "processes may have been killed by the cgroup out-of-memory handler.",
            "out of memory",
        ),
        (f"{DAEMON}*** JOB 12 {AT} DUE TO TIME LIMIT ***", "time limit"),
        (f"{DAEMON}*** STEP 12.batch {AT} DUE TO TIME LIMIT ***", "time limit"),
        (f"{DAEMON}*** JOB 12 {AT} DUE TO PREEMPTION ***", "preempted"),
        (f"{DAEMON}*** JOB 12 {AT} DUE TO JOB REQUEUE ***", "preempted"),
        (
            f"{DAEMON}*** JOB 12 {AT} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***",
            "node failure",
        ),
        (f"{DAEMON}*** JOB 12 {AT} ***", "cancelled"),
        (f"{DAEMON}*** STEP 12.0 {AT} ***", "cancelled"),
    ],
)
def test_the_words_of_slurms_daemon_are_understood(line: str, kind: str):
    """What slurmstepd writes names the class, and its line is the message."""
    (one,) = attempts(started() + line + "\n", [], None)

    assert (one.kind, one.message) == (kind, line)


def test_memory_comes_before_the_cancellation_that_follows_it():
    """Slurm cancels what exceeded its memory: the cause is named, not the consequence."""
    log = f"{DAEMON}Job 12 exceeded memory limit (9 > 5), being killed\n{DAEMON}*** JOB 12 {AT} ***"

    assert only(started() + log) == "out of memory"


def test_a_warning_that_was_outrun_does_not_count():
    """An array task that finished after it was warned of the limit is done."""
    assert only(started() + WARNED + DONE) == "done"


def test_a_requeueing_that_was_not_confirmed_is_still_that_of_the_time_limit():
    """Slurm's own line says that it was obeyed, whatever became of the command that asked."""
    unheard = event("warned", 1300, limit=True, requeued=False, advanced=True, message="")

    assert only(started() + REQUEUED + unheard) == "time limit"


def test_a_warning_long_before_the_limit_is_a_preemption():
    """Slurm's early warning comes from preemption: the array task asked to be run again."""
    early = event("warned", limit=False, requeued=True, message="asked to be run again")

    assert only(started() + early + REQUEUED) == "preempted"


def test_a_block_that_was_finished_after_the_warning_asks_again():
    """The last warning counts: nothing was finished at the first, something at the second."""
    assert only(started() + STUCK + WARNED + REQUEUED) == "time limit"


def test_an_element_with_one_failed_task_is_named_after_it():
    """What went wrong is the class of the array task, though another task of it is done."""
    log = started() + failed("out of memory", "does not fit in memory", code=2) + event(
        "done", task="generate-m-00001-of-00002", seconds=1.0
    ) + event("ended", code=2)  # fmt: skip
    (one,) = attempts(log, [], None)

    assert (one.kind, one.message) == ("out of memory", "does not fit in memory")
    assert one.tasks_done == 1


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (said("unseen", "the run directory is not on this node"), "run directory not seen"),
        ("module: not found\n" + said("setup", "line 1 of setup"), "setup failed"),
    ],
)
def test_what_ended_before_python_is_named(log: str, kind: str):
    """The batch script's own words count like an array task's, and name the node."""
    (one,) = attempts(log, [row("FAILED", "66:0")], None)

    assert (one.kind, one.node, one.start) == (kind, "c1", None)


def test_an_attempt_holds_its_node_times_and_tasks():
    """Start and end are those of its first and last event."""
    log = event("started", 1000, job="12", index=3, node="c4", restart=0, pid=7) + DONE
    (one,) = attempts(log, [], None)

    assert (one.node, one.start, one.end, one.tasks_done) == ("c4", 1000, 1200, 1)


def test_a_start_without_an_end_before_another_start_is_a_node_failure():
    """Only Slurm starts an array task again; what left no word was cut off."""
    first, second = attempts(started() + started(2000, "c2", restart=1) + DONE, [], None)

    assert (first.kind, first.node, first.start) == ("node failure", "c1", 1000)
    assert (second.kind, second.node) == ("done", "c2")


def test_a_last_start_without_an_end_ended_without_a_word():
    """Without accounting nobody knows more about the last attempt."""
    assert only(started()) == "ended without a word"


def test_attempts_in_one_log_are_told_apart():
    """Attempts are appended to one log; each has its own class, oldest first."""
    log = "".join(started(1000 * n, restart=n) + end for n, end in enumerate(ENDS.values()))
    found = attempts(log, [], None)

    assert [one.kind for one in found] == list(ENDS)
    assert [one.start for one in found] == [1000 * n for n in range(len(ENDS))]


def test_an_attempt_that_never_reached_python_stands_between_others():
    """A node that does not see the run is an attempt of its own."""
    log = started() + ENDS["preempted"] + said("unseen", "not on this node") + started() + DONE

    assert [one.kind for one in attempts(log, [], None)] == [
        "preempted", "run directory not seen", "done",
    ]  # fmt: skip


def test_torn_events_are_skipped():
    """Half an event is no event, wherever the log was cut."""
    log = started() + 'event: {"event": "do\n' + "event: \n" + DONE + 'event: {"event": "ended", "a'
    (one,) = attempts(log, [], None)

    assert (one.kind, one.tasks_done) == ("done", 1)
    assert [e["event"] for e in read_events(log)] == ["started", "done", "ended"]


@given(st.integers(0, 400))
def test_a_log_may_be_cut_anywhere(n: int):
    """Whatever stands there, the attempts of a cut log have a class with a remedy."""
    log = started() + ENDS["preempted"] + started(2000) + DONE

    assert all(one.kind in REMEDIES for one in attempts(log[:n], [], None))


@pytest.mark.parametrize(
    ("accounted", "kind"),
    [
        (row("FAILED", "0:9"), "killed"),
        (row("FAILED", "9:0"), "killed"),
        (row("FAILED", "137:0"), "killed"),
        (row("NODE_FAIL", "1:0"), "node failure"),
        (row("TIMEOUT", "0:0"), "time limit"),
        (row("OUT_OF_MEMORY", "0:125"), "out of memory"),
        (row("PREEMPTED", "0:0"), "preempted"),
        (row("CANCELLED", "0:15"), "cancelled"),
        (row("FAILED", "1:0"), "ended without a word"),
    ],
)
def test_the_accounting_knows_what_left_no_word(accounted: Accounted, kind: str):
    """A log that just stops is explained by the accounting's state and exit code."""
    assert only(started(), accounted) == kind


@pytest.mark.parametrize("kind", ["done", "exception", "bad node", "out of memory", "preempted"])
def test_the_accounting_does_not_overrule_what_the_log_says(kind: str):
    """An array task's own words are more exact than a state."""
    assert only(started() + ENDS[kind], row("FAILED", "1:0")) == kind


def test_each_attempt_is_corrected_by_its_own_row():
    """The accounting's rows belong to the attempts in order."""
    log = started() + started(2000) + started(3000)
    rows = [row("NODE_FAIL"), row("PREEMPTED"), row("FAILED", "0:9")]

    assert [one.kind for one in attempts(log, rows, None)] == [
        "node failure", "preempted", "killed",
    ]  # fmt: skip


def test_the_attempt_at_work_has_no_row_yet():
    """Rows of attempts that have ended are matched from the first one on."""
    rows = [row("PREEMPTED"), row("RUNNING")]
    first, second = attempts(started() + started(2000), rows, "RUNNING")

    assert (first.kind, second.kind) == ("preempted", "running")


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETING", "SUSPENDED"])
def test_what_is_in_the_queue_and_started_is_running(state: str):
    """The queue knows that the last attempt is at work."""
    assert only(started(), state=state) == "running"


def test_what_waits_again_keeps_its_history():
    """A requeued array task that waits has had an attempt, which is not running."""
    assert only(started() + ENDS["preempted"], state="PENDING") == "preempted"


@pytest.mark.parametrize(
    ("accounted", "kind"),
    [
        (row("COMPLETED"), "done"),
        (row("FAILED", "66:0"), "run directory not seen"),
        (row("FAILED", "1:0"), "run directory not seen"),
        (row("FAILED", "0:53"), "run directory not seen"),
        (row("FAILED", "67:0"), "setup failed"),
        (row("FAILED", "0:9"), "killed"),
        (row("NODE_FAIL"), "node failure"),
        (row("TIMEOUT"), "time limit"),
        (row("OUT_OF_MEMORY", "0:125"), "out of memory"),
        (row("CANCELLED", elapsed_s=60), "cancelled"),
        (row("CANCELLED", elapsed_s=0), "never started"),
        (row("BOOT_FAIL"), "node failure"),
    ],
)
def test_an_element_without_a_log_is_known_from_the_accounting(accounted: Accounted, kind: str):
    """Where not even a log could be opened, the accounting's row is the attempt."""
    (one,) = attempts("", [accounted], None)

    assert (one.kind, one.node) == (kind, "c9")
    assert accounted.state in one.message


@pytest.mark.parametrize("state", [None, "PENDING"])
def test_nothing_known_means_no_attempt(state: str | None):
    """Neither a log nor a finished row: there was no attempt yet."""
    assert attempts("", [row("PENDING")], state) == []


STATES = (
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY",
    "BOOT_FAIL", "DEADLINE", "REVOKED", "REQUEUED", "RUNNING", "PENDING", "COMPLETING",
)  # fmt: skip


@given(
    pieces=st.lists(
        st.sampled_from(
            [started(), *ENDS.values(), NOISE, said("unseen", "m"), said("setup", "m"), "event: {"]
        )
    ),
    rows=st.lists(
        st.builds(
            row,
            st.sampled_from(STATES),
            st.sampled_from(["0:0", "0:9", "1:0", "66:0", "67:0", "0:53", "137:0"]),
            st.sampled_from([0, 60]),
        ),
        max_size=3,
    ),
    state=st.sampled_from([None, "PENDING", "RUNNING", "COMPLETING"]),
)
def test_every_class_that_can_come_out_has_a_remedy(
    pieces: list[str], rows: list[Accounted], state: str | None
):
    """Whatever log, accounting and queue say, there is a word about what to do."""
    assert {one.kind for one in attempts("".join(pieces), rows, state)} <= set(REMEDIES)


def test_only_what_is_done_needs_no_remedy():
    """Classes that the callers make themselves are in the list, and only success is silent."""
    assert {"queued", "never started", *ENDS} <= set(REMEDIES)
    assert [kind for kind, remedy in REMEDIES.items() if not remedy] == ["done"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (ModelError("one prompt alone does not fit in memory; expected room"), "out of memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "bad node"),
        (RuntimeError("Found no NVIDIA driver on your system"), "bad node"),
        (OSError(5, "Input/output error"), "bad node"),
        (OSError(116, "Stale file handle"), "bad node"),
        (ModelError("its weights are not safetensors"), "mistake"),
        (Incomplete("3 rows are missing"), "mistake"),
        (ValueError("no such thing"), "exception"),
    ],
)
def test_a_failure_is_classified_where_it_happens(error: Exception, kind: str):
    """An array task names its own failure by what the error is and says."""
    assert failures.kind(error) == kind
    assert kind in REMEDIES


def test_halving_a_batch_is_no_end():
    """Only what Slurm's daemon writes tells of an end."""
    line = "2026-11-25 10:00:00,123 WARNING h: out of memory with 16 prompts of up to 90 tokens\n"
    assert only(started() + line + ENDS["preempted"]) == "preempted"


def test_a_refused_request_is_no_lack_of_progress():
    """Where Slurm may not requeue, an array task with progress ran into its limit."""
    no = event("warned", limit=True, requeued=False, advanced=True, message="disabled")
    assert only(started() + no + f"{DAEMON}*** JOB 12 {AT} DUE TO TIME LIMIT ***\n") == "time limit"


def test_an_attempt_without_events_stands_alone():
    """What Slurm ended before Python is an attempt of its own."""
    log = ENDS["preempted"].removeprefix(TERM) + started(2000)
    assert [a.kind for a in attempts(log, [], None)] == ["preempted", "ended without a word"]


def test_running_again_keeps_the_history():
    """An array task that is back, and silent so far, has an earlier attempt."""
    found = attempts(started() + ENDS["preempted"], [], "RUNNING")
    assert [a.kind for a in found] == ["preempted", "running"]


def test_what_squeue_tells_stands_in_for_the_accounting():
    """A launch failure with a log is a kill, and without one a run directory not seen."""
    row = Queued("12", 0, "FAILED", "JobLaunchFailure", "c1").as_accounted()

    assert only(started(), row) == "killed"
    assert [a.kind for a in attempts("", [row], None)] == ["run directory not seen"]


BEGUN = 'event: {"event": "started", "at": 1}\n'
ON = 'event: {"event": "advanced", "at": 2}\n'


@pytest.mark.parametrize(
    ("log", "n"),
    [
        (BEGUN, 0),
        (BEGUN + BEGUN, 1),
        (BEGUN * 4, 3),
        (BEGUN + ON + BEGUN, 0),
        (BEGUN * 3 + ON + BEGUN * 3, 2),
        (BEGUN + "slurmstepd: error: *** JOB 1 CANCELLED DUE TO PREEMPTION ***\n" + BEGUN * 2, 2),
        ("", 0),
    ],
)
def test_attempts_that_finished_nothing_are_counted_since_the_last_that_did(log: str, n: int):
    """The attempt that has just begun is not one of them."""
    assert restarts_without_progress(log) == n


def test_a_python_that_lacks_a_package_is_a_set_up_that_failed():
    """`module purge` hides an environment; what went wrong is said before the first event."""
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'
    lacks = "ModuleNotFoundError: No module named 'polars'"

    [attempt] = attempts(f"{trace}{lacks}\n", [], None)
    assert attempt.kind == "setup failed"
    assert attempt.message == f"{lacks}: the Python of array tasks lacks it"
    [later] = attempts(started() + f"{trace}{lacks}\n", [], None)
    assert later.kind == "ended without a word"
