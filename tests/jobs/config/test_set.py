"""What ``--set`` gets wrong is named as it was typed, with what to type instead."""

from pathlib import Path
from typing import Any

import pytest

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.commands.console import existing, hint_at_others
from jobs.commands.options import RunOptions
from jobs.config.read import read, report_table, setting
from jobs.config.schema import model_of
from jobs.config.texts import CONFIGS
from tests.runs.command_line import ECHO, write_config

MORE = """
[report.margins]
bleu = 0.1
[models.echo]
prompts = ["none"]
options = { delay_s = 0.1 }
"""
"""What ``finetune.toml`` lacks of the tables that can be emptied."""


def wrong(folder: Path, *changes: str, text: str = ECHO) -> str:
    """Return the error of a configuration with these changes."""
    with pytest.raises(ConfigError) as error:
        read(str(write_config(folder, text)), changes)
    return str(error.value)


def test_a_list_that_the_shell_took_apart_is_shown_as_it_is_typed(tmp_path: Path):
    """Of a sweep and of a report; the quoted form can be pasted."""
    told = wrong(tmp_path, "models.echo.prompts=[none, prompt1]")
    with pytest.raises(ConfigError) as report:
        report_table({}, ["report.columns=[n]"])

    assert told.startswith(
        "the command line has 1 problem:\n  --set models.echo.prompts=[none, pro"
    )
    assert """--set 'models.echo.prompts=["none", "prompt1"]'\n""" in told
    assert "the command line has 1 problem:\n  --set report.columns=[n]: " in str(report.value)
    assert """--set 'report.columns=["n"]'\n""" in str(report.value)
    read(str(write_config(tmp_path)), ['models.echo.prompts=["none", "prompt1"]'])


def test_each_problem_is_blamed_on_what_brought_it(tmp_path: Path):
    """Values, names that point elsewhere and unknown keys of --set; the rest is the file's."""
    told = wrong(tmp_path, "evaluate.limit=x", "models.echo.prompt=a", text=f"{ECHO}threds = 1")
    names = wrong(tmp_path, 'models.echo.prompts=["nonee"]')

    assert "echo.toml' has 3 problems:" in told
    assert "\n  --set evaluate.limit=x: input should be" in told
    assert "\n  --set models.echo.prompt=a: unknown key. Did you mean 'prompts'?" in told
    assert "\n  local.threds: unknown key. Did you mean 'threads'?" in told
    assert '\n  --set models.echo.prompts=["nonee"]: unknown prompt' in names


def test_to_correct_it_is_said_once(tmp_path: Path):
    """A metric's own message ends so too."""
    told = wrong(tmp_path, text=ECHO.replace("[metrics.rouge]", "[metrics.rouge]\nfoo = 1"))

    assert "unknown option 'foo'. Allowed: use_stemmer, tokenizer, lsum, references\n" in told
    assert told.lower().count("run again") == 1


@pytest.mark.parametrize("name", ["my model", "-x", "a.b"])
def test_what_a_name_may_hold_is_said_in_words(tmp_path: Path, name: str):
    """Of a run and of a table; no pattern is shown."""
    changed = ECHO.replace('"echo"', f'"{name}"', 1).replace("[models.echo]", f'[models."{name}"]')
    told = wrong(tmp_path, text=changed)

    assert told.count("expected letters (a to z, A to Z), digits, '_' and '-', first a letter") == 2
    assert f'this cannot be a name (given: "{name}")' in told
    assert "pattern" not in told


# ---------------------------------------------------------------------------- which run is meant


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with the run ``study``."""
    (tmp_path / "study" / "plans").mkdir(parents=True)
    return tmp_path


def test_the_runs_that_may_be_meant_are_named(runs: Path):
    """Where the default's run is not there, and where --set does not suit its configuration."""
    with pytest.raises(ConfigError, match=r"no run 'demo'.*which is meant: --name study; or start"):
        existing(RunOptions(runs=runs))
    with pytest.raises(ConfigError, match=r"about the configuration 'demo'; .* add --name study"):
        existing(RunOptions(runs=runs, overrides=("report.intervals=nope",)))


def test_a_report_that_set_changes_says_whose_it_is(runs: Path, capsys: pytest.CaptureFixture[str]):
    """Only where no run is named, something is changed, and another run could be meant."""
    demo, changes = RunDir(runs / "demo"), ("report.intervals=none",)
    for silent in (
        RunOptions(runs=runs),
        RunOptions(runs=runs, overrides=changes, name="demo"),
        RunOptions(runs=runs, overrides=changes, config="demo.toml"),
        RunOptions(runs=runs / "none", overrides=changes),
    ):
        hint_at_others(silent, demo)
    before = capsys.readouterr().err
    hint_at_others(RunOptions(runs=runs, overrides=changes), demo)

    assert before == ""
    assert "about the run 'demo'; for another one, add --name study" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["finetune", "report.margins", "models.echo.options"])
def test_an_empty_table_empties(tmp_path: Path, table: str):
    """As the pages say of ``finetune={}``; an empty table of a file says nothing."""
    path = write_config(tmp_path, (CONFIGS / "finetune.toml").read_text() + MORE)

    def entries(*changes: str) -> Any:
        return setting(read(str(path), changes).model_dump(mode="json"), table)

    assert entries()
    assert not entries(f"{table}={{}}")
    assert "metrics" in wrong(tmp_path, "metrics={}")  # what there must be is asked for


def test_infinity_is_no_setting(tmp_path: Path):
    """It is above 0, and no temperature."""
    assert "decoding.greedy.temperature" in wrong(tmp_path, "decoding.greedy.temperature=inf")


def test_a_label_is_one_line_or_the_name(tmp_path: Path):
    """Of blanks alone no row could be told from the one above it."""
    table = read(str(write_config(tmp_path)), ['models.echo.label=" \\n\\t"']).models["echo"]
    lines = read(str(write_config(tmp_path)), ['models.echo.label="A\\n B "']).models["echo"]

    assert model_of("echo", table).label == "Echo"
    assert model_of("echo", lines).label == "A B"
