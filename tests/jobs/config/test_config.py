"""The configuration: strict, all errors at once, each with its path and the closest match."""

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from empathy_core.data import DataSpec, Source, SplitSettings
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.errors import ConfigError
from empathy_core.training.spec import FinetuneSpec, Lora, TrainingSettings
from empathy_core.types import Decoding, DecodingSettings, ModelSpec
from jobs.config import read as config
from jobs.config import texts
from jobs.config.finetune import FinetuneTable
from jobs.config.schema import (
    Config,
    DataTable,
    ModelTable,
    ReportTable,
    SourceTable,
    load_prompt,
)
from slurm.profile import Profile, Resources
from tests.runs.command_line import ECHO, write_config


@pytest.mark.parametrize("path", sorted(texts.CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_configuration_loads(path: Path):
    """A shipped file names only things that exist, and says its command on top."""
    loaded = config.read(path.stem)

    assert loaded.models or loaded.finetune
    assert "python -m jobs.launch" in path.read_text().split("name =")[0]


def test_all_errors_of_a_file_come_at_once(tmp_path: Path):
    """Unknown keys, wrong types and unknown names are listed with paths and closest matches."""
    text = ECHO.replace("block_size = 4", 'block_sise = 4\nlimit = "ten"').replace(
        "[metrics.bleu]", '[metrics.bleu]\ntokenise = "13a"'
    )
    with pytest.raises(ConfigError) as caught:
        config.read(str(write_config(tmp_path, text)))

    message = str(caught.value)
    assert "evaluate.block_sise: unknown key. Did you mean 'block_size'?" in message
    assert "evaluate.limit" in message
    assert "ten" in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[models.echo]", "[models.echoo]", "Did you mean 'echo'?"),
        ('"prompt2"]', '"prompt22"]', "Did you mean 'prompt2'?"),
        ("[metrics.rouge]", "[metrics.rogue]", "Did you mean 'rouge'?"),
        ("[data.sources.sample]", "[data.sources.sampel]", "Did you mean 'sample'?"),
        ("[metrics.bleu]", '[metrics.bleu]\ntokenise = "13a"', "metrics.bleu"),
        ("max_new_tokens = 64", "max_new_tokens = 64\nsamples = 3", "needs sample = true"),
        ("max_new_tokens = 64", "max_new_tokens = -1", "decoding.greedy.max_new_tokens"),
        ("[models.echo]", '[models.echo]\nreasoning = [" ", "\\n"]', "models.echo.reasoning.0"),
        ('name = "echo"', 'name = "a/b"', "name:"),
        ("[decoding.greedy]", "[decoding.warm]",
         "models.echo: decodings is not set, which means 'greedy', and there is no "
         '[decoding.greedy]; set decodings = ["warm"], or define [decoding.greedy]'),
        ("[models.echo]", '[models.echo]\ndecodings = ["gredy"]',
         "models.echo.decodings: unknown decoding 'gredy'"),
        ("[models.echo]", "[report.contrasts]\nc = [1]\n[models.echo]",
         "report.contrasts.c: expected a table with keys from first, label, second (given: [1])"),
        ("[metrics.bleu]", "[judges]\none = 3\n[metrics.bleu]", "judges.one: expected a table "),
        ("[metrics.bleu]", '[judges.j.elsewhere."crisis.x"]\n[metrics.bleu]',
         'judges.j.elsewhere."crisis.x".source: missing'),
        ("[metrics.bleu]", '[slurm]\nprofile = "nowhere"\n[metrics.bleu]',
         "slurm.profile: unknown cluster profile 'nowhere'"),
        ('name = "echo"', 'name = "echo"\nassumed = ["decoding.warm"]', "no setting"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, expected: str):
    """Each mistake's message holds what a reader needs to mend it."""
    with pytest.raises(ConfigError) as caught:
        config.read(str(write_config(tmp_path, ECHO.replace(old, new))))

    assert expected in str(caught.value)


def test_set_overrides_the_file(tmp_path: Path):
    """--set takes TOML values, bare words, and dotted paths into named tables."""
    path = str(write_config(tmp_path))
    loaded = config.read(
        path, ["evaluate.limit=7", "evaluate.split=test", "models.echo.options.delay_s=0.5"]
    )

    assert loaded.evaluate.limit == 7
    assert loaded.evaluate.split == "test"
    assert ("delay_s", 0.5) in loaded.model_spec("echo").options


@pytest.mark.parametrize("text", ["evaluate.limit", "=3", "a b=3"])
def test_a_malformed_override_is_an_error(tmp_path: Path, text: str):
    """What is not a.b=c says what it should look like."""
    with pytest.raises(ConfigError, match=r"expected a\.b=value"):
        config.read(str(write_config(tmp_path)), [text])


def test_relative_paths_stand_beside_the_file_that_names_them(tmp_path: Path):
    """A path in a file is relative to the file, and a Hub id is not a path."""
    text = ECHO.replace(
        "[data.sources.sample]",
        '[data.sources.mine]\npath = "rows.csv"\ncontext = "q"\nresponse = "a"',
    )
    loaded = config.read(str(write_config(tmp_path, text)))

    assert loaded.data_spec().sources[0].path == str(tmp_path / "rows.csv")


def test_a_prompt_of_ones_own_stands_beside_the_file(tmp_path: Path):
    """A prompt may be a path to a TOML file; it is found from the configuration's folder."""
    own = 'label = "Mine"\ntext = "Q: {context} A:"\n'
    own += '[[messages]]\nrole = "user"\ncontent = "{context}"\n'
    (tmp_path / "mine.toml").write_text(own)
    text = ECHO.replace('"prompt2"]', '"./mine.toml"]')
    loaded = config.read(str(write_config(tmp_path, text)))
    paths = loaded.models["echo"].prompts or ()

    assert load_prompt(paths[-1]).plain("why?") == "Q: why? A:"


def test_an_unknown_configuration_names_the_known_ones():
    """A misspelt name of a configuration gets the closest one."""
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        config.read("papre")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path):
    """In a configuration and in the cluster profile that it names."""
    (tmp_path / "site.toml").write_text("\ufeffaccount = 'mine'\n", encoding="utf-8")
    path = write_config(tmp_path, "\ufeff" + ECHO + "[slurm]\nprofile = 'site.toml'\n")

    assert config.read(str(path)).slurm.account == "mine"


@pytest.mark.parametrize(
    ("key", "value"), [("separator", '";;"'), ("separator", "'\"'"), ("broken_rows", '"skip"')]
)
def test_how_a_file_is_written_is_checked(tmp_path: Path, key: str, value: str):
    """A separator is one character that is no quotation mark; rows are an error or dropped."""
    with pytest.raises(ConfigError, match=rf"data\.sources\.sample\.{key}"):
        config.read(str(write_config(tmp_path)), [f"data.sources.sample.{key}={value}"])


def test_broken_toml_names_the_line(tmp_path: Path):
    """A syntax error tells where."""
    with pytest.raises(ConfigError, match="line 2"):
        config.read(str(write_config(tmp_path, 'name = "x"\n[data\n')))


# ---------------------------------------------------------------------------- declared once


def _described(cls: type) -> Counter[str]:
    """Return how many docstrings describe each attribute of a class, its bases' among them."""
    texts = [inspect.cleandoc(base.__dict__.get("__doc__") or "") for base in _documented(cls)]
    sections = (text.partition("\nAttributes:\n")[2] for text in dict.fromkeys(texts))
    return Counter(
        name for s in sections for name in re.findall(r"^ {4}(\w+): \S", s, re.MULTILINE)
    )


def _documented(cls: type) -> Iterator[type]:
    yield from cls.__mro__
    for base in cls.__mro__:
        for spec in base.__dict__.get("changes_of", ()):
            yield from spec.__mro__


def _tables(cls: type = Config, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield dotted name and class of every table of a configuration."""
    yield path, cls
    for name, kind in get_type_hints(cls).items():
        for part in (kind, *get_args(kind)):
            if _is_table(part):
                yield from _tables(part, f"{path}.{name}")


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel))


def _keys(cls: Any) -> list[str]:
    """Return the keys of a table that are no tables: those have a docstring of their own."""
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)] if is_dataclass(cls) else list(cls.model_fields)
    return [n for n in names if not any(map(_is_table, (hints[n], *get_args(hints[n]))))]


ELSEWHERE = (ReportTable, Profile, Resources)
"""Tables whose keys are described by other classes: of ``reports.spec``, and of what Slurm calls
by the same name."""


def test_every_setting_is_described_once():
    """By the docstring of the class that declares it: what it means, its unit, what null means."""
    tables = {cls: path for path, cls in _tables()}
    counts = {
        f"{path}.{key}": _described(cls)[key]
        for cls, path in tables.items()
        if cls not in ELSEWHERE
        for key in _keys(cls)
    }

    assert len(counts) > 90
    assert {key for key, n in counts.items() if n != 1} == set()


@pytest.mark.parametrize(
    ("table", "declared"),
    [
        (FinetuneTable, (TrainingSettings, Lora)),
        (FinetuneSpec, (TrainingSettings,)),
        (Decoding, (DecodingSettings,)),
        (DataTable, (SplitSettings,)),
        (DataSpec, (SplitSettings,)),
    ],
)
def test_a_setting_is_declared_in_one_class(table: type, declared: tuple[type, ...]):
    """What a table and a value of the core share stands in neither, but in what both are."""
    for settings in declared:
        assert issubclass(table, settings)
        shared = {field.name for field in fields(settings)}
        assert shared
        assert not shared & set(inspect.get_annotations(table))


def test_a_table_that_changes_what_ships_takes_its_keys_from_there():
    """Every field of a model and of a source can be changed, with its type; null leaves it."""
    models = {f.name for f in fields(ModelSpec)} - {"name", "gated"}
    sources = {f.name for f in fields(Source)} - {"name", "layout", "turn_layout", "told_as"}
    sources |= {f.name for f in fields(TurnLayout)}

    assert models < set(ModelTable.model_fields)
    assert sources < set(SourceTable.model_fields)
    assert SourceTable.model_fields["missing"].annotation == tuple[str, ...] | None
    assert all(not f.is_required() and f.default is None for f in SourceTable.model_fields.values())


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path):
    """An editor's Latin-1 or UTF-16 is no mistake of TOML's."""
    path = tmp_path / "latin.toml"
    path.write_bytes(f'{ECHO}\n[report]\ntitle = "Zoë"\n'.encode("latin-1"))

    with pytest.raises(ConfigError, match=rf"not UTF-8 \(line {ECHO.count(chr(10)) + 3}\)"):
        config.read(str(path))
