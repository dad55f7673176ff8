"""PURE: ``[refine.<name>]`` → the configuration of each of its steps, an ordinary run each.

A step answers and scores as every sweep does, on the rows that are its own: the parent's first
replies (``worst``), what the proposer writes (``propose``), each round, and the test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from empathy_core.metrics import is_judges
from empathy_core.refining.proposing import TEMPLATE
from jobs.config.decoding import DecodingTable
from jobs.config.judge_table import JudgeTable
from jobs.config.refine import RefineTable
from jobs.config.refinements import RefineColumn
from jobs.config.schema import (
    Config,
    ContrastTable,
    DataTable,
    ModelTable,
    ReportTable,
    SourceTable,
)

WORST, PROPOSE, TEST = "worst", "propose", "test"
"""Names of steps; the rounds are called by ``round_name``."""
DRAWN = "proposals"
"""Name of the decoding of proposals that the configuration does not name."""
WATCHED = "length"
"""Metric that every step has: what is chosen by a judge tends to grow."""


def round_name(number: int) -> str:
    """Return what a round is called, from 1."""
    return f"round-{number}"


def round_config(
    config: Config,
    table: RefineTable,
    step: str,
    prompts: Sequence[Path],
    ids: Path,
    by: RefineColumn,
) -> Config:
    """Return the configuration of a step on validation rows.

    Args:
        config: The whole configuration.
        table: The refinement.
        step: Its name.
        prompts: Files of the prompts, the parent's first.
        ids: List of the rows.
        by: The column that the step is for; nothing else is scored but lengths.
    """
    metrics, judges = _measured(config, by)
    evaluate = replace(config.evaluate, split="validation", limit=None, unit="row", ids=str(ids))
    return _step(
        config,
        step,
        _answering(config, table, prompts, judges.values()),
        metrics=metrics,
        judges=_beside(judges, table, prompts[0].stem),
        evaluate=evaluate,
        report=_report(config, step),
    )


def config_of_test(config: Config, table: RefineTable, prompts: Sequence[Path]) -> Config:
    """Return the configuration of the test: every metric and judge, on the locked rows.

    Which test rows those are, ``[evaluate]`` says by limit, unit and seed.
    """
    evaluate = replace(config.evaluate, split="test", ids=None)
    parent, *others = (f"{table.model}.{path.stem}" for path in prompts)
    contrasts = {
        path.stem: ContrastTable(first=parent, second=other, label=f"{path.stem} beside its parent")
        for path, other in zip(prompts[1:], others, strict=True)
    }
    kept = config.report.model_copy(
        update={"contrasts": contrasts, "published": None, "title": _title(config, TEST)}
    )
    return _step(
        config,
        TEST,
        _answering(config, table, prompts, config.judges.values()),
        metrics=dict(config.metrics),
        judges=_beside(config.judges, table, prompts[0].stem),
        evaluate=evaluate,
        report=kept,
    )


def propose_config(config: Config, table: RefineTable, briefs: Path) -> Config:
    """Return the configuration of what the proposer writes: a row a brief."""
    told = {"path": str(briefs), "context": "brief", "response": "parent"}
    may_leave = all(source.redistribute for source in config.data_spec().sources)
    source = SourceTable.model_validate({**told, "redistribute": may_leave})
    data = DataTable(sources={"briefs": source}, duplicates="keep")
    decoding = table.proposer_decoding or DRAWN
    drawn = DecodingTable(
        max_new_tokens=256, sample=True, temperature=0.8, top_p=0.95, seed=table.seed
    )
    asked = config.models[str(table.proposer)].model_copy(
        update={"prompts": (str(TEMPLATE),), "decodings": (decoding,)}
    )
    return _step(
        config,
        PROPOSE,
        {str(table.proposer): asked},
        data=data,
        decoding={**({} if table.proposer_decoding else {DRAWN: drawn}), **config.decoding},
        generation=config.generation.model_copy(update={"overlong": "truncate"}),
        metrics={WATCHED: {}},
        judges={},
        evaluate=replace(config.evaluate, split="all", limit=None, unit="row", ids=None),
        report=_report(config, PROPOSE),
    )


def _step(config: Config, step: str, models: Mapping[str, ModelTable], **changed: Any) -> Config:
    """Return the configuration with what a step changes, and without what it has no use for."""
    empty: dict[str, Any] = {"finetune": {}, "pairs": {}, "answers": {}, "refine": {}}
    empty |= {"assumed": (), "annotate": config.annotate.model_copy(update={"conditions": ()})}
    return config.model_copy(update={**empty, "name": step, "models": dict(models), **changed})


def _title(config: Config, step: str) -> str:
    return f"{config.report.title}: refinement, {step.replace('-', ' ')}"


def _report(config: Config, step: str) -> ReportTable:
    return ReportTable(title=_title(config, step), redact=config.report.redact)


def _answering(
    config: Config, table: RefineTable, prompts: Sequence[Path], judges: Any
) -> dict[str, ModelTable]:
    """Return the model that answers, and those that judge: these with no prompts of their own."""
    own = {"prompts": tuple(map(str, prompts)), "decodings": (table.decoding,)}
    asked = {table.model: config.models[table.model].model_copy(update=own)}
    for judge in judges:
        if judge.model in config.models and judge.model not in asked:
            asked[judge.model] = config.models[judge.model].model_copy(update={"prompts": ()})
    return asked


def _measured(
    config: Config, by: RefineColumn
) -> tuple[dict[str, dict[str, Any]], dict[str, JudgeTable]]:
    """Return the metrics and judges that a column needs; a jury needs all judges."""
    if by.metric in config.metrics:
        return {**_length(config), by.metric: config.metrics[by.metric]}, {}
    judge = by.metric.split(":")[1] if is_judges(by.metric) else ""
    if judge in config.judges:
        return _length(config), {judge: config.judges[judge]}
    return _length(config), dict(config.judges) if by.metric else {}


def _length(config: Config) -> dict[str, dict[str, Any]]:
    return {WATCHED: config.metrics.get(WATCHED, {})}


def _beside(
    judges: Mapping[str, JudgeTable], table: RefineTable, parent: str
) -> dict[str, JudgeTable]:
    """Return judges for whom the parent prompt is the baseline of every comparison."""
    return {
        name: judge
        if judge.baseline is None
        else judge.model_copy(
            update={"baseline": f"{table.model}.{parent}", "opponents": "baseline"}
        )
        for name, judge in judges.items()
    }
