"""A finished run whose ``scoring.shards`` changes: statistics of two layouts never overlap."""

import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from empathy_core import store
from jobs.planning import scoring
from tests.runs.command_line import ECHO, contents, launch, write_config

WHOLE = ECHO.replace("block_size = 4", "block_size = 2")
"""60 questions make 30 blocks, and so 4 units: enough for three score shards."""
SHORT = WHOLE.replace(', "prompt2"]', "]").replace("[metrics.rouge]\n", "")
GROWN = {
    "prompt": SHORT.replace('"prompt1"]', '"prompt1", "prompt2"]'),
    "metric": SHORT.replace("[metrics.bleu]\n", "[metrics.bleu]\n[metrics.rouge]\n"),
    "both": WHOLE,
}


def sweep(folder: Path, shards: int) -> Path:
    """Sweep with *shards* score shards; it must end well. Return the run."""
    change = f"scoring.shards={shards}"
    arguments = ("--config", "echo.toml", "--set", change, "--executor", "local")
    done = launch("sweep", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder / "runs" / "echo"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of two prompts and three metrics, in two score shards."""
    folder = tmp_path_factory.mktemp("finished")
    write_config(folder, SHORT)
    sweep(folder, 2)
    return folder


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the run grew by → the summary of a run that had it from the start."""
    found = {}
    for what, text in GROWN.items():
        folder = tmp_path_factory.mktemp(what)
        write_config(folder, text)
        found[what] = summary(sweep(folder, 2))
    return found


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may break."""
    subprocess.run(["cp", "-a", f"{finished}/.", str(tmp_path)], check=True)
    return tmp_path


def test_a_metric_without_a_model_needs_no_gpu_in_a_task_of_its_own() -> None:
    """TER takes long, and computes on a CPU: a task that is given a GPU need not find one."""
    plan = SimpleNamespace(of_group=lambda group: ())
    groups = ("lexical", "lexical-ter", "bertscore")
    assert [scoring.needs_gpu(plan, group) for group in groups] == [False, False, True]


def summary(run: Path) -> bytes:
    """Return the report's numbers."""
    return (run / "report" / "summary.csv").read_bytes()


def statistics(run: Path) -> dict[Path, tuple[int, int]]:
    """Return piece of statistics → its inode and time: another where it was written anew."""
    pieces = run.glob("scores/*/*/*.parquet")
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in pieces}


def layouts(run: Path, condition: str) -> set[str]:
    """Return the endings of the pieces of a condition's statistics, as ``of-00002``."""
    return {path.stem[-8:] for path in statistics(run) if path.parent.name == condition}


def times_scored(run: Path) -> set[int]:
    """Return how often the rows of a metric and condition have statistics: once, if all is well."""
    folders = {path.parent for path in statistics(run)}
    frames = [pl.read_parquet(f / "*.parquet", columns=["example", "sample"]) for f in folders]
    return {n for frame in frames for n in Counter(frame.iter_rows()).values()}


def without_scores(run: Path) -> dict[str, str]:
    """Return the digests of all reproducible files but the statistics, whose names have changed."""
    return {k: v for k, v in contents(run).items() if not k.startswith("scores/")}


def a_piece(run: Path, of: str) -> Path:
    """Return one condition's second shard of answers, or of statistics under BLEU."""
    folder = "generations" if of == "answers" else "scores/bleu-*"
    (path,) = run.glob(f"{folder}/echo.prompt1.*/00001-of-*.parquet")
    return path


@pytest.mark.parametrize("shards", [1, 3])
def test_other_score_shards_alone_leave_nothing_to_do(copy: Path, shards: int):
    """Statistics in another layout are as good: no piece is written anew, no byte changes."""
    run = copy / "runs" / "echo"
    before, written = contents(run), statistics(run)

    sweep(copy, shards)

    assert contents(run) == before
    assert statistics(run) == written


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("what", ["prompt", "metric"])
def test_a_run_grows_in_other_score_shards(
    copy: Path, fresh: dict[str, bytes], what: str, shards: int
):
    """A prompt or a metric more, in another layout, gives the report of a fresh run.

    What was scored before is neither scored nor written anew.
    """
    before = statistics(copy / "runs" / "echo")
    write_config(copy, GROWN[what])

    run = sweep(copy, shards)

    after = statistics(run)
    assert summary(run) == fresh[what]
    assert before.items() <= after.items()
    assert {path.stem[-8:] for path in after.keys() - before} == {f"of-{shards:05d}"}
    assert times_scored(run) == {1}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("lost", [("answers",), ("statistics",), ("answers", "statistics")])
def test_a_lost_piece_is_mended_in_other_score_shards(
    copy: Path, lost: tuple[str, ...], shards: int
):
    """A piece of answers or statistics that is gone comes back, and with it the same tables."""
    run = copy / "runs" / "echo"
    before = without_scores(run)
    for of in lost:
        a_piece(run, of).unlink()

    sweep(copy, shards)

    assert without_scores(run) == before
    assert times_scored(run) == {1}


def test_answers_that_changed_are_scored_in_the_new_layout(copy: Path):
    """Answers made anew, as on another machine, are scored again; no old statistics remain."""
    run = copy / "runs" / "echo"
    before, path = without_scores(run), a_piece(run, "answers")
    piece, rows = store.read_piece(path)
    path.unlink()
    store.write_piece(rows.with_columns(text=pl.lit("I hear you.")), path, piece.tags)
    sweep(copy, 2)
    assert without_scores(run) != before
    path.unlink()

    sweep(copy, 3)

    assert without_scores(run) == before
    assert layouts(run, path.parent.name) == {"of-00003"}
    assert times_scored(run) == {1}


def test_score_shards_may_change_back_and_forth(copy: Path, fresh: dict[str, bytes]):
    """Each change finds a prompt or a metric more, and the last table is a fresh run's."""
    write_config(copy, GROWN["prompt"])
    sweep(copy, 3)
    write_config(copy, GROWN["metric"])
    sweep(copy, 1)
    write_config(copy, GROWN["both"])

    run = sweep(copy, 2)

    assert summary(run) == fresh["both"]
    assert times_scored(run) == {1}
