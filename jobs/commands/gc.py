"""``gc``: remove what finished work left behind."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from jobs.commands.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class GcOptions(RunOptions):
    """Remove what finished work left: logs and scripts of array jobs, old code, damaged files.

    Examples, answers, scores, reports and plans stay; so does what failed or is in the queue.
    Damaged files are those that were set aside.
    """


def gc(options: GcOptions) -> int:
    """Remove logs and scripts of finished array jobs, old code, and what was set aside.

    Raises:
        ClusterError: Slurm does not answer.
    """
    from empathy_core.counted import counted
    from jobs.commands.console import existing, print_out
    from jobs.commands.submission import reached
    from jobs.executors.slurm import inspect as inspection
    from jobs.executors.slurm.progress import failed_array_tasks
    from jobs.planning.plan_file import last_plan
    from jobs.planning.progress import read_progress

    run = existing(options)
    now = reached(run)
    plan, _ = last_plan(run)
    known = inspection.inspect(run)
    failed = {e.submission.name for e in failed_array_tasks(plan, read_progress(run, plan), known)}
    queued = {f.submission.name for f in now.queued}
    finished = [s for s in now.submissions if s.name not in queued | failed]
    n_files = sum(_remove(run.submission(s.name)) for s in finished)
    if not queued:
        n_files += sum(_remove(path) for path in (run.slurm / "code").glob("*"))
    n_files += _remove(run.root / "set-aside")
    print_out(
        f"removed {counted(n_files, 'file')} of {counted(len(finished), 'array job')}; "
        f"kept {len(queued | failed)}"
    )
    return 0


def _remove(folder: Path) -> int:
    n_files = sum(path.is_file() for path in folder.rglob("*"))
    shutil.rmtree(folder, ignore_errors=True)
    return n_files
