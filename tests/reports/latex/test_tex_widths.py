"""A table is legible where it lands: measured in print, over classes, columns, rows and labels."""

import re
import subprocess
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path

import pytest

from reports.latex import table as tex
from reports.latex.methods import methods
from reports.tables.table import Cell, Group, Head, Row, Span, Table, TableText
from tests.papers import OF_CLASS, need, needs_latex

LEAST_POINTS = 7.0
CLASSES = {
    "article": r"\documentclass[10pt]{article}",
    "IEEEtran": r"\documentclass[conference]{IEEEtran}",
    "two columns": r"\documentclass[11pt,a4paper,twocolumn]{article}"
    r"\usepackage[margin=2.5cm,columnsep=0.6cm]{geometry}\usepackage{times}",
    "llncs": r"\documentclass{llncs}",
    "beamer": r"\documentclass{beamer}",
}
SHORT, LONG = "LLaMA 3.1 8B", "organisation/a-model-with-a-name-that-nobody-can-read-v2.1-Instruct"
NOTES = (
    "n = 787 answers in each row.",
    "Best model row in bold, second underlined; the Therapist Baseline is a reference.",
    *(f"Sentence {i} is one of those that say how each of the numbers was made." for i in range(9)),
)


@dataclass(frozen=True)
class Case:
    """How many metrics and models of three prompts, under which name."""

    columns: int
    models: int
    name: str

    def table(self) -> Table:
        """Return such a table, with intervals; three columns stand under one heading."""
        cell = Cell("0.4321", interval="[0.4210, 0.4433]", value=0.4321)
        best = replace(cell, mark="best", dagger=True)
        cells = tuple(best if i % 3 == 0 else cell for i in range(self.columns))
        rows = tuple(Row((f"Prompt {i}",), cells) for i in range(3))
        groups = tuple(Group(f"{self.name} {i}", rows) for i in range(self.models))
        heads = tuple(Head(("Sentence", f"Metric {i}"), "↑") for i in range(self.columns))
        spans = (Span("", 3, 3), Span("BERTScore", 4, min(6, self.columns + 2)))
        words = TableText("Scores of models.", "tab:main", (*NOTES, "Signatures."), brief=NOTES,
                          interval_note="In brackets: 95% intervals.")  # fmt: skip
        return Table(words, ("Model", "Prompts"), spans, heads, groups)


def compiled(folder: Path, name: str, table: Table, frame: str = "[allowframebreaks]") -> str:
    """Compile a paper, or slides, that input the table and its appendix; return the log."""
    need(*OF_CLASS.get(name, ()))
    (folder / "table1.tex").write_text(tex.fragment([table], "tab:main-methods"))
    (folder / "methods.tex").write_text(methods([table], "tab:main-methods", ""))
    inputs = "Words of the paragraph before it.\n" + r"\input{table1}"
    if name == "beamer":
        inputs = rf"\begin{{frame}}{frame}{{Results}}\input{{table1}}\end{{frame}}"
        inputs += r"\begin{frame}[allowframebreaks]"
    body = rf"{inputs}\input{{methods}}" + (r"\end{frame}" if name == "beamer" else "")
    preamble = rf"\pdfcompresslevel0 \pdfobjcompresslevel0 {CLASSES[name]}"
    packages = ["booktabs", *(["longtable"] if table.layout.environment == "longtable" else [])]
    preamble += rf"\usepackage{{{','.join(packages)}}}"
    (folder / "paper.tex").write_text(rf"{preamble}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for i in range(3):  # the third where a table has gone to another page
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
        log = (folder / "paper.log").read_text(errors="replace")
        if i and "Rerun to get" not in log:
            break
    assert done.returncode == 0, log[-2000:]
    return log


def printed(folder: Path) -> list[tuple[float, float, float, str]]:
    """Return left and right end, height in PostScript points and text of each word of the PDF."""
    done = subprocess.run(
        ["pdftotext", "-bbox", "paper.pdf", "-"], cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    pattern = r'xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">(.*?)</word>'
    return [
        (float(left), float(right), float(bottom) - float(top), unescape(word))
        for left, top, right, bottom, word in re.findall(pattern, done.stdout)
    ]


def lines_of(folder: Path, begins: tuple[str, ...]) -> list[float]:
    """Return how far down the page the words stand that begin so, in PostScript points."""
    command = ["pdftotext", "-bbox", "paper.pdf", "-"]
    words = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    found = re.findall(r'yMin="([\d.]+)".*?>(.*?)</word>', words)
    return [float(top) for top, word in found if word.startswith(begins) and word != "Prompts"]


def digit_points(folder: Path) -> float:
    """Return the size of the smallest digits of an uncompressed PDF, in TeX's points."""
    source = (folder / "paper.pdf").read_bytes().decode("latin-1")
    size, found = 0.0, []
    for points, text in re.findall(r"/F\d+ ([\d.]+) Tf|\[((?:\([^)]*\)|[-\d. ])*)\]TJ", source):
        size = float(points) if points else size
        if re.search(r"\([^)]*\d", text):
            found.append(size)
    return min(found) / 72 * 72.27


CASES = [
    Case(3, 2, SHORT), Case(8, 3, SHORT), Case(8, 3, LONG), Case(14, 3, SHORT), Case(8, 14, SHORT),
]  # fmt: skip


@needs_latex
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_table_is_legible_and_within_the_text(tmp_path: Path, name: str, case: Case):
    """Digits of 7 points and more, nothing outside the text, four lines of notes."""
    log = compiled(tmp_path, name, case.table())

    assert "Overfull" not in log
    assert "too large" not in log
    assert "Warning" not in re.sub(r"LaTeX Font Warning.*|Package (?!report).*", "", log)
    assert digit_points(tmp_path) >= LEAST_POINTS * 0.99
    numbers = [word for *_, word in printed(tmp_path)]
    assert sum(w.startswith("0.4321") for w in numbers) == 3 * case.models * case.columns
    assert sum(w.startswith("[0.4210") for w in numbers) == 3 * case.models * case.columns


@needs_latex
@pytest.mark.parametrize("name", CLASSES)
def test_the_note_is_four_lines_and_the_rest_is_in_the_appendix(tmp_path: Path, name: str):
    """What does not fit is left out below the table, which says on what page it is."""
    compiled(tmp_path, name, Case(8, 2, SHORT).table())

    text = " ".join(word for *_, word in printed(tmp_path))  # a float may be printed after it
    assert text.count("How the numbers were made") == 1
    assert all(f"Sentence {i} is" in text for i in range(9))
    assert text.count("Signatures.") == text.count("Sentence 8 is") == 1  # in the appendix alone
    assert re.search(r"Details: page \d", text)


@needs_latex
@pytest.mark.parametrize(("name", "n_warnings"), [("article", 3), ("IEEEtran", 20), ("beamer", 12)])
def test_warnings_are_never_cut(tmp_path: Path, name: str, n_warnings: int):
    """They come first below the longest table; beyond four lines nothing else stands there."""
    warned = [f"Warning{i} is one of those that weaken each number." for i in range(n_warnings)]
    table = Case(8, 14, LONG).table()
    words = replace(table.words, warnings=tuple(warned), brief=NOTES)

    log = compiled(tmp_path, name, replace(table, words=words))

    assert "Overfull" not in log
    assert "too large" not in log
    text = " ".join(word for *_, word in printed(tmp_path))
    assert " ".join(warned) in text
    whole = text.replace("- ", "")  # a column of print divides words
    assert all(whole.count(f"Warning{i} is") == 2 for i in range(n_warnings))  # and in the appendix
    assert text.count("Sentence 8 is") == 1
    is_alone = f"{' '.join(warned)} Details: page" in text
    assert is_alone is (name != "article")


@needs_latex
@pytest.mark.parametrize("name", ["article", "IEEEtran"])
def test_the_lines_of_a_wrapped_label_are_those_of_its_rows(tmp_path: Path, name: str):
    """As far apart as the rows, whether cells have a dagger or not."""
    compiled(tmp_path, name, Case(8, 1, LONG).table())

    of_label = lines_of(
        tmp_path, ("organisation/a-model-", "with-a-", "that-nobody-", "nobody-", "can-read-")
    )
    rows = lines_of(tmp_path, ("Prompt",))
    assert len(of_label) >= 2
    assert of_label[1] - of_label[0] == pytest.approx(rows[1] - rows[0], abs=0.02)
    assert rows[2] - rows[1] == pytest.approx(rows[1] - rows[0], abs=0.02)


@needs_latex
def test_a_frame_that_cannot_be_divided_says_that_something_is_missing(tmp_path: Path):
    """In print and in the log; what is there is as legible as elsewhere."""
    log = compiled(tmp_path, "beamer", Case(14, 3, SHORT).table(), frame="")

    text = " ".join(word for *_, word in printed(tmp_path))
    assert "The rest of this table needs another frame" in text
    assert "allowframebreaks" in log
    assert digit_points(tmp_path) >= LEAST_POINTS * 0.99


@needs_latex
def test_a_longtable_in_slides_is_divided_between_frames(tmp_path: Path):
    """As every other table is: a frame holds no longtable."""
    table = Case(8, 6, SHORT).table()
    layout = replace(table.layout, environment="longtable")

    log = compiled(tmp_path, "beamer", replace(table, layout=layout))

    assert "Overfull" not in log
    assert sum(w.startswith("0.4321") for *_, w in printed(tmp_path)) == 3 * 6 * 8
