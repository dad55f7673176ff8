"""More evaluated rows: old ones keep their block; a kill leaves the rows of before or of after."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core import data, store
from empathy_core.data import freezing, growing, splitting
from empathy_core.data.columns import Carried
from empathy_core.data.freezing import PreparedRows
from empathy_core.data.growing import GrowthStep
from empathy_core.data.specs import EvaluateSpec
from empathy_core.errors import Damaged, RunMismatch
from empathy_core.store import EVALUATED, UNIT_BLOCKS, RunDir


def rows(texts: list[int]) -> pl.DataFrame:
    """Return a row for each number: its question has so many words, and equal ones are equal."""
    n = len(texts)
    return pl.DataFrame(
        {
            "id": [f"made-{i}" for i in range(n)],
            "context": ["why " * k for k in texts],
            "response": [f"because {i}" for i in range(n)],
            "source": ["made"] * n,
            "row": range(n),
            "raw_sha256": ["0"] * n,
            "question": [str(k) for k in texts],
            "pair": [str(i) for i in range(n)],
            "author": [None] * n,
            "split": ["test" if k % 3 else "train" for k in texts],
            "block": [None] * n,
        },
        schema=store.EXAMPLES,
    )


def at_once(frame: pl.DataFrame, spec: EvaluateSpec) -> pl.DataFrame:
    """Return the rows as a run of *spec* has them from the start."""
    ids = splitting.evaluated(frame, spec)
    return splitting.in_blocks(frame.drop("block"), ids, spec.block_size).select(*store.EXAMPLES)


specs = st.builds(
    EvaluateSpec,
    split=st.sampled_from(["test", "all"]),
    unit=st.sampled_from(["row", "question"]),
    seed=st.integers(0, 3),
    block_size=st.integers(1, 4),
)
many = st.lists(st.integers(1, 20), min_size=1, max_size=40)
limits = st.one_of(st.none(), st.integers(1, 45))


@given(many, specs, st.integers(1, 45), st.integers(0, 45))
def test_the_first_n_rows_are_the_first_of_any_more(
    texts: list[int], spec: EvaluateSpec, n: int, more: int
):
    """Whatever is drawn, by row or by question: a larger limit adds rows behind."""
    frame = rows(texts)
    few, all_of_them = (
        splitting.evaluated(frame, EvaluateSpec(spec.split, limit, spec.unit, spec.seed))
        for limit in (n, n + more)
    )

    assert all_of_them[: len(few)] == few
    assert len(few) == min(n, len(splitting.evaluated(frame, spec)))


def grow(frame: pl.DataFrame, spec: EvaluateSpec, sizes: list[int | None]) -> Any:
    """Return rows and steps after each limit."""
    of = [EvaluateSpec(spec.split, n, spec.unit, spec.seed, spec.block_size) for n in sizes]
    there = at_once(frame, of[0])
    steps = growing.begun(there, sizes[0])
    yield there, steps
    for one in of[1:]:
        there, steps = growing.grown(there, at_once(frame, one), steps, one)
        yield there, steps


@given(many.filter(lambda texts: any(k % 3 for k in texts)), specs, st.data())
def test_a_row_keeps_its_block_and_new_rows_begin_a_score_unit(
    texts: list[int], spec: EvaluateSpec, draw: st.DataObject
):
    """In three steps: blocks of before are the same, the order is that of a run made at once."""
    frame = rows(texts)
    sizes = sorted(draw.draw(st.lists(st.integers(1, 45), min_size=3, max_size=3)))
    (_, _), (second, _), (last, steps) = states = list(grow(frame, spec, [*sizes[:2], None]))
    whole = at_once(frame, EvaluateSpec(spec.split, None, spec.unit, spec.seed, spec.block_size))

    assert last.drop("block").equals(whole.drop("block"))
    assert last.filter(EVALUATED)["id"].to_list() == whole.filter(EVALUATED)["id"].to_list()
    for (before, _), (after, _) in itertools.pairwise(states):
        old = dict(before.filter(EVALUATED).select("id", "block").iter_rows())
        assert {k: v for k, v in after.select("id", "block").iter_rows() if k in old} == old
    assert all(step.first % UNIT_BLOCKS == 0 for step in steps)
    blocks = sorted(set(last["block"].drop_nulls()))
    assert blocks == [step.first + i for step in steps for i in range(step.blocks)]
    contexts = last.filter(EVALUATED).group_by("block").agg(pl.col("context").n_unique())
    assert max(contexts["context"]) <= spec.block_size
    first = growing.until(second.filter(EVALUATED), steps[0])
    assert first.equals(states[0][0].filter(EVALUATED).select(first.columns))


def test_rows_that_are_read_otherwise_today_are_refused():
    """Other cleaning rules, the same settings: no row is added to those that are answered."""
    frame = rows([1, 2, 4])
    spec = EvaluateSpec("all", 2)
    there = at_once(frame, spec)
    changed = at_once(
        frame.with_columns(response=pl.col("response") + "!"), EvaluateSpec("all", None)
    )

    with pytest.raises(RunMismatch, match=r"cleaning rules make other rows.*expected the same"):
        growing.grown(there, changed, growing.begun(there, 2), EvaluateSpec("all", None))


# ---------------------------------------------------------------------------- on the disk


@pytest.fixture
def frozen(tmp_path: Path) -> RunDir:
    """A run of six rows, two of which are evaluated."""
    run = RunDir(tmp_path / "run")
    there = at_once(rows([1, 2, 4, 5, 7, 8]), EvaluateSpec("all", 2, block_size=1))
    nothing = Carried(pl.DataFrame(schema={"id": pl.String}), {})
    data.freeze(PreparedRows(there, {"rows": 6}, {"evaluate": {"limit": 2}}, nothing), run)
    return run


def enlarged(run: RunDir, limit: int | None) -> tuple[pl.DataFrame, tuple[GrowthStep, ...]]:
    """Return what the run's rows will be."""
    there = data.load_frozen(run)
    spec = EvaluateSpec("all", limit, block_size=1)
    steps = there.steps or growing.begun(there.examples, 2)
    return growing.grown(there.examples, at_once(there.examples, spec), steps, spec)


@pytest.mark.parametrize(
    ("done", "grown"), [(0, False), (1, False), (2, True), (3, True), (4, True)]
)
def test_a_kill_between_any_two_files_leaves_rows_that_are_proven(
    frozen: RunDir, monkeypatch: pytest.MonkeyPatch, done: int, *, grown: bool
):
    """The rows are those of before or those of after; done again, all is as if nothing was."""
    wanted, steps = enlarged(frozen, 4)
    written: list[Path] = []

    def write(content: bytes, path: Path) -> None:
        if len(written) == done:
            raise KeyboardInterrupt
        written.append(path)
        store.write_bytes(content, path)

    monkeypatch.setattr(freezing, "write_bytes", write)
    monkeypatch.setattr(freezing, "write_json", lambda value, path: write(_json(value), path))
    with contextlib.suppress(KeyboardInterrupt):
        data.enlarge(wanted, steps, {"rows": 6}, frozen)
    monkeypatch.undo()

    there = data.load_frozen(frozen)
    assert len(written) == done
    assert there.examples.filter(EVALUATED).height == (4 if grown else 2)
    assert there.identity == {"evaluate": {"limit": 2}}
    assert there.steps == (steps if grown else ())
    assert there.settled == (done in (0, 4))
    data.enlarge(wanted, steps, {"rows": 6}, frozen)
    after = data.load_frozen(frozen)
    assert after.examples.equals(wanted)
    assert (after.steps, after.settled) == (steps, True)


def _json(value: Any) -> bytes:
    return json.dumps(value, default=list).encode()


def test_another_enlargement_after_one_that_was_killed_is_safe(
    frozen: RunDir, monkeypatch: pytest.MonkeyPatch
):
    """The rows of the first one are there, and nothing says so yet; the second begins from them."""
    first, steps = enlarged(frozen, 4)
    monkeypatch.setattr(freezing, "_write_audit", _killed)
    with pytest.raises(KeyboardInterrupt):
        data.enlarge(first, steps, {}, frozen)
    whole, more = enlarged(frozen, None)
    with pytest.raises(KeyboardInterrupt):
        data.enlarge(whole, more, {}, frozen)
    monkeypatch.undo()

    assert data.load(frozen).equals(whole)
    data.enlarge(whole, more, {}, frozen)
    assert [step.rows for step in data.load_frozen(frozen).steps] == [2, 2, 2]


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_rows_that_are_neither_are_damaged(frozen: RunDir):
    """A file that somebody else wrote is none of the two."""
    grown, steps = enlarged(frozen, 4)
    data.enlarge(grown, steps, {}, frozen)
    store.write_bytes(store.frame_bytes(grown.head(3)), frozen.examples)

    with pytest.raises(Damaged, match=r"is not what was frozen.*restore both"):
        data.load(frozen)
