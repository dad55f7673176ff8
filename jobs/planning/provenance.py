"""Where a plan comes from: commit, changes, versions. Recorded, never part of an identity."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jobs

ROOT = Path(__file__).resolve().parents[2]
"""Where the suite's packages are."""
PACKAGES = (
    "torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate", "datasets",
    "evaluate", "bert-score", "sentence-transformers", "sacrebleu", "rouge-score", "rapidfuzz",
    "polars", "numpy",
)  # fmt: skip


def provenance(command: str) -> dict[str, str]:
    """Return the command, commit, uncommitted changes, package versions and platform."""
    found = {
        "command": command,
        "commit": _git(ROOT, "rev-parse", "HEAD") or "not a git checkout",
        "uncommitted changes": uncommitted(ROOT) or "none",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return found | versions()


def uncommitted(root: Path) -> str:
    """Return what the suite in *root* has that its commit has not, as git shows it; else nothing.

    Changes of tracked files, and the whole of files in the suite's packages that git neither
    tracks nor ignores: a stage, a metric or a model's settings may be one of them.
    """
    listed = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *jobs.PACKAGES)
    new = [_git(root, "diff", "--no-index", "--", "/dev/null", n) for n in listed.split("\0") if n]
    return "\n".join(part for part in [_git(root, "diff", "HEAD"), *new] if part)


def versions() -> dict[str, str]:
    """Return the installed version of each package that could change a number."""
    return {f"version of {name}": _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints; nothing where it fails, or there is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    compares = "--no-index" in arguments  # it ends with 1 where it finds a difference
    return done.stdout.strip() if done.returncode in (0, int(compares)) else ""
