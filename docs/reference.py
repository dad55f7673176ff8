"""Writes the generated parts of the pages: ``python docs/reference.py`` (``make docs`` calls it).

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``. What it
says comes from the code: keys, types, defaults and docstrings of the tables of a configuration, the
parsers of the command line, the files that ship. A test compares the pages with what this writes.
"""

import argparse
import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, RootModel

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from empathy_core import data, engines, metrics, models, prompts, rubrics, types  # noqa: E402
from empathy_core.stats import BIAS_RULES  # noqa: E402
from jobs import launch  # noqa: E402
from jobs.config.schema import Config  # noqa: E402
from reports import spec as report_spec  # noqa: E402
from reports.claims import grammar  # noqa: E402
from slurm import profile  # noqa: E402

COMMAND = "python docs/reference.py"
NO_TEXT = "(not described)"

DESCRIBED_BY: dict[str, tuple[type, ...]] = {
    "ReportTable": (report_spec.Layout, report_spec.Analysis),
}
"""Class of a table → classes of the core whose attributes its keys become, and are described by;
the others say it themselves (``changes_of``)."""


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        kind: Its annotation.
        default: As Python's value; ``dataclasses.MISSING`` where the key is required.
        text: What it means; ``NO_TEXT`` if the code does not say.
    """

    name: str
    kind: Any
    default: Any
    text: str


# ---------------------------------------------------------------------------- what the code says


def attributes(cls: type) -> dict[str, str]:
    """Return attribute → its description in the ``Attributes:`` of the class's docstring."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, there, section = text.partition("\nAttributes:\n")
        if there:
            found |= _entries(section)
    return found


def _entries(section: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        if entry := re.match(r" {4}(\w+): (.*)", line):
            name, found[entry[1]] = entry[1], entry[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def summary(cls: type) -> str:
    """Return the docstring of a class as far as its first section, as paragraphs."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return re.split(r"\n(?:Attributes|Raises|Args):\n", text)[0].strip()


def keys(cls: type) -> list[Key]:
    """Return the keys of a table: of a pydantic model, or of a dataclass."""
    described = _descriptions(cls)
    return [
        Key(name, kind, default, described.get(name, NO_TEXT))
        for name, kind, default in _declared(cls)
    ]


def _core(cls: type) -> tuple[type, ...]:
    """Return the classes of the core that a table changes, the first named last."""
    return (*DESCRIBED_BY.get(cls.__name__, ()), *getattr(cls, "changes_of", ()))[::-1]


def _descriptions(cls: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for core in _core(cls):
        found |= attributes(core)
    found |= attributes(cls)
    if issubclass(cls, BaseModel):
        found |= {n: f.description for n, f in cls.model_fields.items() if f.description}
    return found


def _declared(cls: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each key."""
    hints = get_type_hints(cls, include_extras=True)
    core = {k: v for c in _core(cls) for k, v in _defaults(c)}
    for name, default in _defaults(cls):
        # a table that leaves a key to the core has null for it; the core's default is what holds
        of_core = core.get(name) if default is None else default
        yield name, hints[name], None if default is None and not _says(of_core) else of_core


def _says(default: Any) -> bool:
    return default is not dataclasses.MISSING and default not in ("", (), None)


def _defaults(cls: type) -> Iterator[tuple[str, Any]]:
    if issubclass(cls, BaseModel):
        for name, field in cls.model_fields.items():
            required = field.is_required()
            yield (
                name,
                dataclasses.MISSING if required else field.get_default(call_default_factory=True),
            )
        return
    for field in dataclasses.fields(cls):
        if field.init:
            factory = field.default_factory
            yield field.name, field.default if factory is dataclasses.MISSING else factory()


# ---------------------------------------------------------------------------- as text


def kind_text(kind: Any) -> str:
    """Return an annotation in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return kind_text(inner[0]) + _bounds(inner[1:])
    if origin in (Union, UnionType):
        return _either([a for a in inner if a is not NoneType])
    if origin is Literal:
        return " \\| ".join(f"`{toml(value)}`" for value in inner)
    if inner:
        return _collection(origin, inner)
    words = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return words.get(kind, "table")


def _either(kinds: Sequence[Any]) -> str:
    """Return alternatives in words; values stand together."""
    parts = sorted(kinds, key=lambda kind: get_origin(kind) is Literal)
    words = " or ".join(dict.fromkeys(map(kind_text, parts)))
    return words.replace('"` or `"', '"` \\| `"')


def _collection(origin: Any, inner: Sequence[Any]) -> str:
    """Return a list or a table in words."""
    if origin not in (tuple, list):
        plain = isinstance(inner[1], type) and issubclass(inner[1], str | int | float)
        return f"table of {kind_text(inner[1])}" if plain else "table"
    if len(inner) == 2 and inner[1] is Ellipsis:
        return f"list of {kind_text(inner[0])}"
    return f"list of {len(inner)}: {kind_text(inner[0])}"


def _bounds(constraints: Sequence[Any]) -> str:
    """Return what pydantic demands of a value besides its type."""
    found = []
    for item in constraints:
        entries = [*getattr(item, "metadata", ()), item]
        for entry in entries:
            for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
                if (bound := getattr(entry, name, None)) is not None:
                    found.append(f"{sign} {bound:g}")
            if getattr(entry, "min_length", None):
                found.append("not empty")
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{}"
    return f"{value:g}" if isinstance(value, float) and value < 1e-3 else str(value)


def default_text(value: Any) -> str:
    """Return a default in words: what holds where the key is left out."""
    if value is dataclasses.MISSING:
        return "**required**"
    if value is None or isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return "—"
    return f"`{toml(value)}`"


def markdown(text: str) -> str:
    """Return a docstring's text as Markdown in a cell of a table."""
    text = re.sub(r"\s+", " ", text.replace("``", "`")).replace("|", "\\|").strip()
    return re.sub(r"\bnull\b", "not set", re.sub(r"\bNull\b", "Not set", text))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def key_table(found: Sequence[Key]) -> str:
    """Return keys as a table in Markdown."""
    rows = []
    for key in found:
        meaning = markdown(key.text)
        rows.append((f"`{key.name}`", kind_text(key.kind), default_text(key.default), meaning))
    return table(("key", "type", "default", "meaning"), rows)


# ---------------------------------------------------------------------------- configuration


def _table_of(kind: Any) -> tuple[type | None, bool]:
    """Return the class of the table that an annotation holds, and whether it is one of many."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType, Annotated):
        for part in inner:
            if (found := _table_of(part))[0]:
                return found
        return None, False
    if origin is dict:
        return _table_of(inner[1])[0], True
    is_table = isinstance(kind, type) and (
        (issubclass(kind, BaseModel) and not issubclass(kind, RootModel))
        or dataclasses.is_dataclass(kind)
    )
    return (kind if is_table else None), False


def tables(cls: type = Config, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield dotted name → class of every table of a configuration, the top level first."""
    yield path, cls
    for key in keys(cls):
        inner, named = _table_of(key.kind)
        if inner is None:
            continue
        below = f"{path}.{key.name}" if path else key.name
        yield from tables(inner, f"{below}.<name>" if named else below)


def configuration() -> str:
    """Return every table of a configuration with its keys."""
    parts, resources = [], []
    for path, cls in tables():
        if cls is profile.Resources:
            resources.append(path)
            continue
        heading = f"### `[{path}]`" if path else "### Top level"
        own = [key for key in keys(cls) if not _table_of(key.kind)[0]]
        if cls is profile.Profile:
            own = [key for key in own if key.name not in profile.Resources.model_fields]
        words = re.sub(r"^`\[\S+\]`[:;] ", "", markdown(summary(cls))) if path else ""
        words = words[:1].upper() + words[1:]
        parts.append("\n\n".join(filter(None, (heading, words, key_table(own)))))
    listed = ", ".join(f"`[{path}]`" for path in resources)
    parts.append(
        f"### `[slurm]` and its stages: resources\n\nThese keys stand in `[slurm]` for all stages, "
        f"and in {listed} for one stage or one model.\n\n{key_table(keys(profile.Resources))}"
        f"\n\nWhat an array task of a stage gets where nothing else is said:\n\n{_standard()}"
    )
    return "\n\n".join(parts)


def _standard() -> str:
    """Return the resources of each stage by default."""
    names = ("time_min", "mem_gb", "cpus", "gpus")
    rows = [
        (f"`{stage}`", *(default_text(getattr(given, name)) for name in names))
        for stage, given in profile.STANDARD.items()
    ]
    return table(("stage", *(f"`{name}`" for name in names)), rows)


EXAMPLES: dict[str, dict[str, Any]] = {
    "meteor": {"tokenizer": "13a", "synonyms": False},  # without NLTK's data
    "classifier": {"path": "labelled.csv", "labels": ("label",)},
}
"""Settings of metrics that have none by default, so that their columns can be shown."""


def metric_settings() -> str:
    """Return every metric with its columns and settings."""
    parts = []
    for name in metrics.names():
        cls = import_module(f"empathy_core.metrics.{name}").Metric
        shown = "evaluate:<path>" if name == "evaluate_metric" else name
        heading = f'### `[metrics."{shown}"]`' if ":" in shown else f"### `[metrics.{shown}]`"
        words = re.sub(r"``", "`", summary(cls))
        settings = keys(cls)
        below = key_table(settings) if settings else "It has no keys."
        parts.append("\n\n".join((heading, words, *_columns(cls, name), below)))
    return "\n\n".join(parts)


def _columns(cls: type, name: str) -> Iterator[str]:
    if name == "evaluate_metric":
        yield "Its columns are the entries of `keys`."
        return
    if name == "classifier":
        yield "The columns depend on the settings; here `labels` is one column called `label`."
    marks = {"higher": "higher is better", "lower": "lower is better", None: "no direction"}
    rows = [
        (
            f"`{c.name}`", c.label, "0 to 100 %" if c.percent else _scale(c), marks[c.better],
            "yes" if c.main else "no",
        )
        for c in cls(**EXAMPLES.get(name, {})).columns
    ]  # fmt: skip
    yield table(("column", "heading", "scale", "direction", "in Table 1 by default"), rows)


def _scale(column: types.Column) -> str:
    least, most = (("" if v is None else f"{v:g}") for v in (column.least, column.most))
    if least and most:
        return f"{least} to {most}"
    return f"from {least}" if least else "—"


# ---------------------------------------------------------------------------- names that ship


def shipped_models() -> str:
    """Return the models that ship."""
    rows = []
    for name in models.names():
        model = models.model(name)
        where = f"`{model.weights}`" if model.weights else f"none ({model.backend})"
        rows.append((f"`{name}`", model.label, where, model.licence or "—"))
    return table(("name", "label", "weights", "licence"), rows)


def shipped_engines() -> str:
    """Return the engines that ship."""
    rows = []
    for name in engines.names():
        engine = engines.engine(name)
        returned = "yes" if engine.returns_tokens else "no"
        rows.append((f"`{name}`", ", ".join(f"`{taken}`" for taken in engine.takes), returned))
    return table(("name", "settings of a decoding that it follows", "gives ids back"), rows)


def shipped_prompts() -> str:
    """Return the prompts that ship."""
    found = [prompts.prompt(name) for name in prompts.names()]
    rows = [(f"`{p.name}`", p.label, markdown(p.origin)) for p in found]
    return table(("name", "label", "origin"), rows)


def shipped_rubrics() -> str:
    """Return the rubrics that ship, with the number of their questions and what may be answered."""
    rows = []
    for found in map(rubrics.rubric, rubrics.names()):
        answers = sorted({", ".join(dimension.labels) for dimension in found.dimensions})
        refused = "" if found.single_reply else f"refused: {found.why_not_single_reply}"
        count = str(len(found.dimensions))
        rows.append((f"`{found.name}`", found.origin, count, refused or "; ".join(answers)))
    return table(("name", "after", "dimensions", "answers"), rows)


def judge_checks() -> str:
    """Return the checks of a judge, each with the range that names nobody."""
    rows = [
        (f"`{name}`", rule.number, f"{rule.harmless.low:g} to {rule.harmless.high:g}",
         "; ".join(filter(None, (rule.below, rule.above))), rule.cannot_tell)
        for name, rule in BIAS_RULES.items()
    ]  # fmt: skip
    return table(("check", "its number", "harmless", "the judge …", "cannot tell"), rows)


def shipped_sources() -> str:
    """Return the data sources that ship."""
    rows = []
    for name in data.source_names():
        source = data.source(name)
        where = (
            f"Hub: `{source.hub}`" if source.hub else "packaged" if source.path else "set `path`"
        )
        columns = ", ".join(source.context) or source.column or ""
        rows.append(
            (
                f"`{name}`",
                where,
                f"{columns} → {source.response or ('pattern' if source.pattern else 'its turns')}",
                source.licence or "—",
            )
        )
    return table(("name", "where", "columns", "licence"), rows)


def shipped_profiles() -> str:
    """Return the cluster profiles that ship: the first sentence of each file."""
    rows = []
    for name in profile.names():
        first = profile.find(name).read_text().splitlines()[0].lstrip("# ")
        rows.append((f"`{name}`", markdown(first)))
    return table(("name", "for"), rows)


# ---------------------------------------------------------------------------- commands


def commands() -> str:
    """Return every command with its options, as the parsers have them."""
    found = parsers(launch.parser())
    common = _common(list(found.values()))
    parts = [f"### Options of every command\n\n{_options(common)}"]
    for name, command in found.items():
        first, _, rest = (command.description or "").strip().partition("\n")
        own = [a for a in _actions(command) if _names(a) not in {_names(c) for c in common}]
        usage = f"```text\n{_usage(name, own)}\n```"
        text = f"{first[0].upper()}{first[1:].rstrip('.')}.\n\n{_prose(rest)}".strip()
        parts.append("\n\n".join(filter(None, (f"### {name}", text, usage, _options(own)))))
    return "\n\n".join(parts)


def parsers(of: argparse.ArgumentParser, above: str = "") -> dict[str, argparse.ArgumentParser]:
    """Return command → its parser; a command in a folder has two words."""
    found = {}
    for sub in of._actions:
        if isinstance(sub, argparse._SubParsersAction):
            for word, parser in sub.choices.items():
                name = f"{above} {word}".strip()
                found |= parsers(parser, name) or {name: parser}
    return found


def _prose(text: str) -> str:
    """Return a description as Markdown: nothing of it is markup."""
    return re.sub(r"([\[\]<>*_`])", r"\\\1", text.strip())


def _actions(command: argparse.ArgumentParser) -> list[argparse.Action]:
    return [a for a in command._actions if not isinstance(a, argparse._HelpAction)]


def _names(action: argparse.Action) -> tuple[str, ...]:
    return tuple(action.option_strings) or (action.dest,)


def _common(found: Sequence[argparse.ArgumentParser]) -> list[argparse.Action]:
    """Return the options that all commands have."""
    named = [{_names(a) for a in _actions(command)} for command in found]
    shared = set.intersection(*named)
    return [a for a in _actions(found[0]) if _names(a) in shared]


def _shown(action: argparse.Action) -> str:
    """Return an option with the place of its value, as in ``--mem GB``."""
    metavar = action.metavar
    if action.choices and not metavar:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    values = " ".join(metavar) if isinstance(metavar, tuple) else metavar or action.dest.upper()
    if not action.option_strings:
        return values
    return action.option_strings[0] + ("" if action.nargs == 0 else f" {values}")


def _usage(name: str, own: Sequence[argparse.Action]) -> str:
    words = []
    for action in own:
        text = _shown(action)
        if action.nargs == "*":
            text = f"[{text} …]"
        elif action.nargs == "?" or (action.option_strings and not action.required):
            text = f"[{text}]"
        words.append(text)
    return " ".join(["python -m jobs.launch", name, *words])


def _options(found: Sequence[argparse.Action]) -> str:
    rows = [
        (f"`{_shown(a)}`".replace("|", "\\|"), markdown(_escaped(a.help or NO_TEXT))) for a in found
    ]
    return table(("option", "meaning"), rows) if rows else ""


def _escaped(text: str) -> str:
    return _prose(text.replace("%%", "%"))


# ---------------------------------------------------------------------------- claims and files


def forms() -> str:
    """Return the forms of a claim, each with its meaning."""
    rows = [(f"`{form.shown}`", markdown(_prose(form.means))) for form in grammar.FORMS]
    return table(("form", "also, or means"), rows)


def statistics() -> str:
    """Return the statistics of each metric, as its result files have them."""
    rows = []
    for name in metrics.names():
        if name != "evaluate_metric":
            cls = import_module(f"empathy_core.metrics.{name}").Metric
            metric = cls(**EXAMPLES.get(name, {}))
            rows.append((f"`{name}`", ", ".join(f"`{s}`" for s in metric.statistics)))
    return table(("metric", "statistics of a row"), rows)


def folders() -> str:
    """Return the folders of the code, each with the first line of its docstring."""
    rows = []
    for package in ("jobs", "reports", "empathy_core", "slurm"):
        for path in sorted((ROOT / package).rglob("__init__.py")):
            first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split(
                "\n"
            )
            rows.append((f"`{path.parent.relative_to(ROOT)}/`", markdown(_prose(first[0]))))
    return table(("folder", "what is in it"), rows)


# ---------------------------------------------------------------------------- pages

PARTS = {
    "configuration": configuration,
    "metrics": metric_settings,
    "models": shipped_models,
    "engines": shipped_engines,
    "prompts": shipped_prompts,
    "rubrics": shipped_rubrics,
    "judge_checks": judge_checks,
    "sources": shipped_sources,
    "profiles": shipped_profiles,
    "commands": commands,
    "forms": forms,
    "statistics": statistics,
    "folders": folders,
}


def rewritten(text: str) -> str:
    """Return a page with its generated parts written anew.

    Raises:
        KeyError: It names a part that is none of ``PARTS``.
    """
    pattern = r"<!-- generated: (\w+) -->\n.*?<!-- end of \1 -->"
    return re.sub(pattern, lambda found: _part(found[1]), text, flags=re.DOTALL)


def _part(name: str) -> str:
    return f"<!-- generated: {name} -->\n\n{PARTS[name]()}\n\n<!-- end of {name} -->"


def main() -> None:
    """Rewrite the generated parts of all pages."""
    for page in sorted(DOCS.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = rewritten(before)
        if after != before:
            page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
