"""Backends: what turns a question into an answer. One file or folder each.

A backend takes one batch of requests and returns one answer each, in order; a server's hands rows
out as they come. It knows nothing of blocks, shards, pieces or Slurm; the caller decides what forms
a batch.
"""

from typing import Literal

from empathy_core.backends.protocol import Answer, BackendProtocol, Request
from empathy_core.errors import ModelError
from empathy_core.store import RunDir
from empathy_core.types import ModelSpec

__all__ = ["Answer", "BackendProtocol", "Request", "load"]


def load(
    model: ModelSpec,
    overlong: Literal["error", "truncate"] = "error",
    run: RunDir | None = None,
) -> BackendProtocol:
    """Load what answers for *model*; slow, and takes the memory of its weights.

    Args:
        model: With backend ``hf``, ``server`` or ``echo``; the others' answers exist already.
        overlong: ``truncate`` cuts questions that do not fit the context window.
        run: Where a server's log and budget are kept; needed for models with an engine.

    Raises:
        ModelError: The weights cannot be used here, or the server does not answer.
    """
    if model.engine is not None and run is not None:
        from empathy_core.backends.server.starting import connect

        return connect(model, overlong, run)
    if model.backend == "echo":
        from empathy_core.backends.echo import EchoBackend

        return EchoBackend(model)
    if model.backend == "hf" and model.engine is None:
        from empathy_core.backends.hf import load as load_hf

        return load_hf(model, overlong)
    msg = (
        f"model '{model.name}' has backend '{model.backend}', which generates nothing here; "
        "expected hf or echo; other answers are written when the sweep is planned, or come from "
        "an engine"
    )
    raise ModelError(msg)
