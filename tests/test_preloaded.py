"""That the commands of tests are forks of a process that has imported the libraries."""

import subprocess
from pathlib import Path

import pytest
import torch  # noqa: F401  it sets variables of its own, as in most workers of the tests

from jobs.executors import local
from tests import preloaded
from tests.runs.command_line import environment

LOADED = ("-m", "timeit", "-n", "1", "-r", "1", "import sys; print('torch' in sys.modules)")


@pytest.mark.parametrize(
    "variables", [environment(), local.environment(local.Settings())], ids=["command", "worker"]
)
def test_a_command_need_not_import_torch(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """A user's command, and the workers that it starts, are forks of one that has."""
    monkeypatch.setattr(preloaded, "_worth_while", True)
    done = subprocess.run(
        [preloaded.python(), *LOADED], env=variables, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[0] == "True"


def test_code_is_run_as_the_interpreter_runs_it(monkeypatch: pytest.MonkeyPatch):
    """With its arguments, in a module ``__main__``, and by a fork that has torch."""
    monkeypatch.setattr(preloaded, "_worth_while", True)
    code = "import sys\ndef f(): return sys.argv\nprint(__name__, f(), 'torch' in sys.modules)\n1/0"
    done = subprocess.run(
        [preloaded.python(), "-c", code, "a"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "__main__ ['-c', 'a'] True\n"
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_path_of_the_users_own_hides_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """PYTHONPATH may name a folder that has nothing of the suite, which is installed."""
    monkeypatch.setattr(preloaded, "_worth_while", True)
    done = subprocess.run(
        [preloaded.python(), "-m", "jobs.launch", "--help"],
        env=environment({"PYTHONPATH": str(tmp_path)}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "sweep" in done.stdout
