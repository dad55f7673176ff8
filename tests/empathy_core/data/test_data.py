"""Data as a whole: the sample, identity, freezing and proving what was frozen."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, Source, TextLayout
from empathy_core.errors import ConfigError, Damaged, DataError
from empathy_core.store import EXAMPLES, RunDir, read_json

SAMPLE = DataSpec((data.source("sample"),))
ALL = EvaluateSpec(split="all")


@pytest.fixture
def own(tmp_path: Path) -> Source:
    path = tmp_path / "own.jsonl"
    rows = [{"q": f"Question {i % 7}?", "a": f"Answer {i}."} for i in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return Source("own", path=str(path), context=("q",), response="a")


def test_the_sample_needs_no_download_and_no_repair():
    """120 clean rows or more, 48 questions, 30 of them answered twice or thrice; no leak."""
    prepared = data.prepare(SAMPLE, ALL)

    (counts,) = prepared.audit["sources"]
    assert counts["kept"] == counts["raw"] >= 120
    assert not counts["dropped"]
    assert not counts["repaired"]
    assert prepared.audit["questions"] >= 48
    several = {k: n for k, n in prepared.audit["answers_per_question"].items() if k in ("2", "3")}
    assert sum(several.values()) >= 30
    assert prepared.audit["leaks"]["questions"] == 0
    assert prepared.audit["near_duplicates"]["pairs_within_sources"] == 0
    assert all(split["rows"] for split in prepared.audit["splits"].values())


def test_prepared_rows_have_the_stores_schema(own: Source):
    """Every column of the frozen frame is there, typed, with unique ids and no null text."""
    examples = data.prepare(DataSpec((own,)), EvaluateSpec(limit=3)).examples

    assert dict(examples.schema) == EXAMPLES
    assert examples["id"].is_unique().all()
    assert examples.select("context", "response", "split").null_count().row(0) == (0, 0, 0)
    assert examples["block"].is_not_null().sum() == 3


def test_preparing_twice_gives_the_same_rows(own: Source):
    """Nothing depends on the clock or on chance."""
    spec = DataSpec((own, data.source("sample")), seed=5)

    one, two = (data.prepare(spec, EvaluateSpec(limit=9, seed=2)) for _ in range(2))

    assert one.examples.equals(two.examples)
    assert one == replace(two, examples=one.examples, carried=one.carried)


def test_frozen_rows_come_back_as_they_were(own: Source, tmp_path: Path):
    """Frame, audit and identity survive the disk; the frozen identity is that of the settings."""
    run = RunDir(tmp_path / "run")
    spec = DataSpec((own,))
    prepared = data.prepare(spec, ALL)

    data.freeze(prepared, run)

    assert data.load(run).equals(prepared.examples)
    assert json.loads(run.audit.read_text()) == prepared.audit
    assert json.loads(run.data.read_text())["identity"] == data.identity(spec, ALL)


def test_frozen_rows_do_not_need_the_source(own: Source, tmp_path: Path):
    """A node without the file, or after it changed, reads what was frozen."""
    run = RunDir(tmp_path / "run")
    data.freeze(data.prepare(DataSpec((own,)), ALL), run)

    Path(str(own.path)).unlink()

    assert data.load(run).height == 40


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "swap", "marker"])
def test_a_changed_frozen_file_is_refused(own: Source, tmp_path: Path, harm: str):
    """One flipped bit, a cut, another frame or a missing file: damaged, never read as if whole."""
    run = RunDir(tmp_path / "run")
    data.freeze(data.prepare(DataSpec((own,)), ALL), run)
    whole = run.examples.read_bytes()
    if harm == "flip":
        run.examples.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    elif harm == "cut":
        run.examples.write_bytes(whole[:-1])
    elif harm == "gone":
        run.examples.unlink()
    elif harm == "swap":
        pl.read_parquet(run.examples).head(3).write_parquet(run.examples)
    else:
        run.data.write_text("[]")

    with pytest.raises(Damaged) as caught:
        data.load(run)
    assert caught.value.exit_code == 3


def test_identity_changes_with_what_changes_a_row(own: Source, tmp_path: Path):
    """Settings, columns and content count; the file's place and its licence do not."""
    spec = DataSpec((own,))
    same = data.identity(spec, ALL)
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_bytes(Path(str(own.path)).read_bytes())
    unchanged = replace(spec, sources=(replace(own, path=str(moved), licence="MIT"),))
    moved_identity = data.identity(unchanged, ALL)
    moved.write_bytes(moved.read_bytes() + b"\n")

    others = [
        data.identity(unchanged, ALL),
        data.identity(replace(spec, seed=1), ALL),
        data.identity(replace(spec, protocol="row"), ALL),
        data.identity(replace(spec, fractions=(0.8, 0.1, 0.1)), ALL),
        data.identity(replace(spec, duplicates="keep"), ALL),
        data.identity(replace(spec, sources=(replace(own, context=("a",), response="q"),)), ALL),
        data.identity(replace(spec, sources=(replace(own, missing=()),)), ALL),
        data.identity(replace(spec, sources=(replace(own, broken_rows="drop"),)), ALL),
        data.identity(
            replace(spec, sources=(replace(own, layout=TextLayout(encoding="utf-16")),)), ALL
        ),
        data.identity(spec, replace(ALL, limit=3)),
        data.identity(spec, replace(ALL, block_size=3)),
    ]

    assert moved_identity == same
    assert all(other != same for other in others)
    assert len({json.dumps(other) for other in others}) == len(others)


def test_every_row_of_a_question_can_be_asked_once(own: Source):
    """With the question as the unit, one row a question is evaluated and the limit counts these."""
    prepared = data.prepare(DataSpec((own,)), EvaluateSpec("all", limit=5, unit="question"))

    assert prepared.audit["evaluated"]["rows"] == 5
    assert prepared.audit["evaluated"]["questions"] == 5


def test_a_split_without_rows_says_so(own: Source):
    """An empty test split is the user's mistake, with the sizes and a way out."""
    spec = DataSpec((own,), fractions=(1.0, 0.0, 0.0))

    with pytest.raises(DataError, match=r"split 'test' holds no row .*'train': 40.*'all'"):
        data.prepare(spec, EvaluateSpec())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fractions": (0.5, 0.1, 0.1)}, "fractions"),
        ({"fractions": (1.5, -0.25, -0.25)}, "fractions"),
        ({"sources": ()}, "at least one"),
        ({"sources": SAMPLE.sources * 2}, "each name once"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(changed: dict, said: str):
    """Shares that do not sum to 1 and sources named twice are configuration errors."""
    with pytest.raises(ConfigError, match=said):
        data.identity(replace(SAMPLE, **changed), ALL)


def test_the_frozen_audit_reads_as_the_fresh_one(tmp_path: Path) -> None:
    """The audit on the page is the one that ``data`` prints, line by line."""
    prepared = data.prepare(DataSpec((data.source("sample"),)), EvaluateSpec(split="all"))
    run = RunDir(tmp_path)
    data.freeze(prepared, run)

    assert data.audit_text(read_json(run.audit)) == data.audit_text(prepared.audit)
