"""What ``[refine.<name>]`` names: models, prompts, decodings, and the columns it is measured by."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from empathy_core.errors import ConfigError, UnknownName
from empathy_core.metrics import MetricProtocol, is_judges, load
from empathy_core.metrics._jury import juries
from empathy_core.prompts.instructions import PLACE, instruction_of
from empathy_core.refining import candidates
from empathy_core.refining.candidates import PromptCandidate
from empathy_core.types import Column, Prompt
from jobs.config.judges import judge_model, metric_options
from jobs.config.refine import RefineTable
from jobs.config.schema import Config, load_prompt
from reports.tables.columns import named_columns, unknown_columns

PEOPLES = "human_"
"""How the names of people's columns begin; there are none before people rated answers."""


@dataclass(frozen=True, slots=True)
class RefineColumn:
    """A column that a refinement is measured by.

    Attributes:
        name: As the configuration has it.
        metric: Name of its metric; empty for people's ratings, which are of no metric.
        column: Null for people's ratings, of which nothing is known before they are there.
        better: Which values are good.
    """

    name: str
    metric: str
    column: Column | None
    better: Literal["higher", "lower"]

    @property
    def judge(self) -> str:
        """Label of the judge whose opinion it is; empty for every other number."""
        return self.column.judge if self.column else ""


def refine_column(config: Config, name: str, direction: str | None = None) -> RefineColumn:
    """Return a column by its name.

    Raises:
        ConfigError: No metric of the configuration has it, or nothing says which values are good.
    """
    every: dict[str, MetricProtocol] = {
        metric: load(metric, options) for metric, options in metric_options(config).items()
    }
    known = named_columns({**every, **juries(every)})
    if name not in known or not known[name][0]:
        if name.startswith(PEOPLES):
            return RefineColumn(name, "", None, "lower" if direction == "lower" else "higher")
        known = {n: of for n, of in known.items() if of[0]}
        raise ConfigError(unknown_columns([name], known, every)[0])
    metric, column = known[name]
    better = direction or column.better
    if better not in ("higher", "lower"):
        msg = (
            f"column '{name}' has no better direction: expected to know which values are good; "
            'set direction = "higher" or "lower"'
        )
        raise ConfigError(msg)
    return RefineColumn(name, metric, column, "lower" if better == "lower" else "higher")


def target_of(config: Config, table: RefineTable) -> RefineColumn:
    """Return the column that candidates are chosen by.

    Raises:
        ConfigError: As ``refine_column``; or it is of people's ratings, and has no direction.
    """
    found = refine_column(config, table.target, table.direction)
    if found.column is None and table.direction is None:
        msg = (
            f"column '{found.name}' is not known before people have rated: expected to know which "
            'values are good; set direction = "higher" or "lower"'
        )
        raise ConfigError(msg)
    return found


def worst_by(config: Config, table: RefineTable) -> RefineColumn:
    """Return the column by which the parent's worst replies are found."""
    if table.worst_by in (None, table.target):
        return target_of(config, table)
    return refine_column(config, str(table.worst_by))


def prompts_by_hand(table: RefineTable) -> list[Prompt]:
    """Return the prompts that the table names as candidates."""
    return [load_prompt(name) for name in table.candidates]


def from_file(table: RefineTable, parent: Prompt) -> list[PromptCandidate]:
    """Return the candidates of the table's file; none without one."""
    if table.candidates_file is None:
        return []
    path = Path(table.candidates_file)
    return candidates.from_instructions(candidates.read_instructions(path), parent, path.name)


def check(config: Config, name: str) -> None:
    """Raise what is wrong with a refinement; nothing is loaded but prompts.

    Raises:
        ConfigError: A name leads nowhere, a column is not computed, or the parent cannot be
            changed.
    """
    table = config.refine[name]
    for model in (table.model, table.proposer):
        if model is not None and model not in config.models:
            raise UnknownName("model of this configuration", model, config.models)
        if model is not None and config.model_spec(model).is_human:
            msg = (
                f"model '{model}' is people, who take no prompt: expected a model that answers; "
                "name another"
            )
            raise ConfigError(msg)
    for decoding in (table.decoding, table.proposer_decoding):
        if decoding is not None and decoding not in config.decoding:
            raise UnknownName("decoding", decoding, config.decoding)
    parent = load_prompt(table.parent)
    if PLACE in instruction_of(parent):
        msg = (
            f"prompt '{table.parent}' holds the question in its system message: expected it in the "
            "user's, so that the instruction can be replaced; write it so"
        )
        raise ConfigError(msg)
    made = [*candidates.by_hand(prompts_by_hand(table), parent), *from_file(table, parent)]
    candidates.require_names(candidates.told_apart(made, parent), parent)
    target_of(config, table)
    worst_by(config, table)
    if table.report_by is not None:
        refine_column(config, table.report_by)


def remarks(config: Config, table: RefineTable) -> Iterator[str]:
    """Yield what the author should know of how the outcome is measured."""
    target = target_of(config, table)
    if not target.judge:
        return
    other = refine_column(config, table.report_by) if table.report_by else None
    if other is None or _weights(config, other) in (None, _weights(config, target)):
        yield (
            f"prompts are chosen by {target.judge} ({target.name}) and reported by the same judge: "
            "a prompt may please it without being better; set report_by to a column of another "
            "judge, or let people rate"
        )


def _weights(config: Config, column: RefineColumn) -> tuple[str | None, ...] | None:
    """Return what the judge of a column is made of, whatever it is called; null without one."""
    if not is_judges(column.metric):
        return (column.judge,) if column.judge else None
    model = judge_model(config, config.judges[column.metric.split(":")[1]])
    called = None if model.weights else model.served_name or model.name
    return model.weights, model.revision, model.adapter, called
