"""Every command that is printed can be pasted, wherever the run is and whatever its path holds."""

import html
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from empathy_core.store import RunDir
from jobs.commands.console import run_dir
from jobs.commands.views import array_tasks
from jobs.commands.views.run_screen import _next
from jobs.config import read as configuration
from jobs.executors.slurm.history import REMEDIES, Attempt, next_commands
from jobs.executors.slurm.inspect import ArrayTask, Inspected
from jobs.executors.slurm.progress import StageProgress
from jobs.executors.slurm.submissions import Submission
from jobs.launch import main, parse
from jobs.planning.shown_commands import command
from tests.pages import Tags

CONFIG = """
name = "it_is"
[data.sources.sample]
licence = "none"
redistribute = false
[evaluate]
split = "all"
limit = 8
[models.echo]
prompts = ["none"]
[metrics.length]
"""

PRINTED = re.compile(r"(?:git checkout [0-9a-f]{40} && )?python -m jobs\.launch .*")


def printed(text: str) -> list[str]:
    """Return the commands in a text, each to the end of its line."""
    return PRINTED.findall(text)


def arguments(line: str) -> list[str]:
    """Return what the command line receives if *line* is pasted into a shell."""
    words = shlex.split(line)
    words = words[words.index("&&") + 1 :] if "&&" in words else words
    assert words[:3] == ["python", "-m", "jobs.launch"]
    return words[3:]


def means(line: str) -> Path:
    """Return the run that a pasted command is about, here; its configuration must be there."""
    command, options = parse(arguments(line))
    if command == "sweep":
        configuration.read(options.config, options.changes)
    assert options.name
    return run_dir(options, options.name).root


@pytest.fixture(scope="module", params=["in ./runs", "elsewhere"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run under a path with blanks and quotation marks; commands run beside it, or not.

    Its name has a blank as well.
    """
    folder = tmp_path_factory.mktemp("of") / """it's "my" folder"""
    folder.mkdir()
    config = folder / "my config.toml"
    config.write_text(CONFIG)
    default = request.param == "in ./runs"
    here = folder if default else tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        where = [] if default else ["--runs", str(folder / "runs")]
        options = ["--config", str(config), "--name", "a-run", "--executor", "local"]
        assert main(["sweep", *options, *where]) == 0
        yield folder / "runs" / "a-run"


def told(arguments_: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """Return everything that a command says."""
    capsys.readouterr()
    assert main(arguments_) == code
    said = capsys.readouterr()
    return said.out + said.err


@pytest.mark.slow  # of a whole run
def test_what_explain_prints_makes_the_run_again(run: Path, capsys: pytest.CaptureFixture[str]):
    """The command names this run's plan, and a run beside this one."""
    explain = arguments(command(RunDir(run), "explain"))
    text = told([*explain, "echo.none.words"], capsys)
    again = next(line for line in text.splitlines() if line.startswith("again "))
    [line] = printed(again)

    assert means(line) == run.with_name("a-run-again")
    assert ("--runs" in line) == (Path.cwd() != run.parents[1])
    shown = told([*arguments(line), "--dry-run", "--executor", "local"], capsys)
    assert "1 condition, 3 tasks to do\n  generate echo: 1 of 1 task to do" in shown


@pytest.mark.slow  # of a whole run
def test_what_the_page_prints_is_about_this_run(run: Path, capsys: pytest.CaptureFixture[str]):
    """The hints of the conditions, of withheld texts, and of each number."""
    text = (run / "report" / "index.html").read_text()
    hints = re.findall(r'<pre class="command">(.*?)</pre>', text, re.DOTALL)
    lines = [html.unescape(hint) for hint in hints]
    found = {line: means(line) for line in lines}
    explain = Tags(text).of("body")[0]["data-explain"]
    key = Tags(text).of("td")
    keys = [attributes["data-key"] for attributes in key if "data-key" in attributes]

    assert set(found.values()) == {run, run.with_name("a-run-again")}
    assert {parse(arguments(line))[0] for line in lines} == {
        "explain", "report", "sweep",
    }  # fmt: skip
    assert explain
    assert keys
    assert f"{keys[0]} = " in told(arguments(f"{explain} {shlex.quote(str(keys[0]))}"), capsys)
    unredacted = next(line for line in lines if "report.redact=false" in line)
    assert "tables and page" in told(arguments(unredacted), capsys)


@pytest.mark.slow  # of a whole run
def test_what_errors_print_can_be_pasted(run: Path, capsys: pytest.CaptureFixture[str]):
    """A run that is not there is begun by the command; what was asked of none leads to status."""
    config = run.parents[1] / "my config.toml"
    where = ["--config", str(config), "--runs", str(run.parent), "--set", "report.title=a b"]
    [line] = printed(told(["report", *where, "--name", "not-yet"], capsys, 2))
    _, options = parse(arguments(line))
    explain = [*arguments(command(RunDir(run), "explain"))]
    [status] = printed(told(explain, capsys, 2))

    assert means(line) == run.with_name("not-yet")
    assert options.changes == ("report.title=a b",)
    assert means(status) == run
    assert "1 of 1 condition is complete" in told(arguments(status), capsys)


@pytest.mark.slow  # of a whole run
def test_what_a_failed_sweep_prints_shows_what_is_there(
    run: Path, capsys: pytest.CaptureFixture[str]
):
    """One model fails, the other's answers are reported by the command that is printed."""
    config = run.parents[1] / "my config.toml"
    options = ["--config", str(config), "--runs", str(run.parent), "--name", "half-a-run"]
    bad = ["--set", 'models.bad={use="echo", prompts=["none"], options={fail=" "}}']
    text = told(["sweep", *options, *bad, "--executor", "local"], capsys, 1)
    [line] = printed(text)

    assert means(line) == run.with_name("half-a-run")
    assert "PARTIAL" in told(arguments(line), capsys)


# ---------------------------------------------------------------------------- on a cluster


def _array_task(run: RunDir) -> ArrayTask:
    asked = {"mem_gb": 1.5, "time_min": 30}
    submission = Submission(
        "0001-generate-echo", "generate", "echo", 3, ((1,),), "0001.json", (), asked=asked, job="7"
    )
    return ArrayTask(submission, 0, run.root / "no.log")


@pytest.mark.slow  # of a whole run
@pytest.mark.parametrize("kind", REMEDIES)
def test_what_is_to_be_done_about_an_element_can_be_pasted(run: Path, kind: str):
    """Numbers and names stand where people would have to fill them in."""
    array_task = _array_task(RunDir(run))
    text = array_tasks.text(RunDir(run), array_task, [Attempt(kind, node="c7")])
    lines = printed(text)

    assert all(means(line) == run for line in lines)
    sweeps = ("run directory not seen", "setup failed", "mistake")
    assert bool(lines) == (kind not in ("done", "running", "queued", "unknown", *sweeps))


def test_more_is_proposed_of_what_was_short():
    """Twice the memory or time that it had; another node than the one that failed."""
    asked = {"mem_gb": 1.5, "time_min": 30}

    assert next_commands("out of memory", "t", asked, "c1") == (("retry", "--mem", "3"),)
    assert next_commands("time limit", "t", asked, "c1") == (("retry", "--time", "60"),)
    assert next_commands("bad node", "t", asked, "c1") == (("retry", "--exclude", "c1"),)
    assert next_commands("out of memory", "t", {}, "c1") == (("retry",),)
    assert next_commands("exception", "t", asked, "c1") == (("logs", "t"), ("retry",))


@pytest.mark.slow  # of a whole run
def test_what_status_prints_can_be_pasted(run: Path):
    """Below a table with failures stand the reason's command and the remedy's."""
    stages = [StageProgress("generate", "echo", 0, 0, 0, failed={"killed": 1})]
    found = Inspected(
        run=RunDir(Path("runs/x")), array_tasks={}, earlier={}, submissions=(), reached=True, why=""
    )
    lines = printed("\n".join(_next(RunDir(run), stages, found)))

    assert [means(line) for line in lines] == [run, run]
    assert [parse(arguments(line))[0] for line in lines] == ["explain", "retry"]
