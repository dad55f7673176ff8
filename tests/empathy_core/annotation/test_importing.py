"""Importing is idempotent, all or nothing, and the same in any order; all is reported."""

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core.annotation import RATINGS
from empathy_core.annotation.checks import check_file
from empathy_core.annotation.exclusions import NO_RULES, ExclusionRules, excluded, signs
from empathy_core.annotation.importing import apply_rules, may_train, read_imports
from empathy_core.annotation.merging import merge_ratings
from empathy_core.annotation.progress import rater_progress
from empathy_core.annotation.raters import rater_names
from empathy_core.annotation.readers import FileContent, FileMap, GivenFile, read_file
from empathy_core.errors import DataError
from tests import ratings as public
from tests.rated_rounds import (
    EMPATHY,
    MEDICAL,
    RATERS,
    RULES,
    SCALES,
    SPECIFICITY,
    RatedRound,
    Said,
    item_name,
    key_row,
    rated_round,
    sheet,
    values,
)


def _said(rater: str, empathy: str = "4", examples: int = 4) -> Said:
    return {
        (rater, condition, f"e{i}", scale): {MEDICAL: "No"}.get(scale, empathy)
        for condition in "ab"
        for i in range(examples)
        for scale in SCALES
    }


def test_a_file_that_is_imported_twice_changes_nothing(tmp_path: Path):
    around = rated_round(tmp_path)
    text = sheet(_said("R01"), "R01")
    first = around.take("a.csv", text)
    before = {p: p.read_bytes() for p in around.folder.root.rglob("*") if p.is_file()}

    again = around.take("renamed.csv", text, replace(RULES, now="2027-01-01T00:00:00+00:00"))

    assert first.merged is not None
    assert first.merged.n_new == 24
    assert again.read is None
    assert again.ratings.equals(first.ratings)
    assert {p: p.read_bytes() for p in around.folder.root.rglob("*") if p.is_file()} == before


def test_a_dry_run_writes_nothing(tmp_path: Path):
    around = rated_round(tmp_path)
    before = sorted(around.folder.root.rglob("*"))

    done = around.take("a.csv", sheet(_said("R01"), "R01"), replace(RULES, dry_run=True))

    assert done.merged is not None
    assert done.merged.n_new == 24
    assert sorted(around.folder.root.rglob("*")) == before


def test_what_is_killed_before_its_record_is_done_again(tmp_path: Path):
    around = rated_round(tmp_path)
    text = sheet(_said("R01"), "R01")
    first = around.take("a.csv", text)
    around.folder.imports.write_text('\n{"file": "' + first.digest[:9])  # a torn line

    again = around.take("a.csv", text)

    assert again.read is not None
    assert again.ratings.equals(first.ratings)
    assert list(read_imports(around.folder)) == [first.digest]


def test_partial_packets_add_up_and_the_later_file_of_a_rater_counts(tmp_path: Path):
    around = rated_round(tmp_path)
    part = {key: v for key, v in _said("R01", "2").items() if key[2] in ("e0", "e1")}
    around.take("part.csv", sheet(part, "R01"))

    done = around.take(
        "full.csv", sheet(_said("R01", "5"), "R01"), replace(RULES, now="2026-02-01T00:00:00+00:00")
    )

    assert values(done.ratings)["R01", "a", "e0", EMPATHY] == ("rated", 5.0)
    assert done.ratings.height == 24
    assert {p.kind for p in done.problems} == {"changed"}
    assert len(done.problems) == 8  # two scales of four answers; "No" is as it was
    assert "R01: 2, later 5" in done.problems[0].text


def _page(saved_at: str, empathy: str) -> str:
    answer = {"item": item_name("R01", "a", "e0"), "rubric": "counselbench", "dimension": "empathy",
              "label": empathy, "state": "rated", "seconds": 9, "note": ""}  # fmt: skip
    return json.dumps({
        "format": "empathy-suite ratings", "version": 1, "packet": "p", "rater": "R01",
        "saved_at": saved_at, "consent": None, "may_train": "no" if empathy == "2" else "yes",
        "without_crisis": False, "complete": False, "answers": [answer],
    })  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_results_of_the_page_the_one_that_was_saved_later_counts(
    order: tuple[int, int], tmp_path: Path
):
    around = rated_round(tmp_path)
    files = [_page("2026-01-01T10:00:00.000Z", "2"), _page("2026-01-02T10:00:00.000Z", "5")]
    for at, i in enumerate(order):
        done = around.take(f"{i}.json", files[i], replace(RULES, now=f"2026-03-0{at + 1}"))

    assert values(done.ratings) == {("R01", "a", "e0", EMPATHY): ("rated", 5.0)}


def test_whether_ratings_may_be_used_for_training_is_recorded(tmp_path: Path):
    around = rated_round(tmp_path)
    around.take("1.json", _page("2026-01-01T10:00:00.000Z", "5"))
    around.take("2.csv", sheet(_said("R02"), "R02"))

    asked = around.of
    told = replace(asked, settings={"may_train": "yes"})
    assert may_train(around.folder, asked) == {"R01"}
    assert may_train(around.folder, told) == set(asked.raters)
    around.take("3.json", _page("2026-01-03T10:00:00.000Z", "2"))
    assert may_train(around.folder, told) == set(asked.raters) - {"R01"}


def test_every_repair_is_recorded_with_its_place(tmp_path: Path):
    around = rated_round(tmp_path)
    said = _said("R01") | {("R01", "a", "e1", EMPATHY): "4 ", ("R01", "b", "e0", MEDICAL): "FALSE"}

    done = around.take("a.csv", sheet(said, "R01", ";"))

    record = read_imports(around.folder)[done.digest]
    assert record["repairs"] == [
        {"file": done.digest, "place": "line 3", "item": item_name("R01", "a", "e1"),
         "dimension": "counselbench.empathy", "was": "4 ", "now": "4", "kind": "blanks or quotes"},
        {"file": done.digest, "place": "line 6", "item": item_name("R01", "b", "e0"),
         "dimension": "counselbench.medical_advice", "was": "FALSE", "now": "No",
         "kind": "word for a point"},
    ]  # fmt: skip
    assert (record["format"], record["raters"], record["ratings"]) == (
        "spreadsheet (CSV)", ["R01"], 24,
    )  # fmt: skip
    assert (around.folder.raw / record["kept"]).read_bytes() == sheet(said, "R01", ";").encode()


def test_what_has_no_value_is_a_state_and_reported(tmp_path: Path):
    around = rated_round(tmp_path)
    said = _said("R01") | {
        ("R01", "a", "e0", EMPATHY): "6", ("R01", "a", "e1", EMPATHY): "5-Jan",
        ("R01", "a", "e2", EMPATHY): "", ("R01", "a", "e3", EMPATHY): "skipped",
    }  # fmt: skip

    done = around.take("a.csv", sheet(said, "R01"))

    found = values(done.ratings)
    assert [found.get(("R01", "a", f"e{i}", EMPATHY)) for i in range(4)] == [
        ("out_of_range", None), ("unreadable", None), None, ("skipped", None),
    ]  # fmt: skip
    assert [(p.kind, p.place) for p in done.problems] == [
        ("out_of_range", "line 2"), ("unreadable", "line 3"),
    ]  # fmt: skip
    assert done.ratings["excluded"].unique().to_list() == [""]


def test_items_that_are_unknown_or_of_somebody_else_are_left_out_and_reported(tmp_path: Path):
    around = rated_round(tmp_path, more=[key_row("R02", "a", "e9", 9)])
    lines = ["item,empathy,rater", f"{item_name('R01', 'a', 'e0')},4,R01", "deadbeef,3,R01",
             f"{item_name('R02', 'a', 'e9')},2,R01"]  # fmt: skip

    done = around.take("a.csv", "\n".join(lines))

    assert list(values(done.ratings)) == [("R01", "a", "e0", EMPATHY)]
    assert [p.kind for p in done.problems] == ["unknown item", "item of another rater"]


def test_a_file_of_another_round_is_refused_whole(tmp_path: Path):
    around = rated_round(tmp_path)
    around.take("a.csv", sheet(_said("R01"), "R01"))
    before = {p: p.read_bytes() for p in around.folder.root.rglob("*") if p.is_file()}

    with pytest.raises(DataError, match="none of its 2 entries is a rating of round-001"):
        around.take("b.csv", "item,empathy\ndeadbeef,3\nbeefdead,4\n")
    assert {p: p.read_bytes() for p in around.folder.root.rglob("*") if p.is_file()} == before


def test_a_packet_that_nobody_has_touched_is_no_error(tmp_path: Path):
    around = rated_round(tmp_path)

    done = around.take("a.csv", f"item,empathy\n{item_name('R01', 'a', 'e0')},\n")

    assert done.ratings.is_empty()
    assert done.problems == []


def test_a_rating_that_stands_twice_counts_once_and_of_two_the_later(tmp_path: Path):
    around = rated_round(tmp_path)
    one, two = item_name("R01", "a", "e0"), item_name("R01", "a", "e1")

    done = around.take("a.csv", f"item,empathy\n{one},4\n{two},3\n{one},4\n{two},5\n")

    assert values(done.ratings) == {
        ("R01", "a", "e0", EMPATHY): ("rated", 4.0), ("R01", "a", "e1", EMPATHY): ("rated", 5.0),
    }  # fmt: skip
    assert [(p.kind, p.text) for p in done.problems] == [
        ("duplicate", "4 in line 2, 4 in line 4"), ("conflict", "3 in line 3, 5 in line 5"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------- declared rules


def _attention(rater: str) -> list[dict[str, object]]:
    return [key_row(rater, "a", f"e{i}", 20 + i, kind="attention", of="e3") for i in range(2)]


def _with_attention(rater: str, label: str) -> str:
    rows = [
        f"{item_name(rater, 'a', f'e{i}', 'attention')},{label},{label},No,30" for i in range(2)
    ]
    head, *others = sheet(_said(rater, "3"), rater).splitlines()
    varied = [
        line.replace(",3,3,", f",{1 + i % 5},{5 - i % 5},") + ",2" for i, line in enumerate(others)
    ]
    return "\n".join([head + ",seconds", *varied, *rows])


RULED = ExclusionRules(straight_lining=0.95, attention=1, seconds=5)


def test_signs_are_reported_and_nothing_is_left_out_without_a_rule(tmp_path: Path):
    around = rated_round(tmp_path, more=_attention("R01") + _attention("R02"), examples=8)
    around.take("1.csv", _with_attention("R01", "5"))
    around.take("2.csv", _with_attention("R02", "1"))
    done = around.take("3.csv", sheet(_said("R03", "4", 8), "R03"))

    found = signs(done.ratings, around.asked.scales)

    assert (found["R01"].attention, found["R01"].attention_failed) == (2, 2)
    assert (found["R02"].attention, found["R02"].attention_failed) == (2, 0)
    assert [found[rater].is_straight for rater in RATERS] == [False, False, True]
    assert (found["R03"].n_scaled, found["R03"].same_point) == (32, 1.0)
    assert [found[rater].fast for rater in RATERS] == [8, 8, 0]  # of R03 no times are known
    assert done.ratings["excluded"].unique().to_list() == [""]


@pytest.mark.parametrize(("label", "failed"), [("2", 0), ("3", 2), ("4", 2)])
def test_an_attention_item_is_passed_in_the_lower_half_of_the_scale(
    label: str, failed: int, tmp_path: Path
):
    around = rated_round(tmp_path, more=_attention("R01"), examples=8)

    done = around.take("1.csv", _with_attention("R01", label))

    assert signs(done.ratings, around.asked.scales)["R01"].attention_failed == failed


def test_declared_rules_leave_ratings_out_and_say_which_they_are(tmp_path: Path):
    around = rated_round(tmp_path, more=_attention("R01") + _attention("R02"), examples=8)
    around.take("1.csv", _with_attention("R01", "5"))
    around.take("2.csv", _with_attention("R02", "1"))
    around.take("3.csv", sheet(_said("R03", "4", 8), "R03"))

    done = apply_rules(around.folder, around.asked, replace(RULES, exclude=RULED))

    why = {
        rater: sorted(done.filter(pl.col("rater") == rater)["excluded"].unique())
        for rater in RATERS
    }
    assert why == {
        "R01": ["attention", "attention, seconds"],
        "R02": ["", "seconds"],
        "R03": ["straight_lining"],
    }
    back = apply_rules(around.folder, around.asked, RULES)
    assert back["excluded"].unique().to_list() == [""]


def test_how_far_each_rater_is(tmp_path: Path):
    around = rated_round(tmp_path)
    part = {k: v for k, v in _said("R01").items() if k[2] == "e0" or k[3] == EMPATHY}
    part |= {("R01", "b", "e3", scale): "skipped" for scale in SCALES}
    done = around.take("a.csv", sheet(part, "R01"))

    first, second, _ = rater_progress(done.ratings, around.asked, RULES.exclude)

    assert (first.asked, first.done, first.partly, first.skipped) == (8, 3, 5, 1)
    assert (second.asked, second.done, second.partly, second.signs) == (8, 0, 0, None)


# ---------------------------------------------------------------------------- public files


def test_the_sixes_and_zeros_of_a_published_file_have_no_value_and_are_all_reported(tmp_path: Path):
    if not public.MENTALALIGN.exists():
        pytest.skip("the public ratings are not beside the repository")
    with gzip.open(public.MENTALALIGN, "rt", encoding="utf-8", newline="") as lines:
        human = [row for row in csv.DictReader(lines) if row["rater"] == "human"]
    cells = [
        (r["question"], r["model"], name, r[name]) for r in human for name in public.ATTRIBUTES
    ]
    outside = {cell[:3]: cell[3] for cell in cells if cell[3] and not 1 <= float(cell[3]) <= 5}
    asked = sorted({question for question, _, _ in outside})
    scales = tuple(("mentalalign", name) for name in public.ATTRIBUTES)
    models = sorted({row["model"] for row in human})
    key = [key_row("R01", m, q, i) for i, q in enumerate(asked) for m in models]
    around = rated_round(tmp_path, examples=0, scales=scales, raters=("R01",), more=key)
    chosen = [cell for cell in cells if cell[0] in asked]
    table = ["question,model,dimension,score,rater"]
    table += [f"{q},{m},{name},{said},expert panel" for q, m, name, said in chosen]
    columns = {"example": "question", "condition": "model", "value": "score"}
    rules = replace(RULES, map=FileMap(columns), raters={"expert panel": "R01"})

    done = around.take("published.csv", "\n".join(table), rules)

    found = done.ratings.filter(pl.col("state") == "out_of_range")
    assert {
        (r["example"], r["condition"], r["dimension"]) for r in found.iter_rows(named=True)
    } == set(outside)
    assert sorted(outside.values()) == ["0.0"] * 231 + ["6.0"] * 8
    assert found["value"].null_count() == 239
    assert sum(p.kind == "out_of_range" for p in done.problems) == 239
    rated = done.ratings.filter(pl.col("state") == "rated")
    assert rated.height == sum(said != "" for *_, said in chosen) - 239
    assert rated["value"].is_between(1, 5).all()


# ---------------------------------------------------------------------------- any order

_MANGLED = {
    "3": [
        "3",
        "3 ",
        "3.0",
        "3,0",
        "'3",
        "\u201c3\u201d",
        '="3"',
        "\uff13",
        "\u00a03",
        "3 = Moderate",
        "Moderate",
    ],
    "4": ["4", "4 ", "4.00", "4,0", "4: Good", "good", "4.", " 4"],
    "Yes": ["Yes", "yes", "Y", "TRUE", "1", "1.0", "YES "],
    "X": ["X", "x", "n/a", "N/A", "NA", "#N/A", "Not applicable"],
    "": ["", " ", "nan", "NULL"],
    "skipped": ["skipped", "skip", "SKIPPED"],
    "6": ["6", "6.0", " 6"],
}


@st.composite
def _mangled_files(draw: st.DrawFn) -> tuple[Said, list[bytes]]:
    """Return what raters said, and files with it: split anyhow, and changed as Excel would."""
    labels = {
        EMPATHY: ["3", "4", "", "skipped", "6"],
        SPECIFICITY: ["3", "4"],
        MEDICAL: ["Yes", "X", ""],
    }
    said = {
        (rater, condition, example, scale): draw(st.sampled_from(labels[scale]))
        for rater in RATERS for condition in "ab" for example in ("e0", "e1") for scale in SCALES
    }  # fmt: skip
    parts: dict[tuple[str, int], Said] = {}
    for key, label in said.items():
        words = _MANGLED[label]
        if key[3] == SPECIFICITY:  # its points have other words
            words = [word for word in words if not any(c.isalpha() for c in word)]
        parts.setdefault((key[0], draw(st.integers(0, 2))), {})[key] = draw(st.sampled_from(words))
    files = []
    for (rater, _), part in draw(st.permutations(sorted(parts.items()))):
        separator = draw(st.sampled_from([";", "\t", "|"]))
        text = sheet(part, rater, separator).replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
        text += draw(st.sampled_from(["", "\n\n", separator * 3 + "\n"]))
        encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
        files.append(text.encode(encoding))
    return said, files


def _together(around: RatedRound, files: list[bytes]) -> pl.DataFrame:
    """Return the ratings of files that come in one after the other."""
    ratings, rank = pl.DataFrame(schema=RATINGS), dict[str, tuple[str, ...]]()
    for at, data in enumerate(files):
        read = read_file(GivenFile(FileContent("f", data), around.asked))
        names = rater_names(read, around.asked, {}, {}, b"s")
        rows = check_file(read, around.asked, names, str(at)).rows
        rank[str(at)] = (str(at),)
        ratings = merge_ratings(ratings, rows, rank).frame
    return excluded(ratings, around.asked.scales, NO_RULES).drop("file")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RatedRound:
    return rated_round(tmp_path_factory.mktemp("small"), examples=2)


@settings(max_examples=60)
@given(case=_mangled_files())
def test_any_order_any_split_and_any_mangling_give_the_same_ratings(
    case: tuple[Said, list[bytes]], small: RatedRound
):
    said, files = case

    wanted = _together(small, [sheet(said, rater).encode() for rater in RATERS])

    assert _together(small, files).equals(wanted)
