"""Numbers that prose cites by their keys, set by a real TeX."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reports.macros import macros
from reports.results import Result
from tests.test_tex import needs_latex

MINUS, NOTHING_TEXT = "\N{MINUS SIGN}", "\N{EN DASH}"
SCORE = Result(
    "llama3_8b.prompt2.rouge1", "score", 0.2675, 0.2609, 0.2741, None, 787, 500,
    "0.2675", "0.2609", "0.2741",
)  # fmt: skip
DIFFERENCE = Result(
    "flan_t5.none-vs-llama3_8b.none.bleu@length=up-to-9-words", "difference", -0.0033, -0.02, 0.01,
    0.0001, 1787, 500, f"{MINUS}0.0033", f"{MINUS}0.0200", "+0.0100", "< 0.001",
)  # fmt: skip
ALIKE = Result("llama3_8b.prompt2.rouge2", "score", 0.1, None, None, None, 9, 9, "0.1000")
NOTHING = Result("t5.none.bleu", "score", None, None, None, None, 0, 0, NOTHING_TEXT)
PAPER = r"""\documentclass{article}
PACKAGES\input{macros}
\begin{document}
\listoftables
BODY
\end{document}
"""


def compiled(folder: Path, body: str, packages: str = "", stamp: str = "", runs: int = 2) -> str:
    """Return what TeX says of a paper with the macros and *body*."""
    results = (SCORE, DIFFERENCE, ALIKE, NOTHING)
    (folder / "macros.tex").write_text(macros(results, "A {title} % é", stamp))
    (folder / "p.tex").write_text(PAPER.replace("BODY", body).replace("PACKAGES", packages))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
    for _ in range(runs):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False,
            timeout=120,
        )  # fmt: skip
    return done.stdout


def printed(folder: Path, body: str, packages: str = "", stamp: str = "") -> str:
    """Return the text of the pages; spaces and breaks are single spaces."""
    told = compiled(folder, body, packages, stamp)
    assert "Output written" in told, told[-1500:]
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian: poppler-utils)")
    done = subprocess.run(
        ["pdftotext", "-layout", "p.pdf", "-"], cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return " ".join(done.stdout.split())


@needs_latex
def test_every_part_of_a_number_can_be_cited(tmp_path: Path):
    """Value, interval, n and p, in text and in math, as the tables print them."""
    score, difference = SCORE.key, DIFFERENCE.key
    body = (
        rf"\res{{{score}}} \resci{{{score}}} \resn{{{score}}}; $x = \res{{{difference}}}$, "
        rf"$p \resp{{{difference}}}$, \resfull{{{difference}}}; \res{{{NOTHING.key}}}."
    )

    text = printed(tmp_path, body)

    assert f"0.2675 [0.2609, 0.2741] 787; x = {MINUS}0.0033, p < 0.001," in text
    assert f"{MINUS}0.0033 [{MINUS}0.0200, +0.0100], n = 1,787, p < 0.001; {NOTHING_TEXT}." in text


@needs_latex
@pytest.mark.parametrize("packages", ["", r"\usepackage{hyperref}"])
def test_numbers_stand_in_titles_captions_notes_and_tables(tmp_path: Path, packages: str):
    """Where LaTeX moves text to other places; with hyperref, in the bookmarks too."""
    key = SCORE.key
    body = (
        rf"\section{{With \res{{{key}}}}} A\footnote{{Note \res{{{key}}}.}}"
        rf"\begin{{table}}[h]\caption{{Of \resfull{{{key}}}}}"
        rf"\begin{{tabular}}{{r}}\res{{{key}}}\end{{tabular}}\end{{table}}"
    )

    text = printed(tmp_path, body, packages)

    assert text.count("0.2675") == 5  # the list of tables repeats the caption
    assert text.count("Of 0.2675 [0.2609, 0.2741], n = 787") == 2


@needs_latex
@pytest.mark.parametrize("typo", ["llama3_8b.prompt2.rouge-1", "lama3_8b.prompt2.rouge1"])
def test_an_unknown_key_stops_tex_and_names_the_nearest(tmp_path: Path, typo: str):
    """No paper comes out in which a number is missing."""
    told = compiled(tmp_path, rf"\res{{{typo}}}", runs=1).replace("\n(report)", " ")

    assert "no output PDF file produced" in told
    assert f"No result is called '{typo}'" in " ".join(told.split())
    assert " ".join(told.split()).index(f"nearest: '{SCORE.key}'") > 0


@needs_latex
@pytest.mark.parametrize(
    ("command", "result", "what"),
    [("resp", SCORE, "p"), ("resci", ALIKE, "interval"), ("resci", NOTHING, "interval")],
)
def test_what_a_number_does_not_have_stops_tex(
    tmp_path: Path, command: str, result: Result, what: str
):
    """A score has no p; a number of few questions has no interval."""
    told = compiled(tmp_path, rf"\{command}{{{result.key}}}", runs=1).replace("\n(report)", " ")

    assert "no output PDF file produced" in told
    assert f"'{result.key}' has no {what}" in " ".join(told.split())


@needs_latex
def test_numbers_of_a_partial_run_say_so_wherever_they_stand(tmp_path: Path):
    """In the text, and once more as a warning at the end."""
    body = rf"A \res{{{SCORE.key}}} B \resfull{{{SCORE.key}}}"

    text = printed(tmp_path, body, stamp="PARTIAL 3/4")

    assert text.count("PARTIAL 3/4") == 2
    assert "The numbers are those of a run that is PARTIAL 3/4" in compiled(
        tmp_path, body, stamp="PARTIAL 3/4"
    )


@needs_latex
def test_thousands_of_numbers_are_read(tmp_path: Path):
    """A large sweep's file is inputted whole, and a typo is still told."""
    many = [
        Result(f"m{i}.prompt{j}.rouge{k}", "score", 0.1, None, None, None, 9, 9, "0.1")
        for i in range(25) for j in range(20) for k in range(10)
    ]  # fmt: skip
    (tmp_path / "macros.tex").write_text(macros(many, "", ""))
    (tmp_path / "p.tex").write_text(PAPER.replace("BODY", r"\res{m7.prompt7.rough7}").replace(
        "PACKAGES", ""))  # fmt: skip
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "p.tex"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)

    assert b"'m7.prompt7.rouge7'" in done.stdout
