"""Where a plan comes from: commit, changes, versions. Recorded, never part of an identity."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate", "datasets",
    "evaluate", "bert-score", "sentence-transformers", "sacrebleu", "rouge-score", "rapidfuzz",
    "polars", "numpy",
)  # fmt: skip


def provenance(command: str) -> dict[str, str]:
    """Return the command, commit, uncommitted changes, package versions and platform."""
    found = {
        "command": command,
        "commit": _git("rev-parse", "HEAD") or "not a git checkout",
        "uncommitted changes": _git("diff", "HEAD") or "none",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return found | versions()


def versions() -> dict[str, str]:
    """Return the installed version of each package that could change a number."""
    return {f"version of {name}": _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str:
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
