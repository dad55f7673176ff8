"""What a plan would write into its run, kept back until nothing can refuse the plan any more."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from empathy_core.store import write_json


class WithheldWrites:
    """Calls that write, in their order."""

    def __init__(self) -> None:
        self._writes: list[Callable[[], object]] = []

    def later(self, write: Callable[[], object]) -> None:
        """Add a call."""
        self._writes.append(write)

    def json(self, value: object, path: Path) -> None:
        """Write a value to a path later."""
        self.later(partial(write_json, value, path))

    def write(self) -> None:
        """Do what was kept back, once."""
        writes, self._writes = self._writes, []
        for write in writes:
            write()
