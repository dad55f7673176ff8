"""When the accounting is asked: of what has ended, and not again at each look."""

from dataclasses import replace
from pathlib import Path

import pytest

from empathy_core.store import RunDir
from jobs.executors.slurm import inspect
from jobs.executors.slurm.failing_nodes import _newest, to_avoid, tried
from jobs.executors.slurm.in_queue import QueuedTask, QueueState
from jobs.executors.slurm.inspect import AccountingLooks, ArrayTask, Inspected
from jobs.executors.slurm.submissions import Ledger, Submission, log_path
from slurm.queue import Accounted, Unreachable

SUBMISSION = Submission(
    "0001-generate-m", "generate", "m", 3, ((0,), (1,), (2,)), "0001.json", (), job="12"
)


def ended(*indices: int) -> list[ArrayTask]:
    return [ArrayTask(SUBMISSION, index, Path("log")) for index in indices]


def row(index: int, state: str = "FAILED") -> Accounted:
    return Accounted("12", index, state, "1:0", "c1", 5, 0, "2026-01-01T00:00:00")


def inspected(*, reached: bool = True) -> Inspected:
    return Inspected(RunDir(Path("nowhere")), reached, "", (SUBMISSION,), {}, {})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[Accounted] | Exception]:
    """What the accounting answers, call after call."""
    answers: list[list[Accounted] | Exception] = []

    def list_attempts(_: object) -> list[Accounted]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(inspect.queue, "list_attempts", list_attempts)
    return answers


def test_what_is_known_is_not_asked_again(told: list[list[Accounted] | Exception]):
    """A third look asks only because another array task has ended, and keeps what it knew."""
    told += [[row(0), row(2, "COMPLETED")], [row(0), row(1)]]
    accounting = AccountingLooks()

    assert accounting.rows(ended(0), inspected()) == [row(0), row(2, "COMPLETED")]
    assert accounting.rows(ended(0), inspected()) == [row(0), row(2, "COMPLETED")]
    assert accounting.rows(ended(0, 1), inspected()) == [row(0), row(1)]
    assert accounting.rows(ended(0, 1), inspected()) == [row(0), row(1)]
    assert told == []


def test_an_accounting_that_is_late_is_asked_twice(told: list[list[Accounted] | Exception]):
    """It may still call running what squeue has seen end; one that is silent is left alone."""
    told += [[row(0, "RUNNING")], [row(0)], Unreachable("no"), Unreachable("no")]
    late, silent = AccountingLooks(), AccountingLooks()

    assert [late.rows(ended(0), inspected()) for _ in range(3)][1:] == [[row(0)]] * 2
    assert [silent.rows(ended(0), inspected()) for _ in range(4)] == [[]] * 4
    assert told == []


def test_what_was_in_the_queue_again_is_asked_anew(told: list[list[Accounted] | Exception]):
    """A requeued array task has ended otherwise since; nobody is asked where Slurm is silent."""
    told += [[row(0, "NODE_FAIL")], [row(0, "NODE_FAIL"), row(0)]]
    accounting = AccountingLooks()
    first = accounting.rows(ended(0), inspected())
    accounting.rows([], inspected())

    assert first == [row(0, "NODE_FAIL")]
    assert accounting.rows(ended(0), inspected(reached=False)) == first
    assert accounting.rows(ended(0), inspected()) == [row(0, "NODE_FAIL"), row(0)]


def test_nodes_are_judged_by_what_began_and_no_other_log_is_looked_for(
    told: list[list[Accounted] | Exception], tmp_path: Path
):
    """What waited and was cancelled says nothing; a failure without a log does, and what waits."""
    run = RunDir(tmp_path / "run")
    ledger = Ledger(run)
    older = ledger.taken(ledger.intend(replace(SUBMISSION, job=None)), "11", "sim")
    newer = ledger.taken(
        ledger.intend(replace(SUBMISSION, job=None, shards=((0,), (1,), (2,), (3,)))), "12", "sim"
    )
    begun = '\nevent: {"event": "started", "node": "c2", "at": 5}\n'
    for submission, index in ((older, 1), (newer, 0)):
        log_path(run, submission.name, index).write_text(begun)
    waited = replace(row(2, "CANCELLED"), elapsed_s=0, node="None assigned")
    told.append([row(0), waited, row(3)])
    there = QueueState(ledger, (older, newer), (QueuedTask(newer, 1, "PENDING"),))

    rows = inspect.with_ended(told[0], ())
    found = inspect.began(run, there, rows)

    assert [(task.submission.job, task.index) for task in found] == [
        ("11", 1), ("12", 0), ("12", 3),
    ]  # fmt: skip
    assert [one.node for one in tried(found, rows)] == ["c2", "c2", "c1"]
    assert to_avoid(run, 1, there) == []
    assert told == []


def test_only_the_last_submissions_of_tasks_and_those_that_stand_by_are_asked_about():
    """The accounting of a run that was submitted many times is not read whole."""
    again = replace(SUBMISSION, name="0002", shards=((0,), (1,), (2,)))
    other = replace(SUBMISSION, name="0003", key="other")
    standing_by = replace(SUBMISSION, name="0004", retry=1)

    assert _newest([SUBMISSION, again]) == [again]
    assert _newest([SUBMISSION, replace(again, shards=((0, 1),))]) != [again]
    assert _newest([SUBMISSION, other, standing_by]) == [SUBMISSION, other, standing_by]
