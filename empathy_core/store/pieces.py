"""Pieces: parquet files of whole blocks that say what they hold, and can prove it."""

import hashlib
import io
import json
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from empathy_core.errors import Damaged, first_line
from empathy_core.store.files import write_bytes, write_through
from empathy_core.store.schemas import ADDED, GENERATIONS


@dataclass(frozen=True, slots=True)
class Piece:
    """What the metadata of one piece claims.

    Attributes:
        blocks: Block number → digest of its rows.
        tags: Everything else that the writer recorded (condition, data, inputs …).
    """

    path: Path
    blocks: Mapping[int, str]
    tags: Mapping[str, str]


def versions(path: Path) -> dict[int, int]:
    """Return block → version of the generation code, where it is not the condition's own.

    Only what a piece says of itself is read; its rows are not proven.

    Raises:
        Damaged: The file is not a piece.
    """
    with _damage(path):
        said = pl.read_parquet_metadata(path).get(VERSIONS, "{}")
        return {int(block): version for block, version in json.loads(said).items()}


def inputs_of(piece: Piece) -> dict[int, str]:
    """Return score unit → digest of the answers that a piece of scores was made from."""
    return {int(unit): digest for unit, digest in json.loads(piece.tags["inputs"]).items()}


def versions_tag(versions: Mapping[int, int]) -> dict[str, str]:
    """Return the tag that ``versions`` reads; none where every block is of the condition's own."""
    listed = {str(block): versions[block] for block in sorted(versions)}
    return {VERSIONS: json.dumps(listed)} if listed else {}


VERSIONS = "generation_versions"
"""Tag that ``versions`` reads."""


COMPACTED = "compacted"
"""Tag of a piece that was made from others, which may not have been removed yet."""


def block_digests(frame: pl.DataFrame) -> dict[int, str]:
    """Return a digest (16 hex digits) of each block's rows, in their order.

    Names, types and values enter, as bytes that no polars release changes. *frame* is sorted by
    ``block``.
    """
    schema = ",".join(f"{name}:{dtype}" for name, dtype in frame.schema.items()).encode()
    columns = [part for series in frame for part in _buffers(series)]
    sizes = frame.group_by("block", maintain_order=True).len()
    digests, start = {}, 0
    for block, size in sizes.iter_rows():
        sha = hashlib.sha256(schema)
        for data, offsets in columns:
            sha.update(data[offsets[start] : offsets[start + size]])
        digests[block] = sha.hexdigest()[:16]
        start += size
    return digests


def _buffers(series: pl.Series) -> list[tuple[memoryview, list[int]]]:
    """Return (bytes, offsets) pairs; ``bytes[offsets[i]:offsets[j]]`` are those of rows i to j."""
    if series.dtype == pl.List:
        lengths = series.list.len()
        (values, offsets), *_ = _buffers(series.explode(empty_as_null=False))
        ends = [0, *lengths.cum_sum().to_list()]
        return [*_buffers(lengths), (values, [offsets[end] for end in ends])]
    if series.dtype == pl.String:
        sizes = series.str.len_bytes().fill_null(2**32 - 1)  # no string is as long: null
        ends = [0, *series.str.len_bytes().fill_null(0).cum_sum().to_list()]
        text = "".join(series.drop_nulls()).encode()
        return [*_buffers(sizes), (memoryview(text), ends)]
    parts = []
    if series.null_count() or series.dtype.is_float():  # a float column may hold nulls elsewhere
        parts = _buffers(series.is_null())
        series = series.fill_null(0)
    # numpy would do the same, and takes as long to import as everything else an element needs
    numbers = array(_CODES[series.dtype], series.to_list())
    data = memoryview(numbers.tobytes())
    return [*parts, (data, [i * numbers.itemsize for i in range(len(numbers) + 1)])]


_CODES: dict[Any, str] = {
    pl.Boolean: "B", pl.Int32: "i", pl.UInt32: "I", pl.Int64: "q", pl.Float64: "d",
}  # fmt: skip
"""Type of a column → how ``array`` calls numbers of its size."""


def write_piece(frame: pl.DataFrame, path: Path, tags: Mapping[str, str]) -> None:
    """Write whole blocks of rows as a piece; *frame* is sorted by ``block``.

    Equal frames and tags give equal bytes. Every byte of the file is covered by a checksum that
    stands in its footer, and that was zeros while it was computed.
    """
    blocks = {str(b): d for b, d in block_digests(frame).items()}
    metadata = {**tags, "blocks": json.dumps(blocks), "check": _ZEROS}
    file = frame_bytes(frame, metadata)
    check = hashlib.sha256(file).hexdigest()
    write_bytes(file.replace(_ZEROS.encode(), check.encode()), path)


_ZEROS = "0" * 64


def frame_bytes(frame: pl.DataFrame, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return *frame* as the bytes of a parquet file; equal frames give equal bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", metadata=dict(metadata or {}))
    return buffer.getvalue()


def write_texts(frame: pl.DataFrame, path: Path) -> str:
    """Write a large frame of texts as a parquet file, and return the file's SHA-256.

    It is never whole in memory, and compressed less than pieces are: a tenth more space in half
    of the time.
    """
    write_through(partial(_write_texts, frame), path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_texts(frame: pl.DataFrame, file: BinaryIO) -> None:
    """Write a frame into a file.

    Raises:
        OSError: The disk is full, or whatever else the operating system has against it.
    """
    try:
        frame.write_parquet(file, compression="zstd", compression_level=1)
    except pl.exceptions.PolarsError as error:
        if known := re.search(r"os error (\d+)", str(error)):
            number = int(known[1])
            raise OSError(number, os.strerror(number)) from error
        raise


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    broken = (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        OSError,
        KeyError,
        ValueError,
    )
    try:
        yield
    except broken as error:
        reason = first_line(error)[:120]
        msg = f"{path} is damaged ({reason}): run sweep again to compute it anew"
        raise Damaged(msg) from error


def verify_piece(path: Path) -> Piece:
    """Return what one piece says of itself, after proving that it is what was written.

    Raises:
        Damaged: The file is cut short, altered, or not a piece.
    """
    return _proven(path)[0]


def read_piece(path: Path) -> tuple[Piece, pl.DataFrame]:
    """Return a piece and its rows, after proving that they are the ones that were written.

    Answers that an older version wrote get the columns that they lack (``schemas.ADDED``).

    Raises:
        Damaged: The file is not what was written.
    """
    found, frame = _proven_rows(path)
    return found, with_added(frame) if found.tags.get("kind") == "generations" else frame


def read_frame(path: Path) -> pl.DataFrame:
    """Return a piece's rows just as they were written, after proving that they are the ones.

    Raises:
        Damaged: The file is not what was written.
    """
    return _proven_rows(path)[1]


def _proven_rows(path: Path) -> tuple[Piece, pl.DataFrame]:
    found, file = _proven(path)
    with _damage(path):
        return found, pl.read_parquet(io.BytesIO(file))


def with_added(frame: pl.DataFrame) -> pl.DataFrame:
    """Return answers with the columns that those of older versions lack."""
    lacking = {name: value for name, value in ADDED.items() if name not in frame.columns}
    added = (pl.lit(v, GENERATIONS[name]).alias(name) for name, v in lacking.items())
    return frame.with_columns(*added) if lacking else frame


def _proven(path: Path) -> tuple[Piece, bytes]:
    with _damage(path):
        file = path.read_bytes()
        metadata = pl.read_parquet_metadata(io.BytesIO(file))
        tags = {k: v for k, v in metadata.items() if k not in ("check", "ARROW:schema")}
        check = metadata["check"]
        if hashlib.sha256(file.replace(check.encode(), _ZEROS.encode())).hexdigest() != check:
            msg = "its checksum differs"
            raise ValueError(msg)
        blocks = {int(b): d for b, d in json.loads(tags.pop("blocks")).items()}
    return Piece(path, blocks, tags), file


def list_pieces(folder: Path) -> list[Path]:
    """Return the paths of the pieces in *folder*, by name; none if it does not exist."""
    if not folder.is_dir():
        return []
    names = sorted(e.name for e in os.scandir(folder) if e.name.endswith(".parquet"))
    return [folder / name for name in names if not name.startswith(".")]


def blocks_of_shard(blocks: Iterable[int], shard: int, n_shards: int) -> list[int]:
    """Return the blocks of one shard: dealt round-robin, so that each takes equally long."""
    if isinstance(blocks, range) and (blocks.start, blocks.step) == (0, 1):
        return list(blocks[shard::n_shards])  # the same, without a look at those of the others
    return [b for b in blocks if b % n_shards == shard]
