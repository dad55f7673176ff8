"""Every table of a configuration."""

import dataclasses
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel

from jobs.config.schema import Config
from reference_parts.keys import keys, summary
from reference_parts.markdown import default_text, key_table, markdown, table
from slurm import profile


def _table_of(kind: Any) -> tuple[type | None, bool]:
    """Return the class of the table that an annotation holds, and whether it is one of many."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType, Annotated):
        for part in inner:
            if (found := _table_of(part))[0]:
                return found
        return None, False
    if origin is dict:
        return _table_of(inner[1])[0], True
    is_table = isinstance(kind, type) and (
        (issubclass(kind, BaseModel) and not issubclass(kind, RootModel))
        or dataclasses.is_dataclass(kind)
    )
    return (kind if is_table else None), False


def tables(cls: type = Config, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield dotted name → class of every table of a configuration, the top level first."""
    yield path, cls
    for key in keys(cls):
        inner, named = _table_of(key.kind)
        if inner is None:
            continue
        below = f"{path}.{key.name}" if path else key.name
        yield from tables(inner, f"{below}.<name>" if named else below)


def configuration() -> str:
    """Return every table of a configuration with its keys."""
    parts, resources = [], []
    for path, cls in tables():
        if cls is profile.Resources:
            resources.append(path)
            continue
        heading = f"### `[{path}]`" if path else "### Top level"
        own = [key for key in keys(cls) if not _table_of(key.kind)[0]]
        if cls is profile.Profile:
            own = [key for key in own if key.name not in profile.Resources.model_fields]
        words = re.sub(r"^`\[\S+\]`[:;] ", "", markdown(summary(cls))) if path else ""
        words = words[:1].upper() + words[1:]
        parts.append("\n\n".join(filter(None, (heading, words, key_table(own)))))
    listed = ", ".join(f"`[{path}]`" for path in resources)
    parts.append(
        f"### `[slurm]` and its stages: resources\n\nThese keys stand in `[slurm]` for all stages, "
        f"and in {listed} for one stage or one model.\n\n{key_table(keys(profile.Resources))}"
        f"\n\nWhat an array task of a stage gets where nothing else is said:\n\n{_standard()}"
    )
    return "\n\n".join(parts)


def _standard() -> str:
    """Return the resources of each stage by default."""
    names = ("time_min", "mem_gb", "cpus", "gpus")
    rows = [
        (f"`{stage}`", *(default_text(getattr(given, name)) for name in names))
        for stage, given in profile.STANDARD.items()
    ]
    return table(("stage", *(f"`{name}`" for name in names)), rows)
