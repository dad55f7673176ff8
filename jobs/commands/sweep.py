"""The commands' bodies: each takes the parsed options and returns the exit code."""

import json
from argparse import Namespace
from typing import Any

from empathy_core.store import RunDir
from jobs.commands.console import (
    executor_of,
    run_dir,
    say,
    tell_failed,
    typed,
    warn,
    warn_all,
)
from jobs.commands.report import _write_report
from jobs.config import read as configuration
from jobs.config.tables import Config, require_conditions
from jobs.executors.local import Settings
from jobs.executors.progress_bar import Bar
from jobs.planning.sweep import Planned

# ---------------------------------------------------------------------------- sweep


def sweep(options: Namespace) -> int:
    """Plan, execute, report."""
    from jobs.executors import run_local
    from jobs.planning import sweep as planning
    from jobs.planning import versions

    config = configuration.read(options.config, options.overrides, options.allow)
    require_conditions(config)
    run = run_dir(options, config.name)
    if options.dry_run or options.test_only:
        return _dry_run(config, run, options)
    executor = executor_of(options.executor, quiet=options.json)
    if options.pilot:
        from jobs.commands.pilot import pilot

        return pilot(config, run, typed(), options, executor)
    if executor == "slurm":
        from jobs.commands.slurm import submit_sweep, tell_submitted

        found = submit_sweep(config, run, typed(), options)
        if found is not None:
            return tell_submitted(found, run, options)
        return _write_report(run, options, recheck=0, partial=False)
    planned = planning.plan(config, run, typed())
    warn_all(versions.advice(run, planned.plan))
    for text in planned.warnings:
        warn(text)
    settings = Settings(config.local.workers, config.local.threads)
    outcomes = run_local.execute(planned, run, settings, Bar(quiet=options.json))
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        return tell_failed(failed, run, options)
    return _write_report(run, options, recheck=0, partial=False)


def _dry_run(config: Config, run: RunDir, options: Namespace) -> int:
    from jobs.commands.slurm import scripts
    from jobs.planning import sweep as planning
    from jobs.planning import versions

    on_slurm = options.test_only or executor_of(options.executor, quiet=True) == "slurm"
    planned = planning.preview(config, run, typed())
    warn_all(versions.advice(run, planned.plan))
    texts = scripts(config, run, planned, options) if on_slurm else []
    if options.json:
        say(json.dumps(_preview(planned) | {"scripts": texts}, indent=1))
    else:
        say("\n\n".join([_preview_text(planned), *texts]))
    return 0


def _preview(planned: Planned) -> dict[str, Any]:
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


def _preview_text(planned: Planned) -> str:
    shown = _preview(planned)
    lines = [f"{len(shown['conditions'])} conditions, {len(shown['tasks'])} tasks to do"]
    for made in shown["finetunes"]:
        wrong = [name for name, ok in made["preflight"].items() if not ok]
        said = f"allowed: {', '.join(wrong)}" if wrong else "nothing wrong with the rows"
        lines.append(f"  {made['id']}: {made['rows']} rows, {made['steps']} steps, {said}")
    for condition in shown["conditions"]:
        made = "made elsewhere" if condition["prompt"] is None else f"{condition['shards']} shards"
        done = f"{condition['blocks_done']} of {condition['blocks']} blocks done"
        lines.append(f"  {condition['id']}: {made}, {done}")
    lines += [f"  {remark}" for remark in shown["remarks"]]
    for condition in shown["conditions"]:
        if condition["prompt"] is not None:
            lines += ["", f"--- {condition['id']} sees:", condition["prompt"]]
    lines += ["", "--- metrics:"]
    lines += [f"  {name}: {signature}" for name, signature in shown["metrics"].items()]
    return "\n".join(lines)


# ---------------------------------------------------------------------------- the others
