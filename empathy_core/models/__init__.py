"""Models: one TOML file each; the file name is the model's name.

The keys are the fields of ``empathy_core.types.ModelSpec``.
"""

import tomllib
from pathlib import Path

from empathy_core.errors import UnknownName
from empathy_core.types import ModelSpec

_HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the models that ship."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def model(name: str) -> ModelSpec:
    """Return the model of that name.

    Raises:
        UnknownName: No file in this folder is called so.
    """
    if name not in names():
        hint = "Or give a model of your own: weights and architecture under [models.<name>]."
        raise UnknownName("model", name, names(), hint)
    table = tomllib.loads((_HERE / f"{name}.toml").read_text(encoding="utf-8"))
    for key in ("options", "template_arguments"):
        table[key] = tuple(sorted(table.pop(key, {}).items()))
    return ModelSpec(name=name, **table)
