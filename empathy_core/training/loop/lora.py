"""LoRA layers on a loaded base: which modules, in which precision, from which seed."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.training import modules
from empathy_core.training.spec import FinetuneSpec


def attach(model: Any, spec: FinetuneSpec) -> Any:
    """Return *model* as a peft model whose adapter, in float32, is all that is trained.

    ``peft.prepare_model_for_kbit_training`` is not called: it turns all that bitsandbytes left
    in half precision (embedding, head, norms) into float32, which for a vocabulary of 128,000 of
    an 8B model takes 4 GB more. Nothing here needs it: the base is frozen, norms compute in
    float32 by themselves, and checkpointing without re-entry needs no input that has a gradient.

    Side effect: gradient checkpointing is turned on in *model* where *spec* asks for it. The
    global random state is as it was.

    Raises:
        ModelError: See ``modules.updated``.
    """
    from peft import LoraConfig, get_peft_model

    found = modules.anatomy(model)
    layers = modules.updated(found, spec)
    encoder_decoder = spec.base.is_encoder_decoder
    config = LoraConfig(
        r=spec.lora.r,
        lora_alpha=spec.lora.alpha,
        lora_dropout=spec.lora.dropout,
        target_modules=list(spec.modules),
        exclude_modules=modules.excluded(found, spec),
        fan_in_fan_out=not found.transposed.isdisjoint(layers),
        task_type="SEQ_2_SEQ_LM" if encoder_decoder else "CAUSAL_LM",
        base_model_name_or_path=spec.base.weights,
        revision=spec.base.revision,
    )
    if spec.gradient_checkpointing:
        _checkpoint_gradients(model)
    with _seeded(spec.seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks the Hub for what the folder says already
        adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
    # get_peft_model writes the folder of this machine there
    adapted.peft_config["default"].base_model_name_or_path = spec.base.weights
    return adapted


def go_on_from(adapted: Any, folder: Path) -> None:
    """Give *adapted* the adapter weights in *folder*, of the same layers and rank.

    Raises:
        ModelError: They are of other layers, or of another rank.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    found = load_file(folder / "adapter_model.safetensors")
    wanted = get_peft_model_state_dict(adapted)
    if {n: w.shape for n, w in found.items()} != {n: w.shape for n, w in wanted.items()}:
        msg = (
            f"the adapter {folder} is of other layers or of another rank than the one that is to "
            "be trained on from it; expected the same modules, exclude and r; train it again"
        )
        raise ModelError(msg)
    set_peft_model_state_dict(adapted, found)


def trainable(model: Any) -> tuple[int, int]:
    """Return the number of weights that are trained, and of all; a 4-bit weight counts as one."""
    n_trainable, n_weights = model.get_nb_trainable_parameters()
    return int(n_trainable), int(n_weights)


def _checkpoint_gradients(model: Any) -> None:
    settings = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # the newer name of the same
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch inside, and leave its random state as it was."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
