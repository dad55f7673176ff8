"""What ``status`` shows of a run: from its files, and from Slurm where it answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from empathy_core.counted import counted
from empathy_core.metrics import is_judges, judge_group
from empathy_core.store import RunDir
from jobs.commands.views import failures
from jobs.commands.views.array_tasks import warn_if_not_reached
from jobs.commands.views.selection import Selection, select
from jobs.executors.faults import short
from jobs.executors.local_progress import failed_here, local_progress, tasks_of
from jobs.executors.slurm.inspect import AccountingLooks, ArrayTask, Inspected
from jobs.executors.slurm.progress import Failed, StageProgress, read_failed, stage_progress
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command
from jobs.planning.stages import FINETUNE, GENERATE
from jobs.planning.status import (
    ConditionProgress,
    FinetuneProgress,
    condition_progress,
    finetune_progress,
)
from slurm import reasons


def screen(
    run: RunDir,
    look: Callable[[], Inspected],
    models: Sequence[str] = (),
    stages_shown: Sequence[str] = (),
    *,
    as_json: bool,
    accounting: AccountingLooks | None = None,
) -> tuple[str, bool]:
    """Return what is shown, and whether it is known that nothing of it is left in the queue.

    Args:
        run: Which is shown.
        look: Returns what is known of its array tasks, once Slurm has answered.
        models: Names of those that are shown; none means all.
        stages_shown: Likewise.
        as_json: Instead of text.
        accounting: What Slurm's accounting told at earlier looks; null means nothing.

    Raises:
        UnknownName: The run has no such model, or there is no such stage.
    """
    plan, _ = last_plan(run)
    only = select(plan, models, stages_shown)
    progress = read_progress(run, plan)
    shown_ids = {c.id for c in plan.conditions if only.has_model(c.model.name)}
    lines = [n for n in condition_progress(run, plan, progress) if n.condition in shown_ids]
    made = [
        n for n in finetune_progress(run, plan, progress) if only.has(FINETUNE.name, n.finetune)
    ]
    inspected = look()
    failed = read_failed(plan, progress, inspected, accounting)
    failed = replace(failed, histories=[h for h in failed.histories if _is_of(h[0], only)])
    stages = [s for s in stage_progress(inspected, failed) if only.has(s.stage, s.key)]
    here = [
        s for s in local_progress(run, plan, inspected, failed.done) if only.has(s.stage, s.key)
    ]
    ids = {task.id for task in tasks_of(plan) if only.has(task.stage, task.key)}
    ended = failed_here(run, plan, progress, inspected, failed.done)
    tasks = [task for task in ended if task.id in ids]
    failed_on_this_machine = failures.of_local(tasks)
    warn_if_not_reached(inspected)
    busy = sum(s.running + s.queued + s.unknown for s in [*stages, *here])
    if as_json:
        everything = {
            "finetunes": [asdict(training) for training in made],
            "conditions": [asdict(line) | {"done": line.done} for line in lines],
            "stages": [asdict(s) for s in [*stages, *here]],
            "slurm": inspected.reached,
            "failures": failures.as_json(run, [*failed.failures(), *failed_on_this_machine]),
            "failing_nodes": [asdict(node) for node in failed.nodes],
        }
        return json.dumps(everything, indent=1), not busy
    text = [*map(_training, made), *([""] if made else []), _conditions(lines)]
    if stages:
        text += ["", *_on_slurm(run, lines, stages, failed, inspected)]
    if here:
        text += ["", _here(here), *short(failed_on_this_machine), *_next_here(run, here)]
    return "\n".join(text), not busy


def _on_slurm(
    run: RunDir,
    lines: Sequence[ConditionProgress],
    stages: Sequence[StageProgress],
    failed: Failed,
    inspected: Inspected,
) -> list[str]:
    told = [*short(failed.failures()), *failures.nodes_text(failed.nodes)]
    return [_stages(stages), *_times(lines, stages), *told, *_next(run, stages, inspected)]


def _is_of(array_task: ArrayTask, only: Selection) -> bool:
    return only.has(array_task.submission.stage, array_task.submission.key)


def _training(training: FinetuneProgress) -> str:
    if training.trained:
        return f"adapter {training.finetune}: trained"
    state = f"step {training.step} of {training.n_steps}" if training.step else "not started"
    state += f", loss {training.loss:.4f}" if training.loss is not None else ""
    state += f", {training.tokens_per_s:.0f} tokens/s" if training.tokens_per_s else ""
    state += f", about {training.eta_s / 60:.1f} min left" if training.eta_s else ""
    return f"adapter {training.finetune}: {state}"


def _by_judge(scored: Mapping[str, float]) -> dict[str, float]:
    """Return what is scored by metric; all that one judge is asked together, in the mean."""
    shares: dict[str, list[float]] = {}
    for name, share in scored.items():
        group = judge_group(name.split(":")[1]) if is_judges(name) else name
        shares.setdefault(group, []).append(share)
    return {name: sum(of) / len(of) for name, of in shares.items()}


def _conditions(lines: Sequence[ConditionProgress]) -> str:
    def row(line: ConditionProgress) -> str:
        scored = " ".join(f"{name} {share:.0%}" for name, share in _by_judge(line.scored).items())
        rate = f"{line.tokens_per_s:.0f} tokens/s" if line.tokens_per_s else ""
        aside = f"  {counted(line.unusable, 'file')} damaged" if line.unusable else ""
        return f"{line.condition:<48} {line.rows:>7}/{line.expected:<7} {rate:>14}  {scored}{aside}"

    n_done = sum(line.done for line in lines)
    head = f"{'condition':<48} {'rows':>15} {'speed':>14}  scored"
    be = "is" if len(lines) == 1 else "are"
    complete = f"{n_done} of {counted(len(lines), 'condition')} {be} complete"
    return "\n".join([head, *map(row, lines), complete])


def _stages(stages: Sequence[StageProgress]) -> str:
    head = f"{'on Slurm':<44} {'done':>7} {'running':>8} {'queued':>7} {'failed':>7}"
    rows = [f"{head}  GPU-h used/asked"]
    for s in stages:
        name, n_failed = f"{s.stage} {s.key}", sum(s.failed.values())
        hours = f"{s.gpu_h_used:g}/{s.gpu_h_asked:g}" if s.gpu_h_asked else ""
        rows.append(f"{name:<44} {s.done:>7} {s.running:>8} {s.queued:>7} {n_failed:>7}  {hours}")
        rows += [f"    {n} failed: {kind}" for kind, n in s.failed.items()]
        rows += [f"    {n} wait: {_reason(reason)}" for reason, n in s.waits.items()]
        rows += [f"    {s.standing_by} tried again if they fail"] if s.standing_by else []
        rows += [f"    {s.unknown} unknown: Slurm does not say"] if s.unknown else []
    return "\n".join(rows)


def _reason(words: str) -> str:
    """Return Slurm's reason, with what to do if something is."""
    why = reasons.advice(words)
    return words if why is None or why.waits else f"{words}: {why.text}"


def _here(stages: Sequence[StageProgress]) -> str:
    head = f"{'on this machine':<44} {'done':>7} {'running':>8} {'to do':>7} {'failed':>7}"
    rows = [head]
    for s in stages:
        name, n_failed = f"{s.stage} {s.key}", sum(s.failed.values())
        rows.append(f"{name:<44} {s.done:>7} {s.running:>8} {s.to_do:>7} {n_failed:>7}")
        rows += [f"    {n} failed: {kind}" for kind, n in s.failed.items()]
    return "\n".join(rows)


def _times(lines: Sequence[ConditionProgress], stages: Sequence[StageProgress]) -> list[str]:
    """Return how long generation will take at the measured speed, on as many array tasks as run."""
    running = sum(s.running for s in stages if s.stage == GENERATE.name)
    left_s = sum((n.expected - n.rows) * n.seconds_per_row for n in lines if n.seconds_per_row)
    if not running or not left_s:
        return []
    minutes = left_s / running / 60
    return [
        f"about {minutes:.1f} min of generation left on {counted(running, 'running array task')}"
    ]


def _next(run: RunDir, stages: Sequence[StageProgress], inspected: Inspected) -> list[str]:
    n_failed = sum(sum(s.failed.values()) for s in stages)
    if not (inspected.reached and n_failed):
        return []
    why, again = command(run, "explain", "--failed"), command(run, "retry")
    return [f"see why:            {why}", f"submit them again:  {again}"]


def _next_here(run: RunDir, stages: Sequence[StageProgress]) -> list[str]:
    if not any(s.failed for s in stages):
        return []
    return [
        f"see why:            {command(run, 'explain', '--failed')}",
        "then correct the cause, and run the same command as before again",
    ]
