"""Events between processes: read as they were sent, whatever else a process prints."""

import os
import subprocess
import sys

import pytest

from empathy_core.errors import ConfigError, Damaged, EmpathyError, StorageError, UnknownName
from jobs.stages.events import failure, raise_failure, received

CHATTY = """
from jobs.stages.events import EventSender
print("a line without an end", end="", flush=True)
EventSender(1).send("step", text="é\\n\\u2028", n=3)
print('event: {"event": "torn', flush=True)
print("event: 5")
EventSender(1).send("done")
"""


def test_events_are_read_amid_other_output():
    """Other lines go where they are wanted; a torn event is one of them."""
    done = subprocess.run(
        [sys.executable, "-u", "-c", CHATTY], capture_output=True, text=True, check=True
    )
    others: list[str] = []
    events = list(received(done.stdout.splitlines(keepends=True), others.append))

    assert [event.pop("at") > 0 for event in events] == [True, True]
    assert events == [{"event": "step", "text": "é\n\u2028", "n": 3}, {"event": "done"}]
    assert others == ["a line without an end", 'event: {"event": "torn', "event: 5"]


def test_a_sender_that_nobody_reads_ends():
    """A child whose parent is gone does no work that nobody would take."""
    read, write = os.pipe()
    os.close(read)
    code = (
        "from jobs.stages.events import EventSender\n"
        f"EventSender({write}).send('done')\n"
        "print('on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], pass_fds=[write], capture_output=True, text=True, check=False
    )
    os.close(write)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (StorageError("the disk is full"), StorageError, 2),
        (Damaged("not what was written"), Damaged, 3),
        (UnknownName("model", "x", ["y"]), ConfigError, 2),
    ],
)
def test_an_error_of_a_child_is_raised_in_its_parent(
    error: EmpathyError, raised: type[EmpathyError], code: int
):
    """Its class, message and exit code are those of the child's error."""
    told = failure(error)

    assert told["code"] == code
    with pytest.raises(raised) as caught:
        raise_failure(told)
    assert str(caught.value) == str(error)
    assert caught.value.exit_code == code


def test_an_error_of_a_library_is_told_in_its_first_line():
    """A traceback stands in the log; the message is one line, with the error's name."""
    told = failure(ValueError("first\nsecond"))

    assert told == {"message": "ValueError: first", "code": 1, "error": "ValueError"}
