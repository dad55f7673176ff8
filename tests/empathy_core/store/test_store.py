"""The run directory: pieces, journals, atomic files, the lock."""

import errno
import hashlib
import json
import os
import random
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core import store
from empathy_core.errors import Busy, Damaged, StorageError
from empathy_core.store import Journal, RunDir, files, pieces


def rows(n: int = 40, per_block: int = 8) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "condition": ["c"] * n,
            "example": [f"e-{i}" for i in range(n)],
            "sample": [0] * n,
            "block": [i // per_block for i in range(n)],
            "text": [f"I hear you \u2013 {i} 💙" for i in range(n)],
            "stop": ["eos"] * n,
            "prompt_sha256": ["0"] * n,
            "n_prompt_tokens": [7] * n,
            "n_output_tokens": [9] * n,
            "n_special_tokens": [0] * n,
            "prompt_truncated": [i % 2 == 0 for i in range(n)],
            "output_ids": [list(range(i % 5)) for i in range(n)],
            "thought": ["" if i % 2 else f"thought {i}" for i in range(n)],
            "n_thought_tokens": [i % 2 for i in range(n)],
        },
        schema=store.GENERATIONS,
    )


def test_a_piece_comes_back_as_it_was_written(tmp_path: Path):
    """Rows, blocks and tags survive the round trip."""
    path = tmp_path / "a" / "00000-of-00001.parquet"

    store.write_piece(rows(), path, {"condition": "c"})
    piece, frame = store.read_piece(path)

    assert frame.equals(rows())
    assert sorted(piece.blocks) == [0, 1, 2, 3, 4]
    assert piece.tags == {"condition": "c"}


def test_equal_rows_give_equal_bytes(tmp_path: Path):
    """Shards are reproducible to the byte, however the frame was put together."""
    store.write_piece(rows(), tmp_path / "a.parquet", {"k": "v"})
    parts = pl.concat([rows()[:8], rows()[8:]], rechunk=False)
    store.write_piece(parts, tmp_path / "b.parquet", {"k": "v"})

    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_any_flipped_bit_is_noticed(tmp_path: Path):
    """Of 300 files with one flipped bit, each is either refused or still says the same."""
    path, seed = tmp_path / "a.parquet", random.Random(0)
    store.write_piece(rows(), path, {"k": "v"})
    whole = path.read_bytes()
    n_refused = 0
    for _ in range(300):
        broken = bytearray(whole)
        broken[seed.randrange(len(broken))] ^= 1 << seed.randrange(8)
        path.write_bytes(broken)
        try:
            _, frame = store.read_piece(path)
            assert frame.equals(rows())
        except Damaged:
            n_refused += 1

    assert n_refused > 150


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_piece_that_was_cut_short_is_damaged(tmp_path: Path, keep: float):
    """A truncated file says so, and names the next step."""
    path = tmp_path / "a.parquet"
    store.write_piece(rows(), path, {})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])

    with pytest.raises(Damaged, match="run sweep again"):
        store.read_piece(path)


def test_a_block_digest_depends_on_its_rows_alone():
    """A block has the same digest whatever other blocks stand beside it."""
    alone = store.block_digests(rows().filter(pl.col("block") == 3))

    assert alone[3] == store.block_digests(rows())[3]


def test_a_digest_is_that_of_the_numbers_as_numpy_has_them():
    """Independent of how the bytes are made: little-endian, in order of columns."""
    frame = pl.DataFrame(
        {"block": [0, 0], "n": [5, -7], "yes": [True, False], "x": [0.25, -1e300]},
        schema={"block": pl.Int32, "n": pl.Int64, "yes": pl.Boolean, "x": pl.Float64},
    )
    sha = hashlib.sha256(b"block:Int32,n:Int64,yes:Boolean,x:Float64")
    for values in (
        np.array([0, 0], "<i4"), np.array([5, -7], "<i8"), np.array([1, 0], "u1"),
        np.array([0, 0], "u1"), np.array([0.25, -1e300], "<f8"),  # the first: which are null
    ):  # fmt: skip
        sha.update(values.tobytes())

    assert store.block_digests(frame) == {0: sha.hexdigest()[:16]}


def test_nulls_and_zeros_differ_in_a_digest():
    """A null statistic is not a zero, nor a null text an empty one."""
    base = {"block": pl.Series([0, 0], dtype=pl.Int32)}
    digests = {
        store.block_digests(pl.DataFrame({**base, "x": values}))[0]
        for values in ([0.0, None], [None, 0.0], [0.0, 0.0], ["", None], [None, ""], ["", ""])
    }

    assert len(digests) == 6


def test_a_torn_journal_line_is_as_if_never_written(tmp_path: Path):
    """Cut anywhere, a journal yields exactly the blocks whose lines are whole."""
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    for block in range(3):
        journal.append(block, [{"example": f"é{block}", "text": "line\nbreak"}], 0.5)
    journal.close()
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        assert sorted(store.read_journal(path)) == list(range(sum(end <= cut for end in ends)))


def test_a_damaged_journal_line_is_left_out(tmp_path: Path):
    """A line whose rows were altered does not count; the others do."""
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    for block in range(3):
        journal.append(block, [{"text": f"answer {block}"}], 0.5)
    journal.close()
    path.write_bytes(path.read_bytes().replace(b"answer 1", b"answer X"))

    assert sorted(store.read_journal(path)) == [0, 2]


def test_a_full_disk_leaves_the_old_file_and_no_partial_one(tmp_path: Path, monkeypatch):
    """ENOSPC is a StorageError, and what stood there still stands there."""
    path = tmp_path / "a.json"
    store.write_bytes(b"old", path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        store.write_bytes(b"new", path)

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_stays(tmp_path: Path):
    begin = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from empathy_core import store\n"
        "def at_rename(*_):\n"
        "    print('at rename', flush=True)\n"
        "    sys.stdin.read()\n"
        "os.replace = os.rename = at_rename\n"
        "Path.replace = at_rename\n"
        "store.write_bytes(b'half', Path(sys.argv[1]))\n"
    )
    path = tmp_path / "scores" / "piece.parquet"
    writer = subprocess.Popen(
        [sys.executable, "-c", begin, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout.readline() == b"at rename\n"
    (left,) = path.parent.iterdir()

    assert store.remove_leftovers(tmp_path) == []
    assert left.exists()
    writer.kill()
    writer.wait()
    assert left.exists()
    assert store.remove_leftovers(tmp_path) == [left]
    assert list(path.parent.iterdir()) == []


def test_a_writer_whose_file_is_taken_before_its_lock_writes_again(tmp_path: Path, monkeypatch):
    taken = []

    def slow_lock(descriptor: int) -> bool:
        if not taken:
            taken.append(1)
            with monkeypatch.context() as patch:
                patch.setattr(files, "_lock", really)
                taken.extend(store.remove_leftovers(tmp_path))
        return really(descriptor)

    really = files._lock
    monkeypatch.setattr(files, "_lock", slow_lock)

    store.write_bytes(b"whole", tmp_path / "a.json")

    assert len(taken) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"whole"


def test_a_really_full_disk_is_a_storage_error():
    """/dev/full refuses every write, as a full disk does."""
    journal = Journal.__new__(Journal)
    journal.path = Path("/dev/full")
    journal._descriptor = os.open("/dev/full", os.O_WRONLY)

    with pytest.raises(StorageError, match="no space left"):
        journal.append(0, [{"text": "x"}], 0.0)
    journal.close()


def test_files_and_folders_are_for_their_owner_only(tmp_path: Path):
    """The text is sensitive: folders 0700, files 0600."""
    path = tmp_path / "run" / "generations" / "a.parquet"
    store.write_piece(rows(), path, {})

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_second_planner_waits_and_then_says_so(tmp_path: Path):
    """A held lock is waited for; past the limit the message names what to do."""
    run, holding, release = RunDir(tmp_path), threading.Event(), threading.Event()

    def hold() -> None:
        with run.lock():
            holding.set()
            release.wait(300)

    other = threading.Thread(target=hold)
    other.start()
    assert holding.wait(300)
    try:
        with pytest.raises(Busy, match="run the same command again"), run.lock(timeout_s=0.2):
            pass
    finally:
        release.set()
        other.join()

    with run.lock(timeout_s=300):
        assert (tmp_path / ".lock").exists()


def test_blocks_are_dealt_to_shards_exactly_once():
    """Every block belongs to one shard, whatever the number of shards."""
    for n_shards in range(1, 9):
        dealt = [b for s in range(n_shards) for b in store.blocks_of_shard(range(23), s, n_shards)]
        assert sorted(dealt) == list(range(23))


def test_texts_are_written_as_what_they_are_and_proven_by_their_digest(tmp_path: Path):
    """Without a copy of the file in memory; its digest is that of what is on the disk."""
    frame = pl.DataFrame({"a": ["x" * 50, None, "é"], "n": [1, 2, 3]})

    digest = store.write_texts(frame, tmp_path / "new" / "rows.parquet")

    written = (tmp_path / "new" / "rows.parquet").read_bytes()
    assert digest == hashlib.sha256(written).hexdigest()
    assert pl.read_parquet(written).equals(frame)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rows.parquet"]


def test_a_full_disk_is_told_as_one_when_texts_are_written():
    """The library that writes them does not say it as the operating system does."""
    frame = pl.DataFrame({"a": ["x" * 100] * 10_000})

    with Path("/dev/full").open("wb") as file, pytest.raises(OSError, match="No space") as error:
        pieces._write_texts(frame, file)
    assert error.value.errno == errno.ENOSPC


def test_a_line_of_json_ends_in_a_line_feed_alone(tmp_path: Path) -> None:
    """What is written unescaped may hold characters at which other lines end."""
    told = [{"said": f"a{char}b"} for char in "\u2028\u2029\x85\x1c\x0b\x0c\r\n"]
    for flush, value in zip([True, False] * 4, told, strict=True):
        store.append_json_line(value, tmp_path / "a.jsonl", flush=flush)

    with (tmp_path / "a.jsonl").open(encoding="utf-8", newline="") as file:
        assert [json.loads(line) for line in store.json_lines(file.read())] == told
