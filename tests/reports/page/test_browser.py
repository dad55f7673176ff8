"""The browser of examples in a real Chromium: search, filters, comparison, addresses, keys."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from empathy_core.types import Decoding
from reports.write import write_report
from tests.browsing import Desk, written
from tests.pages import Opened, needs_chromium, opened
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2, N_SHARDS, make, spec

pytestmark = needs_chromium
N = 40


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of four conditions; people answer every second question."""
    return written(tmp_path_factory.mktemp("page"), spec(LLAMA, LLAMA2, FLAN, HUMAN))


@pytest.fixture(scope="module")
def shared(window: Browser, page: Path) -> Iterator[Opened]:
    """Return the page, opened once for the module."""
    with opened(window, page, "#example=sample-0", ready=True) as found:
        yield found


@pytest.fixture
def desk(shared: Opened) -> Iterator[Desk]:
    """Return the browser of examples as at first; nothing may have gone wrong by the end."""
    shared.page.evaluate("location.hash = ''")
    shared.page.evaluate("location.hash = '#example=sample-0'")
    found = Desk(shared)
    found.listed(N)
    expect(shared.page.locator("#browser-example h3")).to_have_text("sample-0")
    yield found
    assert shared.outside() == []
    assert shared.complaints == []


# ---------------------------------------------------------------------------- one example


def test_an_example_is_shown_side_by_side(desk: Desk):
    """Question, reference, every answer that there is, each with its words and scores."""
    assert desk.cards() == [
        "LLaMA 3.1 8B Instruct, Prompt 1", "LLaMA 3.1 8B Instruct, Prompt 2",
        "FLAN-T5 (base), Prompt 1", "Therapist Baseline",
    ]  # fmt: skip
    text = desk.page.locator("#browser-example").inner_text()
    assert "What shall I do about worry 0?" in text
    assert "w0 w1 w2 w3 w4 w5 w6 w7" in text
    flan = desk.page.locator(".answers .answer").nth(2)
    assert flan.locator(".text").inner_text() == "w0 w1 w2 x0"
    assert flan.locator("dt, dd").all_text_contents() == ["Overlap ↑", "0.7500", "Words ↓", "4.0"]


def test_an_answer_that_is_empty_or_absent_says_so(desk: Desk):
    """Empty has its flag; a row that people do not cover has no card of theirs."""
    desk.page.evaluate("location.hash = '#example=sample-3'")
    expect(desk.page.locator("#browser-example h3")).to_have_text("sample-3")

    assert len(desk.cards()) == 3
    first = desk.page.locator(".answers .answer").first
    assert "(empty answer)" in first.inner_text()
    assert first.locator(".flag").all_text_contents() == ["Empty"]


def test_samples_have_a_card_each(window: Browser, tmp_path: Path):
    """In order, with their own scores."""
    warm = replace(LLAMA2, decoding=Decoding("warm", sample=True, samples=2, max_new_tokens=9))
    with opened(window, written(tmp_path, spec(warm)), "#example=sample-1", ready=True) as found:
        desk = Desk(found)

        assert [name.rpartition(", ")[2] for name in desk.cards()] == ["sample 1", "sample 2"]


def test_an_answer_that_is_not_there_yet_says_so(window: Browser, tmp_path: Path):
    """A partial run has gaps, and they can be listed."""
    about = spec(LLAMA2)
    run = make(tmp_path / "run", about)
    run.generation(LLAMA2.id, 0, N_SHARDS).unlink()
    write_report(run, about, partial=True)
    with opened(window, run.report / "index.html", "#example=sample-0", ready=True) as found:
        desk = Desk(found)
        assert "(no answer yet)" in found.page.locator(".answers").inner_text()
        desk.choose(flag="absent")

        assert len(desk.listed(14)) >= 8


# ---------------------------------------------------------------------------- search and filters


def test_search_finds_words_in_any_order_and_phrases_in_theirs(desk: Desk):
    """In question, reference or answers, whatever the case; all words must stand in one text."""
    desk.choose(q='"WORRY 7?"')
    assert desk.listed(1) == ["sample-7"]
    desk.choose(q="x12 w3")
    assert desk.listed(1) == ["sample-12"]
    desk.choose(q='"about worry 17"')
    assert desk.listed(1) == ["sample-17"]
    desk.choose(q='"worry about 17"')
    assert desk.listed(0) == []


def test_search_finds_ids_and_marks_what_it_found(desk: Desk):
    """The words are marked in the text, letters outside ASCII too."""
    desk.choose(q="sample-31")
    assert desk.listed(1) == ["sample-31"]
    desk.choose(q="strasse ünïcode")
    assert desk.listed(1) == ["sample-5"]

    assert desk.page.locator("mark").all_text_contents() == ["Ünïcode", "STRASSE"]


def test_search_goes_through_the_answers_of_the_chosen_models_only(desk: Desk):
    """An answer that is not shown is not searched."""
    desk.choose(q="x33")
    assert desk.listed(1) == ["sample-33"]
    desk.choose(model="Therapist Baseline")
    assert desk.listed(0) == []


def test_filters_by_flag_source_model_and_prompt(desk: Desk):
    """Each leaves what bears it, and they add up."""
    desk.choose(flag="empty")
    assert desk.listed(1) == ["sample-3"]
    desk.choose(flag="any")
    assert "sample-3" in desk.listed(1)
    desk.choose(flag="none", source="open")
    assert all(int(name.rpartition("-")[2]) % 2 for name in desk.listed(N // 2 - 1))
    desk.choose(flag="", source="", model="Therapist Baseline")
    assert len(desk.listed(N // 2)) >= 8
    assert desk.cards() == ["Therapist Baseline"]
    desk.choose(model="", prompt="Prompt 2")
    desk.listed(N)
    assert desk.cards() == ["LLaMA 3.1 8B Instruct, Prompt 2"]


def test_clear_gives_everything_back(desk: Desk):
    """All filters at once."""
    desk.choose(q="nothing has this", flag="empty", order="gap", least="0.5")
    desk.listed(0)
    desk.page.get_by_role("button", name="Clear").click()

    assert desk.listed(N)[:3] == ["sample-0", "sample-1", "sample-2"]


# ---------------------------------------------------------------------------- comparison


def test_examples_are_ordered_by_the_difference_of_two_conditions(desk: Desk):
    """A less B under a metric, either way; what one of them has no score of comes last."""
    desk.choose(metric="toy_overlap", a="llama.prompt2", b="flan_t5.prompt1", order="falling")
    falling = desk.listed(N)
    values = desk.page.locator("#browser-list .value").all_text_contents()
    numbers = [float(v.replace("\N{MINUS SIGN}", "-")) for v in values]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == pytest.approx(7 / 8 - 3 / 4)
    assert falling[0] == "sample-7"  # the first of those with seven of eight words
    for order, first in (
        ("gap", "sample-0"), ("high", "sample-7"), ("low", "sample-0"), ("rising", "sample-0"),
    ):  # fmt: skip
        desk.choose(order=order)
        assert desk.listed(N)[0] == first

    told = desk.page.locator(".difference").inner_text().replace("\N{MINUS SIGN}", "-")
    assert told == (
        "Overlap ↑: A (LLaMA 3.1 8B Instruct, Prompt 2) 0.0000 - B (FLAN-T5 (base), Prompt 1) "
        "0.7500 = -0.7500"
    )
    assert desk.cards()[:2] == ["A LLaMA 3.1 8B Instruct, Prompt 2", "B FLAN-T5 (base), Prompt 1"]


def test_examples_apart_by_so_much_are_left(desk: Desk):
    """A bound on the difference, in the metric's own units."""
    desk.choose(metric="toy_words", a="llama.prompt2", b="flan_t5.prompt1", least="4")
    desk.listed(N)
    desk.choose(least="4.5")
    desk.listed(0)
    desk.choose(metric="toy_overlap", least="0.7", order="gap")

    assert all(int(name.rpartition("-")[2]) % 8 == 0 for name in desk.listed(5))


def test_people_are_compared_where_they_answered(desk: Desk):
    """Without a score there is no difference, and such examples stand at the end."""
    desk.choose(metric="toy_overlap", a="llama.prompt2", b="therapist.none", order="gap")
    desk.listed(N)
    desk.page.locator("#browser-list").press("End")

    expect(desk.page.locator("#browser-list .value").last).to_have_text("\N{EN DASH}")
    desk.choose(least="0")
    desk.listed(N // 2)


def test_words_of_the_reference_are_marked_where_asked(desk: Desk):
    """By more than colour."""
    desk.page.get_by_label("Mark words shared with the reference").check()
    shared = desk.page.locator(".answers .answer").nth(2).locator(".shared")

    assert shared.all_text_contents() == ["w0", "w1", "w2"]
    assert "underline" in shared.first.evaluate("e => getComputedStyle(e).textDecorationLine")


# ---------------------------------------------------------------------------- addresses and keys


def test_an_address_leads_to_an_example(window: Browser, page: Path):
    """Straight from a message, in sight, with the filters that it names."""
    address = "#example=sample-12&order=gap&metric=toy_overlap&a=flan_t5.prompt1&b=llama.prompt2"
    with opened(window, page, address, ready=True) as found:
        desk = Desk(found)

        assert desk.current() == "sample-12"
        assert desk.page.locator("#browser [name=order]").input_value() == "gap"
        assert (
            desk.page.locator(".difference").inner_text().startswith("Overlap ↑: A (FLAN-T5 (base)")
        )
        expect(desk.page.locator("#browser-example")).to_be_in_viewport()


def test_the_address_follows_what_is_shown(desk: Desk):
    """So that it can be sent; the example's name is a link to itself."""
    desk.choose(q="worry", metric="toy_words", order="high")
    desk.listed(N)
    expect(desk.page).to_have_url(re.compile(r"&order=high$"))
    desk.page.get_by_role("button", name="Next").click()

    expect(desk.page).to_have_url(
        re.compile(r"#example=sample-\d+&q=worry&metric=toy_words&order=high$")
    )
    link = desk.page.locator("#browser-example h3 a")
    assert link.get_attribute("href") == desk.page.evaluate("location.hash")


def test_a_table_that_names_examples_leads_to_them(desk: Desk):
    """From the rows that prompts move most to their texts."""
    link = desk.page.locator("#prompts th a").first
    name = link.inner_text()
    link.click()

    expect(desk.page.locator("#browser-example h3")).to_have_text(name)
    expect(desk.page.locator("#browser-example")).to_be_focused()


def test_an_unknown_example_is_told(window: Browser, page: Path):
    """And the others are shown all the same; a name with markup is a name."""
    with opened(window, page, "#example=<img src=x>", ready=True) as found:
        status = found.page.locator("#browser-status")

        expect(status).to_have_text("There is no example <img src=x> in this file.")
        assert Desk(found).current() == "sample-0"


def test_keys_lead_from_example_to_example(desk: Desk):
    """With j and k anywhere but in a field, with arrows in the list; / leads to the search."""
    desk.page.keyboard.press("j")
    desk.page.keyboard.press("j")
    expect(desk.page.locator("#browser-example h3")).to_have_text("sample-2")
    desk.page.keyboard.press("k")
    expect(desk.page.locator("#browser-example h3")).to_have_text("sample-1")
    desk.page.keyboard.press("/")
    desk.page.keyboard.type("j")
    assert desk.page.locator("#browser [name=q]").input_value() == "j"
    desk.choose(q="")
    listbox = desk.page.get_by_role("listbox", name="Examples")
    listbox.focus()
    for key, shown in (("End", 39), ("ArrowUp", 38), ("Home", 0), ("ArrowDown", 1)):
        listbox.press(key)
        expect(desk.page.locator("#browser-example h3")).to_have_text(f"sample-{shown}")
        chosen = desk.page.locator("#browser-list [aria-selected=true]")
        assert chosen.get_attribute("id") == listbox.get_attribute("aria-activedescendant")
        expect(chosen).to_be_in_viewport()
    assert chosen.get_attribute("aria-posinset") == "2"
    assert chosen.get_attribute("aria-setsize") == str(N)


def test_buttons_end_where_the_list_ends(desk: Desk):
    """Nothing lies before the first example and after the last."""
    before, after = (desk.page.get_by_role("button", name=name) for name in ("Previous", "Next"))
    expect(before).to_be_disabled()
    desk.choose(q='"worry 7?"')
    desk.listed(1)

    expect(after).to_be_disabled()
