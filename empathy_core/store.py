"""The run directory: the only code that spells a path in it, and the only code that writes to it.

    <runs>/<name>/
      plans/0001.json                              one per sweep call, never edited
      examples/{examples.parquet,audit.json,data.json}
      generations/<condition>/00003-of-00008.parquet     a piece (+ .timing.json beside it)
      generations/<condition>/journal/*.jsonl            while a shard is at work
      scores/<metric>-<hash>/<condition>/00003-of-00008.parquet
      logs/  report/  set-aside/

A *piece* is a parquet file that holds whole blocks and says in its metadata which ones, with a
digest of each block's rows. Work is done if and only if a piece holds it and the digests agree;
no other marker exists. Files appear by rename, so a reader sees all of one or nothing.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.errors import Busy, Damaged, StorageError

EXAMPLES: dict[str, Any] = {
    "id": pl.String,  # "<source>-<row>", unique in the run
    "context": pl.String,
    "response": pl.String,
    "source": pl.String,
    "row": pl.Int64,  # 0-based row of the raw file
    "raw_sha256": pl.String,  # of the row before cleaning
    "question": pl.String,  # digest of the normalised context: rows that share it are one cluster
    "pair": pl.String,  # digest of the normalised context and response: equal means duplicate
    "author": pl.String,  # who answered, where the source tells; null otherwise
    "split": pl.String,  # train | validation | test
    "block": pl.Int32,  # null: not evaluated in this run
}
"""Schema of ``examples.parquet``: all cleaned rows, in the run's fixed order."""

GENERATIONS: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,  # 0 under greedy decoding
    "block": pl.Int32,
    "text": pl.String,
    "stop": pl.String,  # eos | length | none (text made elsewhere)
    "prompt_sha256": pl.String,  # of the prompt's token ids; empty without a tokenizer
    "n_prompt_tokens": pl.Int32,
    "n_output_tokens": pl.Int32,
    "n_special_tokens": pl.Int32,  # generated special tokens other than the final end token
    "prompt_truncated": pl.Boolean,
    "output_ids": pl.List(pl.Int32),
}
"""Schema of a piece under ``generations/``; tags ``kind``, ``condition``, ``data``."""

SCORES: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "block": pl.Int32,  # the score unit: ``UNIT_BLOCKS`` generation blocks
}
"""Schema of a piece under ``scores/``, before one Float64 column a statistic (null: unscored).

Tags ``kind``, ``condition``, ``data``, ``signature``, and ``inputs``: JSON of ``unit_inputs``.
"""

UNIT_BLOCKS = 8
"""Blocks that are scored together: encoder batches are formed inside a unit and nowhere else, so
that a score does not depend on how units are dealt to workers."""


def unit_inputs(blocks: Mapping[int, str]) -> dict[int, str]:
    """Return score unit → digest of the generated blocks it is made from.

    Args:
        blocks: Generation block → digest of its rows, as a piece's metadata has them.
    """
    units: dict[int, list[str]] = {}
    for block, digest in sorted(blocks.items()):
        units.setdefault(block // UNIT_BLOCKS, []).append(f"{block}:{digest}")
    return {u: hashlib.sha256(" ".join(b).encode()).hexdigest()[:16] for u, b in units.items()}

MODE_DIR, MODE_FILE = 0o700, 0o600
"""The text is sensitive: only its owner reads it."""


# ---------------------------------------------------------------------------- atomic files


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            msg = (
                f"no space left while writing {path}: nothing that was finished is lost; "
                "free some space or raise the quota, then run the same command again"
            )
            raise StorageError(msg) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            msg = f"cannot write {path}: {error.strerror}; choose another place with --runs"
            raise StorageError(msg) from error
        raise


def make_dir(path: Path) -> Path:
    """Create *path* and its missing parents, readable by the owner only, and return it."""
    with _disk_errors(path):
        path.mkdir(mode=MODE_DIR, parents=True, exist_ok=True)
    return path


def write_bytes(data: bytes, path: Path) -> None:
    """Write *data* so that *path* appears whole or not at all.

    The temporary file stands beside *path*, since a rename is atomic only within one file
    system; file and folder are flushed, so that a power cut cannot leave an empty name.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    make_dir(path.parent)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with _disk_errors(path):
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE_FILE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            _sync_dir(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(value: object, path: Path) -> None:
    """Write *value* as indented JSON with sorted keys, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes((text + "\n").encode(), path)


def read_json(path: Path) -> Any:
    """Return the value in *path*.

    Raises:
        Damaged: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}): expected JSON written by sweep; run sweep again"
        raise Damaged(msg) from error


# ---------------------------------------------------------------------------- pieces


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
    """Return (bytes, offsets) pairs: the bytes of rows i to j are ``bytes[offsets[i]:offsets[j]]``."""
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
    broken = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, KeyError, ValueError)
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


# ---------------------------------------------------------------------------- journals


class Journal:
    """An append-only log of finished blocks, one line each, written by one attempt at one shard.

    A line counts once it ends in a newline and its digest agrees, so a line torn by a kill or a
    power cut is as if it had never been.
    """

    def __init__(self, path: Path) -> None:
        make_dir(path.parent)
        with _disk_errors(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, MODE_FILE)
        self.path = path

    def append(self, block: int, rows: Sequence[Mapping[str, object]], seconds: float) -> None:
        """Add a finished block and the time it took, and flush it to the disk."""
        body = json.dumps(rows, ensure_ascii=False)
        check = hashlib.sha256(body.encode()).hexdigest()[:16]
        head = f'{{"block":{block},"seconds":{seconds:.3f},"check":"{check}"'
        line = f'{head},"rows":{body}}}\n'.encode()
        with _disk_errors(self.path):
            written = os.write(self._descriptor, line)
            if written != len(line):  # a nearly full disk takes a part
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._descriptor)

    def close(self, *, delete: bool = False) -> None:
        """Close the journal; *delete* it where its rows stand in a piece."""
        os.close(self._descriptor)
        if delete:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class JournalBlock:
    """One finished block of a journal: its rows, and the seconds it took."""

    rows: list[dict[str, Any]]
    seconds: float


def read_journal(path: Path) -> dict[int, JournalBlock]:
    """Return block → what was finished, of every line that is whole; a torn line is skipped."""
    found: dict[int, JournalBlock] = {}
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # another copy of this element finished and removed it
        return found
    for line in data.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            body = json.dumps(entry["rows"], ensure_ascii=False)
            if hashlib.sha256(body.encode()).hexdigest()[:16] == entry["check"]:
                found.setdefault(entry["block"], JournalBlock(entry["rows"], entry["seconds"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found


# ---------------------------------------------------------------------------- the directory


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one run."""

    root: Path

    @property
    def examples(self) -> Path:
        """All cleaned rows (``EXAMPLES``)."""
        return self.root / "examples" / "examples.parquet"

    @property
    def audit(self) -> Path:
        """The data audit, as JSON."""
        return self.root / "examples" / "audit.json"

    @property
    def data(self) -> Path:
        """What the frozen rows were made from: their identity. Written last of the three."""
        return self.root / "examples" / "data.json"

    @property
    def report(self) -> Path:
        """The tables and the page."""
        return self.root / "report"

    @property
    def logs(self) -> Path:
        """One log for each task."""
        return self.root / "logs"

    def rendering(self, key: str) -> Path:
        """What the planner learned when it rendered one model's prompts."""
        return self.root / "prompts" / f"{key}.json"

    def generations(self, condition: str) -> Path:
        """Folder of a condition's pieces."""
        return self.root / "generations" / condition

    def expected(self, condition: str) -> Path:
        """Which examples a condition covers, where it is not all of them (``example``)."""
        return self.generations(condition) / "expected" / "examples.parquet"

    def generation(self, condition: str, shard: int, n_shards: int) -> Path:
        """A piece of generated rows."""
        return self.generations(condition) / _shard_name(shard, n_shards)

    def journals(self, condition: str) -> Path:
        """Folder of a condition's journals."""
        return self.generations(condition) / "journal"

    def journal(self, condition: str, shard: int, n_shards: int, attempt: str) -> Path:
        """The journal of one attempt at one shard."""
        return self.journals(condition) / f"{_shard_name(shard, n_shards, '')}.{attempt}.jsonl"

    def scores(self, metric: str, condition: str) -> Path:
        """Folder of a condition's per-row statistics under one metric (``<name>-<hash>``)."""
        return self.root / "scores" / metric / condition

    def score(self, metric: str, condition: str, shard: int, n_shards: int) -> Path:
        """A piece of per-row statistics."""
        return self.scores(metric, condition) / _shard_name(shard, n_shards)

    def log(self, task: str) -> Path:
        """The log of one task."""
        return self.logs / f"{task}.log"

    def plans(self) -> list[Path]:
        """Return the plans, oldest first."""
        return sorted((self.root / "plans").glob("[0-9]*.json"))

    def next_plan(self) -> Path:
        """Return the path of the plan to write; call it under the lock."""
        last = self.plans()
        number = int(last[-1].stem) + 1 if last else 1
        return self.root / "plans" / f"{number:04d}.json"

    def set_aside(self, path: Path) -> Path:
        """Move a file that cannot be used out of the way, and return where it is now."""
        relative = path.relative_to(self.root)
        target = self.root / "set-aside" / f"{uuid.uuid4().hex[:8]}-{'-'.join(relative.parts)}"
        make_dir(target.parent)
        shutil.move(path, target)
        return target

    @contextmanager
    def lock(self, timeout_s: float = 30.0) -> Iterator[None]:
        """Hold the planning lock.

        Raises:
            Busy: Another sweep held it for *timeout_s*.
        """
        from filelock import FileLock, Timeout

        make_dir(self.root)
        try:
            with FileLock(self.root / ".lock", timeout=timeout_s, mode=MODE_FILE):
                yield
        except Timeout as error:
            msg = (
                f"another sweep is planning {self.root}: waited {timeout_s:.0f} s for it; "
                "run the same command again when it is done"
            )
            raise Busy(msg) from error


def _shard_name(shard: int, n_shards: int, suffix: str = ".parquet") -> str:
    return f"{shard:05d}-of-{n_shards:05d}{suffix}"


def dealt(blocks: Iterable[int], shard: int, n_shards: int) -> list[int]:
    """Return the blocks of one shard: dealt round-robin, so that each takes equally long."""
    return [b for b in blocks if b % n_shards == shard]
