"""Events: lines ``event: {json}`` amid whatever else a process prints.

Jobs write them into their logs, and ``status`` and ``explain`` read them there; child processes
write them to their parents. The batch script writes the same form before Python starts.
"""

import json
import os
import time
from typing import Any

EVENT = "event: "
"""Begins the line of an event; JSON follows."""


def emit_event(event: str, descriptor: int = 1, **details: Any) -> None:
    """Write one event, with the time, to an open file; the log by default.

    Raises:
        BrokenPipeError: Nobody reads it any more.
    """
    line = EVENT + json.dumps({"event": event, "at": round(time.time()), **details})
    # begins a line of its own, whatever was written before
    whole = f"\n{line}\n".encode()
    while whole:
        whole = whole[os.write(descriptor, whole) :]


def read_event(line: str) -> dict[str, Any] | None:
    """Return the event that a line is; null if it is none, or torn."""
    if not line.startswith(EVENT):
        return None
    try:
        event = dict(json.loads(line.removeprefix(EVENT)))
    except (ValueError, TypeError):
        return None
    return event if "event" in event else None


def read_events(text: str) -> list[dict[str, Any]]:
    """Return the events of a log, in order."""
    return [event for line in text.splitlines() if (event := read_event(line))]
