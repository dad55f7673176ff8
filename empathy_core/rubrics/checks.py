"""What a table must be to be a rubric: every problem of it, in words. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter, ValidationError

from empathy_core.rubrics.spec import (
    NOT_APPLICABLE,
    Anchor,
    Dimension,
    Rubric,
    Threshold,
    Tier,
)
from empathy_core.visible import nothing_visible

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_TABLES = {"dimensions": Dimension, "anchors": Anchor, "tiers": Tier, "thresholds": Threshold}
_RUBRIC = TypeAdapter(Rubric)
_EXPECTED = {
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list",
    "dataclass_type": "a table of keys and values",
}
"""What pydantic found that it was not → what it should have been."""


def checked(name: str, table: dict[str, Any]) -> tuple[Rubric | None, list[str]]:
    """Return the rubric that a table describes, null if it is none, and what is wrong with it.

    Args:
        name: Its name; the table has none.
        table: Names of ``Rubric`` and their values, as TOML has them.
    """
    if "name" in table:
        return None, ["key 'name' is given; expected none, since the file's name is the rubric's"]
    try:
        # as JSON, which has lists and tables only: strict types then take these for ours
        rubric = _RUBRIC.validate_json(json.dumps({"name": name, **table}, default=str))
    except ValidationError as error:
        return None, [_explained(problem, table) for problem in error.errors()]
    return rubric, list(_problems(rubric))


def _explained(error: Any, table: dict[str, Any]) -> str:
    """Return one problem of pydantic's: where, what is wrong, what is allowed, the closest."""
    *place, key = error["loc"]
    where = _path(error["loc"], table)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        owners = [_TABLES[part] for part in place if part in _TABLES]
        allowed = [f.name for f in fields(owners[-1] if owners else Rubric)]
        allowed = allowed if owners else [name for name in allowed if name != "name"]
        close = get_close_matches(str(key), allowed, n=1, cutoff=0.5)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        return f"{where}: unknown key.{guess} Expected one of {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{where}: missing; this key is required"
    given = repr(error.get("input"))[:60]
    if error["type"] in _EXPECTED:
        return f"{where}: is {given}; expected {_EXPECTED[error['type']]}"
    if key == "direction":
        return f"{where}: is {given}; expected 'higher', 'lower', or 'none' for a profile"
    return f"{where}: {error['msg'][0].lower()}{error['msg'][1:]} (given: {given})"


def _path(loc: Sequence[str | int], table: Any) -> str:
    """Return a dotted path in which entries of a list have their name if they have one."""
    parts = []
    for part in loc:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            table = None
        named = isinstance(part, int) and isinstance(table, dict)
        parts.append(str(table.get("name", table.get("label", part)) if named else part))
    return ".".join(parts)


def _problems(rubric: Rubric) -> Iterator[str]:
    if not _NAME.fullmatch(rubric.name):
        yield (
            f"its file's name '{rubric.name}' cannot be the name of a folder; expected letters "
            "(a to z, A to Z), digits, '_' and '-', first a letter or digit"
        )
    if rubric.single_reply and not rubric.dimensions:
        yield "dimensions: there are none; expected at least one table [[dimensions]]"
    if not rubric.single_reply and not rubric.why_not_single_reply:
        yield "why_not_single_reply: missing; expected the reason, since single_reply is false"
    if rubric.single_reply and rubric.why_not_single_reply:
        yield "why_not_single_reply: given, but single_reply is true; expected one of the two"
    yield from _empty("", rubric, ("label", "origin", "licence", "instruction"))
    yield from _twice("dimensions", [dimension.name for dimension in rubric.dimensions])
    yield from _twice("tiers", [tier.name for tier in rubric.tiers])
    for tier in rubric.tiers:
        yield from _empty(f"tiers.{tier.name}.", tier, ("name", "text"))
    yield from _of_pairs(rubric) if rubric.pairwise else ()
    yield from _of_thresholds(rubric)
    for dimension in rubric.dimensions:
        yield from _of_dimension(rubric, dimension)


def _of_pairs(rubric: Rubric) -> Iterator[str]:
    """Yield what is wrong with questions about two replies."""
    if rubric.single_reply:
        yield "pairwise: is true, and so is single_reply; expected one of the two"
    for dimension in rubric.dimensions:
        if dimension.values != (0, 1) or len(dimension.labels) != 2:
            yield (
                f"dimensions.{dimension.name}.anchors: the scale is {list(dimension.labels)}; "
                "expected two points, 0 for reply A and 1 for reply B, and no 'not applicable'"
            )


def _of_thresholds(rubric: Rubric) -> Iterator[str]:
    yield from _twice("thresholds", [threshold.name for threshold in rubric.thresholds])
    for threshold in rubric.thresholds:
        where = f"thresholds.{threshold.name}."
        yield from _empty(where, threshold, ("label",))
        if not _NAME.fullmatch(threshold.name):
            yield (
                f"{where}name: cannot be a name; expected letters (a to z, A to Z), digits, '_' "
                "and '-', first a letter or digit"
            )
        for dimension in rubric.dimensions:
            inner = dimension.values[1:]
            if any(_of_scale("", dimension.anchors)):
                continue  # what is wrong with the scale is said; of no use is what follows from it
            if threshold.at_least not in inner:
                yield (
                    f"{where}at_least: is {threshold.at_least}, of which '{dimension.name}' has no "
                    f"point above its lowest; expected one of {', '.join(map(str, inner))}"
                )


def _of_dimension(rubric: Rubric, dimension: Dimension) -> Iterator[str]:
    where = f"dimensions.{dimension.name}."
    if not _NAME.fullmatch(dimension.name):
        yield (
            f"{where}name: cannot be a name; expected letters (a to z, A to Z), digits, '_' and "
            "'-', first a letter or digit"
        )
    yield from _empty(where, dimension, ("label", "question"))
    yield from _of_scale(f"{where}anchors", dimension.anchors)
    known = [tier.name for tier in rubric.tiers]
    for name in dimension.tiers:
        if name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.5)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            listed = ", ".join(known) or "none; add [[tiers]] of name and text"
            yield f"{where}tiers: unknown tier '{name}'.{guess} Expected of: {listed}"


def _of_scale(where: str, anchors: tuple[Anchor, ...]) -> Iterator[str]:
    """Yield what is wrong with the points of one scale."""
    if len(anchors) < 2:
        count = "one point" if anchors else "no point"
        yield f"{where}: the scale has {count}; expected two or more, each with value, label, text"
    for anchor in anchors:
        yield from _empty(f"{where}.{anchor.label}.", anchor, ("label", "text"))
    values = [anchor.value for anchor in anchors]
    if any(here >= following for here, following in pairwise(values)):
        yield f"{where}: the values are {values}; expected each to be above the one before it"
    for here, following in pairwise(values):
        if following > here + 1:
            yield f"{where}: no anchor has the value {here + 1}; expected one at every point"
    labels = [anchor.label.casefold() for anchor in anchors]
    yield from _twice(f"{where} (labels)", labels)
    if NOT_APPLICABLE.casefold() in labels:
        yield (
            f"{where}: the label '{NOT_APPLICABLE}' stands for 'not applicable'; expected another"
        )


def _empty(where: str, table: Any, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        if nothing_visible(getattr(table, key)):
            yield f"{where}{key}: nothing in it is visible; expected a text"


def _twice(where: str, names: Sequence[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}: '{name}' is there {names.count(name)} times; expected once"
