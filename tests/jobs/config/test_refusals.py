"""What is refused leaves nothing behind that stands in the way of the corrected sweep."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from empathy_core import data
from empathy_core.errors import EmpathyError, RunMismatch, StorageError
from empathy_core.store import RunDir
from jobs.commands.submission import withdrawn_if_refused
from jobs.config import read as configuration
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.executors.slurm.submit import ClusterError
from jobs.launch import main
from jobs.planning import sweep
from tests.runs.command_line import environment, launch, write_questions

GOOD = """
name = "tried"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
[models.echo]
prompts = ["none"]
[metrics.bleu]
"""

REFUSED = {
    "no answers file": '[answers.x]\npath = "nowhere.csv"',
    "another column": '[answers.x]\npath = "made.csv"\nexample = "question"\ntext = "nope"',
    "answers to nothing": '[answers.x]\npath = "other.csv"\nquestion = "question"\ntext = "answer"',
    "answers twice": '[answers.x]\npath = "twice.csv"\nquestion = "question"\ntext = "answer"',
    "no log": '[answers.x]\npath = "made.csv"\nformat = "lm-eval"\nquestion = "question"',
    "no such weights": '[models.mine]\nweights = "./nowhere"\narchitecture = "decoder"\n'
    'prompts = ["none"]',
    "no such encoder": '[metrics.similarity]\nmodel = "./nowhere"',
    "no such subgroup": '[report]\nsubgroups = ["age"]',
    "wrong option": "[models.therapist]\noptions = { duplicates = 'some' }",
    "no such base": '[models.mine]\nweights = "./nowhere"\narchitecture = "decoder"\nprompts = []\n'
    '[finetune.q]\nbase = "mine"',
    "no such source": '[data.sources.more]\npath = "nowhere.csv"\ncontext = "a"\nresponse = "b"',
    "no such column": '[data.sources.more]\npath = "made.csv"\ncontext = "a"\nresponse = "answer"',
}


def planned(folder: Path, text: str, *overrides: str) -> sweep.Planned:
    """Plan a configuration in the run of its name."""
    (folder / "tried.toml").write_text(text)
    config = configuration.read(str(folder / "tried.toml"), overrides)
    return sweep.plan(config, RunDir(folder / "runs" / "tried"), "…")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve questions, and files that answer others or twice."""
    write_questions(tmp_path, 12)
    (tmp_path / "other.csv").write_text("question,answer\nWho is it?,Me.\n")
    (tmp_path / "twice.csv").write_text(
        "question,answer\n" + "".join(f"Question number 1: what can I do?,{i}\n" for i in (1, 2))
    )
    return tmp_path


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_after_a_refusal_the_corrected_sweep_may_have_other_data(folder: Path, change: str):
    """Nobody answered the rows of a refused sweep: they bind nobody."""
    with pytest.raises(EmpathyError):
        planned(folder, GOOD + change)
    corrected = planned(folder, GOOD, "evaluate.limit=5", "data.seed=3")

    assert corrected.path is not None
    assert corrected.path.name == "0001.json"
    assert corrected.resolved.examples["block"].count() == 5
    assert data.load(RunDir(folder / "runs" / "tried")).equals(corrected.resolved.examples)


@pytest.mark.slow
def test_after_several_refusals_one_after_the_other_the_sweep_runs(folder: Path):
    """As at a keyboard: each mistake is named with exit code 2, and the last command works."""
    path, runs = folder / "tried.toml", folder / "runs"
    sweep_here = ["sweep", "--config", str(path), "--runs", str(runs), "--executor", "local"]
    for change in REFUSED.values():
        path.write_text(GOOD + change)
        assert main(sweep_here) == 2, change
    path.write_text(GOOD)

    assert main([*sweep_here, "--set", "evaluate.limit=5"]) == 0


def test_rows_that_were_planned_stay(folder: Path):
    """From the first plan on, answers may be there or under way: other data are refused."""
    planned(folder, GOOD)

    with pytest.raises(RunMismatch, match=r"evaluate\.limit: None → 5"):
        planned(folder, GOOD, "evaluate.limit=5")


def test_a_plan_of_which_nothing_was_submitted_is_withdrawn(folder: Path):
    """Slurm refused every job: the run is as it was before."""
    first = planned(folder, GOOD)
    run = RunDir(folder / "runs" / "tried")
    with pytest.raises(ClusterError), withdrawn_if_refused(run, first):
        raise ClusterError("no such partition")

    again = planned(folder, GOOD, "evaluate.limit=5")
    assert again.path is not None
    waiting = Submission("", "generate", "echo", 1, ((0,),), again.path.name, ())
    Ledger(run).intend(waiting)
    with pytest.raises(ClusterError), withdrawn_if_refused(run, again):
        raise ClusterError("the controller went away half way")
    assert again.path.exists()  # an element may read it


# ---------------------------------------------------------------------------- nothing to evaluate


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("[models.echo]", "models.echo: say which prompts it gets"),
        ("[models.echo]\nprompts = []", "models.echo.prompts"),
        ('[models.echo]\nprompts = ["none"]\ndecodings = []', "models.echo.decodings"),
    ],
)
@pytest.mark.parametrize("option", [(), ("--dry-run",), ("--pilot",)])
def test_a_sweep_without_a_condition_is_refused(
    folder: Path,
    models: str,
    said: str,
    option: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
):
    """The key is named; nothing is planned."""
    config = folder / "tried.toml"
    config.write_text(GOOD.replace('[models.echo]\nprompts = ["none"]', models))
    runs = folder / "runs"
    code = main(
        ["sweep", "--config", str(config), "--runs", str(runs), "--executor", "local", *option]
    )

    assert code == 2
    assert said in capsys.readouterr().err
    assert not runs.exists()


# ---------------------------------------------------------------------------- no place for a run


def _in_the_way(folder: Path) -> dict[str, Path]:
    (folder / "file").write_text("")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    return {
        "a file": folder / "file",
        "below a file": folder / "file" / "runs",
        "a link to nothing": folder / "dangling",
        "a loop": folder / "loop",
        "a device": Path("/dev/null"),
        "not made by people": Path("/proc/runs"),
        "a name that is too long": folder / ("a" * 300),
    }


@pytest.mark.parametrize("command", [["sweep", "--executor", "local"], ["status"], ["report"]])
def test_a_place_that_cannot_hold_runs_is_named(
    folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]
):
    """Exit code 2, the place and the option to change; no traceback."""
    (folder / "tried.toml").write_text(GOOD)
    for what, place in _in_the_way(folder).items():
        code = main([*command, "--config", str(folder / "tried.toml"), "--runs", str(place)])
        said = capsys.readouterr().err

        assert code == 2, (what, said)
        assert str(place) in said, what
        assert "--runs" in said or "no run" in said, what


def test_what_is_in_the_way_of_a_folder_is_named(tmp_path: Path):
    """Not the run's path alone, but the file or link that must go."""
    from empathy_core.store import make_dir

    places = _in_the_way(tmp_path)
    with pytest.raises(StorageError, match=f"{tmp_path}/file is not a folder"):
        make_dir(places["below a file"] / "tried")
    with pytest.raises(StorageError, match=f"{tmp_path}/dangling is a link to a path that is not"):
        make_dir(places["a link to nothing"] / "tried")


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None,
    reason="root is not bound by permission bits, and a read-only mount needs namespaces",
)
def test_a_read_only_runs_folder_is_read_and_not_written(folder: Path):
    """Looking works; what must write says where it cannot, with exit code 2."""
    (folder / "tried.toml").write_text(GOOD)
    assert launch("sweep", "--config", "tried.toml", cwd=folder).returncode == 0
    command = f"{sys.executable} -m jobs.launch"
    script = "mount --bind runs runs && mount -o remount,ro,bind runs || exit 77\n" + "".join(
        f"{command} {what} --config tried.toml >{i}.out 2>&1; echo $?\n"
        for i, what in enumerate(["sweep --executor local", "report", "explain echo.none.bleu"])
    )
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("mounts are not allowed here")
    said = [(folder / f"{i}.out").read_text() for i in range(3)]

    assert done.stdout.split() == ["2", "2", "0"], said
    assert all("Traceback" not in text for text in said)
    assert "Read-only file system" in said[0]
    assert "Read-only file system" in said[1]


@pytest.mark.parametrize("setting", ["temperature = 0.7", "top_k = 40", "top_p = 0.9"])
def test_settings_of_a_draw_that_greedy_decoding_leaves_unused_are_told(
    tmp_path: Path, setting: str
):
    """Not refused, since runs were planned with them; and of a draw nothing is said."""
    write_questions(tmp_path, 4)
    text = f"{GOOD}[decoding.greedy]\n{setting}\n"
    (tmp_path / "greedy.toml").write_text(text)
    (tmp_path / "drawn.toml").write_text(text + "sample = true\n")

    greedy, drawn = (
        launch("sweep", "--config", f"{name}.toml", "--dry-run", cwd=tmp_path)
        for name in ("greedy", "drawn")
    )

    assert f"decoding.greedy: {setting} has no effect" in greedy.stdout
    assert "has no effect" not in drawn.stdout
