"""``status``: one screen about a run, from its files, and from Slurm where it answers."""

import json
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from empathy_core.store import RunDir
from jobs.commands.console import existing, say, warn
from jobs.executors.slurm.inspect import Inspected, inspect
from jobs.executors.slurm.progress import StageProgress, stage_progress
from jobs.planning.plan_file import last_plan
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command
from jobs.planning.stages import GENERATE
from jobs.planning.status import (
    ConditionProgress,
    FinetuneProgress,
    condition_progress,
    finetune_progress,
)

WATCH_S = 10
"""Between two looks of ``--watch``: one query of squeue each."""


def status(options: Namespace) -> int:
    """Show what is done, running, queued and failed."""
    run = existing(options)
    while True:
        text, over = _screen(run, options)
        if options.watch:
            say("\033[2J\033[H" + time.strftime("%H:%M:%S"))  # clear the screen
        say(text)
        if not options.watch or over:
            return 0
        time.sleep(WATCH_S)


def _screen(run: RunDir, options: Namespace) -> tuple[str, bool]:
    """Return the screen, and whether nothing is left in the queue."""
    plan, _ = last_plan(run)
    progress = read_progress(run, plan)
    lines = condition_progress(run, plan, progress)
    made = finetune_progress(run, plan, progress)
    found = inspect(run)
    stages = stage_progress(plan, progress, found)
    if found.submissions and not found.reached:
        warn(f"Slurm was not reached ({found.why}): this is told from the files alone")
    busy = sum(s.running + s.queued for s in stages)
    if options.json:
        shown = [asdict(line) | {"done": line.done} for line in lines]
        whole = {
            "finetunes": [asdict(one) for one in made],
            "conditions": shown,
            "stages": [asdict(s) for s in stages],
            "slurm": found.reached,
        }
        return json.dumps(whole, indent=1), not busy
    text = [*map(_training, made), *([""] if made else []), _conditions(lines)]
    if stages:
        text += ["", _stages(stages), *_times(lines, stages), *_next(run, stages, found)]
    return "\n".join(text), not busy


def _training(one: FinetuneProgress) -> str:
    if one.trained:
        return f"adapter {one.finetune}: trained"
    said = f"step {one.step} of {one.n_steps}" if one.step else "not begun"
    said += f", loss {one.loss:.4f}" if one.loss is not None else ""
    said += f", {one.tokens_per_s:.0f} tokens/s" if one.tokens_per_s else ""
    said += f", about {one.eta_s / 60:.1f} min left" if one.eta_s else ""
    return f"adapter {one.finetune}: {said}"


def _conditions(lines: Sequence[ConditionProgress]) -> str:
    def row(line: ConditionProgress) -> str:
        scored = " ".join(f"{name} {share:.0%}" for name, share in line.scored.items())
        rate = f"{line.tokens_per_s:.0f} tokens/s" if line.tokens_per_s else ""
        aside = f"  {line.unusable} files damaged" if line.unusable else ""
        return f"{line.condition:<48} {line.rows:>7}/{line.expected:<7} {rate:>14}  {scored}{aside}"

    n_done = sum(line.done for line in lines)
    head = f"{'condition':<48} {'rows':>15} {'speed':>14}  scored"
    return "\n".join([head, *map(row, lines), f"{n_done} of {len(lines)} conditions are complete"])


def _stages(stages: Sequence[StageProgress]) -> str:
    head = f"{'on Slurm':<44} {'done':>7} {'running':>8} {'queued':>7} {'failed':>7}"
    rows = [f"{head}  GPU-h used/asked"]
    for s in stages:
        name, n_failed = f"{s.stage} {s.key}", sum(s.failed.values())
        hours = f"{s.gpu_h_used:g}/{s.gpu_h_asked:g}" if s.gpu_h_asked else ""
        rows.append(f"{name:<44} {s.done:>7} {s.running:>8} {s.queued:>7} {n_failed:>7}  {hours}")
        rows += [f"    {n} failed: {kind}" for kind, n in s.failed.items()]
        rows += [f"    {n} wait: {reason}" for reason, n in s.waits.items()]
    return "\n".join(rows)


def _times(lines: Sequence[ConditionProgress], stages: Sequence[StageProgress]) -> list[str]:
    """Return how long generation will take at the measured speed, on as many array tasks as run."""
    running = sum(s.running for s in stages if s.stage == GENERATE.name)
    left_s = sum((n.expected - n.rows) * n.seconds_per_row for n in lines if n.seconds_per_row)
    if not running or not left_s:
        return []
    minutes = left_s / running / 60
    return [f"about {minutes:.1f} min of generation left on {running} running array tasks"]


def _next(run: RunDir, stages: Sequence[StageProgress], found: Inspected) -> list[str]:
    n_failed = sum(sum(s.failed.values()) for s in stages)
    if not (found.reached and n_failed):
        return []
    why, again = command(run, "explain", "--failed"), command(run, "retry")
    return [f"see why:            {why}", f"submit them again:  {again}"]
