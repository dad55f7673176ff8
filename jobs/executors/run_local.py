"""A plan's stages on this machine, one after another."""

import shutil
from collections.abc import Collection
from dataclasses import replace

from empathy_core.store import RunDir
from jobs.executors.local import LocalExecutor, Outcome, Settings
from jobs.executors.progress_bar import ProgressBar
from jobs.planning import stages
from jobs.planning.plan import Plan
from jobs.planning.progress import RunProgress, read_progress
from jobs.planning.stages import Stage
from jobs.planning.sweep import Planned


def execute(
    planned: Planned,
    run: RunDir,
    settings: Settings,
    bar: ProgressBar,
    only: Collection[Stage] = (),
) -> list[Outcome]:
    """Do on this machine what the plan lacks, stage after stage; all but the report.

    Args:
        planned: The plan, and what is done of it.
        run: Where it is done.
        settings: How many processes.
        bar: Shows how far each stage is.
        only: Stages to do; none means all.

    Raises:
        KeyboardInterrupt: After the workers were stopped.
    """
    outcomes: list[Outcome] = []
    progress = planned.progress
    todo = [stage for stage in stages.TABLE if not stage.renewed and (not only or stage in only)]
    for stage in todo:
        ended = _do(stage, planned, run, progress, settings, bar)
        outcomes += ended
        if ended and stage is not todo[-1]:
            progress = read_progress(run, planned.plan)
        if stage.answers:
            _clear_journals(run, planned.plan, progress)
    return outcomes


def _do(
    stage: Stage,
    planned: Planned,
    run: RunDir,
    progress: RunProgress,
    settings: Settings,
    bar: ProgressBar,
) -> list[Outcome]:
    """Do the tasks of one stage that have something left to do and can begin."""
    plan = planned.plan
    if planned.path is None:
        return []
    if stage.make_room:
        progress = stage.make_room(run, plan, progress, stage.lacking(plan, progress))
    tasks = stage.lacking(plan, progress)
    able = {key for key in {t.key for t in tasks} if not stages.unmet(stage, key, plan, progress)}
    tasks = [task for task in tasks if task.key in able]
    if not tasks:
        return []
    alone = replace(settings, workers=1) if stage.whole_machine else settings
    executor = LocalExecutor(run, planned.path, alone, every_gpu=stage.whole_machine)
    n_units = stage.size(plan, progress, tasks) if stage.size else len(tasks)
    with bar.stage(stage.name, stage.unit, n_units) as on_progress:
        return executor.execute(tasks, on_progress)


def _clear_journals(run: RunDir, plan: Plan, progress: RunProgress) -> None:
    """Remove what killed attempts left in conditions whose every block now stands in a piece."""
    for condition in plan.conditions:
        if len(progress.generated[condition.id].blocks) == plan.n_blocks:
            shutil.rmtree(run.journals(condition.id), ignore_errors=True)
