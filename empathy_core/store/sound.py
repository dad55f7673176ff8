"""Which pieces of a folder are sound: one rule, for who plans work and for who reports it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from empathy_core.errors import Damaged
from empathy_core.store.pieces import Piece, list_pieces

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
    pieces hold the first copy counts if all are equal; if they differ, none can be trusted.
    """
    loaded: list[tuple[Piece, Content]] = []
    unusable: list[Unusable] = []
    for path in list_pieces(folder):
        try:
            piece, read = load(path)
            _check_tags(piece, tags)
            loaded.append((piece, read()))
        except Damaged as error:
            unusable.append(Unusable((path,), str(error)))
    pieces = [piece for piece, _ in loaded]
    excluded = _excluded(pieces)
    return CheckedFolder(
        tuple(LoadedPiece(*both, tuple(e)) for both, e in zip(loaded, excluded, strict=True)),
        (*unusable, *_repeated(pieces)),
    )


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
        for other in places[1:]:
            shared[places[0], other, _agree(pieces, block, places)].append(block)
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
