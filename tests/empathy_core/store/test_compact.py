"""Many pieces become few: the same rows with the same digests, whenever the work is killed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.store import compacting

N_PIECES = 120
TAGS = {"kind": "generations", "condition": "c", "data": "d"}


def piece_rows(blocks: list[int]) -> pl.DataFrame:
    """Return two answers a block, one of them with an empty list."""
    n = 2 * len(blocks)
    values = {
        "condition": ["c"] * n,
        "example": [f"e-{block}-{i}" for block in blocks for i in range(2)],
        "block": [block for block in blocks for _ in range(2)],
        "text": [f"answer {i} 💙" for i in range(n)],
        "stop": ["eos"] * n,
        "prompt_sha256": [""] * n,
        "output_ids": [list(range(i % 2)) for i in range(n)],
        "thought": [""] * n,
        "prompt_truncated": [False] * n,
    }
    numbers = (name for name, dtype in store.GENERATIONS.items() if dtype == pl.Int32)
    columns = {**{name: [0] * n for name in numbers}, **values}
    return pl.DataFrame(
        {name: columns[name] for name in store.GENERATIONS}, schema=store.GENERATIONS
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pieces of two blocks each, one block of another version, and their timings."""
    folder = tmp_path_factory.mktemp("many")
    for shard in range(N_PIECES):
        name = f"{shard:05d}-of-{N_PIECES:05d}"
        tags = TAGS | store.versions_tag({shard: 2} if shard == 7 else {})
        store.write_piece(piece_rows([shard, shard + N_PIECES]), folder / f"{name}.parquet", tags)
        timing = {"rows": 4, "tokens": 8, "seconds": 0.5, "host": f"n{shard % 2}", "peak_mb": shard}
        store.write_json(timing, folder / f"{name}.timing.json")
    return folder


@pytest.fixture
def folder(many: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(many, tmp_path / "c"))


def compact(folder: Path) -> int:
    """Do all of it, and return how many files were removed."""
    made = compacting.prepare(folder, TAGS)
    if made is None:
        return 0
    old = made.put()
    made.drop()
    new = {k: v for k, v in compacting.stamps([folder]).items() if k not in old}
    assert compacting.remove(old, new, seconds=60) == {}
    return len(old)


def sound(folder: Path) -> tuple[dict[int, str], list[str]]:
    """Return block → digest of what counts in *folder*, each once, and what is complained about."""
    checked = store.check_folder(
        folder, TAGS, lambda path: (store.verify_piece(path), lambda: None)
    )
    counted = [
        (block, digest)
        for one in checked.loaded
        for block, digest in one.piece.blocks.items()
        if block not in one.excluded
    ]
    assert len(counted) == len(dict(counted))
    return dict(counted), [one.reason for one in checked.unusable]


def all_rows(folder: Path) -> pl.DataFrame:
    """Return every row that ``read_rows`` returns, in order."""
    _, frames = store.read_rows(folder)
    return pl.concat(frames).sort("block", "example")


def test_many_pieces_become_few_with_the_same_rows_and_digests(folder: Path):
    """Rows, digests, tags and versions are the same; files are few."""
    before, rows = sound(folder), all_rows(folder)

    n_gone = compact(folder)

    names = sorted(path.name for path in folder.iterdir())
    pieces = [f"{k:05d}-of-00008.parquet" for k in range(8)]
    assert names == sorted([*pieces, "00000-of-00008.timing.json"])
    assert n_gone == 2 * N_PIECES
    assert sound(folder) == before
    assert all_rows(folder).equals(rows)
    versions = [store.versions(path) for path in store.list_pieces(folder)]
    assert versions == [{7: 2} if k == 7 else {} for k in range(8)]
    assert sorted(store.verify_piece(folder / pieces[3]).blocks) == list(range(3, 240, 8))


def test_timings_are_summed_or_the_largest_is_kept(folder: Path):
    """Rates come out the same: rows, tokens and seconds are sums, memory is a maximum."""
    compact(folder)

    joined = store.read_json(folder / "00000-of-00008.timing.json")

    assert joined == {
        "rows": 480, "tokens": 960, "seconds": 60.0, "peak_mb": 119, "hosts": ["n0", "n1"],
    }  # fmt: skip


def test_what_is_compacted_stays_as_it_is(folder: Path):
    """A second time nothing is written; a piece that came since is taken in with the others."""
    compact(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert compact(folder) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    store.write_piece(piece_rows([500]), folder / "00500-of-00600.parquet", TAGS)
    assert compact(folder) == 1
    assert 500 in store.verify_piece(folder / "00004-of-00008.parquet").blocks
    assert len(sound(folder)[0]) == 2 * N_PIECES + 1


def test_a_folder_of_few_pieces_stays_as_it_is(folder: Path):
    """Under a hundred pieces, nothing is worth the trouble."""
    for path in store.list_pieces(folder)[compacting.MANY - 1 :]:
        path.unlink()

    assert compact(folder) == 0
    assert len(store.list_pieces(folder)) == compacting.MANY - 1


@pytest.mark.parametrize("wrong", ["damaged", "foreign", "other columns"])
def test_nothing_is_removed_where_anything_is_wrong(folder: Path, wrong: str):
    """A damaged or foreign piece, or columns that would give other digests: all files stay."""
    path = folder / "00003-of-00120.parquet"
    rows = store.read_piece(path)[1]
    if wrong == "damaged":
        path.write_bytes(path.read_bytes()[:-9])
    elif wrong == "foreign":
        store.write_piece(rows, path, TAGS | {"data": "other"})
    else:
        store.write_piece(rows.drop("thought"), path, TAGS)
    before, n = sound(folder), len(list(folder.iterdir()))

    assert compact(folder) == 0

    assert sound(folder) == before
    assert len(list(folder.glob("*-of-00120*"))) == n


def test_while_new_files_are_made_nothing_that_is_there_changes(folder: Path):
    """Nobody need wait for it; what was not given its name is removed, or made anew."""
    before = compacting.stamps([folder])
    first = compacting.prepare(folder, TAGS)

    assert first is not None
    assert compacting.stamps([folder]) == before
    assert sound(folder)[1] == []
    (first.made / "00003-of-00008.parquet").write_bytes(b"of an attempt that was killed")
    assert compact(folder) == 2 * N_PIECES
    assert len(store.list_pieces(folder)) == 8


def test_old_files_that_were_written_anew_stay_and_without_new_ones_all_stay(folder: Path):
    """Removal goes on for as long as it may, and stops where another writer was there."""
    made = compacting.prepare(folder, TAGS)
    assert made is not None
    old = made.put()
    new = {k: v for k, v in compacting.stamps([folder]).items() if k not in old}
    anew = folder / "00003-of-00120.parquet"
    store.write_piece(piece_rows([3, 3 + N_PIECES]), anew, TAGS)
    n_old = len(old)

    assert compacting.remove(old, new, seconds=0) == old
    gone = folder / "00000-of-00008.parquet"
    gone.rename(folder / "away")
    assert compacting.remove(old, new, seconds=60) == {}
    assert len(list(folder.glob("*-of-00120*"))) == n_old
    (folder / "away").rename(gone)
    assert compacting.remove(old, new, seconds=60) == {}
    assert list(folder.glob("*-of-00120*")) == [anew]


class Killed(BaseException):
    """Stands for the end of the process."""


def _changes(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """Let the *at*-th change of a file end the work before it happens; count the changes."""
    count = 0

    def before(real: Callable[..., object]) -> Callable[..., object]:
        def changed(*arguments: object, **named: object) -> object:
            nonlocal count
            count += 1
            if count == at:
                raise Killed
            return real(*arguments, **named)

        return changed

    monkeypatch.setattr(os, "fsync", before(os.fsync))
    monkeypatch.setattr(Path, "replace", before(Path.replace))
    monkeypatch.setattr(compacting, "_remove", before(compacting._remove))
    return lambda: count


@pytest.mark.slow  # every step of it
def test_killed_at_any_step_nothing_is_lost_and_the_next_attempt_ends_it(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before each flush, rename and removal: every row counts once, nothing is complained about."""
    before, rows = sound(many), all_rows(many)
    with monkeypatch.context() as patched:
        n_changes = _changes(patched, 0)
        compact(Path(shutil.copytree(many, tmp_path / "calm")))
        n_steps = n_changes()
    # every change before the first removal, some of the many removals, and the last
    n_removals = 2 * N_PIECES
    first = n_steps - n_removals
    steps = [*range(1, first + 3), first + N_PIECES, n_steps - 1, n_steps]
    assert first >= 8 * 3  # of each new piece a flush, a rename, a flush of the folder

    for step in steps:
        torn = Path(shutil.copytree(many, tmp_path / f"at-{step}"))
        with monkeypatch.context() as patched:
            _changes(patched, step)
            with pytest.raises(Killed):
                compact(torn)
        assert sound(torn) == before, step
        assert all_rows(torn).equals(rows), step
        compact(torn)
        assert sound(torn) == before, step
        assert len(store.list_pieces(torn)) == 8, step
        shutil.rmtree(torn)


def test_a_reader_that_has_listed_the_old_names_finds_the_new_ones(folder: Path):
    """A status that reads while the report job compacts sees every row once."""
    before = sound(folder)[0]
    n_read = 0

    def load(path: Path) -> tuple[store.Piece, Callable[[], None]]:
        nonlocal n_read
        n_read += 1
        if n_read == 40:
            compact(folder)
        return store.verify_piece(path), lambda: None

    checked = store.check_folder(folder, TAGS, load)

    assert not checked.unusable
    assert {b: d for one in checked.loaded for b, d in one.piece.blocks.items()} == before
