"""Examples of the pages: configurations are valid, commands exist, and what is marked is run."""

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from empathy_core import prompts, rubrics
from jobs import launch
from jobs.config import read as config
from jobs.config import texts
from reports.claims import claim_files, grammar
from tests.docs.markdown_pages import (
    LAUNCH,
    PAGES,
    ROOT,
    Block,
    all_blocks,
    blocks,
    code,
    commands,
    shell,
)

METRIC = """
import datasets
import evaluate


class Polite(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string"),
                                      "references": datasets.Value("string")})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references):
        return {"politeness": 1.0}
"""


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {k: _merged(base.get(k), over[k]) if k in over else base[k] for k in {**base, **over}}


def _save_files(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if "file" in block.marks:
            path = folder / block.marks["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    (folder / "my_metric").mkdir(exist_ok=True)
    (folder / "my_metric" / "my_metric.py").write_text(METRIC)
    if not (folder / "my_prompt.toml").exists():
        shutil.copy(ROOT / "empathy_core" / "prompts" / "prompt1.toml", folder / "my_prompt.toml")


def _check_configuration(text: str, folder: Path) -> None:
    """Read a whole configuration alone, a part of one over the paper's."""
    table = tomllib.loads(text)
    if not {"name", "data", "metrics"} <= set(table):
        base = tomllib.loads((texts.CONFIGS / "paper.toml").read_text())
        table = _merged({**base, "assumed": []}, table)
    (folder / "plan.json").write_text(json.dumps({"config": table}))
    config.read(str(folder / "plan.json"))


def _check_profile(text: str, folder: Path) -> None:
    (folder / "profile.toml").write_text(text)
    found = config.read("demo", [f'slurm.profile="{folder / "profile.toml"}"'])
    assert found.slurm.partition == tomllib.loads(text)["partition"]


def _check_claims(text: str, folder: Path) -> None:
    (folder / "c.toml").write_text(text)
    found = claim_files.read_toml(folder / "c.toml")
    assert not found.problems
    assert found.claims
    for claim in found.claims:
        grammar.parse(claim.says)


def _check_prompt(text: str, folder: Path) -> None:
    (folder / "p.toml").write_text(text)
    assert "{context}" in prompts.read(folder / "p.toml").text


def _check_rubric(text: str, folder: Path) -> None:
    (folder / "r.toml").write_text(text)
    rubrics.require_single_reply(rubrics.read(folder / "r.toml"))


CHECKS = {
    "": _check_configuration,
    "profile": _check_profile,
    "claims": _check_claims,
    "prompt": _check_prompt,
    "rubric": _check_rubric,
}
TOML = [b for b in all_blocks("toml") if b.marks.get("example", "") in CHECKS]


@pytest.mark.parametrize("block", TOML, ids=str)
def test_examples_in_toml_are_valid(block: Block, tmp_path: Path):
    """Keys, values and names exist: of a configuration, a profile, claims, a prompt or a rubric."""
    _save_files(block.page, tmp_path)

    CHECKS[block.marks.get("example", "")](block.text, tmp_path)


def test_most_examples_in_toml_are_checked():
    """What is left out is marked as needing something else."""
    left_out = [str(b) for b in all_blocks("toml") if b not in TOML]

    assert len(left_out) <= 1


# ---------------------------------------------------------------------------- commands


@pytest.mark.parametrize("block", all_blocks("sh", ""), ids=str)
def test_examples_in_the_shell_can_be_called(block: Block):
    """Commands, options and targets exist; what is set on the command line is a setting."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(block):
        if words[:3] == LAUNCH.split():
            options = launch.parser().parse_args(words[3:])
            if options.config in ("demo", "finetune", "paper"):
                config.read(options.config, getattr(options, "overrides", ()))
        elif words[0] == "make":
            assert set(words[1:]) <= {w for w in words if "=" in w} | set(targets)
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_in_the_text_can_be_called(page: Path):
    """A command with options in a sentence is one that the parser takes."""
    parser = launch.parser()
    names = {name.split()[0] for name in launch.COMMANDS}
    for text in code(page):
        called = text.removeprefix(LAUNCH).strip()
        if called.split(" ")[0] in names and " --" in called:
            parser.parse_args(shlex.split(called))


# ---------------------------------------------------------------------------- run


RUNNABLE = [page for page in PAGES if any("run" in b.marks for b in blocks(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda p: p.name)
def test_what_is_marked_as_runnable_runs(page: Path, tmp_path: Path):
    """With the files of the page, in its order, in a folder of its own."""
    _save_files(page, tmp_path)
    printed = [shell(b.text, tmp_path) for b in blocks(page) if "run" in b.marks]

    assert all(printed)


ECHO = """
name = "demo"
[data.sources.sample]
[evaluate]
split = "all"
limit = 4
[models.therapist]
[models.echo]
prompts = ["none", "prompt1"]
[metrics.bleu]
[metrics.diagnostics]
"""


@pytest.fixture(scope="module")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which ``runs/demo`` is a small run of echoes."""
    folder = tmp_path_factory.mktemp("echoes")
    (folder / "echo.toml").write_text(ECHO)
    shell(f"{LAUNCH} sweep --config echo.toml --executor local", folder)
    return folder


def test_the_example_in_python_reads_a_run(echoes: Path):
    """Of the page of files: answers beside their questions."""
    block = next(b for b in all_blocks("python") if b.marks.get("example") == "python")
    (echoes / "example.py").write_text(block.text)

    printed = shell("python example.py", echoes)

    assert "context" in printed
    assert "echo.none" in printed


def _patterns(heading: str) -> list[re.Pattern[str]]:
    """Return patterns of the paths that a table of the page of files lists."""
    from tests.docs.markdown_pages import DOCS, tables

    rows = dict(tables(DOCS / "files.md"))[heading]
    paths = [path for row in rows for path in re.findall(r"`([^`]+)`", row[0])]
    return [_pattern(path) for path in paths]


def _pattern(path: str) -> re.Pattern[str]:
    text = re.escape(path).replace(r"\*", "[^/]*")
    text = re.sub(r"\d{5}\\-of\\-\d{5}", r"\\d{5}-of-\\d{5}", text)
    text = re.sub(r"[A-Z]{2,}", "[^/]+", text.replace("0001", r"\d+").replace("NNNN", r"\d+"))
    return re.compile(text + (".*" if path.endswith("/") else ""))


def test_every_file_of_a_run_is_described(echoes: Path):
    """By the table of the run directory, and a report's by that of its files."""
    run = echoes / "runs" / "demo"
    known, of_report = _patterns("The directory"), _patterns("Files of a report")
    files = [str(p.relative_to(run)) for p in sorted(run.rglob("*")) if p.is_file()]
    report = [f.removeprefix("report/") for f in files if f.startswith("report/")]
    unknown = [f for f in files if not any(p.fullmatch(f) for p in known)]
    unknown += [f for f in report if not any(p.fullmatch(f) for p in of_report)]

    assert len(files) > 20
    assert not unknown


# ---------------------------------------------------------------------------- a stranger's change


def test_the_metric_and_the_stage_of_the_developers_page_work(tmp_path: Path):
    """Put where the page says: the metric is scored and in the table, the stage is done."""
    page = ROOT / "docs" / "developers.md"
    for package in ("jobs", "empathy_core", "reports", "slurm"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "run")
        )
    _save_files(page, tmp_path)
    marked = {b.marks["example"]: b.text for b in blocks(page) if "example" in b.marks}
    stages = tmp_path / "jobs" / "planning" / "stages.py"
    table = re.search(r"^TABLE = .*", stages.read_text(), re.MULTILINE)
    assert table is not None
    stages.write_text(stages.read_text().replace(table[0], marked["entry of the stage"]))
    (tmp_path / "echo.toml").write_text(ECHO + marked["with the metric asks"])

    printed = shell(
        f"export PYTHONPATH=.\n{LAUNCH} sweep --config echo.toml --executor local", tmp_path
    )

    assert "Questions asked" in printed
    keys = (tmp_path / "runs/demo/report/results.csv").read_text()
    assert "echo.none.asks," in keys
    assert "echo.none" in (tmp_path / "runs/demo/lengths.csv").read_text()
