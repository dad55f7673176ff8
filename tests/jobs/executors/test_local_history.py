"""What happened to tasks on this machine, as their logs tell it."""

import os
import platform
from pathlib import Path

import pytest

from empathy_core.store import RunDir
from jobs.executors import failures, local_history, worker
from jobs.executors.failures import NotDone
from jobs.executors.local import LocalExecutor, Settings
from jobs.executors.local_history import record, record_start, tried
from jobs.planning.plan import Plan, PlanNotes, Task
from jobs.planning.stages import After, Stage

TASK = Task("generate", "m", 0, 1)
PLAN = Plan((), "d", 1, {"m": 1}, 1, "error", (), PlanNotes())


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run without anything."""
    return RunDir(tmp_path)


def kinds(run: RunDir) -> list[str]:
    """Return the classes of the task's attempts."""
    [found] = tried(run, [TASK])
    return [attempt.kind for attempt in found.history]


def test_a_start_without_an_end_is_running_or_was_stopped(run: RunDir):
    """Of a launcher that is there it runs; of one that is gone, or another machine's, it ended."""
    log = run.log(TASK.id)
    record_start(log)
    running = kinds(run)
    record(log, "started", node=platform.node(), pid=2**22 + 1)  # above the largest there can be
    gone = kinds(run)
    record(log, "started", node="elsewhere", pid=os.getpid())

    assert running == ["running"]
    assert gone == ["stopped", "stopped"]
    assert kinds(run) == ["stopped"] * 3
    assert not tried(run, [TASK])[0].failed


def test_the_last_attempt_says_whether_a_task_failed(run: RunDir):
    """A failure has its class and words; the next attempt that ends well makes it good."""
    log = run.log(TASK.id)
    record_start(log)
    record(log, "failed", message="no such weights", code=2, kind="mistake")
    [failed] = tried(run, [TASK])
    record_start(log)
    record(log, "ended", code=0)
    [well] = tried(run, [TASK])

    assert failed.failed
    assert failed.history[-1].message == "no such weights"
    assert not well.failed
    assert kinds(run) == ["mistake", "done"]


@pytest.mark.slow  # starts workers
def test_a_worker_that_dies_leaves_a_failure_in_the_log_of_its_task(run: RunDir):
    """The launcher outlives its worker and writes down what became of it."""
    executor = LocalExecutor(run, run.root / "no-plan.json", Settings())
    executor.execute([TASK], lambda rows, tokens: None)

    assert kinds(run) == ["exception"]


def test_a_log_of_an_earlier_version_tells_of_no_attempt(run: RunDir):
    """It holds no events: nothing is known, and nothing failed."""
    run.logs.mkdir()
    run.log(TASK.id).write_text("2026-01-01 00:00:00,000 ERROR jobs.worker: failed\n")

    assert kinds(run) == []
    assert not tried(run, [TASK])[0].failed


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(5, "Input/output error"), NotDone("x"), ValueError("x")]
)
def test_every_class_has_its_remedy(error: Exception):
    """What a worker can say of its end, somebody can act upon."""
    assert failures.kind(error) in local_history.REMEDIES


def _stage(*after: After, done: bool = False, renewed: bool = False) -> Stage:
    return Stage("made", after, "score", lambda _: [], lambda *_: done, renewed=renewed)


def _do(monkeypatch: pytest.MonkeyPatch, run: RunDir, stage: Stage, writes: str = "") -> None:
    def body(*_: object) -> None:
        if writes:
            path = run.root / writes
            path.parent.mkdir(parents=True)
            path.touch()

    monkeypatch.setattr(worker, "stage_of", lambda _: stage)
    monkeypatch.setattr(Stage, "body", lambda _: body)
    worker.do_task(run, PLAN, Task("made", "m", 0, 1), lambda _: None)


def test_a_task_that_ends_without_its_results_has_failed(
    monkeypatch: pytest.MonkeyPatch, run: RunDir
):
    """Both executors do tasks by this function; stages that are never done are left alone."""
    with pytest.raises(NotDone, match="stage 'made' does not find its results: expected them in"):
        _do(monkeypatch, run, _stage())
    _do(monkeypatch, run, _stage(done=True))
    _do(monkeypatch, run, _stage(renewed=True))


def test_answers_that_come_meanwhile_are_no_failure_of_what_takes_what_is_there(
    monkeypatch: pytest.MonkeyPatch, run: RunDir
):
    """Another process may add answers while a task scores: they are for the next task."""
    late = "generations/c/0.parquet"
    _do(monkeypatch, run, _stage(After("generate")), late)
    with pytest.raises(NotDone):
        _do(monkeypatch, run, _stage(After("generate")))
    with pytest.raises(NotDone):
        _do(monkeypatch, run, _stage(After("finetune", "afterok")), "generations/d/0.parquet")
