"""The model card of an adapter: Markdown under the front matter that the Hub reads."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empathy_core.training.adapter.held_out import held_out_text
from empathy_core.types import ModelSpec

if TYPE_CHECKING:
    from jinja2 import Environment

    from empathy_core.training.adapter.record import AdapterRecord

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")

_UNSET = {"train_size": "all", "validation_limit": "all", "sources": "all"}
"""What null and an empty list mean, where it is not "none"."""

_ELSEWHERE = ("name", "label", "prompt", "chat", "allow", "trackers", "processes")
"""Settings that another part of the card tells, or that change no number."""


def card(record: "AdapterRecord") -> str:
    """Return the card. It holds settings, counts and losses, and no text of a row."""
    encoder_decoder = record.base["architecture"] == "encoder-decoder"
    weights = str(record.base["weights"])
    return str(
        _environment()
        .get_template("card.md.j2")
        .render(
            record=asdict(record),
            base_model=weights if _HUB_ID.fullmatch(weights) else "",
            encoder_decoder=encoder_decoder,
            auto="AutoModelForSeq2SeqLM" if encoder_decoder else "AutoModelForCausalLM",
            quantized=_quantized(record.base),
            settings=list(_settings(record.settings)),
            turns=_turns(record.settings),
            versions=_versions(record.provenance),
            held_out=held_out_text(record.pairs),
        )
    )


def merged_card(model: ModelSpec, told: Mapping[str, Any], distances: str) -> str:
    """Return the card of a merged model: what it is made of, and how far from its adapter.

    Args:
        model: The base with its adapter.
        told: The value in ``merge.json``.
        distances: A line each, in words.
    """
    weights = str(model.weights)
    return str(
        _environment()
        .get_template("merged.md.j2")
        .render(
            model=model,
            told=told,
            distances=distances.splitlines(),
            base_model=weights if _HUB_ID.fullmatch(weights) else "",
            encoder_decoder=model.is_encoder_decoder,
        )
    )


def _quantized(base: Mapping[str, Any]) -> str:
    if not base["quantization"]:
        return "not quantised"
    return (
        f"{base['quantization']}{' with double quantisation' * bool(base['double_quantization'])}"
    )


def _settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted name and value of each setting."""
    for name, value in settings.items():
        if not prefix and name in _ELSEWHERE:
            continue
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or _UNSET.get(name, "none")
        else:
            yield f"{prefix}{name}", _UNSET.get(name, "none") if value is None else value


def _turns(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return role and text of each part of the prompt; the question stands for itself."""
    prompt = settings["prompt"]
    if settings["chat"]:
        return [(m["role"], m["content"]) for m in prompt["messages"]]
    return [("", prompt["text"])]


def _versions(provenance: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return package → version; uncommitted changes and command lines are not for a card."""
    start = "version of "
    found = [(k.removeprefix(start), v) for k, v in provenance.items() if k.startswith(start)]
    python = [("python", provenance["python"])] if "python" in provenance else []
    return [*python, *((name, value) for name, value in found if value != "not installed")]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown: HTML's escape is wrong; see the filters
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["number"] = _number
    environment.filters["quoted"] = _quoted
    environment.filters["py"] = repr
    environment.filters["indented"] = _indented
    return environment


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", r"\|")


def _number(value: float | None) -> str:
    return "not taken" if value is None else f"{value:.4f}"


def _quoted(value: object) -> str:
    """Return a TOML string; JSON's escapes are among TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


def _indented(text: str) -> str:
    """Return a Markdown code block, which nothing inside can close."""
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
