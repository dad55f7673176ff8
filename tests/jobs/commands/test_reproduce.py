"""From a number back to its rows and the command that makes it again; two runs compared."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.launch import main
from tests.runs.command_line import ECHO, ROOT, launch, write_config

CONFIG = (
    ECHO.replace('prompts = ["none", "prompt1", "prompt2"]', 'prompts = ["none", "prompt2"]')
    + """
[report.contrasts.guidance]
first = "echo.none"
second = "echo.prompt2"
label = "Guidance"
"""
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one finished run, ``echo``."""
    folder = tmp_path_factory.mktemp("home")
    path = write_config(folder, CONFIG)
    done = launch("sweep", "--config", str(path), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def explained(home: Path, key: str) -> str:
    """Return what ``explain`` says of a key."""
    done = launch("explain", key, "--name", "echo", cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_score_is_explained_down_to_its_rows(home: Path):
    """The number as printed, its condition, its metric, and where the rows lie."""
    rows = (home / "runs" / "echo" / "report" / "results.csv").read_text().splitlines()
    told = next(line.split(",") for line in rows if line.startswith("echo.prompt2.rouge1,"))

    shown = explained(home, "echo.prompt2.rouge1")

    assert f"echo.prompt2.rouge1 = {told[8]} [" in shown
    assert "You are a licensed therapist" in shown
    assert "generations/echo.prompt2.greedy" in shown
    assert "--config echo.toml" in shown.replace(str(home) + "/", "")


@pytest.mark.parametrize(
    ("key", "conditions"),
    [
        ("echo.none-vs-echo.prompt2.rouge1", 2),
        ("contrast.guidance.rouge1", 2),
        ("echo.none", 1),
        ("therapist.human.rouge1@therapist", 1),
    ],
)
def test_whatever_has_a_key_is_explained(home: Path, key: str, conditions: int):
    """Differences and contrasts name both their conditions."""
    done = launch("explain", key, "--name", "echo", "--json", cwd=home)

    told = json.loads(done.stdout)
    assert len(told["conditions"]) == conditions
    assert all(
        (home / "runs" / "echo" / f).exists() for c in told["conditions"] for f in c["files"]
    )


def test_the_command_that_is_given_makes_the_same_tables(home: Path):
    """The plan itself is the configuration; every table is equal to the byte."""
    shown = explained(home, "echo.none.rouge1")
    line = next(x for x in shown.splitlines() if x.startswith("again"))
    command = shlex.split(line.partition("python -m jobs.launch ")[2])

    done = launch(*command, cwd=home)

    assert done.returncode == 0, done.stderr
    one, two = (home / "runs" / name / "report" for name in ("echo", "echo-again"))
    names = sorted(p.name for p in one.iterdir() if p.suffix in (".csv", ".tex"))
    assert "table1.tex" in names
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    compared = launch("report", "--compare", "echo", "echo-again", "--json", cwd=home)
    told = json.loads(compared.stdout)
    assert set(told["settings"]) <= {"name"}
    assert {row["difference"] for row in told["changes"]} == {0.0}


def test_two_runs_are_compared_in_words(home: Path):
    """What changed in the configuration comes first, then the numbers of what both have."""
    shorter = CONFIG.replace("max_new_tokens = 64", "max_new_tokens = 8")
    path = write_config(home, shorter.replace('name = "echo"', 'name = "short"'), "short.toml")
    done = launch("sweep", "--config", str(path), cwd=home)
    assert done.returncode == 0, done.stderr

    compared = launch("report", "--compare", "echo", "short", cwd=home)

    assert compared.returncode == 0, compared.stderr
    assert "decoding.greedy.max_new_tokens: 64 -> 8" in compared.stdout
    assert "echo.none" in compared.stdout


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("explain", "echo.none.rouge9"), "the nearest: echo.none.rouge"),
        (("report", "--compare", "echo", "ecko"), "echo"),
    ],
)
def test_a_wrong_name_is_told_with_the_right_ones(
    home: Path, arguments: tuple[str, ...], match: str
):
    """Nothing is guessed; the nearest name is offered."""
    done = launch(*arguments, *(("--name", "echo") if arguments[0] == "explain" else ()), cwd=home)

    assert done.returncode not in (0, 1)
    assert match in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('first = "eco.none"', "eco"),
        ('first = "echo.prompt1"', "prompt of echo"),
        ('frst = "echo.none"', "report.contrasts.guidance.frst"),
    ],
)
def test_a_wrong_contrast_is_refused_before_anything_runs(tmp_path: Path, line: str, match: str):
    """With its dotted path and what there is."""
    path = write_config(tmp_path, CONFIG.replace('first = "echo.none"', line))

    done = launch("sweep", "--config", str(path), cwd=tmp_path)

    assert done.returncode == 2
    assert match in done.stderr
    assert not (tmp_path / "runs").exists()


# ---------------------------------------------------------------------------- any names

NAMES = (
    ECHO.replace("[data.sources.sample]", """
[data.sources.mine]
path = "made.csv"
context = "question"
response = "answer"
keep = ["topic", "age/sex"]
""").replace('"none", "prompt1", "prompt2"', '"./my prompt.v2.toml", "./my-prompt.v2.toml"')
    .replace("[models.therapist]", "").replace("[metrics.diagnostics]", "")
    + """
[report]
subgroups = ["topic", "age/sex"]
[report.contrasts.c]
first = "echo.my prompt.v2"
second = "echo.my-prompt.v2"
"""
)  # fmt: skip
TOPICS, AGES = ("抑郁", "焦虑"), ("18-25", "18–25")  # noqa: RUF001 - an en dash


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run under names whose plain spellings are the same."""
    folder = tmp_path_factory.mktemp("named")
    for name, of in (("my prompt.v2", "prompt1"), ("my-prompt.v2", "prompt2")):
        text = (ROOT / "empathy_core" / "prompts" / f"{of}.toml").read_text()
        (folder / f"{name}.toml").write_text(text)
    rows = [f"Question {i}: what can I do?,Answer {i}: breathe.,{TOPICS[i % 2]},{AGES[i // 2 % 2]}"
            for i in range(24)]  # fmt: skip
    (folder / "made.csv").write_text("\n".join(["question,answer,topic,age/sex", *rows]) + "\n")
    here = ["--runs", str(folder), "--executor", "local"]
    assert main(["sweep", "--config", str(write_config(folder, NAMES)), *here]) == 0
    return folder / "echo"


def told(run: Path, key: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what ``explain`` says of a key."""
    capsys.readouterr()
    assert main(["explain", key, "--name", run.name, "--runs", str(run.parent), "--json"]) == 0, key
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.slow
def test_every_key_is_explained_by_its_own_conditions(
    named: Path, capsys: pytest.CaptureFixture[str]
):
    """Macros and results have the same keys; each is of what it is of, whatever it looks like."""
    rows = pl.read_csv(named / "report" / "results.csv", infer_schema=False)
    macros = (named / "report" / "macros.tex").read_text()
    in_macros = re.findall(r"^\\report@number{([^}]*)}", macros, re.MULTILINE)
    assert in_macros == rows["key"].to_list()
    assert rows["key"].is_unique().all()

    chosen = rows.filter(pl.col("column") == "rouge1")
    assert set(chosen["kind"]) == {"score", "difference", "contrast"}
    for row in chosen.to_dicts():
        found = told(named, row["key"], capsys)
        ids = {condition["id"] for condition in found["conditions"]}
        of = {row["condition"], row["less"]} - {None, ""}
        assert ids == of or (row["kind"] == "contrast" and len(ids) == 2)
        assert found["number"]["text"] == row["text"]


@pytest.mark.slow  # a whole run
def test_each_condition_of_the_page_is_explained(named: Path, capsys: pytest.CaptureFixture[str]):
    """By the key that stands beside it."""
    page = (named / "report" / "index.html").read_text()
    keys = re.findall(r'<td class="stub mono">([^<]*)</td>', page)

    assert keys == ["echo.my+20+prompt+2e+v2", "echo.my+2d+prompt+2e+v2"]
    for key, name in zip(keys, ("my prompt.v2", "my-prompt.v2"), strict=True):
        (condition,) = told(named, key, capsys)["conditions"]
        assert condition["id"].startswith(f"echo.{name}.greedy-")


def test_a_report_of_an_older_version_is_explained(home: Path, capsys: pytest.CaptureFixture[str]):
    """It does not say what a key is of, and had no keys of equal spelling to tell apart."""
    path = home / "runs" / "echo" / "report" / "results.csv"
    whole = path.read_bytes()
    old = pl.read_csv(path, infer_schema=False).drop("condition", "less", "contrast", "metric")
    path.write_text(old.drop("column", "subset").write_csv())
    try:
        for key, n in (("echo.none-vs-echo.prompt2.rouge1", 2), ("contrast.guidance.rouge1", 2),
                       ("therapist.human.rouge1@therapist", 1)):  # fmt: skip
            assert len(told(home / "runs" / "echo", key, capsys)["conditions"]) == n
    finally:
        path.write_bytes(whole)
