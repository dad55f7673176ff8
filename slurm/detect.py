"""Whether this machine can submit to Slurm."""

import shutil
import subprocess
from typing import Literal

from slurm.queue import own_environment

State = Literal["absent", "silent", "up"]


def state(timeout_s: float = 15) -> State:
    """Return how Slurm stands here; where there is an sbatch, Slurm itself is asked.

    ``absent``: no sbatch on PATH. ``silent``: no controller answers, perhaps since none is
    configured. ``up``: a controller answers.
    """
    if shutil.which("sbatch") is None:
        return "absent"
    try:
        done = subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, timeout=timeout_s, check=False,
            env=own_environment(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "silent"
    return "up" if done.returncode == 0 and "UP" in done.stdout else "silent"
