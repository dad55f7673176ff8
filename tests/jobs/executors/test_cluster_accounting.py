"""When the accounting is asked: of what has ended, and not again at each look."""

from pathlib import Path

import pytest

from empathy_core.store import RunDir
from jobs.executors.slurm import inspect
from jobs.executors.slurm.inspect import AccountingLooks, ArrayTask, Inspected
from jobs.executors.slurm.submissions import Submission
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
