"""What a checkpoint is, from its configuration and the headers of its files: no weight is read.

Whether every tensor of the architecture is there, in its shape, and none besides, is asked of
transformers itself: it loads tensors without content (of torch's device ``meta``), named and
shaped as the headers say, by the same code that loads the real ones.
"""

import json
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.weights import quantisation as layouts
from empathy_core.weights.quantisation import Shape, StoredQuantization, Tensor

log = logging.getLogger(__name__)

_FAIRSEQ = (r"(^|\.)(encoder|decoder)\.version$",)

HARMLESS: Mapping[str, tuple[str, ...]] = {
    "bart": _FAIRSEQ,
    "blenderbot": _FAIRSEQ,
    "mbart": _FAIRSEQ,
    "pegasus": _FAIRSEQ,
    "codegen": (r"\.attn\.causal_mask$",),
    "gpt2": (r"(^|\.)h\.\d+\.attn\.masked_bias$",),
    "gpt_neo": (r"\.attn\.attention\.(masked_)?bias$",),
    "gpt_neox": (r"\.attention\.rotary_emb\.inv_freq$",),
    "gptj": (r"\.attn\.(masked_)?bias$",),
    "llama": (r"\.self_attn\.rotary_emb\.inv_freq$",),
    "mistral": (r"\.self_attn\.rotary_emb\.inv_freq$",),
}
"""Architecture → names of tensors without a place that change nothing: causal masks and rotary
frequencies, which older versions of transformers saved and newer ones compute, and the version of
a format. What transformers
itself declares (``_keys_to_ignore_on_load_unexpected``, rotary frequencies, position ids) it
leaves out of its report."""

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


# ---------------------------------------------------------------------------- config.json


def raw_config(folder: Path, who: str) -> dict[str, Any]:
    """Return ``config.json`` of the model in *folder* as it is written.

    Raises:
        ModelError: There is none, an adapter lies there too or alone, or it is no JSON object.
    """
    path = folder / "config.json"
    adapter = (folder / "adapter_config.json").is_file()
    if path.is_file() and adapter:  # transformers would put it on, and nothing would say so
        msg = (
            f"{who}: {folder} holds a whole model and an adapter, and transformers would apply "
            "the adapter unasked; expected weights alone; take adapter_config.json out of a copy "
            "of the folder if the adapter is merged already, else keep the two in folders of "
            "their own and set weights and adapter"
        )
        raise ModelError(msg)
    if not path.is_file() and adapter:
        msg = (
            f"{who}: {folder} holds an adapter, and no model; expected the weights of its base "
            "there; set weights to the base, and adapter to this folder"
        )
        raise ModelError(msg)
    if not path.is_file():
        msg = (
            f"{who}: {folder} has no config.json; expected one beside the weights, as "
            "save_pretrained writes it; save or download the whole model again, or correct "
            "'weights'"
        )
        raise ModelError(msg)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(_broken(who, path, error)) from error
    if not isinstance(found, dict):
        raise ModelError(_broken(who, path, f"a {type(found).__name__}"))
    return found


def _broken(who: str, path: Path, reason: object) -> str:
    return (
        f"{who}: {path} cannot be read ({str(reason)[:160]}); expected the JSON object that "
        "save_pretrained writes; save or download the whole model again"
    )


def read_config(folder: Path, who: str) -> Any:
    """Return the configuration of the model in *folder*, as transformers understands it.

    Raises:
        ModelError: See ``raw_config``; or the architecture is none that transformers knows, or
            one whose code travels with the weights.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    raw = raw_config(folder, who)
    kind = raw.get("model_type")
    if kind not in CONFIG_MAPPING:
        own = "auto_map" in raw
        why = "it comes with code of its own, which is never run" if own else "it is not known"
        msg = (
            f"{who}: the model in {folder} is of type '{kind}' and cannot be loaded ({why}); "
            "expected a model_type that this version of transformers knows; correct config.json, "
            "update transformers, or take a model that needs no code of its own"
        )
        raise ModelError(msg)
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a wrong value breaks a configuration anywhere, with any exception
        raise ModelError(_broken(who, folder / "config.json", error)) from error


def stored_in(folder: Path, who: str) -> StoredQuantization | None:
    """Return how the checkpoint in *folder* is quantised; null if it is not.

    Raises:
        ModelError: See ``raw_config`` and ``stored.stored_quantization``.
    """
    return layouts.stored_quantization(raw_config(folder, who), who)


# ---------------------------------------------------------------------------- files


def weight_files(folder: Path, who: str) -> list[Path]:
    """Return the files that transformers takes the weights from.

    Raises:
        ModelError: There is none, or a part is absent.
    """
    named = raw_config(folder, who).get("transformers_weights")
    for name in (named,) if named else (_SINGLE, _INDEX):
        path = folder / str(name)
        if not path.is_file():
            continue
        return _parts(path, who) if path.name.endswith(".index.json") else [path]
    found = ", ".join(sorted(p.name for p in folder.glob("*.safetensors"))[:3]) or "nothing"
    msg = (
        f"{who}: {folder} has neither {named or f'{_SINGLE} nor {_INDEX}'}; expected the weights "
        f"under a name that transformers takes them from, found {found}; load the whole model "
        "again, or save it with save_pretrained"
    )
    raise ModelError(msg)


def _parts(index: Path, who: str) -> list[Path]:
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(_broken(who, index, error)) from error
    paths = [index.parent / name for name in sorted(set(names))]
    lacking = [path.name for path in paths if not path.is_file()]
    if lacking:
        msg = (
            f"{who}: {index.parent} lacks {', '.join(lacking[:3])}; expected every file that "
            f"{index.name} names; save or download it again"
        )
        raise ModelError(msg)
    return paths


def headers(paths: Sequence[Path], who: str) -> dict[str, Tensor]:
    """Return name → type and shape of every tensor in files of safetensors.

    Raises:
        ModelError: A file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - it is no mapping
                    part = file.get_slice(name)
                    found[name] = Tensor(part.get_dtype(), tuple(part.get_shape()))
        except (OSError, SafetensorError) as error:
            msg = (
                f"{who}: {path} cannot be read ({str(error)[:160]}); expected a whole file of "
                "safetensors; save or download it again"
            )
            raise ModelError(msg) from error
    return found


def _quant_states(paths: Sequence[Path]) -> Callable[[str], Mapping[str, Any]]:
    """Return what reads a ``quant_state`` of bitsandbytes: a few dozen bytes of JSON."""
    from safetensors import safe_open

    def state(name: str) -> Mapping[str, Any]:
        for path in paths:
            with safe_open(path, framework="numpy") as file:
                if name in file.keys():  # noqa: SIM118
                    found: Mapping[str, Any] = json.loads(file.get_tensor(name).tobytes())
                    return found
        raise KeyError(name)

    return state


# ---------------------------------------------------------------------------- tensors


def harmless(name: str, model_type: str) -> bool:
    """Tell whether a tensor without a place changes nothing."""
    return any(re.search(pattern, name) for pattern in HARMLESS.get(model_type, ()))


def faults(info: Mapping[str, Any], model_type: str) -> list[str]:
    """Return a phrase for each tensor that is absent, of another shape, or without a place.

    Args:
        info: What transformers reports with ``output_loading_info``.
        model_type: The architecture.
    """
    missing = [f"no {name}" for name in sorted(info["missing_keys"])]
    shaped = [
        f"{name} is {tuple(found)}, expected {tuple(wanted)}"
        for name, found, wanted in sorted(info["mismatched_keys"])
    ]
    unexpected = [
        f"{name} has no place in the model"
        for name in sorted(info["unexpected_keys"])
        if not harmless(name, model_type)
    ]
    return [*missing, *shaped, *unexpected]


_EXPERT = re.compile(r"(?P<layer>.*\.experts)\.(?P<number>\d+)\.(?P<part>.+)")


def uneven_experts(shapes: Mapping[str, Shape | None]) -> list[str]:
    """Return a phrase for each tensor that one expert of a layer has and another lacks.

    transformers puts the experts of a layer together, and says of what it cannot put together
    neither which nor why.
    """
    layers: dict[str, dict[str, dict[int, Shape | None]]] = {}
    for name, shape in shapes.items():
        if found := _EXPERT.fullmatch(name):
            parts = layers.setdefault(found["layer"], {})
            parts.setdefault(found["part"], {})[int(found["number"])] = shape
    uneven = []
    for layer, parts in layers.items():
        n_experts = 1 + max(max(numbers) for numbers in parts.values())
        for part, by_number in parts.items():
            usual = Counter(by_number.values()).most_common(1)[0][0]
            uneven += [
                f"no {layer}.{number}.{part} of shape {usual}"
                for number in range(n_experts)
                if by_number.get(number, "none") != usual
            ]
    return uneven


def refuse(who: str, folder: Path, found: Sequence[str]) -> None:
    """Raise ``ModelError`` where there are faults."""
    if not found:
        return
    msg = (
        f"{who}: the weights in {folder} are not those of the model that config.json describes, "
        f"in {len(found)} tensors ({'; '.join(found[:3])}{' …' if len(found) > 3 else ''}); "
        "expected every tensor of the architecture in its shape, and no other; save or "
        "download the model again, or correct 'weights' (a model without a language head cannot "
        "answer)"
    )
    raise ModelError(msg)


def skeleton(folder: Path, who: str) -> Any:
    """Return the model in *folder* without content, its headers checked; null if that cannot be.

    Null where the layout of a quantisation is not known by its headers, or an architecture cannot
    be built without content: its tensors are then checked when it is loaded.

    Raises:
        ModelError: A tensor is absent, of another shape, or without a place; a scale is absent.
    """
    paths = weight_files(folder, who)
    watched = [folder / "config.json", *paths]
    stamp = tuple((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in watched)
    return _skeleton(folder, who, stamp)


@lru_cache(maxsize=4)  # one base under several prompts, decodings and adapters
def _skeleton(folder: Path, who: str, _: object) -> Any:
    paths = weight_files(folder, who)
    tensors, stored = headers(paths, who), stored_in(folder, who)
    if stored is None:
        refuse(who, folder, layouts.raw_faults(tensors))
        shapes: Mapping[str, Shape | None] = {name: t.shape for name, t in tensors.items()}
    elif layouts.can_unpack(stored):
        shapes, lacking = layouts.unpacked(stored, tensors, _quant_states(paths))
        refuse(who, folder, lacking)
    else:
        return None
    refuse(who, folder, uneven_experts(shapes))
    config = read_config(folder, who)
    loaded = _without_content(config, shapes)
    if loaded is None:
        return None
    model, info = loaded
    if None in shapes.values():  # int4 weights whose width their header does not tell
        info["mismatched_keys"] = []
    refuse(who, folder, faults(info, config.model_type))
    return model


def _without_content(
    config: Any, shapes: Mapping[str, Shape | None]
) -> tuple[Any, dict[str, Any]] | None:
    """Return a model whose tensors have no content, and transformers' report; null if it cannot."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    for name in ("quantization_config", "compression_config"):
        if hasattr(config, name):
            delattr(config, name)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    try:
        kind = auto._model_mapping[type(config)]
    except KeyError:
        return None  # loading says that it cannot answer
    tensors = {name: torch.empty(s or (1,), device="meta") for name, s in shapes.items()}
    try:
        with quiet():
            model, info = kind.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                device_map={"": "meta"},
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except Exception:  # of an architecture that computes while it is built
        log.debug("%s cannot be built without content", config.model_type, exc_info=True)
        return None
    return model, dict(info)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing a report of what it loads, which is read here instead."""
    from transformers.utils import logging as its_logging

    before = its_logging.get_verbosity()
    its_logging.disable_progress_bar()
    its_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        its_logging.set_verbosity(before)
