"""What the figures of a report draw, and that their files are fit for a paper."""

import multiprocessing
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core.types import Condition
from reports.build import Report, build
from reports.figures import panels
from reports.figures import people as of_people
from reports.figures import scores as plots
from reports.figures.training import Figure, broken
from reports.rows.collect import collect
from reports.spec import Analysis, Contrast
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2, Toy, make, relabelled, spec

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
CONTRAST = Contrast("c", "Two less one", ((LLAMA.id, LLAMA2.id),))


def answer(made_by: Condition, row: int, sample: int) -> str:
    """Return answers of which the second prompt's overlap more with the reference."""
    known = {LLAMA.id: 2, LLAMA2.id: 6, FLAN.id: 4}.get(made_by.id, 5)
    return " ".join(["w0"] * known + [f"x{row}"] * (8 - known + row % 3))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return the report of three model rows and people, with a declared contrast."""
    about = spec(LLAMA, LLAMA2, FLAN, HUMAN, analysis=Analysis(contrasts=(CONTRAST,)))
    run = make(tmp_path_factory.mktemp("plots") / "run", about, answer)
    return build(collect(run, about), about)


def figures(report: Report) -> dict[str, Figure]:
    """Return the figures of a report by name."""
    return {f.name.removeprefix("figure-"): f for s in report.sections for f in s.figures}


def texts(figure: Figure) -> list[str]:
    """Return the texts that are drawn, in order."""
    return ["".join(e.itertext()).strip() for e in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def marks(figure: Figure) -> list[tuple[float, float, str]]:
    """Return the marks that are drawn: x, y, fill."""
    uses = ET.fromstring(figure.svg).iter(f"{SVG}use")
    found = [(e.get("x"), e.get("y"), re.search(r"fill: (#\w+)", e.get("style", ""))) for e in uses]
    drawn = [(float(x or 0), float(y or 0), fill[1]) for x, y, fill in found if fill]
    floor = max(y for _, y, _ in drawn)  # where ticks are
    return [mark for mark in drawn if mark[1] < floor]


# ---------------------------------------------------------------------------- what is drawn


def test_each_condition_has_a_line_below_its_model(report: Report):
    """People first; a model of one row stands alone, of several its name is a heading."""
    labels = [(line.label, line.key is None) for line in plots.condition_lines(report.spec)]

    assert labels == [
        ("Therapist Baseline", False), ("LLaMA 3.1 8B Instruct", True), ("Prompt 1", False),
        ("Prompt 2", False), ("FLAN-T5 (base), Prompt 1", False),
    ]  # fmt: skip
    assert [text for text in texts(figures(report)["scores"]) if text == "Prompt 2"] == ["Prompt 2"]


def test_points_stand_where_the_scores_are(report: Report):
    """From left to right as the numbers of the table, under either metric, people among them."""
    drawn = marks(figures(report)["scores"])
    dots = [(x, y) for x, y, _ in drawn]
    scores = report.summary.filter(pl.col("subset") == "all", pl.col("column") == "toy_overlap")
    values = dict(scores.select("condition", "score").iter_rows())
    lines = [line.key for line in plots.condition_lines(report.spec) if line.key]
    heights = sorted({y for _, y in dots})
    assert len(heights) == len(lines)
    first_panel = [min(x for x, y in dots if y == height) for height in heights]

    ranks = np.argsort([values[key] for key in lines if key])
    assert np.argsort(first_panel).tolist() == ranks.tolist()


def test_the_line_of_the_people_is_dashed(report: Report):
    """So that a model's distance to them is seen at once."""
    figure = figures(report)["scores"]

    assert "human reference" in figure.caption
    assert "stroke-dasharray" in figure.svg
    without = replace(report.spec, conditions=(LLAMA, LLAMA2))
    again = plots.forest(report.summary, without, "")
    assert again is not None
    assert "human" not in again.caption


def test_differences_are_filled_where_they_are_significant(report: Report):
    """The contrast that is declared, and the prompts of each model against its first."""
    figure = figures(report)["differences"]
    drawn = texts(figure)

    assert "Declared contrasts" in drawn
    assert "Two less one" in drawn
    assert any("prompt\N{NO-BREAK SPACE}\N{MINUS SIGN}" in text for text in drawn)
    found = report.pairs.filter(pl.col("first") == LLAMA.id, pl.col("second") == LLAMA2.id)
    p = dict(found.select("column", "p_holm").iter_rows())
    assert p["toy_overlap"] < plots.ALPHA < p["toy_words"]
    fills = [fill for _, _, fill in marks(figure) if fill in (panels.DATA.lower(), "#ffffff")]
    assert sorted(fills) == sorted([panels.DATA.lower(), "#ffffff"] * 2)


def test_a_histogram_counts_every_answer(tmp_path: Path):
    """Its bars are as high as the counts; what lies beyond the sides stands at the edge."""
    values = np.array([0.0, 0.0, 0.0, 0.1, 0.5, 1.0])
    corners = panels._histogram(values, 2.0, (0.0, 1.0))
    heights = 2.0 - corners[1:-1:2, 1]

    assert corners.shape == (2 * panels.N_BINS + 2, 2)
    assert np.argmax(heights) == 0
    assert heights[0] / heights[-1] == pytest.approx(3.0)
    assert np.count_nonzero(heights) == 4


def test_single_answers_are_drawn_with_what_is_scored_only(tmp_path: Path):
    """An answer that a metric leaves out is no zero."""
    about = spec(LLAMA, metrics={"toy-00000000": Toy(unscored="skip")})
    run = make(tmp_path / "run", about, lambda c, i, s: "skip" if i < 10 else "w0 w1")
    found = plots._singles(collect(run, about), about, about.main_columns)

    assert {key: values.tolist() for key, values in found.items()} == {
        (LLAMA.id, "toy-00000000", "toy_overlap"): [1.0] * 30,
        (LLAMA.id, "toy-00000000", "toy_words"): [2.0] * 30,
    }


def test_nothing_to_draw_is_no_figure(tmp_path: Path):
    """Without a scored row, without a second prompt or a contrast, without a main column."""
    about = spec(LLAMA, metrics={"toy-00000000": Toy(unscored="skip")})
    run = make(tmp_path / "run", about, lambda c, i, s: "skip")
    assert not figures(build(collect(run, about), about))
    detail = spec(LLAMA, LLAMA2, metrics={"toy-00000000": Toy(main=False)})

    assert not figures(build(collect(make(tmp_path / "two", detail), detail), detail))


# ---------------------------------------------------------------------------- files


def test_the_files_are_the_same_in_every_process(tmp_path: Path):
    """Whatever the hash seed, the time and the user's own matplotlibrc."""
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: red\n")
    code = (
        "import hashlib, pathlib, sys; from tests.reports.figures.test_plots import *;"
        "about = spec(LLAMA, LLAMA2, HUMAN); run = make(pathlib.Path(sys.argv[1]), about, answer);"
        "found = figures(build(collect(run, about), about)).values();"
        "every = b''.join(f.svg.encode() + f.pdf for f in found);"
        "print(len(found), hashlib.sha256(every).hexdigest())"
    )
    printed = set()
    same = {"MATPLOTLIBRC": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for seed in ("0", "7"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"run{seed}")],
            capture_output=True, text=True, check=True, cwd=tmp_path,
            env=os.environ | same | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        printed.add(done.stdout)

    assert len(printed) == 1
    assert printed.pop().startswith("3 ")


def test_a_pdf_holds_its_fonts(report: Report):
    """As TrueType: publishers refuse type 3; and tells no date and no maker."""
    for figure in figures(report).values():
        assert b"/FontFile2" in figure.pdf
        assert b"/Type3" not in figure.pdf
        assert b"CreationDate" not in figure.pdf


@pytest.mark.fast
def test_figures_bear_the_stamp_of_a_partial_run(report: Report):
    """As tables do."""
    stamped = plots.forest(report.summary, report.spec, "PARTIAL 3/4")

    assert stamped is not None
    assert "PARTIAL 3/4" in texts(stamped.figure())


@pytest.fixture
def report_panels(report: Report) -> list[panels.Panels]:
    about, numbers = report.spec, report.numbers
    asked = [
        plots.forest(numbers.summary, about, ""),
        plots.differences(numbers.pairs, numbers.contrasts, about, ""),
        plots.distributions(report.collected, about, ""),
    ]
    return [one for one in asked if one]


def test_a_second_process_draws_the_same(report_panels: list[panels.Panels], monkeypatch):
    """Many numbers are drawn beside the rest of the report: the same bytes."""
    here = [one.figure() for one in report_panels]
    monkeypatch.setattr(panels, "MANY_PLACES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with monkeypatch.context() as patch, panels.start_drawing(report_panels) as drawn:
        patch.delattr(panels.Panels, "figure")  # not drawn here
        there = drawn()

    assert there == here
    assert [figure.files for figure in there] == [figure.files for figure in here]
    assert len(there) == 3


def die_beside(draw: panels.Draw, axes, wanted, lines) -> None:
    """Draw in the process that asked, and die in one that it started."""
    if multiprocessing.parent_process():
        os._exit(1)
    draw(axes, wanted, lines)


@pytest.mark.parametrize("starts", [True, False])
def test_where_a_second_process_fails_this_one_draws(report_panels, starts: bool, monkeypatch):
    """One that dies, or cannot be started, costs time, and no figure."""

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(panels, "MANY_PLACES", 0)
    if not starts:
        monkeypatch.setattr(panels.ProcessPoolExecutor, "submit", refuse)
    asked = [replace(one, draw=partial(die_beside, one.draw)) for one in report_panels]
    with panels.start_drawing(asked) as drawn:
        found = drawn()

    assert [figure.name for figure in found] == [one.name for one in report_panels]
    assert all(figure.pdf.startswith(b"%PDF") for figure in found)


@pytest.mark.parametrize(
    "label", ["$x_1$ \\alpha & <b>", "a\x00b\u202ec\ufeff\u2028d", "LLaMA " * 20, "سلام 你好 🙂"]
)
def test_any_label_can_be_drawn(report: Report, label: str):
    """As text; what has no picture is replaced, and what is long is broken."""
    about = replace(report.spec, conditions=(relabelled(LLAMA, label), HUMAN))
    asked = plots.forest(report.summary, about, "")
    assert asked is not None
    figure = asked.figure()

    ET.fromstring(figure.svg)
    assert figure.pdf.startswith(b"%PDF")
    if "alpha" in label:
        assert any(label in text for text in texts(figure))


def test_many_lines_still_fit_a_page(report: Report):
    """Two rows of panels with twenty-four conditions are no higher than a page's text."""
    many = [replace(c, fingerprint=str(i)) for i in range(12) for c in (LLAMA, LLAMA2)]
    lines = [panels.PanelLine("Prompt 1", c.id) for c in many] + [
        panels.PanelLine("Model", None)
    ] * 8

    assert 2 * (panels.PANEL_IN + panels._height(lines)) < 9.7


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("(judge: SmolLM2-135M-Instruct)", ["(judge:", "SmolLM2-135M-", "Instruct)"]),
        ("(Interpretations)\N{NO-BREAK SPACE}\N{UPWARDS ARROW}",
         ["(Interpretations)\N{NO-BREAK SPACE}\N{UPWARDS ARROW}"]),
        ("a b", ["a b"]),
        ("w" * 40, ["w" * 15, "w" * 15, "w" * 10]),
        ("", [""]),
    ],
)  # fmt: skip
def test_a_title_is_broken_between_words_and_behind_hyphens(title: str, lines: list[str]):
    assert broken(title, 15).split("\n") == lines


@pytest.mark.filterwarnings("error")
def test_titles_of_judges_leave_room_for_the_lines(report: Report):
    """A title of many lines makes the figure higher, not its panels lower."""
    judge = "EmotionQueen, uncalibrated (judge: SmolLM2-135M-Instruct)"
    asked = plots.forest(report.summary, report.spec, "PARTIAL 1/2")
    assert asked is not None
    named = [(key, replace(column, group=judge)) for key, column in asked.wanted]

    figure = replace(asked, wanted=named).figure()

    heights = sorted({round(y, 3) for _, y, _ in marks(figure)})
    apart = 72 * panels.LINE_IN * 0.8
    assert len(heights) == sum(line.key is not None for line in asked.lines)
    assert all(lower - upper > apart for upper, lower in pairwise(heights))


def test_values_that_leave_the_scale_stand_within_the_axes():
    """Without the severity of its raters an answer may have 2.4 on a scale that ends at 2."""
    points = pl.DataFrame({"people": [0.0, 2.4], "judge_value": [-0.1, 1.0]})

    low, high = of_people._ends(points, 0, 2)

    assert low < -0.1
    assert high > 2.4
    assert of_people._ends(points.clear(), 0, 2) == (-0.2, 2.2)
