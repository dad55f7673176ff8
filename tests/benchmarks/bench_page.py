"""The page of a report with 5,000 answers, and with 20,000, in a real Chromium.

Answers are of the packaged sample's sentences, shuffled, about as long as its answers. Asked are a
file under 5 MB, the browser of examples drawn in under 1 s after the page is opened at an example,
and 100 ms from a keystroke in the search to the list. Beside it a plain page, as reports usually
have it: the same texts as elements, hidden where they do not hold what is sought. Needs Chromium.

    python tests/benchmarks/bench_page.py
"""

import html
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from playwright.sync_api import Browser

from empathy_core.store import EVALUATED

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from empathy_core import metrics, store  # noqa: E402 - after the path
from reports.spec import ReportSpec  # noqa: E402 - after the path
from reports.write import write_report  # noqa: E402 - after the path
from tests.pages import chromium  # noqa: E402 - after the path
from tests.runs import by_hand  # noqa: E402 - after the path

N_CONDITIONS = 8
SIZES = (5_000, 20_000)
BUDGET_MB, BUDGET_S, BUDGET_KEY_S = 5.0, 1.0, 0.1
SOUGHT = ("l", "lo", "lon", "lone", "lonel", "lonely")
WATCH = """new MutationObserver(() => {
  if (!window.readyAt && document.querySelector("#browser[data-ready], main[data-ready]"))
    window.readyAt = performance.now();
}).observe(document, {subtree: true, childList: true, attributes: true})"""
PLAIN = """
const all = [...document.querySelectorAll("article")];
const status = document.getElementById("browser-status");
document.querySelector("input").addEventListener("input", (event) => {
  const sought = event.target.value.toLowerCase();
  let n = 0;
  for (const one of all) {
    one.hidden = !one.textContent.toLowerCase().includes(sought);
    n += !one.hidden;
  }
  status.textContent = `${n} examples`;
});
document.querySelector("main").dataset.ready = "true";
"""
KEYSTROKE = """async (typed) => {
  const field = document.querySelector("input[type=search]");
  const status = document.getElementById("browser-status");
  const started = performance.now();
  field.value = typed;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  do await frame(); while (status.textContent.includes("Unpacking"));
  return (performance.now() - started) / 1000;
}"""


@dataclass
class Taken:
    """What a page takes: bytes, seconds until it is drawn, of the first keystroke and later."""

    size: int
    ready_s: float
    first_key_s: float
    later_key_s: float

    def __str__(self) -> str:
        return (
            f"{self.size / 1e6:5.2f} MB, drawn in {self.ready_s:.2f} s, first keystroke "
            f"{1000 * self.first_key_s:.0f} ms, later ones {1000 * self.later_key_s:.0f} ms"
        )


class Writer:
    """Writes texts of the sample's sentences."""

    def __init__(self) -> None:
        rows = [json.loads(line) for line in (ROOT / "empathy_core/data/sample.jsonl").open()]
        self.sentences = [s for r in rows for s in r["response"].replace("\n\n", " ").split(". ")]
        self.questions = [r["context"] for r in rows]
        self.rng = np.random.default_rng(0)

    def text(self) -> str:
        """Return seven to eleven sentences in two paragraphs."""
        chosen = list(self.rng.choice(self.sentences, self.rng.integers(7, 12)))
        return ". ".join(chosen[:4]) + ".\n\n" + ". ".join(chosen[4:]) + "."


def made(root: Path, n_answers: int) -> tuple[Path, ReportSpec]:
    """Write a run of so many answers, and its report."""
    writer, n = Writer(), n_answers // N_CONDITIONS
    models = [by_hand.condition(f"model{i}", f"Model {i}") for i in range(N_CONDITIONS)]
    faults = metrics.load("diagnostics", {})
    found = {f"toy{i}-00000000": by_hand.Toy(f"toy{i}") for i in range(3)}
    about = by_hand.spec(*models, metrics={**found, metrics.key("diagnostics", faults): faults})
    run = by_hand.make(root, about, lambda c, i, s: writer.text(), n=n)
    rows = pl.read_parquet(run.examples)
    told = rows.with_columns(
        context=pl.Series([f"{i}: {writer.questions[i % 128]}" for i in range(rows.height)]),
        response=pl.Series([writer.text() for _ in range(rows.height)]),
    )
    store.write_bytes(store.frame_bytes(told), run.examples)
    started = time.monotonic()
    write_report(run, about)
    print(f"{n_answers:,} answers: report written in {time.monotonic() - started:.1f} s")
    return run.root, about


def plain(root: Path, about: ReportSpec) -> Path:
    """Write the peer: every text an element of the page, and a search that hides."""
    run = store.RunDir(root)
    texts: dict[str, list[str]] = {}
    for condition in about.conditions:
        for path in store.list_pieces(run.generations(condition.id)):
            for example, text in store.read_piece(path)[1].select("example", "text").iter_rows():
                card = f"<div><h4>{condition.id}</h4><p>{html.escape(text)}</p></div>"
                texts.setdefault(example, []).append(card)
    examples = pl.read_parquet(run.examples).filter(EVALUATED)
    articles = [
        f"<article><h3>{name}</h3><p>{html.escape(question)}</p><p>{html.escape(reference)}</p>"
        f"{''.join(texts[name])}</article>"
        for name, question, reference in examples.select("id", "context", "response").iter_rows()
    ]
    path = root / "plain.html"
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>Plain</title><input type=search>"
        f"<p id=browser-status></p><main>{''.join(articles)}</main>"
        f"<script type=module>{PLAIN}</script>"
    )
    return path


def timed(browser: Browser, path: Path, address: str = "") -> Taken:
    """Open a page three times and type into its search; the middle of each time is taken."""
    found = []
    for _ in range(3):
        with browser.new_context() as context:
            context.add_init_script(WATCH)
            page = context.new_page()
            page.goto(path.absolute().as_uri() + address)
            page.wait_for_function("() => window.readyAt")
            ready_s = page.evaluate("window.readyAt") / 1000
            first, *later = (page.evaluate(KEYSTROKE, typed) for typed in SOUGHT)
            found.append((ready_s, first, float(np.median(later))))
    middle = np.median(found, axis=0)
    return Taken(path.stat().st_size, *map(float, middle))


def main() -> None:
    """Time the pages and print the ratios to what is asked."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for n_answers in SIZES:
            root, about = made(Path(folder) / str(n_answers), n_answers)
            ours = timed(browser, root / "report" / "index.html", "#example=sample-7")
            peer = timed(browser, plain(root, about))
            print(f"  this page:  {ours}\n  plain page: {peer}")
            if n_answers == SIZES[0]:
                asked = ours
    print(f"page-size: {BUDGET_MB / (asked.size / 1e6):.1f}x (asked 1.0x)")
    print(f"page-interactive: {BUDGET_S / asked.ready_s:.1f}x (asked 1.0x)")
    print(f"page-search: {BUDGET_KEY_S / asked.later_key_s:.1f}x (asked 1.0x)")


if __name__ == "__main__":
    main()
