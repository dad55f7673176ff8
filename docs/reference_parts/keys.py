"""The keys of a table: names, types, defaults, and what docstrings say of them."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

from pydantic import BaseModel

from reports import spec as report_spec

NO_TEXT = "(not described)"

DESCRIBED_BY: dict[str, tuple[type, ...]] = {
    "ReportTable": (report_spec.Layout, report_spec.Analysis),
}
"""Class of a table → classes of the core whose attributes its keys become, and are described by;
the others say it themselves (``changes_of``)."""


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        kind: Its annotation.
        default: As Python's value; ``dataclasses.MISSING`` where the key is required.
        text: What it means; ``NO_TEXT`` if the code does not say.
    """

    name: str
    kind: Any
    default: Any
    text: str


def attributes(cls: type) -> dict[str, str]:
    """Return attribute → its description in the ``Attributes:`` of the class's docstring."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, there, section = text.partition("\nAttributes:\n")
        if there:
            found |= _entries(section)
    return found


def _entries(section: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        if entry := re.match(r" {4}(\w+): (.*)", line):
            name, found[entry[1]] = entry[1], entry[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def summary(cls: type) -> str:
    """Return the docstring of a class as far as its first section, as paragraphs."""
    text = inspect.cleandoc(cls.__doc__ or "")
    return re.split(r"\n(?:Attributes|Raises|Args):\n", text)[0].strip()


def keys(cls: type) -> list[Key]:
    """Return the keys of a table: of a pydantic model, or of a dataclass."""
    described = _descriptions(cls)
    return [
        Key(name, kind, default, described.get(name, NO_TEXT))
        for name, kind, default in _declared(cls)
    ]


def _core(cls: type) -> tuple[type, ...]:
    """Return the classes of the core that a table changes, the first named last."""
    return (*DESCRIBED_BY.get(cls.__name__, ()), *getattr(cls, "changes_of", ()))[::-1]


def _descriptions(cls: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for core in _core(cls):
        found |= attributes(core)
    found |= attributes(cls)
    if issubclass(cls, BaseModel):
        found |= {n: f.description for n, f in cls.model_fields.items() if f.description}
    return found


def _declared(cls: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each key."""
    hints = get_type_hints(cls, include_extras=True)
    core = {k: v for c in _core(cls) for k, v in _defaults(c)}
    for name, default in _defaults(cls):
        # a table that leaves a key to the core has null for it; the core's default is what holds
        of_core = core.get(name) if default is None else default
        yield name, hints[name], None if default is None and not _says(of_core) else of_core


def _says(default: Any) -> bool:
    return default is not dataclasses.MISSING and default not in ("", (), None)


def _defaults(cls: type) -> Iterator[tuple[str, Any]]:
    if issubclass(cls, BaseModel):
        for name, field in cls.model_fields.items():
            required = field.is_required()
            yield (
                name,
                dataclasses.MISSING if required else field.get_default(call_default_factory=True),
            )
        return
    for field in dataclasses.fields(cls):
        if field.init:
            factory = field.default_factory
            yield field.name, field.default if factory is dataclasses.MISSING else factory()
