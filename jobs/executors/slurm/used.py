"""What the array tasks of a run used, and why some failed, kept for the page of its report."""

import logging
import time
from dataclasses import asdict

from empathy_core import store
from empathy_core.store import RunDir
from jobs.executors.faults import short
from jobs.executors.slurm.efficiency import read_efficiency
from jobs.executors.slurm.inspect import inspect
from jobs.executors.slurm.progress import read_failed
from jobs.planning.plan import Plan
from jobs.planning.progress import read_when_asked

log = logging.getLogger(__name__)


def record_used(run: RunDir, plan: Plan) -> None:
    """Write ``slurm/used.json``: when, a line each stage and model, and the causes of failures.

    The report job calls it. Where no controller or accounting answers on its node, it holds what
    the logs tell. It never raises: the report comes without it.
    """
    try:
        inspected = inspect(run)
        failed = read_failed(plan, read_when_asked(run, plan), inspected)
        found = {
            "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "used": [asdict(line) for line in read_efficiency(run, plan, inspected)],
            "failures": short(failed.failures()),
        }
        store.write_json(found, run.used)
    except Exception:  # whatever it is: the tables do not depend on it
        log.exception("what the array tasks used is not recorded")
