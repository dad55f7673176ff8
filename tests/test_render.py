"""Tables as HTML that shows text as text, and for the terminal."""

import re
from html.parser import HTMLParser
from pathlib import Path

from reports import html, terminal, tex
from tests.paper_tables import named, paper_table

GOLDEN = Path(__file__).parent / "golden"


# ---------------------------------------------------------------------------- HTML


class _Tags(HTMLParser):
    """Collects the elements and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_html_of_the_papers_table_is_the_golden_one():
    """The same table as HTML, without the page around it."""
    page = html.table_page([paper_table()], "Table 1", "")
    figure = page[page.index("<figure") : page.index("</figure>") + len("</figure>\n")]

    assert figure == (GOLDEN / "table1.html").read_text()


def test_markup_in_names_is_shown_as_text():
    """Nothing that a name or note holds becomes an element."""
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(1)">'
    found = _Tags(html.table_page([named(evil)], evil, ""))

    assert not [tag for tag, _ in found.tags if tag in ("script", "img")]
    assert evil in "".join(found.text)


def test_a_page_needs_no_network():
    """No element refers to anything outside the page, and its policy forbids it to try."""
    found = _Tags(html.table_page([paper_table()], "Table 1", ""))
    policies = [a["content"] for tag, a in found.tags if a.get("http-equiv")]

    assert not [tag for tag, a in found.tags if "src" in a or tag == "link"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_both_renderings_show_the_same_numbers():
    """LaTeX and HTML are made of the same cells."""
    table = paper_table()
    numbers = [c.text for g in table.groups for row in g.rows for c in row.cells]
    source = re.sub(r"\\reportsecond\{.*?\}", "", tex.fragment([table]))  # draws no digit
    printed = re.findall(r"\d\.\d{4}|N/A", source)
    shown = [t for t in _Tags(html.table_page([table], "", "")).text if t in set(numbers)]

    assert printed == shown == numbers


def test_the_terminal_shows_marks_beside_the_numbers():
    """A table for the eye of who started the run."""
    text = terminal.text(paper_table())

    assert re.search(r"Prompt 2 +0\.0139\* +0\.2675\*", text)
    assert "* best, + second among models" in text
