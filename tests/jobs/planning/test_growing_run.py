"""A run whose ``evaluate.limit`` is raised, beside one that was made as large at once."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core import data, store
from empathy_core.errors import RunMismatch
from empathy_core.store import EVALUATED, RunDir
from jobs.planning import stages
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_progress
from tests.runs.growing import (
    ECHO,
    Killed,
    files,
    killed_after,
    planned,
    reported,
    swept,
    tables,
    work,
    write_rows,
)
from tests.tiny_models import tiny_llama

SMALL, LARGE = "evaluate.limit=17", "evaluate.limit=40"
ECHOES = 2
"""Conditions that are generated; the others are imported."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of 17 rows, and the run ``once`` of 40."""
    folder = tmp_path_factory.mktemp("grown")
    write_rows(folder)
    swept(folder, SMALL)
    swept(folder, LARGE, name="once")
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def unnamed(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files without the digests in the names of imported conditions.

    They are made of all texts, and a condition keeps its name when answers are added to it.
    """
    name = rb"((?:therapist\.human|mine\.none)\.asis)-[0-9a-f]{8}"
    return {path: re.sub(name, rb"\1", content) for path, content in files.items()}


def kept(run: RunDir) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return (condition, block) → digests of the answers there, one if all is well."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for folder in sorted((run.root / "generations").iterdir()):
        for path in store.list_pieces(folder):
            for block, digest in store.verify_piece(path).blocks.items():
                key = folder.name, block
                found[key] = (*found.get(key, ()), digest)
    return found


def test_a_grown_run_reports_what_one_made_at_once_does(copy: Path):
    """17, then 23, then 40 rows: tables, LaTeX, figures and numbers are the same to the byte."""
    run = RunDir(copy / "runs" / "grown")
    before, scored = kept(run), _scores(run)
    swept(copy, "evaluate.limit=23")
    swept(copy, LARGE)
    once = RunDir(copy / "runs" / "once")

    assert unnamed(tables(run)) == unnamed(tables(once))
    after = kept(run)
    echoes = {key for key in before if key[0].startswith("echo")}
    assert {key: after[key] for key in echoes} == {key: before[key] for key in echoes}
    assert {len(digests) for digests in after.values()} == {1}
    for key, rows in scored.items():
        assert set(rows) <= set(_scores(run)[key])
    summaries = [json.loads((r.report / "summary.json").read_text()) for r in (run, once)]
    assert summaries[0]["metrics"] == summaries[1]["metrics"]
    assert summaries[0]["notes"] == summaries[1]["notes"]


def _scores(run: RunDir) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return (metric, condition) of echoes → rows; of metrics that look at single answers."""
    found = {}
    for folder in (run.root / "scores").glob("*/echo*"):
        if not folder.parent.name.startswith("diversity"):
            pieces = [pl.read_parquet(path) for path in store.list_pieces(folder)]
            found[folder.parent.name, folder.name] = pl.concat(pieces).rows()
    return found


def test_only_added_rows_are_generated_and_scored(copy: Path):
    """23 rows for each echo; units that were scored stay, but where answers are compared."""
    of = planned(copy, LARGE)
    run = RunDir(copy / "runs" / "grown")
    steps = data.load_frozen(run).steps
    done = work(run, of)

    assert [(step.limit, step.rows) for step in steps] == [(17, 17), (40, 23)]
    assert of.plan.steps == tuple((step.first, step.blocks) for step in steps)
    assert done["generate"] == ECHOES * 23
    new_units = {block // store.UNIT_BLOCKS for block in of.plan.blocks if block >= steps[1].first}
    whole = 1 + len(new_units)
    alone = ECHOES * len(new_units) * 4 + ECHOES * whole
    # the therapist is another condition here, since a row that is added takes the place of another
    assert done["score"] == alone + 4 * whole + whole + 4 * len(new_units) + whole
    assert not any(work(run, of).values())


def test_the_same_limit_and_one_above_all_rows_add_nothing(copy: Path):
    """What is asked for is which rows: no answer, no score, and the same tables."""
    run = RunDir(copy / "runs" / "once")
    before = tables(run)
    for limit in ("evaluate.limit=40", "evaluate.limit=60", "evaluate.limit=600"):
        of = planned(copy, limit, name="once")
        first = work(run, of)
        reported(run, of)
        assert work(run, planned(copy, limit, name="once")) == dict.fromkeys(first, 0)
    assert not any(first.values())
    assert tables(run) != before  # of 60 rows
    assert [s.rows for s in data.load_frozen(run).steps] == [40, 20, 0]


def test_fewer_rows_are_refused_and_nothing_changes(copy: Path):
    """Rows are never taken out; the message names the way to a smaller run."""
    run = RunDir(copy / "runs" / "grown")
    planned(copy, LARGE)
    before = everything(run)
    words = r"evaluate\.limit: 40 → 17\. Of its 40 evaluated rows 23 would.*expected.*--from grown"

    with pytest.raises(RunMismatch, match=words):
        planned(copy, SMALL)

    assert everything(run) == before


def everything(run: RunDir) -> dict[str, tuple[bytes, int]]:
    """Return path → content and time of every file of a run."""
    files = [path for path in run.root.rglob("*") if path.is_file()]
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.mark.parametrize("stage", ["generate", "score"])
@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_a_kill_in_the_middle_of_the_growth_changes_nothing(
    copy: Path, stage: str, fraction: float
):
    """After some of the tasks of a stage: the next sweep does the rest, to the same tables."""
    of = planned(copy, LARGE)
    run = RunDir(copy / "runs" / "grown")
    for name in ("generate", "score")[: ["generate", "score"].index(stage)]:
        work(run, of, only=[name])
    table = stages.stage_of(stage)
    tasks = table.lacking(of.plan, read_progress(run, of.plan))
    for task in tasks[: int(len(tasks) * fraction)]:
        table.body()(run, of.plan, task, lambda _: None)

    swept(copy, LARGE)

    assert unnamed(tables(run)) == unnamed(tables(RunDir(copy / "runs" / "once")))


def test_a_kill_before_the_plan_is_written_leaves_the_run_as_it_reports(copy: Path):
    """Rows are enlarged, no plan says so: the next sweep plans anew."""
    of = planned(copy, LARGE)
    assert of.path is not None
    of.path.unlink()
    run = RunDir(copy / "runs" / "grown")
    assert last_plan(run)[0].n_blocks < of.plan.n_blocks

    swept(copy, LARGE)

    assert unnamed(tables(run)) == unnamed(tables(RunDir(copy / "runs" / "once")))


def test_a_kill_at_any_file_of_the_planning_leaves_the_same_run(copy: Path, tmp_path: Path):
    """Rows, audit, imported answers and plan appear one after the other; each may be the last."""
    calm = Path(shutil.copytree(copy, tmp_path / "calm"))
    with killed_after(1000) as names:
        planned(calm, LARGE)
    undisturbed = files(RunDir(calm / "runs" / "grown"))
    assert len(names) >= 8
    for n in range(len(names)):
        wild = Path(shutil.copytree(copy, tmp_path / f"wild{n}"))
        with pytest.raises(Killed), killed_after(n):
            planned(wild, LARGE)
        run = RunDir(wild / "runs" / "grown")
        assert data.load(run).filter(EVALUATED).height in (17, 40)

        again = planned(wild, LARGE)

        assert files(run) == undisturbed, names[n]
        assert again.plan.n_blocks == 16
        shutil.rmtree(wild)


def without_first(text: str) -> str:
    """Return answers in which the first one is another."""
    first = text.splitlines()[1]
    return text.replace(first, f"{first} and more")


@pytest.mark.parametrize(
    ("change", "same"), [(lambda text: text, True), (without_first, False)], ids=["same", "other"]
)
def test_imported_answers_keep_their_name_while_they_are_the_same(
    copy: Path, change: Callable[[str], str], *, same: bool
):
    """Scores and ratings hang on the name: answers to new rows are added, others are refused it."""
    mine = copy / "mine.csv"
    before = next(c.id for c in planned(copy, SMALL).plan.conditions if c.model.name == "mine")
    run = RunDir(copy / "runs" / "grown")
    asked = data.load(run).filter(EVALUATED)["context"].to_list()
    # the first line answers a row that is evaluated
    lines = mine.read_text().splitlines()
    lines[1:] = sorted(lines[1:], key=lambda line: line.split(",")[0] not in asked)
    mine.write_text(change("\n".join(lines)))

    of = planned(copy, LARGE)

    (after,) = (c.id for c in of.plan.conditions if c.model.name == "mine")
    assert (after == before) is same
    rows = pl.concat(map(pl.read_parquet, store.list_pieces(run.generations(after))))
    assert rows.height == rows["example"].n_unique() == 40


def test_a_run_may_get_more_rows_and_a_model_at_once(copy: Path):
    """Both grow: the new prompt answers all rows, the others the added ones."""
    more = ECHO.replace('["none", "prompt1"]', '["none", "prompt1", "prompt2"]')
    run = swept(copy, LARGE, text=more)
    once = swept(copy, LARGE, text=more, name="both")

    assert unnamed(tables(run)) == unnamed(tables(once))


@pytest.mark.slow
def test_a_model_with_a_tokenizer_keeps_its_name_and_begins_with_the_rows_there_were(
    tmp_path: Path,
):
    """Its name is made of the prompts' token ids: those of the rows that the run began with."""
    write_rows(tmp_path)
    tiny_llama(tmp_path / "tiny")
    weights = f'weights = "{tmp_path / "tiny"}"\narchitecture = "decoder"'
    text = ECHO.replace('[models.echo]\nprompts = ["none", "prompt1"]', "[models.tiny]\n" + weights)
    text = text.replace(weights, f'{weights}\nprompts = ["none"]')
    first = planned(tmp_path, SMALL, text=text)
    grown = planned(tmp_path, LARGE, text=text)
    once = planned(tmp_path, LARGE, text=text, name="once")

    names = [[c.id for c in p.plan.conditions if c.model.name == "tiny"] for p in (first, grown)]
    assert names[0] == names[1]
    assert names[1] != [c.id for c in once.plan.conditions if c.model.name == "tiny"]
    (rendering,) = (r for c, r in grown.resolved.renderings.items() if c.startswith("tiny"))
    (at_once,) = (r for c, r in once.resolved.renderings.items() if c.startswith("tiny"))
    assert rendering == at_once
