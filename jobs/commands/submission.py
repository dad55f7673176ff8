"""What the commands that submit to Slurm share: sweep, finetune, retry, and the pilot."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace

from empathy_core.counted import counted
from empathy_core.errors import EmpathyError, RunMismatch
from empathy_core.store import RunDir
from jobs.commands.console import print_out, warn, warn_all
from jobs.commands.options import ResourceOptions
from jobs.config.schema import Config
from jobs.executors.slurm import standby
from jobs.executors.slurm.asking import refuse_missing
from jobs.executors.slurm.in_queue import SETTLED_S, QueueState, read_queue_state
from jobs.executors.slurm.launching import ClusterError, Launch, Submitted, launch
from jobs.executors.slurm.refusals import refused
from jobs.executors.slurm.submissions import Ledger, Submission
from jobs.executors.slurm.submit import preview, submit_missing
from jobs.planning import space, sweep, versions
from jobs.planning.resolving import engines
from jobs.planning.shown_commands import command
from jobs.planning.sweep import BeforeWriting, Planned
from slurm import submit
from slurm.profile import Resources
from slurm.queue import SlurmError


def submit_sweep(
    config: Config,
    run: RunDir,
    command: str,
    options: ResourceOptions,
    before: BeforeWriting | None = None,
) -> Submitted | None:
    """Plan and submit a sweep; null means that everything is done and nothing is in the queue.

    Planning and submission share the lock, so that two sweeps at once submit each task once.
    """
    with run.lock():
        now = settled(run)  # before planning: a controller that is down costs nothing
        drafted = sweep.preview(config, run, command, now.awaited_ids())
        refuse_growth(run, drafted, now)
        to_submit = launch_of(config, run, drafted, options)
        refuse_missing(to_submit, drafted.to_come, now)
        if before is not None:
            before(drafted)
        planned = sweep.accept(drafted, run)
        warn_all(versions.advice(run, planned.plan))
        for text in planned.warnings:
            warn(text)
        warn_all(space.warnings(planned, run))
        with withdrawn_if_refused(run, planned):
            submitted = submit_missing(of_file(to_submit, planned), planned.progress, now)
    return submitted if submitted.tried or submitted.n_before else None


def refuse_growth(run: RunDir, drafted: Planned, now: QueueState) -> None:
    """Refuse to add rows to a run while array tasks of it are in the queue.

    Each was submitted for the rows that were there, and its job would score and report them alone.

    Raises:
        RunMismatch: Rows would be added.
    """
    added = drafted.resolved.rows.added
    if not added or not now.queued:
        return
    msg = (
        f"in the queue, for fewer rows: {counted(len(now.queued), 'array task')} of this run; "
        f"expected none while rows are added (evaluate.limit adds {added}): wait until they have "
        f"ended ({command(run, 'status', '--watch')}), or remove them ({command(run, 'cancel')}), "
        "then run the same command again"
    )
    raise RunMismatch(msg)


@contextmanager
def withdrawn_if_refused(run: RunDir, planned: Planned) -> Iterator[None]:
    """Remove the plan again if nothing could be submitted of it: a first plan binds to its rows.

    Call it under the run's lock.
    """
    try:
        yield
    except EmpathyError:
        submitted = {submission.plan for submission in Ledger(run).submissions()}
        if planned.path is not None and planned.path.name not in submitted:
            planned.path.unlink(missing_ok=True)
        raise


def refuse_growth_here(run: RunDir, drafted: Planned) -> None:
    """Do the same where the work is done on this machine, if Slurm can say what is in the queue.

    Raises:
        RunMismatch: Rows would be added while array tasks of the run are in the queue.
    """
    if drafted.resolved.rows.added and run.jobs.exists():
        with suppress(SlurmError):  # what is in the queue does not touch blocks that are new to it
            refuse_growth(run, drafted, read_queue_state(run))


def resources_given(options: ResourceOptions) -> Resources:
    """Return the resources given on the command line."""
    given = {"mem_gb": options.mem, "time_min": options.time, "exclude": options.exclude}
    return Resources.model_validate({k: v for k, v in given.items() if v is not None})


def launch_of(config: Config, run: RunDir, planned: Planned, options: ResourceOptions) -> Launch:
    """Return what is to be submitted for a plan, on disk or only previewed."""
    if names := submit.ignored():
        warn(f"{', '.join(names)} of your environment are not used: say it under [slurm]")
    engines.check_on_slurm(planned.plan, offline=config.slurm.offline)
    name = planned.path.name if planned.path else "NNNN.json"
    return launch(config, run, planned.plan, name, resources_given(options))


def of_file(to_submit: Launch, planned: Planned) -> Launch:
    """Return what was to be submitted for a plan that is on disk by now."""
    return replace(to_submit, plan_file=planned.path.name) if planned.path else to_submit


def reached(run: RunDir, *, to: str = "submit") -> QueueState:
    """Return what of a run is in the queue; *to*: what the command is about to do.

    Raises:
        ClusterError: No controller answers.
    """
    try:
        return read_queue_state(run)
    except SlurmError as error:
        done = "nothing was submitted" if to == "submit" else "nothing was cancelled"
        local = ", or use --executor local" if to == "submit" else ""
        msg = (
            f"Slurm does not answer ({error}): expected its controller up (scontrol ping); "
            f"{done}; run the same command again when it is{local}"
        )
        raise ClusterError(msg) from error


def settled(run: RunDir) -> QueueState:
    """Return what of a run is in the queue, once it is known of every array job whether it is.

    What may be in the queue is not submitted again: until sbatch's answer is known, or Slurm has
    had time enough, this waits.

    Raises:
        ClusterError: No controller answers, or it hides jobs from this user.
    """
    told = False
    while unknown := (now := reached(run)).unknown:
        left_s = max(submission.at for submission in unknown) + SETTLED_S - now.site.now()
        names = ", ".join(submission.name for submission in unknown)
        if left_s < 0 or any(submission.job for submission in unknown):
            msg = (
                f"Slurm does not say what has become of {names} (submitted by another user, whose "
                "jobs are hidden here?): nothing was submitted, since it may be in the queue. "
                "Expected that user to run this, or an administrator to show their jobs"
            )
            raise ClusterError(msg)
        if not told:
            warn(f"waiting at most {left_s:.0f} s, until it is known whether Slurm took {names}")
            told = True
        time.sleep(LOOK_S)
    return now


LOOK_S = 5
"""Between two looks for a job of which sbatch told nothing, in seconds."""


def show_submitted(submitted: Submitted, run: RunDir, *, as_json: bool) -> int:
    """Print what was submitted, and return the exit code."""
    if as_json:
        shown = [asdict(array) | {"elements": len(array.shards)} for array in submitted.arrays]
        for entry in shown:
            for ours in ("shards", "token", "uid", "clusters", "refused"):
                del entry[ours]
        avoided = [node.node for node in submitted.avoided]
        told = {"submitted": shown, "left": submitted.left, "avoided": avoided}
        print_out(json.dumps(told, indent=1))
    else:
        for array in submitted.arrays:
            tasks = sum(map(len, array.shards))
            held = f" for {counted(tasks, 'task')}" if tasks != len(array.shards) else ""
            size = counted(len(array.shards), "array task")
            print_out(
                f"submitted {array.job}: {array.stage} {array.key}, {size}{held}{_waits(array)}"
            )
        if submitted.n_before:
            were = "was" if submitted.n_before == 1 else "were"
            held = counted(submitted.n_before, "array task")
            print_out(f"{held} of this run {were} in the queue already")
        print_out(f"watch it: {command(run, 'status', '--watch')}\ntables will be in {run.report}")
    warn_all(dict.fromkeys(submitted.notes))
    warn_all(
        f"kept away from {node.node} (slurm.max_node_failures): {node.words}"
        for node in submitted.avoided
    )
    if submitted.unanswered:
        listed = "\n  ".join(submitted.unanswered)
        warn(
            f"sbatch did not say whether Slurm took these; they may be in the queue:\n  {listed}"
            f"\nThe next command looks for them; nothing is submitted twice."
        )
    if not submitted.left:
        return 2 if submitted.unanswered else 0
    listed = "\n  ".join(submitted.left)
    warn(
        f"not submitted:\n  {listed}\nWhat was submitted is recorded and runs. For the rest, run "
        f"this again when there is room:\n  {command(run, 'retry', '--all')}"
    )
    return 2


def _waits(array: Submission) -> str:
    """Return what an array waits for, as the end of a sentence."""
    if array.retry:
        return f", {standby.words(array)}, if {' and '.join(array.after_not_ok)} fail" + (
            "s" if len(array.after_not_ok) == 1 else ""
        )
    before = [*array.after_ok, *array.after]
    if array.after_one_ok:
        before.append(" or ".join(array.after_one_ok))
    return f", after {' '.join(before)}" if before else ""


def scripts(
    config: Config, run: RunDir, planned: Planned, options: ResourceOptions, *, ask: bool
) -> list[str]:
    """Return every script that a sweep would submit; where *ask* is true, with Slurm's answer."""
    what = launch_of(config, run, planned, options)
    try:
        now = read_queue_state(run) if run.slurm.is_dir() else QueueState(Ledger(run), (), ())
    except SlurmError:  # a laptop may show what a cluster would get
        now = QueueState(Ledger(run), (), ())
    texts = []
    for array in preview(what, planned.progress, now):
        texts.append(
            f"# {counted(array.n_tasks, 'array task')}\n{submit.script(array, what.profile)}"
        )
        if ask:
            try:
                texts.append(f"# Slurm: {submit.test_only(array, what.profile)}")
            except SlurmError as error:
                who = f"the jobs '{array.name.rstrip('.')}'"
                raise ClusterError(refused(who, array.resources, str(error))) from error
    return texts
