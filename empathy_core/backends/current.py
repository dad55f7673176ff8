"""The one model that this process has loaded: answers and judgements follow each other in it."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from empathy_core import backends
from empathy_core.backends.protocol import BackendProtocol
from empathy_core.store import RunDir
from empathy_core.types import ModelSpec

log = logging.getLogger(__name__)


@dataclass
class CurrentModel:
    """What is loaded, if anything is.

    Attributes:
        seconds: How long it took to load.
    """

    asked: tuple[ModelSpec, str, Path | None] | None = None
    backend: BackendProtocol | None = None
    seconds: float = 0.0

    def get(
        self,
        model: ModelSpec,
        overlong: Literal["error", "truncate"] = "error",
        run: RunDir | None = None,
    ) -> BackendProtocol:
        """Return the backend of a model; another one that is loaded is let go.

        Raises:
            ModelError: The weights cannot be used here, or the server does not answer.
        """
        asked = (model, overlong, run.root if run else None)
        if self.backend is not None and self.asked == asked:
            return self.backend
        self.close()
        started = time.monotonic()
        self.backend = backends.load(model, overlong, run)
        self.asked, self.seconds = asked, time.monotonic() - started
        log.info("loaded %s in %.1f s", model.name, self.seconds)
        return self.backend

    def close(self) -> None:
        """Let go of what is loaded: memory, or a server."""
        loaded, self.backend = self.backend, None
        if loaded is not None:
            loaded.close()


CURRENT = CurrentModel()
"""This process's."""
