"""Whether a model can be loaded, found out before anything is computed or submitted.

Configuration, headers, adapter and tokenizer are looked at, and no weight is read. What is found
is kept in the run, since torch has to be imported for it.
"""

from dataclasses import asdict
from importlib.metadata import version

from empathy_core import weights
from empathy_core.errors import ModelError
from empathy_core.store import RunDir
from empathy_core.types import ModelSpec, digest
from empathy_core.weights import checkpoint
from jobs.planning.withheld import WithheldWrites


def stored_quantization(spec: ModelSpec, run: RunDir, withheld: WithheldWrites) -> str:
    """Return how the checkpoint of *spec* is quantised itself; empty if it is not.

    Args:
        spec: A model of whatever backend.
        run: Keeps that a model was looked at.
        withheld: Takes what is to be kept.

    Raises:
        ModelError: The model could not be loaded as *spec* says.
    """
    if spec.backend != "hf" or spec.weights is None:
        return ""
    from empathy_core.backends import loading

    folder = weights.locate(spec.weights, spec.revision)
    if spec.engine is not None:  # the engine loads it, by packages of its own
        found = checkpoint.stored_in(folder, spec.name)
        return found.label if found else ""
    stored = loading.checked_quantization(spec, folder)  # packages come and go: asked each time
    known = run.rendering(f"loadable-{_key(spec)}")
    if not known.exists():
        loading.check_loadable(spec, folder)
        withheld.json({"stored": stored.label if stored else ""}, known)
    return stored.label if stored else ""


def _key(spec: ModelSpec) -> str:
    """Return what the answer depends on: settings, files, and the packages that are asked."""
    packages = [version(name) for name in ("transformers", "peft")]
    return digest([asdict(spec), weights.model_fingerprint(spec), packages], 16)


def check_trainable(spec: ModelSpec) -> None:
    """Refuse to train on a checkpoint whose quantisation has no gradients everywhere.

    Raises:
        ModelError: It is quantised by something else than bitsandbytes.
    """
    from empathy_core.backends import loading

    stored = loading.checked_quantization(spec, weights.locate(str(spec.weights), spec.revision))
    if stored is None or stored.method == "bitsandbytes":
        return
    msg = (
        f"{spec.name}: '{spec.weights}' is quantised as {stored.label}, which is for answering "
        "only; expected weights that are not quantised, or quantised by bitsandbytes; train on "
        'those (quantization = "nf4" quantises them while they are loaded)'
    )
    raise ModelError(msg)
