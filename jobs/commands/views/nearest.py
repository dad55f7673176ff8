"""What ``explain`` is asked about: a number, a condition, a task; or what it nearly is. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches

from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs.planning.plan import Plan
from jobs.planning.stages import TABLE
from reports.keys import VERSUS, condition_keys
from reports.labels import full_name, row_labels

_TASK = re.compile(rf"(?:{'|'.join(stage.name for stage in TABLE)})-.+-\d{{5}}-of-\d{{5}}")
_ELEMENT = re.compile(r"\S+_\d+")
_MACRO = re.compile(r"\\?res(?:ci|n|p|full)?\{(.+)\}")
_LISTED = 4


def key_of(what: str, plan: Plan, keys: Sequence[str]) -> str | None:
    r"""Return the key that *what* is: of a number, or of a condition by its key, id or label.

    ``\res{…}``, as a paper has it, will do. Null: there is none.
    """
    macro = _MACRO.fullmatch(what.strip())
    plain = macro[1] if macro else what
    conditions = condition_keys(plan.conditions)
    if plain in keys or plain in conditions.values():
        return plain
    return next((k for names, k in _names(plan, conditions) if plain in names), None)


def _names(plan: Plan, conditions: dict[str, str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield how else a condition may be named, and its key."""
    labels = row_labels(plan.conditions)
    for condition in plan.conditions:
        yield (*_ids(condition), full_name(condition, labels)), conditions[condition.id]


def _ids(condition: Condition) -> tuple[str, str]:
    return condition.id, condition.id.rpartition("-")[0]


def is_for_slurm(what: str, plan: Plan) -> bool:
    """Return whether *what* looks like a task or array task, or names what tasks work through."""
    answered = [c for c in plan.conditions if c.id not in plan.not_generated]
    named = {name for c in answered for name in (*_ids(c), c.model.name)}
    named |= {task.key for stage in TABLE for task in stage.tasks(plan)}
    return what in named or bool(_TASK.fullmatch(what) or _ELEMENT.fullmatch(what))


def is_logged(what: str, run: RunDir) -> bool:
    """Return whether *what* is a task that was tried on this machine."""
    return bool(_TASK.fullmatch(what)) and run.log(what).is_file()


def unknown(what: str, plan: Plan, keys: Sequence[str], run: RunDir) -> ConfigError:
    """Return the error of a name that nothing of the run has, with the nearest there are."""
    conditions = condition_keys(plan.conditions)
    mine = [conditions[c.id] for c in plan.conditions if c.model.name == what]
    if mine:
        return ConfigError(
            f"'{what}' is a model: say which of its conditions ({', '.join(mine)}), or a number of "
            f"it ({mine[0]}.<column>)"
        )
    if _TASK.fullmatch(what):
        return ConfigError(
            f"{run.root} has no task '{what}': nothing of that name was submitted to Slurm or "
            "tried on this machine; see status"
        )
    near = nearest(what, [*conditions.values(), *keys])
    table = run.report / "results.csv"
    there = f"all are in the first column of {table}" if keys else "no report is written yet"
    return ConfigError(
        f"no number and no condition of this run is called '{what}'; the nearest: "
        f"{', '.join(near) or 'none'}; {there}; run report first if it is new"
    )


def nearest(what: str, known: Sequence[str]) -> list[str]:
    """Return the names that are most like *what*: case aside, scores before differences."""
    said = what.casefold()
    by_fold: dict[str, str] = {}
    for name in sorted(known, key=lambda k: (VERSUS in k, "@" in k)):
        by_fold.setdefault(name.casefold(), name)
    ends = [k for k in by_fold if k.endswith(f".{said}") or k.startswith(f"{said}.")]
    close = get_close_matches(said, _of_a_kind(said, by_fold), n=_LISTED, cutoff=0.5)
    ordered = sorted(close, key=lambda k: (VERSUS in k, -SequenceMatcher(None, said, k).ratio()))
    near = ends if ends and (not close or "." not in said) else ordered
    return [by_fold[k] for k in near[:_LISTED]]


def _of_a_kind(said: str, known: Iterable[str]) -> list[str]:
    """Return the names with as much in them as *said* has: a difference, a subset."""
    parts = VERSUS in said, "@" in said
    return [k for k in known if (VERSUS in k, "@" in k) == parts] or list(known)
