"""Flags are settled by somebody else, and the next round draws what reveals gaps, by chances."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest

from empathy_core.annotation import RoundDir, read_rounds
from empathy_core.annotation.gaps import answer_gaps
from empathy_core.annotation.importing import ImportRules
from empathy_core.annotation.rounds import read_key, read_round_ratings, read_sample
from empathy_core.annotation.settled import adjudications, settled
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.store import RunDir
from jobs.commands.views.gaps_shown import gaps_text
from jobs.config.annotate import AnnotateTable
from jobs.planning.plan import Plan, PlanNotes
from jobs.planning.ratings.adjudication import AdjudicatedRound, adjudication_round
from jobs.planning.ratings.next_round import NextRound, NextRoundOptions, next_round
from jobs.planning.ratings.replies_with_gaps import questions_with_gaps
from jobs.planning.ratings.returned import (
    column_map,
    declared_raters,
    import_files,
    open_rounds,
    rated_round,
    round_of,
    survey_codes,
)
from jobs.planning.ratings.rounds import export_round
from tests.runs.by_hand import DATA, FLAN, LLAMA, make, spec

TABLE = AnnotateTable(
    rubrics=("counselbench",), dimensions=("empathy", "medical_advice"), questions=8, raters=2,
    raters_per_item=2, helpline="116 123",
)  # fmt: skip
PLAN = Plan((LLAMA, FLAN), DATA, 20, {}, 1, "error", (), PlanNotes())
NOW = ImportRules(now="2026-01-01T00:00:00+00:00")
NO_JUDGE = pl.DataFrame(
    schema={**dict.fromkeys(("condition", "example", "rubric", "dimension"), pl.String),
            "score": pl.Float64}
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run with a round of ratings that nobody has answered."""
    made = make(tmp_path / "run", spec(LLAMA, FLAN))
    export_round(made, PLAN, TABLE)
    return made


def _fill(run: RunDir, name: str, rater: str, say) -> Path:
    """Fill in a packet's own sheet by *say*(condition, example, dimension), and return it."""
    folder = RoundDir.of(run, name)
    what = {row["item"]: row for row in read_key(folder).iter_rows(named=True)}
    text = (folder.packet(rater) / "packet.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        of = what[row["item"]]
        for column in (c for c in row if "__" in c and row[c] != "-"):
            row[column] = say(of["condition"], of["example"], column.split("__")[1])
    path = run.root / f"{name}-{rater}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _rated(run: RunDir, first, second) -> None:
    files = [_fill(run, "round-001", r, say) for r, say in (("R01", first), ("R02", second))]
    outcomes = import_files(run, open_rounds(run), files, NOW)
    assert [one.error for one in outcomes] == [None, None]


def _adjudicated(run: RunDir) -> AdjudicatedRound:
    return adjudication_round(run, PLAN, TABLE, rated_round(run, None))


def _chosen(run: RunDir) -> list[str]:
    return read_sample(RoundDir.of(run, "round-001")).filter("chosen")["example"].to_list()


def test_the_adjudicator_sees_only_the_disputed_flags_and_settles_them(run: RunDir):
    one, two = _chosen(run)[:2]
    flags = {(LLAMA.id, one), (FLAN.id, one), (FLAN.id, two)}

    def first(condition: str, example: str, dimension: str) -> str:
        return "2" if dimension == "empathy" else "No"

    def second(condition: str, example: str, dimension: str) -> str:
        if dimension == "empathy":
            return "5"  # differs, and is no flag
        return "Yes" if (condition, example) in flags else "No"

    _rated(run, first, second)
    found = _adjudicated(run)

    assert found.disputes.height == 3
    assert found.made is not None
    assert (found.made.kind, found.made.of, found.made.raters) == (
        "adjudication",
        "round-001",
        ("R03",),
    )
    assert {d[1] for d in found.made.dimensions} == {"medical_advice"}
    asked = read_key(RoundDir.of(run, found.made.name))
    assert set(asked.select("condition", "example").iter_rows()) == flags
    again = _adjudicated(run)
    assert (again.made, [of.name for of in again.waiting]) == (None, ["round-002"])

    path = _fill(
        run, "round-002", "R03", lambda condition, e, d: "Yes" if condition == FLAN.id else "No"
    )
    import_files(run, open_rounds(run), [path], NOW)

    rounds = read_rounds(run)
    every = pl.concat(read_round_ratings(RoundDir.of(run, name)) for name in rounds)
    before = every.filter(round="round-001")
    value = {
        (r["condition"], r["example"]): (r["value"], r["adjudicated"])
        for r in settled(every, adjudications(rounds)).iter_rows(named=True)
        if r["dimension"] == "medical_advice"
    }
    assert value[LLAMA.id, one] == (0.0, True)
    assert value[FLAN.id, one] == value[FLAN.id, two] == (1.0, True)
    assert value[LLAMA.id, two] == (0.0, False)
    assert before.height == 2 * 2 * 8 * 2 + before.filter(pl.col("kind") != "answer").height
    done = _adjudicated(run)
    assert (done.disputes.height, done.made, done.waiting) == (0, None, ())


def test_of_each_reply_only_the_flags_are_asked_that_are_disputed_there(tmp_path: Path):
    run = make(tmp_path / "run", spec(LLAMA, FLAN))
    names = ("planning", "normalising")
    table = AnnotateTable.model_validate(
        TABLE.model_dump() | {"rubrics": ("behaviours",), "dimensions": names}
    )
    export_round(run, PLAN, table)
    one, two = _chosen(run)[:2]
    differs = {(LLAMA.id, one, names[0]), (LLAMA.id, two, names[1])}
    _rated(run, lambda *_: "No", lambda *of: "Yes" if of in differs else "No")

    found = adjudication_round(run, PLAN, table, rated_round(run, None))

    assert found.packet is not None
    sheet = RoundDir.of(run, "round-002").packet("R03") / "packet.csv"
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    assert sorted((r[f"behaviours__{names[0]}"], r[f"behaviours__{names[1]}"]) for r in rows) == [
        ("", "-"), ("-", ""),
    ]  # fmt: skip
    asked = open_rounds(run)["round-002"].asked.items.values()
    assert {(i.example, i.scales) for i in asked} == {
        (one, (("behaviours", names[0]),)), (two, (("behaviours", names[1]),)),
    }  # fmt: skip


def test_nothing_is_asked_of_an_adjudicator_where_raters_agree(run: RunDir):
    _rated(
        run,
        lambda c, e, d: "3" if d == "empathy" else "No",
        lambda c, e, d: "4" if d == "empathy" else "No",
    )

    assert _adjudicated(run).made is None
    assert list(read_rounds(run)) == ["round-001"]


def test_flags_of_an_adjudication_are_not_adjudicated(run: RunDir):
    _rated(
        run,
        lambda c, e, d: "3" if d == "empathy" else "No",
        lambda c, e, d: "3" if d == "empathy" else "Yes",
    )
    _adjudicated(run)

    with pytest.raises(ConfigError, match="settles flags itself"):
        adjudication_round(run, PLAN, TABLE, rated_round(run, "round-002"))


def _next_round(run: RunDir, **how) -> NextRound:
    return next_round(run, PLAN, TABLE, rated_round(run, None), NextRoundOptions(**how), NO_JUDGE)


def _low_at(run: RunDir, low: set[str]) -> None:
    def say(condition: str, example: str, dimension: str) -> str:
        if dimension != "empathy":
            return "No"
        return "1" if example in low and condition == LLAMA.id else "5"

    _rated(run, say, say)


def test_the_questions_and_conditions_with_gaps_come_first(run: RunDir):
    low = set(_chosen(run)[:2])
    _low_at(run, low)

    found = _next_round(run, dry_run=True)

    assert set(found.questions["name"][:2]) == low
    assert found.conditions["name"].to_list() == [LLAMA.id, FLAN.id]
    assert found.questions.row(0, named=True) | {"name": ""} == {
        "name": "", "n": 4, "low": 1, "disputed": 0, "far": 0, "weakest": "counselbench.empathy",
        "gap": 0.25,
    }  # fmt: skip
    assert found.favoured == low
    assert found.exported is None
    assert list(read_rounds(run)) == ["round-001"]


def test_the_next_round_has_known_chances_and_marks_what_was_not_drawn(run: RunDir):
    low = set(_chosen(run)[:2])
    _low_at(run, low)

    found = _next_round(run, times=4.0, also=1, questions=4)

    assert found.exported is not None
    of, folder = found.exported.round, found.exported.folder
    sample, key = read_sample(folder), read_key(folder)
    assert (of.name, of.kind, of.of) == ("round-002", "refinement", "round-001")
    by_question = sample.group_by("question").agg(pl.col("chance").sum())["chance"]
    assert sum(by_question) == pytest.approx(4)
    chance = dict(sample.select("example", "chance").iter_rows())
    plain = min(chance.values())
    assert all(chance[example] == pytest.approx(4 * plain) for example in low)
    assert sample.filter("chosen").height == 4
    purposive = set(key.filter(pl.col("kind") == "purposive")["example"])
    assert purposive == set(found.drawn.purposive)
    assert len(purposive) == 1
    assert not purposive & set(sample.filter("chosen")["example"])
    assert set(key.filter(pl.col("kind") == "answer")["example"]) == set(
        sample.filter("chosen")["example"]
    )
    assert not _next_round(run, times=4.0, also=1, questions=4).exported.new


def test_only_rated_questions_that_were_not_drawn_are_added(run: RunDir):
    rated = set(_chosen(run))
    _low_at(run, rated)

    found = _next_round(run, also=8, questions=10, dry_run=True)

    cluster = dict(found.drawn.sample.select("example", "question").iter_rows())
    drawn = set(found.drawn.sample.filter("chosen")["question"])
    assert drawn & {cluster[example] for example in rated}
    assert set(found.drawn.purposive) == {e for e in rated if cluster[e] not in drawn}


def test_purposive_answers_are_in_no_settled_value(run: RunDir):
    _low_at(run, set(_chosen(run)[:2]))
    found = _next_round(run, also=2, questions=4)
    assert found.exported is not None
    path = _fill(run, "round-002", "R01", lambda c, e, d: "3" if d == "empathy" else "No")
    import_files(run, open_rounds(run), [path], NOW)
    ratings = read_round_ratings(found.exported.folder)

    assert set(ratings["kind"]) >= {"purposive", "answer"}
    assert not set(settled(ratings, ())["example"]) & set(found.drawn.purposive)
    shown = answer_gaps(ratings, rated_round(run, "round-002").asked.scales)
    assert set(found.drawn.purposive) <= set(shown["example"])  # but they are in the next lists


def test_judges_decide_on_questions_that_nobody_has_rated(run: RunDir):
    _low_at(run, set())
    examples = read_sample(RoundDir.of(run, "round-001"))["example"].to_list()
    unrated = sorted(set(examples) - set(_chosen(run)))
    scores = [
        (LLAMA.id, e, "counselbench", "empathy", 1.0 if i < 5 else 4.0)
        for i, e in enumerate(unrated)
    ]
    judged = pl.DataFrame(scores, schema=NO_JUDGE.schema, orient="row")

    found = next_round(
        run, PLAN, TABLE, rated_round(run, None), NextRoundOptions(dry_run=True), judged
    )

    assert found.favoured == set(unrated[:5])


def test_a_round_without_ratings_cannot_be_refined(run: RunDir):
    with pytest.raises(ConfigError, match="no ratings that count"):
        _next_round(run)


@pytest.mark.parametrize("how", [{"times": 0.5}, {"also": -1}])
def test_options_of_refine_have_bounds(run: RunDir, how: dict[str, float]):
    with pytest.raises(ConfigError, match="expected at least 1 and at least 0"):
        _next_round(run, **how)


# ---------------------------------------------------------------------------- files to rounds


def test_a_file_finds_its_round_by_its_items(run: RunDir):
    other = AnnotateTable.model_validate({**TABLE.model_dump(), "seed": 5})
    export_round(run, PLAN, other)
    rounds = open_rounds(run)
    say = {
        name: _fill(run, name, "R01", lambda c, e, d: "3" if d == "empathy" else "No")
        for name in rounds
    }

    outcomes = import_files(run, rounds, list(say.values()), NOW)

    assert [one.round.of.name for one in outcomes if one.round] == ["round-001", "round-002"]
    assert all(read_round_ratings(one.folder).height > 0 for one in rounds.values())


def test_one_file_that_fails_does_not_keep_the_others(run: RunDir, tmp_path: Path):
    good = _fill(run, "round-001", "R01", lambda c, e, d: "3" if d == "empathy" else "No")
    bad = tmp_path / "bad.json"
    bad.write_text('{"format": ')

    outcomes = import_files(run, open_rounds(run), [bad, tmp_path / "none.csv", good], NOW)

    assert [one.done is not None for one in outcomes] == [False, False, True]
    assert "cannot be read" in str(outcomes[1].error)


def test_a_rubric_that_has_changed_since_is_refused(tmp_path: Path):
    from tests.runs.judged import CARE

    path = tmp_path / "care.toml"
    path.write_text(CARE)
    run = make(tmp_path / "run", spec(LLAMA, FLAN))
    table = AnnotateTable(
        rubrics=(str(path),), questions=4, raters=2, raters_per_item=2, helpline="1"
    )
    export_round(run, PLAN, table)
    assert open_rounds(run)["round-001"].asked.scales
    path.write_text(CARE.replace("?", " now?"))

    with pytest.raises(ConfigError, match="has changed since round-001 was exported"):
        open_rounds(run)


def test_the_survey_codes_of_a_packet_are_read(run: RunDir):
    packet = RoundDir.of(run, "round-001").packet("R01")

    codes = survey_codes(packet / "qualtrics.csv")

    asked = open_rounds(run)["round-001"].asked
    assert {item for item, _ in codes.values()} == {i.item for i in asked.of_rater("R01")}
    assert {dimension for _, dimension in codes.values()} == {
        "counselbench.empathy",
        "counselbench.medical_advice",
    }


def test_what_the_command_line_says_is_checked(run: RunDir):
    rounds = open_rounds(run)

    assert column_map(["item=a, value=b", "rater=c d"]) == {
        "item": "a",
        "value": "b",
        "rater": "c d",
    }
    assert declared_raters(["Anna=Maria=R02"], rounds) == {"Anna=Maria": "R02"}
    with pytest.raises(ConfigError, match="--map score=a: expected item="):
        column_map(["score=a"])
    with pytest.raises(ConfigError, match="--rater anna=R07: expected a name"):
        declared_raters(["anna=R07"], rounds)
    with pytest.raises(UnknownName, match="unknown round 'x'"):
        open_rounds(run, "x")


def test_the_label_studio_tasks_of_a_packet_come_back_as_they_are_exported(run: RunDir):
    folder = RoundDir.of(run, "round-001")
    tasks = json.loads((folder.packet("R01") / "label-studio.json").read_text())
    exported = [
        task
        | {
            "id": i,
            "annotations": [
                {
                    "completed_by": 3,
                    "was_cancelled": False,
                    "lead_time": 9.5,
                    "updated_at": "2026-01-02T10:00:00Z",
                    "result": [
                        {
                            "from_name": "counselbench__empathy",
                            "type": "choices",
                            "value": {"choices": ["4"]},
                        }
                    ],
                }
            ],
        }
        for i, task in enumerate(tasks)
    ]
    path = run.root / "export.json"
    path.write_text(json.dumps(exported))

    [done] = import_files(run, open_rounds(run), [path], NOW)

    assert done.done is not None
    assert round_of is not None
    assert set(done.done.ratings["rater"]) == {"R01"}
    assert done.done.ratings.height == len(tasks)


def test_what_people_read_stands_beside_what_they_gave_it(run: RunDir):
    """The questions that come first, with each reply, its ratings, and the judges'."""
    low = set(_chosen(run)[:2])
    _low_at(run, low)
    of = rated_round(run, None)
    first = _next_round(run, dry_run=True).questions["name"].head(2).to_list()
    rows = {
        "condition": [LLAMA.id, LLAMA.id], "example": [first[0]] * 2,
        "rubric": ["counselbench"] * 2, "dimension": ["empathy"] * 2, "score": [4.0, 5.0],
    }  # fmt: skip
    ratings = read_round_ratings(of.folder)
    read = questions_with_gaps(run, PLAN, first, ratings, pl.DataFrame(rows))

    assert [question.example for question in read] == first
    for question in read:
        assert question.message
        assert [reply.condition for reply in question.replies] == [LLAMA.id, FLAN.id]
        assert [r.people["counselbench.empathy"] for r in question.replies] == [(1, 1), (5, 5)]
        assert all(reply.text for reply in question.replies)
    assert read[0].replies[0].judges == {"counselbench.empathy": 4.5}
    assert read[1].replies[0].judges == {}

    shown = gaps_text(PLAN, of.asked.scales, read)
    assert "counselbench.empathy 1, 1 of 1 to 5, higher is better, judges 4.50" in shown
    assert str(read[0].replies[0].text).split()[0] in shown
    changed = ratings.with_columns(answer_sha256=pl.lit("0" * 64))
    gone = questions_with_gaps(run, PLAN, first[:1], changed, NO_JUDGE)
    assert "the run has no such reply any more" in gaps_text(PLAN, of.asked.scales, gone)
    assert gaps_text(PLAN, of.asked.scales, ()) == ""
