"""Tables as LaTeX that compiles, under the classes that papers use."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reports import tex
from reports.latex import Tex, escape
from reports.layout import Environment, Intervals, Layout
from reports.table import Cell, Table, Words
from tests.paper_tables import NOTES, named, paper_table, second_paper_table, with_intervals

GOLDEN = Path(__file__).parent / "golden"
NASTY = r"a_b % c & d # e ~ f ^ g \ h { i } $ j | k < l > m ` n ' o -- p ,, q [r] *s* \\[2em]"
UNICODE = "Zoë Łukasz ß œ — “quoted” … \N{GREEK SMALL LETTER ALPHA} ≤ 🙂 سلام 你好 \u200d\x00\n%"


needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None and os.environ.get("CI") != "true",
    reason="pdflatex is not installed (Debian: texlive-latex-recommended)",
)


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
    """The numbers of the paper stand in the PDF."""
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


CLASSES = {
    "article": r"\documentclass{article}\usepackage[margin=2.5cm]{geometry}",
    "two columns": r"\documentclass[11pt,a4paper,twocolumn]{article}"
    r"\usepackage[margin=2.5cm,columnsep=0.6cm]{geometry}\usepackage{times}",
    "IEEE": r"\documentclass[journal]{IEEEtran}",
}


def paper(folder: Path, preamble: str, tables: list[Table]) -> str:
    """Compile a paper that inputs *tables* and refers to the first; return its log."""
    (folder / "tables.tex").write_text(tex.fragment(tables))
    packages = r"\usepackage{booktabs,graphicx,siunitx,longtable}"
    label = tables[0].words.label
    (folder / "paper.tex").write_text(
        rf"{preamble}{packages}\begin{{document}}\listoftables See Table~\ref{{{label}}}. "
        r"\input{tables}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(3):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    log = (folder / "paper.log").read_text(errors="replace")
    assert done.returncode == 0, log[-2000:]
    return log


@needs_latex
@pytest.mark.parametrize("intervals", ["none", "row", "brackets", "plusminus"])
@pytest.mark.parametrize("preamble", CLASSES.values(), ids=list(CLASSES))
def test_the_papers_tables_can_be_input_under_three_classes(
    tmp_path: Path, preamble: str, intervals: Intervals
):
    """Nothing sticks out, no reference is open, whatever the class and wherever intervals are."""
    tables = [with_intervals(paper_table(), intervals), second_paper_table()]

    log = paper(tmp_path, preamble, tables)

    assert "Overfull" not in log
    assert "undefined" not in log
    assert "multiply defined" not in log


@needs_latex
@pytest.mark.parametrize("siunitx", [True, False])
@pytest.mark.parametrize("environment", ["table", "table*", "longtable"])
def test_every_environment_compiles(tmp_path: Path, environment: Environment, siunitx: bool):
    """Scaled to the line or not, with siunitx or without."""
    table = with_intervals(paper_table())
    layout = Layout(environment=environment, siunitx=siunitx, fit=environment != "table")

    log = paper(tmp_path, CLASSES["article"], [replace(table, layout=layout)])

    assert rf"\begin{{{environment}}}" in (tmp_path / "tables.tex").read_text()
    assert "undefined" not in log


@needs_latex
@pytest.mark.parametrize(
    ("layout", "needed"),
    [
        (Layout(), ["booktabs", "graphicx", "siunitx"]),
        (Layout(siunitx=False, fit=False), ["booktabs"]),
        (Layout(siunitx=False, environment="longtable"), ["booktabs", "longtable"]),
    ],
)
def test_the_first_line_says_what_the_preamble_needs(
    tmp_path: Path, layout: Layout, needed: list[str]
):
    """With these packages it compiles; without one it stops and names it."""
    source = tex.fragment([replace(paper_table(), layout=layout)])
    (tmp_path / "t.tex").write_text(source)

    assert re.findall(r"usepackage\{(\w+)\}", source.splitlines()[0]) == needed
    for missing in ("", *needed):
        packages = ",".join(n for n in needed if n != missing)
        (tmp_path / "p.tex").write_text(
            rf"\documentclass{{article}}\usepackage{{{packages}}}"
            r"\begin{document}\input{t}\end{document}"
        )
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
        told = done.stdout.decode(errors="replace")
        assert (done.returncode == 0) == (not missing)
        assert not missing or f"A table needs the package {missing}" in told


def test_decimals_are_aligned_under_marks():
    """Bold is a switch; line and dagger take no part in the number's width; the rest is braced."""
    marked = [Cell("0.1234", "best", dagger=True), Cell("\N{MINUS SIGN}12.5000", "second")]
    cells = [*marked, Cell("N/A"), Cell("+0.5000")]
    table = paper_table()
    lines = tuple(replace(table.groups[1].rows[0], cells=(cell,)) for cell in cells)
    group = replace(table.groups[1], rows=lines)

    source = tex.fragment([replace(table, heads=table.heads[:1], spans=(), groups=(group,))])

    assert "S[table-format=+2.4]" in source
    assert r"& \reportbest 0.1234 {\reportdagger} \\" in source
    assert r"& -12.5000 {\reportsecond{$-$12.5000}} \\" in source
    assert r"& {N/A} \\" in source
    assert r"& +0.5000 \\" in source


@needs_latex
def test_marked_numbers_stand_under_each_other(tmp_path: Path):
    """The digits of a column are at one place to half a point, bold, underlined or not."""
    text = compile_tex(tmp_path, [replace(paper_table(), layout=Layout(intervals="none"))])

    assert "0.2675" in text
    command = ["pdftotext", "-bbox", "alone.pdf", "-"]
    boxes = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    left = {w: float(x) for x, w in re.findall(r'xMin="([\d.]+)"[^>]*>(0\.\d{4})', boxes)}
    column = [left[w] for w in ("0.2167", "0.2581", "0.2675", "0.0591", "0.1273")]
    assert max(column) - min(column) < 0.5  # a bold extended font would be 1.7 off


@needs_latex
def test_a_table_longer_than_a_page_is_divided(tmp_path: Path):
    """Each part fits on its page, has a label of its own, and no row is lost."""
    table = paper_table()
    groups = tuple(replace(group, label=f"{group.label} {i}") for i in range(40)
                   for group in table.groups[1:])  # fmt: skip
    parts = tex.fragment([replace(table, groups=groups)])

    log = paper(tmp_path, CLASSES["article"], [replace(table, groups=groups)])

    assert "Float too large" not in log
    assert parts.count("(continued)") == parts.count(r"\begin{table*}") - 1 > 2
    assert len(set(re.findall(r"\\label\{(.*?)\}", parts))) == parts.count(r"\label{")
    assert parts.count("0.2675") == 40


@needs_latex
@pytest.mark.parametrize(
    "attack",
    [
        r"\input{/etc/passwd}", r"\write18{touch broken}", r"\immediate\openout3=broken ",
        "^^5cinput{/etc/passwd}", "^^M\\catcode`\\%=12", "$$\\loop\\iftrue\\repeat",
        "}\\end{document}",
    ],
)  # fmt: skip
def test_texts_are_printed_and_never_run(tmp_path: Path, attack: str):
    """In caption, list of tables, names, headings and notes; with shell escape allowed."""
    (tmp_path / "t.tex").write_text(tex.fragment([named(attack)]))
    (tmp_path / "p.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx,siunitx}\begin{document}"
        r"\listoftables\input{t}\end{document}"
    )
    command = ["pdflatex", "-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout[-1500:]
    assert not list(tmp_path.glob("broken*"))
    assert b"/etc/passwd" not in done.stdout


@needs_latex
def test_every_page_of_a_partial_table_is_stamped(tmp_path: Path):
    """In the caption of each table and in the head of each page."""
    words = Words("Caption.", "tab:x", NOTES, "PARTIAL 3/4")
    text = compile_tex(tmp_path, [paper_table(words)] * 5, "PARTIAL 3/4")

    assert (tmp_path / "table1.tex").read_text().count(r"\textbf{[PARTIAL 3/4]}") == 5
    pages = text.rstrip("\f\n").split("\f")
    assert all("PARTIAL 3/4" in page for page in pages)
