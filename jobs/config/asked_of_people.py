"""What ``[annotate]`` names: rubrics that people may be asked, and the conditions compared."""

from collections.abc import Sequence

from empathy_core import rubrics
from empathy_core.errors import ConfigError
from empathy_core.rubrics.spec import Rubric
from empathy_core.types import Condition
from jobs.config import contrasts
from jobs.config.annotate import AnnotateTable
from jobs.config.judges import chosen_rubrics


def rubrics_asked(table: AnnotateTable) -> tuple[Rubric, ...]:
    """Return the rubrics with the dimensions that people are asked.

    Raises:
        UnknownName: A rubric or a dimension is not there.
        ConfigError: A rubric may not be asked of a single reply, or none is named.
    """
    if not table.rubrics:
        msg = (
            "annotate.rubrics names no rubric, so that there is nothing to rate answers on; "
            f'expected one or more of {", ".join(rubrics.names())}; set annotate.rubrics = ["…"]'
        )
        raise ConfigError(msg)
    found = tuple(chosen_rubrics(table.rubrics, table.dimensions))
    for rubric in found:
        rubrics.require_single_reply(rubric)
    return found


def conditions_asked(
    table: AnnotateTable, conditions: Sequence[Condition]
) -> tuple[Condition, ...]:
    """Return the conditions of a run that are compared, in the run's order.

    Raises:
        ConfigError: A name is of none of them.
    """
    if not table.conditions:
        return tuple(conditions)
    chosen = set()
    for selector in table.conditions:
        named = {condition.id for condition in contrasts.selected(selector, conditions)}
        if not named:
            known = dict.fromkeys(f"{c.model.name}.{c.prompt.name}" for c in conditions)
            msg = (
                f"annotate.conditions: '{selector}' is no condition of this run; expected a model, "
                f"or one of {', '.join(known)}; correct it, or run sweep with that model first"
            )
            raise ConfigError(msg)
        chosen |= named
    return tuple(condition for condition in conditions if condition.id in chosen)
