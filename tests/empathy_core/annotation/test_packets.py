"""What raters are shown: nothing says who wrote it, and some of it comes twice or does not fit."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from empathy_core import rubrics
from empathy_core.annotation.answers import NOT_ASKED, field_name
from empathy_core.annotation.asked import asked_dimensions
from empathy_core.annotation.frames import KEY
from empathy_core.annotation.packets import Packet, PacketItem, key
from empathy_core.annotation.page import packet_page
from empathy_core.annotation.sheets import sheets
from empathy_core.rubrics.rendering import dimension_digest, question_text
from tests.pages import EVIL, Tags
from tests.rating_packets import CONDITIONS, FIRST, HELPLINE, asked, deal, made, questions

AT_RISK = (3, 4, 11)


@pytest.fixture(scope="module")
def both() -> list[Packet]:
    """The packets of two raters who rate everything."""
    return made(questions(24, AT_RISK))


def _items(packet: Packet, kind: str) -> list[tuple[int, PacketItem]]:
    return [
        (place, item)
        for place, page in enumerate(packet.pages)
        for item in page.items
        if item.kind == kind
    ]


def test_one_rater_rates_all_conditions_of_each_question_once(both: list[Packet]):
    for packet in both:
        shown = Counter(
            (page.question.example, item.answer.condition)
            for page in packet.pages
            for item in page.items
            if item.kind == "answer"
        )
        assert len(shown) == 24 * 3
        assert set(shown.values()) == {1}


def test_orders_of_questions_and_answers_are_each_raters_own(both: list[Packet]):
    orders = [[page.question.example for page in packet.pages] for packet in both]
    first = [Counter(p.items[0].answer.condition for p in packet.pages) for packet in both]

    assert orders[0] != orders[1]
    assert all(set(counted) == set(CONDITIONS) for counted in first)


def test_some_answers_come_again_later_and_never_of_people_at_risk():
    """5 to 10 % of the items, under another name, a third of the packet after the first time."""
    for seed in range(40):
        secret = bytes([seed]) * 32
        packet = made(questions(24, AT_RISK), how=deal(0.08, 0.0, secret))[0]
        place = {item.id: at for at, item in _items(packet, "answer")}
        again = _items(packet, "repeat")

        assert 0.05 <= len(again) / (24 * 3) <= 0.1
        for at, item in again:
            first = packet.pages[place[item.of]]
            assert at - place[item.of] > 24 // 3
            assert not first.question.at_risk
            assert packet.pages[at].question.example == first.question.example
            assert item.answer in [other.answer for other in first.items]


def test_attention_items_belong_to_another_question_and_neither_is_at_risk():
    every = questions(24, AT_RISK)
    for seed in range(40):
        packet = made(every, how=deal(0.05, 0.1, bytes([seed]) * 32))[0]
        found = _items(packet, "attention")

        assert len(found) == 7
        for at, item in found:
            assert item.of == item.answer.example != packet.pages[at].question.example
            assert not packet.pages[at].question.at_risk
            assert not every[item.of].at_risk


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_very_small_packet_is_made_without_what_does_not_fit(n: int):
    packet = made(questions(n))[0]

    assert packet.n_of("answer") == 3 * n
    assert packet.n_of("repeat") == (n > 1)
    repeated = [at for at, _ in _items(packet, "repeat")]
    place = {item.id: at for at, item in _items(packet, "answer")}
    assert all(at > place[item.of] for at, item in _items(packet, "repeat")), repeated


def test_only_people_at_risk_leave_nothing_to_repeat_and_no_trick():
    packet = made(questions(10, range(10)))[0]

    assert packet.n_of("answer") == packet.n_items == packet.n_at_risk == 30


def test_no_name_is_used_twice_and_none_can_be_made_without_the_secret(both: list[Packet]):
    """Another secret gives other names and another order; the same gives the same."""
    names = [item.id for packet in both for page in packet.pages for item in page.items]
    again = made(questions(24, AT_RISK))
    other = made(questions(24, AT_RISK), how=deal(secret=bytes(32)))

    assert len(set(names)) == len(names)
    assert both == again
    assert not set(names) & {i.id for packet in other for page in packet.pages for i in page.items}
    assert [p.question for p in both[0].pages] != [p.question for p in other[0].pages]
    assert both[0].id != both[1].id


def test_the_key_says_of_each_item_what_it_is(both: list[Packet]):
    table = key(both)
    of_rater = table.filter(pl.col("rater") == "R02")

    assert dict(table.schema) == KEY
    assert table["item"].is_unique().all()
    assert of_rater.height == both[1].n_items
    assert set(table["kind"]) == {"answer", "repeat", "attention"}
    tricks = table.filter(pl.col("kind") == "attention")
    assert (tricks["of"] != tricks["example"]).all()
    again = table.filter(pl.col("kind") == "repeat")
    firsts = dict(table.select("item", "answer_sha256").iter_rows())
    assert [firsts[of] for of in again["of"]] == again["answer_sha256"].to_list()


# ---------------------------------------------------------------------------- what is given away


def _texts(packet: Packet, folder: Path) -> dict[str, str]:
    what = asked(folder)
    return {"page": packet_page(packet, what, FIRST), **sheets(packet, what, HELPLINE)}


def test_nothing_in_a_packet_tells_the_condition_or_the_kind(both: list[Packet], tmp_path: Path):
    """No id, model, prompt, example, rater of another, nor a word for what is a trick."""
    told = re.compile(
        r"llama|prompt1|prompt2|therapist\.human|sample-\d|R02|attention|repeat\b|\"kind\"|warm-",
        re.IGNORECASE,
    )
    for name, text in _texts(both[0], tmp_path).items():
        data = re.search(r'id="packet">(.*?)</script>', text, re.DOTALL) if name == "page" else None
        found = told.findall(data[1] if data else text)
        assert found == [], name


def test_what_raters_read_is_the_very_text_that_judges_read():
    """Every rubric that ships: instruction, levels, question and points make ``question_text``."""
    for name in rubrics.names():
        rubric = rubrics.rubric(name)
        if not rubric.single_reply:
            continue
        for one in asked_dimensions([rubric]):
            points = "\n".join(f"{label}: {text}" for label, text in one.points)
            parts = [rubric.instruction, one.levels, f"Question: {one.dimension.question}"]
            shown = "\n\n".join(filter(None, [*parts, f"Answers:\n{points}"]))
            assert question_text(rubric, one.dimension).startswith(shown + "\n\n")
            assert one.digest == dimension_digest(rubric, one.dimension)


def test_the_page_holds_everything_and_fetches_nothing(both: list[Packet], tmp_path: Path):
    """One style, one script, data; a policy that lets nothing else in; texts are never markup."""
    page = packet_page(both[0], asked(tmp_path), FIRST)
    tags = Tags(page)
    (policy,) = (m["content"] or "" for m in tags.of("meta") if "http-equiv" in m)

    assert not any(tags.of(name) for name in ("link", "img", "iframe", "svg", "form"))
    assert [s.get("type") for s in tags.of("script")] == ["application/json", None]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http:" not in page
    assert "https:" not in page
    data = json.loads(re.findall(r'id="packet">(.*?)</script>', page, re.DOTALL)[0])
    assert EVIL in [item["text"] for of in data["pages"] for item in of["items"]]


def test_a_packet_of_a_hundred_long_answers_is_far_below_a_megabyte(tmp_path: Path):
    packet = made(questions(32, words=300))[0]
    size = len(packet_page(packet, asked(tmp_path), FIRST).encode())

    assert packet.n_items >= 100
    assert size < 400_000


# ---------------------------------------------------------------------------- other forms


def test_dimensions_are_asked_at_their_tiers_only():
    """The rubric of crises: fewer questions of a message without risk, and "-" in the sheet."""
    what = asked_dimensions([rubrics.rubric("crisis")])
    packet = made(questions(6, (0, 1)))[0]
    page = packet_page(packet, what, FIRST)
    data = json.loads(re.findall(r'id="packet">(.*?)</script>', page, re.DOTALL)[0])
    n_asked = {of["crisis"]: len(of["asked"]) for of in data["pages"]}
    rows = list(csv.DictReader(io.StringIO(sheets(packet, what, HELPLINE)["packet.csv"][1:])))
    cells = Counter(row[field_name("crisis", one.dimension.name)] for row in rows for one in what)

    assert n_asked[False] < n_asked[True] == sum(one.is_asked_at("active") for one in what)
    assert cells[NOT_ASKED] == sum(
        not one.is_asked_at(p.question.tier) for p in packet.pages for _ in p.items for one in what
    )


def test_the_sheet_has_a_row_each_item_and_no_formula(both: list[Packet], tmp_path: Path):
    of = questions(3)
    first = of["sample-0"]
    of["sample-0"] = type(first)(first.example, "=1+1", first.tier, first.answers)
    packet = made(of)[0]
    text = sheets(packet, asked(tmp_path), HELPLINE)["packet.csv"]
    rows = list(csv.DictReader(io.StringIO(text[1:], newline="")))

    assert text.startswith("\ufeff")
    assert list(rows[0]) == [
        "packet", "item", "question", "answer", "care__warmth", "care__harm", "note",
    ]  # fmt: skip
    assert [row["item"] for row in rows] == [i.id for page in packet.pages for i in page.items]
    assert {row["packet"] for row in rows} == {packet.id}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_label_studio_gets_tasks_and_choices_with_the_labels(both: list[Packet], tmp_path: Path):
    files = sheets(both[0], asked(tmp_path), HELPLINE)
    tasks = json.loads(files["label-studio.json"])
    view = ET.fromstring(files["label-studio.xml"])
    choices = {c.get("name"): [o.get("alias") for o in c] for c in view.iter("Choices")}

    assert [t["data"]["item"] for t in tasks] == [i.id for p in both[0].pages for i in p.items]
    assert {t["data"]["packet"] for t in tasks} == {both[0].id}
    assert choices == {"care__warmth": ["0", "1", "2", "X"], "care__harm": ["0", "1", "2"]}
    shown = {f"${name}" for name in tasks[0]["data"]}
    assert {t.get("value") for t in view.iter("Text")} <= shown
    assert HELPLINE in files["label-studio.xml"]


def test_potato_gets_lines_and_one_scheme_a_dimension(both: list[Packet], tmp_path: Path):
    yaml = pytest.importorskip("yaml")
    files = sheets(both[0], asked(tmp_path), HELPLINE)
    lines = [json.loads(line) for line in files["potato.jsonl"].splitlines()]
    settings = yaml.safe_load(files["potato.yaml"])

    assert [line["id"] for line in lines] == [i.id for p in both[0].pages for i in p.items]
    assert settings["item_properties"] == {"id_key": "id", "text_key": "text"}
    assert settings["data_files"] == ["potato.jsonl"]
    assert {s["name"]: s["labels"] for s in settings["annotation_schemes"]} == {
        "care__warmth": ["0", "1", "2", "X"], "care__harm": ["0", "1", "2"],
    }  # fmt: skip
    assert HELPLINE in settings["annotation_task_name"]


def test_qualtrics_gets_a_code_for_each_item_and_dimension(both: list[Packet], tmp_path: Path):
    text = sheets(both[0], asked(tmp_path), HELPLINE)["qualtrics.csv"]
    rows = list(csv.DictReader(io.StringIO(text)))

    assert len({row["code"] for row in rows}) == len(rows) == both[0].n_items * 2
    assert {(row["rubric"], row["dimension"]) for row in rows} == {
        ("care", "warmth"), ("care", "harm"),
    }  # fmt: skip
