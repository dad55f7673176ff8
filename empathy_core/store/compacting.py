"""Many small pieces of a folder become few: nothing is lost, whatever is killed and whenever.

What comes of it is as if the work had been cut into fewer shards to begin with: each new piece
holds the blocks that such a shard would, under the name that it would have. The old ones go when
all of the new ones are on the disk and proven; until then readers find every block in either.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store.files import read_json, write_json
from empathy_core.store.pieces import (
    COMPACTED,
    VERSIONS,
    Piece,
    block_digests,
    blocks_of_shard,
    list_pieces,
    read_frame,
    verify_piece,
    write_piece,
)
from empathy_core.store.rundir import shard_name
from empathy_core.store.sound import check_folder

MANY = 100
"""A folder of fewer pieces stays as it is."""

N_COMPACTED = 8
"""Pieces that are left."""

TIMING = ".timing.json"


def compact(folder: Path, tags: Mapping[str, str]) -> int:
    """Make few pieces of the many of *folder*, and return how many were removed.

    Nothing is done where anything is wrong, where the pieces do not say the same of themselves, or
    where there are few. The caller makes sure that nobody writes to *folder*.

    Args:
        folder: Of one condition's answers, or of its statistics under one metric.
        tags: Those that every piece must bear.

    Raises:
        StorageError: The disk is full; every old piece is still there.
    """
    if not can_compact(folder):
        return 0
    old = _old(folder)
    checked = check_folder(folder, tags, lambda path: (verify_piece(path), lambda: None))
    pieces = [one.piece for one in checked.loaded]
    common = _common_tags(pieces)
    if checked.unusable or common is None:
        return 0
    if not all(_write(folder, shard, pieces, common) for shard in range(N_COMPACTED)):
        return 0
    _check_whole(folder, pieces)
    gone = [*old, *_join_timings(folder)]
    for path in gone:
        _remove(path)
    return len(gone)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def can_compact(folder: Path) -> bool:
    """Tell whether a folder holds many pieces, or some that were left when it was compacted."""
    n_old = len(_old(folder))
    return n_old >= MANY or (n_old > 0 and any(_is_compacted(folder / name) for name in _names()))


def _old(folder: Path) -> list[Path]:
    names = _names()
    return [path for path in list_pieces(folder) if path.name not in names]


def _names() -> set[str]:
    return {shard_name(shard, N_COMPACTED) for shard in range(N_COMPACTED)}


def _is_compacted(path: Path) -> bool:
    try:
        return path.exists() and COMPACTED in verify_piece(path).tags
    except Damaged:
        return False


_OF_BLOCKS = (VERSIONS, "inputs")
"""Tags that map a piece's blocks to something, as JSON."""


def _common_tags(pieces: Sequence[Piece]) -> dict[str, str] | None:
    """Return what all *pieces* say of themselves, blocks aside; null if they differ."""
    own = (*_OF_BLOCKS, COMPACTED)
    said = [{k: v for k, v in piece.tags.items() if k not in own} for piece in pieces]
    return said[0] if said and all(tags == said[0] for tags in said) else None


def _write(folder: Path, shard: int, pieces: Sequence[Piece], common: Mapping[str, str]) -> bool:
    """Write one of the new pieces; return False if its rows would not have the same digests.

    Pieces of older versions have other columns: their digests, which scores were made from, hold
    only for files of their own.
    """
    digests = {block: digest for piece in pieces for block, digest in piece.blocks.items()}
    wanted = set(blocks_of_shard(digests, shard, N_COMPACTED))
    path = folder / shard_name(shard, N_COMPACTED)
    frames: list[pl.DataFrame] = []
    parts: list[Piece] = []
    left = set(wanted)
    for piece in pieces:
        if mine := left & set(piece.blocks):
            frame = read_frame(piece.path)
            frames.append(frame.filter(pl.col("block").is_in(sorted(mine))))
            parts.append(piece)
            left -= mine
    if len({tuple(frame.schema.items()) for frame in frames}) != 1:
        return not frames
    rows = pl.concat(frames).sort("block", maintain_order=True)
    if block_digests(rows) != {block: digests[block] for block in sorted(wanted)}:
        return False
    write_piece(rows, path, {**common, **_tags_of(parts, wanted), COMPACTED: "yes"})
    return True


def _tags_of(pieces: Iterable[Piece], blocks: set[int]) -> dict[str, str]:
    """Return the tags of *blocks* that map them to something."""
    joined = {}
    for tag in _OF_BLOCKS:
        of_all = {
            block: value
            for piece in pieces
            for block, value in json.loads(piece.tags.get(tag, "{}")).items()
            if int(block) in blocks
        }
        if of_all:
            joined[tag] = json.dumps(dict(sorted(of_all.items(), key=lambda item: int(item[0]))))
    return joined


def _check_whole(folder: Path, before: Iterable[Piece]) -> None:
    """Prove that the new pieces hold every block as it was.

    Raises:
        Damaged: They do not; the old ones are still there.
    """
    paths = [folder / name for name in sorted(_names()) if (folder / name).exists()]
    held = {b: digest for path in paths for b, digest in verify_piece(path).blocks.items()}
    if any(held.get(b) != digest for piece in before for b, digest in piece.blocks.items()):
        msg = f"{folder} could not be compacted: the new files lack blocks; the old ones are kept"
        raise Damaged(msg)


def _join_timings(folder: Path) -> list[Path]:
    """Write what all the work took into one file, and return those that it stands for.

    Killed in between, a part counts twice: only rates are made of them.
    """
    joined = folder / shard_name(0, N_COMPACTED, TIMING)
    paths = sorted(folder.glob(f"*{TIMING}"))
    if not paths or paths == [joined]:
        return []
    read = []
    for path in paths:
        try:
            read.append(read_json(path))
        except Damaged:  # only rates are made of it
            continue
    write_json(_sums(read), joined)
    return [path for path in paths if path != joined]


_SUMS = ("rows", "tokens", "seconds")


def _sums(timings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = sorted({key for timing in timings for key in timing} - {"host", "hosts"})
    joined: dict[str, Any] = {}
    for key in keys:
        values = [timing[key] for timing in timings if key in timing]
        joined[key] = round(sum(values), 3) if key in _SUMS else max(values)
    hosts = {host for t in timings for host in (*t.get("hosts", ()), t.get("host"))} - {None}
    return joined | {"hosts": sorted(hosts)}
