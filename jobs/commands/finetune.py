"""The commands that speak of fine-tunes alone: preflight, finetune, merge."""

import json
from argparse import Namespace
from dataclasses import asdict, replace
from typing import Any

from empathy_core.errors import ConfigError, UnknownName
from empathy_core.store import RunDir, read_json
from empathy_core.training.adapter import adapters
from empathy_core.training.preflight import run as checks
from empathy_core.training.spec import Finding
from jobs.commands.console import (
    executor_of,
    existing,
    run_dir,
    say,
    tell_failed,
    typed,
    warn,
    warn_all,
)
from jobs.config import read as configuration
from jobs.config.tables import Config
from jobs.config.variants import Variant, variants
from jobs.executors.local import Settings
from jobs.executors.progress_bar import Bar
from jobs.planning.plan import Plan, PlannedFinetune
from jobs.planning.plan_file import last_plan
from jobs.planning.stages import FINETUNE

MERGE_PROMPTS = 4
"""Questions on which a merged model is compared with its adapter."""

# ---------------------------------------------------------------------------- preflight


def preflight(options: Namespace) -> int:
    """Look at rows and model of every fine-tune; 2 if anything is wrong that is not allowed."""
    config = _with_finetunes(options)
    run = run_dir(options, config.name)
    shown: list[dict[str, Any]] = []
    tried: set[str] = set()
    for variant in variants(config):
        with_model = not options.rows_only and variant.family not in tried
        tried.add(variant.family)
        shown.append(_looked_at(config, variant, run, with_model=with_model))
        if not options.json:
            say(shown[-1].pop("text"))
    if options.json:
        say(json.dumps([{k: v for k, v in s.items() if k != "text"} for s in shown], indent=1))
    wrong = [name for one in shown for name in one["wrong"]]
    return 2 if wrong else 0


def _looked_at(
    config: Config, variant: Variant, run: RunDir, *, with_model: bool
) -> dict[str, Any]:
    from empathy_core.training import modules
    from empathy_core.training.rows import prepare as preparing
    from jobs.planning.resolve import examples_of
    from jobs.stages.finetune import model_findings

    spec = modules.settled(variant.spec)
    prepared = preparing.prepare(spec, examples_of(config, run))
    findings = list(prepared.findings)
    if with_model and not checks.wrong(findings, spec.allow):
        findings += model_findings(spec, prepared)
    wrong = [f.name for f in checks.wrong(findings, spec.allow)]
    text = [f"== {spec.name}: {len(prepared.train)} rows, {len(prepared.validation)} to validate"]
    if prepared.train:
        text += [checks.show(prepared.train[0], prepared.tokenizer), ""]
    text += [checks.text(findings, spec.allow), _verdict(wrong, findings, with_model=with_model)]
    return {
        "name": spec.name,
        "rows": len(prepared.train),
        "validation": len(prepared.validation),
        "findings": [asdict(f) for f in findings],
        "wrong": wrong,
        "text": "\n".join(text),
    }


def _verdict(wrong: list[str], findings: list[Finding], *, with_model: bool) -> str:
    if wrong:
        return f"stops the training: {', '.join(wrong)}\n"
    allowed = [f.name for f in findings if not f.ok]
    said = f"goes on although: {', '.join(allowed)}" if allowed else "nothing is wrong"
    return f"{said}{'' if with_model else ' with the rows; the base was not tried'}\n"


def _with_finetunes(options: Namespace) -> Config:
    config = configuration.read(options.config, options.overrides, options.allow)
    if not config.finetune:
        msg = (
            f"the configuration '{options.config}' has no [finetune.<name>] table; expected one "
            'with base = "…"; see the shipped configuration finetune'
        )
        raise ConfigError(msg)
    return config


# ---------------------------------------------------------------------------- finetune


def finetune(options: Namespace) -> int:
    """Plan, and train what adapters are missing, here or on Slurm."""
    from jobs.executors import run_local
    from jobs.planning import sweep as planning
    from jobs.planning import versions

    config = _with_finetunes(options)
    run = run_dir(options, config.name)
    if executor_of(options.executor, quiet=options.json) == "slurm":
        return _submitted(config, run, options)
    planned = planning.plan(config, run, typed())
    warn_all(versions.advice(run, planned.plan))
    for text in planned.warnings:
        warn(text)
    settings = Settings(config.local.workers, config.local.threads)
    bar = Bar(quiet=options.json)
    outcomes = run_local.execute(planned, run, settings, bar, only=[FINETUNE])
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        return tell_failed(failed, run, options)
    _tell(run, planned.plan, options)
    return 0


def _submitted(config: Config, run: RunDir, options: Namespace) -> int:
    from jobs.commands.slurm import launch_of, reached, tell_submitted, withdrawn_if_refused
    from jobs.executors.slurm import submit as submitting
    from jobs.planning import sweep as planning
    from jobs.planning import versions

    with run.lock():
        now = reached(run)
        planned = planning.plan_locked(config, run, typed(), now.awaited_ids())
        warn_all(versions.advice(run, planned.plan))
        with withdrawn_if_refused(run, planned):
            what = launch_of(config, run, planned, options)
            lacking = submitting.missing(FINETUNE, planned.plan, planned.progress, now)
            found = submitting.submit_tasks(what, lacking, now)
    if found.arrays or found.left or found.n_before:
        return tell_submitted(found, run, options)
    _tell(run, planned.plan, options)
    return 0


def _tell(run: RunDir, plan: Plan, options: Namespace) -> None:
    """Say where each adapter is, and how its training went."""
    records = {f.id: read_json(run.adapter(f.id) / adapters.RECORD) for f in plan.finetunes}
    if options.json:
        say(json.dumps(records, indent=1))
        return
    for id_, record in records.items():
        say(f"{run.adapter(id_)}\n  {adapters.summary(record)}")


# ---------------------------------------------------------------------------- merge


def merge(options: Namespace) -> int:
    """Merge an adapter into its base at full precision, and say how far the logits moved."""
    from empathy_core import data
    from empathy_core.training.adapter import merging
    from empathy_core.training.rows.prepare import evaluated_as
    from empathy_core.training.rows.select import training_pairs, validation_pairs

    run = existing(options)
    plan, _ = last_plan(run)
    made = _named(plan, options.adapter)
    folder = run.adapter(made.id)
    adapters.read(folder)  # raises if it is not what was trained
    pairs = validation_pairs(made.spec, data.load(run))[:MERGE_PROMPTS]
    if not pairs:
        pairs = training_pairs(made.spec, data.load(run))[:MERGE_PROMPTS]
    prompts = merging.rendered(evaluated_as(made.spec), [pair.context for pair in pairs])
    model = replace(made.spec.base, name=made.spec.name, adapter=str(folder))
    report = merging.merge(model, options.out, prompts, options.bound)
    if options.json:
        say(json.dumps(asdict(report) | {"folder": str(report.folder)}, indent=1))
    else:
        say(f"{report.folder}\n{report.text()}")
    return 0


def _named(plan: Plan, name: str) -> PlannedFinetune:
    known = {f.spec.name: f for f in plan.finetunes}
    found = known.get(name) or next((f for f in plan.finetunes if f.id == name), None)
    if found is None:
        raise UnknownName(
            "fine-tune of this run", name, known, "Only adapters that a run trained are merged."
        )
    return found
