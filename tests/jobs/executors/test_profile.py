"""Cluster profiles: what a configuration says about Slurm, and the batch script it becomes."""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from empathy_core.errors import ConfigError
from jobs.config import read as config
from jobs.config.schema import Config
from slurm import profile as profiles
from slurm import submit
from slurm.events import read_events
from slurm.profile import OURS, PASSED, STANDARD, Profile, Resources
from slurm.queue import JobIdentity, SubmitError, Unanswered
from slurm.script import SETUP, UNSEEN, Array
from slurm.submit import Taken
from tests.runs.command_line import ECHO, write_config

WHO = JobIdentity("3f2a")
ODD = 'it\'s a "run" & co'
"""A folder's name that a shell would take apart."""


def read(folder: Path, text: str = "", overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of echoes with *text* at its end."""
    return config.read(str(write_config(folder, ECHO + text)), overrides)


def message(folder: Path, text: str) -> str:
    """Return what is said about a configuration with a mistake in *text*."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


# ---------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("text", "path", "guess"),
    [
        ("[slurm]\npartitoin = 'gpu'", "slurm.partitoin: unknown key", "partition"),
        ("[slurm.generate]\ntime_mins = 5", "slurm.generate.time_mins: unknown key", "time_min"),
        ("[slurm]\nstage = 1", "slurm.stage: unknown key", ""),
        ("[models.echo.slurm]\nmemgb = 5", "models.echo.slurm.memgb: unknown key", "mem_gb"),
        (
            "[slurm.container]\nruntime = 'pyxis'\nimage = 'a'\nmount = []",
            "slurm.container.mount: unknown key",
            "mounts",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_closest(tmp_path: Path, text: str, path: str, guess: str):
    """A slip in any table of Slurm's is told by its dotted path and the closest key."""
    said = message(tmp_path, text)

    assert path in said
    assert not guess or f"Did you mean '{guess}'?" in said


@pytest.mark.parametrize("table", ["slurm.options", "slurm.score.options"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nise = 5", "sbatch has no option 'nise'; did you mean 'nice'?"),
        ("exclusiv = true", "did you mean 'exclusive'?"),
        ("'completely-else' = 1", "sbatch has no option 'completely-else'"),
        ("time = '1:00:00'", "'time' is set by the suite: use 'time_min'"),
        ("mem = '4G'", "use 'mem_gb'"),
        ("array = '0-3'", "'parallel' throttles them"),
        ("gpus_per_node = 2", "use 'gpus'"),
        ("'no-requeue' = true", "use 'requeue'"),
        ("output = 'x.log'", "logs are written to the run directory"),
    ],
)
def test_an_option_that_cannot_be_passed_says_why(
    tmp_path: Path, table: str, line: str, words: str
):
    """What sbatch does not know gets the closest match; what the suite sets, the key to use."""
    said = message(tmp_path, f"[{table}]\n{line}")

    assert f"{table}:" in said
    assert words in said


@pytest.mark.parametrize("name", PASSED)
def test_other_options_are_taken_with_dashes_or_without(name: str):
    """Every listed option of sbatch may be given, spelt either way; none is also the suite's."""
    assert name not in OURS
    assert Resources(options={name: True}).options
    assert Resources(options={name.replace("-", "_"): "x"}).options


@pytest.mark.parametrize("name", ["HF_TOKEN", "wandb_api_key", "AWS_SECRET_ACCESS", "DB_PASSWORD"])
@pytest.mark.parametrize("form", ["[slurm.env]\n{} = 'x'", "[slurm]\npass_env = ['{}']"])
def test_a_secret_is_refused(tmp_path: Path, name: str, form: str):
    """Scripts can be read by others: no token goes into one, nor into a job's environment."""
    assert f"'{name}' looks like a secret" in message(tmp_path, form.format(name))


@pytest.mark.parametrize("name", ["A B", "1A", "A-B", "A;rm"])
def test_a_variable_has_a_name(name: str):
    """What is no name of a variable would break the script."""
    with pytest.raises(ValidationError, match="no name of a variable"):
        Profile(env={name: "x"})


@pytest.mark.parametrize("table", ["slurm", "slurm.generate", "models.echo.slurm"])
def test_gpus_are_asked_for_in_one_way(tmp_path: Path, table: str):
    """Sites understand one of the two; both together would be refused or count twice."""
    said = message(tmp_path, f"[{table}]\ngpus = 1\ngres = 'gpu:a100:1'")

    assert f"{table}: " in said
    assert "both gpus and a gres of GPUs" in said


def test_a_gres_of_something_else_goes_with_gpus():
    """Not every gres is a GPU."""
    assert Resources(gpus=1, gres="lustre:1").gpus == 1


@pytest.mark.parametrize("line", ["time_min = 0", "mem_gb = -1", "gpus = -1", "cpus = '4'"])
def test_amounts_are_sensible(tmp_path: Path, line: str):
    """No limit of zero, no negative GPU, no number as text."""
    assert f"slurm.{line.partition(' ')[0]}: " in message(tmp_path, f"[slurm]\n{line}")


# ---------------------------------------------------------------------------- layers


LAYERS = """
[slurm]
partition = "gpu"
cpus = 8
time_min = 100
options = { nice = 5, exclusive = true }
[slurm.generate]
gpus = 1
time_min = 200
options = { nice = 7 }
[models.echo.slurm]
time_min = 300
gpus = 2
options = { hint = "nomultithread" }
"""


def test_a_stage_goes_over_the_common_keys_over_the_standards(tmp_path: Path):
    """Each key comes from the most special table that has it."""
    slurm = read(tmp_path, LAYERS).slurm
    generate, score = slurm.of_stage("generate"), slurm.of_stage("score")

    assert (generate.partition, generate.cpus, generate.time_min, generate.gpus) == (
        "gpu", 8, 200, 1,
    )  # fmt: skip
    assert generate.mem_gb == STANDARD["generate"].mem_gb
    assert (score.time_min, score.gpus) == (100, None)
    assert generate.options == {"nice": 7, "exclusive": True}
    assert score.options == {"nice": 5, "exclusive": True}


def test_a_models_own_resources_go_over_the_stages(tmp_path: Path):
    """[models.<name>.slurm] has the last word for that model."""
    loaded = read(tmp_path, LAYERS)
    own = loaded.slurm.of_stage("generate", loaded.models["echo"].slurm)

    assert (own.time_min, own.gpus, own.cpus) == (300, 2, 8)
    assert own.options == {"nice": 7, "exclusive": True, "hint": "nomultithread"}


def test_without_a_word_a_stage_gets_the_standards():
    """The report needs no GPU and little of anything."""
    assert Profile().of_stage("report") == STANDARD["report"]


@pytest.mark.parametrize(
    ("common", "own", "expected"),
    [
        ({"gpus": 1}, {"gres": "gpu:a100:2"}, (None, "gpu:a100:2")),
        ({"gres": "gpu:1"}, {"gpus": 2}, (2, None)),
        ({"gres": "gpu:1"}, {"gpus": 0}, (0, None)),
        ({"gres": "lustre:1"}, {"gpus": 2}, (2, "lustre:1")),
        ({"gpus": 2}, {"gres": "lustre:1"}, (2, "lustre:1")),
        ({"gres": "gpu:1"}, {"gres": ""}, (None, "")),
    ],
)
def test_the_later_way_of_asking_for_gpus_counts(
    common: dict[str, Any], own: dict[str, Any], expected: tuple[int | None, str | None]
):
    """A special table may ask for GPUs in the other way; only that is left."""
    found = Profile(**common).of_stage("generate", Resources(**own))

    assert (found.gpus, found.gres) == expected


def test_a_profiles_file_lies_below_the_configuration(tmp_path: Path):
    """The file's keys hold where the configuration is silent, table by table; --set is above."""
    (tmp_path / "site.toml").write_text(
        'partition = "gpu"\naccount = "lab"\ntime_min = 10\nsetup = ["module load a", "b"]\n'
        "[generate]\ngpus = 4\ncpus = 3\n"
    )
    text = (
        '[slurm]\nprofile = "site.toml"\ntime_min = 20\nsetup = ["c"]\n[slurm.generate]\ngpus = 1'
    )
    slurm = read(tmp_path, text, ["slurm.account=other"]).slurm

    assert (slurm.partition, slurm.account, slurm.time_min) == ("gpu", "other", 20)
    assert slurm.setup == ("c",)
    assert (slurm.generate.gpus, slurm.generate.cpus) == (1, 3)
    assert slurm.profile == str(tmp_path / "site.toml")


def test_a_profile_may_be_named_on_the_command_line(tmp_path: Path, monkeypatch: Any):
    """A path given to --set stands beside the caller, and its keys below the file's."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "site.toml").write_text('partition = "gpu"\naccount = "lab"\n')
    monkeypatch.chdir(folder)
    slurm = read(tmp_path, "[slurm]\naccount = 'mine'", ["slurm.profile=site.toml"]).slurm

    assert (slurm.partition, slurm.account) == ("gpu", "mine")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partitoin = 'x'", "slurm.partitoin: unknown key. Did you mean 'partition'?"),
        ("partition = ", "is not valid TOML"),
    ],
)
def test_a_mistake_in_a_profiles_file_is_told(tmp_path: Path, text: str, words: str):
    """A profile is as strict as the configuration."""
    (tmp_path / "site.toml").write_text(text)

    assert words in message(tmp_path, "[slurm]\nprofile = 'site.toml'")


@pytest.mark.parametrize("name", ["no_such_profile", "./nowhere.toml"])
def test_an_unknown_profile_is_an_error(tmp_path: Path, name: str):
    """What no file answers to says what to give instead."""
    said = message(tmp_path, f"[slurm]\nprofile = '{name}'")

    assert "unknown cluster profile" in said
    assert "a path to a TOML file" in said


def test_the_closest_profile_is_guessed(tmp_path: Path):
    """A slip in a shipped profile's name is told with the name that was meant."""
    for name in profiles.names():
        assert f"Did you mean '{name}'?" in message(tmp_path, f"[slurm]\nprofile = '{name}x'")


def test_every_shipped_profile_is_valid(tmp_path: Path, srun: Path):
    """Each profile loads, gives every stage its resources, and becomes a script."""
    for name in profiles.names():
        slurm = read(tmp_path, overrides=[f"slurm.profile={name}"]).slurm
        for stage in ("generate", "score", "report"):
            given = slurm.of_stage(stage)
            text = submit.script(an_array(tmp_path, given), slurm)

            assert given.time_min, name
            assert given.mem_gb, name
            assert not wrong_in_bash(text), name
        assert "gpu" not in (slurm.of_stage("report").gres or ""), name
        assert not slurm.of_stage("report").gpus, name


# ---------------------------------------------------------------------------- scripts


FAKE_PYTHON = """#!/bin/bash
printf '%s\\n' "pid=$$" "PYTHONPATH=$PYTHONPATH" "$@"
env | grep -E '^(OMP_|HF_|TMPDIR|MINE)'
"""


def program(path: Path, text: str = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n") -> Path:
    """Write an executable script; without *text* it prints its arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an srun that prints its arguments on PATH, and return its folder."""
    folder = tmp_path / "bin"
    program(folder / "srun")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a program that tells what it sees the launcher's Python, in a folder of odd name."""
    path = program(tmp_path / ODD / "python", FAKE_PYTHON)
    monkeypatch.setattr(sys, "executable", str(path))
    return path


def an_array(where: Path, resources: Resources | None = None, **changes: Any) -> Array:
    """Return an array whose run is in a folder of odd name and can be seen."""
    run = where / ODD
    (run / "plans").mkdir(parents=True, exist_ok=True)
    (run / "plans" / "0001.json").touch()
    (run / "slurm" / "0001-generate-m").mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "name": "echo.generate.m",
        "comment": "empathy-suite:ab:0001-generate-m",
        "folder": run / "slurm" / "0001-generate-m",
        "witness": run / "plans" / "0001.json",
        "code": run / "code",
        "command": ("jobs.executors.slurm.array_task", str(run / "slurm" / "0001-generate-m")),
        "n_tasks": 3,
        "resources": resources or Profile().of_stage("generate"),
    }
    return Array(**given | changes)


def wrong_in_bash(text: str) -> str:
    """Return what bash has against a script, which it reads but does not run."""
    return subprocess.run(
        ["bash", "-n"], input=text, text=True, capture_output=True, check=False
    ).stderr


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    """Run a batch script as a node would."""
    return subprocess.run(
        ["bash", "-c", text], text=True, capture_output=True, check=False, timeout=300
    )


@pytest.mark.parametrize(("requeue", "flag"), [(True, "requeue"), (False, "no-requeue")])
def test_a_script_says_what_slurm_is_to_do(tmp_path: Path, srun: Path, requeue: bool, flag: str):
    """Array, warning, requeueing and appended logs are asked for, and Python replaces bash."""
    own = Resources(gpus=2, reservation="r", parallel=2, options={"exclusive": True, "nice": 5})
    profile = Profile(requeue=requeue, partition="gpu")
    array = an_array(tmp_path, profile.of_stage("generate", own), after=("7", "8"))
    text = submit.script(array, profile)
    lines = text.splitlines()

    assert not wrong_in_bash(text)
    for asked in (
        "array=0-2%2", "signal=B:USR2@90", flag, "open-mode=append", "gpus-per-node=2", "nodes=1",
        "mem=16384M", "time=120", "partition=gpu", "dependency=afterany:7:8", "reservation=r",
        "kill-on-invalid-dep=yes", "exclusive", "nice=5",
        "comment=empathy-suite:ab:0001-generate-m",
    ):  # fmt: skip
        assert f"#SBATCH --{asked}" in lines
    assert [line for line in lines if line.startswith("exec ")] == lines[-1:]
    assert not [line for line in lines if "--output" in line or "wckey" in line]


def test_the_warning_is_shorter_than_a_short_limit(tmp_path: Path, srun: Path):
    """An array task of a minute is warned in its last third, not at its start."""
    array = an_array(tmp_path, Resources(time_min=1, mem_gb=1.0))

    assert "#SBATCH --signal=B:USR2@20\n" in submit.script(array, Profile(signal_delay_s=90))


def test_what_is_not_asked_for_does_not_stand_there(tmp_path: Path, srun: Path):
    """Empty words, no GPUs and options that are false leave no line."""
    given = Resources(gpus=0, gres="", constraint="", options={"contiguous": False})
    text = submit.script(an_array(tmp_path, given, kill_if_impossible=False), Profile())

    for name in ("gpus", "gres", "constraint", "contiguous", "dependency", "kill-on-invalid"):
        assert f"--{name}" not in text


def test_odd_paths_reach_python_whole(tmp_path: Path, srun: Path, python: Path):
    """Blanks and quotes in paths survive the shell, and Python has the shell's process."""
    array = an_array(tmp_path)
    text = submit.script(array, Profile())
    process = subprocess.Popen(["bash", "-c", text], stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate(timeout=300)

    assert said.splitlines()[:6] == [
        f"pid={process.pid}", f"PYTHONPATH={array.code}", "-u", "-m", *array.command,
    ]  # fmt: skip


def test_elements_see_their_variables(tmp_path: Path, srun: Path, python: Path):
    """Threads follow the cores, values are not taken apart, scratch may name a variable."""
    profile = Profile(
        cpus=6, env={"MINE": "a $HOME 'b'"}, cache="/shared/my hf", scratch="$NODE_DISK/t m p"
    )
    text = submit.script(an_array(tmp_path, profile.of_stage("generate")), profile)
    said = run_script("export NODE_DISK=/local\n" + text).stdout.splitlines()

    assert {
        "OMP_NUM_THREADS=6", "OMP_WAIT_POLICY=PASSIVE", "HF_HUB_OFFLINE=1", "MINE=a $HOME 'b'",
        "HF_HOME=/shared/my hf", "TMPDIR=/local/t m p",
    } <= set(said)  # fmt: skip


def test_an_online_profile_does_not_forbid_the_network(
    tmp_path: Path, srun: Path, python: Path, monkeypatch: pytest.MonkeyPatch
):
    """HF_HUB_OFFLINE is set where the profile is offline, and only there."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    assert "HF_HUB_OFFLINE" not in run_script(
        submit.script(an_array(tmp_path), Profile(offline=False))
    ).stdout  # fmt: skip


def test_setup_lines_run_in_order_before_python(tmp_path: Path, srun: Path, python: Path):
    """What a line sets, the next line and Python see; a comment or a list harms nothing."""
    setup = ("export MINE=1  # a comment", "test $MINE = 1 && export MINE=2", "echo $MINE; true")
    done = run_script(submit.script(an_array(tmp_path), Profile(setup=setup)))

    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "2"
    assert "MINE=2" in done.stdout.splitlines()


def test_a_node_that_does_not_see_the_run_says_so(tmp_path: Path, srun: Path, python: Path):
    """The exit code and an event tell it; neither set-up nor Python is started."""
    array = an_array(tmp_path)
    array.witness.unlink()
    done = run_script(submit.script(array, Profile(setup=("echo set-up",))))
    (event,) = read_events(done.stdout)

    assert done.returncode == UNSEEN == 66
    assert len(done.stdout.split("\n")) == 3
    assert event["event"] == "unseen"
    assert event["at"] > 0
    assert "node" in event


@pytest.mark.parametrize(
    ("setup", "where"),
    [
        (("true", "no-such-command"), "line 2 of setup"),
        (("false", "true"), "line 1 of setup"),
        (("true", "true", "source /no/such/activate"), "line 3 of setup"),
    ],
)
def test_a_setup_line_that_fails_is_named(
    tmp_path: Path, srun: Path, python: Path, setup: tuple[str, ...], where: str
):
    """Each line must succeed; the first that does not ends the array task before Python."""
    done = run_script(submit.script(an_array(tmp_path), Profile(setup=setup)))
    (event,) = read_events(done.stdout)

    assert done.returncode == SETUP == 67
    assert (event["event"], event["message"]) == ("setup", where)
    assert "pid=" not in done.stdout


def test_a_python_that_is_not_there_is_told(tmp_path: Path, srun: Path):
    """The nodes' Python is looked for after the set-up."""
    done = run_script(submit.script(an_array(tmp_path), Profile(python="/no/such/python")))
    (event,) = read_events(done.stdout)

    assert done.returncode == SETUP
    assert (event["event"], event["message"]) == ("setup", "the program to start")


def test_the_nodes_python_may_be_found_by_the_setup(tmp_path: Path, srun: Path):
    """A bare name is looked up on the PATH that the set-up made."""
    program(tmp_path / "env" / "nodepython")
    profile = Profile(setup=(f"PATH={tmp_path}/env:$PATH",), python="nodepython")
    array = an_array(tmp_path)
    done = run_script(submit.script(array, profile))

    assert done.stdout.splitlines() == ["-u", "-m", *array.command]


# ---------------------------------------------------------------------------- containers


@pytest.mark.parametrize(
    ("resources", "gpu"),
    [({"gpus": 1}, ["--nv"]), ({"gres": "gpu:1"}, ["--nv"]), ({}, []), ({"gpus": 0}, [])],
)
def test_apptainer_starts_python_in_the_image(
    tmp_path: Path, srun: Path, resources: dict[str, Any], gpu: list[str]
):
    """Run, cache and further folders are bound, GPUs only where there are any."""
    program(srun / "apptainer")
    box = {"runtime": "apptainer", "image": "/images/my suite.sif", "mounts": ("/scr atch",),
           "options": ("--cleanenv",)}  # fmt: skip
    profile = Profile.model_validate({"container": box, "python": "python3", "cache": "/hf"})
    own = profile.of_stage("generate", Resources(**resources))
    array = an_array(tmp_path, own, mounts=(tmp_path / ODD,))
    text = submit.script(array, profile)

    assert not wrong_in_bash(text)
    assert run_script(text).stdout.splitlines() == [
        "exec", *gpu, "--bind", str(tmp_path / ODD), "--bind", "/scr atch", "--bind", "/hf",
        "--cleanenv", "/images/my suite.sif", "python3", "-u", "-m", *array.command,
    ]  # fmt: skip


def test_pyxis_starts_python_through_srun(tmp_path: Path, srun: Path):
    """The image and its mounts are srun's arguments; a mount may name its target."""
    box = {"runtime": "pyxis", "image": "registry#me/suite", "mounts": ("/data:/d",),
           "options": ("--no-container-mount-home",)}  # fmt: skip
    profile = Profile.model_validate({"container": box, "python": "python3"})
    array = an_array(tmp_path, mounts=(Path("/runs/a b"),))
    text = submit.script(array, profile)

    assert not wrong_in_bash(text)
    assert run_script(text).stdout.splitlines() == [
        "--container-image=registry#me/suite", "--container-mounts=/runs/a b:/runs/a b,/data:/d",
        "--no-container-mount-home", "python3", "-u", "-m", *array.command,
    ]  # fmt: skip


def test_a_runtime_that_is_not_there_is_told(tmp_path: Path, srun: Path):
    """A node without the container's program ends with the code of a failed set-up."""
    box = {"runtime": "apptainer", "image": "a.sif"}
    text = submit.script(an_array(tmp_path), Profile.model_validate({"container": box}))
    # bash finds the commands that the script needs, but no apptainer
    done = run_script(text.replace("apptainer", "apptainer-that-is-not-there"))

    assert done.returncode == SETUP
    assert read_events(done.stdout)[0]["message"] == "the program to start"


# ---------------------------------------------------------------------------- sbatch


SBATCH = """#!/bin/bash
printf '%s\\n' "$@" > "$HOME/arguments"
env > "$HOME/environment"
echo "Submitted batch job 77"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder the home, where a fake sbatch leaves what it got."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_submission_gives_sbatch_paths_and_no_secret(
    tmp_path: Path, srun: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    """The log's path holds no pattern but the index; only listed variables go with the job."""
    program(srun / "sbatch", SBATCH)
    for name in ("HF_TOKEN", "SLURM_JOB_ID", "SBATCH_PARTITION", "SITE_NAME", "OTHER"):
        monkeypatch.setenv(name, "x")
    array = an_array(tmp_path, folder=tmp_path / "100% of it")
    array.folder.mkdir()

    assert submit.submit(array, Profile(pass_env=("SITE_NAME",)), WHO) == Taken("77")

    arguments = (home / "arguments").read_text().splitlines()
    seen = {line.split("=")[0] for line in (home / "environment").read_text().splitlines()}
    assert arguments[0] == f"--output={tmp_path}/100%% of it/logs/%a.log"
    assert arguments[1] == f"--chdir={array.code}"
    assert {"PATH", "HOME", "SITE_NAME"} <= seen
    assert not seen & {"HF_TOKEN", "SLURM_JOB_ID", "SBATCH_PARTITION", "OTHER"}
    left = [path.name for path in array.folder.iterdir()]
    assert not [name for name in left if name.startswith(".")]


def test_what_sbatch_refuses_is_told_in_its_words(tmp_path: Path, srun: Path, home: Path):
    """The message is Slurm's own, without the command's name; the environment is as before."""
    program(srun / "sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition: x' >&2\nexit 1\n")
    array = an_array(tmp_path)

    for ask in (partial(submit.submit, who=WHO), submit.test_only):
        with pytest.raises(SubmitError, match="invalid partition: x"):
            ask(array, Profile())


@pytest.mark.parametrize(
    "sbatch",
    [
        "echo 'sbatch: error: Batch job submission failed: Socket timed out' >&2; exit 1",
        "echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1",
        "echo 'JobIdentity batch'",  # torn
        "exit 0",
        "kill -9 $$",
    ],
)
@pytest.mark.parametrize("taken", [True, False])
def test_an_answer_that_is_lost_is_no_refusal(
    tmp_path: Path, srun: Path, home: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str,
    taken: bool,
):  # fmt: skip
    """Slurm is asked for the job; where it does not know it yet, nobody knows."""
    monkeypatch.setattr(submit, "LOOKS_S", (0, 0))
    program(srun / "sbatch", f"#!/bin/sh\n{sbatch}\n")
    row = f"78|0|PENDING||2033-01-01T00:00:00|name.{WHO.token}|a plug-in's|None"
    program(srun / "squeue", f"#!/bin/sh\n{f'echo {row!r}' if taken else 'exit 0'}\n")
    array = an_array(tmp_path)

    if taken:
        assert submit.submit(array, Profile(), WHO).job == "78"
    else:
        with pytest.raises(Unanswered):
            submit.submit(array, Profile(), WHO)


def test_test_only_reads_the_script_from_its_input(tmp_path: Path, srun: Path, home: Path):
    """Slurm is asked about the very script, and its answer is returned."""
    program(
        srun / "sbatch",
        '#!/bin/bash\ncat > "$HOME/script"\necho "sbatch: Job 9 to start at noon" >&2\n',
    )
    array = an_array(tmp_path)

    assert submit.test_only(array, Profile()) == "Job 9 to start at noon"
    assert (home / "script").read_text() == submit.script(array, Profile())


def test_another_way_to_ask_for_memory_stands_alone(tmp_path: Path, srun: Path):
    """With mem-per-cpu there is no --mem."""
    profile = Profile(options={"mem-per-cpu": "4G"})
    assert "--mem=" not in submit.script(an_array(tmp_path, profile.of_stage("generate")), profile)


def test_all_the_memory_of_a_node_can_be_asked_for(tmp_path: Path):
    """Zero has that meaning for Slurm, and is no want of memory."""
    profile = Profile(mem_gb=0)
    text = submit.script(an_array(tmp_path, profile.of_stage("generate")), profile)

    assert "#SBATCH --mem=0" in text.splitlines()


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ({}, 0),
        ({"gpus": 2}, 2),
        ({"gres": "gpu:2"}, 2),
        ({"gres": "gpu:a100:4"}, 4),
        ({"gres": "gpu:a100"}, 1),
        ({"gres": "gpu:a100:2(S:0-1)"}, 2),
        ({"gres": "gpu:a100:2,tmp:10"}, 2),
        ({"gres": "lustre:7"}, 0),
        ({"options": {"gpus": "h200:8"}}, 8),
        ({"options": {"gpus-per-task": 3}}, 3),
        ({"options": {"gpus-per-task": "a100:3"}}, 3),
    ],
)
def test_gpus_are_counted_however_they_are_asked_for(asked: dict[str, Any], n: int):
    """GPU-hours are what a user pays for."""
    assert Resources(**asked).n_gpus == n


@pytest.mark.parametrize(
    ("n_tasks", "stagger_s", "sleeps"),
    [(10, None, False), (100, None, True), (10, 5, True), (100, 0, False)],
)
def test_many_array_tasks_do_not_begin_at_once(
    tmp_path: Path, n_tasks: int, stagger_s: int | None, sleeps: bool
):
    """Each first waits its share, by its number; one that Slurm runs again does not."""
    profile = Profile(stagger_s=stagger_s)
    text = submit.script(an_array(tmp_path, n_tasks=n_tasks), profile)
    [line] = [x for x in text.splitlines() if "sleep" in x] or [""]
    share = line.rpartition("sleep ")[2]

    assert bool(share) is sleeps
    if sleeps:
        script = f"SLURM_ARRAY_TASK_ID={n_tasks - 1}; echo {share}"
        waited = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert 3 <= int(waited.stdout) <= 5


def test_a_refused_secret_is_not_shown(tmp_path: Path):
    """The message names the variable, never its value."""
    assert "hf_abc" not in message(tmp_path, "[slurm.env]\nHF_TOKEN = 'hf_abc'")


def test_scripts_can_be_seen_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A laptop shows what a cluster would get."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert submit.script(an_array(tmp_path), Profile())
    with pytest.raises(SubmitError):
        submit.test_only(an_array(tmp_path), Profile())


@pytest.mark.parametrize("form", ["$MYENV/py", "{}/my env/py"])
def test_the_nodes_python_may_name_a_variable_or_hold_a_blank(
    tmp_path: Path, srun: Path, monkeypatch: pytest.MonkeyPatch, form: str
):
    """The check and the start read the path alike."""
    program(tmp_path / "my env" / "py")
    monkeypatch.setenv("MYENV", str(tmp_path / "my env"))
    profile = Profile(python=form.format(tmp_path))
    assert run_script(submit.script(an_array(tmp_path), profile)).returncode == 0


def test_a_tokenizer_is_no_secret():
    """Not every TOKEN is one."""
    assert Profile(env={"TOKENIZERS_PARALLELISM": "true"})


def test_gres_goes_over_a_profiles_gpus(tmp_path: Path):
    """The configuration may ask in the other way than its profile."""
    (tmp_path / "site.toml").write_text("[generate]\ngpus = 1\n")
    text = "[slurm]\nprofile = 'site.toml'\n[slurm.generate]\ngres = 'gpu:a100:1'"
    assert read(tmp_path, text).slurm.of_stage("generate").gpus is None


def test_common_gpus_are_not_for_the_report():
    """The report takes GPUs only where its own table says so."""
    assert not Profile(gpus=2).of_stage("report").gpus
    assert Profile(gpus=2).of_stage("score").gpus == 2
    assert not Profile(gres="gpu:1").of_stage("report").gres
    assert Profile(gpus=2, report=Resources(gpus=1)).of_stage("report").gpus == 1


def test_the_last_spelling_of_an_option_wins():
    """Underscores and dashes name the same option."""
    stage = Resources(options={"mem-per-cpu": "8G"})
    given = Profile(options={"mem_per_cpu": "4G"}, generate=stage).of_stage("generate")
    assert given.options == {"mem-per-cpu": "8G"}


def test_an_entry_of_setup_is_one_command(tmp_path: Path):
    """Several lines would be checked by their last command only."""
    assert "one command" in message(tmp_path, "[slurm]\nsetup = ['false\\ntrue', \"a\\nb\"]")
