"""Models: one TOML file each; the file name is the model's name.

The keys are the fields of ``empathy_core.types.ModelSpec``.
"""

import tomllib
from pathlib import Path

from empathy_core.shipped import find, names_in
from empathy_core.types import ModelSpec

_HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the models that ship."""
    return names_in(_HERE)


def model(name: str) -> ModelSpec:
    """Return the model of that name.

    Raises:
        UnknownName: No file in this folder is called so.
    """
    hint = "Or give a model of your own: weights and architecture under [models.<name>]."
    table = tomllib.loads(find("model", name, _HERE, hint).read_text(encoding="utf-8"))
    for key in ("options", "template_arguments"):
        table[key] = tuple(sorted(table.pop(key, {}).items()))
    return ModelSpec(name=name, **table)
