"""PURE: what one array job is, as a batch script's parts.

The script checks that the node sees the run, runs the profile's set-up, and *becomes* Python
(``exec``), so that signals reach Python and its exit code is the job's. What the shell has to
say before Python speaks, it says in the same form: a line ``event: {json}``.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slurm.profile import Profile, Resources

LIMITS = "EMPATHY_SUITE_LIMITS"
"""Variable that tells an array task its time limit and its warning, in seconds."""

PARALLEL = 256
"""Array tasks of one array that run at once where nobody says otherwise: a fair share."""

UNSEEN, SETUP = 66, 67
"""Exit codes of an array task whose node does not see the run, or whose set-up failed."""


@dataclass(frozen=True)
class Array:
    """One array job, to be submitted by one call of sbatch.

    Attributes:
        name: Shown by squeue.
        comment: Unique to this submission, so that its job is found again without its id.
        folder: Holds the script and the logs, one for each array task.
        witness: A file of the run that every node must see.
        code: Folder that the array tasks import the suite from.
        command: What Python is to run: module and arguments.
        after: Job ids that must have ended, however, before an array task starts.
        after_ok: Job ids that must have ended well.
        after_one_ok: Job ids one of which must have ended well.
        after_not_ok: Job ids each of which must have failed.
        requeue: Whether Slurm may run an array task again, if the profile allows it too.
        umask: Of the script, the logs, and all that the array tasks write.
        kill_if_impossible: Whether the array goes when a dependency cannot be met any more.
    """

    name: str
    comment: str
    folder: Path
    witness: Path
    code: Path
    command: Sequence[str]
    n_tasks: int
    resources: Resources
    after: Sequence[str] = ()
    after_ok: Sequence[str] = ()
    after_one_ok: Sequence[str] = ()
    after_not_ok: Sequence[str] = ()
    requeue: bool = True
    kill_if_impossible: bool = True
    mounts: Sequence[Path] = field(default_factory=tuple)
    umask: int = 0o077


def parameters(array: Array, profile: Profile, python: str) -> dict[str, Any]:
    """Return what submitit's ``update_parameters`` takes; *python* is the launcher's own."""
    given = array.resources
    named = {
        "job_name": array.name,
        "comment": array.comment,
        "partition": given.partition,
        "account": given.account,
        "qos": given.qos,
        "constraint": given.constraint,
        "gres": given.gres,
        "gpus_per_node": given.gpus or None,
        "time": given.time_min,
        "mem": None if _other_memory(given) else _memory(given),
        "cpus_per_task": given.cpus,
        "exclude": given.exclude,
        "nodelist": given.nodelist,
        "mail_user": given.mail_user,
        "mail_type": given.mail_type,
        "dependency": _dependency(array),
        "array_parallelism": given.parallel or PARALLEL,
        "setup": setup(array, profile, python),
        "stderr_to_stdout": True,
        "use_srun": False,
        "additional_parameters": _further(array, profile),
    }
    # submitit sends a wckey of its own unless told not to, and some sites check wckeys
    return {k: v for k, v in named.items() if v not in (None, "")} | {"wckey": None}


def _dependency(array: Array) -> str:
    """Return what must have ended before.

    Slurm takes conditions that must all hold, or of which one must, but not both kinds. So of
    several tries beside other conditions all must have ended, however: the task itself begins with
    nothing that it lacks.
    """
    kinds = {
        "afterok": [*array.after_ok],
        "afternotok": [*array.after_not_ok],
        "afterany": [*array.after],
    }
    tries = array.after_one_ok
    if len(tries) > 1 and not any(kinds.values()):
        return "?".join(f"afterok:{job}" for job in tries)
    kinds["afterok" if len(tries) == 1 else "afterany"] += tries
    return ",".join(f"{kind}:{':'.join(jobs)}" for kind, jobs in kinds.items() if jobs)


def _further(array: Array, profile: Profile) -> dict[str, Any]:
    given = array.resources
    further: dict[str, Any] = {
        "signal": f"B:USR2@{warning_s(profile, given)}",
        "requeue" if profile.requeue and array.requeue else "no-requeue": True,
        "open-mode": "append",
    }
    if _dependency(array) and array.kill_if_impossible:
        further["kill-on-invalid-dep"] = "yes"
    if given.reservation:
        further["reservation"] = given.reservation
    further |= given.options
    return {k: v for k, v in further.items() if v is not False}


def _memory(given: Resources) -> str:
    """Return what ``--mem`` takes; 0 means the whole node."""
    asked = 1 if given.mem_gb is None else given.mem_gb
    return f"{max(1, round(asked * 1024))}M" if asked else "0"


def _other_memory(given: Resources) -> bool:
    """Tell whether memory is asked for in another way; Slurm takes one."""
    return bool({"mem-per-cpu", "mem-per-gpu"} & set(given.options))


def warning_s(profile: Profile, given: Resources) -> int:
    """Return how long before the time limit an array task is warned, in seconds.

    A warning longer than the limit would come at Python's start.
    """
    return min(profile.signal_delay_s, 60 * (given.time_min or 60) // 3)


def setup(array: Array, profile: Profile, python: str) -> list[str]:
    """Return the shell lines before Python: checks, variables, the profile's own."""
    witness = shlex.quote(str(array.witness))
    cores = array.resources.cpus or 1
    limits = f"{60 * (array.resources.time_min or 60)} {warning_s(profile, array.resources)}"
    lines = [
        f"umask {array.umask:03o}",
        'say() { printf \'\\nevent: {"event": "%s", "node": "%s", "at": %s, "message": "%s"}\\n\' '
        '"$1" "$(hostname -s)" "$(date +%s)" "$2"; }',
        f"[ -r {witness} ] || {{ say unseen 'the run directory is not on this node'; "
        f"exit {UNSEEN}; }}",
        *(f"export {k}={v}" for k, v in variables(profile, cores).items()),
        f"export {LIMITS}='{limits}'",
        f"export PYTHONPATH={shlex.quote(str(array.code))}",
    ]
    if stagger_s := _stagger_s(array, profile):
        share = f"SLURM_ARRAY_TASK_ID * {stagger_s} / {array.n_tasks}"
        lines.append(f'[ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ] || sleep $(({share}))')
    for number, entry in enumerate(profile.setup, 1):
        lines += ["{", entry, f"}} || {{ say setup 'line {number} of setup'; exit {SETUP}; }}"]
    box = profile.container
    word = _python(profile, python)
    if box is not None:
        word = "apptainer" if box.runtime == "apptainer" else "srun"
    lines.append(
        f"command -v {word} >/dev/null || {{ say setup 'the program to start'; exit {SETUP}; }}"
    )
    return lines


def _stagger_s(array: Array, profile: Profile) -> int:
    return min(30, array.n_tasks // 20) if profile.stagger_s is None else profile.stagger_s


def variables(profile: Profile, cores: int) -> dict[str, str]:
    """Return name → shell word of the variables that array tasks see."""
    # spinning threads on shared cores make torch up to a hundred times slower
    fixed = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": str(cores),
        "MKL_NUM_THREADS": str(cores),
        "POLARS_MAX_THREADS": str(cores),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if profile.offline:
        fixed |= {"HF_HUB_OFFLINE": "1"}
    if profile.cache:
        fixed |= {"HF_HOME": profile.cache}
    words = {k: shlex.quote(v) for k, v in (fixed | profile.env).items()}
    if profile.scratch:  # may name a variable of the node
        words["TMPDIR"] = _with_variables(profile.scratch)
    return words


def _with_variables(path: str) -> str:
    """Return a path as a shell word in which the node's variables count."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _python(profile: Profile, python: str) -> str:
    return _with_variables(profile.python) if profile.python else shlex.quote(python)


def interpreter(array: Array, profile: Profile, python: str) -> str:
    """Return the shell words that start Python, inside the container if there is one."""
    python = _python(profile, python)
    box = profile.container
    if box is None:
        return python
    mounts = [*map(str, array.mounts), *box.mounts, *([profile.cache] if profile.cache else [])]
    if box.runtime == "apptainer":
        gpu = ["--nv"] if array.resources.gpus or "gpu" in (array.resources.gres or "") else []
        binds = [part for mount in mounts for part in ("--bind", mount)]
        words = ["apptainer", "exec", *gpu, *binds, *box.options, box.image]
    else:
        pairs = ",".join(m if ":" in m else f"{m}:{m}" for m in mounts)
        words = ["srun", f"--container-image={box.image}", f"--container-mounts={pairs}"]
        words += box.options
    return f"{shlex.join(words)} {python}"


def command(array: Array, profile: Profile, python: str) -> str:
    """Return the last line of the script: the shell becomes Python."""
    words = shlex.join(["-u", "-m", *array.command])
    return f"exec {interpreter(array, profile, python)} {words}"
