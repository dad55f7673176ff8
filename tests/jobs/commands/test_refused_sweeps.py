"""A sweep that is refused leaves the run as it was to the byte, or absent, whatever refuses it."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core import data
from empathy_core.errors import Busy
from empathy_core.store import RunDir
from jobs.launch import main
from jobs.planning import sweep
from tests.jobs.config.test_refusals import GOOD, REFUSED
from tests.runs.command_line import write_questions

ENGINE = """
[engines.hosted]
kind = "openai"
base_url = "https://models.example.org/v1"
ATTRIBUTES
[models.far]
engine = "hosted"
prompts = ["none"]
"""

KINDS = {
    **REFUSED,
    "not TOML": "[models",
    "no such table": "[nonsense]\na = 1",
    "no such key": "[scoring]\nshard = 2",
    "no such model": '[models.nobody]\nprompts = ["none"]',
    "no such prompt": '[models.again]\nbackend = "echo"\nprompts = ["nobody"]',
    "no such metric": "[metrics.blue]",
    "no such option of a metric": "[metrics.rouge]\nstem = 1",
    "no such condition": '[report.contrasts.a]\nfirst = "echo.none"\nsecond = "nobody"',
    "no such column": "[report.margins]\nnothing = 0.1",
    "no such judge": '[judges.j]\nmodel = "nobody"\nrubrics = ["nothing"]',
    "texts may not leave": ENGINE.replace("ATTRIBUTES", ""),
    "no such key file": ENGINE.replace("ATTRIBUTES", 'key_file = "nowhere"'),
}
"""What is added to a configuration that is good → why it is refused."""

OTHER_DATA = {
    "another seed of the split": ("data.seed=3",),
    "other rows": ("evaluate.seed=3",),
    "fewer rows": ("evaluate.limit=3",),
    "other cleaning": ("data.duplicates=keep",),
    "more rows, and a metric without its model": (
        "evaluate.limit=9",
        "metrics.similarity.model=./nowhere",
    ),
}
"""What is changed of the run that is there."""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of six of twelve rows that was planned, and what others ask for."""
    folder = tmp_path_factory.mktemp("ready")
    write_questions(folder, 12)
    (folder / "other.csv").write_text("question,answer\nWho is it?,Me.\n")
    (folder / "twice.csv").write_text(
        "question,answer\n" + "".join(f"Question number 1: what can I do?,{i}\n" for i in (1, 2))
    )
    (folder / "good.toml").write_text(GOOD)
    from jobs.config import read as configuration

    config = configuration.read(str(folder / "good.toml"), ["evaluate.limit=6"])
    sweep.plan(config, RunDir(folder / "runs" / "tried"), "a test")
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return path → time and content of everything below a folder; empty where it is not there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (path.lstat().st_mtime_ns, content)
    return found


def refused(folder: Path, text: str, *options: str) -> None:
    """Sweep a configuration that must be refused, in the run ``tried``."""
    (folder / "tried.toml").write_text(text)
    config = ["--config", str(folder / "tried.toml"), "--runs", str(folder / "runs")]
    assert main(["sweep", *config, "--executor", "local", *options]) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("planned", [False, True], ids=["absent", "planned"])
def test_a_refused_sweep_leaves_nothing_behind(
    ready: Path, tmp_path: Path, kind: str, *, planned: bool
):
    """Neither a folder nor a lock, no plan, no rows, no rendering: whatever was wrong."""
    folder = Path(shutil.copytree(ready, tmp_path / "copy"))
    if not planned:
        shutil.rmtree(folder / "runs")
    before = tree(folder / "runs")

    refused(folder, GOOD + KINDS[kind], "--set", "evaluate.limit=6")

    assert tree(folder / "runs") == before
    assert (folder / "runs").exists() is planned


@pytest.mark.parametrize("kind", OTHER_DATA)
def test_other_data_leave_a_planned_run_as_it_is(ready: Path, tmp_path: Path, kind: str):
    """Refused before anything of it is touched, even where rows would be added."""
    folder = Path(shutil.copytree(ready, tmp_path / "copy"))
    before = tree(folder / "runs")
    changes = ("evaluate.limit=6", *OTHER_DATA[kind])

    refused(folder, GOOD, *(word for change in changes for word in ("--set", change)))

    assert tree(folder / "runs") == before


@pytest.mark.parametrize("other", ["nowhere", "tried"], ids=["no run", "the run itself"])
def test_a_run_to_copy_from_that_is_none_is_refused(ready: Path, tmp_path: Path, other: str):
    """Nothing of the new run is written; nothing of the old one."""
    folder = Path(shutil.copytree(ready, tmp_path / "copy"))
    before = tree(folder / "runs")

    refused(folder, GOOD, "--set", "evaluate.limit=6", "--from", other)

    assert tree(folder / "runs") == before


@settings(max_examples=15)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=3, unique=True))
def test_several_mistakes_at_once_leave_no_more(
    tmp_path_factory: pytest.TempPathFactory, ready: Path, kinds: list[str]
):
    """Whichever of them is found first."""
    folder = Path(shutil.copytree(ready, tmp_path_factory.mktemp("several") / "copy"))
    before = tree(folder / "runs")

    refused(folder, GOOD + "\n".join(KINDS[kind] for kind in kinds))

    assert tree(folder / "runs") == before


def test_a_run_that_another_sweep_plans_is_left_to_it(tmp_path: Path):
    """Whoever waits in vain takes neither the lock away nor the folder."""
    run = RunDir(tmp_path / "runs" / "busy")
    with run.lock():
        words = r"another sweep is planning.*run the same command again"
        with pytest.raises(Busy, match=words), run.lock(timeout_s=0.2):
            pass
        assert (run.root / ".lock").exists()


def test_a_lock_of_a_file_that_was_removed_is_not_taken_for_the_lock(tmp_path: Path):
    """A refused sweep removes its lock; who waited for it takes the lock of the file in its place.

    Else two sweeps would plan one run.
    """
    run = RunDir(tmp_path / "runs" / "raced")
    run.root.mkdir(parents=True)
    real = FileLock.acquire
    removed = []

    def acquire(self: FileLock, *arguments: object, **options: object) -> object:
        found = real(self, *arguments, **options)  # type: ignore[arg-type]
        if not removed:
            removed.append(Path(self.lock_file))
            removed[0].unlink()  # as its owner did between the opening and the locking
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileLock, "acquire", acquire)
        with run.lock():
            held = (run.root / ".lock").stat().st_ino
            with pytest.raises(Busy), run.lock(timeout_s=0.2):
                pass
    assert held == (run.root / ".lock").stat().st_ino


def test_what_is_refused_inside_the_lock_removes_only_what_it_made(tmp_path: Path):
    """A folder that was there stays, and so does a lock that was there."""
    run = RunDir(tmp_path / "runs" / "here")
    run.root.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs", run.root]
    with run.lock():
        pass
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    assert (run.root / ".lock").exists()


def test_rows_of_an_accepted_sweep_are_frozen(ready: Path):
    """The run that others are compared with: six rows, bound by a plan."""
    run = RunDir(ready / "runs" / "tried")
    assert data.load(run)["block"].count() == 6
    assert len(run.plans()) == 1
