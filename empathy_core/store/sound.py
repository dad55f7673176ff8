"""Which pieces of a folder are sound: one rule, for who plans work and for who reports it."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store.pieces import COMPACTED, Piece, list_pieces, read_piece, verify_piece

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class LoadedPiece(Generic[Content]):
    """A piece that could be read and belongs where it lies.

    Attributes:
        content: What its reader made of it.
        excluded: Blocks of it that do not count, since another piece holds them as well.
    """

    piece: Piece
    content: Content
    excluded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """Files that the next sweep sets aside, and why.

    Attributes:
        reason: A sentence that begins with a path.
    """

    paths: tuple[Path, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class CheckedFolder(Generic[Content]):
    """The pieces of one folder.

    Attributes:
        loaded: By name.
        unusable: What cannot be read, belongs elsewhere, or repeats a block.
    """

    loaded: tuple[LoadedPiece[Content], ...]
    unusable: tuple[Unusable, ...]


def check_folder(
    folder: Path,
    tags: Mapping[str, str],
    load: Callable[[Path], tuple[Piece, Callable[[], Content]]],
) -> CheckedFolder[Content]:
    """Return the pieces of *folder* that bear all *tags*, and what is wrong with the others.

    *load* proves a piece and returns it with what reads its content, which is called if the tags
    are right; both raise ``Damaged`` for a file that is not to be used. Of a block that several
    pieces hold the first copy counts if all are equal; if they differ, none can be trusted. Equal
    copies are nothing to complain about if one of the pieces was compacted from others, which
    then have not been removed yet.
    """
    loaded, unusable = _all_loaded(folder, tags, load)
    pieces = [piece for piece, _ in loaded]
    excluded = _excluded(pieces)
    return CheckedFolder(
        tuple(LoadedPiece(*both, tuple(e)) for both, e in zip(loaded, excluded, strict=True)),
        (*unusable, *_repeated(pieces)),
    )


_Loaded = tuple[list[tuple[Piece, Content]], list[Unusable]]


def _all_loaded(
    folder: Path,
    tags: Mapping[str, str],
    load: Callable[[Path], tuple[Piece, Callable[[], Content]]],
) -> _Loaded[Content]:
    for _ in range(_LOOKS):
        loaded: list[tuple[Piece, Content]] = []
        unusable: list[Unusable] = []
        vanished = False
        for path in list_pieces(folder):
            try:
                piece, read = load(path)
                _check_tags(piece, tags)
                loaded.append((piece, read()))
            except Damaged as error:
                if os.path.lexists(path):
                    unusable.append(Unusable((path,), str(error)))
                else:  # compacted since the folder was listed: its rows stand in a newer piece
                    vanished = True
        if not vanished:
            break
    return loaded, unusable


_LOOKS = 5
"""So often a folder is listed anew; then a file that is gone counts for nothing."""


def read_rows(
    folder: Path, wanted: Collection[int] | None = None
) -> tuple[dict[int, str], list[pl.DataFrame]]:
    """Return block → digest, and the rows of the pieces of *folder*, each block once.

    Args:
        folder: May not be there.
        wanted: Blocks to be returned; null means all.

    Raises:
        Damaged: A piece is not what was written.
    """
    for _ in range(_LOOKS):
        digests: dict[int, str] = {}
        frames: list[pl.DataFrame] = []
        vanished = False
        for path in list_pieces(folder):
            try:
                new, frame = _new_rows(path, digests, wanted)
            except Damaged:
                if os.path.lexists(path):
                    raise
                vanished = True
            else:
                digests |= new
                frames += [frame] if new else []
        if not vanished:
            break
    return digests, frames


def _new_rows(
    path: Path, known: Collection[int], wanted: Collection[int] | None
) -> tuple[dict[int, str], pl.DataFrame]:
    """Return block → digest, and the rows of a piece that are wanted and not yet known."""
    piece = verify_piece(path)
    new = {
        block: digest
        for block, digest in piece.blocks.items()
        if block not in known and (wanted is None or block in wanted)
    }
    if not new:
        return new, pl.DataFrame()
    _, frame = read_piece(path)
    whole = len(new) == len(piece.blocks)
    return new, frame if whole else frame.filter(pl.col("block").is_in(list(new)))


def _check_tags(piece: Piece, tags: Mapping[str, str]) -> None:
    for tag, expected in tags.items():
        if piece.tags.get(tag) != expected:
            msg = (
                f"{piece.path} belongs to other work: its {tag} is '{piece.tags.get(tag)}', "
                f"expected '{expected}': run sweep again, which sets it aside"
            )
            raise Damaged(msg)


def _holders(pieces: Sequence[Piece]) -> dict[int, list[int]]:
    """Return block → places in *pieces* of those that hold it, where there are several."""
    holders: dict[int, list[int]] = defaultdict(list)
    for place, piece in enumerate(pieces):
        for block in piece.blocks:
            holders[block].append(place)
    return {block: places for block, places in holders.items() if len(places) > 1}


def _agree(pieces: Sequence[Piece], block: int, places: Sequence[int]) -> bool:
    return len({pieces[place].blocks[block] for place in places}) == 1


def _excluded(pieces: Sequence[Piece]) -> list[list[int]]:
    """Return for each piece the blocks that do not count."""
    excluded: list[list[int]] = [[] for _ in pieces]
    for block, places in _holders(pieces).items():
        for place in places[1:] if _agree(pieces, block, places) else places:
            excluded[place].append(block)
    return excluded


def _repeated(pieces: Sequence[Piece]) -> Iterator[Unusable]:
    """Yield each two pieces that share blocks; where copies differ, neither is to be used."""
    shared: dict[tuple[int, int, bool], list[int]] = defaultdict(list)
    for block, places in _holders(pieces).items():
        agree = _agree(pieces, block, places)
        if agree and any(COMPACTED in pieces[place].tags for place in places):
            continue
        for other in places[1:]:
            shared[places[0], other, agree].append(block)
    for (first, other, agree), blocks in sorted(shared.items()):
        one, two = pieces[first].path, pieces[other].path
        unlike = "" if agree else ", and the copies differ, so that neither is used"
        reason = (
            f"{two} holds {_listed(blocks)} a second time, after {one}{unlike}: "
            "run sweep again, which sets it aside"
        )
        yield Unusable((two,) if agree else (one, two), reason)


def _listed(blocks: Collection[int]) -> str:
    listed = sorted(blocks)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    named = ", ".join(map(str, listed[:5]))
    return f"block{'s' if len(listed) > 1 else ''} {named}{more}"
