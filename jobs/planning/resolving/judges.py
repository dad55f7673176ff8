"""Judges as a plan has them: weights are found, and every question is rendered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from empathy_core import metrics, weights
from empathy_core.errors import ConfigError
from empathy_core.metrics._judge_prompts import condition_of
from empathy_core.store import RunDir
from empathy_core.types import Condition, ModelSpec
from jobs.config import contrasts
from jobs.config.judge_table import JudgeTable
from jobs.config.judges import Opponent, judge_model, questions
from jobs.config.schema import Config
from jobs.planning.plan import Plan
from jobs.planning.resolving import engines
from jobs.planning.resolving.answering import planned
from jobs.planning.withheld import WithheldWrites
from reports.labels import full_name, row_labels


def judges(
    config: Config, conditions: Sequence[Condition], run: RunDir, withheld: WithheldWrites
) -> dict[str, dict[str, Any]]:
    """Return name → settings of the metrics of all judges.

    Each prompt is rendered once without a text, so that a judge whose answers are no single tokens,
    or that has no room for a rubric, is refused before anything is computed.

    Args:
        config: The configuration.
        conditions: What is judged.
        run: Where it is kept what was found in models' files.
        withheld: Takes what is to be kept.

    Raises:
        ConfigError: A judge cannot be asked, a baseline is no single condition, or texts may not
            leave the cluster.
        ModelError: Its weights or its tokenizer cannot be used.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, table in config.judges.items():
        spec = engines.pinned(judge_model(config, table), config.data_spec().sources)
        fingerprint = weights.model_fingerprint(spec)
        condition, _ = planned(condition_of(spec, fingerprint), run, withheld)
        own: dict[str, Any] = {"fingerprint": fingerprint, "reasoning": condition.reasoning}
        if table.answer == "generated":
            engines.check_followed(condition)
            own |= {"structure": condition.structure}
            own |= {"batch_size": 1} if condition.block_size == 1 else {}
        opponents = _opponents(name, table, conditions)
        for metric, options in questions(config, name, spec, opponents).items():
            found[metric] = options | own
            _sees(metric, found[metric])  # refused here, where it cannot be asked
    return found


def _sees(name: str, options: Mapping[str, Any], context: str = "", reply: str = "") -> str:
    """Return what a judge reads of a message and a reply; raises where it cannot be asked."""
    metric: Any = metrics.load(name, options)
    return str(metric.sees(context, *[reply] * (2 if metric.rubric.pairwise else 1)))


@dataclass(frozen=True, slots=True)
class JudgePreview:
    """What one judge would do.

    Attributes:
        name: The key in the configuration.
        n_prompts: How many prompts it reads at most: one for each answer and dimension, two for
            each comparison; fewer where a question is asked at some levels of risk only.
        sees: The first prompt of its first question, special tokens included.
        n_output_tokens: How many tokens it writes at most; 0 for one whose probabilities are read.
    """

    name: str
    n_prompts: int
    sees: str
    n_output_tokens: int = 0


def previews(plan: Plan, examples: pl.DataFrame) -> list[JudgePreview]:
    """Return what each judge of a plan would read; *examples*: ``store.EXAMPLES``, evaluated."""
    answers = {c.id: examples.height * c.decoding.n_samples for c in plan.conditions}
    n_answers = sum(answers.values())
    found: dict[str, JudgePreview] = {}
    for planned_metric in plan.metrics:
        if planned_metric.judge is None:
            continue
        metric, options = planned_metric.name, planned_metric.options
        name, share = options["judge"], options.get("share")
        # both orders; of two conditions beside the baseline each pair is asked about once
        orders = 2 if options.get("opponent") == options.get("baseline") else 1
        itself = {options.get("opponent"), options.get("baseline")}  # of nobody are these asked
        others = n_answers - sum(answers.get(str(name), 0) for name in itself)
        n = n_answers if share is None else round(orders * share * others)
        if name not in found:
            seen = _sees(metric, options, examples["context"][0], "\N{HORIZONTAL ELLIPSIS}")
            found[name] = JudgePreview(name, 0, seen)
        written = n * _most_tokens(metric, options)
        known = found[name]
        found[name] = replace(
            known, n_prompts=known.n_prompts + n, n_output_tokens=known.n_output_tokens + written
        )
    return list(found.values())


def _most_tokens(name: str, options: Mapping[str, Any]) -> int:
    """Return how many tokens an answer may have; 0 where none is written."""
    metric: Any = metrics.load(name, options)
    return int(getattr(metric, "most_tokens", 0))


def _opponents(
    name: str, table: JudgeTable, conditions: Sequence[Condition]
) -> list[Opponent] | None:
    """Return what answers are compared with, the baseline first; null if with nothing."""
    if table.baseline is None:
        return None
    labels = row_labels(conditions)
    known = [Opponent(c.id, full_name(c, labels)) for c in conditions]
    chosen = {c.id for c in contrasts.selected(table.baseline, conditions)}
    first = [opponent for opponent in known if opponent.id in chosen]
    if len(first) != 1:
        listed = ", ".join(c.id.rpartition("-")[0] for c in conditions if c.id in chosen)
        msg = (
            f"judges.{name}: baseline = '{table.baseline}' is {len(first)} conditions ({listed}); "
            "expected one; name MODEL.PROMPT, of a model that is asked with one decoding"
        )
        raise ConfigError(msg)
    return first + [o for o in known if o not in first and table.opponents == "all"]


def checked(config: Config, conditions: Sequence[Condition]) -> list[str]:
    """Return what tables must say of judges and judged, and of judges and judges, that are alike.

    Raises:
        ConfigError: See ``check_own_answers``.
    """
    return [*check_own_answers(config, conditions), *_of_one_model(config)]


def check_own_answers(config: Config, conditions: Sequence[Condition]) -> list[str]:
    """Return what tables must say of judges and judged that are alike.

    Raises:
        ConfigError: A model would judge its own answers, and nothing says that it may.
    """
    notes = []
    for name, table in config.judges.items():
        judge = judge_model(config, table)
        own = weights.model_fingerprint(judge)
        itself = {c.model.label: None for c in conditions if c.is_by(judge, own)}
        if itself and table.own_answers == "error":
            msg = (
                f"judges.{name}: its model wrote the answers of {', '.join(itself)}; expected a "
                "judge that is not judged, since models may prefer what they wrote; use another "
                f'model, or set own_answers = "judge" under [judges.{name}], which every table says'
            )
            raise ConfigError(msg)
        if itself:
            notes.append(f"Judge {table.label or judge.label} judges its own answers.")
        akin = {c.model.label: None for c in conditions if _akin(judge, c.model)}
        if akin := {label: None for label in akin if label not in itself}:
            shown = ", ".join(akin)
            notes.append(
                f"Judge {table.label or judge.label} shares a tokenizer with {shown}: models of "
                "one family may prefer each other's answers."
            )
    return notes


def _of_one_model(config: Config) -> list[str]:
    """Return what tables must say of judges that have the same weights, however they are called."""
    by_weights: dict[str, list[str]] = {}
    for table in config.judges.values():
        model = judge_model(config, table)
        label = table.label or model.label
        by_weights.setdefault(weights.model_fingerprint(model), []).append(label)
    return [
        f"Judges {' and '.join(labels)} have the same weights: their agreement supports nothing."
        for labels in by_weights.values()
        if len(labels) > 1
    ]


def _akin(judge: ModelSpec, other: ModelSpec) -> bool:
    """Tell whether two models share a tokenizer, as models of a family do."""
    if any(spec.backend != "hf" or spec.weights is None for spec in (judge, other)):
        return False
    return _tokenizer(judge) == _tokenizer(other)


def _tokenizer(spec: ModelSpec) -> str:
    return weights.tokenizer_digest(weights.tokenizer_folder(spec))
