"""Every format that raters' tools write leads to the same ratings, and its traps are seen."""

import contextlib
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core.annotation.answers import NOT_ASKED
from empathy_core.annotation.checks import check_file
from empathy_core.annotation.importing import ImportRules
from empathy_core.annotation.kept_files import kept_bytes
from empathy_core.annotation.raters import rater_names
from empathy_core.annotation.readers import FileContent, FileMap, GivenFile, read_file
from empathy_core.errors import DataError
from tests.rated_rounds import (
    EMPATHY,
    MEDICAL,
    MISSED,
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

SAID: Said = {
    ("R01", "a", "e0", EMPATHY): "4", ("R01", "a", "e0", SPECIFICITY): "2",
    ("R01", "a", "e0", MEDICAL): "X", ("R01", "b", "e0", EMPATHY): "1",
    ("R01", "b", "e0", SPECIFICITY): "5", ("R01", "b", "e0", MEDICAL): "Yes",
}  # fmt: skip
WANTED = {
    ("R01", "a", "e0", EMPATHY): ("rated", 4.0),
    ("R01", "a", "e0", SPECIFICITY): ("rated", 2.0),
    ("R01", "a", "e0", MEDICAL): ("not_applicable", None),
    ("R01", "b", "e0", EMPATHY): ("rated", 1.0),
    ("R01", "b", "e0", SPECIFICITY): ("rated", 5.0),
    ("R01", "b", "e0", MEDICAL): ("rated", 1.0),
}


def _by_item() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for (rater, condition, example, scale), label in SAID.items():
        found.setdefault(item_name(rater, condition, example), {})["__".join(scale)] = label
    return found


def _page(**others: Any) -> dict[str, Any]:
    answers = [
        {"item": item, "rubric": name.split("__")[0], "dimension": name.split("__")[1],
         "label": label, "state": "not_applicable" if label == "X" else "rated", "seconds": 31,
         "note": "Anna would know"}
        for item, of in _by_item().items() for name, label in of.items()
    ]  # fmt: skip
    return {
        "format": "empathy-suite ratings", "version": 1, "packet": "p", "rater": "R01",
        "consent": True, "may_train": "yes", "without_crisis": False, "complete": False,
        "answers": answers,
    } | others  # fmt: skip


def page() -> str:
    return json.dumps(_page())


def page_csv() -> str:
    rows = [{"packet": "p"} | answer for answer in _page()["answers"]]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def plain_sheet() -> str:
    return sheet(SAID, "R01")


def excel() -> bytes:
    text = sheet(SAID, "R01", ";").replace(";4;", ";4,0;").replace(";1;", ";“1” ;")
    text = text.replace(";X", ";n/a").replace(";Yes", ";TRUE") + ";;;\n;;;\n"
    return ("\ufeff" + text.replace("\n", "\r\n")).encode()


def excel_with_separator_line() -> str:
    return "sep=;\r\n" + sheet(SAID, "R01", ";").replace("\n", "\r\n")


def unicode_text() -> bytes:
    return sheet(SAID, "R01", "\t").replace("\n", "\r\n").encode("utf-16")


def annotation(of: dict[str, str], who: Any = 7, **others: Any) -> dict[str, Any]:
    result = [
        {"from_name": name, "to_name": "a", "type": "choices", "value": {"choices": [label]}}
        for name, label in of.items()
    ]
    return {
        "completed_by": who,
        "was_cancelled": False,
        "lead_time": 31.0,
        "result": result,
        "created_at": "2026-01-02T10:00:00Z",
        "updated_at": "2026-01-02T10:00:00Z",
    } | others


def label_studio() -> str:
    who = {"id": 7, "email": "anna@clinic.example", "first_name": "Anna"}
    tasks = [
        {"id": i, "data": {"item_id": item, "question": "q"}, "annotations": [annotation(of, who)]}
        for i, (item, of) in enumerate(_by_item().items())
    ]
    return json.dumps(tasks)


def label_studio_ratings() -> str:
    tasks = json.loads(label_studio())
    for result in (r for t in tasks for a in t["annotations"] for r in a["result"]):
        if result["value"]["choices"][0].isdigit():
            result["type"] = "rating"
            result["value"] = {"rating": int(result["value"]["choices"][0])}
    return json.dumps(tasks)


def _flat() -> list[dict[str, Any]]:
    return [
        {"item_id": item, "question": "q", **of, "annotator": "anna@clinic.example",
         "annotation_id": i, "lead_time": 31.0, "updated_at": "2026-01-02T10:00:00Z"}
        for i, (item, of) in enumerate(_by_item().items())
    ]  # fmt: skip


def label_studio_min() -> str:
    rows = _flat()
    rows[0]["counselbench__empathy"] = [{"rating": 4}]
    rows[1]["counselbench__empathy"] = {"choices": ["1"]}
    return json.dumps(rows)


def label_studio_csv() -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(_flat()[0]))
    writer.writeheader()
    writer.writerows(_flat())
    return buffer.getvalue()


def potato_state() -> str:
    labels = {
        item: [[{"schema": name, "name": label}, "true"] for name, label in of.items()]
        for item, of in _by_item().items()
    }
    state = {
        "user_id": "anna",
        "instance_id_ordering": list(labels),
        "phase_to_page_to_label_to_value": {"consent": {"p": {"name": "Anna Smith"}}},
    }
    return json.dumps(state | {"instance_id_to_label_to_value": labels})


def potato_state_nested() -> str:
    labels = {item: {"quality": of} for item, of in _by_item().items()}
    return json.dumps({"user_id": "anna", "instance_id_to_label_to_value": labels})


def potato_lines() -> str:
    return "\n".join(
        json.dumps({"instance_id": item, "user_id": "anna", "labels": {"quality": of}})
        for item, of in _by_item().items()
    )


def potato_csv() -> str:
    names = ["__".join(scale) for scale in SCALES]
    lines = ["instance_id,user_id," + ",".join(f"quality.{name}" for name in names)]
    lines += [f"{item},anna," + ",".join(of[n] for n in names) for item, of in _by_item().items()]
    return "\n".join(lines)


def argilla() -> str:
    return json.dumps(
        [
            {
                "id": f"r{i}",
                "fields": {"answer": "t"},
                "metadata": {"item": item},
                "responses": [
                    {
                        "user_id": "u-1",
                        "status": "submitted",
                        "values": {n: {"value": v} for n, v in of.items()},
                    },
                    {
                        "user_id": "u-1",
                        "status": "draft",
                        "values": {n: {"value": "3"} for n in of},
                    },
                ],
            }
            for i, (item, of) in enumerate(_by_item().items())
        ]
    )


def argilla_flat() -> str:
    return "\n".join(
        json.dumps({"item": item} | {
            key: value for name, label in of.items() for key, value in (
                (f"{name}.responses", [label, "3"]), (f"{name}.responses.users", ["u-1", "u-2"]),
                (f"{name}.responses.status", ["submitted", "draft"]),
            )
        })
        for item, of in _by_item().items()
    )  # fmt: skip


def argilla_by_question() -> str:
    return json.dumps(
        [
            {
                "fields": {"answer": "t"},
                "external_id": item,
                "responses": {
                    name: [{"value": label, "user_id": "u-1", "status": "submitted"}]
                    for name, label in of.items()
                },
            }
            for item, of in _by_item().items()
        ]
    )


def _survey(columns: list[str], texts: list[str], cells: list[str]) -> str:
    before = ["IPAddress", "ResponseId", "Finished", "Status", "RecipientEmail"]
    rows = [
        before + columns,
        before + texts,
        [f'{{"ImportId":"{name}"}}' for name in before + columns],
        ["192.0.2.1", "R_1", "False", "IP Address", "anna@clinic.example", *cells],
        ["192.0.2.1", "R_0", "True", "Survey Preview", "", *["1" for _ in cells]],
    ]
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def qualtrics() -> str:
    cells = [
        (f"{item}_{name}", label) for item, of in _by_item().items() for name, label in of.items()
    ]
    return _survey(
        [c for c, _ in cells],
        [f"How,\nmuch? {i}" for i, _ in enumerate(cells)],
        [v for _, v in cells],
    )


def long_own_names() -> str:
    lines = ["item,dimension,value"]
    lines += [f"{i},{name},{v}" for i, of in _by_item().items() for name, v in of.items()]
    return "\n".join(lines)


FILES: tuple[tuple[str, Callable[[], str | bytes]], ...] = (
    ("result of the page", page), ("result of the page (CSV)", page_csv),
    ("spreadsheet (CSV)", plain_sheet), ("spreadsheet (CSV)", excel),
    ("spreadsheet (CSV)", excel_with_separator_line), ("spreadsheet (CSV)", unicode_text),
    ("Label Studio (JSON)", label_studio), ("Label Studio (JSON)", label_studio_ratings),
    ("Label Studio (JSON_MIN)", label_studio_min), ("Label Studio (CSV)", label_studio_csv),
    ("Potato (user_state.json)", potato_state), ("Potato (user_state.json)", potato_state_nested),
    ("Potato (JSON lines)", potato_lines), ("Potato (CSV)", potato_csv),
    ("Argilla", argilla), ("Argilla", argilla_flat), ("Argilla", argilla_by_question),
    ("Qualtrics (CSV)", qualtrics), ("table with a row for each rating", long_own_names),
)  # fmt: skip


@pytest.mark.parametrize(("name", "made"), FILES, ids=[made.__name__ for _, made in FILES])
def test_every_format_gives_the_same_ratings(
    name: str, made: Callable[[], str | bytes], tmp_path: Path
):
    around = rated_round(tmp_path)

    done = around.take("file", made())

    assert done.read is not None
    assert done.read.format == name
    assert values(done.ratings) == WANTED
    assert {row["rubric_digest"] for row in done.ratings.iter_rows(named=True)} == {
        digest for _, _, digest in around.of.dimensions
    }


@pytest.mark.parametrize(("name", "made"), FILES, ids=[made.__name__ for _, made in FILES])
def test_nothing_in_the_run_says_who_rated(
    name: str, made: Callable[[], str | bytes], tmp_path: Path
):
    around = rated_round(tmp_path)

    done = around.take("answers-of-Anna.csv", made())
    kept = {path: path.read_bytes() for path in around.folder.root.rglob("*") if path.is_file()}

    raw = [path for path in kept if path.parent.name == "raw"]
    assert len(raw) == 1
    assert raw[0].name.startswith(f"{done.digest}-")
    for word in (b"anna@clinic", b"Anna Smith", b'"anna"', b"u-1", b"192.0.2.1", b"R_1", b"First"):
        assert not any(word in data for path, data in kept.items()), word
    assert not any("Anna" in path.name for path in kept)
    again = rated_round(tmp_path / "again")  # what is kept can be read once more
    assert values(again.take("kept", kept[raw[0]]).ratings) == WANTED


@pytest.fixture
def around(tmp_path: Path) -> RatedRound:
    return rated_round(tmp_path)


def _read(around: RatedRound, data: str | bytes, how: FileMap | None = None):
    raw = data.encode() if isinstance(data, str) else data
    return read_file(GivenFile(FileContent("f", raw), around.asked, how or FileMap()))


def test_a_table_with_other_columns_is_read_as_the_command_line_says(around: RatedRound):
    lines = ["id\tquestion\tscore\twho"]
    lines += [f"{i}\t{n}\t{v}\tanna" for i, of in _by_item().items() for n, v in of.items()]
    columns = {"item": "id", "dimension": "question", "value": "score", "rater": "who"}

    done = around.take("f", "\n".join(lines), ImportRules(now=RULES.now, map=FileMap(columns)))

    assert values(done.ratings) == WANTED


def test_a_table_of_conditions_and_examples_finds_the_items(around: RatedRound):
    lines = ["condition,example,dimension,value,rater"]
    lines += [f"{c},{e},{s[1]},{v},{r}" for (r, c, e, s), v in SAID.items()]

    done = around.take("f", "\n".join(lines))

    assert values(done.ratings) == WANTED


def test_a_survey_is_read_by_its_mapping_file(around: RatedRound):
    cells = [(item, name, v) for item, of in _by_item().items() for name, v in of.items()]
    codes = {f"Q{i}.3": (item, name) for i, (item, name, _) in enumerate(cells)}
    text = _survey(list(codes), list(codes), [v for _, _, v in cells])

    done = around.take("f", text, ImportRules(now=RULES.now, map=FileMap({}, codes)))

    assert values(done.ratings) == WANTED
    assert done.read is not None
    assert [note.rpartition(": ")[0] for note in done.read.notes] == [
        "previews and spam, left out", "unfinished responses, read as far as they go",
    ]  # fmt: skip


def test_a_skipped_task_is_a_skipped_item_and_no_zero(around: RatedRound):
    tasks = json.loads(label_studio())
    tasks[0]["annotations"][0] |= {"was_cancelled": True, "result": []}

    found = values(around.take("f", json.dumps(tasks)).ratings)

    assert {found["R01", "a", "e0", scale] for scale in SCALES} == {("skipped", None)}
    assert found["R01", "b", "e0", EMPATHY] == ("rated", 1.0)


def test_a_task_that_was_skipped_and_later_rated_is_rated(around: RatedRound):
    tasks = json.loads(label_studio())
    skip = {"was_cancelled": True, "result": [], "updated_at": "2026-01-01T10:00:00Z"}
    tasks[0]["annotations"].append(
        annotation({}, tasks[0]["annotations"][0]["completed_by"], **skip)
    )

    assert values(around.take("f", json.dumps(tasks)).ratings) == WANTED


def test_without_times_a_rating_goes_before_a_skip(around: RatedRound):
    tasks = json.loads(label_studio())
    who = tasks[0]["annotations"][0]["completed_by"]
    for task in tasks:
        skip = annotation({}, who, was_cancelled=True, result=[])
        for one in (skip, task["annotations"][0]):
            del one["updated_at"], one["created_at"]
        task["annotations"].append(skip)

    assert values(around.take("f", json.dumps(tasks)).ratings) == WANTED


def test_a_name_is_not_taken_for_a_rater_whose_items_another_name_rated(around: RatedRound):
    item = item_name("R01", "a", "e0")
    lines = ["item,dimension,value,rater", f"{item},empathy,4,R01", f"{item},empathy,2,anna"]

    with pytest.raises(DataError, match="which raters 'anna' are"):
        around.take("f", "\n".join(lines))


def test_several_labels_on_a_question_with_one_answer_are_no_answer(around: RatedRound):
    state = json.loads(potato_state())
    item = item_name("R01", "a", "e0")
    state["instance_id_to_label_to_value"][item].append(
        [{"schema": "counselbench__empathy", "name": "2"}, "true"]
    )

    done = around.take("f", json.dumps(state))

    assert values(done.ratings)["R01", "a", "e0", EMPATHY] == ("unreadable", None)
    assert [p.kind for p in done.problems] == ["unreadable"]
    assert "several answers" in done.problems[0].text


def test_potato_label_and_value_of_different_points_are_no_answer(around: RatedRound):
    item = item_name("R01", "a", "e0")
    state = {"user_id": "R01", "instance_id_to_label_to_value": {
        item: [[{"schema": "counselbench__empathy", "name": "4"}, "2"],
               [{"schema": "counselbench__specificity", "name": "scale_3"}, "3"]],
    }}  # fmt: skip

    found = values(around.take("f", json.dumps(state)).ratings)

    assert found["R01", "a", "e0", EMPATHY] == ("unreadable", None)
    assert found["R01", "a", "e0", SPECIFICITY] == ("rated", 3.0)


def test_several_people_rated_the_same_tasks_each_counts_in_the_own_packet(around: RatedRound):
    tasks = json.loads(label_studio())
    for task in tasks:
        task["annotations"].append(annotation({"counselbench__empathy": "3"}, 8))
    rules = ImportRules(now=RULES.now, raters={"7": "R01", "8": "R02"})

    done = around.take("f", json.dumps(tasks), rules)

    found = values(done.ratings)
    assert {key: of for key, of in found.items() if key[0] == "R01"} == WANTED
    assert found["R02", "a", "e0", EMPATHY] == found["R02", "b", "e0", EMPATHY] == ("rated", 3.0)
    assert set(done.ratings.filter(rater="R02")["item"]) == {
        item_name("R02", c, "e0") for c in ("a", "b")
    }
    assert done.checked is not None
    assert done.checked.elsewhere == 2


def test_who_is_who_is_asked_where_it_is_not_known(around: RatedRound):
    tasks = json.loads(label_studio())
    for task in tasks:
        task["annotations"].append(annotation({"counselbench__empathy": "3"}, 8))

    with pytest.raises(DataError, match="--rater 7=R01 --rater 8=R02"):
        around.take("f", json.dumps(tasks))
    assert not around.folder.ratings.exists()
    assert not around.folder.raw.exists()


def test_a_name_that_was_declared_once_is_known_and_stands_nowhere(around: RatedRound):
    lines = ["item,dimension,value,rater", f"{item_name('R02', 'a', 'e1')},empathy,4,Dr. Smith"]
    around.take("f", "\n".join(lines), ImportRules(now=RULES.now, raters={"dr. smith": "R02"}))
    shared = ["item,dimension,value,rater", f"{item_name('R01', 'a', 'e1')},empathy,5,Dr. Smith",
              f"{item_name('R03', 'a', 'e1')},empathy,2,R03"]  # fmt: skip

    found = values(around.take("g", "\n".join(shared)).ratings)

    assert found["R02", "a", "e1", EMPATHY] == ("rated", 5.0)  # R01's item shows the same answer
    assert found["R03", "a", "e1", EMPATHY] == ("rated", 2.0)
    everything = b"".join(p.read_bytes() for p in around.folder.root.rglob("*") if p.is_file())
    assert b"mith" not in everything


def test_drafts_do_not_count_and_discarded_is_skipped(around: RatedRound):
    item = item_name("R01", "a", "e0")
    records = [{"fields": {}, "metadata": {"item": item}, "responses": [
        {"user_id": "u", "status": "draft", "values": {"counselbench__empathy": {"value": 4}}}]},
        {"fields": {}, "metadata": {"item": item_name("R01", "b", "e0")}, "responses": [
            {"user_id": "u", "status": "discarded", "values": {}}]}]  # fmt: skip

    done = around.take("f", json.dumps(records))

    assert set(values(done.ratings).values()) == {("skipped", None)}
    assert done.read is not None
    assert done.read.notes == ("not submitted (draft), left out: 1",)


def test_responses_without_a_status_are_refused(around: RatedRound):
    records = [{"fields": {}, "metadata": {"item": "x"}, "responses": {
        "counselbench__empathy": [{"value": 4, "user_id": "u"}]}}]  # fmt: skip

    with pytest.raises(DataError, match="no status"):
        _read(around, json.dumps(records))


def test_messages_about_suicide_that_a_rater_left_out_are_skipped(tmp_path: Path):
    around = rated_round(tmp_path, tiers={"e0": "none", "e1": "active"}, scales=(EMPATHY, MISSED))
    given = _page(without_crisis=True, answers=_page()["answers"][:1])

    done = around.take("f", json.dumps(given))

    found = values(done.ratings)
    assert found.pop(("R01", "a", "e0", EMPATHY)) == ("rated", 4.0)
    assert found == {
        ("R01", c, "e1", scale): ("skipped", None) for c in "ab" for scale in (EMPATHY, MISSED)
    }


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"version": 2}, "version 2"),
        ({"rater": "R09"}, "rater R09"),
        ({"consent": False}, "no consent"),
        ({"answers": None}, "no list of answers"),
    ],
)
def test_a_result_of_the_page_that_may_not_be_used_is_refused(
    others: dict[str, Any], why: str, around: RatedRound
):
    with pytest.raises(DataError, match=why):
        around.take("f", json.dumps(_page(**others)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04rest", "save the sheet as 'CSV UTF-8'"),
        (b"<!DOCTYPE html><html>", "is the page itself"),
        (page()[:-40].encode(), "download or export it again"),
        (b"a,b\n1,2\n", "it has the columns a, b; expected one of"),
        (b'{"a": 1}', "it has the keys a; expected one of"),
        (b"", "is of no format"),
        (b"\x00\x01\x02\xff" * 9, "is no text"),
        (b"item,empathy,counselbench.empathy\nx,1,2\n", "two columns for 'counselbench.empathy'"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_was_seen_and_what_is_accepted(
    data: bytes, why: str, around: RatedRound
):
    with pytest.raises(DataError, match=why):
        around.take("f", data)


def test_a_name_that_two_rubrics_have_is_asked_for_in_full(tmp_path: Path):
    both = (("emotionqueen", "key"), ("emotionqueen_2", "key"))
    around = rated_round(tmp_path, scales=both)
    item = item_name("R01", "a", "e0")

    with pytest.raises(DataError, match=r"emotionqueen\.key or emotionqueen_2\.key"):
        around.take("f", f"item,key\n{item},1\n")
    found = values(around.take("f", f"item,emotionqueen_2.key\n{item},1\n").ratings)
    assert found == {("R01", "a", "e0", both[1]): ("rated", 1.0)}


def test_items_whose_names_a_spreadsheet_took_for_numbers_are_found(tmp_path: Path):
    names = {"R01": "1234567890123456", "R02": "0012345678e00012", "R03": "12e4567890abcdef"}
    more = [key_row(rater, "a", "e9", 9, item=name) for rater, name in names.items()]
    around = rated_round(tmp_path, more=more)
    mangled = "item,empathy\n1.23457E+15,4\n1.23457E+19,3\n12E4567890ABCDEF,2\n"

    done = around.take("f", mangled)

    assert {row["item"]: row["value"] for row in done.ratings.iter_rows(named=True)} == {
        "1234567890123456": 4.0, "0012345678e00012": 3.0, "12e4567890abcdef": 2.0,
    }  # fmt: skip
    assert done.checked is not None
    assert [r.kind for r in done.checked.repairs] == ["name of the item"] * 3


def test_a_number_that_two_items_could_have_become_is_no_item(tmp_path: Path):
    more = [key_row("R01", "a", f"e{i}", i, item=f"123456789012345{i}") for i in (6, 7)]
    around = rated_round(tmp_path, more=more)

    with pytest.raises(DataError, match="unknown item"):
        around.take("f", "item,empathy\n1.23457E+15,4\n")


def test_columns_that_are_not_read_are_named(around: RatedRound):
    done = around.take("f", plain_sheet().replace("counselbench__specificity", "specifity"))

    assert done.read is not None
    assert done.read.notes == ("columns that are no question of the round, not read: specifity",)


def test_the_packets_own_sheet_says_what_is_asked_and_where_nothing_is(tmp_path: Path):
    around = rated_round(tmp_path, tiers={"e0": "none", "e1": "active"}, scales=(EMPATHY, MISSED))
    rows = [
        [
            "packet",
            "item",
            "question",
            "answer",
            *("__".join(s) for s in (EMPATHY, MISSED)),
            "note",
        ],
        ["p", item_name("R01", "a", "e0"), "q", "a", "4", NOT_ASKED, "fine"],
        ["p", item_name("R01", "a", "e1"), "q", "a", "", "No", ""],
    ]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)

    done = around.take("packet.csv", "\ufeff" + buffer.getvalue())

    assert values(done.ratings) == {
        ("R01", "a", "e0", EMPATHY): ("rated", 4.0), ("R01", "a", "e1", MISSED): ("rated", 0.0),
    }  # fmt: skip
    assert done.problems == []


def test_an_answer_to_what_is_not_asked_of_an_item_is_reported(tmp_path: Path):
    around = rated_round(tmp_path, tiers={"e0": "none"}, scales=(EMPATHY, MISSED))

    done = around.take("f", f"item,empathy,missed_risk\n{item_name('R01', 'a', 'e0')},4,Yes\n")

    assert [p.kind for p in done.problems] == ["not asked"]
    assert list(values(done.ratings)) == [("R01", "a", "e0", EMPATHY)]


def test_a_row_that_is_marked_as_skipped_is_skipped(around: RatedRound):
    item = item_name("R01", "a", "e0")

    found = values(around.take("f", f"item,empathy,skip\n{item},,x\n").ratings)

    assert set(found.values()) == {("skipped", None)}
    assert len(found) == 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def _spoilt(draw: st.DrawFn, value: Any) -> Any:
    """Return a JSON value of which one part, anywhere, is something else."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 5)):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(keys))
        copy = value.copy()
        copy[key] = _spoilt(draw, value[key])
        return copy
    return draw(_JSON)


@st.composite
def _spoilt_files(draw: st.DrawFn) -> str:
    made = draw(
        st.sampled_from(
            [
                page,
                label_studio,
                label_studio_min,
                potato_state,
                potato_state_nested,
                argilla,
                argilla_by_question,
            ]
        )
    )
    return json.dumps(_spoilt(draw, json.loads(made())))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> RatedRound:
    return rated_round(tmp_path_factory.mktemp("shared"))


@settings(max_examples=100)
@given(data=_spoilt_files())
def test_a_file_of_which_a_part_is_spoilt_is_read_or_refused(data: str, shared: RatedRound):
    """Never an error that says nothing to whoever imports."""
    with contextlib.suppress(DataError):
        read = _read(shared, data)
        names = rater_names(read, shared.asked, {}, {}, b"s")
        check_file(read, shared.asked, names, "d")
        kept_bytes(FileContent("f", data.encode()), read, names.of)
