"""Submission through submitit: the script is its, the array tasks are ours.

submitit's own ``map_array`` writes a pickle for each array task and decides from result pickles
whether it is done. Here work is done if its files say so; an array task is a number into one list,
so an array costs one script and one list whatever its size, and no pickle can be stale.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slurm.profile import Profile
from slurm.queue import SILENT, JobIdentity, SlurmError, SubmitError, Unanswered, list_jobs
from slurm.script import Array, command, parameters

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TERM",
    "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
    "MODULEPATH", "MODULESHOME", "LOADEDMODULES", "LMOD_CMD", "LMOD_DIR", "BASH_ENV",
    "CUDA_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "XDG_CACHE_HOME",
    "MODULES_CMD", "BASH_FUNC_module%%", "BASH_FUNC_ml%%", "BASH_FUNC__module_raw%%",
    "SLURM_CONF",
)  # fmt: skip
"""The launcher's variables that array tasks see. Slurm stores a job's environment, so no others
go: neither a token nor what belongs to an allocation that the launcher itself runs in."""


@contextmanager
def environment(passed_on: Mapping[str, str]) -> Iterator[None]:
    """Let the process have only *passed_on* for a while: submitit gives sbatch what it has."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(passed_on)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def passed_on(profile: Profile) -> dict[str, str]:
    """Return the variables that sbatch and the array tasks may see."""
    names = (*PASSED_ON, *profile.pass_env)
    return {name: os.environ[name] for name in names if name in os.environ}


@dataclass(frozen=True, slots=True)
class Taken:
    """sbatch's answer.

    Attributes:
        job: Job id.
        cluster: As sbatch names it; empty means the one that this machine belongs to.
    """

    job: str
    cluster: str = ""


def parse_answer(text: str) -> Taken | None:
    """Return what sbatch printed: the last line of that form, since a site's wrapper may greet."""
    answers = re.findall(r"^Submitted batch job (\d+)(?: on cluster (\S+))?", text, re.MULTILINE)
    return Taken(*answers[-1]) if answers else None


def ignored() -> list[str]:
    """Return the user's variables that sbatch would read, and that it never sees."""
    return sorted(n for n in os.environ if n.startswith("SBATCH_") or n == "SLURM_CLUSTERS")


def _executor(array: Array, profile: Profile) -> Any:
    """Return submitit's executor for one array."""
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedSubmissionError

    class ArrayExecutor(SlurmExecutor):  # type: ignore[misc]  # submitit is not typed
        """Takes paths from the command line: sbatch's parser of scripts knows no quoting.

        Attributes:
            taken: sbatch's answer.
        """

        taken: Taken

        def _make_submission_command(self, submission_file_path: Path) -> list[str]:
            # a percent sign begins a pattern in sbatch's paths
            log = str(array.folder / "logs").replace("%", "%%") + "/%a.log"
            return [
                "sbatch", f"--output={log}", f"--chdir={array.code}",
                str(submission_file_path),
            ]  # fmt: skip

        @staticmethod
        def _get_job_id_from_submission_command(string: bytes | str) -> str:
            text = string if isinstance(string, str) else string.decode(errors="replace")
            taken = parse_answer(text)
            if taken is None:
                raise FailedSubmissionError(text.strip() or "sbatch printed nothing")
            ArrayExecutor.taken = taken
            return taken.job

        @classmethod
        def affinity(cls) -> int:
            """Let scripts be seen on a machine without Slurm."""
            return 1

    executor = ArrayExecutor(array.folder, python=profile.python)
    executor.update_parameters(**parameters(array, profile, sys.executable))
    executor.parameters["map_count"] = array.n_tasks
    return executor


def script(array: Array, profile: Profile) -> str:
    """Return the batch script of *array*, as sbatch will get it."""
    executor = _executor(array, profile)
    text = executor._make_submission_file_text(command(array, profile, sys.executable), "")
    # output and error paths are given on the command line
    return "\n".join(line for line in text.splitlines() if not line.startswith("#SBATCH --output"))


def submit(array: Array, profile: Profile, who: JobIdentity, here: str = "") -> Taken:
    """Submit *array* and return its job id.

    An answer can be lost though the job was taken: where sbatch fails, Slurm is asked for *who*.

    Args:
        array: What is submitted.
        profile: The cluster's.
        who: What tells the job from all others, and on which clusters it may be.
        here: Name of the cluster that this machine belongs to.

    Side effect: the script is left in the array's folder.

    Raises:
        SubmitError: sbatch refuses; the message holds Slurm's words.
        Unanswered: It is not known whether Slurm has taken it, or will.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = _executor(array, profile)
    before = os.umask(array.umask)  # for the script, and for the logs, which Slurm opens
    try:
        with environment(passed_on(profile)):
            executor._submit_command(command(array, profile, sys.executable))
    except FileNotFoundError as error:
        raise SubmitError(str(error)) from error
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        said = str(error)
        return _after_failure(who, here, said, refused=_refuses(said))
    else:
        return executor.taken  # type: ignore[no-any-return]
    finally:
        os.umask(before)
        for link in array.folder.glob(".submission_file_*"):
            link.unlink()


def _refuses(said: str) -> bool:
    """Tell whether sbatch says that Slurm did not take the job, and not that nobody answered."""
    return "sbatch: error:" in said and not any(sign in said.lower() for sign in SILENT)


def _after_failure(who: JobIdentity, here: str, said: str, *, refused: bool) -> Taken:
    """Look for a job that sbatch told nothing of, for some seconds unless it was refused."""
    for pause in (0,) if refused else LOOKS_S:
        time.sleep(pause)
        with suppress(SlurmError):
            if taken := find(who, here):
                return taken
    if refused:
        raise SubmitError(_words(said))
    raise Unanswered(_words(said))


LOOKS_S = (0, 1, 2, 4, 8)
"""Pauses before each look for a job of which sbatch told nothing, in seconds."""


def find(who: JobIdentity, here: str = "") -> Taken | None:
    """Return the job of *who* if squeue of one of its clusters lists it.

    Args:
        who: What tells the job from all others.
        here: Name of the cluster that this machine belongs to, which is asked without a name:
            others can be named only where they share an accounting.

    Raises:
        Unreachable: No controller answers, of one of them.
    """
    uid = os.getuid() if who.uid is None else who.uid
    for cluster in (who.cluster,) if who.cluster else who.clusters or ("",):
        for row in list_jobs(uid, "" if cluster == here else cluster):
            if who.matches(row.job, row.submitted, row.name, row.comment):
                return Taken(row.job, cluster)
    return None


def test_only(array: Array, profile: Profile) -> str:
    """Ask Slurm whether it would take *array*, and return its answer; nothing is submitted.

    What it waits for is left out: those jobs may not be there yet.

    Raises:
        SubmitError: It would not.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--test-only", "--output=/dev/null"],
            input=script(
                replace(array, after=(), after_ok=(), after_one_ok=(), after_not_ok=()), profile
            ),
            env=passed_on(profile),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        msg = "sbatch is not on PATH: only a machine that submits to the cluster can ask it"
        raise SubmitError(msg) from error
    if done.returncode:
        raise SubmitError(_words(done.stderr))
    return _words(done.stderr)


def _words(text: str) -> str:
    """Return what sbatch said, without its name and without empty lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in lines]
    return "; ".join(dict.fromkeys(said)) or "sbatch gave no reason"
