"""Whether this machine can submit to Slurm."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

CONFIGURATIONS = (
    "/etc/slurm/slurm.conf",
    "/etc/slurm-llnl/slurm.conf",
    "/run/slurm/conf/slurm.conf",
)
"""Where packages, older packages and configless clusters keep it; ``SLURM_CONF`` comes first."""

State = Literal["absent", "unconfigured", "silent", "up"]


def state(configurations: Sequence[str] = CONFIGURATIONS, timeout_s: float = 15) -> State:
    """Return how Slurm stands here.

    ``absent``: no sbatch on PATH. ``unconfigured``: sbatch without a configuration. ``silent``:
    configured, but no controller answers. ``up``: a controller answers.
    """
    if shutil.which("sbatch") is None:
        return "absent"
    places = [os.environ["SLURM_CONF"]] if "SLURM_CONF" in os.environ else configurations
    if not any(Path(place).is_file() for place in places):
        return "unconfigured"
    try:
        done = subprocess.run(
            ["scontrol", "ping"], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "silent"
    return "up" if done.returncode == 0 and "UP" in done.stdout else "silent"
