"""The report job makes few files of the many of a finished condition: the run is what it was."""

import subprocess
from pathlib import Path

import pytest

from empathy_core import store
from empathy_core.store import RunDir, compacting
from jobs.executors.slurm import compaction
from jobs.executors.slurm.in_queue import QueuedTask, QueueState
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.planning.plan_file import last_plan
from slurm.queue import Unreachable
from tests.runs.command_line import ECHO, contents, launch, write_config

MANY = ECHO.replace("block_size = 4", "block_size = 1").replace("shards = 3", "shards = 20")
SEVEN = MANY.replace("[scoring]\nshards = 2", "[scoring]\nshards = 7")
LESS = SEVEN.replace(', "prompt2"]', "]")


def sweep(folder: Path, *arguments: str) -> RunDir:
    """Sweep on this machine; it must end well."""
    done = launch("sweep", "--config", "echo.toml", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return RunDir(folder / "runs" / "echo")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in many pieces."""
    folder = tmp_path_factory.mktemp("finished")
    write_config(folder, LESS)
    sweep(folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A copy of the run, in which five pieces are many."""
    subprocess.run(["cp", "-a", f"{finished}/.", str(tmp_path)], check=True)
    monkeypatch.setattr(compacting, "MANY", 5)
    return RunDir(tmp_path / "runs" / "echo")


def in_queue(run: RunDir, monkeypatch: pytest.MonkeyPatch, *stages: str) -> None:
    """Let one array task of each of *stages* be in the queue."""
    made = [Submission(f"{s}-1", s, "echo", 1, ((0,),), "0001.json", (), job="7") for s in stages]
    tasks = tuple(QueuedTask(submission, 0, "RUNNING") for submission in made)
    state = QueueState(Ledger(run), tuple(made), tasks)
    monkeypatch.setattr(compaction, "read_queue_state", lambda _run: state)


def compact(run: RunDir) -> None:
    """Do what the report job does at its end."""
    compaction.compact_finished(run, last_plan(run)[0])


def pieces(run: RunDir, of: str = "echo.*") -> dict[Path, int]:
    """Return the pieces of answers and statistics, and when each was written."""
    found = [
        *run.root.glob(f"generations/{of}/*.parquet"),
        *run.root.glob(f"scores/*/{of}/*.parquet"),
    ]
    return {path: path.stat().st_mtime_ns for path in found}


def report_of(run: RunDir) -> dict[str, str]:
    """Return path → digest of everything that is not a piece."""
    files = contents(run.root)
    return {k: v for k, v in files.items() if not k.startswith(("generations/", "scores/"))}


def test_few_files_are_left_and_every_later_command_finds_what_it_needs(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
):
    """Tables are the same to the byte; a sweep after it has nothing to do."""
    in_queue(run, monkeypatch, "report")
    before, n_before = report_of(run), len(pieces(run))

    compact(run)

    few = pieces(run)
    assert n_before > 2 * 20
    assert {path.stem[-8:] for path in few} == {"of-00008"}
    timings = {path.name for path in run.root.glob("generations/echo.*/*.timing.json")}
    assert timings == {"00000-of-00008.timing.json"}
    sweep(run.root.parents[1])
    assert pieces(run) == few
    assert report_of(run) == before


def test_a_compacted_run_grows_and_what_is_there_is_not_done_again(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
):
    """A prompt more is answered and scored; the report is that of a fresh run."""
    in_queue(run, monkeypatch, "report")
    compact(run)
    few, folder = pieces(run), run.root.parents[1]
    write_config(folder, SEVEN)
    fresh = tmp_path_factory.mktemp("fresh")
    write_config(fresh, SEVEN)

    sweep(folder)

    assert few.items() <= pieces(run).items()
    assert {path.stem[-8:] for path in pieces(run, "echo.prompt2.*")} == {"of-00020", "of-00007"}
    numbers = "report/summary.csv"
    assert (run.root / numbers).read_bytes() == (sweep(fresh).root / numbers).read_bytes()


def test_a_damaged_compacted_piece_is_made_again(run: RunDir, monkeypatch: pytest.MonkeyPatch):
    """Its blocks alone come back; the tables stay."""
    in_queue(run, monkeypatch, "report")
    compact(run)
    before = report_of(run)
    for path in (p for p in pieces(run, "echo.prompt1.*") if p.name == "00003-of-00008.parquet"):
        path.write_bytes(path.read_bytes()[:-9])

    sweep(run.root.parents[1])

    after = report_of(run)
    assert {k: v for k, v in after.items() if k != "data.json"} == before
    folder = next(run.root.glob("generations/echo.prompt1.*"))
    answers, _ = store.read_rows(folder)
    assert sorted(answers) == list(range(60))


@pytest.mark.parametrize("what", ["a job in the queue", "Slurm is silent", "an answer lacks"])
def test_nothing_is_compacted(run: RunDir, monkeypatch: pytest.MonkeyPatch, what: str):
    """While jobs may read or write the files, or a condition is not complete, they stay."""
    in_queue(run, monkeypatch, "report", *["score"] * (what == "a job in the queue"))
    if what == "Slurm is silent":

        def silent(_run: RunDir) -> QueueState:
            msg = "no controller"
            raise Unreachable(msg)

        monkeypatch.setattr(compaction, "read_queue_state", silent)
    if what == "an answer lacks":
        for folder in run.root.glob("generations/echo.*"):
            (folder / "00003-of-00020.parquet").unlink()
    before = pieces(run)

    compact(run)

    assert pieces(run) == before


def test_a_sweep_may_plan_while_new_files_are_made_and_then_nothing_is_touched(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
):
    """The lock is free while files are read and written; what changed meanwhile is noticed."""
    in_queue(run, monkeypatch, "report")
    real, n_free = compacting.prepare, 0
    changed = next(run.root.glob("generations/echo.*/00003-of-00020.parquet"))

    def prepare(folder: Path, tags: dict[str, str]) -> object:
        nonlocal n_free
        with run.lock(timeout_s=0.1):
            n_free += 1
        made = real(folder, tags)
        if folder == changed.parent:
            store.write_bytes(changed.read_bytes(), changed)
        return made

    monkeypatch.setattr(compacting, "prepare", prepare)
    compact(run)

    assert n_free >= 2
    assert len(list(changed.parent.glob("*-of-00020.parquet"))) == 20
    assert not list(run.root.rglob(".compacted"))
    monkeypatch.setattr(compacting, "prepare", real)
    compact(run)
    assert {path.stem[-8:] for path in pieces(run)} == {"of-00008"}
