"""What was submitted, the code that it runs, and the array task that finds itself."""

import importlib.util
import os
import py_compile
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.errors import Damaged
from empathy_core.store import RunDir
from jobs.executors.slurm import snapshot as code
from jobs.executors.slurm.clusters import Placed, waits_elsewhere
from jobs.executors.slurm.snapshot import snapshot
from jobs.executors.slurm.submissions import Ledger, Submission, log_path, read_submission
from jobs.planning.plan import Plan, PlannedMetric, PlanNotes, Task
from jobs.planning.plan_file import write_plan
from slurm import job_environment
from slurm.events import emit_event, read_events
from slurm.job_environment import JobEnvironment, current
from tests.runs.command_line import ROOT

SUBMISSION = Submission(
    name="",
    stage="generate",
    key="m",
    n_shards=4,
    shards=((0, 2), (1, 3)),
    plan="0001.json",
    after=("7", "8"),
    asked={"time_min": 30, "options": {"nice": 5}},
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(RunDir(tmp_path / "run"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---------------------------------------------------------------------------- submissions


def test_a_submission_is_read_as_it_was_written(ledger: Ledger):
    """What was intended is on the disk before sbatch is called, array tasks included."""
    named = ledger.intend(SUBMISSION, "science")
    (found,) = ledger.submissions()

    assert named.name == "0001-generate-m"
    assert named.at > 0
    assert len(named.token) == 10
    assert named.uid == os.getuid()
    ours = {"name": named.name, "at": named.at, "token": named.token, "uid": named.uid}
    assert found == named == replace(SUBMISSION, **ours, clusters=("science",))
    assert read_submission(ledger.run.submission(named.name)) == named
    assert found.bundles == (
        (Task("generate", "m", 0, 4), Task("generate", "m", 2, 4)),
        (Task("generate", "m", 1, 4), Task("generate", "m", 3, 4)),
    )


def test_a_submission_gets_its_job_when_sbatch_answered(ledger: Ledger):
    """Without an answer there is no job; a refusal is kept with its words."""
    first, second, third = (ledger.intend(SUBMISSION) for _ in range(3))
    ledger.taken(first, "12", "science")
    ledger.refused(second, "invalid partition")
    again = Ledger(ledger.run).submissions()

    assert [s.job for s in again] == ["12", None, None]
    assert [s.cluster for s in again] == ["science", "", ""]
    assert [s.refused for s in again] == ["", "invalid partition", ""]
    assert again[2] == third


@pytest.mark.parametrize(
    ("options", "clusters"),
    [
        ({}, ("near",)),
        ({"clusters": "far"}, ("far",)),
        ({"clusters": "far, near"}, ("far", "near")),
    ],
)
def test_where_a_job_was_to_go_is_recorded_before_sbatch_answers(
    ledger: Ledger, options: dict[str, str], clusters: tuple[str, ...]
):
    """So it is looked for there, from any machine; the answer then names the one cluster."""
    asked = replace(SUBMISSION, asked={"options": options})
    ledger.intend(asked, "near")
    (found,) = ledger.submissions()

    assert found.identity(ledger.run).clusters == clusters
    assert found.identity(ledger.run).cluster == ""


@pytest.mark.parametrize(
    ("job", "other", "wrong"),
    [
        (("near",), ("near",), False),
        (("near",), ("far",), True),
        (("far", "near"), ("far",), True),
        (("far", "near"), ("far", "near"), True),
    ],
)
def test_a_job_waits_only_for_one_on_its_own_cluster(
    job: tuple[str, ...], other: tuple[str, ...], wrong: bool
):
    """Where sbatch may choose among several, nobody can say that it is the same one."""
    waiting = Placed("score 'a'", job, ["7", "8"])

    assert bool(waits_elsewhere(waiting, {"8": Placed("generate 'b'", other)})) == wrong
    assert not waits_elsewhere(waiting, {"9": Placed("generate 'b'", other)})


def test_names_count_up_though_older_folders_are_gone(ledger: Ledger):
    """A number is never given twice: a job of the old one may still be known to Slurm."""
    names = []
    for _ in range(3):
        named = ledger.taken(ledger.intend(SUBMISSION), str(len(names)), "science")
        names.append(named.name)
    for name in names:
        shutil.rmtree(ledger.run.submission(name))

    assert names == [f"000{n}-generate-m" for n in (1, 2, 3)]
    assert Ledger(ledger.run).intend(SUBMISSION).name == "0004-generate-m"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("lexical", "0001-score-lexical"),
        ("org/model v2", "0001-score-model-v2"),
        ("a" * 99, "0001-score-" + "a" * 40),
        ("Füße & co", "0001-score-F-e-co"),
        ("…", "0001-score"),
    ],
)
def test_a_folders_name_is_plain(ledger: Ledger, key: str, name: str):
    """Whatever a key holds, its folder's name is short and needs no quoting."""
    named = ledger.intend(replace(SUBMISSION, stage="score", key=key))

    assert named.name == name
    assert ledger.submissions()[0].key == key


@pytest.mark.parametrize("torn", ['{"submission": "0002-gen\n', '{"submission": "0002'])
def test_a_torn_line_is_skipped(ledger: Ledger, torn: str):
    """A power cut in the middle of a line takes that line only, with its line break or without."""
    first, second = (ledger.intend(SUBMISSION) for _ in range(2))
    ledger.taken(first, "12", "science")
    with ledger.run.jobs.open("a") as file:
        file.write(torn)
    ledger.taken(second, "13", "science")

    assert [s.job for s in ledger.submissions()] == ["12", "13"]
    assert ledger.intend(SUBMISSION).name == "0003-generate-m"


@given(cut=st.integers(0, 200))
def test_a_list_that_was_cut_anywhere_can_be_read(tmp_path_factory, cut: int):
    """What is left of the list counts, and nothing is made up."""
    ledger = Ledger(RunDir(tmp_path_factory.mktemp("run")))
    for job in ("12", "13"):
        ledger.taken(ledger.intend(SUBMISSION), job, "science")
    whole = ledger.run.jobs.read_bytes()
    ledger.run.jobs.write_bytes(whole[:cut])
    jobs = [s.job for s in ledger.submissions()]

    assert jobs in ([None, None], ["12", None], ["12", "13"])


def test_a_damaged_submission_is_passed_over(ledger: Ledger):
    """What was cut short before sbatch was called submitted nothing."""
    first, second = (ledger.intend(SUBMISSION) for _ in range(2))
    path = ledger.run.submission(first.name) / "submission.json"
    path.write_text(path.read_text()[:40])

    assert [s.name for s in ledger.submissions()] == [second.name]
    with pytest.raises(Damaged, match=r"submission\.json"):
        read_submission(path.parent)


def test_a_run_that_was_never_submitted_has_nothing(ledger: Ledger):
    """Neither folder nor list is needed."""
    assert ledger.submissions() == []


def test_a_submission_is_told_from_all_others(tmp_path: Path):
    """Its token is in comment and name, and no two have the same, whatever their run and name."""
    ledgers = [Ledger(RunDir(tmp_path / name)) for name in ("a", "b")]
    submissions = [(each.run, each.intend(SUBMISSION)) for each in ledgers for _ in range(2)]
    tokens = {submission.token for _, submission in submissions}

    assert len(tokens) == 4
    for run, submission in submissions:
        assert submission.token in submission.comment(run)
        assert submission.token in submission.job_name(run)
        assert set(" |,\n'\"").isdisjoint(submission.comment(run) + submission.job_name(run))


def test_a_submission_of_an_older_version_is_known_by_its_comment(tmp_path: Path):
    """It has no token: its comment names the run and the submission."""
    run = RunDir(tmp_path / "a")
    old = replace(SUBMISSION, name="0001-generate-m")

    assert old.comment(run) == old.identity(run).token
    assert old.comment(run) != old.comment(RunDir(tmp_path / "b"))


def test_the_plan_of_a_submission_is_found(ledger: Ledger):
    """Each submission follows the plan that it was made with, whatever was planned later."""
    for n_blocks in (4, 9):
        plan = Plan((), "d", n_blocks, {}, 1, "error",
                    (PlannedMetric("bleu", {}, "bleu-1", "s", "lexical"),),
                    PlanNotes())  # fmt: skip
        write_plan(plan, ledger.run.next_plan())

    assert ledger.plan(SUBMISSION).n_blocks == 4
    assert ledger.plan(replace(SUBMISSION, plan="0002.json")).n_blocks == 9


def test_only_the_owner_reads_what_was_submitted(ledger: Ledger):
    """Logs may hold questions and answers: their folder and the files are the owner's alone."""
    named = ledger.intend(SUBMISSION)
    ledger.taken(named, "12", "science")
    folder = ledger.run.submission(named.name)

    assert mode(folder / "submission.json") == mode(ledger.run.jobs) == 0o600
    assert mode(ledger.run.slurm) == mode(folder) == mode(folder / "logs") == 0o700
    assert log_path(ledger.run, named.name, 1) == folder / "logs" / "1.log"


# ---------------------------------------------------------------------------- code


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small folder of packages the suite's source, and return it."""
    source = tmp_path / "suite"
    for path in (
        "jobs/launch.py", "jobs/configs/demo.toml", "jobs/__pycache__/launch.cpython.pyc",
        "empathy_core/__init__.py", "reports/templates/page.html", "slurm/sim/up.sh",
        "slurm/sim/run/slurm.conf", "slurm/job_environment.py", "tests/test_x.py", "README.md",
    ):  # fmt: skip
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)
    monkeypatch.setattr(code, "SOURCE", source)
    return source


def test_a_snapshot_holds_the_packages_and_nothing_else(tmp_path: Path, suite: Path):
    """Code and its data files are copied; caches, the simulated cluster and tests are not."""
    target = snapshot(RunDir(tmp_path / "run"))
    files = {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()}
    files = {name for name in files if "__pycache__" not in name}

    assert target.parent == tmp_path / "run" / "slurm" / "code"
    assert files == {
        "jobs/launch.py", "jobs/configs/demo.toml", "empathy_core/__init__.py",
        "reports/templates/page.html", "slurm/job_environment.py",
    }  # fmt: skip
    assert (target / "jobs" / "launch.py").read_text() == "jobs/launch.py"


def test_a_snapshot_is_compiled_once_for_all_array_tasks(tmp_path: Path, suite: Path):
    """Bytecode lies beside each file, only for its owner; what cannot be compiled does no harm."""
    (suite / "slurm" / "job_environment.py").write_text("def")
    target = snapshot(RunDir(tmp_path / "run"))
    compiled = sorted(p.name.partition(".")[0] for p in target.rglob("*.pyc"))
    modes = {stat.S_IMODE(p.stat().st_mode) for p in target.rglob("*.pyc")}

    assert compiled == ["__init__", "launch"]
    assert modes == {0o600}


def test_code_that_is_compiled_already_is_copied_unless_it_may_be_of_another_text(
    tmp_path: Path, suite: Path
):
    """Copied, it runs as what is compiled anew; an edit within the same second is seen."""
    source = suite / "jobs" / "launch.py"
    found = []
    for text, compiles_after in (("NAME = __file__, 1", 5), ("NAME = __file__, 2", -5)):
        source.write_text("NAME = __file__, 0")
        os.utime(source, ns=(10**18, 10**18))
        compiled = Path(py_compile.compile(str(source)))
        source.write_text(text)
        os.utime(source, ns=(10**18 + 10, 10**18 + 10))
        os.utime(compiled, ns=(0, 10**18 + 10 + compiles_after))
        copy = snapshot(RunDir(tmp_path / "run")) / "jobs" / "launch.py"
        spec = importlib.util.spec_from_file_location("copied", copy)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append((Path(module.NAME[0]) == copy, module.NAME[1]))

    assert found == [(True, 0), (True, 2)]  # the first was told to be of this text


def test_equal_code_is_copied_once(tmp_path: Path, suite: Path):
    """A second submission runs the same copy, and leaves nothing half made beside it."""
    run = RunDir(tmp_path / "run")
    first = snapshot(run)
    (first / "mark").touch()

    assert snapshot(run) == first
    assert (first / "mark").is_file()
    assert list(first.parent.iterdir()) == [first]


def test_an_edit_does_not_reach_what_was_submitted(tmp_path: Path, suite: Path):
    """Changed or renamed code is another copy; the old one stays as it was."""
    run = RunDir(tmp_path / "run")
    first = snapshot(run)
    (suite / "jobs" / "launch.py").write_text("changed")
    second = snapshot(run)
    (suite / "slurm" / "job_environment.py").rename(suite / "slurm" / "chore.py")
    third = snapshot(run)

    assert len({first, second, third}) == 3
    assert (first / "jobs" / "launch.py").read_text() == "jobs/launch.py"
    assert (second / "jobs" / "launch.py").read_text() == "changed"


def test_what_a_killed_launcher_left_half_made_is_not_used(tmp_path: Path, suite: Path):
    """A copy counts only once it has its name."""
    run = RunDir(tmp_path / "run")
    name = snapshot(run).name
    shutil.rmtree(run.code(name))
    half = run.code(name).with_name(f".{name}.0123abcd.partial")
    (half / "jobs").mkdir(parents=True)
    (half / "jobs" / "launch.py").write_text("ha")

    assert (snapshot(run) / "jobs" / "launch.py").read_text() == "jobs/launch.py"


def test_the_real_snapshot_runs(tmp_path: Path):
    """An array task's Python finds the whole suite in the copy, and only there."""
    target = snapshot(RunDir(tmp_path / "run"))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-m", "jobs.launch", "--help"],
        cwd=target, env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    where = subprocess.run(
        [sys.executable, "-c", "import jobs, slurm; print(jobs.__file__, slurm.__file__)"],
        cwd=target, env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "sweep" in done.stdout
    assert where.stdout.split() == [
        str(target / name / "__init__.py") for name in ("jobs", "slurm")
    ]
    assert not (target / "slurm" / "sim").exists()
    assert not (target / "tests").exists()


# ---------------------------------------------------------------------------- array tasks


def test_an_element_finds_itself(monkeypatch: pytest.MonkeyPatch):
    """Slurm's variables say which array task this is, where, and how often it ran before."""
    for name, value in {
        "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3",
        "SLURMD_NODENAME": "c1", "SLURM_RESTART_COUNT": "2",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    assert current() == JobEnvironment("12", 3, "c1", 2)
    assert current().id == "12_3"


def test_a_first_attempt_on_an_unnamed_node(monkeypatch: pytest.MonkeyPatch):
    """Slurm sets no restart count at first, and the host's own name stands in for a node's."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    monkeypatch.setattr(job_environment.socket, "gethostname", lambda: "laptop")

    assert current() == JobEnvironment("12", 0, "laptop", 0)


def test_outside_an_array_there_is_no_element(monkeypatch: pytest.MonkeyPatch):
    """A process that Slurm did not start as an array task is an error."""
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)

    with pytest.raises(KeyError, match="SLURM_ARRAY_JOB_ID"):
        current()


def test_events_are_read_as_they_were_told(capfd: pytest.CaptureFixture[str]):
    """An event is one line of the log, whatever it says; other lines are no events."""
    before = int(time.time())
    emit_event("failed", message='a "b"\nc\u2028ü', code=2)
    emit_event("ended", code=2)
    said = capfd.readouterr().out
    failed, ended = read_events(f"a line\n{said}another: event: {{}}\n")

    assert [line[:7] for line in said.splitlines() if line][:1] == ["event: "]
    assert failed.pop("at") >= before
    assert failed == {"event": "failed", "message": 'a "b"\nc\u2028ü', "code": 2}
    assert ended["event"] == "ended"


@given(st.integers(0, 120))
def test_a_torn_event_is_skipped(cut: int):
    """However a log was cut, the whole events before the cut are read."""
    lines = ['event: {"event": "started", "at": 1}\n', "a line\n", 'event: {"event": "ended"}\n']
    whole = "".join(lines)[:cut]
    ends = [len(lines[0]) - 1, len("".join(lines)) - 1]  # a line break more or less changes nothing

    assert len(read_events(whole)) == sum(cut >= end for end in ends)


# ---------------------------------------------------------------------------- signals


ELEMENT = """
import sys
from slurm.events import emit_event
from slurm.job_environment import JobEnvironment, Signals
advanced, limit_s = sys.argv[1] == "advanced", float(sys.argv[2])
finished = []
signals = Signals(JobEnvironment("12", 3, "c1", 0), lambda: advanced or bool(finished), limit_s, 20)
emit_event("ready")
sys.stdin.readline()
finished.append(1)
signals.progressed()
signals.wait_out(0.5)
emit_event("ended", code=0)
"""
"""An array task that finishes something when it is told to, and ends."""


def warned(
    tmp_path: Path, *arguments: str, requeue: int = 0, by: int = signal.SIGUSR2, left: str = ""
) -> list:
    """Signal an array task, let it finish something, and return what it told.

    Args:
        tmp_path: Where Slurm's commands stand that it calls.
        arguments: Whether it has finished something, and its time limit when it was submitted.
        requeue: Exit code of ``scontrol requeue``.
        by: The signal.
        left: The time that is left by squeue's word; empty where squeue does not answer.
    """
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\n{f'echo {left}' if left else 'exit 1'}\n")
    squeue.chmod(0o755)
    fake = tmp_path / "scontrol"
    # Slurm ends the whole step once the requeueing is noted, the command that asked too
    ends = "kill -TERM $$\nkill -9 $PPID"
    end = ends if requeue == 0 else "echo 'Requested operation is disabled' >&2"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{end}\nexit {requeue}\n')
    fake.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", ELEMENT, *arguments],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = process.stdout.readline()
    process.send_signal(by)
    if not (arguments[0] == "advanced" and requeue == 0 and by == signal.SIGUSR2):
        said += process.stdout.readline()  # it lives on and says so
    rest, _ = process.communicate("\n", timeout=300)
    return [event for event in read_events(said + rest) if event["event"] != "ready"]


def test_a_warned_element_asks_to_be_run_again(tmp_path: Path):
    """What has finished something by its time limit asks Slurm for another attempt."""
    assert warned(tmp_path, "advanced", "60") == []  # it was ended before it could tell
    assert (tmp_path / "asked").read_text() == "requeue 12_3\n"


def test_an_element_that_finished_nothing_goes_on_and_asks_later(tmp_path: Path):
    """Another attempt would fare no better, unless something is finished after all."""
    (event,) = warned(tmp_path, "stuck", "60")

    assert (event["event"], event["limit"], event["requeued"]) == ("warned", True, False)
    assert (tmp_path / "asked").read_text() == "requeue 12_3\n"


def test_an_element_that_may_not_be_requeued_goes_on(tmp_path: Path):
    """Where Slurm refuses, its words are kept and the time that is left is used."""
    event, ended = warned(tmp_path, "advanced", "60", requeue=1)

    assert (event["requeued"], event["message"]) == (False, "Requested operation is disabled")
    assert ended["event"] == "ended"


def test_a_warning_long_before_the_limit_is_told_as_such(tmp_path: Path):
    """Preemption warns whenever it comes: a start without progress is requeued too."""
    event, _ = warned(tmp_path, "stuck", "9000", requeue=1)

    assert event["limit"] is False
    assert (tmp_path / "asked").exists()


def test_the_limit_is_the_one_that_slurm_has_now(tmp_path: Path):
    """It can be lowered after submission: without progress, no further attempt is asked for."""
    (event,) = warned(tmp_path, "stuck", "9000", left="0:42")

    assert (event["limit"], event["requeued"]) == (True, False)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0:42", 42), ("59:10", 3550), ("1:00:00", 3600), ("2-03:04:05", 183845), ("UNLIMITED", None),
     ("INVALID", None), ("NOT_SET", None)],
)  # fmt: skip
def test_the_time_left_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, seconds: int | None
):
    """In whatever form squeue prints it."""
    (tmp_path / "squeue").write_text(f"#!/bin/sh\necho {said}\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert job_environment.time_left_s(JobEnvironment("12", 3, "c1", 0)) == seconds


def test_the_request_to_end_is_noted_and_waited_out(tmp_path: Path):
    """An array task that ended by itself in its grace time would not be requeued."""
    term, waiting, ended = warned(tmp_path, "advanced", "60", by=signal.SIGTERM)

    assert (term["event"], waiting["event"], ended["event"]) == ("term", "waiting", "ended")
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("line", ["event: 5", "event: {}"])
def test_what_is_no_event_is_skipped(line: str):
    """An event is an object with a name."""
    assert read_events(line) == []
