"""NLTK's data packages: where they lie, and what is in them. Nothing is downloaded."""

import hashlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from empathy_core.errors import ConfigError

PLACES = {"wordnet": "corpora", "punkt_tab": "tokenizers"}
"""Package → the folder of NLTK's data that holds it, unpacked or as a ``.zip``."""


def require(packages: Sequence[str], folder: str | None, where: str) -> None:
    """Prove that data packages are there; *where*: the dotted name of the metric.

    Raises:
        ConfigError: One of them is not.
    """
    missing = [package for package in packages if _place(package, folder) is None]
    if missing:
        listed = " ".join(missing)
        msg = (
            f"{where} needs NLTK's data {' and '.join(missing)}, which are not in "
            f"{folder or 'any folder where NLTK looks'}: fetch them on a machine with a network "
            f"(python -m nltk.downloader -d FOLDER {listed}), copy FOLDER to where scores are "
            f'made and set {where}.data = "FOLDER"; or do without: synonyms = false and '
            'tokenizer = "13a"'
        )
        raise ConfigError(msg)


@lru_cache(maxsize=8)
def digest_of(package: str, folder: str | None) -> str:
    """Return 12 hex digits that stand for a package: of its files, whether packed or not."""
    place = _place(package, folder)
    if place is None:
        return "missing"
    sha = hashlib.sha256()
    for name, content in sorted(_files(place)):
        sha.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return sha.hexdigest()[:12]


@lru_cache(maxsize=2)
def wordnet(folder: str | None) -> Any:
    """Return NLTK's reader of the English WordNet."""
    from nltk.corpus.reader.wordnet import (  # type: ignore[import-untyped]  # has no stubs
        WordNetCorpusReader,
    )

    _look_in(folder)
    from nltk.data import find  # type: ignore[import-untyped]  # has no stubs

    packed = _place("wordnet", folder)
    inside = "corpora/wordnet.zip/wordnet/" if packed and packed.suffix else "corpora/wordnet"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is WordNet in English alone
        return WordNetCorpusReader(find(inside), None)


def words(text: str, folder: str | None) -> list[str]:
    """Return a text's words as ``nltk.word_tokenize`` finds them, sentence by sentence."""
    from nltk.tokenize import word_tokenize  # type: ignore[import-untyped]  # has no stubs

    _look_in(folder)
    found: list[str] = word_tokenize(text)
    return found


def _look_in(folder: str | None) -> None:
    """Have NLTK look in *folder* first."""
    from nltk import data  # type: ignore[import-untyped]  # has no stubs

    if folder and (place := str(Path(folder).expanduser())) not in data.path:
        data.path.insert(0, place)


def _folders(folder: str | None) -> list[Path]:
    """Return where packages are looked for: *folder* alone, or NLTK's own ``data.path``."""
    if folder:
        return [Path(folder).expanduser()]
    loaded = sys.modules.get("nltk.data")
    return [Path(path) for path in (loaded.path if loaded else default_folders()) if path]


def default_folders() -> list[str]:
    """Return what ``nltk.data.path`` is before anybody changes it.

    NLTK's import takes more than a second, and every command asks where its data are.
    """
    named = [name for name in os.environ.get("NLTK_DATA", "").split(os.pathsep) if name]
    own = [f"{sys.prefix}/{place}" for place in ("", "share/", "lib/")]
    system = [f"/usr/{place}/" for place in ("share", "local/share", "lib", "local/lib")]
    places = [*named, "~/nltk_data", *(f"{place}nltk_data" for place in [*own, *system])]
    return [str(Path(place).expanduser()) for place in places]


def _place(package: str, folder: str | None) -> Path | None:
    """Return the folder or the ``.zip`` of a package; null where there is none."""
    for data in _folders(folder):
        for name in (package, f"{package}.zip"):
            if (found := data / PLACES[package] / name).exists():
                return found
    return None


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name, within the package, and content of each of its files."""
    if place.is_dir():
        for file in (path for path in place.rglob("*") if path.is_file()):
            yield file.relative_to(place).as_posix(), file.read_bytes()
        return
    with ZipFile(place) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                yield entry.filename.partition("/")[2], archive.read(entry)
