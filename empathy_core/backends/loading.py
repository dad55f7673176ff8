"""Models as transformers, bitsandbytes and peft load them. Safetensors only, no remote code."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empathy_core import weights
from empathy_core.errors import ModelError
from empathy_core.types import ModelSpec


def load_model(model: ModelSpec, folder: Path) -> Any:
    """Return the model in *folder*, quantised and adapted as *model* says, ready to generate.

    Raises:
        ModelError: The weights are of another architecture, incomplete or too large; the adapter
            belongs to another base.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # two hundred lines in a log
    device = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    with _load_errors(model, folder):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _check_architecture(model, config.is_encoder_decoder)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        loaded, info = kind.from_pretrained(
            folder,
            dtype=getattr(torch, model.dtype),
            device_map={"": device},
            use_safetensors=True,
            trust_remote_code=False,
            quantization_config=_quantization(model),
            output_loading_info=True,
        )
    _check_complete(model, folder, info)
    _keep_exact(loaded)
    if model.adapter:
        loaded = with_adapter(loaded, model, folder).get_base_model()
    return loaded.eval()


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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
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


def _quantization(model: ModelSpec) -> Any:
    """Return bitsandbytes' settings; null where the weights are not quantised."""
    if model.quantization is None:
        return None
    import torch
    from transformers import BitsAndBytesConfig

    if model.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=model.quantization,
        bnb_4bit_use_double_quant=model.double_quantization,
        bnb_4bit_compute_dtype=getattr(torch, model.dtype),
    )


def _check_complete(model: ModelSpec, folder: Path, info: Any) -> None:
    """Refuse weights that lack a tensor: transformers fills it at random and only warns."""
    lacking = sorted({*info["missing_keys"], *(str(k[0]) for k in info["mismatched_keys"])})
    if lacking:
        msg = (
            f"{model.name}: {folder} lacks {len(lacking)} tensors ({', '.join(lacking[:3])} …); "
            "expected every tensor of the architecture, in its shape; load the model again, or "
            "correct 'weights' (a model without a language head cannot answer)"
        )
        raise ModelError(msg)


def _keep_exact(loaded: Any) -> None:
    """Keep 4-bit layers from being packed anew, which bitsandbytes does at a first forward pass.

    On processors with AVX-512 BF16 it rounds the scales to bfloat16 for a faster kernel: logits
    depend on the processor, float32 is computed in bfloat16, and, since that kernel has no
    backward pass, training after a validation or a generation gets no gradients, silently.
    """
    for layer in loaded.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


# ---------------------------------------------------------------------------- adapters


def with_adapter(loaded: Any, model: ModelSpec, folder: Path) -> Any:
    """Return *loaded*, which lies in *folder*, as peft's model with the adapter of *model*.

    Raises:
        ModelError: The adapter belongs to another base, or is damaged.
    """
    from peft import PeftModel

    adapter = weights.locate(str(model.adapter), model.adapter_revision)
    _check_base(model, adapter, folder)
    with warnings.catch_warnings():
        # peft warns and leaves at random what an adapter lacks.
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        try:
            return PeftModel.from_pretrained(loaded, adapter)
        except (OSError, ValueError, KeyError, RuntimeError, UserWarning) as error:
            reason = " ".join(str(error).split())[:200]
            msg = (
                f"{model.name}: adapter {adapter} does not fit '{model.weights}' ({reason}); "
                "expected one trained on these weights; correct 'adapter' or 'weights'"
            )
            raise ModelError(msg) from error


def _check_base(model: ModelSpec, adapter: Path, folder: Path) -> None:
    """Refuse an adapter that names another base: shapes alone cannot tell two models apart."""
    settings = adapter / "adapter_config.json"
    if not settings.is_file() or not (adapter / "adapter_model.safetensors").is_file():
        msg = (
            f"{model.name}: {adapter} is no adapter; expected adapter_config.json and "
            "adapter_model.safetensors, as peft saves them; correct 'adapter'"
        )
        raise ModelError(msg)
    if record := weights.recorded(adapter):
        _check_record(model, adapter, record, folder)
        return
    base = json.loads(settings.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    accepted = {model.weights, str(folder), dict(model.options).get("adapter_base")}
    if base not in accepted:
        msg = (
            f"{model.name}: adapter {adapter} was trained on '{base}', but the model loads "
            f"'{model.weights}'; expected the same base; correct 'weights', or if both are the "
            f'same model under two names, set options = {{ adapter_base = "{base}" }}'
        )
        raise ModelError(msg)


def _check_record(model: ModelSpec, adapter: Path, record: Mapping[str, Any], folder: Path) -> None:
    """Refuse what is not as this suite left it: other weights of the same name, another file."""
    trained, found = str(record["base"]["fingerprint"]), weights.fingerprint(folder)
    if trained != found and dict(model.options).get("adapter_base") != trained[:12]:
        revisions = (record["base"].get("revision"), model.revision)
        was, now = (f"revision {r}" if r else "no revision" for r in revisions)
        msg = (
            f"{model.name}: adapter {adapter} was trained on '{record['base'].get('weights')}' "
            f"({was}, fingerprint {trained[:12]}), but the model loads '{model.weights}' ({now}, "
            f"fingerprint {found[:12]}); expected the same weights; set 'weights' and 'revision' "
            "to what it was trained on, train the adapter anew, or if both are the same weights "
            f'kept in two ways, set options = {{ adapter_base = "{trained[:12]}" }}'
        )
        raise ModelError(msg)
    sha256 = weights.file_digest(adapter / "adapter_model.safetensors")
    if sha256 != record["adapter_sha256"]:
        msg = (
            f"{model.name}: the weights of adapter {adapter} are not what was trained (SHA-256 "
            f"{sha256[:12]}, expected {record['adapter_sha256'][:12]}); copy the folder again, or "
            "train the adapter anew"
        )
        raise ModelError(msg)
