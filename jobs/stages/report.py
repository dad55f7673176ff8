"""The report stage: what the plan says about the tables, handed to ``reports``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from empathy_core.counted import counted
from empathy_core.data import audit_text
from empathy_core.errors import Damaged, Incomplete
from empathy_core.metrics import MetricProtocol
from empathy_core.store import RunDir, read_json
from empathy_core.training.adapter import adapters
from empathy_core.training.adapter.held_out import held_out_text
from jobs.config import contrasts
from jobs.config.schema import ReportTable, values
from jobs.planning import report_settings as settings
from jobs.planning import versions
from jobs.planning.derived import derived
from jobs.planning.plan import Plan, PlannedFinetune, Task
from jobs.planning.plan_file import last_plan
from jobs.planning.planned_metrics import metrics_of, requirements
from jobs.planning.progress import adapters_of, read_trained
from jobs.planning.refining import looks
from jobs.planning.report_settings import Recorded
from jobs.planning.shown_commands import command, shown_path
from jobs.stages.protocol import Listener
from jobs.stages.score import evaluated_rows, load
from reports.labels import told_apart
from reports.rows.people import people_of
from reports.spec import (
    Analysis,
    ClusterUse,
    Commands,
    Comparison,
    CurvePoint,
    FlagsElsewhere,
    Layout,
    ReportSpec,
    ResourceUse,
)


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
            f"see why with\n  {command(run, 'explain', '--failed')}\nsubmit again what failed with"
            f"\n  {command(run, 'retry')}"
        )
        raise Incomplete(msg)


def report_spec(run: RunDir, plan: Plan, overrides: Sequence[str] = ()) -> ReportSpec:
    """Return what a report of *plan* is to be; *overrides* change its table ``[report]``.

    Raises:
        ConfigError: An override is no setting of that table.
    """
    return spec_of(run, plan, settings.to_write(plan, overrides))


def spec_of(run: RunDir, plan: Plan, recorded: Recorded) -> ReportSpec:
    """Return what a report of *plan* is under these settings."""
    found, table = read_json(run.audit), recorded.table
    withheld, shown = _licensed(found["sources"], table)
    notes, computed = plan.notes, metrics_of(plan)
    return ReportSpec(
        conditions=told_apart(plan.conditions),
        metrics={**computed, **people_of(run, computed)},
        data_digest=plan.data_digest,
        title=table.title,
        caption=table.caption,
        short_caption=table.short_caption,
        label=table.label,
        assumed=notes.assumed,
        published=table.published,
        provenance=plan.provenance,
        notes=(*notes.notes, *looks.notes_of_step(run)),
        older=versions.notes(run, plan),
        audit_text=audit_text(found),
        withheld=withheld,
        not_to_pass_on=shown,
        finetunes=tuple(c for f in plan.finetunes for c in _comparisons(run, f)),
        derived=derived(plan),
        adapters=adapters_of(plan, read_trained(run, plan)),
        layout=Layout(**values(Layout, table)),
        columns=table.columns,
        analysis=Analysis(
            table.correction,
            contrasts.resolve(table.contrasts, plan.conditions),
            table.subgroups,
            table.margins,
            table.most_empty,
        ),
        commands=_commands(run, plan, recorded),
        settings=recorded.record(),
        used=_used(run),
        requirements=requirements(plan),
        elsewhere=_elsewhere(plan),
        refinements=looks.outcomes(run),
        test_looks=looks.counted_looks(run),
    )


def _elsewhere(plan: Plan) -> dict[tuple[str, str, str], FlagsElsewhere]:
    """Return what judges are known for on other data; plans of earlier versions name nothing."""
    return {
        (name, *asked.split(".", 1)): FlagsElsewhere(**of)
        for name, table in plan.config.get("judges", {}).items()
        for asked, of in (table.get("elsewhere") or {}).items()
    }


def _used(run: RunDir) -> ClusterUse | None:
    """Return what the last report job found of what array tasks used; null if there is nothing."""
    if not run.used.exists():
        return None
    try:
        found = read_json(run.used)
        lines = tuple(
            ResourceUse(
                f"{line['stage']} {line['key']}",
                line["n"],
                (line["mem_gb_used"], line["mem_gb_asked"]),
                (line["min_used"], line["min_asked"]),
                line["cpu_share"],
                line["gpu_share"],
                (line["gpu_h_used"], line["gpu_h_wasted"]),
            )
            for line in found["used"]
        )
        return ClusterUse(found["at"], lines, tuple(found["failures"]))
    except (Damaged, KeyError, TypeError):  # the tables do not depend on it
        return None


def _licensed(
    sources: Sequence[Mapping[str, Any]], table: ReportTable
) -> tuple[dict[str, str], dict[str, str]]:
    """Return source → why its texts are withheld, and source → why those shown stay here."""
    if table.redact is True:
        return {source["name"]: "[report] redact = true" for source in sources}, {}
    kept = {
        source["name"]: f"not to be passed on; licence: {source['licence']}"
        for source in sources
        if not source["redistribute"]
    }
    return (kept, {}) if table.redact == "auto" else ({}, kept)


def _commands(run: RunDir, plan: Plan, recorded: Recorded) -> Commands:
    kept = (o for o in recorded.as_options() if not o.startswith("report.redact="))
    return Commands(
        again=again(run, plan, recorded),
        explain=command(run, "explain"),
        unredacted=command(run, "report", *_set(*kept, "report.redact=false")),
    )


def _set(*options: str) -> list[str]:
    return [word for option in options for word in ("--set", option)]


def again(run: RunDir, plan: Plan, recorded: Recorded) -> str:
    """Return the command that does the whole from nothing, beside this run, its report as well."""
    commit = plan.provenance.get("commit", "")
    checkout = f"git checkout {commit} && " if len(commit) == 40 else ""
    path, changed = shown_path(run, last_plan(run)[1]), _set(*recorded.as_options())
    name = f"{run.root.name}-again"
    return checkout + command(run, "sweep", "--config", path, *changed, name=name)


def _comparisons(run: RunDir, made: PlannedFinetune) -> Iterator[Comparison]:
    """Yield what Table 2 says of one adapter, one entry a decoding."""
    points = [CurvePoint(**point) for point in adapters.curve(run.adapter(made.id))]
    sources = "" if made.sources == "all" else f", {made.sources}"
    for one in made.compared:
        yield Comparison(
            tuned=one.tuned,
            base=one.base,
            unquantized=one.unquantized,
            label=f"n = {made.n_rows:,}{sources}, seed {made.spec.seed}",
            train_size=made.n_rows,
            seed=made.spec.seed,
            sources=made.sources,
            family=made.family,
            notes=tuple(_finetune_notes(run, made)),
            curve=tuple(points),
        )


_CHOSEN = {
    "beforehand": "",
    "validation": "",
    "test": "the prompt was chosen by scores on the rows that are evaluated here, not on the "
    "validation split.",
}


def _finetune_notes(run: RunDir, made: PlannedFinetune) -> Iterator[str]:
    """Yield what every table with the adapter must say."""
    if _CHOSEN[made.prompt_chosen]:
        yield _CHOSEN[made.prompt_chosen]
    folder = run.adapter(made.id)
    if not adapters.is_complete(folder):
        yield "not trained yet."
        return
    record = adapters.read(folder)
    if record.chosen != "validation":
        yield "the last checkpoint, not chosen on the validation split."
    if said := first_pass_text(made, record.best_step):
        yield said
    if said := held_out_text(record.pairs):
        yield said
    if record.allowed:
        yield f"trained although the preflight found {', '.join(record.allowed)}."


def first_pass_text(made: PlannedFinetune, best_step: int) -> str:
    """Return that the weights have not met all rows; empty if they have, or of two trainings.

    Args:
        made: What was trained.
        best_step: Optimiser steps after which the weights were as they are.
    """
    spec = made.spec
    if spec.learns_answers and spec.preference is not None:
        return ""
    if best_step * spec.batch_size >= made.n_rows:
        return ""
    what = "rows" if spec.learns_answers else "pairs"
    steps = f"{counted(best_step, 'step')} of {spec.batch_size:,}"
    return f"its weights had not met all of the {made.n_rows:,} {what} ({steps})."


def prepared_metrics(run: RunDir, plan: Plan) -> dict[str, MetricProtocol]:
    """Return key → metric with its encoder, as ``recheck`` needs them."""
    examples = evaluated_rows(run, plan)
    return {m.key: load(m, examples) for m in plan.metrics}
