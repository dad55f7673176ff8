"""Which worker runs which module, so that no core is idle while tests wait for Slurm.

Tests on the simulated cluster wait most of their time, all others compute. So there are some more
workers than cores: the first few take the modules of Slurm, the others take the rest, and who finds
none left of its own kind takes one of the other. A module stays whole, since its tests share what
its fixtures make. What takes longest comes first, so that nobody is left alone with it at the end.
"""

import os

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

WAITING = 4
"""Workers of the tests of Slurm; each starts a small cluster."""
LONGEST = (
    "tests/slurm/test_sweep.py",
    "tests/slurm/test_finetune.py",
    "tests/slurm/test_survival.py",
    "tests/slurm/test_identity.py",
    "tests/slurm/test_limits.py",
    "tests/slurm/test_patience.py",
    "tests/slurm/test_users.py",
    "tests/slurm/test_calls.py",
    "tests/slurm/test_advice.py",
    "tests/slurm/test_refine.py",
    "tests/slurm/test_servers.py",
    "tests/slurm/test_retry.py",
    "tests/slurm/test_growing.py",
    "tests/slurm/test_compaction.py",
    "tests/slurm/test_engines.py",
    "tests/engines/test_vllm_runs.py",
    "tests/engines/test_judges.py",
    "tests/jobs/commands/test_launch.py",
    "tests/jobs/commands/test_refine.py",
    "tests/engines/test_engine_runs.py",
    "tests/jobs/stages/test_finetune.py",
    "tests/jobs/stages/test_finetune_on_pairs.py",
    "tests/reports/latex/test_tex.py",
    "tests/reports/tables/test_reports_finetuned.py",
    "tests/engines/test_vllm.py",
    "tests/jobs/planning/test_scoring_layout.py",
    "tests/test_end_to_end.py",
    "tests/empathy_core/training/test_training.py",
    "tests/empathy_core/metrics/test_metrics_encoders.py",
    "tests/empathy_core/training/test_preflight_model.py",
    "tests/reports/latex/test_tex_widths.py",
    "tests/reports/tables/test_reports.py",
    "tests/empathy_core/training/test_preference_tuning.py",
    "tests/empathy_core/annotation/test_packet_chromium.py",
    "tests/jobs/stages/test_generating_judge_run.py",
    "tests/jobs/stages/test_people_report.py",
    "tests/test_conversation_run.py",
    "tests/test_old_runs.py",
    "tests/test_kills.py",
    "tests/jobs/stages/test_judge_run.py",
    "tests/docs/test_examples.py",
    "tests/empathy_core/store/test_compact.py",
    "tests/empathy_core/backends/test_backends.py",
    "tests/empathy_core/stats/test_stats_null.py",
    "tests/empathy_core/backends/test_zoo.py",
    "tests/empathy_core/data/test_data_hub.py",
    "tests/reports/page/test_page.py",
    "tests/jobs/executors/test_compaction.py",
    "tests/reports/numbers/test_comparisons_agree.py",
    "tests/empathy_core/weights/test_weights.py",
    "tests/empathy_core/backends/test_zoo_adapters.py",
    "tests/reports/figures/test_plots.py",
)
"""Modules of a minute and more on two cores, longest first; of Slurm those that are longest."""


def n_workers() -> int:
    """Return how many workers this machine can take."""
    return WAITING + (os.cpu_count() or 1)


def waits(module: str) -> bool:
    """Tell whether the tests of a module wait for a cluster."""
    return module.startswith("tests/slurm/")


def place(module: str) -> int:
    """Return a module's place in the order; what is not named comes last."""
    return LONGEST.index(module) if module in LONGEST else len(LONGEST)


class Lanes(LoadFileScheduling):
    """Gives a worker the longest module of its kind that is left, or of the other kind."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        is_waiting = int(node.gateway.id.removeprefix("gw")) < WAITING
        mine = [module for module in self.workqueue if waits(module) is is_waiting]
        self.workqueue.move_to_end(min(mine or self.workqueue, key=place), last=False)
        super()._assign_work_unit(node)
