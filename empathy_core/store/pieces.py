"""Pieces: parquet files of whole blocks that say what they hold, and can prove it."""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store.files import write_bytes


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
    array = series.to_numpy()
    data = memoryview(array.tobytes())
    return [*parts, (data, [i * array.itemsize for i in range(len(array) + 1)])]


def write_piece(frame: pl.DataFrame, path: Path, tags: Mapping[str, str]) -> None:
    """Write whole blocks of rows as a piece; *frame* is sorted by ``block``.

    Equal frames and tags give equal bytes. The pages are written twice: their checksum stands in
    the footer, which follows them.
    """
    blocks = {str(b): d for b, d in block_digests(frame).items()}
    metadata = {**tags, "blocks": json.dumps(blocks)}
    pages = _checksum(frame_bytes(frame, metadata))
    write_bytes(frame_bytes(frame, {**metadata, "pages": pages}), path)


def frame_bytes(frame: pl.DataFrame, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return *frame* as the bytes of a parquet file; equal frames give equal bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", metadata=dict(metadata or {}))
    return buffer.getvalue()


def _checksum(file: bytes) -> str:
    """Return the SHA-256 of a parquet file up to its footer, whose length stands near the end."""
    footer = int.from_bytes(file[-8:-4], "little") + 8
    return hashlib.sha256(memoryview(file)[: max(len(file) - footer, 0)]).hexdigest()


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
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        msg = f"{path} is damaged ({reason}): run sweep again to compute it anew"
        raise Damaged(msg) from error


def piece(path: Path) -> Piece:
    """Read the metadata of one piece.

    Raises:
        Damaged: The file is cut short, or is not a piece.
    """
    with _damage(path):
        metadata = pl.read_parquet_metadata(path)
        blocks = {int(b): d for b, d in json.loads(metadata["blocks"]).items()}
    own = ("blocks", "pages", "ARROW:schema")
    return Piece(path, blocks, {k: v for k, v in metadata.items() if k not in own})


def read_piece(path: Path) -> tuple[Piece, pl.DataFrame]:
    """Return a piece and its rows, after proving that they are the ones that were written.

    Raises:
        Damaged: The file is not what was written.
    """
    found = piece(path)
    with _damage(path):
        file = path.read_bytes()
        if pl.read_parquet_metadata(io.BytesIO(file))["pages"] != _checksum(file):
            msg = "its checksum differs"
            raise ValueError(msg)
        frame = pl.read_parquet(io.BytesIO(file))
        if block_digests(frame) != dict(found.blocks):
            msg = "its rows differ from their digests"
            raise ValueError(msg)
    return found, frame


def pieces(folder: Path) -> list[Path]:
    """Return the paths of the pieces in *folder*, by name; none if it does not exist."""
    if not folder.is_dir():
        return []
    names = sorted(e.name for e in os.scandir(folder) if e.name.endswith(".parquet"))
    return [folder / name for name in names if not name.startswith(".")]


def dealt(blocks: Iterable[int], shard: int, n_shards: int) -> list[int]:
    """Return the blocks of one shard: dealt round-robin, so that each takes equally long."""
    return [b for b in blocks if b % n_shards == shard]
