"""How a checkpoint's own weights are quantised: told from ``config.json`` and file headers. Pure.

A quantised weight is stored with companions, its scales first of all. Loaded without them it is
another model, which answers all the same. So each layout is known here by name, together with
what its weights need; a layout that is not known is refused.

The layouts: bitsandbytes 0.50 (``nn.modules.Linear4bit``, ``Linear8bitLt``), compressed-tensors
0.20 (``compressors``), transformers 5.23 (``integrations.finegrained_fp8``), and the GPTQ and AWQ
tensors as AutoGPTQ and AutoAWQ wrote them (``gptqmodel`` reads both).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.types import ModelSpec

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the header of its file tells it.

    Attributes:
        dtype: As safetensors names it, e.g. ``BF16`` or ``F8_E4M3``.
        shape: Of what is stored.
    """

    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class StoredQuantization:
    """The quantisation of a checkpoint.

    Attributes:
        method: As ``quant_method`` says it, in transformers' names.
        label: For records and notes, e.g. ``gptq 4-bit``.
        same_as: What ``quantization`` of a model may say without contradiction; empty if nothing.
        double: Whether its 4-bit scales are quantised as well.
        packages: What transformers needs to load it, besides what is always there.
        settings: ``quantization_config`` as it stands in the checkpoint.
    """

    method: str
    label: str
    same_as: str = ""
    double: bool = False
    packages: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def stored_quantization(config: Mapping[str, Any], who: str) -> StoredQuantization | None:
    """Return how a checkpoint is quantised; null if it is not.

    Args:
        config: Its ``config.json``.
        who: Name of the model, for messages.

    Raises:
        ModelError: It is quantised in a way that is not known here.
    """
    settings = config.get("quantization_config") or config.get("compression_config")
    if not settings and isinstance(config.get("text_config"), dict):
        settings = config["text_config"].get("quantization_config")
    if not settings:
        return None
    method = str(settings.get("quant_method") or "")
    if settings.get("load_in_4bit") or settings.get("load_in_8bit"):
        method = "bitsandbytes"
    if found := _KNOWN.get(method):
        return found(settings)
    msg = (
        f"{who}: the checkpoint is quantised as '{method or 'unnamed'}'; expected one of "
        f"{', '.join(_KNOWN)}, or weights that are not quantised; choose another checkpoint of "
        "the same model"
    )
    raise ModelError(msg)


def _bitsandbytes(settings: Mapping[str, Any]) -> StoredQuantization:
    if settings.get("load_in_8bit"):
        return StoredQuantization("bitsandbytes", "int8", same_as="int8", settings=settings)
    kind = str(settings.get("bnb_4bit_quant_type") or "fp4")  # transformers' default
    double = bool(settings.get("bnb_4bit_use_double_quant"))
    label = f"{kind} double" if double else kind
    return StoredQuantization("bitsandbytes", label, same_as=kind, double=double, settings=settings)


def _fp8(settings: Mapping[str, Any]) -> StoredQuantization:
    block = settings.get("weight_block_size")
    label = f"fp8 blocks {'x'.join(map(str, block))}" if block else "fp8"
    return StoredQuantization("fp8", label, settings=settings)


def _compressed(settings: Mapping[str, Any]) -> StoredQuantization:
    groups = list((settings.get("config_groups") or {}).values())
    bits = sorted({int((g.get("weights") or {}).get("num_bits") or 0) for g in groups} - {0})
    widths = "/".join(map(str, bits))
    label = f"compressed-tensors {settings.get('format') or 'dense'}"
    label += f" {widths}-bit" if widths else ""
    packages = ("compressed-tensors",)
    return StoredQuantization("compressed-tensors", label, packages=packages, settings=settings)


def _gptq(settings: Mapping[str, Any]) -> StoredQuantization:
    label = f"gptq {settings.get('bits', 4)}-bit"
    return StoredQuantization("gptq", label, packages=("optimum", "gptqmodel"), settings=settings)


def _awq(settings: Mapping[str, Any]) -> StoredQuantization:
    bits = settings.get("bits", settings.get("w_bit", 4))
    return StoredQuantization("awq", f"awq {bits}-bit", packages=("gptqmodel",), settings=settings)


def _mxfp4(settings: Mapping[str, Any]) -> StoredQuantization:
    return StoredQuantization("mxfp4", "mxfp4", settings=settings)


_KNOWN: Mapping[str, Callable[[Mapping[str, Any]], StoredQuantization]] = {
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "compressed-tensors": _compressed,
    "gptq": _gptq,
    "awq": _awq,
    "mxfp4": _mxfp4,
}


def check_asked(
    model: ModelSpec, stored: StoredQuantization | None, installed: Callable[[str], bool]
) -> None:
    """Refuse settings that contradict the checkpoint, and what these packages cannot load.

    Args:
        model: What is asked for.
        stored: How its checkpoint is quantised; null if it is not.
        installed: Tells whether a distribution is installed.

    Raises:
        ModelError: One of both.
    """
    if stored is None:
        return
    asked = model.quantization
    agrees = asked == stored.same_as and model.double_quantization == stored.double
    if asked is not None and not agrees:
        double = " with double_quantization" if model.double_quantization else ""
        msg = (
            f"{model.name}: quantization = '{asked}'{double} is asked of '{model.weights}', which "
            f"is quantised already ({stored.label}) and is loaded as it is stored; expected no "
            "'quantization' there; leave it out (quantization = \"none\" in a fine-tune), or take "
            "weights that are not quantised"
        )
        raise ModelError(msg)
    lacking = [package for package in stored.packages if not installed(package)]
    if lacking:
        msg = (
            f"{model.name}: '{model.weights}' is quantised as {stored.label}, which needs "
            f"{' and '.join(lacking)}; expected the packages in this Python environment; run: pip "
            f"install {' '.join(lacking)}, or take weights that are not quantised"
        )
        raise ModelError(msg)


# ---------------------------------------------------------------------------- headers


@dataclass(frozen=True, slots=True)
class Packed:
    """One quantised weight of a checkpoint.

    Attributes:
        stored: The name of the tensor that holds it.
        weight: Its name in a model that is not quantised.
        shape: Its shape there; null if the header does not tell.
        needs: Companions it cannot do without → their shape; null if any will do.
        may: Companions that it may have besides.
    """

    stored: str
    weight: str
    shape: Shape | None
    needs: Mapping[str, Shape | None]
    may: tuple[str, ...] = ()


def unpacked(
    stored: StoredQuantization,
    tensors: Mapping[str, Tensor],
    state: Callable[[str], Mapping[str, Any]],
) -> tuple[dict[str, Shape | None], list[str]]:
    """Return the tensors of the same model without quantisation, and what is wrong.

    Args:
        stored: How it is quantised.
        tensors: Name → what the headers tell.
        state: Reads a ``quant_state`` of bitsandbytes, which is JSON: it tells the shape.

    Returns:
        Name → shape, null where it is not known; and a phrase for each companion that is absent
        or of another shape.
    """
    packed = list(_LAYOUTS[stored.method](stored, tensors, state))
    cache = _CACHE if stored.settings.get("kv_cache_scheme") else ()
    names: dict[str, Shape | None] = {
        name: t.shape for name, t in tensors.items() if not (cache and name.endswith(cache))
    }
    faults: list[str] = []
    for one in packed:
        for gone in (one.stored, *one.needs, *one.may):
            names.pop(gone, None)
        for name, shape in one.needs.items():
            if name not in tensors:
                faults.append(f"{one.stored} has no {name.rpartition('.')[2]}")
            elif shape is not None and _bare(tensors[name].shape) != _bare(shape):
                faults.append(f"{name} is {tensors[name].shape}, expected {shape}")
    if not packed:
        faults.append(f"config.json says {stored.label}, and no tensor is stored so")
    names |= {one.weight: one.shape for one in packed}
    return names, faults


def can_unpack(stored: StoredQuantization) -> bool:
    """Tell whether ``unpacked`` knows the layout."""
    return stored.method in _LAYOUTS


def raw_faults(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return what looks quantised in a checkpoint whose configuration says nothing of it."""
    narrow = ("I8", "U8", "F8_E4M3", "F8_E5M2")
    return [
        f"{name} is stored as {t.dtype}, and config.json has no quantization_config"
        for name, t in tensors.items()
        if t.dtype in narrow and name.endswith("weight")
    ]


def _bare(shape: Shape) -> Shape:
    """Return a shape without its ones: a scale is stored as (n,) and as (n, 1)."""
    return tuple(n for n in shape if n != 1)


def _bnb(
    stored: StoredQuantization,
    tensors: Mapping[str, Tensor],
    state: Callable[[str], Mapping[str, Any]],
) -> Iterator[Packed]:
    if stored.same_as == "int8":
        for name, tensor in tensors.items():
            if tensor.dtype == "I8" and name.endswith(".weight"):
                module = name.removesuffix("weight")
                needs: dict[str, Shape | None] = {f"{module}SCB": tensor.shape[:1]}
                yield Packed(name, name, tensor.shape, needs, (f"{module}weight_format",))
        return
    nested = ("nested_absmax", "nested_quant_map") if stored.double else ()
    for name, tensor in tensors.items():
        if tensor.dtype != "U8" or not name.endswith(".weight"):
            continue
        key = f"{name}.quant_state.bitsandbytes__{stored.same_as}"
        shape = tuple(state(key)["shape"]) if key in tensors else None
        wanted = (*(f"{name}.{part}" for part in ("absmax", "quant_map", *nested)), key)
        yield Packed(name, name, shape, dict.fromkeys(wanted))


def _fine_fp8(
    stored: StoredQuantization, tensors: Mapping[str, Tensor], _: object
) -> Iterator[Packed]:
    block = stored.settings.get("weight_block_size")
    for name, tensor in tensors.items():
        if not tensor.dtype.startswith("F8_E4M3") or name.endswith("scale_inv"):
            continue
        scale: Shape = ()
        if block and len(tensor.shape) >= 2:
            rows, columns = tensor.shape[-2:]
            scale = (*tensor.shape[:-2], ceil(rows / block[0]), ceil(columns / block[1]))
        may = (f"{name.removesuffix('weight')}activation_scale",)
        yield Packed(name, name, tensor.shape, {f"{name}_scale_inv": scale}, may)


_CACHE = (".k_scale", ".v_scale")
"""Scales of a quantised cache of keys and values, where ``kv_cache_scheme`` says there is one."""

_EXTRAS = ("weight_zero_point", "input_scale", "input_zero_point", "output_scale", "weight_g_idx")


def _tensors_compressed(
    _: StoredQuantization, tensors: Mapping[str, Tensor], __: object
) -> Iterator[Packed]:
    for name, tensor in tensors.items():
        module = name.removesuffix("weight").removesuffix("weight_packed")
        may = tuple(module + extra for extra in _EXTRAS)
        if name.endswith(".weight_packed"):
            needs = dict.fromkeys((f"{module}weight_scale", f"{module}weight_shape"))
            yield Packed(name, f"{module}weight", None, needs, may)
        elif name.endswith(".weight") and tensor.dtype in ("I8", "F8_E4M3"):
            yield Packed(name, name, tensor.shape, {f"{module}weight_scale": None}, may)


def _gptq_tensors(
    stored: StoredQuantization, tensors: Mapping[str, Tensor], _: object
) -> Iterator[Packed]:
    bits = int(stored.settings.get("bits", 4))
    for name, tensor in tensors.items():
        if name.endswith(".qweight"):
            module = name.removesuffix("qweight")
            inside, outside = tensor.shape[0] * 32 // bits, tensor.shape[1]
            needs: dict[str, Shape | None] = dict.fromkeys((f"{module}qzeros", f"{module}scales"))
            # without the order of its groups, a checkpoint of ``desc_act`` is another model
            may = () if stored.settings.get("desc_act") else (f"{module}g_idx",)
            if not may:
                needs[f"{module}g_idx"] = (inside,)
            yield Packed(name, f"{module}weight", (outside, inside), needs, may)


def _awq_tensors(
    stored: StoredQuantization, tensors: Mapping[str, Tensor], _: object
) -> Iterator[Packed]:
    bits = int(stored.settings.get("bits", stored.settings.get("w_bit", 4)))
    for name, tensor in tensors.items():
        if name.endswith(".qweight"):
            module = name.removesuffix("qweight")
            inside, outside = tensor.shape[0], tensor.shape[1] * 32 // bits
            needs = dict.fromkeys((f"{module}qzeros", f"{module}scales"))
            yield Packed(name, f"{module}weight", (outside, inside), needs)


_LAYOUTS: Mapping[str, Callable[..., Iterator[Packed]]] = {
    "bitsandbytes": _bnb,
    "fp8": _fine_fp8,
    "compressed-tensors": _tensors_compressed,
    "gptq": _gptq_tensors,
    "awq": _awq_tensors,
}
