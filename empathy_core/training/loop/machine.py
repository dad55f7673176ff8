"""What the machine must be able to do for a fine-tune, asked before anything is loaded."""

import resource
import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path

from empathy_core.errors import ConfigError, ModelError, StorageError, UnknownName
from empathy_core.training.spec import FinetuneSpec

_PACKAGES = {"comet_ml": "comet-ml"}
"""What pip calls a tracker, where it is not the tracker's own name."""

CHECKPOINTS_KEPT = 2


def check_machine(spec: FinetuneSpec) -> None:
    """Refuse what this machine cannot compute.

    Raises:
        ConfigError: The dtype, or a tracker, cannot be used.
        ModelError: The quantisation cannot be used.
    """
    _check_dtype(spec)
    _check_quantization(spec)
    _check_trackers(spec)


def _check_dtype(spec: FinetuneSpec) -> None:
    import torch

    if spec.base.dtype == "float16":
        msg = (
            f"{spec.name}: float16 overflows in training without loss scaling, which is not done "
            "here; expected bfloat16 or float32; set the base's dtype"
        )
        raise ConfigError(msg)
    # a processor computes bfloat16 too, only slowly
    gpu = torch.cuda.is_available()
    if spec.base.dtype == "bfloat16" and gpu and not torch.cuda.is_bf16_supported(False):
        msg = (
            f"{spec.name}: {torch.cuda.get_device_name()} cannot compute in bfloat16; expected a "
            'GPU of compute capability 8.0 or newer; set the base\'s dtype = "float32"'
        )
        raise ConfigError(msg)


def _check_quantization(spec: FinetuneSpec) -> None:
    """Refuse a base that bitsandbytes cannot load; 0.50 trains on processors in all its formats."""
    import torch

    if spec.base.quantization is None:
        return
    try:
        import_module("bitsandbytes")
    except Exception as error:
        msg = (
            f"{spec.name}: quantization = '{spec.base.quantization}' needs bitsandbytes, which "
            f"cannot be imported here ({error}); install it with 'pip install "
            "bitsandbytes>=0.50', or leave quantization out"
        )
        raise ModelError(msg) from error
    if torch.cuda.is_available() and torch.cuda.get_device_capability() < (6, 0):
        msg = (
            f"{spec.name}: {torch.cuda.get_device_name()} is too old for bitsandbytes; expected "
            "compute capability 6.0 or newer; take another GPU, or leave quantization out"
        )
        raise ModelError(msg)


def _check_trackers(spec: FinetuneSpec) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    for tracker in spec.trackers:
        if tracker not in LOGGER_TYPE_TO_CLASS:
            raise UnknownName("tracker", tracker, LOGGER_TYPE_TO_CLASS)
        if tracker not in map(str, get_available_trackers()):
            msg = (
                f"{spec.name}: tracker '{tracker}' is not installed; expected its package; run "
                f"'pip install {_PACKAGES.get(tracker, tracker)}', or take '{tracker}' out of "
                "trackers"
            )
            raise ConfigError(msg)


def check_space(work: Path, n_trainable: int) -> None:
    """Refuse to train where the checkpoints do not fit.

    A checkpoint holds the adapter, Adam's two moments of it, and the best adapter so far, all
    float32; ``CHECKPOINTS_KEPT`` of them are kept beside one being written and the result.

    Raises:
        StorageError: There is less room than that.
    """
    each = 16 * n_trainable + 1_000_000  # log, random states, trainer's state
    need, free = (CHECKPOINTS_KEPT + 2) * each, shutil.disk_usage(work).free
    if free < need:
        msg = (
            f"{work} has {free / 1e6:,.0f} MB free, but the checkpoints of {n_trainable:,} "
            f"trained weights need {need / 1e6:,.0f} MB; free some space, choose another place "
            "with --runs, or lower lora.r"
        )
        raise StorageError(msg)


def precision(dtype: str, device: str) -> AbstractContextManager[object]:
    """Return bfloat16 for a bfloat16 base, whose adapter is float32; else nothing.

    accelerate's own ``bf16`` would copy the logits to float32, all of them, before the loss.
    """
    import torch

    if dtype != "bfloat16":
        return nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)


def memory_mb() -> float:
    """Return the peak of the GPU's allocated memory, or of this process where there is none."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on macOS
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
