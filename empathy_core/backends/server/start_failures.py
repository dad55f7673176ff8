"""Why a server did not start: from what it printed, in words that say what to do next."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from empathy_core.errors import ConfigError, EngineError

READ_BYTES = 200_000
"""How much of the end of a log is looked at."""

_SHOWN_CHARACTERS = 400
"""Of one line."""

_KV_CACHE = re.compile(
    r"KV cache is needed|stored in (?:the )?KV cache|No available memory for the cache blocks"
    r"|to serve even a single token|failed to create context"
    r"|Not enough memory\. Please try to increase --mem-fraction-static",
    re.IGNORECASE,
)
_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|(?:can't|cannot|unable to|failed to) allocate"
    r"|std::bad_alloc|\bMemoryError\b|less than desired \w+ memory utilization",
    re.IGNORECASE,
)
_PORT = re.compile(r"address already in use|EADDRINUSE|couldn't bind", re.IGNORECASE)
_ERROR = re.compile(
    r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b\s*:|\berror\b\s*[:,]", re.IGNORECASE
)
_POINTERS = ("See root cause above", "See stack trace", "Failed core proc")
_PREFIX = re.compile(
    r"^(?:\(\S+ pid=\d+\)\s*)?"  # (EngineCore pid=12), as vLLM
    r"(?:\[?\d{4}-\d\d-\d\d[ T][\d:.,]+\S*\s*)?"  # [2026-11-29 12:00:00 TP0], as SGLang
    r"(?:(?:ERROR|WARNING|INFO)\s+\d\d-\d\d [\d:]+ \[[^\]]*\]\s*)?"  # … [core.py:9], as vLLM
)


class PortTaken(EngineError):
    """Another program has the port that was free a moment ago."""


@dataclass(frozen=True, slots=True)
class LogText:
    """The end of what a server printed since it was started.

    Attributes:
        path: Of its whole log.
        text: Without the key.
    """

    path: Path
    text: str


def refused(name: str, command: Sequence[str], error: OSError) -> ConfigError:
    """Return the error for a command that cannot be started."""
    reasons = {2: "there is no such program", 13: "it may not be executed", 8: "it is no program"}
    reason = reasons.get(error.errno or 0, error.strerror)
    return ConfigError(
        f"engine '{name}': {command[0]} cannot be started: {reason}; expected an interpreter or "
        f"program that this node can run; correct the first entry of 'command' of this engine, or "
        "build its environment where it is expected"
    )


def ended(name: str, code: int | None, seconds: float, log: LogText) -> EngineError:
    """Return the error for a server that ended before it answered.

    Args:
        name: Of the engine.
        code: As ``Popen.returncode``; null if it was ended from outside.
        seconds: How long it ran.
        log: What it said.
    """
    if _PORT.search(log.text):
        return PortTaken(
            f"engine '{name}': the port it was given was taken by another program, time and again; "
            f"expected a free one; see {log.path}, or run the same command again"
        )
    said = f"{last_words(log.text)} (all of it: {log.path})"
    if _KV_CACHE.search(log.text):
        return EngineError(
            f"engine '{name}': the context window does not fit in memory beside the weights: "
            f"{said}; expected memory for at least one whole prompt and answer; lower the context "
            "window of this model, give the engine more of the memory, or use more GPUs"
        )
    if _MEMORY.search(log.text) or code == -9:
        killed = "" if _MEMORY.search(log.text) else "it was killed, as a node does then; "
        return EngineError(
            f"engine '{name}': out of memory before the server answered: {killed}{said}; expected "
            "weights and cache to fit; use more or larger GPUs, a smaller dtype or context window, "
            "or ask Slurm for more memory"
        )
    how = "was ended" if code is None else f"ended with exit code {code}"
    return EngineError(
        f"engine '{name}': the server {how} after {seconds:.0f} s, before it answered: {said}; "
        "expected it to load the model and answer; fix what its log says, or correct 'command' of "
        "this engine"
    )


def too_slow(name: str, seconds: float, log: LogText) -> EngineError:
    """Return the error for a server that does not become healthy in time."""
    return EngineError(
        f"engine '{name}': the server did not answer within {seconds:.0f} s; its log ends: "
        f"{last_line(log.text) or 'with nothing'} (all of it: {log.path}); expected the model to "
        "be loaded by then; raise 'start_timeout_s' of this engine, or see why its log stands still"
    )


def not_ours(name: str, port: int, what: str) -> EngineError:
    """Return the error for a server that is not the one that was started."""
    return EngineError(
        f"engine '{name}': what answers on port {port} {what} when asked for its models; expected "
        "the model under the name that was given to the command; put {served_name} into 'command' "
        "and {key} into 'environment' of this engine, as its recipe does, and run again"
    )


def last_line(text: str) -> str:
    """Return the last line that says something; empty if none does."""
    lines = _lines(text)
    return lines[-1][:200] if lines else ""


def last_words(text: str) -> str:
    """Return the errors at the end of a log; its last lines where it names none."""
    lines = _lines(text)
    errors = [line for line in lines if _ERROR.search(line)]
    causes = [line for line in errors if not any(words in line for words in _POINTERS)]
    chosen = list(dict.fromkeys(causes or errors))[-2:] or lines[-3:]
    return " / ".join(line[:_SHOWN_CHARACTERS] for line in chosen) or "it printed nothing"


def _lines(text: str) -> list[str]:
    """Return the lines of a log without time, place and process, and without rules and blanks."""
    lines = (_PREFIX.sub("", line).strip() for line in text.splitlines())
    return [line for line in lines if re.search(r"\w", line)]
