"""Models as transformers, bitsandbytes and peft load them. Safetensors only, no remote code."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError, first_line
from empathy_core.prompts import tokenizers
from empathy_core.prompts.stops import read_settings
from empathy_core.types import ModelSpec
from empathy_core.weights import checkpoint, peft_adapters
from empathy_core.weights.peft_adapters import Adapter
from empathy_core.weights.quantisation import StoredQuantization, check_asked


def load_model(model: ModelSpec, folder: Path) -> Any:
    """Return the model in *folder*, quantised and adapted as *model* says, ready to generate.

    Raises:
        ModelError: The weights are of another architecture, incomplete or too large, or quantised
            otherwise than asked; the adapter belongs to another base, or does not fit.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # two hundred lines in a log
    device = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    config = checkpoint.read_config(folder, model.name)
    _check_architecture(model, config.is_encoder_decoder)
    stored = checked_quantization(model, folder)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with _load_errors(model, folder), checkpoint.quiet():
        loaded, info = kind.from_pretrained(
            folder,
            dtype=getattr(torch, model.dtype),
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report, by name
            attn_implementation=model.attention,
            **_quantization(model, stored),
        )
    checkpoint.refuse(model.name, folder, checkpoint.faults(info, config.model_type))
    _keep_exact(loaded)
    if stored is not None and stored.method == "fp8":
        _one_precision(loaded, getattr(torch, model.dtype))
    if model.adapter:
        loaded = with_adapter(loaded, model, folder).get_base_model()
    return loaded.eval()


def checked_quantization(model: ModelSpec, folder: Path) -> StoredQuantization | None:
    """Return how the checkpoint in *folder* is quantised itself; null if it is not.

    Raises:
        ModelError: *model* asks for another quantisation, or a package is not installed.
    """
    stored = checkpoint.stored_in(folder, model.name)
    check_asked(model, stored, _installed)
    return stored


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def check_loadable(model: ModelSpec, folder: Path) -> None:
    """Refuse weights and an adapter that could not be loaded, without loading any weight.

    Raises:
        ModelError: As ``load_model``, as far as configuration and headers tell; and where the
            tokenizer beside the adapter is another than the base's, and *model* does not choose.
    """
    config = checkpoint.read_config(folder, model.name)
    _check_architecture(model, config.is_encoder_decoder)
    read_settings(folder)
    checked_quantization(model, folder)
    bones = checkpoint.skeleton(folder, model.name)
    if model.adapter:
        tokenizers.check_beside(model, _checked_adapter(model, folder, bones), folder)


@contextmanager
def _load_errors(model: ModelSpec, folder: Path) -> Iterator[None]:
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        msg = (
            f"{model.name}: the weights in {folder} do not fit in memory as {model.dtype}; "
            'expected room for all of them; set quantization = "nf4", dtype = "bfloat16", or '
            "use a larger GPU"
        )
        raise ModelError(msg) from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        reason = first_line(error)
        msg = (
            f"{model.name}: {folder} cannot be loaded ({reason[:200]}); expected a whole model "
            "that this version of transformers knows; load it again with 'prefetch', or update "
            "transformers"
        )
        raise ModelError(msg) from error


def _check_architecture(model: ModelSpec, is_encoder_decoder: bool) -> None:
    found = "encoder-decoder" if is_encoder_decoder else "decoder"
    if model.architecture != found:
        msg = (
            f"{model.name}: the weights '{model.weights}' are a {found}; expected "
            f"'{model.architecture}' as the model's settings say; set architecture = '{found}'"
        )
        raise ModelError(msg)


def _quantization(model: ModelSpec, stored: StoredQuantization | None) -> Mapping[str, Any]:
    """Return bitsandbytes' settings as an argument, and none where nothing is to be quantised.

    Even a null would take the checkpoint's own settings away from transformers, which then loads
    its weights without their scales.
    """
    if stored is not None:
        return _alike_everywhere(stored)
    if model.quantization is None:
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    if model.quantization == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=model.quantization,
        bnb_4bit_use_double_quant=model.double_quantization,
        bnb_4bit_compute_dtype=getattr(torch, model.dtype),
    )
    return {"quantization_config": settings}


def _alike_everywhere(stored: StoredQuantization) -> Mapping[str, Any]:
    """Return what keeps FP8 and MXFP4 weights from being run in another way where a GPU can.

    Elsewhere transformers multiplies them with their scales; there it rounds activations as well,
    by kernels from the Hub: answers would depend on the machine.
    """
    from transformers import FineGrainedFP8Config, Mxfp4Config

    kinds = {"fp8": FineGrainedFP8Config, "mxfp4": Mxfp4Config}
    if stored.method not in kinds:
        return {}
    settings = {**stored.settings, "dequantize": True}
    return {"quantization_config": kinds[stored.method].from_dict(settings)}


def _keep_exact(loaded: Any) -> None:
    """Keep 4-bit layers from being packed anew, which bitsandbytes does at a first forward pass.

    On processors with AVX-512 BF16 it rounds the scales to bfloat16 for a faster kernel: logits
    depend on the processor, float32 is computed in bfloat16, and, since that kernel has no
    backward pass, training after a validation or a generation gets no gradients, silently.
    """
    for layer in loaded.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def _one_precision(loaded: Any, dtype: Any) -> None:
    """Give a model that was stored in FP8 the precision that is asked for.

    transformers leaves each tensor in the precision of its file, and weights in that of their
    scales: the layers do not go together.
    """
    weights = dict(loaded.named_parameters())
    kept = [*(loaded._keep_in_fp32_modules or ()), *(loaded._keep_in_fp32_modules_strict or ())]
    for name, weight in weights.items():
        if weight.is_floating_point() and not any(part in name for part in kept):
            weight.data = weight.data.to(dtype)


# ---------------------------------------------------------------------------- adapters


def with_adapter(loaded: Any, model: ModelSpec, folder: Path) -> Any:
    """Return *loaded*, which lies in *folder*, as peft's model with the adapter of *model*.

    Side effect: the embedding of *loaded* is resized where the adapter was trained so.

    Raises:
        ModelError: The adapter belongs to another base, is damaged, or of a kind that cannot be.
    """
    from peft import PeftModel

    adapter = _checked_adapter(model, folder, checkpoint.skeleton(folder, model.name))
    peft_adapters.resize(loaded, adapter)
    with warnings.catch_warnings():
        # peft warns and leaves at random what an adapter lacks.
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        try:
            return PeftModel.from_pretrained(loaded, adapter.folder)
        except (OSError, ValueError, KeyError, RuntimeError, UserWarning) as error:
            reason = " ".join(str(error).split())[:200]
            msg = (
                f"{model.name}: adapter {adapter.folder} does not fit '{model.weights}' "
                f"({reason}); expected one trained on these weights; correct 'adapter' or "
                "'weights'"
            )
            raise ModelError(msg) from error


def _checked_adapter(model: ModelSpec, folder: Path, bones: Any) -> Adapter:
    """Return the adapter of *model*, which belongs to the weights in *folder* and fits them."""
    adapter = peft_adapters.read_adapter(model)
    peft_adapters.check_base(model, adapter, folder)
    if bones is not None:
        peft_adapters.check_fit(model, adapter, bones)
    return adapter
