"""What a peft adapter is, whether it belongs to its base, and the base as the adapter needs it.

Everything that a base with an adapter on its layers computes is computed by the layers: there the
base's own ``generate`` gives the ids of peft's. Adapters that live elsewhere (virtual tokens in
front of the prompt, layers that wake at an invocation) need peft around every call, and are
refused by name.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from empathy_core import weights
from empathy_core.errors import ModelError
from empathy_core.types import ModelSpec
from empathy_core.weights import checkpoint, digests
from empathy_core.weights.quantisation import Shape

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

IN_LAYERS = ("LORA", "IA3", "LOHA", "LOKR", "ADALORA", "OFT", "BOFT", "VERA")
"""``peft_type`` of the adapters whose ids were compared with peft's own."""

_VIRTUAL = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT")

_PREFIX = "base_model.model."

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


@dataclass(frozen=True)
class Adapter:
    """An adapter as its files tell it.

    Attributes:
        folder: Where it lies.
        settings: ``adapter_config.json``.
        shapes: Name → shape of its tensors.
    """

    folder: Path
    settings: Mapping[str, Any]
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The base that it names; empty if it names none."""
        return str(self.settings.get("base_model_name_or_path") or "")

    @property
    def has_tokenizer(self) -> bool:
        """Whether a tokenizer lies beside it."""
        return any((self.folder / name).is_file() for name in _TOKENIZER_FILES)


def read_adapter(model: ModelSpec) -> Adapter:
    """Return the adapter of *model*.

    Raises:
        ModelError: It is none, is damaged, or is of a kind whose answers would not be peft's.
    """
    folder = weights.locate(str(model.adapter), model.adapter_revision)
    path = folder / SETTINGS
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        msg = (
            f"{model.name}: {folder} is no adapter; expected {SETTINGS} and {WEIGHTS}, as peft "
            "saves them; correct 'adapter'"
        )
        raise ModelError(msg)
    try:
        settings = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        msg = (
            f"{model.name}: {path} cannot be read ({str(error)[:160]}); expected the JSON object "
            "that peft writes; copy the adapter again"
        )
        raise ModelError(msg) from error
    _check_kind(model, settings)
    tensors = checkpoint.headers([folder / WEIGHTS], model.name)
    return Adapter(folder, settings, {name: tensor.shape for name, tensor in tensors.items()})


def _check_kind(model: ModelSpec, settings: Mapping[str, Any]) -> None:
    kind = str(settings.get("peft_type") or "none")
    why = ""
    if kind in _VIRTUAL:
        why = "virtual tokens in front of each prompt, which are no part of the base's layers"
    elif settings.get("alora_invocation_tokens"):
        kind, why = "aLoRA", "layers that wake only after its invocation tokens"
    elif kind not in IN_LAYERS:
        why = "a kind that was not compared with peft"
    if not why:
        return
    msg = (
        f"{model.name}: adapter '{model.adapter}' is of the kind {kind} ({why}), and the base "
        f"alone would answer under its name; expected one of {', '.join(IN_LAYERS)}; merge the "
        "adapter if its kind allows it, answer elsewhere and give the texts under [answers], or "
        "train one of these kinds"
    )
    raise ModelError(msg)


# ---------------------------------------------------------------------------- base


def check_base(model: ModelSpec, adapter: Adapter, folder: Path) -> None:
    """Refuse an adapter that names another base: shapes alone cannot tell two models apart.

    Args:
        model: What is asked for.
        adapter: Its adapter.
        folder: Where its weights lie.

    Raises:
        ModelError: It was trained on other weights, or is not as this suite left it.
    """
    if record := weights.recorded(adapter.folder):
        _check_record(model, adapter.folder, record, folder)
        return
    accepted = (model.weights or "", str(folder), str(dict(model.options).get("adapter_base", "")))
    if any(weights.same(adapter.base, name) for name in accepted):
        return
    msg = (
        f"{model.name}: adapter {adapter.folder} was trained on '{adapter.base}', but the model "
        f"loads '{model.weights}'; expected the same base; correct 'weights', or if both are the "
        f'same model under two names, set options = {{ adapter_base = "{adapter.base}" }}'
    )
    raise ModelError(msg)


def _check_record(model: ModelSpec, adapter: Path, record: Mapping[str, Any], folder: Path) -> None:
    """Refuse what is not as this suite left it: other weights of the same name, another file."""
    trained, found = str(record["base"]["fingerprint"]), weights.fingerprint(folder)
    trained = trained.partition("+")[0]  # what follows is the tokenizer's
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
    sha256 = digests.file_digest(adapter / WEIGHTS)
    if sha256 != record["adapter_sha256"]:
        msg = (
            f"{model.name}: the weights of adapter {adapter} are not what was trained (SHA-256 "
            f"{sha256[:12]}, expected {record['adapter_sha256'][:12]}); copy the folder again, or "
            "train the adapter anew"
        )
        raise ModelError(msg)


# ---------------------------------------------------------------------------- fit


def embedding_rows(adapter: Adapter, model: Any) -> int | None:
    """Return to how many rows the base's embedding is resized; null if it is left as it is.

    Trained with added tokens, an adapter carries the whole embedding with it, of another height.

    Args:
        adapter: The adapter.
        model: The base, with or without content.
    """
    names = _embedding_names(model)
    saved = [shape[0] for name, shape in adapter.shapes.items() if _plain(name) in names]
    rows = int(model.get_input_embeddings().weight.shape[0])
    return next((n for n in saved if n != rows), None)


def _embedding_names(model: Any) -> set[str]:
    """Return the names of the weights that have a row for each token."""
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    return {
        f"{name}.weight"
        for name, module in model.named_modules()
        if any(module is end for end in ends if end is not None)
    }


def _plain(name: str) -> str:
    """Return the base's name of a tensor that peft saved whole."""
    name = name.removeprefix(_PREFIX)
    for wrapped in (".base_layer.", ".token_adapter.", ".modules_to_save.", ".original_module."):
        name = name.replace(wrapped, ".")
    return name


def resize(model: Any, adapter: Adapter) -> None:
    """Give the base's embedding the height that it had when *adapter* was trained.

    Side effect: on the random state of torch, none; new rows are the adapter's own afterwards.
    """
    rows = embedding_rows(adapter, model)
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)


def check_fit(model: ModelSpec, adapter: Adapter, base: Any) -> None:
    """Refuse an adapter whose tensors are not those that its settings ask for on this base.

    Args:
        model: What is asked for.
        adapter: Its adapter.
        base: The base without content; see ``checkpoint.skeleton``. It is left as it is.

    Raises:
        ModelError: A tensor is absent, of another shape, or without a place.
    """
    expected = _expected(model, adapter, base)
    extra = _embedding_names(base)
    found = dict(adapter.shapes)
    missing = [f"no {name}" for name in sorted(set(expected) - set(found))]
    shaped = [
        f"{name} is {found[name]}, expected {expected[name]}"
        for name in sorted(set(expected) & set(found))
        if found[name] != expected[name]
    ]
    unplaced = [
        f"{name} has no place in it"
        for name in sorted(set(found) - set(expected))
        if _plain(name) not in extra or found[name][1:] != _row(base, _plain(name))
    ]
    faults = [*missing, *shaped, *unplaced, *_half_resized(adapter, base)]
    if faults:
        more = " …" if len(faults) > 3 else ""
        raise ModelError(_no_fit(model, adapter.folder, "; ".join(faults[:3]) + more))


def _row(base: Any, name: str) -> Shape:
    """Return the shape of one row of a weight."""
    return tuple(base.get_parameter(name).shape[1:])


def _no_fit(model: ModelSpec, folder: Path, reason: str) -> str:
    return (
        f"{model.name}: adapter {folder} does not fit '{model.weights}' ({reason}); expected one "
        "trained on these weights; correct 'adapter' or 'weights'"
    )


def _half_resized(adapter: Adapter, base: Any) -> list[str]:
    """Return what is amiss where the embedding was resized and one of its two ends not saved."""
    rows = embedding_rows(adapter, base)
    if rows is None:
        return []
    saved = {_plain(name): shape[0] for name, shape in adapter.shapes.items()}
    wanted = _embedding_names(base)
    if getattr(base.config.get_text_config(), "tie_word_embeddings", False):
        wanted = wanted if not wanted & set(saved) else wanted & set(saved)
    return [
        f"{name} of {rows} rows is not in it" for name in sorted(wanted) if saved.get(name) != rows
    ]


def _expected(model: ModelSpec, adapter: Adapter, base: Any) -> dict[str, Shape]:
    """Return name → shape of the tensors that peft would save of an adapter of these settings."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    try:
        settings = PeftConfig.from_pretrained(str(adapter.folder))
        settings.inference_mode = True
        bare = copy.deepcopy(base)
        if (rows := embedding_rows(adapter, bare)) is not None:
            bare.resize_token_embeddings(rows, mean_resizing=False)
        with checkpoint.quiet():
            made = PeftModel(bare, settings, low_cpu_mem_usage=True)
            # what was saved of the embedding is not asked of the settings, but of the file
            tensors = get_peft_model_state_dict(made, save_embedding_layers=False)
    except Exception as error:  # peft tells by many exceptions that layers are not there
        raise ModelError(_no_fit(model, adapter.folder, _one_line(error))) from error
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
