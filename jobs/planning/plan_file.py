"""Plans on disk: written once by the planner, read by everything else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from empathy_core.errors import Incomplete
from empathy_core.store import RunDir, write_bytes
from jobs.planning.plan import Plan

_PLAN = TypeAdapter(Plan)


def write_plan(plan: Plan, path: Path) -> None:
    """Write *plan*; it is never edited."""
    write_bytes(_PLAN.dump_json(plan, indent=1, by_alias=True), path)


def read_plan(path: Path) -> Plan:
    """Return the plan that a sweep wrote, this version of the suite or an older one."""
    return _PLAN.validate_python(_with_versions(json.loads(path.read_bytes())))


UNRECORDED = {"generation_version": 2, "training_version": 1}
"""The versions of the code that wrote plans which do not say theirs."""


def _with_versions(raw: dict[str, Any]) -> dict[str, Any]:
    """Say of every condition and fine-tune which version it is of.

    Ids are made of it; without it, they would become those of today's code.
    """
    for where, key in _versioned(raw):
        where.setdefault(key, UNRECORDED[key])
    return raw


def _versioned(raw: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for condition in raw["conditions"]:
        yield condition, "generation_version"
    for made in raw.get("finetunes", ()):
        yield made["spec"], "training_version"


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
