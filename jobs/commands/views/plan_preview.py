"""What ``sweep --dry-run`` shows of a plan."""

from typing import Any

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
                "shards": 1 if c.id in plan.imported else plan.shards[c.model.name],
                "blocks_done": len(done[c.id]),
                "blocks": plan.n_blocks,
                "prompt": r.first if (r := planned.resolved.renderings.get(c.id)) else None,
            }
            for c in plan.conditions
        ],
        "metrics": {m.name: m.signature for m in plan.metrics},
        "remarks": list(planned.resolved.remarks),
    }


def text(planned: Planned) -> str:
    """Return conditions, tasks, one rendered prompt each, and signatures of metrics."""
    shown = as_json(planned)
    lines = [f"{len(shown['conditions'])} conditions, {len(shown['tasks'])} tasks to do"]
    for made in shown["finetunes"]:
        wrong = [name for name, ok in made["preflight"].items() if not ok]
        said = f"allowed: {', '.join(wrong)}" if wrong else "nothing wrong with the rows"
        lines.append(f"  {made['id']}: {made['rows']} rows, {made['steps']} steps, {said}")
    for condition in shown["conditions"]:
        made = "imported" if condition["prompt"] is None else f"{condition['shards']} shards"
        done = f"{condition['blocks_done']} of {condition['blocks']} blocks done"
        lines.append(f"  {condition['id']}: {made}, {done}")
    lines += [f"  {remark}" for remark in shown["remarks"]]
    for condition in shown["conditions"]:
        if condition["prompt"] is not None:
            lines += ["", f"--- {condition['id']} sees:", condition["prompt"]]
    lines += ["", "--- metrics:"]
    lines += [f"  {name}: {signature}" for name, signature in shown["metrics"].items()]
    return "\n".join(lines)
