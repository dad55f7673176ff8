"""The exceptions a user can meet.

    EmpathyError            base; ``launch`` prints its message and exits with ``exit_code``
    ├── ConfigError         the configuration or command line is wrong (2)
    │   └── UnknownName     a name that no file answers to; carries the closest match (2)
    ├── DataError           a data file is missing, unreadable or holds no usable row (2)
    │   └── NoColumn        it has no column of that name (2)
    ├── ModelError          weights, tokenizer or adapter cannot be used here (2)
    ├── EngineError         an engine's server does not start, ends, or is not what it should be (2)
    ├── PreflightFailed     a fine-tune was found to be wrong before it was trained (2)
    ├── RunMismatch         the run directory belongs to other data or another plan (2)
    ├── Busy                another sweep holds the planning lock (2)
    ├── StorageError        the disk is full or the path cannot be written (2)
    ├── Damaged             a file of the run is not what was written (3)
    └── Incomplete          rows are missing, duplicated or foreign (3)

Every message has three parts: what is wrong, what was expected, what to do next.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class EmpathyError(Exception):
    """Base of all errors that are meant for the user's eyes."""

    exit_code: ClassVar[int] = 2


class ConfigError(EmpathyError):
    """The configuration or the command line is wrong."""


class UnknownName(ConfigError):
    """A name was asked for that does not exist.

    Attributes:
        kind: What was looked up, e.g. ``"prompt"``.
        name: The name as given.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name = kind, name
        names = sorted(set(known))  # one of the configuration may be called as one that ships
        close = get_close_matches(name, names, n=1, cutoff=0.5)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        listed = ", ".join(names) or "none"
        super().__init__(
            f"unknown {kind} '{name}'.{guess} Known: {listed}.{' ' if hint else ''}{hint}"
        )


class DataError(EmpathyError):
    """A data file is missing, unreadable, or holds no usable row."""

    def __init__(self, message: str) -> None:
        # a name in a file may be half a surrogate pair, which nothing can print
        super().__init__(message.encode("utf-8", "replace").decode())


class NoColumn(DataError):
    """A data file has no column of the name that was asked for."""


class ModelError(EmpathyError):
    """Weights, tokenizer or adapter cannot be used on this machine."""


class EngineError(EmpathyError):
    """The server of an engine does not start, ends, or is not what it should be."""


class PreflightFailed(EmpathyError):
    """A fine-tune was found to be wrong before it was trained."""


class RunMismatch(EmpathyError):
    """The run directory holds other data than the configuration describes."""


class Busy(EmpathyError):
    """Another sweep holds the planning lock of this run directory."""


class StorageError(EmpathyError):
    """The disk is full, or the place cannot be written to."""


class Damaged(EmpathyError):
    """A file of the run is not what was written."""

    exit_code = 3


class Incomplete(EmpathyError):
    """Rows are missing, duplicated, or belong to another condition."""

    exit_code = 3


def first_line(error: BaseException) -> str:
    """Return the first line of what another library's error says; its class's name if nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
