"""The score_chosen stage: as the score stage, of answers that were chosen by scores."""

from empathy_core.store import RunDir
from jobs.planning.plan import Plan, Task
from jobs.stages.protocol import Listener
from jobs.stages.score import score


def score_chosen(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Compute the statistics of every stale unit of one shard of what was chosen; see ``score``."""
    score(run, plan, task, listen)
