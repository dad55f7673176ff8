"""The report stage: what the plan says about the tables, handed to ``reports``."""

from typing import Any

import polars as pl

from empathy_core import data, metrics
from empathy_core.data import audit_text
from empathy_core.errors import Incomplete
from empathy_core.metrics import MetricProtocol
from empathy_core.store import RunDir, read_json
from jobs.generate import Listener
from jobs.plan import Plan, Task
from jobs.score import load
from reports.spec import ReportSpec


class _AsPlanned:
    """A metric that bears the plan's signature: a report needs no encoder on this machine."""

    def __init__(self, metric: MetricProtocol, signature: str) -> None:
        self._metric, self._signature = metric, signature

    def signature(self) -> str:
        return self._signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metric, name)


def report(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:  # noqa: ARG001  as every stage
    """Write the tables from what is there, stamped as partial if something is missing.

    Raises:
        Incomplete: Rows are missing; the stamped report is written all the same.
    """
    from reports.write import write_report

    written = write_report(run, report_spec(run, plan), partial=True)
    if written.problems:
        listed = "\n  ".join(written.problems[:20])
        msg = (
            f"the report is stamped PARTIAL: expected every row, but\n  {listed}\n"
            "see why with: explain, resubmit what failed with: retry"
        )
        raise Incomplete(msg)


def report_spec(run: RunDir, plan: Plan) -> ReportSpec:
    """Return what the tables of *plan* are about."""
    found = read_json(run.audit)
    words = plan.words
    free = all(source["redistribute"] for source in found["sources"])
    shown = words.examples if free else 0
    audited = audit_text(found)
    if shown < words.examples:
        audited += (
            "\n\nNo texts are shown: the licence of a source does not let them be passed on.\n"
        )
    return ReportSpec(
        conditions=plan.conditions,
        metrics={
            m.key: _AsPlanned(metrics.load(m.name, m.options), m.signature) for m in plan.metrics
        },
        data_digest=plan.data_digest,
        title=words.title,
        caption=words.caption,
        label=words.label,
        assumed=words.assumed,
        published=words.published,
        provenance=plan.provenance,
        notes=words.notes,
        audit_text=audited,
        samples_shown=shown,
    )


def prepared_metrics(run: RunDir, plan: Plan) -> dict[str, MetricProtocol]:
    """Return key → metric with its encoder, as ``recheck`` needs them."""
    examples = data.load(run).filter(pl.col("block").is_not_null())
    return {m.key: load(m, examples) for m in plan.metrics}
