"""The commands' bodies: each takes the parsed options and returns the exit code."""

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs import config as configuration
from jobs.local import Outcome, Settings
from jobs.progress import Bar
from jobs.speaking import LAUNCH, command, existing, run_dir, say, warn
from jobs.sweep import Planned
from jobs.tables import Config, require_conditions


def typed() -> str:
    """Return the command line as typed, for the provenance."""
    return shlex.join([*LAUNCH, *sys.argv[1:]])


# ---------------------------------------------------------------------------- sweep


def sweep(options: Namespace) -> int:
    """Plan, execute, report."""
    from jobs import sweep as stages
    from jobs import versions

    config = configuration.read(options.config, options.overrides, options.allow)
    require_conditions(config)
    run = run_dir(options, config.name)
    if options.dry_run or options.test_only:
        return _dry_run(config, run, options)
    executor = executor_of(options.executor, quiet=options.json)
    if options.pilot:
        from jobs.pilot_command import pilot

        return pilot(config, run, typed(), options, executor)
    if executor == "slurm":
        from jobs.cluster.commands import submit_sweep, tell_submitted

        found = submit_sweep(config, run, typed(), options)
        if found is not None:
            return tell_submitted(found, run, options)
        return _write_report(run, options, recheck=0, partial=False)
    planned = stages.plan(config, run, typed())
    versions.tell(run, planned.plan)
    for text in planned.warnings:
        warn(text)
    settings = Settings(config.local.workers, config.local.threads)
    outcomes = stages.execute(planned, run, settings, Bar(quiet=options.json))
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        return tell_failed(failed, run, options)
    return _write_report(run, options, recheck=0, partial=False)


def _dry_run(config: Config, run: RunDir, options: Namespace) -> int:
    from jobs import sweep as stages
    from jobs import versions
    from jobs.cluster.commands import scripts

    on_slurm = options.test_only or executor_of(options.executor, quiet=True) == "slurm"
    planned = stages.preview(config, run, typed())
    versions.tell(run, planned.plan)
    texts = scripts(config, run, planned, options) if on_slurm else []
    if options.json:
        say(json.dumps(_preview(planned) | {"scripts": texts}, indent=1))
    else:
        say("\n\n".join([_preview_text(planned), *texts]))
    return 0


def executor_of(choice: str, *, quiet: bool) -> str:
    """Return ``local`` or ``slurm``.

    Raises:
        ConfigError: Slurm is asked for, or configured, and cannot be used.
    """
    if choice == "local":
        return "local"
    from slurm import detect

    state = detect.state()
    if choice == "auto" and state in ("absent", "unconfigured"):
        why = "no sbatch on PATH" if state == "absent" else "Slurm is not configured here"
        if not quiet:
            say(f"{why}: running on this machine")
        return "local"
    if state == "up":
        return "slurm"
    if state == "silent":
        msg = (
            "Slurm is configured here but its controller does not answer (scontrol ping): wait "
            "until it does, or use --executor local to run on this machine"
        )
    else:
        msg = "--executor slurm needs sbatch and a Slurm configuration: use --executor local"
    raise ConfigError(msg)


def tell_failed(failed: list[Outcome], run: RunDir, options: Namespace) -> int:
    """Say which tasks failed and why, and return the exit code."""
    for outcome in failed:
        warn(f"{outcome.task.id} failed: {outcome.message}\n  log: {outcome.log}")
    warn(
        f"{len(failed)} tasks failed; everything else is done and kept. Correct the cause and run "
        "the same command again, or see what is there with\n"
        f"  {command(run, 'report', '--partial')}"
    )
    if options.json:
        say(json.dumps({"failed": [o.task.id for o in failed]}))
    return 2 if all(outcome.exit_code == 2 for outcome in failed) else 1


def _preview(planned: Planned) -> dict[str, Any]:
    plan = planned.plan
    done = planned.standing.done()
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
                "shards": 1 if c.id in plan.made_elsewhere else plan.shards[c.model.name],
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


def data(options: Namespace) -> int:
    """Print the data audit, or write the evaluated examples to be answered elsewhere."""
    from empathy_core import data as core
    from empathy_core.data import audit_text

    config = configuration.read(options.config, options.overrides)
    prepared = core.prepare(config.data_spec(), config.evaluate_spec())
    if options.export:
        n = core.export(prepared.examples, options.export)
        said = f'{n} examples: add a column "text" and name the file under [answers.<name>] path'
        say(json.dumps({"exported": str(options.export), "examples": n}) if options.json else said)
        return 0
    say(json.dumps(prepared.audit, indent=1) if options.json else audit_text(prepared.audit))
    return 0


def report(options: Namespace) -> int:
    """Merge and write the tables of the run's newest plan, or set two runs beside each other."""
    if options.compare:
        from jobs.compare import compare

        return compare(options, options.compare)
    return _write_report(
        existing(options), options, recheck=options.recheck, partial=options.partial
    )


def _write_report(run: RunDir, options: Namespace, *, recheck: int, partial: bool) -> int:
    from jobs import versions
    from jobs.planfile import last_plan
    from jobs.report import prepared_metrics, report_spec
    from reports.write import write_report

    plan, _ = last_plan(run)
    if options.command == "report":
        for outdated in versions.outdated_scores(plan):
            warn(outdated)
    spec = report_spec(run, plan, options.overrides if options.command == "report" else ())
    written = write_report(run, spec, partial=partial)
    if options.json:
        say((run.report / "summary.json").read_text())
    else:
        say(written.text)
        say(f"\ntables and page: {_relative(run.report)}")
    if written.kept:
        warn(_kept(run, written.kept))
    if recheck:
        from reports.recheck import recheck as compare

        found = compare(run, spec, prepared_metrics(run, plan), recheck)
        say(found.text)
        if found.wrong:
            warn(_not_equal(found.wrong))
            return 1
    return 0


def _not_equal(columns: Sequence[str]) -> str:
    return (
        f"recheck failed: stored scores are not the reference library's ({', '.join(columns)}): "
        "expected equal values within rounding; the tables must not be used: look for another "
        "version of a package, remove the run's scores of these metrics, and run sweep again"
    )


def _kept(run: RunDir, kept: Path) -> str:
    """Return what is said where a report by another version of the suite was replaced."""
    where = ["--runs", str(run.root.parent), "--compare", str(kept), str(run.root)]
    return (
        f"an earlier version of the suite wrote the tables that were there; they are kept in "
        f"{_relative(kept)}. Which numbers moved, and why:\n  "
        f"{shlex.join(['python', '-m', 'jobs.launch', 'report', *where])}"
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def prefetch(options: Namespace) -> int:
    """Fetch data, weights and encoders."""
    config = configuration.read(options.config, options.overrides)
    for name, fetch in _fetches(config):
        say(f"{name}: {fetch()}")
    say("all there: set HF_HUB_OFFLINE=1 to run without the network")
    return 0


def _fetches(config: Config) -> list[tuple[str, Any]]:
    from empathy_core import data as core
    from empathy_core import metrics, weights

    found: list[tuple[str, Any]] = [
        (
            "data",
            lambda: (
                f"{core.prepare(config.data_spec(), config.evaluate_spec()).examples.height} rows"
            ),
        )
    ]
    for name in config.models:
        spec = config.model_spec(name)
        if spec.weights:
            found.append((f"model {name}", lambda s=spec: weights.locate(s.weights, s.revision)))
        if spec.weights and spec.tokenizer:
            found.append((f"tokenizer of {name}", lambda s=spec: weights.tokenizer_folder(s)))
        if spec.adapter:
            found.append(
                (f"adapter of {name}", lambda s=spec: weights.locate(s.adapter, s.adapter_revision))
            )
    for name, table in config.metrics.items():
        metric = metrics.load(name, table)
        found.append((f"metric {name}", metric.signature))
    return found
