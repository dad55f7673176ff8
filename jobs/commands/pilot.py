"""``sweep --pilot``: see five answers of each condition before you spend the GPU-hours."""

import json
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict

from empathy_core.errors import Incomplete
from empathy_core.store import RunDir
from empathy_core.visible import nothing_visible
from jobs.commands.console import print_out, typed, warn
from jobs.commands.options import ResourceOptions
from jobs.commands.status import LOOKS_S, longer
from jobs.commands.submission import (
    launch_of,
    of_file,
    refuse_growth,
    refuse_growth_here,
    settled,
    withdrawn_if_refused,
)
from jobs.config.schema import Config
from jobs.executors.local import LocalExecutor, Settings
from jobs.executors.progress_bar import ProgressBar
from jobs.executors.slurm import packing
from jobs.executors.slurm.asking import refuse_groups
from jobs.executors.slurm.in_queue import read_queue_state
from jobs.executors.slurm.submit import submit_tasks
from jobs.planning.pilot import (
    MOST_EMPTY,
    Proposal,
    answers,
    empty_share,
    faster,
    pilot_tasks,
    proposals,
)
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import read_progress
from jobs.planning.shown_commands import command
from jobs.planning.stages import GENERATE
from jobs.planning.sweep import BeforeWriting, Planned, accept, preview
from slurm.queue import SlurmError

SHOWN = 5


def pilot(
    config: Config,
    run: RunDir,
    options: ResourceOptions,
    executor: str,
    before: BeforeWriting | None = None,
) -> int:
    """Run array block of each model, show answers, propose resources; return the exit code.

    Raises:
        Incomplete: A model's block did not come back.
    """
    with run.lock():
        now = settled(run) if executor == "slurm" else None
        drafted = preview(config, run, typed(), now.awaited_ids() if now else ())
        if now is None:
            refuse_growth_here(run, drafted)
        else:
            refuse_growth(run, drafted, now)
            to_submit = launch_of(config, run, drafted, options)
            refuse_groups(to_submit, packing.groups(_tasks(drafted)), now)
        if before is not None:
            before(drafted)
        planned = accept(drafted, run)
        for text in planned.warnings:
            warn(text)
        tasks = _tasks(planned)
        if now is not None and planned.path is not None:
            with withdrawn_if_refused(run, planned):
                submitted = submit_tasks(of_file(to_submit, planned), tasks, now)
            for left in submitted.left:
                warn(f"not submitted: {left}")
            for array in submitted.arrays:
                print_out(f"submitted {array.job}: {array.stage} {array.key}")
    if executor == "slurm":
        _wait(run)
    else:
        settings = Settings(config.local.workers, config.local.threads)
        _here(run, planned, tasks, settings, quiet=options.json)
    target_min = config.generation.target_min or 30
    return _show(run, planned.plan, tasks, target_min, as_json=options.json)


def _tasks(planned: Planned) -> list[Task]:
    done = planned.progress.done()
    return pilot_tasks(planned.plan, {condition: set(blocks) for condition, blocks in done.items()})


def _here(
    run: RunDir, planned: Planned, tasks: Sequence[Task], settings: Settings, *, quiet: bool
) -> None:
    if planned.path is None or not tasks:
        return
    with ProgressBar(quiet=quiet).stage("pilot", "models", len(tasks)) as advance:
        executor = LocalExecutor(run, planned.path, settings)
        outcomes = executor.execute(tasks, lambda _rows, tokens: advance(0, tokens))
        advance(len(tasks), 0)
    for outcome in outcomes:
        if not outcome.ok:
            warn(f"{outcome.task.id} failed: {outcome.message}\n  log: {outcome.log}")


def _wait(run: RunDir) -> None:
    """Wait until the pilot's array tasks have left the queue; Ctrl-C leaves them there.

    A controller that does not answer is asked again.
    """
    pause = LOOKS_S[0]
    while True:
        try:
            if not read_queue_state(run).of_stage(GENERATE.name):
                return
        except SlurmError as error:
            warn(
                f"Slurm does not answer ({error}): asking again in {pause} s; Ctrl-C loses nothing"
            )
        time.sleep(pause)
        pause = longer(pause)


def _show(run: RunDir, plan: Plan, tasks: Sequence[Task], target_min: int, *, as_json: bool) -> int:
    progress = read_progress(run, plan)
    middle = plan.blocks[plan.n_blocks // 2]
    models = {t.key for t in tasks}
    lost = [
        c.id
        for c in plan.conditions
        if c.model.name in models and middle not in progress.generated[c.id].blocks
    ]
    if lost:
        msg = (
            f"the pilot's block is missing of {', '.join(lost)}: expected an answer to each of its "
            "questions; see why in the log named above, or on Slurm with\n"
            f"  {command(run, 'explain', '--failed')}"
        )
        raise Incomplete(msg)
    made = set(plan.imported)
    shares = {}
    for condition in plan.conditions:
        if condition.id not in made:
            texts = answers(run, condition)
            shares[condition.id] = empty_share(texts)
            if not as_json:
                print_out(
                    _some(condition.id, texts.filter(texts["block"] == middle).head(SHOWN).rows())
                )
    needs = proposals(run, plan, target_min)
    quicker = faster(plan, needs)
    if as_json:
        told = {"proposals": [asdict(p) for p in needs], "faster": [asdict(f) for f in quicker]}
        print_out(json.dumps({"empty": shares, **told}, indent=1))
    else:
        print_out(_proposed(needs, config_gpus(plan)))
        for pair in quicker:
            print_out(
                f"# {pair.model} makes {pair.times:.1f} times as many tokens a second as "
                f"{pair.than}, with the same weights"
            )
    bad = [f"{c}: {share:.0%}" for c, share in shares.items() if share > MOST_EMPTY]
    if bad:
        warn(
            f"stopped: over {MOST_EMPTY:.0%} of the answers are empty: {'; '.join(bad)}. Expected "
            "text: look at the prompt (sweep --dry-run), chat_template and max_new_tokens first"
        )
        return 1
    return 0


def _some(condition: str, rows: Sequence[tuple[str, str, int]]) -> str:
    lines = [f"--- {condition}"]
    for context, text, _ in rows:
        lines.append("Q: " + textwrap.shorten(context, 160, placeholder=" …"))
        shown = textwrap.shorten(text, 400, placeholder=" …")
        lines.append("A: " + (f"(empty) {shown}".strip() if nothing_visible(text) else shown))
    return "\n".join([*lines, ""])


def config_gpus(plan: Plan) -> dict[str, int]:
    """Return model → GPUs of one of its array tasks, from the plan's configuration."""
    config = Config.model_validate_json(json.dumps(plan.config))
    return {
        name: config.slurm.of_stage(GENERATE.resources, table.slurm).gpus or 0
        for name, table in config.models.items()
    }


def _proposed(needs: Sequence[Proposal], gpus: dict[str, int]) -> str:
    lines = ["# what the complete sweep needs, from the pilot; put it into the configuration:"]
    for need in needs:
        hours = f"{need.hours:.2f} h" + (
            f", {need.hours * gpus[need.model]:.2f} GPU-h" if gpus.get(need.model) else ""
        )
        lines += [f"[models.{need.model}]", f"shards = {need.shards}"]
        memory = f", mem_gb = {need.mem_gb}" if need.mem_gb else ""
        lines.append(
            f"slurm = {{ time_min = {need.time_min}{memory} }}   # {hours} in all, "
            f"{need.tokens_per_s:.0f} tokens/s"
        )
    return "\n".join(lines)
