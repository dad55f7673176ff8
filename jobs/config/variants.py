"""PURE: ``[finetune.*]`` → one spec for each adapter, and the models that it is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from empathy_core import models
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.training.spec import FinetuneSpec, Lora, Preference, TrainingSettings
from empathy_core.types import ModelSpec
from jobs.config.finetune import FinetuneTable
from jobs.config.schema import Config, ModelTable, load_prompt, model_of, values


@dataclass(frozen=True)
class Variant:
    """One adapter to be trained.

    Attributes:
        family: Key of its table.
        spec: Its base is named as the model that it is compared with.
        sources: As tables print them.
        unquantized: The base as it is without quantisation; null if it is not quantised.
    """

    family: str
    table: FinetuneTable
    spec: FinetuneSpec
    sources: str
    unquantized: ModelSpec | None


def variants(config: Config) -> list[Variant]:
    """Return every adapter that the configuration asks for.

    Raises:
        ConfigError: The base is unknown, has no weights or an adapter of its own, or batches do
            not divide.
    """
    return [v for name, table in config.finetune.items() for v in _of_table(config, name, table)]


def _of_table(config: Config, name: str, table: FinetuneTable) -> Iterator[Variant]:
    base = base_of(config, table)
    _check_batches(table)
    _check_axes(table)
    quantization = None if table.quantization == "none" else table.quantization
    chat = base.chat_template if table.format is None else table.format == "chat"
    whole = replace(base, dtype=table.dtype or base.dtype, chat_template=chat, quantization=None)
    whole = replace(whole, name=_named(base, whole))
    quantized = replace(
        whole,
        quantization=quantization,
        double_quantization=bool(quantization) and table.double_quantization,
    )
    quantized = replace(
        quantized, name=_named(base, quantized), label=_labelled(whole.label, quantized)
    )
    for size, sources, seed in product(table.train_sizes, table.sources, table.seeds):
        chosen = () if sources == "all" else sources
        shown = "+".join(chosen)
        end = f"{'all' if size == 'all' else f'n{size}'}{f'-{shown}' if shown else ''}-s{seed}"
        spec = FinetuneSpec(
            name=f"{name}-{end.replace('+', '-')}",
            label=_label(table, whole.label, size, shown, seed),
            base=quantized,
            prompt=load_prompt(table.prompt),
            chat=chat,
            train_size=None if size == "all" else size,
            sources=chosen,
            seed=seed,
            lora=Lora(**values(Lora, table)),
            preference=_preference(config, table),
            **values(TrainingSettings, table),
        )
        yield Variant(name, table, spec, shown or "all", whole if quantization else None)


def _preference(config: Config, table: FinetuneTable) -> Preference | None:
    """Return the tuning on pairs that a table asks for; null if it asks for none.

    Raises:
        ConfigError: Pairs are not named, or named in vain; labels are not the answers alone.
        UnknownName: There are no such pairs.
    """
    if table.method == "sft":
        if table.pairs is None:
            return None
        msg = (
            f"pairs = '{table.pairs}' has no effect with method = 'sft'; expected method = 'dpo' "
            "or 'sft+dpo'; set it, or leave pairs out"
        )
        raise ConfigError(msg)
    if table.pairs is None:
        msg = f"method = '{table.method}' needs pairs: name a table [pairs.<name>]"
        raise ConfigError(msg)
    if table.pairs not in config.pairs:
        raise UnknownName("table of pairs", table.pairs, config.pairs)
    if table.labels != "response":
        msg = (
            f"labels = '{table.labels}' with method = '{table.method}': pairs are compared by the "
            "replies alone; expected 'response'; change labels or method"
        )
        raise ConfigError(msg)
    return Preference(method=table.method, pairs=table.pairs, settings=table.dpo)


def base_of(config: Config, table: FinetuneTable) -> ModelSpec:
    """Return the model that is trained, as the configuration or its file has it.

    Raises:
        ConfigError: It is unknown, has no weights, or has an adapter already.
    """
    if table.base in config.models:
        try:
            base = config.model_spec(table.base)
        except ConfigError as error:
            msg = f"its base '{table.base}' has a problem; correct models.{table.base} first"
            raise ConfigError(msg) from error
    elif table.base in models.names():
        base = model_of(table.base, ModelTable(prompts=()))
    else:
        models.model(table.base)  # raises, with the closest match
    if base.backend != "hf" or not base.weights:
        msg = f"base '{table.base}' has no weights (backend {base.backend}); name a model that has"
        raise ConfigError(msg)
    if base.adapter:
        msg = (
            f"base '{table.base}' has an adapter already; expected a whole model: merge it first "
            "(python -m jobs.launch merge), and name the merged folder as weights"
        )
        raise ConfigError(msg)
    return replace(base, engine=None)  # an adapter and its base are answered where it was trained


def _check_axes(table: FinetuneTable) -> None:
    """Refuse the same adapter twice."""
    for name in ("train_sizes", "sources", "seeds"):
        values_ = getattr(table, name)
        twice = next((value for i, value in enumerate(values_) if value in values_[:i]), None)
        if twice is not None:
            shown = "+".join(twice) if isinstance(twice, tuple) else twice
            msg = f"{name} holds {shown} twice; expected each once; leave one out"
            raise ConfigError(msg)


def _check_batches(table: FinetuneTable) -> None:
    if table.batch_size % table.micro_batch:
        msg = (
            f"batch_size = {table.batch_size} is not a multiple of micro_batch = "
            f"{table.micro_batch}; expected whole forward passes in a step; change one of them"
        )
        raise ConfigError(msg)
    if table.min_response_tokens >= table.max_tokens:
        msg = (
            f"min_response_tokens = {table.min_response_tokens} leaves no room for a question in "
            f"max_tokens = {table.max_tokens}; lower it, or raise max_tokens"
        )
        raise ConfigError(msg)


def _named(base: ModelSpec, changed: ModelSpec) -> str:
    """Return a name that says what was changed, so that fine-tunes of one base share its rows."""
    double = "-double" if changed.double_quantization else ""
    parts = [
        base.name,
        changed.dtype if changed.dtype != base.dtype else "",
        "" if changed.chat_template == base.chat_template else
        ("chat" if changed.chat_template else "plain"),
        "" if _quantized(changed) == _quantized(base) else
        f"{changed.quantization or 'full'}{double}",
    ]  # fmt: skip
    return "-".join(part for part in parts if part)


def _quantized(model: ModelSpec) -> tuple[object, bool]:
    return model.quantization, model.double_quantization


def _label(table: FinetuneTable, base: str, size: object, sources: str, seed: int) -> str:
    """Return how tables call an adapter: what varies within its table is told."""
    varied = [
        f"{size} rows" if len(table.train_sizes) > 1 else "",
        sources or "all sources" if len(table.sources) > 1 else "",
        f"seed {seed}" if len(table.seeds) > 1 else "",
    ]
    told = ", ".join(part for part in varied if part)
    return f"{table.label or f'{base}, fine-tuned'}{f' ({told})' if told else ''}"


def _labelled(label: str, quantized: ModelSpec) -> str:
    if not quantized.quantization:
        return label
    double = " double" if quantized.double_quantization else ""
    return f"{label} ({quantized.quantization}{double})"
