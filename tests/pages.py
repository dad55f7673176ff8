"""Pages for the tests: their elements and texts, what their examples hold, and a real browser."""

import base64
import gzip
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
EVIL = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    "<svg onload=window.hacked=1><!-- <a href='javascript:window.hacked=1'>a</a> --></textarea>"
    "\"'>]]>${window.hacked=1}{{7*7}} \u2028\u2029 \x00\x07\x1b \u202eevil\u202c \ufeff \ufffe "
    "\U000e0041 é 🙂 سلام"
)
"""A text that tries to be more than a text."""

CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length && (colour.length < 4 || colour[3] === 1)) return colour;
    }
    return rgb(getComputedStyle(document.documentElement).backgroundColor);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!own || !box.width || box.height < 2 || style.visibility === "hidden") continue;
    if (element.closest("button:disabled, option, script, style, desc, title")) continue;
    const ink = element.closest("svg") ? style.fill : style.color;
    const pair = [light(rgb(ink)), light(behind(element))].sort((a, b) => b - a);
    found.push([(pair[0] + 0.05) / (pair[1] + 0.05), element.outerHTML.slice(0, 120)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""
"""Returns the contrast of every text with what is behind it, the lowest first (WCAG 2)."""

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists() and os.environ.get("CI") != "true",
    reason="Chromium is not installed (Debian: chromium)",
)


class Tags(HTMLParser):
    """Collects the elements and texts of a page; of scripts and styles the text too."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect an element."""
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Notice where a script or style ends."""
        if self._open and tag == self._open[-1]:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Collect a text."""
        if not self._open:
            self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of that name."""
        return [attributes for name, attributes in self.tags if name == tag]


def examples_of(page: str) -> tuple[dict[str, Any], list[Any], list[dict[str, Any]]]:
    """Return what the browser of examples unpacks: index, scores, pieces of texts."""
    packed = re.findall(r'<script type="text/plain" class="piece">([A-Za-z0-9+/=]*)</script>', page)
    index, scores, *texts = (json.loads(gzip.decompress(base64.b64decode(p))) for p in packed)
    return index, scores, texts


def texts_of(page: str) -> dict[str, list[str | None]]:
    """Return example → its texts in the page: question, reference, answers in order."""
    index, _, pieces = examples_of(page)
    found: dict[str, list[str | None]] = {}
    for piece in pieces:
        for i, row in enumerate(piece["rows"]):
            name = index["examples"]["id"][piece["start"] + i]
            found[name] = [None if at < 0 else piece["texts"][at] for at in row]
    return found


# ---------------------------------------------------------------------------- a real browser


class Opened:
    """A page in Chromium, and what it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", self._refused)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _refused(self, request: Request) -> None:
        if request.failure == "csp":  # never left the browser
            self.requests.remove(request.url)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def outside(self) -> list[str]:
        """Return what was asked for beside the file itself and what stands in it."""
        return [url for url in self.requests[1:] if not url.startswith(("data:", "blob:"))]


PATIENCE_MS = 300_000
"""Playwright's own is 5 seconds, which others may use up."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium; nothing is downloaded."""
    expect.set_options(timeout=PATIENCE_MS)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, path: Path, address: str = "", *, ready: bool = False, **context: Any
) -> Iterator[Opened]:
    """Open a file; *ready* waits until the browser of examples is drawn."""
    settings = {"viewport": {"width": 1280, "height": 900}, **context}
    with browser.new_context(**settings) as window:
        found = Opened(window.new_page())
        found.page.set_default_timeout(PATIENCE_MS)
        found.page.goto(path.absolute().as_uri() + address)
        if ready:
            found.page.locator("#browser[data-ready]").wait_for(state="attached")
        yield found
