"""Tables as LaTeX that compiles, under the classes that papers use."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reports.latex import table as tex
from reports.latex.escape import Tex, escape
from reports.spec import Environment, Intervals, Layout
from reports.tables.table import Cell, Table, TableText
from tests.paper_tables import NOTES, named, paper_table, second_paper_table, with_intervals
from tests.papers import OF_CLASS, need, needs_latex, pdf_text

GOLDEN = Path(__file__).parents[2] / "golden"
NASTY = r"a_b % c & d # e ~ f ^ g \ h { i } $ j | k < l > m ` n ' o -- p ,, q [r] *s* \\[2em]"
UNICODE = "Zoë Łukasz ß œ — “quoted” … \N{GREEK SMALL LETTER ALPHA} ≤ 🙂 سلام 你好 \u200d\x00\n%"


def compile_tex(folder: Path, tables: list[Table], stamp: str = "") -> str:
    """Compile a table alone and return the text of the PDF."""
    (folder / "table1.tex").write_text(tex.fragment(tables))
    (folder / "alone.tex").write_text(tex.standalone("table1.tex", stamp))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                          errors="replace", timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (folder / "alone.log").read_text(errors="replace")
    return pdf_text(folder / "alone.pdf")


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
        ("+0.5 a+b", "$+$0.5 a+b"),
        ("e\N{COMBINING ACUTE ACCENT} \N{LATIN SMALL LETTER I WITH CARON} \u1ebf",
         r"\'{e} \v{\i} \'{\^{e}}"),
        ("\N{GREEK CAPITAL LETTER DELTA}\N{GREEK SMALL LETTER LAMDA}", r"$\Delta$$\lambda$"),
    ],
)  # fmt: skip
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
SIUNITX = {"3": r"\usepackage{siunitx}", "2": r"\usepackage{siunitx}[=v2]"}


def paper(folder: Path, preamble: str, tables: list[Table], siunitx: str = SIUNITX["3"]) -> str:
    """Compile a paper that inputs *tables* and refers to the first; return its log."""
    need(*(OF_CLASS["IEEEtran"] if "IEEEtran" in preamble else ()))
    (folder / "tables.tex").write_text(tex.fragment(tables))
    label = tables[0].words.label
    (folder / "paper.tex").write_text(
        rf"{preamble}\usepackage{{booktabs,longtable}}{siunitx}\begin{{document}}"
        rf"\listoftables See Table~\ref{{{label}}}. \input{{tables}} After.\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for i in range(3):  # the second has the list of tables, the third what that has moved
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
        log = (folder / "paper.log").read_text(errors="replace")
        if i and "Rerun to get" not in log:
            break
    assert done.returncode == 0, log[-2000:]
    return log


def complaints(log: str) -> list[str]:
    """Return the lines of a log that an author would have to look into."""
    found = ("Overfull", "undefined", "multiply defined", "Float too large", "Warning")
    return [line for line in log.splitlines() if any(word in line for word in found)]


def words_at(folder: Path, name: str) -> list[tuple[float, float, str]]:
    """Return left end, right end and text of each word of a PDF."""
    boxes = subprocess.run(
        ["pdftotext", "-bbox", name, "-"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    words = re.findall(r'xMin="([\d.]+)".*?xMax="([\d.]+)".*?>(.*?)</word>', boxes)
    return [(float(left), float(right), word) for left, right, word in words]


@needs_latex
@pytest.mark.parametrize("intervals", ["none", "row", "brackets", "plusminus"])
@pytest.mark.parametrize("preamble", CLASSES.values(), ids=list(CLASSES))
def test_the_papers_tables_can_be_input_under_three_classes(
    tmp_path: Path, preamble: str, intervals: Intervals
):
    """Nothing sticks out, no reference is open, whatever the class and wherever intervals are."""
    tables = [with_intervals(paper_table(), intervals), second_paper_table()]

    assert complaints(paper(tmp_path, preamble, tables)) == []


@needs_latex
@pytest.mark.parametrize("preamble", CLASSES.values(), ids=list(CLASSES))
@pytest.mark.parametrize("siunitx", [True, False])
@pytest.mark.parametrize("environment", ["table", "table*", "longtable"])
def test_every_environment_compiles(
    tmp_path: Path, environment: Environment, siunitx: bool, preamble: str
):
    """In one column and in two, where a longtable takes pages of its own."""
    table = with_intervals(paper_table())
    layout = Layout(environment=environment, siunitx=siunitx)
    rows = tuple(replace(g, label=f"{g.label} {i}") for i in range(3) for g in table.groups)

    log = paper(tmp_path, preamble, [replace(table, layout=layout, groups=rows)])

    assert complaints(log) == []
    placed = r"\reportlongtables" if environment == "longtable" else rf"\reportin{{{environment}}}"
    assert placed in (tmp_path / "tables.tex").read_text()


@needs_latex
def test_a_longtable_repeats_its_head_and_has_its_notes_last(tmp_path: Path):
    """Caption once, headings on each page, the list of tables with one entry."""
    table = paper_table()
    rows = tuple(replace(g, label=f"{g.label} {i}") for i in range(9) for g in table.groups)
    layout = Layout(environment="longtable", intervals="none")
    words = replace(table.words, short="Models", stamp="PARTIAL 3/4")
    table = replace(table, words=words, groups=rows, layout=layout)

    assert complaints(paper(tmp_path, CLASSES["article"], [table])) == []

    text = [word for _, _, word in words_at(tmp_path, "paper.pdf")]
    assert text.count("ROUGE-L") == text.count("(continued)") + 1 == 2
    assert text.count("[PARTIAL") == 3  # list, caption, second head
    assert " ".join(text).index("Data: 787") > " ".join(text).rindex("No Prompt")
    assert (tmp_path / "paper.lot").read_text().count("Models") == 1


@needs_latex
@pytest.mark.parametrize(
    ("layout", "needed"),
    [
        (Layout(siunitx=True), ["booktabs", "siunitx"]),
        (Layout(fit=False), ["booktabs"]),
        (Layout(environment="longtable"), ["booktabs", "longtable"]),
    ],
)
def test_the_first_line_says_what_the_preamble_needs(
    tmp_path: Path, layout: Layout, needed: list[str]
):
    """With these packages it compiles; without one that line is the error, and the only one."""
    source = tex.fragment([replace(paper_table(), layout=layout)])
    (tmp_path / "t.tex").write_text(source)

    assert re.findall(r"usepackage\{(\w+)\}", source.splitlines()[0]) == needed
    for missing in ("", *needed):
        packages = "".join(rf"\usepackage{{{n}}}" for n in needed if n != missing)
        (tmp_path / "p.tex").write_text(
            rf"\documentclass{{article}}{packages}\begin{{document}}\input{{t}} x\end{{document}}"
        )
        command = ["pdflatex", "-interaction=nonstopmode", "p.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
        told = done.stdout.decode(errors="replace")
        errors = [line for line in told.splitlines() if line.startswith("!")]
        expected = rf"! Package report Error: This table needs \usepackage{{{missing}}}."
        assert errors == ([expected] if missing else [])


def test_a_marked_number_is_padded_to_the_room_of_its_column():
    """What siunitx would not align is text to it, as wide as the longest number."""
    marked = [Cell("0.1234", "best", dagger=True), Cell("\N{MINUS SIGN}12.5", "second")]
    cells = [*marked, Cell("N/A"), Cell("+0.5000"), Cell("\N{MINUS SIGN}0.5000")]
    table = paper_table()
    lines = tuple(replace(table.groups[1].rows[0], cells=(cell,)) for cell in cells)
    table = replace(table, heads=table.heads[:1], spans=(),
                    groups=(replace(table.groups[1], rows=lines),))  # fmt: skip

    source = tex.fragment([replace(table, layout=Layout(siunitx=True))])
    plain = tex.fragment([table])

    assert "S[table-format=-2.4]" in source
    assert r"{{\hphantom{\textminus 2}\reportbest{0.1234\reportdagger{}}}}" in source
    assert r"{{\underline{\textminus 12.5}\hphantom{234}}}" in source
    assert r"{{N/A}}" in source
    assert r"{+0.5000}" in source
    assert r"{-0.5000}" in source
    assert r"{\reportbest{0.1234\reportdagger{}}}" in plain
    assert r"{\underline{$-$12.5}\hphantom{234}}" in plain


@needs_latex
@pytest.mark.parametrize("preamble", [CLASSES["article"], CLASSES["two columns"]], ids=["CM", "T"])
@pytest.mark.parametrize("siunitx", ["3", "2", ""])
def test_decimal_points_stand_under_each_other(tmp_path: Path, siunitx: str, preamble: str):
    """Under bold, a line and a dagger, whatever the author has told siunitx to do with numbers."""
    table = with_intervals(paper_table(), "none")
    table = replace(table, layout=replace(table.layout, siunitx=bool(siunitx)))
    odd = r"\sisetup{round-mode=places,round-precision=2,output-decimal-marker={,}}"
    package = SIUNITX[siunitx] + odd if siunitx else ""

    assert complaints(paper(tmp_path, preamble, [table], package)) == []

    found = {word.rstrip("\N{DAGGER}"): left for left, _, word in words_at(tmp_path, "paper.pdf")}
    for column in (
        ("0.0113", "0.0134", "0.0139", "0.0023"), ("0.2167", "0.2581", "0.2675", "0.0591"),
        ("0.4984", "0.5367", "0.5414"), ("0.5549", "0.5263", "0.5355"),
    ):  # fmt: skip
        left = [found[number] for number in column]
        # a bold 0 of Computer Modern is 0.6 wider; siunitx's own bold would be 1.9 off
        assert max(left) - min(left) < 0.7


@needs_latex
@pytest.mark.parametrize("siunitx", [*SIUNITX.values(), ""], ids=[*SIUNITX, "none"])
def test_the_print_shows_every_number_as_the_table_has_it(tmp_path: Path, siunitx: str):
    """Signs included, which siunitx would leave out where they are plus."""
    table = second_paper_table()
    table = replace(table, layout=replace(table.layout, siunitx=bool(siunitx)))

    paper(tmp_path, CLASSES["two columns"], [table], siunitx)

    found = [word.replace("-", "\N{MINUS SIGN}") for _, _, word in words_at(tmp_path, "paper.pdf")]
    cells = [cell.text for g in table.groups for row in g.rows for cell in row.cells]
    assert sorted(w for w in found if re.fullmatch(".?0[.][0-9]{4}", w)) == sorted(cells)


@needs_latex
@pytest.mark.parametrize("packages", ["", r"\usepackage{hyperref}"])
def test_a_table_longer_than_a_page_is_divided(tmp_path: Path, packages: str):
    """Each part fits on its page, all have one number and one entry, and no row is lost."""
    table = paper_table()
    groups = tuple(replace(group, label=f"{group.label} {i}") for i in range(20)
                   for group in table.groups[1:])  # fmt: skip
    log = paper(tmp_path, CLASSES["article"] + packages, [replace(table, groups=groups)])

    assert complaints(log) == []
    words = [word for _, _, word in words_at(tmp_path, "paper.pdf")]
    assert words.count("(continued)") >= 2
    assert words.count("787") == 2  # in the notes, which stand once
    assert [word.rstrip("\N{DAGGER}") for word in words].count("0.2675") == 20
    assert (tmp_path / "paper.lot").read_text().count("Comparison of models") == 1
    assert "Table 2" not in " ".join(words)


ENGINES = [e for e in ("pdflatex", "lualatex", "xelatex") if e == "pdflatex" or shutil.which(e)]


@needs_latex
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "attack",
    [
        r"\input{secret}", r"\write18{touch broken}", r"\immediate\openout3=broken ",
        "^^5cinput{secret}", "^^M\\catcode`\\%=12", "$$\\loop\\iftrue\\repeat",
        "a%b\n\\input{secret}", "}\\end{document}", "<<7*7>>", UNICODE,
        r"\directlua{os.execute('touch broken')}",
    ],
)  # fmt: skip
def test_texts_are_printed_and_never_run(tmp_path: Path, attack: str, engine: str):
    """In caption, list of tables, names, headings, cells, notes; with shell escape allowed."""
    (tmp_path / "secret.tex").write_text("REVEALED")
    table = named(attack)
    cell = Cell(attack, "best", dagger=True, interval=attack)
    rows = [replace(r, cells=(cell,) * len(r.cells)) for r in table.groups[0].rows]
    table = replace(table, groups=(replace(table.groups[0], rows=tuple(rows)), table.groups[1]))
    words = replace(table.words, stamp=attack)
    (tmp_path / "t.tex").write_text(tex.fragment([replace(table, words=words)]))
    (tmp_path / "p.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,siunitx,hyperref}\begin{document}"
        r"\listoftables\input{t}\end{document}"
    )
    command = [engine, "-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout[-1500:]
    assert not list(tmp_path.glob("broken*"))
    assert b"secret.tex" not in done.stdout
    assert "REVEALED" not in " ".join(word for _, _, word in words_at(tmp_path, "p.pdf"))


@needs_latex
def test_every_page_of_a_partial_table_is_stamped(tmp_path: Path):
    """In the caption of each table and in the head of each page."""
    words = TableText("Caption.", "tab:x", NOTES, "PARTIAL 3/4")
    text = compile_tex(tmp_path, [paper_table(words)] * 5, "PARTIAL 3/4")

    # once in its caption, once in the head of the pages that go on
    assert (tmp_path / "table1.tex").read_text().count(r"\textbf{{[}PARTIAL 3/4{]}}") == 2 * 5
    pages = text.rstrip("\f\n").split("\f")
    assert all("PARTIAL 3/4" in page for page in pages)
