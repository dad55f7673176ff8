"""What a checkpoint holds beside progress: adapter, optimiser, states of random generators."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empathy_core.training.loop import checkpoints

OPTIMIZER = "optimizer.pt"


def seed(number: int, process: int) -> None:
    """Seed Python, numpy and torch; dropout differs between processes."""
    import torch
    from accelerate.utils import set_seed

    set_seed(number)
    if process:  # else the masks of dropout are those of the main process
        torch.manual_seed(number + process)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random states of Python, numpy and torch as they were."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def write(folder: Path, adapted: Any, optimizer: Any, accelerator: Any) -> None:
    """Write adapter and optimiser, in the main process, and each process's random states."""
    import torch

    if accelerator.is_main_process:
        checkpoints.save_adapter(adapted, folder)
        torch.save(optimizer.state_dict(), folder / OPTIMIZER)
    chance = {"cpu": torch.random.get_rng_state()}
    if torch.cuda.is_available():
        chance["cuda"] = torch.cuda.get_rng_state()
    torch.save(chance, folder / _chance(accelerator))


def read(folder: Path, adapted: Any, optimizer: Any, accelerator: Any) -> None:
    """Put back what ``write`` wrote, or a checkpoint of transformers' Trainer before it.

    Random states of a process that did not write the checkpoint stay as they are seeded.
    """
    import torch
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(adapted, load_file(folder / checkpoints.ADAPTER_FILES[0]))
    saved = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
    # Trainer had a second group, of weights without decay: LoRA has none
    saved["param_groups"] = saved["param_groups"][: len(optimizer.param_groups)]
    optimizer.load_state_dict(saved)
    path = folder / _chance(accelerator)
    if path.is_file():
        _set_chance(path)


def _chance(accelerator: Any) -> str:
    alone = accelerator.num_processes == 1
    return "rng_state.pth" if alone else f"rng_state_{accelerator.process_index}.pth"


def _set_chance(path: Path) -> None:
    import numpy as np
    import torch

    # Trainer kept numpy's state too, which nothing here draws from
    allowed = [np._core.multiarray._reconstruct, np.ndarray, np.dtype, np.dtypes.UInt32DType]  # type: ignore[attr-defined]
    with torch.serialization.safe_globals(allowed):
        chance = torch.load(path, map_location="cpu", weights_only=True)
    torch.random.set_rng_state(chance["cpu"])
    if torch.cuda.is_available() and isinstance(chance.get("cuda"), torch.Tensor):
        torch.cuda.set_rng_state(chance["cuda"])
