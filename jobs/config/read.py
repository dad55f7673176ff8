"""TOML and ``--set`` into one frozen, strictly checked configuration.

Precedence: defaults < ``--config`` < ``--set a.b=c``. All errors of a file are reported at once,
each with its dotted path, what is allowed there and the closest match.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import is_dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from empathy_core import metrics
from empathy_core.counted import counted
from empathy_core.errors import ConfigError, EmpathyError, UnknownName
from empathy_core.metrics._jury import juries
from empathy_core.training.preflight import run as preflight
from jobs.config import choosing, contrasts, decoding, names, paths, refinements, texts
from jobs.config.annotate import AnnotateTable
from jobs.config.asked_of_people import rubrics_asked
from jobs.config.engines import refused
from jobs.config.judges import judge_lookups, metric_options, questions
from jobs.config.judges_apart import indistinct
from jobs.config.schema import Config, ReportTable, load_prompt, source_of
from jobs.config.strict import NAME, ConfigModel
from jobs.config.variants import variants
from reports.tables import published
from reports.tables.columns import wrong_columns
from slurm import profile

LIST_EXPECTED = "expected a list in square brackets"


# ---------------------------------------------------------------------------- reading


def read(path_or_name: str, overrides: Sequence[str] = (), allow: Sequence[str] = ()) -> Config:
    """Return the configuration of a file, or of a name under ``jobs/configs``.

    Args:
        path_or_name: ``demo``, ``paper``, a path to a TOML file, or to a plan of a run (JSON).
        overrides: ``a.b=c`` each; the value is TOML, or else a plain string.
        allow: Preflight findings that stop no fine-tune.

    Raises:
        ConfigError: Listing every problem of the file and of the overrides.
    """
    path = texts.find(path_or_name)
    table = texts.raw(path)
    paths.anchor(table, path.parent)
    for text in overrides:
        change = texts.override(text)
        paths.anchor(change, Path.cwd())
        texts.merge(table, change, emptying=True)
    for entry in paths.tables_below(table, "finetune", None) if allow else ():
        given = entry.get("allow")
        entry["allow"] = [*(given if isinstance(given, list) else ()), *allow]
    shown = f"the configuration '{path_or_name}'"
    if profiled := _put_profile_below(table):
        shown += f" with the cluster profile '{profiled}'"
    return _checked(table, shown, overrides)


def _put_profile_below(table: dict[str, Any]) -> str:
    """Put the cluster profile that ``slurm.profile`` names below ``[slurm]``; return its name.

    Raises:
        ConfigError: There is no such profile, or its file is not TOML.
    """
    own = table.get("slurm")
    name = own.get("profile") if isinstance(own, dict) else None
    if not isinstance(own, dict) or not isinstance(name, str):
        return ""
    path = profile.find(name)
    if path is None:
        close = get_close_matches(name, profile.names(), n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        listed = ", ".join(profile.names())
        msg = (
            f"slurm.profile: unknown cluster profile '{name}'.{guess} Known: {listed}, or a path "
            "to a TOML file; correct it and run again"
        )
        raise ConfigError(msg)
    try:
        below = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        msg = f"the cluster profile {path} is not valid TOML: {error}; correct that line"
        raise ConfigError(msg) from error
    if isinstance(below.get("slurm"), dict):
        msg = (
            f"the cluster profile {path} has a table [slurm]: expected its keys at the top, and "
            "[generate] instead of [slurm.generate]; take 'slurm' out of its lines in brackets"
        )
        raise ConfigError(msg)
    _one_way_to_ask_for_gpus(below, own)
    texts.merge(below, own)
    table["slurm"] = below
    return name


def _one_way_to_ask_for_gpus(below: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Drop from the profile's tables the other way of asking for GPUs than the configuration's."""
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _one_way_to_ask_for_gpus(below[key], value)
    if "gres" in own:
        below.pop("gpus", None)
    elif "gpus" in own and "gpu" in str(below.get("gres", "")):
        below.pop("gres")


# ---------------------------------------------------------------------------- checking


def _checked(table: dict[str, Any], shown: str, overrides: Sequence[str]) -> Config:
    try:
        # JSON mode: a TOML array is a tuple there, and nothing else is converted
        config = Config.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        problems = [_explain(e) for e in error.errors()]
        raise ConfigError(_listed(problems, shown, overrides)) from None
    problems = list(_names(config))
    if problems:
        raise ConfigError(_listed(problems, shown, overrides))
    return config


def report_table(table: Mapping[str, Any], overrides: Sequence[str]) -> ReportTable:
    """Return a table ``[report]`` with overrides (``report.a=b``).

    Raises:
        ConfigError: An override is of another table, no setting, or has a wrong value.
    """
    return _one_table("report", ReportTable, table, overrides)


def annotate_table(table: Mapping[str, Any], overrides: Sequence[str]) -> AnnotateTable:
    """Return a table ``[annotate]`` with overrides (``annotate.a=b``).

    Raises:
        ConfigError: An override is of another table, no setting, or has a wrong value.
    """
    return _one_table("annotate", AnnotateTable, table, overrides)


_Table = TypeVar("_Table", bound=ConfigModel)


def _one_table(
    name: str, kind: type[_Table], table: Mapping[str, Any], overrides: Sequence[str]
) -> _Table:
    """Return a table that one command follows, with what may be changed after a sweep."""
    whole: dict[str, Any] = {name: deepcopy(dict(table))}  # overrides reach into its tables
    for text in overrides:
        change = texts.override(text)
        if set(change) != {name}:
            msg = f"--set {text}: {name} changes only [{name}]; the rest needs: sweep"
            raise ConfigError(msg)
        texts.merge(whole, change, emptying=True)
    try:
        return kind.model_validate_json(json.dumps(whole[name], default=str))
    except ValidationError as error:
        problems = [_explain({**e, "loc": (name, *e["loc"])}) for e in error.errors()]
        raise ConfigError(_listed(problems, f"the table [{name}]", overrides)) from None


_ADVICE = re.compile(r"[.;,] *correct \S+(?: \S+)? and run again\.?$", re.IGNORECASE)
"""Ends the message of a file that is read alone; the list of all problems has its own."""


def _listed(problems: Sequence[str], shown: str, overrides: Sequence[str]) -> str:
    """Return the message of all problems; what ``--set`` brought is named as it was typed."""
    lines = [_as_typed(_ADVICE.sub("", problem), overrides) for problem in problems]
    where = "the command line" if all(line.startswith("--set ") for line in lines) else shown
    many = counted(len(problems), "problem")
    which = "them" if len(problems) > 1 else "it"
    listed = "".join(f"\n  {line}" for line in lines)
    return f"{where} has {many}:{listed}\nCorrect {which} and run again."


def _as_typed(problem: str, overrides: Sequence[str]) -> str:
    """Return a problem, with the ``--set`` that brought it, if one did: the last one wins."""
    path, _, rest = problem.partition(": ")
    for text in reversed(overrides):
        key, _, value = (part.strip() for part in text.partition("="))
        new = rest.startswith("unknown key") and f"{key}.".startswith(f"{path}.")
        if f"{path}.".startswith(f"{key}.") or new:
            said = rest if path == key else problem
            return f"--set {text}: {said}{_quoting(key, value, rest)}"
    return problem


def _quoting(key: str, value: str, problem: str) -> str:
    """Return how a list of strings is written for a shell, where a list was meant."""
    if not problem.startswith(LIST_EXPECTED):
        return ""
    words = [word.strip(" '\"") for word in value.strip("[]").split(",")]
    meant = f"{key}={json.dumps([word for word in words if word], ensure_ascii=False)}"
    return f"; its strings in quotation marks, all quoted for the shell: --set {shlex.quote(meant)}"


def _explain(error: Any) -> str:
    """Return one line: dotted path, what is wrong, what is allowed, the closest match."""
    parts = (str(part) for part in error["loc"] if part != "[key]")
    path = ".".join(f'"{part}"' if "." in part else part for part in parts)  # as TOML quotes it
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):  # model, dataclass
        allowed = _allowed(error["loc"][:-1])
        close = get_close_matches(str(error["loc"][-1]), allowed, n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        return f"{path}: unknown key.{guess} Allowed here: {', '.join(allowed)}"
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):
        return f"{path}: missing; expected one more entry in this list"
    if error["type"] == "missing":
        return f"{path}: missing; this key is required"
    secret = path.endswith((".env", ".pass_env"))  # its value may be one
    given = None if secret else error.get("input")
    shown = f" (given: {json.dumps(given, default=str)[:60]})" if given is not None else ""
    if error["type"] in ("tuple_type", "list_type"):
        return f"{path}: {LIST_EXPECTED}{shown}"
    if error["type"] in ("model_type", "dataclass_type", "dict_type"):
        return f"{path}: expected a table{_with_keys(error['loc'])}{shown}"
    return f"{path}: {_of_value(error, shown)}"


def _of_value(error: Any, shown: str) -> str:
    """Return what is wrong with a value; *shown* is the value, in brackets."""
    if error["type"] == "too_short":
        least = counted(error["ctx"]["min_length"], "entry", "entries")
        return f"has too few entries{shown}; expected {least} at least"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME:
        return (
            f"this cannot be a name{shown}; expected letters (a to z, A to Z), digits, '_' "
            "and '-', first a letter or digit"
        )
    return f"{error['msg'][0].lower()}{error['msg'][1:]}{shown}"


def _allowed(loc: Sequence[str | int]) -> list[str]:
    """Return the keys of the table at *loc*, by walking the annotations."""
    table: Any = Config
    for part in loc:  # a table's key, or, in a dict of named tables, one of its values
        kind = get_args(table)[1] if get_origin(table) is dict else _keys(table)[str(part)]
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        given = [a for a in get_args(kind) if a is not NoneType]
        table = given[0] if get_origin(kind) is UnionType else kind
    return sorted(_keys(table))


def _with_keys(loc: Sequence[str | int]) -> str:
    """Return the keys of the table that was expected at *loc*; empty where any name may stand."""
    with suppress(KeyError, AttributeError, IndexError, TypeError):
        return f" with keys from {', '.join(_allowed(loc))}"
    return ""


def _keys(table: Any) -> dict[str, Any]:
    """Return the keys of a table, a model or a dataclass, and their types."""
    if is_dataclass(table):
        return get_type_hints(table)
    return {name: field.annotation for name, field in table.model_fields.items()}


_ASKED = re.compile(r"^(judges\.[^.]+|annotate)\..*")
"""Tables in which one key is looked up with another: dimensions within rubrics."""


def _names(config: Config) -> list[str]:
    """Return what is wrong with names that point elsewhere, one line each.

    What is wrong with what a judge or people are asked is told once, at the first key.
    """
    problems, told = [], set()
    for path, look_up in (
        *_lookups(config),
        *_metric_lookups(config),
        *_finetune_lookups(config),
        *_report_lookups(config),
        *_refine_lookups(config),
    ):
        try:
            look_up()
        except EmpathyError as error:
            once = _ASKED.sub(r"\1", path), str(error)
            problems += [] if once in told else [f"{path}: {error}"]
            told.add(once)
    problems += [f"report.columns: {p}" for p in _columns(config)]
    problems += decoding.problems(config.decoding)
    problems += choosing.problems(config)
    problems += [
        f"answers.{n}: a model has this name; choose another"
        for n in config.answers
        if n in config.models
    ]
    if abs(sum(config.data.fractions) - 1) > 1e-9:
        problems.append(f"data.fractions: sum is {sum(config.data.fractions):g}, expected 1")
    if not (config.models or config.answers or config.finetune):
        problems.append("models: none given; name at least one under [models.<name>]")
    problems += [] if problems else (*names.unusable(config), *indistinct(config))
    whole = config.model_dump()
    return problems + [p for path in config.assumed for p in _assumed(whole, path)]


def _lookups(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield every name of the configuration as (path, what raises if it is unknown)."""
    for name, source in config.data.sources.items():
        yield f"data.sources.{name}", partial(source_of, name, source)
    for name, model in config.models.items():
        yield f"models.{name}", partial(_model, config, name)
        for prompt in model.prompts or ():
            yield f"models.{name}.prompts", partial(load_prompt, prompt)
        told = "decodings" in model.model_fields_set
        key = f"models.{name}.decodings" if told else f"models.{name}"
        for wanted in model.decodings:
            yield key, partial(_known_decoding, config, wanted, name, told=told)
            yield (
                f"models.{name}.decodings",
                partial(choosing.require_source, config, wanted, model.decodings),
            )
    for name, engine in config.engines.items():
        yield f"engines.{name}", partial(engine.engine, name)
    for name, answers in config.answers.items():
        yield f"answers.{name}.prompt", partial(load_prompt, answers.prompt)


def _metric_lookups(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    for name, options in config.metrics.items():
        yield f"metrics.{name}", partial(metrics.load, name, options)
    for name in config.judges:
        for key, look_up in judge_lookups(config, name):
            yield f"judges.{name}.{key}", look_up
        yield f"judges.{name}", partial(questions, config, name)
    if (people := config.annotate).rubrics:
        whole = people.model_copy(update={"dimensions": ()})
        yield "annotate.rubrics", partial(rubrics_asked, whole)
        yield "annotate.dimensions", partial(rubrics_asked, people)
    for selector in config.annotate.conditions:
        yield "annotate.conditions", partial(contrasts.check, config, selector)


def _model(config: Config, name: str) -> None:
    """Raise what is wrong with a model; what is with the table of its engine is told there."""
    table = config.engines.get(config.models[name].engine or "")
    if table is not None:
        try:
            table.engine(str(config.models[name].engine))
        except EmpathyError:
            return
    config.model_spec(name)


def _finetune_lookups(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    for name, table in config.finetune.items():
        yield f"finetune.{name}.prompt", partial(load_prompt, table.prompt)
        yield f"finetune.{name}", partial(_finetune, config, name)
        for wanted in table.decodings:
            yield f"finetune.{name}.decodings", partial(_known_decoding, config, wanted)
            yield (
                f"finetune.{name}.decodings",
                partial(choosing.require_source, config, wanted, table.decodings),
            )


def _refine_lookups(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    for name in config.refine:
        yield f"refine.{name}", partial(refinements.check, config, name)


def _report_lookups(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    if config.report.published is not None:
        yield "report.published", partial(published.load, config.report.published)
    for name, contrast in config.report.contrasts.items():
        for side in ("first", "second"):
            selector = getattr(contrast, side)
            yield f"report.contrasts.{name}.{side}", partial(contrasts.check, config, selector)


def _columns(config: Config) -> list[str]:
    """Return what is wrong with the columns; what is with a metric itself is told elsewhere."""
    try:
        found = {m: metrics.load(m, options) for m, options in metric_options(config).items()}
    except EmpathyError:
        return []
    return wrong_columns(config.report.columns, {**found, **juries(found)})


def _finetune(config: Config, name: str) -> None:
    """Raise what is wrong with one fine-tune: its base, batches, names, sources, findings."""
    table = config.finetune[name]
    alone = config.model_copy(update={"finetune": {name: table}})
    for variant in variants(alone):
        if variant.spec.name in config.models or variant.spec.name in config.answers:
            msg = f"its adapter is called {variant.spec.name}, as is a model; rename one of them"
            raise ConfigError(msg)
        for source in variant.spec.sources:
            if source not in config.data.sources:
                raise UnknownName("source of training rows", source, config.data.sources)
    for finding in table.allow:
        if finding not in preflight.NAMES:
            raise UnknownName("preflight finding in allow", finding, preflight.NAMES)


def _known_decoding(
    config: Config, name: str, model: str | None = None, *, told: bool = True
) -> None:
    """Refuse a decoding that is not there, or that the engine of *model* cannot follow.

    *told*: the configuration names it; else it is the usual one.
    """
    if name not in config.decoding:
        known = sorted(config.decoding)
        unset = f"decodings is not set, which means '{name}', and there is no [decoding.{name}]; "
        msg = (
            f"unknown decoding '{name}'. Known: {', '.join(known)}; define it as [decoding.{name}]"
        )
        if not told:
            msg = f"{unset}set decodings = {json.dumps(known)}, or define [decoding.{name}]"
        raise ConfigError(msg)
    if config.decoding[name].chooses:
        return  # no engine is asked to
    engine = None
    with suppress(EmpathyError):  # what is wrong with the model is told where it stands
        engine = config.model_spec(model).engine if model else None
    if engine and (reason := refused(engine, config.decoding_spec(name))):
        raise ConfigError(reason)


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
