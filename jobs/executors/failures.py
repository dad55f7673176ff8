"""Which class a failure of a task belongs to, as ``status`` and ``explain`` name it."""

from typing import Any, ClassVar

from empathy_core.errors import EmpathyError, StorageError
from jobs.stages.events import failure

OUT_OF_MEMORY = ("does not fit in memory", "out of memory", "can't allocate memory")
BROKEN_NODE = ("CUDA error", "no NVIDIA driver", "NVML", "CUDA driver", "uncorrectable ECC",
               "Input/output error", "Stale file handle", "CUDA-capable device")  # fmt: skip


class BadNode(Exception):
    """This node cannot do the work, and another one can."""


class NoProgress(EmpathyError):
    """Slurm ran an array task again and again, and it finished nothing."""

    exit_code: ClassVar[int] = 1


class NotDone(EmpathyError):
    """A task ended without an error, and its stage does not find its results."""

    exit_code: ClassVar[int] = 1


NAMED: dict[type[Exception], str] = {
    BadNode: "bad node",
    NotDone: "not done",
    NoProgress: "no progress",
}
"""Classes of failures that have a type of their own."""


def kind(error: BaseException) -> str:
    """Return the class of a failure, as ``explain`` names it."""
    text = f"{type(error).__name__}: {error}"
    for named, name in NAMED.items():
        if isinstance(error, named):
            return name
    if isinstance(error, MemoryError) or any(s in text.lower() for s in OUT_OF_MEMORY):
        return "out of memory"
    if any(words in text for words in BROKEN_NODE):
        return "bad node"
    if isinstance(error, StorageError):
        return "disk"
    return "mistake" if isinstance(error, EmpathyError) else "exception"


def classified(error: Exception) -> dict[str, Any]:
    """Return the details of an event ``failed``, with the class of the failure."""
    return {"kind": kind(error), **failure(error)}
