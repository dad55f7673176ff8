"""Run directories that an older version of the suite left: unpacked where a test wants them.

They were made by ``golden/old_runs/make.py`` with the code of d2ac38f.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests import preloaded
from tests.runs.command_line import ROOT

ARCHIVE = Path(__file__).with_name("golden") / "old_runs" / "old_runs.tar.xz"
MADE_IN = "/srv/study"
NAMES = ("imported", "half", "queued", "tuned", "planned")


def unpack(folder: Path) -> Path:
    """Unpack all runs, their inputs and configurations, as if they had been made in *folder*.

    Files of an adapter keep the paths that they were written with: their sizes are recorded.
    """
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    for path in [*folder.rglob("plans/*.json"), *folder.rglob("slurm/*/*.sh")]:
        text = path.read_text().replace(MADE_IN, str(folder)).replace("@PYTHON@", sys.executable)
        path.write_text(text)
    return folder


def raised(folder: Path, *names: str) -> Path:
    """Copy the suite into *folder*, every version of *names* raised by one, and return where."""
    packages = ("empathy_core", "jobs", "reports", "slurm")
    left_out = shutil.ignore_patterns("__pycache__", "sim")
    for package in packages:
        shutil.copytree(ROOT / package, folder / package, ignore=left_out)
    for name in names:
        pattern = re.compile(rf"^{name} = (\d+)$", re.MULTILINE)
        [path] = [p for p in folder.rglob("*.py") if pattern.search(p.read_text())]
        path.write_text(pattern.sub(_one_more, path.read_text()))
    return folder


def _one_more(match: re.Match[str]) -> str:
    return match[0].replace(match[1], str(int(match[1]) + 1))


def launch(*arguments: str, cwd: Path, suite: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command line of a copy of the suite, on this machine."""
    local = ("--executor", "local") if arguments[0] in ("sweep", "finetune") else ()
    return subprocess.run(
        [preloaded.python(), "-m", "jobs.launch", *arguments, *local],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(suite), "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
