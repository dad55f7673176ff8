"""The commands that speak of Slurm: submit, retry, logs, explain, cancel, gc."""

import json
import shutil
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.store import RunDir
from jobs.commands.console import alike, existing, say, warn, warn_all
from jobs.config.tables import Config
from jobs.executors.slurm import inspect as inspection
from jobs.executors.slurm import submit as submitting
from jobs.executors.slurm.history import REMEDIES, Attempt, next_commands
from jobs.executors.slurm.in_queue import QueueState, read_queue_state
from jobs.executors.slurm.inspect import ArrayTask
from jobs.executors.slurm.progress import failed_array_tasks
from jobs.executors.slurm.submissions import Ledger
from jobs.executors.slurm.submit import ClusterError, Launch, Submitted
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command
from jobs.planning.stages import FINETUNE
from jobs.planning.sweep import Planned
from slurm import queue, submit
from slurm.profile import Resources
from slurm.queue import SlurmError

# ---------------------------------------------------------------------------- submit


def submit_sweep(config: Config, run: RunDir, command: str, options: Namespace) -> Submitted | None:
    """Plan and submit a sweep; null means that everything is done and nothing is in the queue.

    Planning and submission share the lock, so that two sweeps at once submit each task once.
    """
    from jobs.planning import sweep as planning
    from jobs.planning import versions

    with run.lock():
        now = reached(run)  # before planning: a controller that is down costs nothing
        planned = planning.plan_locked(config, run, command, now.awaited_ids())
        warn_all(versions.advice(run, planned.plan))
        for text in planned.warnings:
            warn(text)
        if planned.path is None:
            return None
        with withdrawn_if_refused(run, planned):
            what = launch_of(config, run, planned, options)
            found = submitting.submit_missing(what, planned.progress, now)
    return found if found.arrays or found.left or found.n_before else None


@contextmanager
def withdrawn_if_refused(run: RunDir, planned: Planned) -> Iterator[None]:
    """Remove the plan again if nothing could be submitted of it: a first plan binds to its rows.

    Call it under the run's lock.
    """
    try:
        yield
    except EmpathyError:
        submitted = {one.plan for one in Ledger(run).submissions()}
        if planned.path is not None and planned.path.name not in submitted:
            planned.path.unlink(missing_ok=True)
        raise


def overrides(options: Namespace) -> Resources:
    """Return the resources given on the command line."""
    given = {
        "mem_gb": getattr(options, "mem", None),
        "time_min": getattr(options, "time", None),
        "exclude": getattr(options, "exclude", None),
    }
    return Resources(**{k: v for k, v in given.items() if v is not None})


def launch_of(config: Config, run: RunDir, planned: Planned, options: Namespace) -> Launch:
    """Return what is to be submitted for a plan, on disk or only previewed."""
    name = planned.path.name if planned.path else "NNNN.json"
    return submitting.launch(config, run, planned.plan, name, overrides(options))


def reached(run: RunDir) -> QueueState:
    """Return what of a run is in the queue.

    Raises:
        ClusterError: No controller answers.
    """
    try:
        return read_queue_state(run)
    except SlurmError as error:
        msg = (
            f"Slurm does not answer ({error}): expected its controller up (scontrol ping); "
            "nothing was submitted; run the same command again when it is, or use --executor local"
        )
        raise ClusterError(msg) from error


def tell_submitted(found: Submitted, run: RunDir, options: Namespace) -> int:
    """Say what was submitted, and return the exit code."""
    if options.json:
        shown = [asdict(s) | {"elements": len(s.shards)} for s in found.arrays]
        for one in shown:
            del one["shards"]
        say(json.dumps({"submitted": shown, "left": found.left}, indent=1))
    else:
        for s in found.arrays:
            tasks = sum(map(len, s.shards))
            held = f" ({tasks} tasks)" if tasks != len(s.shards) else ""
            before = [*s.after_ok, *s.after]
            waits = f", after {' '.join(before)}" if before else ""
            say(f"submitted {s.job}: {s.stage} {s.key}, {len(s.shards)} array tasks{held}{waits}")
        if found.n_before:
            say(f"{found.n_before} array tasks of this run were in the queue already")
        say(f"watch it: {command(run, 'status', '--watch')}\ntables will be in {run.report}")
    if not found.left:
        return 0
    listed = "\n  ".join(found.left)
    warn(
        f"not submitted:\n  {listed}\nWhat was submitted is recorded and runs. For the rest, run "
        f"this again when there is room:\n  {command(run, 'retry', '--all')}"
    )
    return 2


def scripts(config: Config, run: RunDir, planned: Planned, options: Namespace) -> list[str]:
    """Return every script that a sweep would submit, and with ``--test-only`` Slurm's answer."""
    what = launch_of(config, run, planned, options)
    try:
        now = read_queue_state(run) if run.slurm.is_dir() else QueueState(Ledger(run), (), (), 0)
    except SlurmError:  # a laptop may show what a cluster would get
        now = QueueState(Ledger(run), (), (), 0)
    texts = []
    for array in submitting.preview(what, planned.progress, now):
        texts.append(f"# {array.n_tasks} array tasks\n{submit.script(array, what.profile)}")
        if options.test_only:
            try:
                texts.append(f"# Slurm: {submit.test_only(array, what.profile)}")
            except SlurmError as error:
                msg = f"Slurm would not take {array.name}: {error}; nothing was submitted"
                raise ClusterError(msg) from error
    return texts


# ---------------------------------------------------------------------------- retry


def retry(options: Namespace) -> int:
    """Submit again what was submitted and failed, with more of what it lacked.

    Raises:
        ConfigError: Nothing was submitted, or by a version that scores otherwise.
    """
    from jobs.planning import versions

    run = existing(options)
    with run.lock():
        now = reached(run)
        plan, path = last_plan(run)
        if outdated := versions.outdated_scores(plan):
            raise ConfigError("; ".join(outdated))  # or each score array task would fail
        config = Config.model_validate_json(json.dumps(plan.config))
        progress = read_progress(run, plan)
        for damaged, reason in progress.unusable():
            warn(f"set aside as {run.set_aside(damaged)}: {reason}")
            progress = read_progress(run, plan)
        what = submitting.launch(config, run, plan, path.name, overrides(options))
        if not now.submissions:
            msg = (
                "nothing of this run was ever submitted: expected a sweep first:\n"
                f"  {alike(options, 'sweep')}"
            )
            raise ConfigError(msg)
        before = [t for s in now.submissions for e in s.bundles for t in e]
        only = None if options.all else {task.id for task in before}
        if only and all(task.stage == FINETUNE.name for task in before):  # nothing follows
            lacking = submitting.missing(FINETUNE, plan, progress, now)
            found = submitting.submit_tasks(what, [t for t in lacking if t.id in only], now)
        else:
            found = submitting.submit_missing(what, progress, now, only)
    if not (found.arrays or found.left):
        if found.n_before:
            say(f"nothing to retry: {found.n_before} array tasks are in the queue")
        else:
            say("nothing to retry: everything is done")
        return 0
    return tell_submitted(found, run, options)


# ---------------------------------------------------------------------------- logs, explain


def logs(options: Namespace) -> int:
    """Print the logs of a task, a condition, a model, or of everything that failed."""
    run = existing(options)
    for array_task in _array_tasks(run, options)[0]:
        names = ", ".join(task.id for task in array_task.tasks)
        say(f"==> {names} ({array_task.id}) {array_task.log}")
        lines = inspection.read_log(array_task.log).splitlines()
        say("\n".join(lines[-options.lines :] if options.lines else lines) or "(no log)")
    return 0


def explain(options: Namespace) -> int:
    """Tell what happened to a task, or where a number comes from."""
    from jobs.commands import explain as reproduce

    run = existing(options)
    if reproduce.is_key(run, options.what):
        return reproduce.explain_key(options)
    found, known = _array_tasks(run, options)
    rows = inspection.read_accounting(found, known)
    shown = [(e, inspection.read_history(e, rows)) for e in found]
    if options.json:
        say(json.dumps([_as_json(run, e, h) for e, h in shown], indent=1))
        return 0
    for array_task, history in shown:
        say(_story(run, array_task, history))
    return 0


def _array_tasks(
    run: RunDir, options: Namespace
) -> tuple[Sequence[ArrayTask], inspection.Inspected]:
    """Return the array tasks that the command line names, and everything that is known."""
    plan, _ = last_plan(run)
    found = inspection.inspect(run)
    if not found.reached:
        warn(f"Slurm was not reached ({found.why}): this is told from the files alone")
    if options.failed:
        return failed_array_tasks(plan, read_progress(run, plan), found), found
    if options.what is None:
        msg = (
            "say which: a task, a condition, a model, an array task (12_3), or --failed; see\n"
            f"  {command(run, 'status')}"
        )
        raise ConfigError(msg)
    return _with_earlier(inspection.chosen(options.what, plan, found), found), found


def _with_earlier(array_tasks: Sequence[ArrayTask], found: inspection.Inspected) -> list[ArrayTask]:
    """Return the array tasks with those that did the same tasks before, oldest first."""
    listed: dict[str, ArrayTask] = {}
    for array_task in array_tasks:
        for task in array_task.tasks:
            for one in (*found.earlier.get(task.id, ()), array_task):
                listed[one.id] = one
    return list(listed.values())


def _as_json(run: RunDir, array_task: ArrayTask, history: Sequence[Attempt]) -> dict[str, Any]:
    return {
        "element": array_task.id,
        "tasks": [task.id for task in array_task.tasks],
        "state": array_task.state,
        "log": str(array_task.log),
        "attempts": [asdict(a) | {"remedy": REMEDIES.get(a.kind, "")} for a in history],
        "next": [command(run, *words) for words in _next(array_task, history)],
    }


def _story(run: RunDir, array_task: ArrayTask, history: Sequence[Attempt]) -> str:
    lines = [f"{', '.join(t.id for t in array_task.tasks)}: array task {array_task.id}"]
    for number, attempt in enumerate(history, 1):
        where = f" on {attempt.node}" if attempt.node else ""
        lines.append(f"  attempt {number}{where}{_times(attempt)}: {attempt.kind}")
        if attempt.message:
            lines.append(f"    {attempt.message.splitlines()[0]}")
    kind = history[-1].kind
    if kind not in ("done", "running", "queued"):
        tail = [s for s in inspection.read_log(array_task.log).splitlines() if s.strip()][-5:]
        lines += ["  last lines:", *(f"    {line[:200]}" for line in tail)]
    remedy = REMEDIES.get(kind, "")
    lines += [f"  what to do: {remedy}"] if remedy else []
    lines += [f"    {command(run, *words)}" for words in _next(array_task, history)]
    return "\n".join([*lines, f"  log: {array_task.log}"])


def _next(array_task: ArrayTask, history: Sequence[Attempt]) -> tuple[tuple[str, ...], ...]:
    task, last = array_task.tasks[0].id, history[-1]
    return next_commands(last.kind, task, array_task.submission.asked, last.node)


def _times(attempt: Attempt) -> str:
    if attempt.start is None:
        return ""
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(attempt.start))
    spent = f", {attempt.end - attempt.start} s" if attempt.end else ""
    return f", started {begun}{spent}"


# ---------------------------------------------------------------------------- cancel, gc


def cancel(options: Namespace) -> int:
    """Cancel a run's array tasks in the queue: all, or those of a task, condition or model."""
    run = existing(options)
    now = reached(run)
    if options.what:
        plan, _ = last_plan(run)
        wanted = inspection.chosen(options.what, plan, inspection.inspect(run))
        names = [e.id for e in wanted if e.state is not None]
    else:
        names = now.every_job()
    try:
        queue.cancel(names)
    except SlurmError as error:
        msg = f"Slurm: {error}; see what is in the queue with\n  {command(run, 'status')}"
        raise ClusterError(msg) from error
    say(f"cancelled {' '.join(names)}" if names else "nothing of this run is in the queue")
    return 0


def gc(options: Namespace) -> int:
    """Remove what finished work left: logs and scripts, old code, what was set aside."""
    run = existing(options)
    now = reached(run)
    plan, _ = last_plan(run)
    found = inspection.inspect(run)
    failed = {e.submission.name for e in failed_array_tasks(plan, read_progress(run, plan), found)}
    queued = {f.submission.name for f in now.queued}
    gone = [s for s in now.submissions if s.name not in queued | failed]
    n_files = sum(_remove(run.submission(s.name)) for s in gone)
    if not queued:
        n_files += sum(_remove(path) for path in (run.slurm / "code").glob("*"))
    n_files += _remove(run.root / "set-aside")
    say(f"removed {n_files} files of {len(gone)} submissions; kept {len(queued | failed)}")
    return 0


def _remove(folder: Path) -> int:
    n_files = sum(path.is_file() for path in folder.rglob("*"))
    shutil.rmtree(folder, ignore_errors=True)
    return n_files
