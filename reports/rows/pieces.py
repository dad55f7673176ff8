"""One folder of pieces → its undamaged rows of one provenance, and sentences about all else.

Knows nothing of metrics and tables; its caller says what a piece must have.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store import Piece, check_folder, read_piece
from reports.labels import count, n_of

KEY = ("example", "sample")
"""What identifies one row of a condition."""

Problems = list[str]
"""Sentences, each beginning with the path of a file or folder and ending in what to do."""


@dataclass(frozen=True, slots=True)
class ExpectedPiece:
    """What every piece of a folder must have.

    Attributes:
        tags: Metadata that must be equal.
        columns: Columns that must be there.
    """

    tags: Mapping[str, str]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadedFolder:
    """The pieces of one folder that could be read and belong there.

    Attributes:
        frame: Rows of all pieces; ``file`` is an index into *pieces*.
    """

    folder: Path
    pieces: tuple[Piece, ...]
    frame: pl.DataFrame

    @property
    def blocks(self) -> dict[int, str]:
        """Block → digest of its rows."""
        return {block: d for piece in self.pieces for block, d in piece.blocks.items()}


def read_folder(
    folder: Path,
    expected: ExpectedPiece,
    reduce: Callable[[Piece, pl.DataFrame], pl.DataFrame],
    problems: Problems,
) -> LoadedFolder:
    """Return what is sound in *folder*, and add a sentence to *problems* for what is not.

    *reduce* is applied to each piece at once, so that texts need not stay in memory; it keeps the
    columns of ``KEY`` and ``block``.
    """

    def load(path: Path) -> tuple[Piece, Callable[[], pl.DataFrame]]:
        piece, frame = read_piece(path)

        def content() -> pl.DataFrame:
            _check_rows(piece, frame, expected)
            return reduce(piece, frame)

        return piece, content

    checked = check_folder(folder, expected.tags, load)
    problems += [one.reason for one in checked.unusable]
    frames = [
        one.content.filter(~pl.col("block").is_in(one.excluded)) if one.excluded else one.content
        for one in checked.loaded
    ]
    return LoadedFolder(folder, tuple(one.piece for one in checked.loaded), _one(frames))


def _one(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all *frames*; ``file`` says of which one each is."""
    if not frames:
        return pl.DataFrame()
    files = pl.Series("file", range(len(frames)), dtype=pl.UInt32)
    heights = pl.Series([frame.height for frame in frames])
    repeated = pl.select(pl.lit(files).repeat_by(heights).explode(empty_as_null=False)).to_series()
    return pl.concat(frames).with_columns(repeated.alias("file"))


def _check_rows(piece: Piece, frame: pl.DataFrame, expected: ExpectedPiece) -> None:
    """Raise ``Damaged`` if rows of a piece show that it does not belong where it lies."""
    if lacking := [name for name in expected.columns if name not in frame.columns]:
        msg = (
            f"{piece.path} has no column {', '.join(lacking)}, as if another version of the suite "
            "had made it: run sweep again, which makes it anew from what is there"
        )
        raise Damaged(msg)
    own = expected.tags["condition"]
    named = frame["condition"]
    if named.null_count() or not (named == own).all():
        mixed = set(named.unique().to_list()) - {own}
        others = ", ".join(sorted(map(str, mixed)))
        msg = (
            f"{piece.path} mixes in rows of {others}, expected {own} only: "
            "move it away and run sweep again"
        )
        raise Damaged(msg)


def sound_rows(folder: LoadedFolder, want: pl.DataFrame, problems: Problems) -> pl.DataFrame:
    """Return the rows of *want* that are in *folder* exactly once, in the order of *want*.

    Rows that are there twice or that nobody asked for become problems; missing ones do not here.
    """
    rows = folder.frame
    if rows.is_empty():
        return want.select(KEY).clear()
    wanted = want.select(KEY)
    if rows.height == want.height:
        found = wanted.join(rows.drop("block", "file"), on=KEY, how="inner", maintain_order="left")
        if found.select(KEY).equals(wanted):  # each once: the rest would find nothing
            return found
    twice = rows.filter(pl.struct(KEY).is_duplicated())
    for path, keys in _by_file(folder, twice):
        problems.append(f"{path} holds {_some_rows(keys)} twice: move it away and run sweep again")
    unasked = rows.join(want, on=KEY, how="anti")
    for path, keys in _by_file(folder, unasked):
        problems.append(
            f"{path} holds {_some_rows(keys)} that this run does not expect: "
            "move it away and run sweep again"
        )
    once = rows.unique(KEY, keep="none").drop("block", "file")
    return wanted.join(once, on=KEY, how="inner", maintain_order="left")


def missing_rows(want: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of *want* that are not in *rows*, in order."""
    return want.join(rows.select(KEY), on=KEY, how="anti", maintain_order="left")


def report_missing(
    folder: LoadedFolder, lacking: pl.DataFrame, n_wanted: int, problems: Problems
) -> None:
    """Add a sentence about rows that should be in a folder and are not."""
    if not lacking.is_empty():
        problems.append(
            f"{folder.folder} lacks {n_of(lacking.height, n_wanted)} rows "
            f"({_some_rows(lacking)}): run sweep again"
        )


def _by_file(folder: LoadedFolder, rows: pl.DataFrame) -> Iterable[tuple[Path, pl.DataFrame]]:
    for (i,), part in sorted(rows.group_by("file", maintain_order=True), key=lambda item: item[0]):
        yield folder.pieces[int(str(i))].path, part


def _some_rows(rows: pl.DataFrame) -> str:
    keys = rows.select(KEY).unique(maintain_order=True)
    named = [f"{e} (sample {s})" if s else str(e) for e, s in keys.head(3).iter_rows()]
    more = f" and {count(keys.height - 3)} more" if keys.height > 3 else ""
    return f"{'example' if keys.height == 1 else 'examples'} {', '.join(named)}{more}"
