"""What ``preflight`` and ``finetune`` show: the checks of the rows, and the trained adapters."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from empathy_core.counted import counted
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir, read_json
from empathy_core.training import modules
from empathy_core.training.adapter import adapters
from empathy_core.training.preference.pairs import audit_text
from empathy_core.training.preflight import run as checks
from empathy_core.training.rows.prepare import prepare
from empathy_core.training.spec import Finding
from jobs.commands.options import AllowOptions
from jobs.config import read as configuration
from jobs.config.schema import Config
from jobs.config.variants import Variant
from jobs.planning.pairs.planned import Pairs
from jobs.planning.plan import Plan
from jobs.planning.resolving.run_rows import examples_of
from jobs.planning.withheld import WithheldWrites
from jobs.stages.finetune import model_findings


def config_with_fine_tunes(options: AllowOptions) -> Config:
    """Return the configuration that the command line names.

    Raises:
        ConfigError: It is wrong, or has no fine-tune.
    """
    config = configuration.read(options.config, options.changes, options.allow)
    if not config.finetune:
        msg = (
            f"the configuration '{options.config}' has no [finetune.<name>] table; expected one "
            'with base = "…"; see the shipped configuration finetune'
        )
        raise ConfigError(msg)
    return config


def checked(
    config: Config, variant: Variant, run: RunDir, *, with_model: bool
) -> tuple[dict[str, Any], str]:
    """Return what the preflight finds in rows and model of a fine-tune: for JSON, and as text."""
    examples = examples_of(config, run)
    pairs = Pairs(config, examples, run, WithheldWrites())
    spec, frame = pairs.of(modules.settled(variant.spec))
    prepared = prepare(spec, examples, frame)
    findings = list(prepared.findings)
    if with_model and not checks.wrong(findings, spec.allow):
        findings += model_findings(spec, prepared)
    wrong = [f.name for f in checks.wrong(findings, spec.allow)]
    n_rows = counted(len(prepared.train), "row")
    text = [f"== {spec.name}: {n_rows}, {len(prepared.validation)} to validate"]
    if prepared.train:
        text += [checks.show(prepared.train[0], prepared.tokenizer), ""]
    if (audit := pairs.audit(spec)) and spec.preference:
        text.append(audit_text(spec.preference.pairs, audit))
        text += [f"pairs {spec.preference.pairs}: {note}" for note in audit.get("warnings", ())]
    text += [checks.text(findings, spec.allow), _verdict(wrong, findings, with_model=with_model)]
    result = {
        "name": spec.name,
        "rows": len(prepared.train),
        "validation": len(prepared.validation),
        "findings": [asdict(f) for f in findings],
        "wrong": wrong,
    }
    return result, "\n".join(text)


def _verdict(wrong: Sequence[str], findings: Sequence[Finding], *, with_model: bool) -> str:
    if wrong:
        return f"stops the training: {', '.join(wrong)}\n"
    allowed = [f.name for f in findings if not f.ok]
    verdict = f"trains although: {', '.join(allowed)}" if allowed else "nothing is wrong"
    return f"{verdict}{'' if with_model else ' with the rows; the base was not tried'}\n"


def adapters_text(run: RunDir, plan: Plan, *, as_json: bool) -> str:
    """Return where each adapter of a plan is, and how its training went."""
    records = {f.id: read_json(run.adapter(f.id) / adapters.RECORD) for f in plan.finetunes}
    if as_json:
        return json.dumps(records, indent=1)
    return "\n".join(
        f"{run.adapter(id_)}\n  {adapters.summary(record)}" for id_, record in records.items()
    )
