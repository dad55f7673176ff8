"""The generate stage: one model, one shard, all of its conditions.

The weights are loaded once, and only if a block is missing. Each finished block is flushed to
the journal of this attempt, of a server each finished row; a shard whose blocks are all there
becomes one piece.
"""

import logging
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from empathy_core import data, store
from empathy_core.backends import Answer, BackendProtocol, Request
from empathy_core.backends.current import CURRENT
from empathy_core.data.contexts import contexts_of
from empathy_core.errors import Damaged
from empathy_core.store import EVALUATED, Journal, JournalBlock, RunDir
from empathy_core.types import GENERATION_VERSION, Condition
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import adapters_of, read_trained
from jobs.stages.first_tokens import check_first_tokens, rows_of_pieces
from jobs.stages.protocol import Listener, Progress

if TYPE_CHECKING:
    from empathy_core.backends.server.backend import ServerBackend

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shard:
    """What one condition's shard consists of."""

    run: RunDir
    condition: Condition
    shard: int
    n_shards: int
    data_digest: str
    wanted: Sequence[int]
    adapter: str | None
    attempt: str = field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
    )

    @property
    def journal(self) -> Path:
        name = f"{self.made_with}{self.attempt}"
        return self.run.journal(self.condition.id, self.shard, self.n_shards, name)

    @property
    def made_with(self) -> str:
        """What the names of journals bear, so that another adapter's blocks are not taken."""
        return f"{self.adapter[:12]}-" if self.adapter else ""

    @property
    def version(self) -> int | None:
        """Of the generation code, where it is not the one that the condition was begun with."""
        begun_with = self.condition.generation_version
        return GENERATION_VERSION if begun_with != GENERATION_VERSION else None

    @property
    def path(self) -> Path:
        return self.run.generation(self.condition.id, self.shard, self.n_shards)

    @property
    def tags(self) -> dict[str, str]:
        tags = {"kind": "generations", "condition": self.condition.id, "data": self.data_digest}
        return tags | ({"adapter": self.adapter} if self.adapter else {})


def generate(run: RunDir, plan: Plan, task: Task, listen: Listener) -> None:
    """Answer every missing block of one shard of a model, under each of its conditions.

    Raises:
        ModelError: The weights cannot be loaded, or one prompt alone does not fit in memory.
        StorageError: The disk is full; the journal keeps what was finished.
    """
    examples = data.load(run).filter(EVALUATED)
    blocks = store.blocks_of_shard(plan.blocks, task.shard, task.n_shards)
    by = adapters_of(plan, read_trained(run, plan))
    works = [
        _Shard(run, c, task.shard, task.n_shards, plan.data_digest, blocks, by.get(c.id))
        for c in plan.of_model(task.key)
    ]
    if works and works[0].condition.model.engine is not None:
        _serve([_Served(work, examples) for work in works], plan.overlong, listen)
        return
    for work in works:
        _finish(work, examples, plan.overlong, listen)


def _backend(work: _Shard, overlong: Any) -> BackendProtocol:
    return CURRENT.get(work.condition.model, overlong, work.run)


def _peaks() -> dict[str, int]:
    """Return the largest memory of this process so far, and of its GPU if it has one, in MB."""
    peaks = {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peaks["gpu_peak_mb"] = int(torch.cuda.max_memory_allocated()) >> 20
    return peaks


def _finish(work: _Shard, examples: pl.DataFrame, overlong: str, listen: Listener) -> None:
    earlier, missing = _left(work)
    if not missing and not earlier.journals:
        return
    journal = Journal(work.journal)
    try:
        for block, done in _answered(work, earlier, missing, examples, overlong):
            journal.append(block, done.rows, done.seconds, done.version)
            earlier.blocks[block] = done
            n_tokens = sum(row["n_output_tokens"] for row in done.rows)
            listen(Progress(len(done.rows), n_tokens))
    except BaseException:
        journal.close()
        raise
    _end(work, earlier, journal, answered=bool(missing))


def _left(work: _Shard) -> tuple["_Resumed", list[int]]:
    """Return what earlier attempts left of a shard, and the blocks that are missing."""
    earlier = _resumed(work)
    missing = [b for b in work.wanted if b not in earlier.blocks and b not in earlier.in_other_cuts]
    log.info("%s: %d blocks found, %d to do", work.condition.id, len(earlier.blocks), len(missing))
    return earlier, missing


def _end(work: _Shard, earlier: "_Resumed", journal: Journal, *, answered: bool) -> None:
    """Write the piece of a shard whose blocks are all there, and remove its journals."""
    if not _made_meanwhile(work):
        _compact(work, earlier.blocks, CURRENT.seconds if answered else 0.0)
    journal.close(delete=True)
    for path in earlier.journals:
        path.unlink(missing_ok=True)


def _answered(
    work: _Shard,
    earlier: "_Resumed",
    blocks: Sequence[int],
    examples: pl.DataFrame,
    overlong: str,
) -> Iterator[tuple[int, JournalBlock]]:
    condition = work.condition
    backend = _backend(work, overlong) if blocks else None
    for block in blocks:
        started = time.monotonic()
        asked = _requests(work, block, examples)
        requests = [r for r in asked if (r.example, r.sample) not in earlier.rows]
        answers = backend.answer(condition, requests) if backend and requests else []
        records = _records(asked, requests, answers, earlier)
        seconds = time.monotonic() - started
        n_tokens = sum(a.n_output_tokens for a in answers)
        log.info(
            "%s block %d: %d rows, %.1f s, %.1f tokens/s%s",
            condition.id,
            block,
            len(records),
            seconds,
            n_tokens / max(seconds, 1e-9),
            f", micro-batch halved {backend.halvings} times"
            if backend and backend.halvings
            else "",
        )
        yield block, JournalBlock(records, seconds, work.version)


def _records(
    asked: Sequence[Request],
    requests: Sequence[Request],
    answers: Sequence[Answer],
    earlier: "_Resumed",
) -> list[dict[str, Any]]:
    """Return the rows of a block, in its order: answers of now, and those that were copied."""
    now = {
        (r.example, r.sample): {"example": r.example, "sample": r.sample, **asdict(a)}
        for r, a in zip(requests, answers, strict=True)
    }
    known = {key: dict(row) for key, (row, _) in earlier.rows.items()}
    return [{**known, **now}[r.example, r.sample] for r in asked]


def _requests(work: _Shard, block: int, examples: pl.DataFrame) -> list[Request]:
    rows = examples.filter(pl.col("block") == block)
    return [
        Request(example, sample, context)
        for example, context in zip(rows["id"], contexts_of(rows), strict=True)
        for sample in range(work.condition.decoding.n_samples)
    ]


@dataclass
class _Served:
    """One condition's shard on a server: rows are kept one by one, whatever block they are of."""

    work: _Shard
    examples: pl.DataFrame

    def __post_init__(self) -> None:
        self.earlier, self.blocks = _left(self.work)
        pairs = [(b, r) for b in self.blocks for r in _requests(self.work, b, self.examples)]
        self._wanted = {(r.example, r.sample): (b, r) for b, r in pairs}
        kept = self.earlier.rows
        self._rows = {key: kept[key] for key in self._wanted if key in kept}
        self.missing = [r for key, (_, r) in self._wanted.items() if key not in self._rows]
        log.info("%s: %d rows to do", self.work.condition.id, len(self.missing))
        self._journal: Journal | None = None

    def check_server(self, server: "ServerBackend") -> None:
        """Refuse a server that is another than the one that made what is there.

        Raises:
            ModelError: It is.
        """
        work = self.work
        if not self.missing or work.condition.decoding.sample:
            return
        contexts = dict(zip(self.examples["id"], contexts_of(self.examples), strict=True))
        check_first_tokens(
            server,
            work.condition,
            chain(
                (row for row, _ in self.earlier.rows.values()),
                (row for done in self.earlier.blocks.values() for row in done.rows),
                rows_of_pieces(work.run, work.condition.id, work.tags),
            ),
            lambda row: Request(row["example"], row["sample"], contexts[row["example"]]),
        )

    def keep(self, place: int, answer: Answer) -> None:
        """Keep the answer to the request at *place* of ``missing``."""
        self._journal = self._journal or Journal(self.work.journal)
        key = self.missing[place].example, self.missing[place].sample
        row = {"block": self._wanted[key][0], "example": key[0], "sample": key[1]}
        row |= asdict(answer)
        self._journal.append_row(row, self.work.version)
        self._rows[key] = row, self.work.version

    def close(self) -> None:
        """Close the journal, whose rows stay."""
        if self._journal:
            self._journal.close()

    def end(self, seconds_a_row: float) -> None:
        """Write the piece, once every row is there."""
        for block in self.blocks:
            mine = [self._rows[key] for key, (b, _) in self._wanted.items() if b == block]
            versions = [version for _, version in mine if version is not None]
            rows, seconds = [dict(row) for row, _ in mine], seconds_a_row * len(mine)
            self.earlier.blocks[block] = JournalBlock(rows, seconds, max(versions, default=None))
        if self.blocks or self.earlier.journals:
            journal = self._journal or Journal(self.work.journal)
            _end(self.work, self.earlier, journal, answered=bool(self.missing))


def _serve(shards: Sequence[_Served], overlong: str, listen: Listener) -> None:
    """Have a server answer what is missing of all conditions, all of it under way together."""
    wanted = [(shard.work.condition, shard.missing) for shard in shards]
    n_rows = sum(len(missing) for _, missing in wanted)
    try:
        # what is loaded for a model with an engine
        server = cast("ServerBackend", _backend(shards[0].work, overlong)) if n_rows else None
        for shard in shards if server else ():
            shard.check_server(cast("ServerBackend", server))
        started = time.monotonic()
        for i, place, answer in server.answers(wanted) if server else ():
            shards[i].keep(place, answer)
            listen(Progress(1, answer.n_output_tokens))
    except BaseException:
        for shard in shards:
            shard.close()
        CURRENT.close()  # a server that died too often is not asked again by the next shard
        raise
    for shard in shards:
        shard.end((time.monotonic() - started) / max(n_rows, 1))


# ---------------------------------------------------------------------------- resume


@dataclass(frozen=True)
class _Resumed:
    """What earlier attempts left.

    Attributes:
        blocks: Finished blocks of this shard.
        in_other_cuts: Blocks in result files of another number of shards.
        journals: Journals of this shard that can go once the piece is written.
        rows: Single rows, of a server's or copied from another run, each with the version of the
            code that made it.
    """

    blocks: dict[int, JournalBlock]
    in_other_cuts: frozenset[int]
    journals: tuple[Path, ...]
    rows: Mapping[store.RowKey, tuple[Mapping[str, Any], int | None]]


def _resumed(work: _Shard) -> _Resumed:
    wanted = set(work.wanted)
    blocks = _of_piece(work)
    in_other_cuts = _in_other_cuts(work)
    own, rows = [], dict[store.RowKey, tuple[Mapping[str, Any], int | None]]()
    folder = work.run.journals(work.condition.id)
    for path in sorted(folder.glob("*.jsonl")):
        layout = re.match(rf"(\d+)-of-(\d+)\.{re.escape(work.made_with)}", path.name)
        if layout is None:
            continue
        mine = int(layout[1]) == work.shard and int(layout[2]) == work.n_shards
        if mine or int(layout[2]) != work.n_shards:
            written = store.read_journal(path)
            blocks |= {b: written[b] for b in written if b in wanted and b not in blocks}
            rows = {**store.read_journal_rows(path), **rows}
        if mine:
            own.append(path)
    return _Resumed(blocks, frozenset(in_other_cuts), tuple(own), rows)


def _in_other_cuts(work: _Shard) -> set[int]:
    """Return the blocks that stand in pieces of another number of shards."""
    others = (
        path
        for path in store.list_pieces(work.run.generations(work.condition.id))
        if not path.stem.endswith(f"-of-{work.n_shards:05d}")
    )
    return {block for path in others for block in store.verify_piece(path).blocks}


def _of_piece(work: _Shard) -> dict[int, JournalBlock]:
    """Return the blocks of this shard's piece, if an earlier plan left one that lacks some."""
    if not work.path.exists():
        return {}
    try:
        _, frame = store.read_piece(work.path)
        versions = store.versions(work.path)
    except Damaged:
        log.warning("%s is damaged and is computed again", work.path)
        work.run.set_aside(work.path)
        return {}
    return {
        block: JournalBlock(rows.to_dicts(), 0.0, versions.get(block))
        for (block,), rows in frame.group_by("block", maintain_order=True)
    }


def _made_meanwhile(work: _Shard) -> bool:
    """Tell whether another copy of this task has written the whole piece: the first one stays.

    Slurm may run an array task twice at once; in half precision on other hardware its text could
    differ, and statistics may have been made of the first already.
    """
    lacking = set(work.wanted) - _in_other_cuts(work)
    try:
        return not lacking or lacking <= set(store.verify_piece(work.path).blocks)
    except Damaged:
        return False


def _compact(work: _Shard, blocks: Mapping[int, JournalBlock], load_s: float) -> None:
    """Write the shard's piece, and its timings beside it."""
    rows = [
        {"condition": work.condition.id, "block": block, **store.ADDED, **row}
        for block in sorted(blocks)
        for row in blocks[block].rows
    ]
    frame = pl.DataFrame(
        {name: [row[name] for row in rows] for name in store.GENERATIONS}, schema=store.GENERATIONS
    )
    seconds = sum(done.seconds for done in blocks.values())
    timing = {
        "rows": len(rows),
        "tokens": int(frame["n_output_tokens"].sum()),
        "seconds": round(seconds, 3),
        "host": socket.gethostname(),
        "load_s": round(load_s, 1),
        **_peaks(),
    }
    store.write_json(timing, work.path.with_suffix(".timing.json"))
    versions = {block: done.version for block, done in blocks.items() if done.version is not None}
    store.write_piece(frame, work.path, work.tags | store.versions_tag(versions))
