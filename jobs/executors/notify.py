"""What a run tells its owner at its end: to a command, or to an http(s) address.

It is told once the last job has ended by its own account, well or not. That nobody hears it
changes nothing: it is written into the log.
"""

import json
import logging
import os
import signal
import subprocess
import urllib.request
from collections.abc import Mapping
from typing import Any

from empathy_core.counted import counted
from empathy_core.store import RunDir
from jobs.planning.plan import Plan
from jobs.planning.progress import read_progress
from jobs.planning.status import condition_progress

log = logging.getLogger(__name__)

COMMAND_S, ADDRESS_S = 60, 15
"""How long a command may take, and how long an address may be silent, in seconds."""

STATES = {0: "complete", 3: "partial"}
"""Exit code of the report → what it means for the run; any other is ``failed``."""


def notify(run: RunDir, plan: Plan, code: int) -> None:
    """Tell that a run has ended, if its configuration says whom; never raises.

    Args:
        run: Which has ended.
        plan: Its configuration says ``slurm.notify``.
        code: Exit code of its report.
    """
    whom = dict(plan.config.get("slurm") or {}).get("notify")
    if not whom:
        return
    try:
        send(whom, message(run, plan, code))
    except Exception as error:
        log.warning("slurm.notify: nobody was told: %s", " ".join(str(error).split())[:1000])
    else:
        log.info("slurm.notify: told")


def message(run: RunDir, plan: Plan, code: int) -> dict[str, Any]:
    """Return what is sent.

    Args:
        run: Which has ended.
        plan: What it consists of.
        code: Exit code of its report.
    """
    lines = condition_progress(run, plan, read_progress(run, plan))
    state, done = STATES.get(code, "failed"), sum(line.done for line in lines)
    text = f"{run.root.name}: {state}, {done} of {counted(len(lines), 'condition')} ({run.root})"
    return {
        "run": run.root.name,
        "state": state,
        "conditions": len(lines),
        "conditions_done": done,
        "rows": sum(line.expected for line in lines),
        "rows_done": sum(line.rows for line in lines),
        "path": str(run.root),
        "report": str(run.report),
        "text": text,
    }


def send(whom: str, what: Mapping[str, Any]) -> None:
    """Give a message to a command, on its standard input, or post it to an address.

    Raises:
        RuntimeError: The command fails, or takes too long.
        OSError: The address does not answer, or refuses.
    """
    body = json.dumps(what).encode()
    if whom.startswith(("http://", "https://")):
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(whom, data=body, headers=kind, method="POST")  # noqa: S310  just checked
        with urllib.request.urlopen(request, timeout=ADDRESS_S):  # noqa: S310  just checked
            return
    _run(whom, body)


def _run(command: str, body: bytes) -> None:
    process = subprocess.Popen(
        ["bash", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(body, timeout=COMMAND_S)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)  # with all that it started
        process.wait()
        msg = f"the command took longer than {COMMAND_S} s"
        raise RuntimeError(msg) from error
    if process.returncode:
        words = said.decode(errors="replace").strip()
        msg = f"the command ended with {process.returncode}: {words[-500:]}"
        raise RuntimeError(msg)
