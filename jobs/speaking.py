"""How commands speak: to the terminal, to standard error, and of runs that are there."""

import shlex
import sys
from argparse import Namespace
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs import config as configuration
from jobs.names import run_folder


def say(text: str = "") -> None:
    """Print to the terminal."""
    print(text, flush=True)  # noqa: T201  the commands' one way of speaking


def warn(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  errors go to standard error


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


def alike(options: Namespace, word: str) -> str:
    """Return another command about the run that the command line speaks of, to be pasted."""
    given = ["--config", options.config]
    for change in options.overrides:
        given += ["--set", change]
    given += [] if options.runs == Path("runs") else ["--runs", str(options.runs)]
    given += ["--name", options.name] if options.name else []
    return shlex.join([*LAUNCH, word, *given])


def run_dir(options: Namespace, name: str) -> RunDir:
    """Return the run of that name, unless the command line names another.

    Raises:
        ConfigError: No run can be called so.
    """
    chosen = name if options.name is None else options.name
    return RunDir(run_folder(options.runs, chosen).absolute())


def existing(options: Namespace) -> RunDir:
    """Return a run that is there: named, or the configuration's.

    Raises:
        ConfigError: There is none; the message lists those there are.
    """
    name = options.name or configuration.read(options.config, options.overrides).name
    run = run_dir(options, name)
    try:
        found = run.root.is_dir()
        there = [] if found else sorted(p.name for p in options.runs.glob("*") if p.is_dir())
    except OSError as error:
        msg = f"cannot read {run.root}: {error.strerror}; expected a run; give its folder: --runs"
        raise ConfigError(msg) from error
    if not found:
        listed = ", ".join(there) or "none"
        msg = (
            f"no run '{name}' in {options.runs}; runs there: {listed}; start one with:\n"
            f"  {alike(options, 'sweep')}"
        )
        raise ConfigError(msg)
    return run
