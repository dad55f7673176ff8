"""Texts about suicide are folded behind a warning, in a real Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from reports.write import write_report
from tests.pages import needs_chromium, opened
from tests.runs.crises import AT_RISK, crisis_run, crisis_spec

pytestmark = needs_chromium


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the page of a run whose first three examples are of people at risk."""
    about = crisis_spec()
    run = crisis_run(tmp_path / "r", about, monkeypatch)
    write_report(run, about)
    return run.report / "index.html"


def test_texts_of_people_at_risk_show_only_when_they_are_opened(window: Browser, page: Path):
    """Question, reference and answers; the list names the level instead of the first words."""
    with opened(window, page, "#example=sample-1", ready=True) as found:
        article = found.page.locator("#browser-example")
        expect(article.locator("h3")).to_have_text("sample-1")
        warning = article.locator("details.crisis > summary")

        expect(warning).to_contain_text("risk of suicide (active)")
        expect(found.page.get_by_text(AT_RISK[1])).to_be_hidden()
        expect(article.get_by_text("w0 w1 w2").first).to_be_hidden()
        lead = found.page.locator("#browser-row-1 .lead")
        expect(lead).to_have_text("Folded: risk of suicide, active")
        warning.click()
        expect(article.get_by_text(AT_RISK[1])).to_be_visible()
        expect(article.locator(".answers .text").first).to_be_visible()

        # the next one is folded again, and others never are
        found.page.evaluate("location.hash = '#example=sample-2'")
        expect(article.locator("h3")).to_have_text("sample-2")
        expect(article.get_by_text(AT_RISK[2])).to_be_hidden()
        found.page.evaluate("location.hash = '#example=sample-5'")
        expect(article.get_by_text("What shall I do about worry 5?")).to_be_visible()
        assert article.locator("details.crisis").count() == 0
        assert found.complaints == []


def test_the_page_says_how_many_texts_are_folded(window: Browser, page: Path):
    """And by whom they were found."""
    with opened(window, page, "#example=sample-5", ready=True) as found:
        expect(found.page.locator("#crisis-folded")).to_contain_text(
            "3 examples show a risk of suicide, according to a screen of phrases"
        )


def test_no_text_at_risk_stands_in_the_list_that_the_page_holds(page: Path):
    """The list's first words are left out of the page; the texts are packed."""
    html = page.read_text()

    assert not any(text in html for text in AT_RISK)
