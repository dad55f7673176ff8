"""What ``sweep --dry-run`` shows of a plan."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import polars as pl

from empathy_core.counted import counted
from empathy_core.store import EVALUATED
from jobs.planning.resolving.judges import previews
from jobs.planning.stages import TABLE
from jobs.planning.sweep import Planned


def as_json(planned: Planned) -> dict[str, Any]:
    """Return what ``sweep --dry-run --json`` prints of a plan."""
    plan = planned.plan
    done = planned.progress.done()
    return {
        "blocks": plan.n_blocks,
        "tasks": [task.id for task in planned.tasks],
        "finetunes": [
            {
                "id": f.id,
                "rows": f.n_rows,
                "steps": f.n_steps,
                "preflight": {finding.name: finding.ok for finding in f.findings},
            }
            for f in plan.finetunes
        ],
        "conditions": [
            {
                "id": c.id,
                "shards": 1 if c.id in plan.not_generated else plan.shards[c.model.name],
                "blocks_done": len(done[c.id]),
                "blocks": plan.n_blocks,
                "prompt": r.first if (r := planned.resolved.renderings.get(c.id)) else None,
            }
            for c in plan.conditions
        ],
        "judges": [asdict(judge) for judge in previews(plan, _evaluated(planned))],
        "metrics": {m.name: m.signature for m in plan.metrics},
        "remarks": list(planned.resolved.remarks),
    }


def _evaluated(planned: Planned) -> pl.DataFrame:
    return planned.resolved.examples.filter(EVALUATED)


def _stages(planned: Planned) -> Iterator[str]:
    """Yield how many tasks each stage and model has to do, of how many."""
    left = Counter((task.stage, task.key) for task in planned.tasks)
    for stage in TABLE:
        every = Counter((task.stage, task.key) for task in stage.tasks(planned.plan))
        for (name, key), n in every.items():
            named = name if name == key else f"{name} {key}"
            yield f"{named}: {left[name, key]:,} of {counted(n, 'task')} to do"


def text(planned: Planned) -> str:
    """Return conditions, tasks, one rendered prompt each, and signatures of metrics."""
    shown = as_json(planned)
    lines = [
        f"{counted(len(shown['conditions']), 'condition')}, "
        f"{counted(len(shown['tasks']), 'task')} to do",
        *(f"  {line}" for line in _stages(planned)),
    ]
    for made in shown["finetunes"]:
        wrong = [name for name, ok in made["preflight"].items() if not ok]
        said = f"allowed: {', '.join(wrong)}" if wrong else "nothing wrong with the rows"
        lines.append(
            f"  {made['id']}: {counted(made['rows'], 'row')}, "
            f"{counted(made['steps'], 'step')}, {said}"
        )
    for condition in shown["conditions"]:
        made = "imported" if condition["prompt"] is None else counted(condition["shards"], "shard")
        done = f"{condition['blocks_done']} of {counted(condition['blocks'], 'block')} done"
        lines.append(f"  {condition['id']}: {made}, {done}")
    lines += [f"  {remark}" for remark in shown["remarks"]]
    for condition in shown["conditions"]:
        if condition["prompt"] is not None:
            lines += ["", f"--- {condition['id']} sees:", condition["prompt"]]
    for judge in shown["judges"]:
        n = counted(judge["n_prompts"], "prompt")
        written = counted(judge["n_output_tokens"], "token")
        writes = f" and writes at most {written}" if judge["n_output_tokens"] else ""
        lines += ["", f"--- judge {judge['name']} reads at most {n}{writes}; it sees:"]
        lines += [judge["sees"]]
    lines += ["", "--- metrics:"]
    lines += [f"  {name}: {signature}" for name, signature in shown["metrics"].items()]
    return "\n".join(lines)
