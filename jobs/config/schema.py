"""The tables of a configuration file, and the values that they describe.

Strict and frozen: pydantic refuses unknown keys and wrong types; a name is looked up among the
files that ship. Nothing is looked up on the network here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from empathy_core import data, models, prompts
from empathy_core.bounds import Above0, Label, Positive, Share
from empathy_core.conversation import Role
from empathy_core.data import DataSpec, EvaluateSpec, Source, SplitSettings, TextLayout
from empathy_core.data.specs import SplitName
from empathy_core.data.turn_layout import LAST, NO_TURNS, TurnLayout
from empathy_core.errors import ConfigError
from empathy_core.personal.kinds import Kind
from empathy_core.training.preference.settings import PairSettings
from empathy_core.types import (
    Decoding,
    DecodingSettings,
    EngineSettings,
    EngineSpec,
    ModelSpec,
    Prompt,
    Value,
)
from jobs.config.annotate import AnnotateTable
from jobs.config.decoding import DecodingTable
from jobs.config.engines import HF, engine_of, on_engine
from jobs.config.finetune import FinetuneTable
from jobs.config.judge_table import JudgeTable
from jobs.config.refine import RefineTable
from jobs.config.strict import NAME, ConfigModel, changing
from reports.spec import Correction, Environment, Intervals
from slurm.profile import Profile, Resources

Name = Annotated[str, Field(pattern=NAME)]
_AS_USUAL = TextLayout()


@changing(TextLayout)
class LayoutTable(ConfigModel):
    """How the file of a source or of answers is written."""

    def layout(self, base: TextLayout = _AS_USUAL) -> TextLayout:
        """Return *base* with what is given here."""
        given = {field.name: getattr(self, field.name) for field in fields(TextLayout)}
        return replace(base, **{key: value for key, value in given.items() if value is not None})


@changing(TurnLayout, without=("roles",))
class TurnsTable(LayoutTable):
    """Where the conversations of a source are."""

    roles: dict[str, Role] | None = None

    def turn_layout(self, base: TurnLayout, response: str | None) -> TurnLayout:
        """Return *base* with what is given here; the last answer needs no more to be said."""
        given = {field.name: getattr(self, field.name) for field in fields(TurnLayout)}
        if self.roles is not None:
            given["roles"] = tuple(sorted(self.roles.items()))
        if response == LAST and given["turns"] is None:
            given["turns"] = LAST
        return replace(base, **{key: value for key, value in given.items() if value is not None})


@changing(Source, without=("name", "layout", "turn_layout", "told_as", "context", "sides"))
class SourceTable(TurnsTable):
    """``[data.sources.<name>]``: a shipped source, changed here or there, or one's own."""

    context: str | tuple[str, ...] | None = None
    sides: dict[str, SplitName] | None = None


@dataclass(frozen=True, kw_only=True)
class DataTable(SplitSettings):
    """``[data]``: where questions and answers come from and how they are split.

    Attributes:
        sources: Files and Hub data sets, in the order in which their rows are read.
    """

    sources: Annotated[dict[Name, SourceTable], Field(min_length=1)]


class GenerationTable(ConfigModel):
    """``[generation]``: how the work is cut, and what happens to prompts that are too long.

    Attributes:
        shards: Into how many array tasks the work of a model is cut.
        target_min: Minutes that an array task should take, for the proposal of ``sweep --pilot``;
            null means 30.
        overlong: A prompt that does not fit the model's context is an ``error``, or its question
            is cut (``truncate``) and the table's note counts it.
    """

    shards: Positive = 1
    target_min: Positive | None = None
    overlong: Literal["error", "truncate"] = "error"


@changing(EngineSettings, without=("environment", "request"))
class EngineTable(ConfigModel):
    """``[engines.<name>]``: a shipped engine, changed here or there, or one's own.

    Attributes:
        use: A shipped engine that this one is, under another name; null means the one of this
            name.
    """

    use: str | None = None
    environment: dict[str, str] | None = None
    request: dict[str, Value] | None = None

    def engine(self, name: str) -> EngineSpec:
        """Return the engine that the table, called *name*, describes; see ``engine_of``."""
        return engine_of(name, self.use, values(EngineSettings, self))


@changing(ModelSpec, without=("name", "gated", "engine", "template_arguments", "options"))
class ModelTable(ConfigModel):
    """``[models.<name>]``: a shipped model, changed here or there, or one's own.

    Attributes:
        use: A shipped model that this one is, under another name; null means the one of this name.
        prompts: Names of prompts, or paths to one's own; required but for the therapist, ``[]``
            for a model that is only the base of a fine-tune.
        decodings: Names of the decodings that it is asked with.
        shards: Into how many array tasks its work is cut; null means as ``[generation]`` says.
        slurm: Resources of its array tasks, over those of ``[slurm.generate]``; null means none.
    """

    use: str | None = None
    prompts: tuple[str, ...] | None = None
    decodings: tuple[str, ...] = ("greedy",)
    shards: Positive | None = None
    template_arguments: dict[str, Value] | None = None
    options: dict[str, Value] | None = None
    slurm: Resources | None = None
    engine: str | None = None


class AnswersTable(LayoutTable):
    """``[answers.<name>]``: imported texts, a condition like any other.

    Attributes:
        path: A CSV, TSV, JSON, JSONL or parquet file, or a sample log of lm-eval.
        format: ``table``, or ``lm-eval`` for a sample log of lm-evaluation-harness.
        label: As printed in tables; null means the name.
        example: Column with the ids of the run's examples.
        question: Column with their questions. Neither is needed where the columns are called
            ``question`` or ``example``.
        text: Column with the answers.
        sample: Column with the number of an answer to the same question, from 0; null means that
            each question has one answer.
        prompt: Name of the prompt that the texts were asked with, or path to one's own.
        redact: Kinds of personal data that are replaced by placeholders in the answers; by default
            they stay letter by letter what they are, whatever ``data.redact`` says.
        published: Name of these rows in the published tables; empty if none.
    """

    path: str
    format: Literal["table", "lm-eval"] = "table"
    label: Label | None = None
    example: str | None = None
    question: str | None = None
    text: str = "text"
    sample: str | None = None
    prompt: str = "none"
    redact: tuple[Kind, ...] = ()
    published: str = ""


class ScoringTable(ConfigModel):
    """``[scoring]``: how the scoring work is cut.

    Attributes:
        shards: Into how many array tasks the work of an encoder is cut.
        leave_one_out: Whose answers are compared with all references of their row but its own
            answer, where rows have several: those of ``people`` (models have one reference more,
            which favours them), or ``everyone``'s: models and people have the same references. It
            is part of the signature, so the answers that are there are scored anew.
    """

    shards: Positive = 1
    leave_one_out: Literal["people", "everyone"] = "people"

    @property
    def compares_alike(self) -> bool:
        """Whether models are compared with the same references as people."""
        return self.leave_one_out == "everyone"


class ContrastTable(ConfigModel):
    """``[report.contrasts.<name>]``: the difference *second* less *first*.

    Attributes:
        first: A model, or ``model.prompt``.
        second: A model, or ``model.prompt``.
        label: As printed in tables; null means the two names.
    """

    first: str
    second: str
    label: Label | None = None


class ReportTable(ConfigModel):
    """``[report]``: words around the tables, how they are set, and what is tested.

    Attributes:
        title: Of the page.
        caption: Of Table 1.
        short_caption: Of Table 1 in a list of tables; empty means the caption.
        label: Of Table 1 in LaTeX; other tables add a word to it.
        published: A published table that ships, set beside this run's; null means none.
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
    siunitx: bool = False
    correction: Correction = "holm"
    contrasts: dict[Name, ContrastTable] = Field(default_factory=dict)
    subgroups: tuple[str, ...] = ()
    margins: dict[str, Above0] = Field(default_factory=dict)
    most_empty: Share = 0.05


class LocalTable(ConfigModel):
    """``[local]``: the executor of this machine.

    Attributes:
        workers: Processes that work at once; each loads a model of its own.
        threads: Threads of each; null shares the cores among them.
    """

    workers: Positive = 1
    threads: Positive | None = None


class Config(ConfigModel):
    """One sweep, as written by hand.

    Attributes:
        name: Of the run: its folder.
        assumed: Dotted names of settings that a paper does not give; the tables' note prints them.
        metrics: Name of a metric → its settings; see ``empathy_core.metrics``.
        judges: Name of a judge → what it is asked; see ``jobs.config.judges``.
        pairs: Name → preference pairs that ``[finetune.<name>] pairs`` may ask for.
        refine: Name → refinement of a prompt, which ``refine`` does; sweeps leave it alone.
    """

    name: Name
    assumed: tuple[str, ...] = ()
    data: DataTable
    evaluate: EvaluateSpec = EvaluateSpec()
    generation: GenerationTable = GenerationTable()
    decoding: dict[Name, DecodingTable] = Field(default_factory=lambda: {"greedy": DecodingTable()})
    engines: dict[Name, EngineTable] = Field(default_factory=dict)
    models: dict[Name, ModelTable] = Field(default_factory=dict)
    finetune: dict[Name, FinetuneTable] = Field(default_factory=dict)
    pairs: dict[Name, PairSettings] = Field(default_factory=dict)
    answers: dict[Name, AnswersTable] = Field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = Field(min_length=1)
    judges: dict[Name, JudgeTable] = Field(default_factory=dict)
    refine: dict[Name, RefineTable] = Field(default_factory=dict)
    annotate: AnnotateTable = AnnotateTable()
    scoring: ScoringTable = ScoringTable()
    report: ReportTable = ReportTable()
    local: LocalTable = LocalTable()
    slurm: Profile = Profile()

    def data_spec(self) -> DataSpec:
        """Return the sources and the split."""
        sources = tuple(source_of(name, table) for name, table in self.data.sources.items())
        return DataSpec(sources, **values(SplitSettings, self.data))

    def evaluate_spec(self) -> EvaluateSpec:
        """Return which rows are evaluated."""
        return self.evaluate

    def decoding_spec(self, name: str) -> Decoding:
        """Return the decoding of that name; of one that chooses, how one answer was sampled."""
        table = self.decoding[name]
        if not table.chooses:
            return Decoding(name, **values(DecodingSettings, table))
        return replace(self.decoding_spec(str(table.of)), name=name, samples=1)

    def generating(self, decodings: Iterable[str]) -> tuple[str, ...]:
        """Return those of *decodings* that generate answers, rather than choose among them."""
        return tuple(name for name in decodings if not self.decoding[name].chooses)

    def model_spec(self, name: str) -> ModelSpec:
        """Return the model of that key, its file's settings overridden by the configuration's."""
        table = self.models[name]
        spec = model_of(name, table)
        if table.engine in (None, HF):
            return spec
        engine = self.engines.get(table.engine, EngineTable()).engine(table.engine)
        return on_engine(spec, engine)

    def shards(self, model: str) -> int:
        """Return into how many shards a model's work is cut."""
        return self.models[model].shards or self.generation.shards


# ---------------------------------------------------------------------------- names to values


def values(settings: type, of: object) -> dict[str, Any]:
    """Return name → value of the fields that a dataclass declares, of an object that has them."""
    return {field.name: getattr(of, field.name) for field in fields(settings)}


def load_prompt(name: str) -> Prompt:
    """Return a shipped prompt by name, or one's own by path to its TOML file."""
    return prompts.read(Path(name)) if name.endswith(".toml") else prompts.prompt(name)


def _given(table: ConfigModel, *without: str) -> dict[str, Any]:
    """Return what a table sets; an empty label is none."""
    is_set = ((k, v) for k, v in table if v is not None and (k, v) != ("label", ""))
    return {k: v for k, v in is_set if k not in without}


def source_of(name: str, table: SourceTable) -> Source:
    """Return a shipped source with the table's changes, or one's own.

    Raises:
        UnknownName: It is not shipped and the table does not say where it is.
        ConfigError: The columns are not named.
    """
    layouts = (*fields(TextLayout), *fields(TurnLayout))
    given = _given(table, *(field.name for field in layouts))
    if "sides" in given:
        given["sides"] = tuple(sorted(given["sides"].items()))
    if isinstance(given.get("context"), str):
        given["context"] = (given["context"],)
    if name in data.source_names():
        shipped = data.source(name)
        given["turn_layout"] = table.turn_layout(shipped.turn_layout, given.get("response"))
        return replace(shipped, layout=table.layout(shipped.layout), **given)
    if not given.get("hub") and not given.get("path"):
        data.source(name)  # raises, with the closest match
    turns = table.turn_layout(NO_TURNS, given.get("response"))
    if "response" not in given and "pattern" not in given and not turns.nested:
        msg = 'name the columns: context = "…" and response = "…" (or column and pattern)'
        raise ConfigError(msg)
    given.setdefault("context", ())
    given.setdefault("response", "")
    return Source(name=name, layout=table.layout(), turn_layout=turns, **given)


_MODEL_FIELDS = {f.name for f in fields(ModelSpec)} - {"engine"}


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
        spec = _own_model(name, table, given)
    if not spec.is_human and table.prompts is None:
        msg = (
            'say which prompts it gets: prompts = ["none", "prompt1", "prompt2"], '
            "or [] where it is only the base of a fine-tune"
        )
        raise ConfigError(msg)
    return spec


def _own_model(name: str, table: ModelTable, given: dict[str, Any]) -> ModelSpec:
    """Return a model that does not ship: weights at hand, or what a server elsewhere has."""
    if not given.get("weights"):
        if table.use or table.engine in (None, HF):
            models.model(table.use or name)  # raises, with the closest match
        told = {"chat_template": True, **given, "backend": "server", "architecture": None}
    elif not given.get("architecture"):
        msg = 'a model of your own needs architecture = "decoder" or "encoder-decoder"'
        raise ConfigError(msg)
    else:
        told = given
    return ModelSpec(**{"name": name, "label": name, "backend": "hf", **told})


def require_conditions(config: Config) -> None:
    """Refuse a sweep that would have nothing to answer or to score.

    Raises:
        ConfigError: No model gets a prompt and a decoding, and no imported text is named.
    """
    lacking = []
    for name, model in config.models.items():
        if config.model_spec(name).is_human or (model.prompts and model.decodings):
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
        'expected a model with prompts, such as prompts = ["none"], or imported texts '
        "under [answers.<name>]"
    )
    raise ConfigError(msg)
