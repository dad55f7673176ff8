"""Tables as LaTeX that compiles and HTML that shows text as text."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from reports import html, published, terminal, tex
from reports.aggregate import SUMMARY
from reports.latex import Tex, escape
from reports.table import Table, Words, columns, score_table
from tests.report_runs import Toy, condition, spec

GOLDEN = Path(__file__).parent / "golden"
NOTES = (
    "Data: 787 examples of the test split. n = 787 answers in each row.",
    "Assumed, since the paper does not say: models.t5.use = t5_base.",
)
NASTY = r"a_b % c & d # e ~ f ^ g \ h { i } $ j | k < l > m ` n ' o -- p ,, q [r] *s* \\[2em]"
UNICODE = "Zoë Łukasz ß œ — “quoted” … \N{GREEK SMALL LETTER ALPHA} ≤ 🙂 سلام 你好 \u200d\x00\n%"

needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None and os.environ.get("CI") != "true",
    reason="pdflatex is not installed (Debian: texlive-latex-recommended)",
)


def paper_table(words: Words | None = None) -> Table:
    """Return the paper's Table 1 as this suite prints it, made of the typed-in values."""
    paper = published.load("huang2024")
    by_metric = {
        "bleu-0": paper.columns[:1],
        "rouge-0": paper.columns[1:4],
        "bertscore-0": paper.columns[4:7],
        "similarity-0": paper.columns[7:],
    }
    rows, conditions = [], []
    for row in paper.tables[0].rows:
        backend = "hf" if row.prompt else "human"
        name = row.model.lower().replace(" ", "_")
        conditions.append(condition(name, row.model, row.prompt or "none", row.model, backend))
        for key, cols in by_metric.items():
            for column in cols:
                value = row.values.get(column.name)
                n = 787 if value is not None else 0
                rows.append((conditions[-1].id, row.model, row.prompt, "greedy", "all", key,
                             column.name, value, None, None, n, 787 - n, 787, 500))  # fmt: skip
    metrics = {
        key: _Columns(tuple(replace(c, main=True) for c in cols)) for key, cols in by_metric.items()
    }
    about = spec(*conditions, metrics=metrics)
    wanted = [w for of_metric in columns(about, main=True) for w in of_metric]
    summary = pl.DataFrame(rows, schema=SUMMARY, orient="row")
    words = words or Words("Comparison of models across various evaluation metrics.", "tab:main",
                           NOTES)  # fmt: skip
    return score_table(summary, about, wanted, words)


class _Columns(Toy):
    """A metric that is only its columns."""

    def __init__(self, cols: tuple) -> None:
        object.__setattr__(self, "cols", cols)

    @property
    def columns(self) -> tuple:
        return self.cols


def named(label: str) -> Table:
    """Return a small table whose every text is *label*."""
    table = paper_table(Words(label, "tab:nasty", (label,), ""))
    groups = tuple(replace(group, label=label) for group in table.groups)
    rows = tuple(replace(row, stubs=(label,)) for row in groups[1].rows)
    return replace(table, groups=(groups[0], replace(groups[1], rows=rows)))


def compile_tex(folder: Path, tables: list[Table], stamp: str = "") -> str:
    """Compile a table alone and return the text of the PDF."""
    (folder / "table1.tex").write_text(tex.fragment(tables))
    (folder / "alone.tex").write_text(tex.standalone("table1.tex", stamp))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                          errors="replace", timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (folder / "alone.log").read_text(errors="replace")
    if shutil.which("pdftotext") is None:
        return ""
    return subprocess.run(
        ["pdftotext", "-layout", "alone.pdf", "-"], cwd=folder, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip


# ---------------------------------------------------------------------------- LaTeX


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("a_b", r"a\_b"),
        ("100% & #1 $", r"100\% \& \#1 \$"),
        ("{x}", r"\{x\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        (r"\textbf{x}", r"\textbackslash{}textbf\{x\}"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("[2em]", "{[}2em{]}"),
        ("Zoë Å ß", r"Zo\"{e} \r{A} \ss{}"),
        ("– — …", r"-- --- \ldots{}"),  # noqa: RUF001 - an en dash
        ("🙂", "{[}U+1F600{]}".replace("1F600", "1F642")),
        ("س", "{[}U+0633{]}"),
        ("a\x00b", "a{[}U+0000{]}b"),
        ("line\nbreak", "line break"),
    ],
)
def test_text_is_escaped_for_latex_in_one_pass(text: str, tex: str):
    """Each special character is replaced as a whole; nothing is replaced twice."""
    assert escape(text) == tex


def test_latex_source_is_left_alone():
    """What is marked as source is printed as it is, and the result is pure ASCII."""
    assert escape(Tex(r"\textbf{x}")) == r"\textbf{x}"
    assert escape(NASTY + UNICODE).isascii()


def test_the_fragment_of_the_papers_table_is_the_golden_one():
    """The paper's Table 1, from the values it prints, letter by letter."""
    assert tex.fragment([paper_table()]) == (GOLDEN / "table1.tex").read_text()


@needs_latex
def test_the_papers_table_compiles_alone(tmp_path: Path):
    """With booktabs and graphicx only; the numbers of the paper stand in the PDF."""
    text = compile_tex(tmp_path, [paper_table()])

    if text:
        assert "LLaMA 3.1 8B Instruct" in text
        assert re.search(r"Prompt 2\s+0.0139\s+0.2675\s+0.0388\s+0.1251", text)


@needs_latex
@pytest.mark.parametrize("label", [NASTY, UNICODE, r"\input{/etc/passwd}", "[", "*"])
def test_any_name_compiles(tmp_path: Path, label: str):
    """Special characters, emoji and other scripts in names, captions and notes stop nothing."""
    text = compile_tex(tmp_path, [named(label)])

    if text and label == NASTY:  # an underscore is a rule and no letter, ~ and ^ are accents
        assert "b % c & d # e" in text
        assert "h { i } $ j | k < l > m ` n" in text
        assert r"o -- p ,, q [r] *s* \\[2em]" in text


@needs_latex
def test_the_fragment_can_be_input_by_a_paper_in_two_columns(tmp_path: Path):
    """A paper with booktabs and graphicx inputs two tables and refers to one."""
    table = paper_table()
    (tmp_path / "table1.tex").write_text(tex.fragment([table]))
    (tmp_path / "other.tex").write_text(
        tex.fragment([replace(table, words=replace(table.words, label="tab:other"))])
    )
    (tmp_path / "paper.tex").write_text(
        r"\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}\begin{document}"
        r"See Table~\ref{tab:main}.\input{table1}\input{other}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)

    assert done.returncode == 0
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Overfull" not in log
    assert "undefined" not in log


@needs_latex
def test_every_page_of_a_partial_table_is_stamped(tmp_path: Path):
    """In the caption of each table and in the head of each page."""
    words = Words("Caption.", "tab:x", NOTES, "PARTIAL 3/4")
    text = compile_tex(tmp_path, [paper_table(words)] * 5, "PARTIAL 3/4")

    assert (tmp_path / "table1.tex").read_text().count(r"\textbf{[PARTIAL 3/4]}") == 5
    pages = text.rstrip("\f\n").split("\f")
    assert all("PARTIAL 3/4" in page for page in pages)


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
    printed = re.findall(r"\d\.\d{4}|N/A", tex.fragment([table]))
    shown = [t for t in _Tags(html.table_page([table], "", "")).text if t in set(numbers)]

    assert printed == shown == numbers


def test_the_terminal_shows_marks_beside_the_numbers():
    """A table for the eye of who started the run."""
    text = terminal.text(paper_table())

    assert re.search(r"Prompt 2 +0\.0139\* +0\.2675\*", text)
    assert "* best, + second among models" in text
