"""The tables of a configuration file, and the values that they describe.

Strict and frozen: pydantic refuses unknown keys and wrong types; a name is looked up among the
files that ship. Nothing is looked up on the network here.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from empathy_core import data, models, prompts
from empathy_core.data import DataSpec, EvaluateSpec, Source, TextLayout
from empathy_core.errors import ConfigError
from empathy_core.types import (
    Architecture,
    Backend,
    Decoding,
    Dtype,
    ModelSpec,
    Prompt,
    Quantization,
)
from jobs.config.finetune import FinetuneTable
from jobs.config.strict import NAME, Above0, NotEmpty, Positive, Share, Table, Visible
from reports.spec import Correction, Environment, Intervals
from slurm.profile import Profile, Resources

_AS_USUAL = TextLayout()


class LayoutTable(Table):
    """How the file of a source or of answers is written: see ``empathy_core.data.Layout``."""

    encoding: str | None = None
    separator: Annotated[str, Field(pattern=r'^[^"\r\n\x00]$')] | None = None
    quotes: bool | None = None

    def layout(self, base: TextLayout = _AS_USUAL) -> TextLayout:
        """Return *base* with what is given here."""
        given = {key: getattr(self, key) for key in LayoutTable.model_fields}
        return replace(base, **{key: value for key, value in given.items() if value is not None})


class SourceTable(LayoutTable):
    """``[data.sources.<name>]``: a shipped source, changed here or there, or one's own."""

    hub: str | None = None
    path: str | None = None
    revision: str | None = None
    hub_config: str | None = None
    hub_split: str | None = None
    context: str | tuple[str, ...] | None = None
    response: str | None = None
    author: str | None = None
    pattern: str | None = None
    column: str | None = None
    keep: tuple[str, ...] | None = None
    broken_rows: Literal["error", "drop"] | None = None
    missing: tuple[str, ...] | None = None
    licence: str | None = None
    redistribute: bool | None = None
    homepage: str | None = None


class DataTable(Table):
    """``[data]``: where questions and answers come from and how they are split."""

    sources: dict[Annotated[str, Field(pattern=NAME)], SourceTable] = Field(min_length=1)
    protocol: Literal["question", "row"] = "question"
    fractions: tuple[Share, Share, Share] = (0.75, 0.125, 0.125)
    seed: int = 0
    duplicates: Literal["keep", "drop"] = "drop"


class EvaluateTable(Table):
    """``[evaluate]``: which rows are answered and scored."""

    split: Literal["train", "validation", "test", "all"] = "test"
    limit: Positive | None = None
    unit: Literal["row", "question"] = "row"
    seed: int = 0
    block_size: Positive = 16


class GenerationTable(Table):
    """``[generation]``: how the work is cut, and what happens to prompts that are too long."""

    shards: Positive = 1
    target_min: Positive | None = None
    overlong: Literal["error", "truncate"] = "error"


class DecodingTable(Table):
    """``[decoding.<name>]``: see ``empathy_core.types.Decoding``."""

    max_new_tokens: Positive = 256
    min_new_tokens: Annotated[int, Field(ge=0)] = 0
    sample: bool = False
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] = 0
    samples: Positive = 1
    seed: int = 0
    stop: tuple[NotEmpty, ...] = ()


class ModelTable(Table):
    """``[models.<name>]``: a shipped model, changed here or there, or one's own."""

    use: str | None = None
    prompts: tuple[str, ...] | None = None
    decodings: tuple[str, ...] = ("greedy",)
    shards: Positive | None = None
    label: str | None = None
    backend: Backend | None = None
    architecture: Architecture | None = None
    weights: str | None = None
    revision: str | None = None
    dtype: Dtype | None = None
    quantization: Quantization | None = None
    double_quantization: bool | None = None
    adapter: str | None = None
    adapter_revision: str | None = None
    chat_template: bool | None = None
    template_default: Literal["suppress", "keep"] | None = None
    tokenizer: str | None = None
    fold_system: bool | None = None
    template_arguments: dict[str, str | int | float | bool] | None = None
    reasoning: tuple[Visible, Visible] | None = None
    licence: str | None = None
    published: str | None = None
    options: dict[str, str | int | float | bool] | None = None
    slurm: Resources | None = None


class AnswersTable(LayoutTable):
    """``[answers.<name>]``: texts made elsewhere, a condition like any other.

    Attributes:
        example: Column with the ids of the run's examples.
        question: Column with their questions. Neither is needed where the columns are called
            ``question`` or ``example``.
    """

    path: str
    format: Literal["table", "lm-eval"] = "table"
    label: str | None = None
    example: str | None = None
    question: str | None = None
    text: str = "text"
    sample: str | None = None
    prompt: str = "none"
    published: str = ""


class ScoringTable(Table):
    """``[scoring]``: how the scoring work is cut."""

    shards: Positive = 1


class ContrastTable(Table):
    """``[report.contrasts.<name>]``: *second* less *first*, each a model or ``model.prompt``."""

    first: str
    second: str
    label: str | None = None


class ReportTable(Table):
    """``[report]``: words around the tables, how they are set, and what is tested.

    Attributes:
        columns: What stands in Table 1, in this order: names of columns (``rouge1``, or with their
            metric, ``rouge.rouge1``) and ``n``, the number of answers; empty: the main ones.
        margins: Key of a column → the least difference that matters, in units of the score.
        redact: Whether the page withholds texts: ``auto`` those of sources whose licence does not
            let them be passed on.
    """

    title: str = "Evaluation of therapeutic answers"
    caption: str = "Comparison of models across evaluation metrics."
    short_caption: str = ""
    label: str = "tab:table1"
    published: str | None = None
    columns: tuple[str, ...] = ()
    redact: Literal["auto"] | bool = "auto"
    intervals: Intervals = "row"
    environment: Environment = "auto"
    fit: bool = True
    siunitx: bool = True
    correction: Correction = "holm"
    contrasts: dict[Annotated[str, Field(pattern=NAME)], ContrastTable] = Field(
        default_factory=dict
    )
    subgroups: tuple[str, ...] = ()
    margins: dict[str, Above0] = Field(default_factory=dict)
    most_empty: Share = 0.05


class LocalTable(Table):
    """``[local]``: the executor of this machine."""

    workers: Positive = 1
    threads: Positive | None = None


class Config(Table):
    """One sweep, as written by hand."""

    name: Annotated[str, Field(pattern=NAME)]
    assumed: tuple[str, ...] = ()
    data: DataTable
    evaluate: EvaluateTable = EvaluateTable()
    generation: GenerationTable = GenerationTable()
    decoding: dict[Annotated[str, Field(pattern=NAME)], DecodingTable] = Field(
        default_factory=lambda: {"greedy": DecodingTable()}
    )
    models: dict[Annotated[str, Field(pattern=NAME)], ModelTable] = Field(default_factory=dict)
    finetune: dict[Annotated[str, Field(pattern=NAME)], FinetuneTable] = Field(default_factory=dict)
    answers: dict[Annotated[str, Field(pattern=NAME)], AnswersTable] = Field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = Field(min_length=1)
    scoring: ScoringTable = ScoringTable()
    report: ReportTable = ReportTable()
    local: LocalTable = LocalTable()
    slurm: Profile = Profile()

    def data_spec(self) -> DataSpec:
        """Return the sources and the split."""
        sources = tuple(source_of(name, table) for name, table in self.data.sources.items())
        table = self.data
        return DataSpec(sources, table.protocol, table.fractions, table.seed, table.duplicates)

    def evaluate_spec(self) -> EvaluateSpec:
        """Return which rows are evaluated."""
        return EvaluateSpec(**dict(self.evaluate))

    def decoding_spec(self, name: str) -> Decoding:
        """Return the decoding of that name."""
        return Decoding(name=name, **dict(self.decoding[name]))

    def model_spec(self, name: str) -> ModelSpec:
        """Return the model of that key, its file's settings overridden by the configuration's."""
        return model_of(name, self.models[name])

    def shards(self, model: str) -> int:
        """Return into how many shards a model's work is cut."""
        return self.models[model].shards or self.generation.shards


# ---------------------------------------------------------------------------- names to values


def load_prompt(name: str) -> Prompt:
    """Return a shipped prompt by name, or one's own by path to its TOML file."""
    return prompts.read(Path(name)) if name.endswith(".toml") else prompts.prompt(name)


def _given(table: Table, *without: str) -> dict[str, Any]:
    return {k: v for k, v in table if v is not None and k not in without}


def source_of(name: str, table: SourceTable) -> Source:
    """Return a shipped source with the table's changes, or one's own.

    Raises:
        UnknownName: It is not shipped and the table does not say where it is.
        ConfigError: The columns are not named.
    """
    given = _given(table, *LayoutTable.model_fields)
    if isinstance(given.get("context"), str):
        given["context"] = (given["context"],)
    if name in data.source_names():
        shipped = data.source(name)
        return replace(shipped, layout=table.layout(shipped.layout), **given)
    if not given.get("hub") and not given.get("path"):
        data.source(name)  # raises, with the closest match
    if "response" not in given and "pattern" not in given:
        msg = 'name the columns: context = "…" and response = "…" (or column and pattern)'
        raise ConfigError(msg)
    given.setdefault("context", ())
    given.setdefault("response", "")
    return Source(name=name, layout=table.layout(), **given)


_MODEL_FIELDS = {f.name for f in fields(ModelSpec)}


def model_of(name: str, table: ModelTable) -> ModelSpec:
    """Return a shipped model with the table's changes, or one's own.

    Raises:
        UnknownName: It is not shipped and the table names no weights.
        ConfigError: Its architecture or its prompts are not named.
    """
    given = {k: v for k, v in _given(table).items() if k in _MODEL_FIELDS}
    for key in ("options", "template_arguments"):
        if key in given:
            given[key] = tuple(sorted(given[key].items()))
    known = table.use or name
    if known in models.names():
        base = replace(models.model(known), name=name)
        if "options" in given:
            given["options"] = tuple(
                sorted({**dict(base.options), **dict(given["options"])}.items())
            )
        spec = replace(base, **given)
    else:
        if not table.weights or table.use:
            models.model(known)  # raises, with the closest match
        if not table.architecture:
            msg = 'a model of your own needs architecture = "decoder" or "encoder-decoder"'
            raise ConfigError(msg)
        spec = ModelSpec(**{"name": name, "label": name, "backend": "hf", **given})
    if spec.backend != "human" and table.prompts is None:
        msg = (
            'say which prompts it gets: prompts = ["none", "prompt1", "prompt2"], '
            "or [] where it is only the base of a fine-tune"
        )
        raise ConfigError(msg)
    return spec


def require_conditions(config: Config) -> None:
    """Refuse a sweep that would have nothing to answer or to score.

    Raises:
        ConfigError: No model gets a prompt and a decoding, and no text made elsewhere is named.
    """
    lacking = []
    for name, model in config.models.items():
        if config.model_spec(name).backend == "human" or (model.prompts and model.decodings):
            return
        lacking.append(f"models.{name}.{'decodings' if model.prompts else 'prompts'}")
    for name, table in config.finetune.items():
        if table.evaluate and table.decodings:
            return
        lacking.append(f"finetune.{name}.{'evaluate' if table.decodings else 'decodings'}")
    if config.answers:
        return
    msg = (
        f"the configuration '{config.name}' evaluates nothing, for want of {', '.join(lacking)}: "
        'expected a model with prompts, such as prompts = ["none"], or texts made elsewhere '
        "under [answers.<name>]"
    )
    raise ConfigError(msg)
