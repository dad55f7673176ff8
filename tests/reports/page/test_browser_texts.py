"""Texts and names that try to be more, in a real Chromium; and texts that are withheld."""

import re
from pathlib import Path

import polars as pl
from playwright.sync_api import Browser, expect

from empathy_core import store
from reports.write import write_report
from tests.browsing import Desk, written
from tests.pages import EVIL, needs_chromium, opened
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2, make, relabelled, spec

pytestmark = needs_chromium
N = 40


def test_a_hostile_answer_is_shown_and_never_run(window: Browser, tmp_path: Path):
    """Letter by letter; signs that cannot be seen are told by their number."""
    path = written(tmp_path, spec(LLAMA, FLAN))
    with opened(window, path, "#example=sample-4", ready=True) as found:
        body = found.page.locator(".answers .answer").first.locator(".text")
        assert found.page.evaluate("window.hacked") is None
        assert body.locator("*:not(.sign)").count() == 0
        shown = body.evaluate("e => e.textContent")
        assert found.complaints == []
    for code in (
        "\u2028",
        "\u2029",
        "\x00",
        "\x07",
        "\x1b",
        "\u202e",
        "\u202c",
        "\ufeff",
        "\ufffe",
        "\U000e0041",
    ):
        assert f"U+{ord(code):04X}" in shown
        assert code not in shown
        shown = shown.replace(f"U+{ord(code):04X}", code, 1)
    assert shown == EVIL


def test_hostile_names_are_shown_and_never_run(window: Browser, tmp_path: Path):
    """Labels, ids, sources, questions and captions, in tables, options, lists and cards."""
    evil = relabelled(LLAMA2, EVIL)
    about = spec(evil, FLAN, caption=EVIL, title=EVIL, audit_text=EVIL,
                 provenance={EVIL: EVIL}, withheld={"<b>": EVIL})  # fmt: skip
    run = make(tmp_path / "run", about, lambda c, i, s: EVIL)
    rows = pl.read_parquet(run.examples)
    told = rows.with_columns(context=pl.lit(EVIL), source=pl.lit(EVIL))
    store.write_bytes(store.frame_bytes(told), run.examples)
    write_report(run, about)
    with opened(window, run.report / "index.html", "#example=sample-4", ready=True) as found:
        desk = Desk(found)
        desk.choose(order="gap", q="hacked", source="0", model="0")
        desk.listed(N)

        assert found.page.evaluate("window.hacked") is None
        assert (
            found.page.locator("#browser img, #browser svg, #browser a[href^=javascript]").count()
            == 0
        )
        assert (
            "<img src=x onerror=window.hacked=1>"
            in found.page.locator(".answers h4").first.inner_text()
        )
        assert found.complaints == []
        assert found.outside() == []


# ---------------------------------------------------------------------------- withheld


def test_a_withheld_text_is_told_by_its_digest(window: Browser, tmp_path: Path):
    """With its flags and scores; search goes through ids alone."""
    about = spec(LLAMA2, FLAN, withheld={"closed": "licence: RAIL-D", "open": "licence: none"})
    path = written(tmp_path, about)
    with opened(window, path, "#example=sample-2", ready=True) as found:
        desk = Desk(found)
        text = found.page.locator("#browser-example").inner_text()
        assert len(re.findall(r"withheld, SHA-256 [0-9a-f]{16}…", text)) == 4
        assert "0.7500" in text
        desk.choose(q="worry")
        desk.listed(0)
        desk.choose(q="sample-11")
        assert desk.listed(1) == ["sample-11"]
        assert "Some texts are not in this file." in found.page.locator("#examples").inner_text()


def test_a_browser_that_cannot_unpack_is_told_so(window: Browser, tmp_path: Path):
    """The rest of the page works without."""
    page = written(tmp_path, spec(LLAMA2))
    with window.new_context() as context:
        context.add_init_script("delete window.DecompressionStream")
        view = context.new_page()
        view.goto(page.absolute().as_uri())

        expect(view.locator("#browser-trouble")).to_contain_text("lacks DecompressionStream")
        expect(view.locator("#browser")).to_be_hidden()
        view.get_by_role("button", name="Overlap").first.click()
        expect(view.locator("[aria-sort]")).to_have_count(1)
