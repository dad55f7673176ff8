"""What commands share: printing, and the run and executor that a command line means."""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from empathy_core.counted import counted
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.commands.options import RunOptions
from jobs.config import texts
from jobs.config.run_names import run_folder
from jobs.executors.faults import pattern
from jobs.planning.shown_commands import LAUNCH, command

if TYPE_CHECKING:  # heavy: see jobs.commands
    from jobs.executors.local import Outcome


def print_out(text: str = "") -> None:
    """Print to the terminal."""
    print(text, flush=True)  # noqa: T201  the one place that prints


def warn(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  errors go to standard error


def warn_all(texts: Iterable[str]) -> None:
    """Print each to standard error."""
    for text in texts:
        warn(text)


def alike(options: RunOptions, *words: str) -> str:
    """Return another command about the run that the command line names, ready to be pasted."""
    given = ["--config", options.config]
    for change in options.changes:
        given += ["--set", change]
    given += [] if options.runs == Path("runs") else ["--runs", str(options.runs)]
    given += ["--name", options.name] if options.name else []
    return shlex.join([*LAUNCH, *words, *given])


def run_dir(options: RunOptions, name: str) -> RunDir:
    """Return the run of that name, unless the command line names another.

    Raises:
        ConfigError: No run can be called so.
    """
    chosen = name if options.name is None else options.name
    return RunDir(run_folder(options.runs, chosen).absolute())


def existing(options: RunOptions) -> RunDir:
    """Return a run that is there: named, or the configuration's.

    Raises:
        ConfigError: There is none; the message lists those there are.
    """
    name = options.name or _configured(options)
    run = run_dir(options, name)
    try:
        found = run.root.is_dir()
        there = [] if found else sorted(p.name for p in options.runs.glob("*") if p.is_dir())
    except OSError as error:
        msg = f"cannot read {run.root}: {error.strerror}; expected a run; give its folder: --runs"
        raise ConfigError(msg) from error
    if not found:
        listed = ", ".join(there) or "none"
        which = f"; say which is meant: --name {there[0]}" if there else ""
        msg = (
            f"no run '{name}' in {options.runs}; runs there: {listed}{which}; or start one with:\n"
            f"  {alike(options, 'sweep')}"
        )
        raise ConfigError(msg)
    return run


def _configured(options: RunOptions) -> str:
    """Return the name of the configuration's run.

    Of a run that is there the configuration itself is not read: it may be changed by now, and to
    check all of it takes longer than many a command.

    Raises:
        ConfigError: What ``--set`` changes does not suit it: perhaps another run is meant.
    """
    if not options.changes:
        name = texts.name_of(options.config)
        with suppress(OSError):  # whoever opens it says so
            if name and run_folder(options.runs, name).is_dir():
                return name
    from jobs.config import read as configuration

    try:
        return configuration.read(options.config, options.changes).name
    except ConfigError as error:
        if options.changes and (others := _runs(options.runs)):
            msg = f"{error}\nWithout --name this is about the configuration '{options.config}'; "
            raise ConfigError(f"{msg}for a run that is there, add {_named(others)}") from error
        raise


def hint_at_others(options: RunOptions, run: RunDir) -> None:
    """Say whose report ``--set`` changes, where nothing names the run and others are there."""
    chosen = options.name or options.config != RunOptions.config
    others = [name for name in _runs(options.runs) if name != run.root.name]
    if options.changes and not chosen and others:
        warn(f"this is about the run '{run.root.name}'; for another one, add {_named(others)}")


def _runs(runs: Path) -> list[str]:
    """Return the names of the runs in a folder."""
    return sorted(path.parent.name for path in runs.glob("*/plans"))


def _named(runs: Sequence[str]) -> str:
    return " or ".join(f"--name {shlex.quote(name)}" for name in runs[:3])


def relative(path: Path) -> Path:
    """Return *path* as it is called from this folder, if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def typed() -> str:
    """Return the command line as typed, for the provenance."""
    return shlex.join([*LAUNCH, *sys.argv[1:]])


def executor_of(choice: str, *, quiet: bool) -> str:
    """Return ``local`` or ``slurm``.

    Raises:
        ConfigError: Slurm is asked for, or configured, and cannot be used.
    """
    if choice == "local":
        return "local"
    from slurm import detect

    state = detect.state()
    if state == "up":
        return "slurm"
    if state == "absent" and choice == "auto":
        if not quiet:
            print_out("no sbatch on PATH: running on this machine")
        return "local"
    if state == "absent":
        msg = "--executor slurm needs sbatch, and none is on PATH: use --executor local"
    else:
        msg = (
            "there is an sbatch here, but no controller of Slurm answers (scontrol ping): wait "
            "until it does, or add --executor local to run on this machine"
        )
    raise ConfigError(msg)


def use_cache_of_nodes(cache: str | None, *, filling: bool = False) -> None:
    """Let this process look for weights where array tasks will, if that folder is on this machine.

    Otherwise a sweep would be planned with weights of the user's own cache, and each of its array
    tasks would find none.

    Args:
        cache: ``slurm.cache``, the Hub's cache that the nodes share; null if there is none.
        filling: Whether it is about to be filled, and may not be there yet.
    """
    if cache and (filling or Path(cache).expanduser().is_dir()):
        os.environ["HF_HOME"] = cache


def show_failed(failed: Sequence["Outcome"], run: RunDir, *, as_json: bool) -> int:
    """Print which tasks failed and why, and return the exit code."""
    by_cause: dict[str, list[Outcome]] = {}
    for outcome in sorted(failed, key=lambda outcome: outcome.task.id):  # however they ended
        by_cause.setdefault(pattern(outcome.message), []).append(outcome)
    for alike_ones in by_cause.values():
        first, others = alike_ones[0], len(alike_ones) - 1
        more = f"\n  and {counted(others, 'other task')} failed alike" if others else ""
        warn(f"{first.task.id} failed: {first.message}\n  log: {first.log}{more}")
    warn(
        f"{counted(len(failed), 'task')} failed; everything else is done and kept. Correct the "
        "cause and run the same command again, or see what is there with\n"
        f"  {command(run, 'report', '--partial')}"
    )
    if as_json:
        print_out(json.dumps({"failed": [o.task.id for o in failed]}))
    return 2 if all(outcome.exit_code == 2 for outcome in failed) else 1
