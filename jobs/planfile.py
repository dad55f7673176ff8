"""Plans on disk: written once by the planner, read by everything else."""

from pathlib import Path

from pydantic import TypeAdapter

from empathy_core.errors import Incomplete
from empathy_core.store import RunDir, write_bytes
from jobs.plan import Plan

_PLAN = TypeAdapter(Plan)


def write_plan(plan: Plan, path: Path) -> None:
    """Write *plan*; it is never edited."""
    write_bytes(_PLAN.dump_json(plan, indent=1), path)


def read_plan(path: Path) -> Plan:
    """Return the plan that a sweep wrote."""
    return _PLAN.validate_json(path.read_bytes())


def last_plan(run: RunDir) -> tuple[Plan, Path]:
    """Return the newest plan of a run.

    Raises:
        Incomplete: The run was never planned.
    """
    plans = run.plans()
    if not plans:
        msg = f"{run.root} holds no plan: expected a run directory; start it with sweep"
        raise Incomplete(msg)
    return read_plan(plans[-1]), plans[-1]
