"""Commands and paths as messages show them: ready to be pasted into a shell."""

import shlex
from pathlib import Path

from empathy_core.store import RunDir

LAUNCH = ("python", "-m", "jobs.launch")


def command(run: RunDir, *words: str, name: str | None = None) -> str:
    """Return a command about a run, ready to be pasted into a shell.

    It works in this folder; where the run is not in its ``runs``, anywhere.

    Args:
        run: The run.
        words: The command and its own options.
        name: Of another run beside this one, that is meant instead.
    """
    where = [] if _in_default_place(run) else ["--runs", str(run.root.parent)]
    return shlex.join([*LAUNCH, *words, *where, "--name", name or run.root.name])


def _in_default_place(run: RunDir) -> bool:
    return run.root.parent == Path("runs").absolute()


def shown_path(run: RunDir, path: Path) -> str:
    """Return the path of a file of a run as it stands in ``command``: short where that is."""
    return str(path.relative_to(Path.cwd()) if _in_default_place(run) else path)
