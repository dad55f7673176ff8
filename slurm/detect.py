"""Whether this machine can submit to Slurm."""

import shutil
from typing import Literal

from slurm.queue import SlurmError, ask

State = Literal["absent", "silent", "up"]


def state(timeout_s: float = 15) -> State:
    """Return how Slurm stands here; where there is an sbatch, Slurm itself is asked.

    ``absent``: no sbatch on PATH. ``silent``: no controller answers, perhaps since none is
    configured. ``up``: a controller answers.
    """
    if shutil.which("sbatch") is None:
        return "absent"
    try:
        said = ask(["scontrol", "ping"], timeout_s)
    except SlurmError:
        return "silent"
    return "up" if "UP" in said else "silent"
