"""Plain users of a simulated cluster, who share a folder: accounts that every system has."""

import grp
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runs.command_line import ECHO, ROOT, environment, write_config
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM

FIRST, SECOND = "games", "news"
GROUP = "users"
LIBRARIES = sysconfig.get_path("purelib")


def lacking() -> str:
    """Return why no plain user can run the suite here; empty if both can."""
    if os.getuid() != 0:
        return "only root can become two other users"
    try:
        grp.getgrnam(GROUP)
        for user in (FIRST, SECOND):
            pwd.getpwnam(user)
    except KeyError as error:
        return str(error)
    return "" if _python() else f"plain users cannot run {sys.executable} here, or not read {ROOT}"


def _python() -> str:
    """Return an interpreter that plain users can start: the tests' own, or the system's equal."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(
                [python, "-c", "import polars, jobs"],
                env={"PYTHONPATH": f"{ROOT}:{LIBRARIES}"},
                **identity(FIRST),
                cwd="/",
                check=True,
                capture_output=True,
            )
            return python
    return ""


def identity(user: str) -> dict[str, Any]:
    """Return what makes a process that of a user whose umask lets the group only read."""
    return {"user": user, "group": GROUP, "extra_groups": [], "umask": 0o022}


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yield a folder of the group: setgid, and all its members may write."""
    folder = Path(tempfile.mkdtemp(prefix="group-", dir="/tmp"))
    try:
        shutil.chown(folder, group=GROUP)
        folder.chmod(0o2770)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def open_cluster(**knobs: object) -> Iterator[Cluster]:
    """Yield a small cluster that all users may use."""
    with tempfile.TemporaryDirectory(prefix="open-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        started = Cluster.start(Path(name), cpu_nodes=2, gpu_nodes=0, acct=False, **knobs)
        try:
            yield started
        finally:
            started.stop()


@dataclass(frozen=True)
class User:
    """A user at a cluster's login node, in a folder."""

    name: str
    cluster: Cluster
    folder: Path

    def launch(
        self, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line on ``echo.toml``."""
        mine = {"HOME": str(self.folder), "PYTHONPATH": f"{ROOT}:{LIBRARIES}", "USER": self.name}
        return subprocess.run(
            [_python(), "-m", "jobs.launch", *arguments, "--config", "echo.toml"],
            cwd=self.folder,
            env=environment(self.cluster.env) | mine | (env or {}),
            **identity(self.name),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


def configure(folder: Path, text: str = ECHO + SLURM) -> None:
    """Write ``echo.toml``, whose array tasks find the libraries of the tests."""
    found = (
        f"[slurm]\npython = '{_python()}'\nsetup = ['export PYTHONPATH=$PYTHONPATH:{LIBRARIES}']"
    )
    write_config(folder, text.replace("[slurm]", found)).chmod(0o644)
