"""How commands speak: to the terminal, to standard error, and of runs that are there."""

import sys
from argparse import Namespace

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs import config as configuration


def say(text: str = "") -> None:
    """Print to the terminal."""
    print(text, flush=True)  # noqa: T201  the commands' one way of speaking


def warn(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  errors go to standard error


def run_dir(options: Namespace, name: str) -> RunDir:
    """Return the run of that name, unless the command line names another."""
    return RunDir((options.runs / (options.name or name)).absolute())


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
        msg = f"no run '{name}' in {options.runs}; runs there: {listed}; start one with sweep"
        raise ConfigError(msg)
    return run
