"""Which layers of a base get an update: by their names, and known from its configuration alone."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from empathy_core import weights
from empathy_core.errors import ModelError, first_line
from empathy_core.training.spec import FinetuneSpec
from empathy_core.weights import checkpoint

USUAL = (
    ("q_proj", "v_proj"), ("q", "v"), ("c_attn",), ("query_key_value",), ("qkv_proj",), ("Wqkv",),
)  # fmt: skip
"""What queries and values are called, by family: Llama, T5, GPT-2, GPT-NeoX, Phi-3, MPT. Where one
layer makes keys too, it is all of it."""

Shapes = Mapping[str, tuple[int, int]]
"""Name of a linear layer → (inputs, outputs)."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The linear layers of a base.

    Attributes:
        language: Those that a text goes through.
        elsewhere: Those of towers for images or sounds, which no text reaches.
        transposed: Names of those that hold their matrix as (inputs, outputs): GPT-2's ``Conv1D``.
        n_tokens: Rows of the embedding.
    """

    language: Shapes
    elsewhere: Shapes
    transposed: frozenset[str]
    n_tokens: int

    @property
    def parts_elsewhere(self) -> tuple[str, ...]:
        """Patterns of the parts that hold nothing but layers elsewhere; empty for most bases."""
        return tuple(sorted({self._part(name) for name in self.elsewhere}))

    def _part(self, name: str) -> str:
        pieces = name.split(".")
        for n in range(1, len(pieces)):
            part = ".".join(pieces[:n]) + "."
            if not any(kept.startswith(part) for kept in self.language):
                return f"{part}*"
        return name


def anatomy(model: Any) -> Anatomy:
    """Return the linear layers of a transformers model, quantised or not."""
    from transformers.pytorch_utils import Conv1D

    shapes, transposed = {}, set()
    for name, layer in model.named_modules():
        if isinstance(layer, Conv1D):
            shapes[name] = (int(layer.nx), int(layer.nf))
            transposed.add(name)
        elif hasattr(layer, "in_features") and hasattr(layer, "out_features"):
            shapes[name] = (int(layer.in_features), int(layer.out_features))
    spoken = _language(model, shapes)
    return Anatomy(
        language={name: shapes[name] for name in shapes if name in spoken},
        elsewhere={name: shapes[name] for name in shapes if name not in spoken},
        transposed=frozenset(transposed),
        n_tokens=int(model.get_input_embeddings().weight.shape[0]),
    )


def _language(model: Any, names: Iterable[str]) -> set[str]:
    """Return the names of layers inside the text model or its head; all of them if it is whole."""
    from transformers import PreTrainedModel

    kind = type(model.config.get_text_config())
    inside = [
        name
        for name, part in model.named_modules()
        if name and isinstance(part, PreTrainedModel) and type(part.config) is kind
    ]
    if kind is type(model.config) or not inside:
        return set(names)
    head = model.get_output_embeddings()
    heads = {name for name, part in model.named_modules() if part is head}
    roots = tuple(f"{name}." for name in inside)
    return {name for name in names if name.startswith(roots) or name in heads}


@lru_cache(maxsize=8)
def of_folder(folder: Path) -> Anatomy:
    """Return the same of the base in *folder*, of which only the configuration is read.

    Raises:
        ModelError: There is none, or this version of transformers cannot build it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = checkpoint.read_config(folder, folder.name)
    try:
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        with torch.device("meta"):
            return anatomy(kind.from_config(config, trust_remote_code=False))
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = first_line(error)
        msg = (
            f"{folder}: its model cannot be built from config.json ({reason[:200]}); expected a "
            "language model that this version of transformers knows; correct 'weights', or update "
            "transformers (code shipped with a model is never run)"
        )
        raise ModelError(msg) from error


# ---------------------------------------------------------------------------- chosen


def settled(spec: FinetuneSpec) -> FinetuneSpec:
    """Return *spec* with the usual layers of its base where it names none and the default has none.

    The default is that of ``FinetuneSpec.modules``; GPT-2, BART and others name them otherwise.

    Raises:
        ModelError: The base is absent, or cannot be built.
    """
    if spec.lora.modules:
        return spec
    found = of_folder(weights.locate(str(spec.base.weights), spec.base.revision)).language
    if not lacking(found, spec.modules):
        return spec
    names = next((names for names in USUAL if not lacking(found, names)), ())
    return replace(spec, lora=replace(spec.lora, modules=names))


def lacking(shapes: Shapes, names: Iterable[str]) -> list[str]:
    """Return those of *names* that no layer has."""
    return [name for name in names if not called(shapes, name)]


def called(shapes: Shapes, name: str) -> dict[str, tuple[int, int]]:
    """Return the layers that peft finds by *name*: the whole of theirs, or its last parts."""
    return {n: shape for n, shape in shapes.items() if n == name or n.endswith(f".{name}")}


def excluded(found: Anatomy, spec: FinetuneSpec) -> str | None:
    """Return a regular expression of the layers that get no update; null if all by name do."""
    patterns = (*found.parts_elsewhere, *spec.lora.exclude)
    return "|".join(map(_expression, patterns)) or None


def _expression(pattern: str) -> str:
    """Return *pattern*, in which ``*`` stands for anything, as a regular expression."""
    return ".*".join(map(re.escape, pattern.split("*")))


def updated(found: Anatomy, spec: FinetuneSpec) -> dict[str, tuple[int, int]]:
    """Return the layers that get an update, each with its shape.

    Raises:
        ModelError: A name or a pattern of *spec* matches no layer, or nothing is left.
    """
    if absent := lacking(found.language, spec.modules):
        raise ModelError(_no_such_layer(found, spec, absent[0]))
    named: dict[str, tuple[int, int]] = {}
    for name in spec.modules:
        named |= called(found.language, name)
    for pattern in spec.lora.exclude:
        if not any(re.fullmatch(_expression(pattern), n) for n in (*named, *found.elsewhere)):
            raise ModelError(_nothing_excluded(spec, pattern, named))
    taken = excluded(found, spec)
    left = {n: shape for n, shape in named.items() if not (taken and re.fullmatch(taken, n))}
    if not left:
        msg = (
            f"{spec.name}: exclude leaves none of the {len(named)} layers named "
            f"{', '.join(spec.modules)}; expected some to train; take patterns out of exclude"
        )
        raise ModelError(msg)
    return left


def last_parts(shapes: Shapes) -> tuple[str, ...]:
    """Return the distinct last parts of the layers' names, sorted."""
    return tuple(sorted({name.rpartition(".")[2] for name in shapes}))


def _no_such_layer(found: Anatomy, spec: FinetuneSpec, name: str) -> str:
    known = last_parts(found.language)
    close = get_close_matches(name, known, n=1, cutoff=0.4)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    only = " that a text goes through" if found.elsewhere else ""
    return (
        f"{spec.name}: no linear layer of '{spec.base.weights}'{only} is named '{name}'.{guess} "
        f"Its linear layers are named: {', '.join(known)}. Correct 'modules' of the fine-tune."
    )


def _nothing_excluded(spec: FinetuneSpec, pattern: str, named: Iterable[str]) -> str:
    return (
        f"{spec.name}: '{pattern}' in exclude matches none of the layers to be trained; expected "
        f"the whole name of some, in which * stands for anything, such as '{min(named)}'; correct "
        "it, or take it out"
    )
