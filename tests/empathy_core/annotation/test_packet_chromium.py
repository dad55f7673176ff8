"""A rater's page in a real browser: rated by keyboard, kept, resumed, downloaded, erased."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from empathy_core.annotation.answers import COLUMNS, FORMAT, STATES
from empathy_core.annotation.asked import asked_dimensions
from empathy_core.annotation.packets import Packet
from empathy_core.annotation.page import FirstPage, packet_page
from empathy_core.rubrics import rubric
from tests.pages import CONTRAST, EVIL, Opened, chromium, needs_chromium, opened
from tests.rating_packets import FIRST, HELPLINE, asked, made, questions

pytestmark = needs_chromium
AT_RISK = (1, 2)
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def packet() -> Packet:
    return made(questions(8, AT_RISK))[0]


@pytest.fixture(scope="module")
def path(packet: Packet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a packet on two dimensions."""
    folder = tmp_path_factory.mktemp("packet")
    (folder / "packet.html").write_text(packet_page(packet, asked(folder), FIRST), "utf-8")
    return folder / "packet.html"


def start(page: Page) -> None:
    """Agree, and go to the first reply."""
    page.locator("#consent").check()
    page.locator("#begin").click()


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def downloaded(page: Page) -> dict[str, Any]:
    """Return what a click on the button gives."""
    with page.expect_download() as download:
        page.locator("#download").click()
    found: dict[str, Any] = json.loads(download.value.path().read_text("utf-8"))
    return found | {"name": download.value.suggested_filename}


def items_of(packet: Packet) -> list[str]:
    return [item.id for page in packet.pages for item in page.items]


def test_ten_replies_are_rated_by_keyboard_kept_and_downloaded(
    browser: Browser, path: Path, packet: Packet
):
    """No pointer after the first page; a reload resumes at the same reply."""
    with opened(browser, path) as found:
        page = found.page
        start(page)
        for i in range(10):
            page.keyboard.press("X" if i == 3 else str(i % 3))
            page.keyboard.press(str(2 - i % 3))
            if i < 9:
                page.keyboard.press("ArrowRight" if i % 2 else "Enter")
        before = heading(page)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowRight")
        page.reload()
        assert heading(page) == before
        assert page.locator("input:checked").count() == 2
        expect(page.locator("#progress-text")).to_have_text(f"10 of {packet.n_items} replies done")
        result = downloaded(page)

        assert found.complaints == []
        assert found.outside() == [page.url]  # the reload
    rated = result["answers"]
    assert result["format"] == FORMAT
    assert result["packet"] == packet.id
    assert result["name"] == f"ratings-R01-{packet.id}.json"
    assert (result["consent"], result["may_train"], result["complete"]) == (True, "no", False)
    assert all(list(row) == list(COLUMNS) and row["state"] in STATES for row in rated)
    assert [row["item"] for row in rated[::2]] == items_of(packet)[:10]
    warmth = [row["label"] for row in rated if row["dimension"] == "warmth"]
    assert warmth == ["0", "1", "2", "X", "1", "2", "0", "1", "2", "0"]
    assert [row["label"] for row in rated if row["dimension"] == "harm"][:3] == ["2", "1", "0"]
    assert rated[6]["state"] == "not_applicable"


def test_skipping_taking_back_and_notes_are_in_what_is_sent(browser: Browser, path: Path):
    with opened(browser, path) as found:
        page = found.page
        start(page)
        page.keyboard.press("1")
        page.keyboard.press("2")
        page.locator("#q0 input").first.focus()
        page.keyboard.press("Backspace")  # of the first question
        page.locator("#note").fill("2 kind words, s")  # no key of the page works in a text
        page.locator("#next").click()
        page.keyboard.press("s")
        page.locator("h1").wait_for()
        rows = downloaded(page)["answers"]

    assert [(row["dimension"], row["label"], row["state"]) for row in rows] == [
        ("warmth", "", "skipped"), ("harm", "2", "rated"),
        ("warmth", "", "skipped"), ("harm", "", "skipped"),
    ]  # fmt: skip
    assert [row["note"] for row in rows] == ["2 kind words, s"] * 2 + ["", ""]


def test_messages_about_suicide_are_left_out_by_one_click(
    browser: Browser, path: Path, packet: Packet
):
    """On such a reply the click leads on; what was rated of them is not sent."""
    place = next(i for i, page in enumerate(packet.pages) if page.question.at_risk)
    first = sum(len(page.items) for page in packet.pages[:place])
    with opened(browser, path) as found:
        page = found.page
        start(page)
        for _ in range(first):
            page.keyboard.press("ArrowRight")
        assert heading(page).startswith(f"Message {place + 1} of")
        page.keyboard.press("1")
        page.locator("#opt-out").click()
        assert not heading(page).startswith(f"Message {place + 1} of")
        expect(page.locator("#progress-text")).to_have_text(
            f"0 of {packet.n_items - packet.n_at_risk} replies done"
        )
        result = downloaded(page)
        page.locator("#home").click()
        assert page.locator("#no-crisis").is_checked()

    assert result["without_crisis"] is True
    assert result["answers"] == []


def test_no_more_replies_to_people_at_risk_are_shown_than_a_sitting_allows(
    browser: Browser, packet: Packet, tmp_path: Path
):
    """Four of six; after eight hours the rest are there."""
    first = FirstPage(helpline=HELPLINE, crisis_per_sitting=4)
    (tmp_path / "packet.html").write_text(packet_page(packet, asked(tmp_path), first), "utf-8")
    at_risk = {i.id for page in packet.pages if page.question.at_risk for i in page.items}
    with opened(browser, tmp_path / "packet.html") as found:
        page = found.page
        page.clock.install(time=1_800_000_000)
        page.reload()
        page.locator("#begin").click()

        def rate_all() -> set[str]:
            while heading(page).startswith("Message"):
                page.keyboard.press("1")
                page.keyboard.press("1")
                page.keyboard.press("ArrowRight")
            return {row["item"] for row in downloaded(page)["answers"]}

        rated = rate_all()
        assert len(rated & at_risk) == 4
        assert len(rated) == packet.n_items - 2
        expect(page.locator("main")).to_contain_text("2 replies to messages about suicide wait")
        page.clock.set_fixed_time(1_800_000_000 + 8 * 3600 + 60)
        page.reload()
        page.locator("#home").click()
        page.locator("#begin").click()
        assert rate_all() >= at_risk
        assert downloaded(page)["complete"] is True


def test_erasing_leaves_nothing_in_the_browser(browser: Browser, path: Path):
    """After a question; who says no keeps everything."""
    with opened(browser, path) as found:
        page = found.page
        start(page)
        page.keyboard.press("1")
        assert page.evaluate("localStorage.length") == 1
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.locator("#erase").click()
        assert page.evaluate("localStorage.length") == 1
        page.once("dialog", lambda dialog: dialog.accept())
        page.locator("#erase").click()
        assert page.evaluate("localStorage.length") == 0
        expect(page.locator("#kept")).to_contain_text("Erased")
        page.reload()
        expect(page.locator("#begin")).to_have_text("Start")
        assert downloaded(page)["answers"] == []


def test_the_first_page_warns_names_help_and_asks(browser: Browser, path: Path):
    """Help is on every page; nobody begins without consent; training is the rater's choice."""
    with opened(browser, path) as found:
        page = found.page
        text = page.locator("main").inner_text()
        assert page.locator("#begin").is_disabled()
        page.locator("#may-train input[value=yes]").check()
        start(page)
        assert HELPLINE in page.locator("footer").inner_text()
        assert downloaded(page)["may_train"] == "yes"

    for said in ("suicide", "stop for good at any time", HELPLINE, "Approval 2026-17.",
                 "study@example.org", "train language models", "skip any reply"):  # fmt: skip
        assert said in text


def test_where_the_browser_keeps_nothing_the_page_says_so(browser: Browser, path: Path):
    with opened(browser, path) as found:
        page = found.page
        page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); };")
        page.reload()
        start(page)
        page.keyboard.press("1")
        expect(page.locator("#warning")).to_contain_text("cannot keep your ratings")
        assert len(downloaded(page)["answers"]) == 1


def test_a_text_that_tries_to_be_more_is_shown_as_text(
    browser: Browser, path: Path, packet: Packet
):
    at = items_of(packet).index(
        next(i.id for p in packet.pages for i in p.items if i.answer.text == EVIL)
    )
    with opened(browser, path) as found:
        page = found.page
        start(page)
        for _ in range(at):
            page.keyboard.press("ArrowRight")
        assert "window.hacked=1" in page.locator(".reply").inner_text()
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img, main svg").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(browser: Browser, path: Path, scheme: Any):
    """No sideways scrolling, targets of 40 pixels, contrast 4.5 on every page; rated by touch."""
    with opened(browser, path, color_scheme=scheme, **PHONE) as found:
        page = found.page

        def check() -> None:
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            contrast, where = page.evaluate(CONTRAST)[0]
            assert contrast >= 4.5, where

        check()
        start(page)
        check()
        page.locator("#q0 label").nth(1).tap()
        page.locator("#q1 label").nth(2).tap()
        check()
        heights = page.locator("fieldset label, .steps button").evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().height)"
        )
        assert min(heights) >= 40
        page.locator("#list").tap()
        check()
        assert [row["label"] for row in downloaded(page)["answers"]] == ["1", "2"]


def test_a_phone_shows_that_no_choice_about_training_means_no(browser: Browser, path: Path):
    """What consent rests on is no hint about keys, which a phone does without."""
    with opened(browser, path, **PHONE) as found:
        expect(found.page.get_by_text("If you choose neither, the answer is no.")).to_be_visible()
        expect(found.page.get_by_text("answer the marked question")).to_be_hidden()


def test_the_name_of_the_file_has_a_line_of_its_own(browser: Browser, path: Path):
    """Between progress and buttons it would be broken into four."""
    with opened(browser, path, viewport={"width": 1366, "height": 768}) as found:
        start(found.page)
        downloaded(found.page)
        height = found.page.locator("#kept").evaluate("one => one.getBoundingClientRect().height")
        assert 0 < height < 30


def test_a_long_question_stands_within_its_frame(browser: Browser, path: Path):
    with opened(browser, path, **PHONE) as found:
        start(found.page)
        frame, question = found.page.locator("fieldset").first.evaluate(
            "one => [one, one.querySelector('legend')].map((it) => it.getBoundingClientRect().top)"
        )
        assert question > frame


def test_every_field_has_a_name_and_focus_goes_with_the_rater(browser: Browser, path: Path):
    """Labels and legends for all inputs; a new reply begins at its heading."""
    with opened(browser, path) as found:
        page = found.page
        start(page)
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input, textarea, progress')]"
            ".filter((one) => !one.labels.length).length"
        )
        assert unnamed == 0
        assert page.evaluate("document.activeElement.tagName") == "H1"
        assert page.locator("fieldset.now").get_attribute("id") == "q0"  # what a key will answer
        page.keyboard.press("2")
        assert page.evaluate("document.activeElement.closest('fieldset').id") == "q1"
        page.keyboard.press("2")
        assert page.evaluate("document.activeElement.id") == "next"
        page.keyboard.press("Enter")  # the button itself
        assert heading(page).endswith("reply 2 of " + heading(page).split()[-1])
        page.get_by_role("radio", name="Polite").focus()
        page.keyboard.press("ArrowDown")  # as in any group of choices
        assert page.locator("#q0 input:checked").get_attribute("value") == "2"


def test_two_windows_of_one_packet_show_the_same(browser: Browser, path: Path):
    with browser.new_context() as window:
        first, second = (Opened(window.new_page()).page for _ in range(2))
        for page in (first, second):
            page.goto(path.as_uri())
        start(first)
        first.keyboard.press("1")
        first.keyboard.press("1")
        expect(second.locator("#progress-text")).to_contain_text("1 of")


def test_scales_in_words_are_answered_by_their_place(browser: Browser, tmp_path: Path):
    """Yes and No are 1 and 2, and say so; at which risk is asked stands there once, then folded."""
    what = asked_dimensions([rubric("crisis")])
    packet = made(questions(4, range(4)))[0]
    (tmp_path / "packet.html").write_text(packet_page(packet, what, FIRST), "utf-8")
    labels = what[0].dimension.labels
    with opened(browser, tmp_path / "packet.html") as found:
        page = found.page
        start(page)
        n = page.locator("fieldset").count()
        keys = page.locator("#q0 kbd").all_text_contents()
        shown = page.locator("p.levels:visible").count()
        page.locator("summary").first.click()
        assert page.locator("p.levels:visible").count() == shown + 1
        page.locator("#q0 input").first.focus()
        page.keyboard.press("2")
        rows = downloaded(page)["answers"]

        assert found.complaints == []
    risk = packet.pages[0].question.tier
    assert n == sum(one.is_asked_at(risk) for one in what)
    assert keys[:2] == ["1", "2"]
    assert [row["label"] for row in rows] == [labels[1]]


def test_time_on_a_reply_is_counted_while_the_rater_is_there(
    browser: Browser, path: Path, packet: Packet
):
    """Ten minutes: twelve replies of 40 s each, and a pause of which one minute counts."""
    with opened(browser, path) as found:
        page = found.page
        page.clock.install(time=1_800_000_000)
        page.reload()
        start(page)
        for _ in range(12):
            page.clock.run_for(40_000)
            page.keyboard.press("1")
            page.keyboard.press("1")
            page.keyboard.press("ArrowRight")
        page.clock.run_for(600_000)  # away
        page.keyboard.press("1")
        page.reload()
        rows = downloaded(page)["answers"]
        expect(page.locator("#progress-text")).to_contain_text("12 of")

    seconds = {row["item"]: row["seconds"] for row in rows}
    assert list(seconds) == items_of(packet)[:13]
    assert all(39 <= seconds[item] <= 41 for item in items_of(packet)[:12])
    assert 59 <= seconds[items_of(packet)[12]] <= 62


def test_it_can_be_printed(browser: Browser, path: Path):
    """Message, reply and questions; nothing to be clicked."""
    with opened(browser, path) as found:
        page = found.page
        start(page)
        page.emulate_media(media="print")
        for name in ("header", ".steps", "#erase"):
            assert page.locator(name).is_hidden()
        for name in (".text.reply", "#q1", "footer .help"):
            assert page.locator(name).is_visible()
