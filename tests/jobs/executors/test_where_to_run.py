"""Where a sweep runs: Slurm itself is asked whether it is there."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from jobs.commands.console import executor_of
from jobs.launch import parse
from slurm import detect
from tests.runs.command_line import ROOT, environment, launch, write_config

UNCONFIGURED = "echo 'fatal: Could not establish a configuration source' >&2; exit 1"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for programs that come first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, lines: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{lines}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("scontrol", "state"),
    [
        ("echo 'Slurmctld(primary) at head is UP'", "up"),
        ("echo 'Slurmctld(primary) at head is DOWN'", "silent"),
        ("echo 'Slurmctld(primary) at a is DOWN'; echo 'Slurmctld(backup) at b is UP'", "up"),
        (UNCONFIGURED, "silent"),
        ("sleep 60", "silent"),
    ],
)
def test_slurm_is_where_its_controller_answers(
    programs: Path, monkeypatch: pytest.MonkeyPatch, scontrol: str, state: str
):
    """No file is looked for: sites keep their configuration where they like, or serve it."""
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    program(programs, "sbatch", "exit 1")
    program(programs, "scontrol", scontrol)

    patience_s = 1 if scontrol.startswith("sleep") else 60
    assert detect.state(timeout_s=patience_s) == state


def test_without_sbatch_there_is_no_slurm(programs: Path, monkeypatch: pytest.MonkeyPatch):
    """Then this machine is the place."""
    monkeypatch.setenv("PATH", str(programs))

    assert detect.state() == "absent"
    assert executor_of("auto", quiet=True) == "local"


def test_a_login_node_whose_slurm_is_silent_computes_nothing(programs: Path, tmp_path: Path):
    """Sweep ends with 2 and names the option; with it, the sweep runs; a dry run needs neither."""
    program(programs, "sbatch", "exit 1")
    program(programs, "scontrol", UNCONFIGURED)
    write_config(tmp_path)
    env = {"PATH": f"{programs}:{environment()['PATH']}"}
    asked = ("sweep", "--config", "echo.toml", "--executor")
    refused = launch(*asked, "auto", cwd=tmp_path, env=env)
    shown = launch(*asked, "auto", "--dry-run", cwd=tmp_path, env=env)
    there = (tmp_path / "runs").exists()
    done = launch(*asked, "local", cwd=tmp_path, env=env)

    assert refused.returncode == 2
    assert "no controller of Slurm answers" in refused.stderr
    assert "--executor local" in refused.stderr
    assert shown.returncode == 0, shown.stderr
    assert not there
    assert done.returncode == 0, done.stderr


def test_make_demo_runs_on_this_machine():
    """Also where the tests have installed Slurm, and no cluster is up."""
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # of a `make test` that runs this test
    shown = subprocess.run(
        ["make", "-n", "demo"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in outer},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = shlex.split(shown.splitlines()[-1])

    _, options = parse(words[words.index("jobs.launch") + 1 :])
    assert options.executor == "local"
