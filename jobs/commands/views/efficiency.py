"""What ``status --efficiency`` shows: use against what was asked for, and what would fit."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from empathy_core.store import RunDir
from jobs.commands.views.array_tasks import warn_if_not_reached
from jobs.commands.views.selection import select
from jobs.executors.slurm.efficiency import ROOM, SHORT, Efficiency, proposals, read_efficiency
from jobs.executors.slurm.inspect import inspect
from jobs.planning.plan_file import last_plan

NOTHING = "no array task of this run has begun on Slurm yet"


def screen(run: RunDir, models: Sequence[str], stages: Sequence[str], *, as_json: bool) -> str:
    """Return what is shown of a run's efficiency.

    Args:
        run: Whose it is.
        models: Names of those that are shown; none means all.
        stages: Likewise.
        as_json: Instead of text.

    Raises:
        UnknownName: The run has no such model, or there is no such stage.
    """
    plan, _ = last_plan(run)
    only = select(plan, models, stages)
    inspected = inspect(run)
    warn_if_not_reached(inspected)
    every = read_efficiency(run, plan, inspected)
    lines = [line for line in every if only.has(line.stage, line.key)]
    if as_json:
        shown = {"efficiency": [asdict(line) for line in lines], "fits": proposals(lines)}
        return json.dumps(shown, indent=1)
    return "\n".join(text(lines)) if lines else NOTHING


def text(lines: Sequence[Efficiency]) -> list[str]:
    """PURE: return a table, and under it the tables of a configuration that would fit."""
    head = (
        f"{'used of what was asked for':<36} {'array tasks':>11} {'memory, GB':>13} "
        f"{'minutes':>13} {'CPU':>6} {'GPU':>6} {'GPU, GB':>8} {'GPU-h':>9} {'wasted':>9}"
    )
    rows = [head, *map(_row, lines)]
    for table, given in proposals(lines).items():
        rows += ["", f"[{table}]", *(f"{name} = {value:g}" for name, value in given.items())]
    rows[len(lines) + 1 : len(lines) + 1] = [
        "",
        f"this would do, with {ROOM - 1:.0%} to spare ({SHORT - 1:.0%} where it ran out):",
    ]
    return rows


def _row(line: Efficiency) -> str:
    memory = f"{_number(line.mem_gb_used)}/{_number(line.mem_gb_asked)}"
    minutes = f"{line.min_used:g}/{_number(line.min_asked)}"
    gpu_h = (f"{line.gpu_h_used:.4g}", f"{line.gpu_h_wasted:.4g}") if line.gpu_h_used else ("", "")
    return (
        f"{f'{line.stage} {line.key}':<36} {line.n:>11} {memory:>13} {minutes:>13} "
        f"{_percent(line.cpu_share):>6} {_percent(line.gpu_share):>6} "
        f"{_number(line.gpu_gb_used):>8} {gpu_h[0]:>9} {gpu_h[1]:>9}"
    )


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:g}"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.0%}"
