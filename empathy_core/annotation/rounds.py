"""Where a round lies, and how its frames are written and read."""

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.annotation.frames import KEY, RATINGS, SAMPLE
from empathy_core.errors import Damaged
from empathy_core.store import RunDir, make_dir, write_bytes, write_json
from empathy_core.store.rundir import one_name

KINDS = ("ratings", "adjudication", "refinement")
"""What a round is for: the first ones, the settling of flags, or the next ones of low answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was asked in a round: ``round.json``, written last of its files.

    Attributes:
        name: ``round-001``, …
        kind: One of ``KINDS``.
        of: Name of the round that it follows from; empty for the first.
        conditions: Ids, of those that are compared.
        dimensions: (rubric, dimension, ``dimension_digest``) of every question.
        raters: Pseudonyms.
        raters_per_item: How many rate each answer.
        data: Digest of the run's rows.
        seed: Of the drawing.
        settings: What else ``[annotate]`` said.
    """

    name: str
    kind: str = "ratings"
    of: str = ""
    conditions: tuple[str, ...]
    dimensions: tuple[tuple[str, str, str], ...]
    raters: tuple[str, ...]
    raters_per_item: int
    data: str
    seed: int
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RoundDir:
    """The paths of one round."""

    root: Path

    @classmethod
    def of(cls, run: RunDir, name: str) -> "RoundDir":
        """Return those of the round *name* of *run*."""
        return cls(run.annotation / one_name(name))

    @property
    def record(self) -> Path:
        """``Round``, as JSON."""
        return self.root / "round.json"

    @property
    def sample(self) -> Path:
        """``SAMPLE``."""
        return self.root / "sample.parquet"

    @property
    def key(self) -> Path:
        """``KEY``."""
        return self.root / "key.parquet"

    @property
    def secret(self) -> Path:
        """Key of the items' names: 32 random bytes."""
        return self.root / "secret"

    @property
    def ratings(self) -> Path:
        """``RATINGS``; not there before the first import."""
        return self.root / "ratings.parquet"

    @property
    def imports(self) -> Path:
        """What every import found and repaired, a JSON line each."""
        return self.root / "imports.jsonl"

    @property
    def raw(self) -> Path:
        """Imported files as they came, ``<sha256>-<name>``."""
        return self.root / "raw"

    @property
    def names(self) -> Path:
        """Whom names in imported files mean: keyed digest → pseudonym, as JSON."""
        return self.root / "names.json"

    @property
    def packets(self) -> Path:
        """What raters get, a folder each."""
        return self.root / "packets"

    def packet(self, rater: str) -> Path:
        """Folder of what one rater gets."""
        return self.packets / one_name(rater)


def write_round(run: RunDir, of: Round, sample: pl.DataFrame, key: pl.DataFrame) -> RoundDir:
    """Write a round's frames, then its record; the key is its owner's alone."""
    folder = RoundDir.of(run, of.name)
    make_dir(folder.root)
    _write(folder.sample, sample, SAMPLE)
    _write(folder.key, key, KEY, private=True)
    write_json(asdict(of), folder.record)
    return folder


def write_ratings(folder: RoundDir, ratings: pl.DataFrame) -> None:
    """Write the ratings of a round, whole."""
    _write(folder.ratings, ratings, RATINGS)


def read_rounds(run: RunDir) -> dict[str, Round]:
    """Return name → round of all rounds that are there, oldest first.

    Raises:
        Damaged: A record cannot be read.
    """
    found = {}
    for path in sorted(run.annotation.glob("*/round.json")):
        try:
            given = json.loads(path.read_bytes())
            given["dimensions"] = tuple(map(tuple, given["dimensions"]))
            for name in ("conditions", "raters"):
                given[name] = tuple(given[name])
            found[path.parent.name] = Round(**given)
        except (OSError, ValueError, TypeError, KeyError) as error:
            msg = (
                f"{path} cannot be read ({error}): expected the record of a round of ratings; "
                "restore it from a copy, or move its folder away"
            )
            raise Damaged(msg) from error
    return found


def read_ratings(run: RunDir) -> pl.DataFrame:
    """Return the ratings of all rounds (``RATINGS``), oldest round first; empty without any.

    Raises:
        Damaged: A file cannot be read.
    """
    frames = [pl.DataFrame(schema=RATINGS)]
    frames += (read_round_ratings(RoundDir.of(run, name)) for name in read_rounds(run))
    return pl.concat(frames)


def read_round_ratings(folder: RoundDir) -> pl.DataFrame:
    """Return the ratings of one round (``RATINGS``); empty before the first import.

    Raises:
        Damaged: The file cannot be read.
    """
    return (
        _read(folder.ratings, RATINGS) if folder.ratings.exists() else pl.DataFrame(schema=RATINGS)
    )


def read_sample(folder: RoundDir) -> pl.DataFrame:
    """Return which questions a round chose from (``SAMPLE``)."""
    return _read(folder.sample, SAMPLE)


def read_key(folder: RoundDir) -> pl.DataFrame:
    """Return what every item of a round is (``KEY``)."""
    return _read(folder.key, KEY)


def _read(path: Path, schema: dict[str, Any]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=list(schema)).cast(pl.Schema(schema))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0][:120]
        msg = f"{path} cannot be read ({reason}): expected a round's rows; restore it from a copy"
        raise Damaged(msg) from error


def _write(
    path: Path, frame: pl.DataFrame, schema: dict[str, Any], *, private: bool = False
) -> None:
    buffer = io.BytesIO()
    frame.select(list(schema)).cast(pl.Schema(schema)).write_parquet(buffer)
    write_bytes(buffer.getvalue(), path, private=private)
