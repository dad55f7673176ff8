"""A round of ratings is made of a whole run, once, and keeps its secrets."""

import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core import store
from empathy_core.annotation import read_rounds
from empathy_core.annotation.rounds import RoundDir, read_key, read_sample
from empathy_core.annotation.writing import PAGE
from empathy_core.errors import ConfigError, Damaged, Incomplete
from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding
from jobs.config.annotate import AnnotateTable
from jobs.planning.plan import Plan, PlanNotes
from jobs.planning.ratings.rounds import (
    ExportedRound,
    answers_shared,
    export_round,
    lacking_answers,
)
from jobs.planning.ratings.rows import licence_notes
from tests.runs.by_hand import DATA, FLAN, HUMAN, LLAMA, condition, make, spec
from tests.runs.command_line import contents

TABLE = AnnotateTable(
    rubrics=("epitome",), dimensions=("explorations",), questions=12, raters=4, raters_per_item=2,
    helpline="116 123", consent="2026-17",
)  # fmt: skip
EVERY = (HUMAN, LLAMA, FLAN)


def _plan(*conditions: Condition, data: str = DATA) -> Plan:
    return Plan(conditions, data, 20, {}, 1, "error", (), PlanNotes())


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run of 40 examples of 20 questions; the therapist answers every second example."""
    return make(tmp_path / "run", spec(*EVERY))


def _export(run: RunDir, table: AnnotateTable = TABLE, *conditions: Condition) -> ExportedRound:
    return export_round(run, _plan(*(conditions or EVERY)), table)


def _with(**changes: Any) -> AnnotateTable:
    return AnnotateTable.model_validate({**TABLE.model_dump(), **changes})


def test_a_round_holds_whole_questions_of_all_conditions(run: RunDir):
    """One example a question; its raters rate every condition's answer, as the run has it."""
    exported = _export(run)
    table, sample = read_key(exported.folder), read_sample(exported.folder)
    chosen = sample.filter("chosen")
    answers = table.filter(pl.col("kind") == "answer")
    of_llama = answers.filter(pl.col("condition") == LLAMA.id)

    assert exported.new
    assert sample.height == 40
    assert chosen["question"].n_unique() == chosen.height == 12
    assert set(sample["chance"]) == {12 / 20 / 2}
    assert set(answers["example"]) == set(chosen["example"])
    assert of_llama.group_by("example").len()["len"].to_list() == [2] * 12
    texts = pl.read_parquet(run.generations(LLAMA.id) / "*.parquet")
    digests = {e: hashlib.sha256(t.encode()).hexdigest() for e, t in
               texts.select("example", "text").iter_rows()}  # fmt: skip
    assert all(digests[e] == d for e, d in of_llama.select("example", "answer_sha256").iter_rows())


def test_where_a_condition_has_no_answer_it_is_not_shown_and_counted(run: RunDir):
    exported = _export(run)
    lacking = lacking_answers(exported)
    shown = read_key(exported.folder).filter(
        (pl.col("condition") == HUMAN.id) & (pl.col("kind") == "answer")
    )

    assert lacking == {HUMAN.id: 12 - shown["example"].n_unique()}
    assert 0 < lacking[HUMAN.id] < 12


def test_the_same_settings_change_nothing_and_others_make_a_new_round(run: RunDir):
    first = _export(run)
    before = contents(run.annotation)
    again = _export(run, _with(minutes_per_item=9.0))

    assert not again.new
    assert again.packets == first.packets
    assert contents(run.annotation) == before
    other = _export(run, _with(questions=10))
    assert (other.new, other.round.name) == (True, "round-002")
    assert {k: v for k, v in contents(run.annotation).items() if "round-001" in k} == before
    assert _export(run).round.name == "round-001"
    assert list(read_rounds(run)) == ["round-001", "round-002"]


def test_a_packet_that_was_lost_is_made_again_as_it_was(run: RunDir):
    exported = _export(run)
    page = exported.folder.packet("R02") / PAGE
    before = page.read_bytes()
    page.unlink()

    assert not _export(run).new
    assert page.read_bytes() == before


def test_an_export_that_was_killed_is_made_anew(run: RunDir):
    """Packets of another secret must not stay beside a key that does not know their items."""
    folder = _export(run).folder
    folder.record.unlink()
    exported = _export(run)
    item = json.loads((folder.packet("R01") / "label-studio.json").read_text())[0]["data"]["item"]

    assert exported.new
    assert exported.round.name == "round-001"
    assert item in read_key(folder)["item"].to_list()


def test_other_answers_in_the_run_make_a_new_round(run: RunDir, tmp_path: Path):
    """The key of the first one would say that a text was rated which nobody was shown."""
    _export(run)
    changed = make(tmp_path / "other", spec(*EVERY), lambda c, i, s: f"{c.model.name} {i} {s}")
    for path in run.generations(LLAMA.id).glob("*.parquet"):
        path.write_bytes((changed.generations(LLAMA.id) / path.name).read_bytes())

    assert _export(run).round.name == "round-002"


def test_a_decoding_with_several_samples_is_rated_by_one_of_each(tmp_path: Path):
    """Not always the first."""
    decoding = Decoding(max_new_tokens=64, sample=True, samples=3, name="warm")
    warm = condition("warm", "Warm", decoding=decoding)
    run = make(tmp_path / "run", spec(LLAMA, warm), lambda c, i, s: f"{c.model.name} {i} {s}")
    table = read_key(_export(run, TABLE, LLAMA, warm).folder)
    mine = table.filter((pl.col("condition") == warm.id) & (pl.col("kind") == "answer"))

    assert mine.group_by("example").agg(pl.col("sample").n_unique())["sample"].to_list() == [1] * 12
    assert set(mine["sample"]) == {0, 1, 2}


def test_questions_are_drawn_within_tiers_of_the_data(tmp_path: Path):
    """A column gives them; what the screen would say is not asked."""
    run = make(tmp_path / "run", spec(LLAMA, FLAN))
    ids = pl.read_parquet(run.examples)["id"]
    frame = pl.DataFrame({"id": ids, "risk": ["active" if i < 8 else "none" for i in range(41)]})
    _keep(run, frame)
    exported = _export(run, _with(tier_column="risk"), LLAMA, FLAN)

    assert dict(exported.sample.group_by("stratum").agg(pl.col("chosen").sum()).iter_rows()) == {
        "sample, active": 2, "sample, none": 10,
    }  # fmt: skip
    assert sum(packet.n_at_risk for packet in exported.packets) == 2 * 2 * 2
    _keep(run, frame.with_columns(risk=pl.lit("high")))
    with pytest.raises(ConfigError, match="tier_column = 'risk' holds what is no tier: 'high'"):
        _export(run, _with(tier_column="risk"), LLAMA, FLAN)
    with pytest.raises(ConfigError, match=r"annotate\.tier_column = 'tier' is no column"):
        _export(run, _with(tier_column="tier"), LLAMA, FLAN)


def _keep(run: RunDir, frame: pl.DataFrame) -> None:
    frame.write_parquet(run.columns)
    digest = hashlib.sha256(run.columns.read_bytes()).hexdigest()
    noted = {"keep": {"sample": ["risk"]}, "sha256": digest}
    store.write_json({"columns": noted}, run.data)


def test_a_rubric_for_people_at_risk_is_asked_about_them_alone(tmp_path: Path):
    """Where nothing is asked of a message it is not drawn."""
    run = make(tmp_path / "run", spec(LLAMA, FLAN))
    rows = pl.read_parquet(run.examples)
    at_risk = pl.col("context").str.contains("worry [0-9][?]$")
    rows = rows.with_columns(
        context=pl.when(at_risk).then(pl.lit("I want to kill myself.")).otherwise("context")
    )
    store.write_bytes(store.frame_bytes(rows), run.examples)
    table = _with(rubrics=("crisis",), dimensions=("missed_risk",), questions=5)
    exported = _export(run, table, LLAMA, FLAN)

    assert exported.sample.height == 10
    assert set(exported.sample["tier"]) == {"active"}
    with pytest.raises(ConfigError, match="questions = 12, and this run has 5 to draw from"):
        _export(run, _with(rubrics=("crisis",), dimensions=("missed_risk",)), LLAMA, FLAN)


# ---------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"helpline": " "}, r"annotate\.helpline is empty; .*116 123"),
        ({"rubrics": ()}, "names no rubric"),
        ({"rubrics": ("ctrs",), "dimensions": ()}, "'ctrs' cannot be asked of a single reply"),
        ({"questions": 21}, "questions = 21, and this run has 20 to draw from"),
        ({"conditions": ("gpt",)}, "'gpt' is no condition of this run"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_written(
    run: RunDir, changes: dict[str, Any], said: str
):
    with pytest.raises(ConfigError, match=said):
        _export(run, _with(**changes))
    assert not run.annotation.exists()


def test_missing_answers_are_refused_by_name(run: RunDir):
    """Of a compared condition; others may be incomplete."""
    next(run.generations(FLAN.id).glob("*.parquet")).unlink()

    with pytest.raises(Incomplete, match=FLAN.id):
        _export(run)
    assert _export(run, _with(conditions=("llama",))).new


def _audit(run: RunDir, licence: str, *, redistribute: bool) -> None:
    source = {"name": "clinic", "licence": licence, "redistribute": redistribute}
    store.write_json({"sources": [source]}, run.audit)


@pytest.mark.parametrize("licence", ["not stated", "see its card; not checked"])
def test_an_unknown_licence_is_refused_until_it_is_stated(run: RunDir, licence: str):
    _audit(run, licence, redistribute=False)

    with pytest.raises(ConfigError, match=r"licence of clinic is not known.*sources\.clinic\.lic"):
        licence_notes(run, {})
    with pytest.raises(ConfigError, match="licence of clinic is not known"):
        licence_notes(run, {"clinic": ""})
    assert licence_notes(run, {"clinic": "by agreement"}) == [
        "the licence of clinic (by agreement) does not let its texts be passed on: give packets "
        "only to raters who may read them"
    ]


def test_texts_that_may_be_passed_on_need_no_note(run: RunDir):
    _audit(run, "MIT", redistribute=True)

    assert licence_notes(run, {}) == []


# ---------------------------------------------------------------------------- secrets


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_key_and_secret_are_their_owners_alone_even_in_a_shared_run(tmp_path: Path):
    """The packets are the group's: someone else may hand them out."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    folder = _export(make(shared / "run", spec(*EVERY))).folder

    assert _mode(folder.key) == _mode(folder.secret) == 0o600
    assert _mode(folder.record) == _mode(folder.packet("R01") / PAGE) == 0o660


def test_a_secret_that_is_not_whole_is_named(run: RunDir):
    folder = _export(run).folder
    folder.secret.write_bytes(b"short")

    with pytest.raises(Damaged, match=r"secret has 5 bytes, expected 32"):
        _export(run)


def test_raters_share_as_many_answers_as_can_be(run: RunDir):
    """Twelve questions of two or three answers, four raters in pairs."""
    shared = answers_shared(_export(run).packets)

    assert set(shared) == {"R01", "R02", "R03", "R04"}
    assert min(shared.values()) >= 4


def test_the_record_says_what_was_asked(run: RunDir):
    record = read_rounds(run)["round-001"] if _export(run) else None

    assert record is not None
    assert record.dimensions[0][:2] == ("epitome", "explorations")
    assert len(record.dimensions[0][2]) >= 16
    assert record.raters == ("R01", "R02", "R03", "R04")
    assert record.settings["helpline"] == "116 123"
    assert record == replace(_export(run).round)
    assert RoundDir.of(run, "round-001").record.exists()
