"""Which files a source's path means: one, a pattern of several, or a folder that datasets saved."""

import glob
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empathy_core.data.files import unreadable
from empathy_core.errors import DataError

_WILD = "*?["


def files_of(path: str, split: str, where: str) -> list[Path]:
    """Return the files that a path means, in the order of their names.

    Args:
        path: A file, a pattern such as ``data/*.jsonl``, or a folder of ``save_to_disk``.
        split: Which of the splits of such a folder is read, if it has several.
        where: Dotted name of the table that names it, for what is said.

    Raises:
        DataError: No file fits, or the folder is none of datasets.
    """
    place = Path(path).expanduser()
    if set(path) & set(_WILD) and not place.exists():
        found = sorted(map(Path, glob.glob(str(place), recursive=True)))  # noqa: PTH207
        files = [each for each in found if each.is_file()]
        if not files:
            msg = f"no file fits {path}: expected a pattern of files; correct {where}.path"
            raise DataError(msg)
        return files
    return _saved(place, split, where) if place.is_dir() else [place]


def _saved(folder: Path, split: str, where: str) -> list[Path]:
    """Return the Arrow files of a data set that ``save_to_disk`` wrote."""
    several = folder / "dataset_dict.json"
    if several.is_file():
        known = _json(several).get("splits", [])
        if split not in known:
            msg = (
                f"{folder} has no split '{split}', it has: {', '.join(map(str, known))}; set "
                f"{where}.hub_split to one of them"
            )
            raise DataError(msg)
        folder /= split
    state = folder / "state.json"
    if not state.is_file():
        msg = (
            f"{folder} is a folder: expected one file, or what save_to_disk of datasets wrote; for "
            f'several files set {where}.path = "{folder}/*.parquet" or the like'
        )
        raise DataError(msg)
    return [folder / str(part["filename"]) for part in _json(state).get("_data_files", [])]


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return value if isinstance(value, dict) else {}


def content_digest(digests: Sequence[tuple[str, str]]) -> str:
    """Return the digest of files: of one its own, of several that of their names and digests."""
    if len(digests) == 1:
        return digests[0][1]
    lines = "\n".join(f"{name} {digest}" for name, digest in digests)
    return hashlib.sha256(lines.encode()).hexdigest()
