"""One folder of pieces → its undamaged rows of one provenance, and sentences about all else.

Knows nothing of metrics and tables; what a piece must bear is told to it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store import Piece, list_pieces, read_piece

KEY = ("example", "sample")
"""What tells one row of a condition from another."""

Problems = list[str]
"""Sentences, each beginning with the path of a file or folder and ending in what to do."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What every piece of a folder must bear.

    Attributes:
        tags: Metadata that must be equal.
        columns: Columns that must be there.
    """

    tags: Mapping[str, str]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
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
    claim: Claim,
    reduce: Callable[[Piece, pl.DataFrame], pl.DataFrame],
    problems: Problems,
) -> Found:
    """Return what is sound in *folder*, and add a sentence to *problems* for what is not.

    *reduce* is applied to each piece at once, so that texts need not stay in memory; it keeps the
    columns of ``KEY`` and ``block``.
    """
    kept: list[tuple[Piece, pl.DataFrame]] = []
    for path in list_pieces(folder):
        try:
            piece, frame = read_piece(path)
        except Damaged as error:
            problems.append(str(error))
            continue
        if wrong := _foreign(piece, frame, claim):
            problems.append(f"{path} {wrong}")
        else:
            kept.append((piece, reduce(piece, frame)))
    extra = _doubled([piece for piece, _ in kept], problems)
    frames = [
        frame.filter(~pl.col("block").is_in(extra[i])) if extra[i] else frame
        for i, (_, frame) in enumerate(kept)
    ]
    return Found(folder, tuple(p for p, _ in kept), _one(frames))


def _one(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all *frames*; ``file`` says of which one each is."""
    if not frames:
        return pl.DataFrame()
    files = pl.Series("file", range(len(frames)), dtype=pl.UInt32)
    heights = pl.Series([frame.height for frame in frames])
    repeated = pl.select(pl.lit(files).repeat_by(heights).explode(empty_as_null=False)).to_series()
    return pl.concat(frames).with_columns(repeated.alias("file"))


def _foreign(piece: Piece, frame: pl.DataFrame, claim: Claim) -> str:
    """Return what shows that a piece does not belong where it lies, and what to do; else empty."""
    away = "move it away and run sweep again"
    for tag, expected in claim.tags.items():
        if piece.tags.get(tag) != expected:
            found = piece.tags.get(tag)
            return f"is foreign: its {tag} is '{found}', expected '{expected}': {away}"
    if lacking := [name for name in claim.columns if name not in frame.columns]:
        return (
            f"is foreign: it has no column {', '.join(lacking)}, as if another version of the "
            "suite had made it: run sweep again, which makes it anew from what is there"
        )
    mixed = set(frame["condition"].unique().to_list()) - {claim.tags["condition"]}
    if mixed:
        found = ", ".join(sorted(map(str, mixed)))
        own = claim.tags["condition"]
        return f"is foreign: it mixes in rows of {found}, expected {own} only: {away}"
    return ""


def _doubled(found: list[Piece], problems: Problems) -> list[list[int]]:
    """Return for each piece the blocks to leave out, since another piece holds them as well.

    The first copy stays if all are equal; if they differ, none can be believed.
    """
    holders: dict[int, list[int]] = defaultdict(list)
    for i, piece in enumerate(found):
        for block in piece.blocks:
            holders[block].append(i)
    extra: list[list[int]] = [[] for _ in found]
    pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for block, (first, *others) in holders.items():
        agree = len({found[i].blocks[block] for i in (first, *others)}) == 1
        for i in others if agree else (first, *others) if others else ():
            extra[i].append(block)
        for other in others:
            pairs[first, other].append(block)
    for (a, b), blocks in sorted(pairs.items()):
        problems.append(
            f"{found[b].path} holds {_some('block', blocks)} a second time, after "
            f"{found[a].path}: move one of the two away and run sweep again"
        )
    return extra


def sound_rows(found: Found, want: pl.DataFrame, problems: Problems) -> pl.DataFrame:
    """Return the rows of *want* that are in *found* exactly once, in the order of *want*.

    Rows that are there twice or that nobody asked for become problems; missing ones do not here.
    """
    rows = found.frame
    if rows.is_empty():
        return want.select(KEY).clear()
    twice = rows.filter(pl.struct(KEY).is_duplicated())
    for path, keys in _by_file(found, twice):
        problems.append(f"{path} holds {_some_rows(keys)} twice: move it away and run sweep again")
    unasked = rows.join(want, on=KEY, how="anti")
    for path, keys in _by_file(found, unasked):
        problems.append(
            f"{path} holds {_some_rows(keys)} that this run does not expect: "
            "move it away and run sweep again"
        )
    once = rows.unique(KEY, keep="none").drop("block", "file")
    return want.select(KEY).join(once, on=KEY, how="inner", maintain_order="left")


def missing_rows(want: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of *want* that are not in *rows*, in order."""
    return want.join(rows.select(KEY), on=KEY, how="anti", maintain_order="left")


def tell_missing(found: Found, lacking: pl.DataFrame, of: int, problems: Problems) -> None:
    """Add a sentence about rows that should be in a folder and are not."""
    if not lacking.is_empty():
        problems.append(
            f"{found.folder} lacks {lacking.height:,} of {of:,} rows "
            f"({_some_rows(lacking)}): run sweep again"
        )


def _by_file(found: Found, rows: pl.DataFrame) -> Iterable[tuple[Path, pl.DataFrame]]:
    for (i,), part in sorted(rows.group_by("file", maintain_order=True), key=lambda item: item[0]):
        yield found.pieces[int(str(i))].path, part


def _some_rows(rows: pl.DataFrame) -> str:
    keys = rows.select(KEY).unique(maintain_order=True)
    named = [f"{e} (sample {s})" if s else str(e) for e, s in keys.head(3).iter_rows()]
    more = f" and {keys.height - 3:,} more" if keys.height > 3 else ""
    return f"{'example' if keys.height == 1 else 'examples'} {', '.join(named)}{more}"


def _some(noun: str, numbers: Collection[int]) -> str:
    listed = sorted(numbers)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    named = ", ".join(map(str, listed[:5]))
    return f"{noun}{'s' if len(listed) > 1 else ''} {named}{more}"
