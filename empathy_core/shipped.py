"""What ships as one TOML file each: the name of the file is the name by which it is asked for."""

from collections.abc import Iterable
from pathlib import Path

from empathy_core.errors import UnknownName


def names_in(folder: Path) -> list[str]:
    """Return the names of what ships in *folder*, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def find(kind: str, name: str, folder: Path, hint: str, also: Iterable[str] = ()) -> Path:
    """Return the file of what is called so.

    Args:
        kind: What is looked up, e.g. ``prompt``.
        name: As given.
        folder: Where it ships.
        hint: What else may be done.
        also: Names that are known without a file.

    Raises:
        UnknownName: No file in *folder* is called so.
    """
    known = names_in(folder)
    if name not in known:
        raise UnknownName(kind, name, [*known, *also], hint)
    return folder / f"{name}.toml"
