"""TOML and ``--set`` into one frozen, strictly checked configuration.

Precedence: defaults < ``--config`` < ``--set a.b=c``. All errors of a file are reported at once,
each with its dotted path, what is allowed there and the closest match. Nothing is looked up on
the network here.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from empathy_core import data, metrics, models, prompts
from empathy_core.data import DataSpec, EvaluateSpec, Source
from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.types import (
    Architecture,
    Backend,
    Decoding,
    Dtype,
    ModelSpec,
    Prompt,
    Quantization,
)

CONFIGS = Path(__file__).parent / "configs"
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
"""Names become folders and parts of file names."""

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Table(BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SourceTable(Table):
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


class ModelTable(Table):
    """``[models.<name>]``: a file of ``empathy_core/models``, changed here or there, or one's own."""

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
    licence: str | None = None
    published: str | None = None
    options: dict[str, str | int | float | bool] | None = None


class AnswersTable(Table):
    """``[answers.<name>]``: texts made elsewhere, a condition like any other."""

    path: str
    label: str | None = None
    example: str = "example"
    text: str = "text"
    sample: str | None = None
    prompt: str = "none"
    published: str = ""


class ScoringTable(Table):
    """``[scoring]``: how the scoring work is cut."""

    shards: Positive = 1


class ReportTable(Table):
    """``[report]``: words around the tables."""

    title: str = "Evaluation of therapeutic answers"
    caption: str = "Comparison of models across evaluation metrics."
    label: str = "tab:table1"
    published: str | None = None
    examples: Annotated[int, Field(ge=0)] = 5


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
    decoding: dict[Annotated[str, Field(pattern=NAME)], DecodingTable] = {
        "greedy": DecodingTable()
    }
    models: dict[Annotated[str, Field(pattern=NAME)], ModelTable] = {}
    answers: dict[Annotated[str, Field(pattern=NAME)], AnswersTable] = {}
    metrics: dict[str, dict[str, Any]] = Field(min_length=1)
    scoring: ScoringTable = ScoringTable()
    report: ReportTable = ReportTable()
    local: LocalTable = LocalTable()

    def data_spec(self) -> DataSpec:
        """Return the sources and the split."""
        sources = tuple(_source(name, table) for name, table in self.data.sources.items())
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
        return _model(name, self.models[name])

    def shards(self, model: str) -> int:
        """Return into how many shards a model's work is cut."""
        return self.models[model].shards or self.generation.shards


# ---------------------------------------------------------------------------- reading


def read(path_or_name: str, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of a file, or of a name under ``jobs/configs``.

    Args:
        path_or_name: ``demo``, ``paper``, or a path to a TOML file.
        overrides: ``a.b=c`` each; the value is TOML, or else a plain string.

    Raises:
        ConfigError: Listing every problem of the file and of the overrides.
    """
    path = _find(path_or_name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"{path} is not valid TOML: {error}; mend that line and run again"
        raise ConfigError(msg) from error
    _anchor(table, path.parent)
    for text in overrides:
        change = _override(text)
        _anchor(change, Path.cwd())
        _merge(table, change)
    return _checked(table, str(path_or_name))


def _find(path_or_name: str) -> Path:
    path = Path(path_or_name)
    if path.suffix == ".toml" or path.is_file():
        if path.is_file():
            return path
        msg = f"no configuration file {path}; give a path to a TOML file, or one of: {_shipped()}"
        raise ConfigError(msg)
    known = {p.stem: p for p in CONFIGS.glob("*.toml")}
    if path_or_name not in known:
        close = get_close_matches(path_or_name, known, n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        msg = f"unknown configuration '{path_or_name}'.{guess} Known: {_shipped()}, or a TOML file"
        raise ConfigError(msg)
    return known[path_or_name]


def _shipped() -> str:
    return ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))


def _override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        msg = f"--set {text}: expected a.b=value, for example --set evaluate.limit=8"
        raise ConfigError(msg)
    for candidate in (value, json.dumps(value)):  # a bare word is a string
        try:
            return tomllib.loads(f"{key} = {candidate}")
        except tomllib.TOMLDecodeError:
            continue
    msg = f"--set {text}: '{key}' is not a dotted key; expected a.b=value"
    raise ConfigError(msg)


def _merge(base: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Put *change* over *base*: tables are merged, everything else is replaced."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


_PATHS = (("data", "sources", "path"), ("answers", None, "path"), ("models", None, "weights"))
_PATHS += (("models", None, "adapter"), ("metrics", None, "path"), ("metrics", None, "model"))


def _anchor(table: dict[str, Any], folder: Path) -> None:
    """Make relative paths absolute, where they were written: beside the file, or on the line.

    A weights reference counts as a path only if it begins with a dot, since ``a/b`` is a Hub id.
    """
    for head, middle, key in _PATHS:
        group = table.get(head, {})
        group = group.get(middle, {}) if middle and isinstance(group, dict) else group
        for entry in group.values() if isinstance(group, dict) else ():
            value = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(value, str) and (key == "path" or value.startswith((".", "~"))):
                entry[key] = str((folder / Path(value).expanduser()).resolve())


# ---------------------------------------------------------------------------- checking


def _checked(table: dict[str, Any], shown: str) -> Config:
    try:
        # JSON mode: a TOML array is a tuple there, and nothing else is converted
        config = Config.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        problems = [_explain(e, table) for e in error.errors()]
        raise ConfigError(_listed(problems, shown)) from None
    problems = list(_names(config))
    if problems:
        raise ConfigError(_listed(problems, shown))
    return config


def _listed(problems: Sequence[str], shown: str) -> str:
    many = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    lines = "".join(f"\n  {p}" for p in problems)
    return f"the configuration '{shown}' has {many}:{lines}\nMend them and run again."


def _explain(error: Any, table: Mapping[str, Any]) -> str:
    """Return one line: dotted path, what is wrong, what is allowed, the closest match."""
    path = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        allowed = _allowed(error["loc"][:-1])
        close = get_close_matches(str(error["loc"][-1]), allowed, n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        return f"{path}: unknown key.{guess} Allowed here: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{path}: missing; this key is required"
    given = error.get("input")
    shown = f" (given: {json.dumps(given, default=str)[:60]})" if given is not None else ""
    return f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}{shown}"


def _allowed(loc: Sequence[str | int]) -> list[str]:
    """Return the keys of the table at *loc*, by walking the models' annotations."""
    model: Any = Config
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation
        else:  # a dict of named tables: its values
            model = model.__args__[1]
    return sorted(model.model_fields)


def _names(config: Config) -> list[str]:
    """Return what is wrong with names that point elsewhere, one line each."""
    problems: list[str] = []

    def attempt(path: str, action: Any, *args: Any) -> None:
        try:
            action(*args)
        except EmpathyError as error:
            problems.append(f"{path}: {error}")

    for name, source in config.data.sources.items():
        attempt(f"data.sources.{name}", _source, name, source)
    for name, model in config.models.items():
        attempt(f"models.{name}", _model, name, model)
        for prompt in model.prompts or ():
            attempt(f"models.{name}.prompts", load_prompt, prompt)
        for decoding in model.decodings:
            attempt(f"models.{name}.decodings", _known_decoding, config, decoding)
    for name, options in config.metrics.items():
        attempt(f"metrics.{name}", metrics.load, name, options)
    for name, answers in config.answers.items():
        attempt(f"answers.{name}.prompt", load_prompt, answers.prompt)
        if name in config.models:
            problems.append(f"answers.{name}: a model has this name; choose another")
    problems += [f"decoding.{n}: {p}" for n, d in config.decoding.items() for p in _decoding(d)]
    if abs(sum(config.data.fractions) - 1) > 1e-9:
        problems.append(f"data.fractions: sum is {sum(config.data.fractions):g}, expected 1")
    if not config.models and not config.answers:
        problems.append("models: none given; name at least one under [models.<name>]")
    whole = config.model_dump()
    problems += [p for path in config.assumed for p in _assumed(whole, path)]
    return problems


def _known_decoding(config: Config, name: str) -> None:
    if name not in config.decoding:
        known = ", ".join(sorted(config.decoding))
        msg = f"unknown decoding '{name}'. Known: {known}; define it as [decoding.{name}]"
        raise ConfigError(msg)


def _decoding(table: DecodingTable) -> list[str]:
    problems = []
    if table.samples > 1 and not table.sample:
        problems.append(f"samples = {table.samples} needs sample = true: greedy answers are equal")
    if table.min_new_tokens > table.max_new_tokens:
        problems.append("min_new_tokens is greater than max_new_tokens")
    return problems


def _assumed(table: Any, path: str) -> list[str]:
    try:
        setting(table, path)
    except (KeyError, TypeError):
        return [f"assumed: '{path}' is no setting of this configuration"]
    return []


def setting(table: Any, path: str) -> Any:
    """Return the value at a dotted *path* of the dumped configuration.

    Raises:
        KeyError: There is no such setting.
    """
    for part in path.split("."):
        table = table[part]
    return table


# ---------------------------------------------------------------------------- names to values


def load_prompt(name: str) -> Prompt:
    """Return a shipped prompt by name, or one's own by path to its TOML file."""
    return prompts.read(Path(name)) if name.endswith(".toml") else prompts.prompt(name)


def _given(table: Table, *without: str) -> dict[str, Any]:
    return {k: v for k, v in table if v is not None and k not in without}


def _source(name: str, table: SourceTable) -> Source:
    given = _given(table)
    if isinstance(given.get("context"), str):
        given["context"] = (given["context"],)
    if name in data.source_names():
        return replace(data.source(name), **given)
    if not given.get("hub") and not given.get("path"):
        data.source(name)  # raises, with the closest match
    if "response" not in given and "pattern" not in given:
        msg = "name the columns: context = \"…\" and response = \"…\" (or column and pattern)"
        raise ConfigError(msg)
    given.setdefault("context", ())
    given.setdefault("response", "")
    return Source(name=name, **given)


_MODEL_FIELDS = {f.name for f in fields(ModelSpec)}


def _model(name: str, table: ModelTable) -> ModelSpec:
    given = {k: v for k, v in _given(table).items() if k in _MODEL_FIELDS}
    if "options" in given:
        given["options"] = tuple(sorted(given["options"].items()))
    known = table.use or name
    if known in models.names():
        base = replace(models.model(known), name=name)
        if "options" in given:
            given["options"] = tuple(sorted({**dict(base.options), **dict(given["options"])}.items()))
        spec = replace(base, **given)
    else:
        if not table.weights or table.use:
            models.model(known)  # raises, with the closest match
        if not table.architecture:
            msg = 'a model of your own needs architecture = "decoder" or "encoder-decoder"'
            raise ConfigError(msg)
        spec = ModelSpec(**{"name": name, "label": name, "backend": "hf", **given})
    if spec.backend == "hf" and table.prompts is None:
        msg = 'say which prompts it gets: prompts = ["none", "prompt1", "prompt2"]'
        raise ConfigError(msg)
    return spec
