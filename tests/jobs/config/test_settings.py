"""The report's settings: recorded with it, and followed by every command that speaks of it."""

import json
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from empathy_core.errors import ConfigError, Damaged
from empathy_core.store import RunDir
from jobs.commands.views.as_written import written_spec
from jobs.config import read as configuration
from jobs.launch import main
from jobs.planning import report_settings as settings
from jobs.planning.plan_file import last_plan
from reports.keys import condition_keys
from tests.runs.command_line import ECHO, launch, write_config

CONFIG = (
    ECHO.replace('prompts = ["none", "prompt1", "prompt2"]', 'prompts = ["none", "prompt2"]')
    + '[report.contrasts.guidance]\nfirst = "echo.none"\nsecond = "echo.prompt2"\n'
)
BH = "report.correction=bh"
CHANGES = (
    BH,
    "report.most_empty=0.5",
    'report.contrasts.guidance.label=it\'s "guided"',
    "report.contrasts.back.first=echo.prompt2",
    "report.contrasts.back.second=echo.none",
)
KEY = "therapist.human-vs-echo.none.rouge1"
CLAIM = "Therapist significantly > Echo none on rouge1"


def with_set(*options: str) -> list[str]:
    """Return the options that change these settings."""
    return [word for option in options for word in ("--set", option)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``echo``, of the configuration's settings, and ``bh``, its copy.

    The report of the copy was written with other settings.
    """
    folder = tmp_path_factory.mktemp("home")
    done = launch("sweep", "--config", str(write_config(folder, CONFIG)), cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder / "runs" / "echo", folder / "runs" / "bh")
    done = launch("report", "--name", "bh", *with_set(*CHANGES), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that folder as the working directory, with a claim and a paper."""
    shutil.copytree(swept, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("COLUMNS", "200")
    Path("claims.toml").write_text(f'[[claims]]\nsays = "{CLAIM}"\n')
    Path("paper.tex").write_text(f"Therapist and Echo differ. % claim: {CLAIM}\n")
    return tmp_path / "home"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command prints; it must succeed."""
    capsys.readouterr()
    assert main(list(arguments)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


SPEAKING = {
    "claims": (("claims", "--name", "bh"), "p corrected by Benjamini-Hochberg"),
    "claims of a paper": (("claims", "paper.tex", "--name", "bh"), "by Benjamini-Hochberg"),
    "claims as JSON": (("claims", "--name", "bh", "--json"), '"correction": "Benjamini-Hochberg"'),
    "suggestions": (("claims", "--suggest", "--name", "bh"), "true and significant in the run bh"),
    "explain": (("explain", KEY, "--name", "bh"), "p < 0.001 (Benjamini-Hochberg)"),
    "explain as JSON": (("explain", KEY, "--name", "bh", "--json"), '"correction": "bh"'),
    "compare": (("report", "--compare", "bh", "bh"), "settings: the same"),
}
"""Every command that speaks of a report that is there, and what it says of ``bh``."""


@pytest.mark.parametrize("name", SPEAKING)
def test_what_report_set_changed_holds_for_all_that_speaks_of_the_report(
    home: Path, capsys: pytest.CaptureFixture[str], name: str
):
    """The correction of the table is that of the verdict; asking for another is refused."""
    command, expected = SPEAKING[name]

    shown = said(capsys, *command)

    assert expected in shown
    assert "Holm" not in shown.replace("Holm-corrected", "").replace("p (Holm)", "")
    assert said(capsys, *command, "--set", BH) == shown
    assert main([*command, "--set", "report.correction=holm"]) == 2
    assert 'report.correction: "bh" in the report, "holm" asked for' in capsys.readouterr().err


def test_runs_are_told_apart_by_the_settings_of_their_reports(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """The plans of both say the same."""
    told = json.loads(said(capsys, "report", "--compare", "echo", "bh", "--json"))["settings"]

    assert told["report.correction"] == ["holm", "bh"]
    assert told["report.most_empty"] == [0.05, 0.5]


@pytest.mark.parametrize(("name", "column", "other"), [("bh", "p_bh", "p_holm"),
                                                       ("echo", "p_holm", "p_bh")])  # fmt: skip
def test_a_claim_and_a_key_have_the_p_that_the_table_is_marked_by(
    home: Path, capsys: pytest.CaptureFixture[str], name: str, column: str, other: str
):
    """Where the two corrections differ."""
    pairs = pl.read_csv(f"runs/{name}/report/pairs.csv").filter(
        pl.col("column").is_in(["bleu", "rouge1", "rouge2", "rougeL"])
        & ((pl.col("p_bh") - pl.col("p_holm")).abs() > 1e-5)
    )
    row = pairs.row(0, named=True)
    run = RunDir(Path("runs", name).absolute())
    keys = condition_keys(last_plan(run)[0].conditions)
    one, two = keys[row["second"]], keys[row["first"]]
    Path("claims.toml").write_text(f'[[claims]]\nsays = "{one} > {two} on {row["column"]}"\n')

    main(["claims", "--name", name, "--json"])
    (check,) = json.loads(capsys.readouterr().out)["claims"][0]["checks"]
    key = f"{one}-vs-{two}.{row['column']}"
    told = json.loads(said(capsys, "explain", key, "--name", name, "--json"))

    assert check["p"] == pytest.approx(row[column], abs=1e-6)
    assert told["number"]["p"] == pytest.approx(row[column], abs=1e-6)
    assert abs(check["p"] - row[other]) > 5e-6


def test_a_contrast_that_only_the_written_report_has_is_explained(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """Its sides come from the report's settings: the plan knows nothing of it."""
    told = json.loads(said(capsys, "explain", "contrast.back.rouge1", "--name", "bh", "--json"))

    assert {c["key"] for c in told["conditions"]} == {"echo.none", "echo.prompt2"}
    assert main(["explain", "contrast.back.rouge1", "--name", "echo"]) == 2


def test_the_command_that_makes_it_again_makes_these_settings(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """Texts, numbers and whole tables, quoted for the shell; the page's hint has them as well."""
    shown = said(capsys, "explain", KEY, "--name", "bh")
    line = next(x for x in shown.splitlines() if x.startswith("again"))
    command = shlex.split(line.partition("python -m jobs.launch ")[2])
    config = command[command.index("--config") + 1]
    options = [word for before, word in pairwise(command) if before == "--set"]

    made = configuration.read(config, options).report.model_dump(mode="json")

    assert made == json.loads(Path("runs/bh/report/settings.json").read_text())["report"]
    assert (made["correction"], made["most_empty"]) == ("bh", 0.5)
    assert made["contrasts"]["guidance"]["label"] == 'it\'s "guided"'
    run = RunDir(Path("runs/bh").absolute())
    hint = shlex.split(written_spec(run, last_plan(run)[0]).commands.unredacted)
    assert {*with_set(*options), "report.redact=false"} <= set(hint)


def test_a_new_report_follows_the_configuration_again(home: Path):
    """What ``--set`` changed holds until the report is written anew."""
    run = RunDir(Path("runs/bh").absolute())
    plan = last_plan(run)[0]

    assert settings.written(run, plan).table.correction == "bh"
    assert settings.to_write(plan).table.correction == "holm"
    assert settings.to_write(plan, CHANGES).configured == settings.to_write(plan).table


def test_a_configuration_that_changed_since_is_told(home: Path, capsys: pytest.CaptureFixture[str]):
    """The verdict follows the report that stands there."""
    run = RunDir(Path("runs/echo").absolute())
    plan, path = last_plan(run)
    text = json.loads(path.read_text())
    text["config"]["report"]["correction"] = "bh"
    run.next_plan().write_text(json.dumps(text))

    assert main(["claims", "--name", "echo"]) == 0
    told = capsys.readouterr()

    assert "p corrected by Holm" in told.out
    assert 'report.correction: "holm" -> "bh"' in told.err
    assert plan.config["report"]["correction"] == "holm"


def test_a_report_without_a_record_follows_the_configuration(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """As those of older versions; then ``--set`` contradicts nothing."""
    Path("runs/echo/report/settings.json").unlink()

    assert "p corrected by Holm" in said(capsys, "claims", "--name", "echo")
    assert "Benjamini" in said(capsys, "claims", "--name", "echo", "--set", BH)


@pytest.mark.parametrize("text", ["{", "[]", '{"report": {}}', '{"report": {"fit": 3}}'])
def test_a_record_that_cannot_be_read_is_damaged(home: Path, text: str):
    """No other settings are taken in its place."""
    run = RunDir(Path("runs/echo").absolute())
    (run.report / "settings.json").write_text(text)

    with pytest.raises(Damaged, match="write it again with report"):
        settings.written(run, last_plan(run)[0])


def test_settings_of_another_version_that_are_unknown_here_are_left_out(home: Path):
    """In the record as in a plan."""
    run = RunDir(Path("runs/echo").absolute())
    path = run.report / "settings.json"
    record = json.loads(path.read_text())
    record["report"]["examples"] = 5
    path.write_text(json.dumps(record))

    assert settings.written(run, last_plan(run)[0]).changed() == {}


def test_a_setting_of_another_table_is_no_setting_of_a_report(home: Path):
    """It needs a sweep."""
    run = RunDir(Path("runs/echo").absolute())

    with pytest.raises(ConfigError, match="the rest needs: sweep"):
        settings.written(run, last_plan(run)[0], ["evaluate.limit=3"])
