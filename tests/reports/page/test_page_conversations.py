"""Of a conversation the page shows the last message, and what was said before it folded."""

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import expect

from empathy_core import store
from empathy_core.conversation import Conversation, Message
from reports.write import write_report
from tests.pages import EVIL, chromium, examples_of, needs_chromium, opened
from tests.runs import by_hand

LAST = f"I cannot sleep 🙂.\nNot at all. {EVIL}"
SAID = Conversation(
    (
        Message("user", "I lost my job."),
        Message("assistant", "When was that?\nAnd how?"),
        Message("user", LAST),
    )
)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the page of a run whose first example is a conversation of three turns."""
    plain = by_hand.examples

    def with_turns(n: int = by_hand.N_EXAMPLES) -> pl.DataFrame:
        rows = plain(n)
        turns = [{"role": turn.role, "content": turn.content} for turn in SAID.turns]
        contexts = [SAID.text, *rows["context"].to_list()[1:]]
        return rows.with_columns(
            context=pl.Series(contexts),
            conversation=pl.Series(["sample-0", *[None] * n], dtype=pl.String),
            turns=pl.Series([turns, *[None] * n], dtype=store.TURNS["turns"]),
        )

    monkeypatch.setattr(by_hand, "examples", with_turns)
    about = by_hand.spec()
    run = by_hand.make(tmp_path / "r", about)
    write_report(run, about)
    return run.report / "index.html"


@needs_chromium
def test_the_history_is_folded_above_the_last_message(page: Path):
    """Opened, it names the speakers; a single question is shown as it always was."""
    with chromium() as window, opened(window, page, "#example=sample-0", ready=True) as found:
        article = found.page.locator("#browser-example")
        expect(article.locator("h3")).to_have_text("sample-0")
        history = article.locator("details.history")

        expect(history.locator("summary")).to_have_text("2 earlier turns of the conversation")
        expect(history.locator(".text")).to_be_hidden()
        last = article.locator(".question .text").evaluate("node => node.textContent")
        assert last.startswith("I cannot sleep 🙂.\nNot at all. </script>")
        history.locator("summary").click()
        expect(history.locator(".text")).to_be_visible()
        assert history.locator(".text").evaluate("node => node.textContent") == (
            "User: I lost my job.\n\nTherapist: When was that?\nAnd how?"
        )

        found.page.evaluate("location.hash = '#example=sample-1'")
        expect(article.get_by_text("What shall I do about worry 1?")).to_be_visible()
        assert article.locator("details.history").count() == 0
        assert found.complaints == []


def test_the_list_of_examples_begins_with_the_last_message(page: Path):
    """All conversations begin with a greeting; what is asked tells them apart."""
    index, _, _ = examples_of(page.read_text())

    assert index["examples"]["lead"][0].startswith("I cannot sleep 🙂. Not at all.")
    assert index["examples"]["earlier"][:2] == [2, 0]
    assert index["examples"]["asked"][0] == len(LAST.encode("utf-16-le", "replace")) // 2


def test_a_run_without_conversations_says_nothing_of_them(tmp_path: Path):
    """What the page holds of its examples is what it held before there were any."""
    about = by_hand.spec()
    run = by_hand.make(tmp_path / "r", about)
    write_report(run, about)
    index, _, _ = examples_of((run.report / "index.html").read_text())

    assert not {"earlier", "asked"} & set(index["examples"])
