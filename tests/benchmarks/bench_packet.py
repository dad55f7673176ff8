"""A rater's page of a hundred long replies, in a real Chromium.

Asked are a file under 1 MB, and the first reply drawn within 0.5 s after the file is opened; beside
them how long it takes to make the packets of a round of 200 questions. Needs Chromium.

    python tests/benchmarks/bench_packet.py
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from empathy_core import rubrics  # noqa: E402 - after the path
from empathy_core.annotation.asked import asked_dimensions  # noqa: E402 - after the path
from empathy_core.annotation.page import packet_page  # noqa: E402 - after the path
from tests.pages import chromium, opened  # noqa: E402 - after the path
from tests.rating_packets import FIRST, made, questions  # noqa: E402 - after the path

BUDGET_MB, BUDGET_S, WORDS = 1.0, 0.5, 300
DRAWN = "document.querySelector('.item h1') ? performance.now() : null"


def main() -> int:
    """Print size and times, and return 1 if a budget is missed."""
    asked = asked_dimensions([rubrics.rubric("mentalalign")])
    packet = made(questions(31, words=WORDS))[0]
    page = packet_page(packet, asked, FIRST)
    size = len(page.encode()) / 1e6
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder) / "packet.html"
        path.write_text(page, encoding="utf-8")
        with opened(browser, path) as found:
            found.page.locator("#consent").check()
            found.page.locator("#begin").click()
            times = []
            for _ in range(5):  # as a rater comes back to it
                found.page.reload()
                times.append(found.page.evaluate(DRAWN) / 1e3)
    started = time.perf_counter()
    many = made(questions(200, words=WORDS), raters=5)
    pages = [packet_page(one, asked, FIRST) for one in many]
    took = time.perf_counter() - started
    print(f"{packet.n_items} replies of {WORDS} words: {size:.2f} MB (budget {BUDGET_MB})")
    print(f"first reply drawn after at most {max(times):.2f} s (budget {BUDGET_S})")
    print(f"{len(pages)} packets of {many[0].n_items} replies made in {took:.2f} s")
    return int(size > BUDGET_MB or max(times) > BUDGET_S)


if __name__ == "__main__":
    sys.exit(main())
