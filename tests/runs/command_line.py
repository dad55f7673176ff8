"""Small runs for the tests: a configuration of echoes, and the command line in a process."""

import hashlib
import os
import subprocess
from pathlib import Path

from tests import preloaded

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"

ECHO = """
name = "echo"
[data.sources.sample]
[evaluate]
split = "all"
block_size = 4
[generation]
shards = 3
[decoding.greedy]
max_new_tokens = 64
[models.therapist]
[models.echo]
prompts = ["none", "prompt1", "prompt2"]
[metrics.bleu]
[metrics.rouge]
[metrics.length]
[metrics.diagnostics]
[scoring]
shards = 2
[local]
workers = 2
threads = 1
"""


def launch(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, in *cwd*, and return how it ended.

    What computes does so on this machine, unless a cluster is named: Slurm may be installed here
    without one.
    """
    computes = arguments[0] in ("sweep", "finetune") and "--executor" not in arguments
    if computes and "SLURM_CONF" not in (env or {}):
        arguments = (*arguments, "--executor", "local")
    return subprocess.run(
        [preloaded.python(), "-m", "jobs.launch", *arguments],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return an environment without Slurm, in which the packages are importable."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"} | (extra or {})


def write_config(folder: Path, text: str = ECHO, name: str = "echo.toml") -> Path:
    """Write a configuration and return its path."""
    path = folder / name
    path.write_text(text)
    return path


def write_questions(folder: Path, n: int) -> None:
    """Write ``made.csv``: *n* questions with an answer each."""
    rows = [f"Question number {i}: what can I do?,Answer {i}: breathe." for i in range(n)]
    (folder / "made.csv").write_text("\n".join(["question,answer", *rows]) + "\n")


def contents(run: Path) -> dict[str, str]:
    """Return path → digest of every file that must be reproducible to the byte.

    Timings, logs, plans, locks and the page (which tells the command and the commit) are left
    out.
    """
    left_out = ("plans/", "logs/", "locks/", "set-aside/", "report/index.html", ".lock")
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and not name.startswith(left_out) and not name.endswith(".timing.json"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
