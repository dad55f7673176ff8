"""Tables, macros, page of agreement and calibration; without ratings a report is as before."""

import gzip
import json
import re
import subprocess
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.annotation import RoundDir, read_ratings, write_ratings
from empathy_core.stats import CalibrationRule
from reports.build import Report, build
from reports.page.examples import browser
from reports.rows.collect import collect
from reports.tables.table import Cell, Table
from reports.write import write_report
from tests.papers import needs_latex, pdf_text
from tests.runs import by_hand
from tests.runs.rated import (
    IDS,
    ROUND,
    change_ratings,
    judges,
    person,
    rated_run,
    rated_spec,
)

N = 80


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report folder of a run that was rated: two judges, of which one knows nothing."""
    root = tmp_path_factory.mktemp("rated")
    about = rated_spec()
    return write_report(rated_run(root / "run", about, n=N), about).folder


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    about = rated_spec()
    return build(collect(by_hand.RunDir(folder.parent), about), about)


def section(report: Report, file: str) -> tuple[Table, ...]:
    return next((s.tables for s in report.sections if s.file == file), ())


def cells(table: Table) -> dict[tuple[str, str], dict[str, Cell]]:
    """Return (group, line) → heading → cell."""
    heads = [" ".join(head.lines) for head in table.heads]
    return {
        (group.label, row.stubs[0]): dict(zip(heads, row.cells, strict=True))
        for group in table.groups
        for row in group.rows
    }


def text(path: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", path.read_text()))


# ---------------------------------------------------------------------------- what is shown


def test_agreement_stands_at_both_levels_with_intervals_and_n(report: Report):
    first, second, raters, means = section(report, "agreement")
    rows = cells(first)
    single, mean = rows["Empathy", "single answers"], rows["Empathy", "means of conditions"]

    assert (single["n"].text, single["Raters"].text, mean["n"].text) == ("120", "3", "3")
    assert re.fullmatch(r"\[0\.\d\d, 0\.\d\d\]", single["Alpha, ordinal"].interval)
    assert mean["Kappa, quadratic"].text == "\N{EN DASH}"
    assert [*cells(second)["Empathy", "single answers"]][2:] == [
        "ICC(A,1)", "ICC(A,k)", "ICC(C,1)", "ICC(C,k)", "Kendall's tau-b",
    ]  # fmt: skip
    assert cells(raters)["Empathy", "R02"]["Severity"].text.startswith("\N{MINUS SIGN}0.")
    assert len(cells(means)) == 2 * len(IDS)


def test_the_ceiling_is_said_below_the_table(report: Report):
    words = section(report, "agreement")[0].words
    [told] = [of for of in words.notes if "one and the same" in of]

    assert re.search(r"\(MentalAlign: Safety \d\d\.\d%\)", told)
    assert told in words.brief


def test_a_requirement_that_failed_is_said_once_with_all_who_failed(report: Report):
    first = section(report, "calibration")[0]
    rows = cells(first)
    notes = first.words.notes

    assert rows["Clean", "Empathy"]["Meets rule"].text == "yes"
    assert rows["Fives", "Safety"]["Meets rule"].text == "no"
    both = "MentalAlign: Safety, MentalAlign: Empathy"
    assert notes[0] == f"Calibrated on 120 items, 3 raters: Clean ({both})."
    [kappa] = [of for of in notes if "kappa is to be" in of]
    assert kappa == (
        "Uncalibrated, since kappa is to be at least 0.4: "
        "Fives (MentalAlign: Safety 0.00, MentalAlign: Empathy 0.00)."
    )
    assert any("bias is to be at most 0.4: Fives (MentalAlign: Empathy +1." in of for of in notes)
    shuffled = "not nearer to people than its own scores in another order"
    assert f"Uncalibrated, since {shuffled}: Fives ({both})." in notes
    assert sum(of.count("nearer to people than its own") for of in notes) == 1


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (CalibrationRule(items=500), "500 answers are required: Clean (MentalAlign: Empathy 120)"),
        (CalibrationRule(raters=9), "9 raters are required: Clean (MentalAlign: Empathy 3)"),
        (CalibrationRule(kappa=0.99), "kappa is to be at least 0.99: Clean ("),
        (CalibrationRule(bias=0.01), "bias is to be at most 0.01: Clean ("),
        (
            CalibrationRule(accuracy=0.999),
            "pairs in order is to be at least 0.999: Clean (",
        ),
        (CalibrationRule(sensitivity=1.0), "sensitivity is to be at least 1: Clean ("),
    ],
)
def test_a_declared_requirement_that_fails_is_named(folder: Path, rule: CalibrationRule, told: str):
    about = replace(rated_spec(judges(("empathy",))), requirements={"clean": rule})
    found = build(collect(by_hand.RunDir(folder.parent), about), about)
    notes = section(found, "calibration")[0].words.notes
    [line] = [of for of in notes if of.startswith("Uncalibrated, since ") and "Clean (" in of]

    assert told in line


def test_controls_and_p_stand_beside_the_test(report: Report):
    _, knows, _, _, tests = section(report, "calibration")
    row = cells(knows)["Fives", "Safety"]

    assert row["Omega, mode"].text.endswith("%")
    assert row["Over mode"].text == "0.00"
    assert cells(tests)["Clean, MentalAlign: Empathy", "R01"]["p, corrected"].text == "0.001"
    assert cells(tests)["Fives, MentalAlign: Empathy", "R01"]["p, corrected"].text == "1.000"


def test_of_own_replies_nothing_is_explained_where_no_column_has_them(report: Report):
    *_, errors, _ = section(report, "calibration")
    told = " ".join(errors.words.notes)

    assert errors.words.caption == "The errors of the judges."
    assert "Own" not in [head.lines[0] for head in errors.heads]
    assert "bias on replies of the judge's own model" not in told
    assert "Sensitivity: of the answers" in told


def test_every_column_group_says_how_its_judge_stands(folder: Path):
    """Tables, page and summary, by the same words; the judges' own tables count them."""
    for name in ("table1.html", "table1.tex", "index.html"):
        words = re.sub(r"\\\\(\[.*?\])?|\\[a-z]+|[{}~]", " ", text(folder / name))
        assert "calibrated on 120 items, 3 raters" in re.sub(r"\s+", " ", words)
    assert "uncalibrated (judge: Fives)" in text(folder / "table1.html")
    assert "uncalibrated (judge: Clean)" not in text(folder / "index.html")
    assert "Calibrated against people: 2 of 4 rows" in text(folder / "judge-checks.html")


def test_numbers_have_macros_and_keys_that_cells_bear(report: Report, folder: Path):
    macros = (folder / "macros.tex").read_text()
    keys = {r.key for r in report.results}
    shown = [
        cell.key
        for file in ("agreement", "calibration")
        for table in section(report, file)
        for group in table.groups
        for row in group.rows
        for cell in row.cells
        if cell.key
    ]

    assert len(shown) > 100
    assert set(shown) <= keys
    assert len(keys) == len(report.results)
    assert r"\report@number{calibration.clean_mentalalign_empathy.kappa}{0." in macros
    for name in ("agreement", "agreement-raters", "calibration", "calibration-tests"):
        assert pl.read_csv(folder / f"{name}.csv").height


def test_stale_ratings_are_counted_above_everything_else(tmp_path: Path):
    about = rated_spec(judges(("empathy",)))
    run = rated_run(tmp_path, about, n=N)
    late = pl.col("rater") == "R03"
    change_ratings(run, answer_sha256=pl.when(late).then(pl.lit("x")).otherwise(
        pl.col("answer_sha256")))  # fmt: skip
    found = build(collect(run, about), about)

    [told] = section(found, "agreement")[0].words.warnings
    assert told == "Ratings that count in no number: 240 of answers that are others now."


def test_where_no_rating_counts_only_that_is_said(tmp_path: Path):
    about = rated_spec(judges(("empathy",)))
    run = rated_run(tmp_path, about, n=N)
    change_ratings(run, excluded=pl.lit("attention"))
    found = build(collect(run, about), about)

    [only] = section(found, "agreement")
    assert "720 left out by a declared rule (attention)" in only.words.warnings[0]
    assert section(found, "calibration") == ()


# ---------------------------------------------------------------------------- figures and page


def test_the_figures_say_in_words_what_they_show(report: Report):
    figures = {f.name: f for s in report.sections for f in s.figures}
    agreement, held = figures["figure-agreement"], figures["figure-calibration"]

    assert "MentalAlign: Safety: alpha (ordinal), single answers 0." in agreement.description
    assert 'role="img"' in agreement.svg
    assert "Clean, MentalAlign: Empathy: people " in held.description
    assert held.pdf.startswith(b"%PDF")


def test_the_browser_has_ratings_by_pseudonym_beside_the_judges(report: Report):
    index = json.loads(gzip.decompress(b64decode(browser(report.collected, report.spec).pieces[0])))
    empathy = [of["name"] for of in index["people"]].index("MentalAlign: Empathy")
    of = index["people"][empathy]

    assert of["raters"] == ["R01", "R02", "R03"]
    assert [judge for judge, _ in of["judges"]] == ["Clean", "Fives"]
    assert all("empathy" in index["columns"][i]["key"] for _, i in of["judges"])
    for place, condition in enumerate(IDS):
        said = index["rated"][place]["0"][empathy]
        assert said == [person(r, condition, "sample-0", "empathy") for r in of["raters"]]
    assert str(N - 1) not in index["rated"][0]


def test_the_page_shows_them(folder: Path):
    """In Chromium: what R01 to R03 said of an answer, and the judges."""
    from tests.pages import chromium, opened

    with (
        chromium() as window,
        opened(window, folder / "index.html", "#example=sample-0", ready=True) as found,
    ):
        line = found.page.locator("#browser .people dd").nth(1)
        assert re.fullmatch(
            r"R01 \d, R02 \d, R03 \d; Clean \d\.\d\d; Fives 5\.00", line.inner_text()
        )
        assert found.page.locator("#calibration img[alt*='Scatter']").count() == 1
        assert found.complaints == []


# ---------------------------------------------------------------------------- in print


@pytest.mark.parametrize("name", ["agreement", "calibration"])
@needs_latex
def test_the_tables_are_set_in_an_article(folder: Path, tmp_path: Path, name: str):
    """With the packages that they name, and no line is wider than the text."""
    fragment = (folder / f"{name}.tex").read_text()
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage[margin=2.5cm]{geometry}\\usepackage[T1]{fontenc}"
        "\\usepackage{booktabs,longtable}\\begin{document}" + fragment + "\\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "with each other" in pdf_text(tmp_path / "paper.pdf") or name == "calibration"


# ---------------------------------------------------------------------------- without ratings


def test_without_ratings_a_report_is_the_same_to_the_byte(tmp_path: Path):
    """Also where packets are out and nothing has come back."""
    about = rated_spec(judges(("empathy",)))
    plain = by_hand.make(tmp_path / "plain" / "run", about, n=N)
    out = rated_run(tmp_path / "out" / "run", about, n=N)
    write_ratings(RoundDir.of(out, ROUND), read_ratings(out).clear())
    folders = [write_report(run, about).folder for run in (plain, out)]
    files = [{p.name: p.read_bytes() for p in of.iterdir()} for of in folders]

    assert files[0] == files[1]
    assert not any(name.startswith(("agreement", "calibration")) for name in files[0])
    assert b"calibrated on" not in files[0]["index.html"]
