"""Engines: one TOML file for each server that ships a recipe; the file name is the engine's name.

The keys are the fields of ``empathy_core.types.EngineSettings``.
"""

import tomllib
from pathlib import Path
from typing import Any

from empathy_core.errors import UnknownName
from empathy_core.types import EngineSpec

_HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the engines that ship."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def engine(name: str) -> EngineSpec:
    """Return the engine of that name.

    Raises:
        UnknownName: No file in this folder is called so.
    """
    if name not in names():
        hint = "Or give an engine of your own: command or base_url under [engines.<name>]."
        raise UnknownName("engine", name, [*names(), "hf"], hint)
    return of_table(name, tomllib.loads((_HERE / f"{name}.toml").read_text(encoding="utf-8")))


def of_table(name: str, table: dict[str, Any]) -> EngineSpec:
    """Return the engine that a table of TOML describes.

    Args:
        name: Its name.
        table: Names of ``EngineSettings`` and their values.
    """
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    for key in ("environment", "request"):
        fields[key] = tuple(sorted(dict(fields.get(key, {})).items()))
    return EngineSpec(name=name, **fields)
