"""A round as it is typed: export, rate in a real browser and in a sheet, import, settle, refine."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.pages import chromium, needs_chromium, opened
from tests.runs.command_line import contents, launch, write_config

RUN = """
name = "echo"
[data.sources.sample]
[evaluate]
split = "all"
limit = 30
[decoding.greedy]
max_new_tokens = 64
[models.echo]
prompts = ["none", "prompt1"]
[metrics.length]
[local]
workers = 1
threads = 1
[annotate]
rubrics = ["counselbench"]
dimensions = ["empathy", "medical_advice"]
questions = 6
raters = 2
raters_per_item = 2
helpline = "Samaritans, 116 123"
"""
ROUND = Path("runs/echo/annotation/round-001")


def _annotate(folder: Path, *words: str, code: int = 0) -> str:
    done = launch("annotate", *words, cwd=folder)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run ``echo`` and the packets of a round."""
    folder = tmp_path_factory.mktemp("people")
    done = launch("sweep", "--config", str(write_config(folder, RUN)), cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    _annotate(folder, "export", "--config", "echo.toml")
    return folder


def _from_the_page(folder: Path, n: int) -> Path:
    """Rate the first n replies of R01 by keyboard in a browser, and return what it downloads."""
    path = folder / f"page-{n}.json"
    packet = folder / ROUND / "packets" / "R01" / "packet.html"
    with chromium() as browser, opened(browser, packet) as found:
        page = found.page
        page.locator("#begin").click()
        for _ in range(n):
            page.keyboard.press("4")
            page.keyboard.press("1")
            page.keyboard.press("ArrowRight")
        with page.expect_download() as download:
            page.locator("#download").click()
        path.write_bytes(download.value.path().read_bytes())
    return path


def _sheet(folder: Path, medical: str) -> Path:
    packet = folder / ROUND / "packets" / "R02" / "packet.csv"
    rows = pl.read_csv(packet.read_bytes(), infer_schema=False)
    filled = rows.with_columns(
        counselbench__empathy=pl.lit("2 "), counselbench__medical_advice=pl.lit(medical)
    )
    path = folder / "Anna's ratings.csv"
    path.write_bytes(
        b"\xef\xbb\xbf" + filled.write_csv(separator=";", line_terminator="\r\n").encode()
    )
    return path


@needs_chromium
def test_a_whole_round_from_the_page_and_a_sheet(exported: Path):
    part, page = _from_the_page(exported, 3), _from_the_page(exported, 7)
    broken = exported / "broken.json"
    broken.write_text(page.read_text()[:200])
    files = [str(path) for path in (page, part, broken, _sheet(exported, "Yes"))]

    before = contents(exported)
    dry = _annotate(exported, "import", "--name", "echo", *files, "--dry-run", code=1)
    assert {k: v for k, v in contents(exported).items() if not k.endswith(".lock")} == {
        k: v for k, v in before.items() if not k.endswith(".lock")
    }
    said = _annotate(exported, "import", "--name", "echo", *files, code=1)
    ratings = pl.read_parquet(exported / ROUND / "ratings.parquet")

    assert "nothing was written" in dry
    assert "broken.json was not imported" in said
    assert "result of the page, round-001, R01: 14 ratings" in said
    assert "blanks or quotes" in said
    assert "raters differ on" in said
    own = ratings.filter(rater="R01")
    assert own.height == 14
    assert own["state"].unique().to_list() == ["rated"]
    assert own["seconds"].null_count() == 0  # what was rated within a second has 0, not nothing
    assert ratings.filter(rater="R02", dimension="empathy")["value"].unique().to_list() == [2.0]
    assert not any("Anna" in path.name for path in (exported / ROUND).rglob("*"))

    again = json.loads(
        launch("annotate", "import", "--name", "echo", files[0], "--json", cwd=exported).stdout
    )
    assert [one["before"] for one in again["files"]] == [True]
    assert [one["rater"] for one in again["rounds"]["round-001"]] == ["R01", "R02"]

    settle = _annotate(exported, "adjudicate", "--name", "echo")
    assert "round-002" in settle
    assert "R03, a new rater" in settle
    lists = _annotate(exported, "refine", "--name", "echo", "--questions", "4", "--also", "1")
    assert "round-003: made" in lists
    assert "added undrawn, which no estimate uses" in lists
    assert len(list((exported / "runs/echo/annotation/round-003/packets").iterdir())) == 2


def test_what_cannot_be_imported_is_exit_2_and_says_what_is_accepted(
    exported: Path, tmp_path: Path
):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")

    said = _annotate(exported, "import", "--name", "echo", str(tmp_path / "other.csv"), code=2)

    assert "it has the columns a, b; expected one of" in said
    assert "Label Studio (JSON)" in said
    assert "--map item=" in said


def test_without_a_round_there_is_nothing_to_import_into(exported: Path):
    said = _annotate(exported, "import", "--name", "echo", "--round", "round-009", code=2)

    assert "unknown round 'round-009'" in said
    assert "Known: round-001" in said
