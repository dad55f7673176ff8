"""A Slurm cluster of ``slurm/sim`` in the hands of a test."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.patience import until

SIM = Path(__file__).parents[2] / "slurm" / "sim"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "slurmdbd", "mariadbd", "mariadb")
_SBIN = "/usr/sbin:/sbin"


def missing() -> list[str]:
    """Return what a cluster needs and this machine lacks."""
    path = f"{os.environ.get('PATH', '')}:{_SBIN}"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


@dataclass(slots=True)
class Cluster:
    """A running cluster; `stop` it.

    Attributes:
        folder: Where it keeps everything; the commands of `run` run there.
        env: This process's environment without Slurm's variables, and with the cluster's.
    """

    folder: Path
    env: dict[str, str]
    _guard: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, **knobs: object) -> "Cluster":
        """Start a cluster in *folder*, or join the one that is up there.

        Args:
            folder: Made if it is not there.
            **knobs: Those of ``up.sh``, in lower case: ``acct=False`` means ``SIM_ACCT=0``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # ends the cluster as soon as its standard input closes: even if this process is killed
        guard = subprocess.Popen(
            ["bash", "-c", 'read -r _; exec "$0" "$1"', SIM / "down.sh", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_without_slurm(),
            start_new_session=True,
        )
        cluster = cls(folder, _without_slurm(), guard)
        try:
            settings = {f"SIM_{name.upper()}": _word(value) for name, value in knobs.items()}
            _output([str(SIM / "up.sh"), str(folder)], _without_slurm() | settings, folder)
            cluster.env = _sourced(folder / "env")
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Return what a command prints; it sees this cluster.

        Raises:
            CommandFailed: With what it wrote to standard error.
        """
        return _output([str(part) for part in command], self.env, cwd or self.folder)

    def submit(self, *options: str) -> str:
        """Return the job id of an ``sbatch``."""
        return self.run("sbatch", "--parsable", *options).strip().partition(";")[0]

    def node(self, operation: str, name: str) -> None:
        """Break or mend a node: start, stop, kill, crash, hang or resume."""
        self.run(SIM / "node.sh", self.folder, operation, name)

    def queue(self) -> dict[str, str]:
        """Return job id, or array task as ``12_3``, → state, of what waits and runs."""
        return self._listed()

    def states(self) -> dict[str, str]:
        """Return the same of what has ended as well."""
        return self._listed("-t", "all")

    def _listed(self, *options: str) -> dict[str, str]:
        lines = self.run("squeue", "-h", "-r", *options, "-o", "%i|%T").splitlines()
        return dict(line.split("|") for line in lines)

    def node_state(self, name: str) -> set[str]:
        """Return the words of a node's state; ``sinfo`` shows one of DOWN and DRAIN alone."""
        told = self.run("scontrol", "show", "node", name)
        return set(re.search(r"State=(\S+)", told)[1].replace("*", "").split("+"))  # type: ignore[index]

    def clear(self) -> None:
        """Cancel what a test that failed has left in the queue."""
        if left := self.queue():
            self.run("scancel", "--full", *{job.partition("_")[0] for job in left})

    def back_in_service(self) -> None:
        """Return nodes to service that Slurm itself drained while a test broke what it could."""
        drained = sorted(set(self.run("sinfo", "-h", "-N", "-t", "drain", "-o", "%N").split()))
        if drained:
            names = ",".join(drained)
            self.run("scontrol", "update", f"nodename={names}", "state=resume")

    def wait_for(
        self, predicate: Callable[[], object], timeout_s: float = 300, nap_s: float = 0.1
    ) -> None:
        """Return soon after *predicate* holds; it is looked at every *nap_s* seconds.

        Raises:
            TimeoutError: It does not within *timeout_s*.
        """
        if not until(predicate, timeout_s, nap_s=nap_s):
            msg = f"not within {timeout_s} s; squeue says {self.states()}"
            raise TimeoutError(msg)

    def stop(self) -> None:
        """End everything of the cluster; its logs stay in ``folder / "log"``."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait(timeout=120)


class CommandFailed(Exception):
    """A command on the cluster failed; the message is what it wrote to standard error."""


def without(env: dict[str, str], *names: str) -> dict[str, str]:
    """Return *env* with a PATH on which programs called *names* are not found, all others are."""
    folders = [folder for folder in env["PATH"].split(":") if folder]
    kept = [
        str(_links(folder, names))
        if any((Path(folder) / name).exists() for name in names)
        else folder
        for folder in folders
    ]
    return env | {"PATH": ":".join(kept)}


@functools.cache
def _links(folder: str, left_out: tuple[str, ...]) -> Path:
    """Return a folder of links to everything in *folder* but *left_out*."""
    links = Path(tempfile.mkdtemp(prefix="path-"))
    atexit.register(shutil.rmtree, links, ignore_errors=True)
    for program in Path(folder).iterdir():
        if program.name not in left_out:
            (links / program.name).symlink_to(program)
    return links


def _without_slurm() -> dict[str, str]:
    foreign = ("SLURM_", "SBATCH_", "SIM_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _sourced(script: Path) -> dict[str, str]:
    command = ["bash", "-c", '. "$0" && env -0', str(script)]
    pairs = _output(command, _without_slurm(), script.parent).rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def _word(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _output(command: list[str], env: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        msg = f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}"
        raise CommandFailed(msg)
    return done.stdout
