"""Many small pieces of a folder become few: nothing is lost, whatever is killed and whenever.

What comes of it is as if the work had been cut into fewer shards to begin with: each new piece
holds the blocks that such a shard would, under the name that it would have. The old ones go when
all of the new ones are on the disk and proven; until then readers find every block in either. What
takes long, the making, changes nothing that is there: nobody need wait for it.
"""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store.files import disk_errors, read_json, sync_dir, write_json
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


Stamps = Mapping[Path, tuple[int, int, int]]
"""File → inode, size and time of its last change, in nanoseconds: written anew, it has others."""


def stamps(folders: Iterable[Path]) -> Stamps:
    """Return those of every piece and timing in *folders*."""
    return {
        Path(entry.path): _stamp(entry.stat())
        for folder in folders
        for entry in (os.scandir(folder) if folder.is_dir() else ())
        if entry.name.endswith((".parquet", TIMING)) and not entry.name.startswith(".")
    }


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class Compacted:
    """New pieces of a folder, which are whole and have not got their names yet.

    Attributes:
        made: Where they are until then: a folder that no reader looks into.
        old: The files that they are made of.
    """

    folder: Path
    made: Path
    old: Stamps

    def put(self) -> Stamps:
        """Give the new pieces their names, and return the stamps of what they stand for.

        Until the old ones are removed, readers find every block in both, and count it once. The
        caller makes sure that nobody writes to the folder, and that it is what it was.

        Raises:
            StorageError: The place cannot be written.
        """
        with disk_errors(self.folder):
            names = sorted(path.name for path in self.made.iterdir())
            for name in names:
                (self.made / name).replace(self.folder / name)
            sync_dir(self.folder)
        return {path: stamp for path, stamp in self.old.items() if path.name not in names}

    def drop(self) -> None:
        """Remove what has not got its name."""
        shutil.rmtree(self.made, ignore_errors=True)


def prepare(folder: Path, tags: Mapping[str, str]) -> Compacted | None:
    """Make few pieces of the many of *folder*, and prove them; nothing that is there is changed.

    Nothing is made where anything is wrong, where the pieces do not say the same of themselves, or
    where there are few. Whoever reads or writes the folder meanwhile is not hindered.

    Args:
        folder: Of one condition's answers, or of its statistics under one metric.
        tags: Those that every piece must bear.

    Raises:
        StorageError: The disk is full.
        Damaged: A file has changed meanwhile.
    """
    if not can_compact(folder):
        return None
    made = Compacted(folder, folder / ".compacted", stamps([folder]))
    made.drop()  # of an attempt that was killed
    try:
        if _make(made, tags):
            return made
    except BaseException:
        made.drop()
        raise
    made.drop()
    return None


def _make(made: Compacted, tags: Mapping[str, str]) -> bool:
    checked = check_folder(made.folder, tags, lambda path: (verify_piece(path), lambda: None))
    pieces = [one.piece for one in checked.loaded]
    common = _common_tags(pieces)
    if checked.unusable or common is None:
        return False
    if not all(_write(made.made, shard, pieces, common) for shard in range(N_COMPACTED)):
        return False
    _check_whole(made.made, pieces)
    _join_timings(made.folder, made.made)
    return True


def remove(old: Stamps, new: Stamps, seconds: float) -> Stamps:
    """Remove old files for some seconds, and return those that are left.

    A file that was written anew since is none of them; where one of the new ones is gone or
    another, nothing more is removed.

    Args:
        old: What is to go.
        new: What stands for it.
        seconds: After so many, whoever waits may go on.
    """
    if any(_now(path) != stamp for path, stamp in new.items()):
        return {}
    deadline, left = time.monotonic() + seconds, dict(old)
    while left and time.monotonic() < deadline:
        path, stamp = left.popitem()
        if _now(path) == stamp:
            _remove(path)
    return left


def _now(path: Path) -> tuple[int, int, int] | None:
    try:
        return _stamp(path.stat())
    except FileNotFoundError:
        return None


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


def _join_timings(folder: Path, into: Path) -> None:
    """Write what all the work took into one file.

    Killed before the others are removed, a part counts twice: only rates are made of them.
    """
    paths = sorted(folder.glob(f"*{TIMING}"))
    if not paths:
        return
    read = []
    for path in paths:
        try:
            read.append(read_json(path))
        except Damaged:  # only rates are made of it
            continue
    write_json(_sums(read), into / shard_name(0, N_COMPACTED, TIMING))


_SUMS = ("rows", "tokens", "seconds")


def _sums(timings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = sorted({key for timing in timings for key in timing} - {"host", "hosts"})
    joined: dict[str, Any] = {}
    for key in keys:
        values = [timing[key] for timing in timings if key in timing]
        joined[key] = round(sum(values), 3) if key in _SUMS else max(values)
    hosts = {host for t in timings for host in (*t.get("hosts", ()), t.get("host"))} - {None}
    return joined | {"hosts": sorted(hosts)}
