"""What a process that works tells the one that waits for it: events, as ``slurm.events`` writes.

The workers of the local executor, array tasks and the processes of a training use the same form:
``progress``, ``step``, ``done``, ``failed`` …; the receiver passes over all other lines.
"""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from empathy_core import errors
from empathy_core.errors import EmpathyError, ModelError
from slurm.events import emit_event, read_event


class EventSender:
    """Writes events to the parent; ends this process where nobody reads them any more."""

    def __init__(self, descriptor: int) -> None:
        """Take the open file that the parent reads."""
        self._descriptor = descriptor

    def send(self, event: str, **details: Any) -> None:
        """Write one event."""
        try:
            emit_event(event, self._descriptor, **details)
        except BrokenPipeError:
            os._exit(1)


def received(lines: Iterable[str], other: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Yield the events among *lines* as they come; *other* is called with each other line."""
    for line in lines:
        event = read_event(line)
        if event is not None:
            yield event
        elif line.strip():
            other(line.rstrip())


def failure(error: Exception) -> dict[str, Any]:
    """Return the details of an event ``failed``: message, exit code, class of the error."""
    if isinstance(error, EmpathyError):
        message, code = str(error), error.exit_code
    else:
        message = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
        code = 1
    return {"message": message, "code": code, "error": type(error).__name__}


def raise_failure(event: dict[str, Any]) -> NoReturn:
    """Raise the error of the user's that an event ``failed`` tells of."""
    kind = getattr(errors, str(event["error"]), ModelError)
    if kind is errors.UnknownName:  # made of parts that the event does not have
        kind = errors.ConfigError
    raise kind(str(event["message"]))
