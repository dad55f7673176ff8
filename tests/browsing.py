"""The browser of examples as someone works with it, and the page of a run to browse."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from playwright.sync_api import Page, expect

from empathy_core import store
from empathy_core.types import Condition
from reports.spec import ReportSpec
from reports.write import write_report
from tests.pages import EVIL, Opened
from tests.runs.by_hand import FLAN, LLAMA, make


def answer(made_by: Condition, row: int, sample: int) -> str:
    """Return texts of known overlap with the reference, some of them faulty."""
    special = {3: "", 4: EVIL, 5: "Ünïcode STRASSE İstanbul here"}
    if made_by is LLAMA and row in special:
        return special[row]
    if made_by is FLAN:
        return f"w0 w1 w2 x{row}"
    shared = row % 8
    return " ".join([f"w{i}" for i in range(shared)] + [f"x{row}"] * (8 - shared))


def written(root: Path, about: ReportSpec) -> Path:
    """Write a run whose examples have two sources by turns, and return its page."""
    run = make(root / "run", about, answer)
    rows = pl.read_parquet(run.examples)
    sources = pl.Series(["open" if i % 2 else "closed" for i in range(rows.height)])
    store.write_bytes(store.frame_bytes(rows.with_columns(source=sources)), run.examples)
    write_report(run, about)
    return run.report / "index.html"


@dataclass
class Desk:
    """The browser of examples, as someone works with it."""

    found: Opened

    @property
    def page(self) -> Page:
        """The page in Chromium."""
        return self.found.page

    def choose(self, **fields: str) -> None:
        """Choose options and write into fields, by their names."""
        for name, value in fields.items():
            field = self.page.locator(f"#browser [name={name}]")
            if field.evaluate("field => field.tagName") == "SELECT":
                labels = field.locator("option").all_text_contents()
                named = [label for label in labels if label.partition(" (")[0] == value]
                field.select_option(
                    label=named[0] if named else None, value=None if named else value
                )
            else:
                field.fill(value)

    def listed(self, n: int) -> list[str]:
        """Return the ids in the list, which should say that it has *n*."""
        words = "No example matches" if n == 0 else f"of {n} examples"
        expect(self.page.locator("#browser-status")).to_contain_text(words)
        return self.page.locator("#browser-list .id").all_text_contents()

    def cards(self) -> list[str]:
        """Return the headings of the answers that are shown."""
        return self.page.locator(".answers h4").all_text_contents()

    def current(self) -> str:
        """Return the id of the example that is shown."""
        return self.page.locator("#browser-example h3").inner_text()
