"""Numbers that prose cites by their keys, set by a real TeX."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reports.latex.macros import macros
from reports.numbers.results import Result
from tests.papers import needs_latex, pdf_text
from tests.reports.latex.test_tex import ENGINES

SCORE = Result(
    "llama3_8b.prompt2.rouge1", "score", 0.2675, 0.2609, 0.2741, None, 787, 500,
    "0.2675", "0.2609", "0.2741",
)  # fmt: skip
DIFFERENCE = Result(
    "flan_t5.none-vs-llama3_8b.none.bleu@length=up-to-9-words", "difference", -0.0033, -0.02, 0.01,
    0.0001, 1787, 500, "\N{MINUS SIGN}0.0033", "\N{MINUS SIGN}0.0200", "+0.0100", "< 0.001",
)  # fmt: skip
CONTRAST = replace(DIFFERENCE, key="contrast.tuning.bleu", kind="contrast", p=0.013, p_text="0.013")
UNTESTED = replace(
    DIFFERENCE, key="t5.none-vs-llama3_8b.none.bleu", low=None, high=None, p=None, n=19,
    low_text="", high_text="", p_text="",
)  # fmt: skip
ALIKE = replace(SCORE, key="llama3_8b.prompt2.rouge2", text="3.1%")
NOTHING = Result("t5.none.bleu", "score", None, None, None, None, 0, 0, "\N{EN DASH}")
RESULTS = (SCORE, DIFFERENCE, CONTRAST, UNTESTED, ALIKE, NOTHING)
PAPER = r"\documentclass{article}PACKAGES\input{macros}\begin{document}BODY\end{document}"


def compiled(folder: Path, paper: str, engine: str = "pdflatex") -> str:
    """Return what TeX says of *paper*, set as often as references need."""
    (folder / "p.tex").write_text(paper)
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False,
            timeout=120, env=os.environ | {"max_print_line": "1000"},
        )  # fmt: skip
    return done.stdout


def told(
    folder: Path, body: str, packages: str = "", stamp: str = "",
    results: Sequence[Result] = RESULTS, engine: str = "pdflatex",
) -> str:  # fmt: skip
    """Return what TeX says of a paper with the macros; breaks of messages are spaces."""
    (folder / "macros.tex").write_text(macros(results, stamp, "A {title} % é\n\\bye"))
    paper = PAPER.replace("BODY", body).replace("PACKAGES", packages)
    return " ".join(compiled(folder, paper, engine).replace("(report)", " ").split())


def printed(folder: Path, body: str, packages: str = "", stamp: str = "", **other: str) -> str:
    """Return the text of the pages; spaces and breaks are single spaces."""
    said = told(folder, body, packages, stamp, **other)
    assert "Output written" in said, said[-1500:]
    return text(folder)


def text(folder: Path) -> str:
    """Return the text of the pages; a minus is a hyphen."""
    found = pdf_text(folder / "p.pdf")
    return " ".join(found.replace("\N{MINUS SIGN}", "-").split())


@needs_latex
@pytest.mark.parametrize("engine", ENGINES)
def test_every_part_of_a_number_can_be_cited(tmp_path: Path, engine: str):
    """Value, interval, n and p, in text and in math, as the tables print them."""
    score, difference = SCORE.key, DIFFERENCE.key
    body = (
        rf"\res{{{score}}} \resci{{{score}}} \resn{{{score}}}; $x = \res{{{difference}}}$, "
        rf"$p \resp{{{difference}}}$, $p$ \resp{{{CONTRAST.key}}}, $\resn{{{difference}}}$ "
        rf"\par \resfull{{{score}}}; \resfull{{{difference}}}; \res{{{ALIKE.key}}}"
    )

    found = printed(tmp_path, body, engine=engine)

    assert "0.2675 [0.2609, 0.2741] 787; x = -0.0033, p < 0.001, p = 0.013, 1,787" in found
    assert "0.2675 (95% CI [0.2609, 0.2741], n = 787)" in found
    assert "-0.0033 (95% CI [-0.0200, +0.0100], n = 1,787, p < 0.001); 3.1%" in found


@needs_latex
def test_what_is_null_prints_as_in_the_tables(tmp_path: Path):
    """A dash for a value, an interval or a p that is not there; the whole leaves them out."""
    body = (
        rf"A \res{{{NOTHING.key}}} \resci{{{NOTHING.key}}} \resn{{{NOTHING.key}}} "
        rf"\resci{{{UNTESTED.key}}} \resp{{{UNTESTED.key}}} $\res{{{NOTHING.key}}}$ "
        rf"\resfull{{{NOTHING.key}}}"
    )

    assert "A – – 0 – – – – (n = 0)" in printed(tmp_path, body)  # noqa: RUF001 - en dashes


@needs_latex
@pytest.mark.parametrize(
    "packages", ["", r"\usepackage{hyperref}", r"\AtEndPreamble{\usepackage{hyperref}}"]
)
def test_numbers_stand_in_titles_captions_notes_and_tables(tmp_path: Path, packages: str):
    """Where LaTeX moves text to other places; with hyperref, in the bookmarks too."""
    key, other = SCORE.key, DIFFERENCE.key
    body = (
        rf"\tableofcontents\listoftables\section{{With \res{{{key}}} and \resfull{{{other}}}}}"
        rf"A\footnote{{Note \res{{{key}}}.}}\begin{{table}}[h]\caption{{Of \resfull{{{key}}}}}"
        rf"\begin{{tabular}}{{rS}}\res{{{key}}} & \res{{{key}}}\end{{tabular}}\end{{table}}"
        rf"\MakeUppercase{{up \res{{{other}}}}} \ifdim\res{{{key}}}pt>0.2pt more\fi"
    )

    said = told(tmp_path, body, r"\usepackage{etoolbox,siunitx}" + packages)
    found = text(tmp_path)

    assert "Warning" not in said
    assert found.count("0.2675") == 7  # section and caption stand in their lists, too
    assert found.count("Of 0.2675 (95% CI [0.2609, 0.2741], n = 787)") == 2
    assert found.count("-0.0033 (95% CI [-0.0200, +0.0100], n = 1,787, p < 0.001)") == 2
    assert "UP -0.0033 more" in found
    if packages:
        written = (tmp_path / "p.out").read_text()
        shown = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), written).replace("\0", "")
        assert "With 0.2675 and -0.0033 (95% CI [-0.0200, +0.0100], n = 1,787, p < 0.001)" in shown


@needs_latex
def test_active_characters_change_no_key(tmp_path: Path):
    """Those of babel's French, Spanish, Turkish, Czech …, where the file is input in the text."""
    (tmp_path / "macros.tex").write_text(macros(RESULTS, "", "Title"))
    active = "".join(
        rf"\catcode`\{c}=13 \protected\def{c}{{\string{c}}}" for c in ":;!?-\"'<>|`^_="
    )  # the last: = must still be what it was in the lines before
    found = compiled(
        tmp_path,
        rf"\documentclass{{article}}\begin{{document}}\listoftables{active}\input{{macros}}"
        rf"\input{{macros}}\begin{{table}}\caption{{C \resfull{{{DIFFERENCE.key}}}}}\end{{table}}"
        rf"\resfull{{{SCORE.key}}}\end{{document}}",
    )

    assert "Output written" in found, found[-1500:]
    assert text(tmp_path).count("-0.0033 (95% CI [-0.0200, +0.0100], n = 1,787, p < 0.001)") == 2
    assert "0.2675 (95% CI [0.2609, 0.2741], n = 787)" in text(tmp_path)


@needs_latex
@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("llama3_8b.prompt2.rouge-1", SCORE.key),
        ("lama3_8b.promt2.rouge_1", SCORE.key),
        ("llama3_8b.prompt2.Rouge2", ALIKE.key),
        ("t5.bleu", NOTHING.key),
        ("llama3_8b.none-vs-flan_t5.none.bleu@length=up-to-9-words", DIFFERENCE.key),
        ("contrast.tunings.blue", CONTRAST.key),
    ],
)
@pytest.mark.parametrize("command", ["res", "resci", "resn", "resp", "resfull"])
def test_an_unknown_key_stops_tex_and_names_the_nearest(
    tmp_path: Path, typo: str, meant: str, command: str
):
    """No paper comes out in which a number is missing."""
    said = told(tmp_path, rf"\{command}{{{typo}}}")

    assert "no output PDF file produced" in said
    assert f"Error: No number is called {typo} The nearest: {meant} " in said


@needs_latex
def test_the_nearest_of_thousands_is_found_in_seconds(tmp_path: Path):
    """A large sweep's file is input whole, and a typo is still told."""
    many = [
        replace(SCORE, key=f"m{i}.prompt{j}.rouge{k}")
        for i in range(25) for j in range(20) for k in range(10)
    ]  # fmt: skip

    assert "0.2675" in printed(tmp_path, r"\res{m7.prompt7.rouge7}", results=many)
    said = told(tmp_path, r"\res{m7.promt7.rough7}", results=many)
    assert "The nearest: m7.prompt7.rouge7 " in said


@needs_latex
def test_the_p_of_a_score_stops_tex(tmp_path: Path):
    """And says what has one."""
    said = told(tmp_path, rf"\resp{{{SCORE.key}}}")

    assert "no output PDF file produced" in said
    assert f"{SCORE.key} is a score, and a score has no p" in said


@needs_latex
def test_two_files_of_one_paper_must_agree(tmp_path: Path):
    """Numbers of two runs stand side by side; one key for two values is an error."""
    other = tmp_path / "other.tex"
    new = replace(SCORE, key="new.none.bleu", text="0.5")
    body = rf"\res{{{new.key}}} \res{{{SCORE.key}}}"

    other.write_text(macros([new, SCORE], "", ""))
    assert "0.5 0.2675" in printed(tmp_path, rf"\input{{other}}{body}")

    other.write_text(macros([new, replace(SCORE, text="0.3")], "", ""))
    said = told(tmp_path, rf"\input{{other}}{body}")
    assert f"Error: Two files of numbers differ in {SCORE.key}" in said


@needs_latex
def test_a_command_of_the_authors_own_is_not_overwritten(tmp_path: Path):
    r"""LaTeX says that ``\res`` is taken."""
    assert r"Error: Command \res already defined" in told(
        tmp_path, "", r"\newcommand{\res}{resolution}"
    )


@needs_latex
@pytest.mark.parametrize("stamp", ["PARTIAL 3/4", "70.0% EMPTY ANSWERS"])
@pytest.mark.parametrize("command", ["res", "resci", "resn", "resfull"])
def test_every_number_of_a_partial_run_says_so(tmp_path: Path, stamp: str, command: str):
    """In the text, in the list of tables, in math; and once more as a warning at the end."""
    cited = rf"\{command}{{{SCORE.key}}}"
    body = rf"\listoftables A {cited}\par ${cited}$\begin{{table}}\caption{{{cited}}}\end{{table}}"

    found = printed(tmp_path, body, stamp=stamp)

    assert found.count(f"[{stamp}]") == 4
    said = told(tmp_path, body, stamp=stamp).replace("\\", "")
    assert f"Package report Warning: The numbers are {stamp}: not for print" in said


@needs_latex
@pytest.mark.parametrize("stamp", ["", "PARTIAL 3/4"])
def test_a_whole_run_is_silent(tmp_path: Path, stamp: str):
    """No mark and no warning but of a run that is not whole."""
    said = told(tmp_path, rf"A \res{{{SCORE.key}}} B", stamp=stamp)

    assert ("Warning" in said) == bool(stamp)
    assert ("A 0.2675 B" in text(tmp_path)) == (not stamp)


def test_a_file_says_what_it_is():
    """Whose numbers, how to use them, that nobody should edit it; all of it plain ASCII."""
    source = macros(RESULTS, "", "Größe % of \\end")

    head = source.splitlines()[:4]
    assert all(line.startswith("% ") for line in head)
    assert r'"Gr\"{o}\ss{}e \% of \textbackslash{}end"' in head[0]
    assert "Written by `report`" in head[0]
    assert rf"\res{{{SCORE.key}}}" in head[1]
    assert source.isascii()
    assert macros((), "", "").endswith("\\endgroup\n")
