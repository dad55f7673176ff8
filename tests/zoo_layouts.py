"""Tiny checkpoints that are quantised already, in the layouts that the Hub's are stored in.

FP8, compressed-tensors, GPTQ and AWQ are written here by their formulas; bitsandbytes by itself.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.zoo_models import make

Tensors = Mapping[str, torch.Tensor]


def wide_llama(folder: Path) -> Path:
    """Write a llama whose layers are wide enough for the packages' blocks."""
    return make("llama", folder, hidden_size=64, intermediate_size=128)


def quantised(base: Path, layout: str, folder: Path) -> Path:
    """Write the model in *base* to *folder*, quantised in *layout*, and return that."""
    shutil.copytree(base, folder)
    if layout in _BITSANDBYTES:
        settings = BitsAndBytesConfig(**_BITSANDBYTES[layout])
        model = AutoModelForCausalLM.from_pretrained(
            base, quantization_config=settings, device_map={"": "cpu"}
        )
        model.save_pretrained(folder)
        return folder
    settings, written = _WRITTEN[layout]
    rewrite_config(folder, quantization_config=settings)
    rewrite(folder, lambda tensors: _each(tensors, written))
    return folder


def rewrite_config(folder: Path, **changed: Any) -> None:
    """Change settings in ``config.json``."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def rewrite(
    folder: Path,
    change: Callable[[dict[str, torch.Tensor]], Tensors],
    name: str = "model.safetensors",
) -> None:
    """Change the tensors of a model or an adapter."""
    found = {k: v.clone().contiguous() for k, v in change(load_file(folder / name)).items()}
    save_file(found, folder / name, {"format": "pt"})


def _each(tensors: Tensors, written: Callable[[str, torch.Tensor], Tensors]) -> Tensors:
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        is_layer = name.endswith("proj.weight")
        found |= written(name.removesuffix("weight"), tensor) if is_layer else {name: tensor}
    return found


_BITSANDBYTES: Mapping[str, Mapping[str, Any]] = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "nf4 double": {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
    },
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    "int8": {"load_in_8bit": True},
}  # fmt: skip

_BLOCK = 32


def _fp8(module: str, weight: torch.Tensor) -> Tensors:
    rows, columns = (n // _BLOCK for n in weight.shape)
    blocks = weight.reshape(rows, _BLOCK, columns, _BLOCK)
    scale = blocks.abs().amax((1, 3)) / 448
    stored = (blocks / scale[:, None, :, None]).reshape(weight.shape).to(torch.float8_e4m3fn)
    return {f"{module}weight": stored, f"{module}weight_scale_inv": scale}


def _channels(module: str, weight: torch.Tensor, most: int, dtype: torch.dtype) -> Tensors:
    scale = weight.abs().amax(1, keepdim=True) / most
    stored = weight / scale
    stored = stored.round() if dtype == torch.int8 else stored
    return {f"{module}weight": stored.to(dtype), f"{module}weight_scale": scale}


def _gptq(module: str, weight: torch.Tensor) -> Tensors:
    outside, inside = weight.shape
    whole = torch.zeros(inside // 8, outside, dtype=torch.int32)
    return {
        f"{module}qweight": whole,
        f"{module}qzeros": torch.zeros(inside // _BLOCK, outside // 8, dtype=torch.int32),
        f"{module}scales": torch.ones(inside // _BLOCK, outside, dtype=torch.float16),
        f"{module}g_idx": torch.arange(inside, dtype=torch.int32) // _BLOCK,
    }


def _awq(module: str, weight: torch.Tensor) -> Tensors:
    outside, inside = weight.shape
    return {
        f"{module}qweight": torch.zeros(inside, outside // 8, dtype=torch.int32),
        f"{module}qzeros": torch.zeros(inside // _BLOCK, outside // 8, dtype=torch.int32),
        f"{module}scales": torch.ones(inside // _BLOCK, outside, dtype=torch.float16),
    }


def _compressed(kind: str, form: str) -> dict[str, Any]:
    shared = {"num_bits": 8, "type": kind, "symmetric": True}
    group = {
        "targets": ["Linear"],
        "weights": {**shared, "strategy": "channel", "dynamic": False},
        "input_activations": {**shared, "strategy": "token", "dynamic": True},
        "output_activations": None,
    }
    return {
        "quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"],
        "quantization_status": "compressed", "config_groups": {"group_0": group},
    }  # fmt: skip


_WRITTEN: Mapping[str, tuple[dict[str, Any], Callable[[str, torch.Tensor], Tensors]]] = {
    "fp8": (
        {
            "quant_method": "fp8", "weight_block_size": [_BLOCK, _BLOCK], "fmt": "e4m3",
            "activation_scheme": "dynamic", "modules_to_not_convert": ["lm_head"],
        },
        _fp8,
    ),
    "compressed fp8": (
        _compressed("float", "float-quantized"),
        lambda m, w: _channels(m, w, 448, torch.float8_e4m3fn),
    ),
    "compressed w8a8": (
        _compressed("int", "int-quantized"), lambda m, w: _channels(m, w, 127, torch.int8),
    ),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}, _gptq),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}, _awq),
}  # fmt: skip

LAYOUTS = (*_BITSANDBYTES, *_WRITTEN)
"""Names of the layouts."""
