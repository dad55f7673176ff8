"""Engines: one TOML file for each server that ships a recipe; the file name is the engine's name.

The keys are the fields of ``empathy_core.types.EngineSettings``.
"""

import tomllib
from pathlib import Path
from typing import Any

from empathy_core.shipped import find, names_in
from empathy_core.types import EngineSpec

_HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the engines that ship."""
    return names_in(_HERE)


def engine(name: str) -> EngineSpec:
    """Return the engine of that name.

    Raises:
        UnknownName: No file in this folder is called so.
    """
    hint = "Or give an engine of your own: command or base_url under [engines.<name>]."
    path = find("engine", name, _HERE, hint, also=("hf",))
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    for key in ("environment", "request"):
        fields[key] = tuple(sorted(dict(fields.get(key, {})).items()))
    return EngineSpec(name=name, **fields)
