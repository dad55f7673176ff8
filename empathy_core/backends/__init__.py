"""Backends: what turns a question into an answer. One file each.

A backend takes one batch of requests and returns one answer each, in order. It knows nothing of
blocks, shards, files or Slurm; the caller decides what forms a batch.
"""

from typing import Literal

from empathy_core.backends.protocol import Answer, BackendProtocol, Request
from empathy_core.errors import ModelError
from empathy_core.types import ModelSpec

__all__ = ["Answer", "BackendProtocol", "Request", "load"]


def load(model: ModelSpec, overlong: Literal["error", "truncate"] = "error") -> BackendProtocol:
    """Load what answers for *model*; slow, and takes the memory of its weights.

    Args:
        model: With backend ``hf`` or ``echo``; the others' answers exist already.
        overlong: ``truncate`` cuts questions that do not fit the context window.

    Raises:
        ModelError: The weights cannot be used here.
    """
    if model.backend == "echo":
        from empathy_core.backends.echo import EchoBackend

        return EchoBackend(model)
    if model.backend == "hf":
        from empathy_core.backends.hf import load as load_hf

        return load_hf(model, overlong)
    msg = (
        f"model '{model.name}' has backend '{model.backend}', which generates nothing; expected "
        "hf or echo; its answers are written when the sweep is planned"
    )
    raise ModelError(msg)
