"""What commands take: frozen dataclasses, of which the parser is made (see ``jobs.launch``).

A field is an option, ``--dry-run`` for ``dry_run``; its default is that of the command line, and
its annotation says the rest: ``bool`` is a switch, ``Literal`` a choice, ``tuple[str, ...]`` may be
given several times, ``tuple[str, str]`` takes two words.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


@dataclass(frozen=True, slots=True)
class Option:
    """How a field is given on the command line.

    Attributes:
        help: One sentence, without the default.
        metavar: What its value is called in help; null means the field's name, in capitals.
        flags: Null means one, made of the field's name.
    """

    help: str
    metavar: str | tuple[str, ...] | None = None
    flags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Argument:
    """A field that is given by its place, without a flag; see ``Option``."""

    help: str
    metavar: str


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every command takes."""

    config: Annotated[str, Option("a TOML file, or demo | finetune | paper")] = "demo"
    overrides: Annotated[
        tuple[str, ...],
        Option(
            "change one value of the configuration; may be given several times",
            "A.B=C",
            ("--set",),
        ),
    ] = ()
    runs: Annotated[Path, Option("folder of runs")] = Path("runs")
    name: Annotated[str | None, Option("name of the run; the configuration's if absent")] = None
    json: Annotated[bool, Option("print JSON")] = False

    @property
    def changes(self) -> tuple[str, ...]:
        """What the command line changes in the configuration: ``a.b=c`` each, the last one wins."""
        return self.overrides


@dataclass(frozen=True, kw_only=True)
class ProfileOptions(RunOptions):
    """Which cluster is meant."""

    profile: Annotated[
        str | None,
        Option(
            "cluster profile: a TOML file, or one that ships (see slurm/profiles)", "NAME_OR_PATH"
        ),
    ] = None

    @property
    def changes(self) -> tuple[str, ...]:
        """The profile goes first, so that ``--set`` is above it."""
        profile = (f"slurm.profile={json.dumps(self.profile)}",) if self.profile else ()
        return (*profile, *self.overrides)


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions(ProfileOptions):
    """Where work is done."""

    executor: Annotated[
        Literal["auto", "local", "slurm"],
        Option("auto: Slurm where there is an sbatch, else this machine"),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class AllowOptions(RunOptions):
    """Which preflight findings are allowed."""

    allow: Annotated[
        tuple[str, ...],
        Option(
            "train although the preflight reports this finding; a note of it stays in every table",
            "FINDING",
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class ResourceOptions(RunOptions):
    """What Slurm gives an array task, over the configuration's."""

    mem: Annotated[float | None, Option("memory of an array task", "GB")] = None
    time: Annotated[int | None, Option("time limit of an array task", "MIN")] = None
    exclude: Annotated[str | None, Option("keep array tasks away from these nodes", "NODES")] = None


@dataclass(frozen=True, kw_only=True)
class TaskOptions(RunOptions):
    """Which tasks of a run are meant."""

    what: Annotated[str | None, Argument("task, condition or model", "WHAT")] = None


@dataclass(frozen=True, kw_only=True)
class LogOptions(TaskOptions):
    """Which tasks of a run, and how much of their logs."""

    failed: Annotated[bool, Option("everything that failed")] = False
    lines: Annotated[int, Option("only the last N lines of each log; 0: all", "N")] = 0
