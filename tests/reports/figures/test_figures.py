"""Figures are the same bytes everywhere, hold their words as text, and show what they should."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from empathy_core import metrics
from reports.figures import training
from reports.figures.training import Figure, failures_figure, training_figure
from reports.numbers.curves import Curve
from reports.numbers.failures import FaultShares, Series
from reports.spec import CurvePoint
from tests.papers import need
from tests.runs.adapters_by_hand import curve

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</svg><script>alert(1)</script> $x_1$ & é"
FAULTS = metrics.load("diagnostics", {}).columns
SMALL = Curve("paper", "n = 525, seed 0", 525, curve(525, 2.0))
LARGE = Curve("paper", "n = 4,719, seed 0", 4719, curve(4719, 2.1))


def shares(**given: float | None) -> dict[str, float | None]:
    return {fault.name: given.get(fault.name, 0.0) for fault in FAULTS}


def series(title: str = "LLaMA", **at_525: float | None) -> Series:
    """Return a base without faults, 525 rows as given, and 70 % of empty answers at 4,719."""
    return Series(
        title,
        FAULTS,
        (
            FaultShares("base", 0, shares(noise=0.02)),
            FaultShares("n = 525, seed 0", 525, shares(**at_525)),
            FaultShares("n = 4,719, seed 0", 4719, shares(empty=0.7)),
        ),
    )


def texts(figure: Figure) -> list[str]:
    """Return the texts that are drawn."""
    return [" ".join(e.itertext()).strip() for e in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def _children_at(figure: Figure, tag: str) -> str:
    return next(ET.fromstring(figure.svg).iter(f"{SVG}{tag}")).text or ""


def test_a_figure_is_the_same_in_every_process(tmp_path: Path):
    """Whatever the hash seed, the time and the user's own matplotlibrc."""
    (tmp_path / "matplotlibrc").write_text(
        "axes.labelsize: 20\nxtick.major.size: 9\nbackend: TkAgg\n"
    )
    code = (
        "import hashlib; from tests.reports.figures.test_figures import *;"
        "a = training_figure((SMALL, LARGE), 'PARTIAL 1/2'); b = failures_figure((series(),), '');"
        "print(hashlib.sha256(a.svg.encode() + a.pdf + b.svg.encode() + b.pdf).hexdigest())"
    )
    found = set()
    for seed, extra in (("1", {}), ("2", {"MPLCONFIGDIR": str(tmp_path)})):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)} | extra
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        found.add(done.stdout.strip())

    assert len(found) == 1
    assert len(found.pop()) == 64


def test_letters_stand_where_a_whole_font_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A PDF without its fonts' rules of layout is smaller, and each word is in its place."""
    need("pdftotext")
    words = (replace(LARGE, label="fi ffl AVATAR To. Zoë ↑ \N{MINUS SIGN}0.5 é"),)
    lean = training_figure(words, "PARTIAL 1/2").pdf
    monkeypatch.setattr(training, "LAYOUT_TABLES", ())
    whole = training_figure(words, "PARTIAL 1/2").pdf
    for name, pdf in (("lean", lean), ("whole", whole)):
        (tmp_path / f"{name}.pdf").write_bytes(pdf)
        subprocess.run(["pdftotext", "-bbox", f"{name}.pdf"], cwd=tmp_path, check=True)

    placed = (tmp_path / "lean.html").read_text()
    assert "AVATAR" in placed
    assert placed == (tmp_path / "whole.html").read_text()
    assert len(lean) < len(whole)


def test_no_file_tells_when_or_by_what_it_was_made():
    """Dates and versions would make equal numbers unequal files."""
    figure = training_figure((SMALL,), "")

    assert b"Date" not in figure.pdf
    assert b"Matplotlib" not in figure.pdf
    assert "date>" not in figure.svg
    assert "matplotlib v" not in figure.svg.lower()


def test_the_best_step_is_the_first_of_the_lowest():
    """Points without a validation loss do not count."""
    points = [
        CurvePoint(1, 0.1, 3.0, None), CurvePoint(2, 0.2, None, 2.5), CurvePoint(3, 0.3, None, 2.1),
        CurvePoint(4, 0.4, 1.0, 2.1),
    ]  # fmt: skip

    assert replace(SMALL, points=tuple(points)).best == (3, 2.1)
    assert replace(SMALL, points=tuple(points[:1])).best is None


def test_the_curves_are_told_in_words():
    """Names, axes and keys are text; the description has the numbers of every adapter."""
    figure = training_figure((SMALL, LARGE), "")

    drawn = texts(figure)
    assert {"Step", "Loss", "training", "validation", "best step"} <= set(drawn)
    assert {SMALL.label, LARGE.label} <= set(drawn)
    told = _children_at(figure, "desc")
    assert "n = 525, seed 0, training loss from 3.066 to 2.053" in told
    assert "lowest validation loss 2.250 at step 65" in told
    assert "best step" in _children_at(figure, "title")


def test_a_star_stands_at_the_best_step_of_each_adapter():
    """And none where no validation loss was taken."""
    blind = replace(SMALL, points=tuple(p for p in SMALL.points if p.loss is not None))

    assert _n_stars(training_figure((SMALL, LARGE), "")) == 2
    assert _n_stars(training_figure((blind, LARGE), "")) == 1


def _n_stars(figure: Figure) -> int:
    """Count the coloured paths of ten corners; the key's star is black."""
    uses = re.findall(r'<use [^>]*xlink:href="#([^"]+)"[^>]*style="fill: (#[0-9a-f]+)', figure.svg)
    corners = {
        name: path.count("L")
        for name, path in re.findall(r'<path id="([^"]+)" d="([^"]+)"', figure.svg)
    }
    return sum(corners.get(name) == 9 and fill != "#1b1c1e" for name, fill in uses)


def test_a_stamp_is_drawn():
    """A partial figure says so itself, since it may travel alone."""
    assert "PARTIAL 3/4" in texts(training_figure((SMALL,), "PARTIAL 3/4"))
    assert "PARTIAL 3/4" in texts(failures_figure((series(),), "PARTIAL 3/4"))
    assert not [t for t in texts(failures_figure((series(),), "")) if "PARTIAL" in t]


def test_faults_that_never_occur_are_named_and_not_drawn():
    """A line at zero hides the others."""
    figure = failures_figure((series(empty=0.03),), "")

    assert {"base", "525", "4,719", "Empty", "Noise"} <= set(texts(figure))
    assert "Repetition" not in texts(figure)
    assert "none occurred: echo of the prompt, at the token limit, repetition" in figure.caption
    told = _children_at(figure, "desc")
    assert "empty: base 0.0%, n = 525, seed 0 3.0%, n = 4,719, seed 0 70.0%" in told


def test_bases_have_panels_and_a_share_that_is_not_known_is_not_zero():
    """Where no answer tells why it stopped there is no point."""
    figure = failures_figure((series("A", cut_short=None), series("B", cut_short=0.5)), "")

    assert {"A", "B", "At the token limit"} <= set(texts(figure))
    assert "at the token limit: base 0.0%, n = 525, seed 0 –" in _children_at(  # noqa: RUF001
        figure, "desc"
    )


def test_names_are_drawn_as_text():
    """Markup and formulas in a label become neither elements nor formulas."""
    figure = training_figure((replace(SMALL, label=EVIL),), "")

    assert EVIL in texts(figure)
    assert "<script" not in figure.svg


def test_nothing_to_draw_is_no_figure():
    """Neither an empty frame nor an error."""
    assert training_figure((), "") is None
    assert failures_figure((), "") is None


@pytest.mark.parametrize("n", [1, 9])
def test_many_adapters_are_told_apart(n: int):
    """Colours come again only with another dash."""
    figure = training_figure([replace(SMALL, label=f"adapter {i}") for i in range(n)], "")

    lines = re.findall(r"style=\"fill: none;([^\"]*stroke-width: 1.8[^\"]*)\"", figure.svg)
    assert len({tuple(sorted(line.split(";"))) for line in lines}) >= n


def test_lengths_of_answers_are_drawn_below_where_they_were_taken():
    """With an axis of their own, and in the description."""
    points = (
        CurvePoint(0, 0.0, None, 2.5, 20.0), CurvePoint(1, 0.5, 2.4, None),
        CurvePoint(2, 1.0, None, 2.1, 34.5),
    )  # fmt: skip
    figure = training_figure((replace(SMALL, points=points), LARGE), "")

    assert "Answer tokens" in texts(figure)
    assert "answers of 20.0 tokens at first and 34.5 at last" in _children_at(figure, "desc")
    assert "Answer tokens" not in texts(training_figure((SMALL, LARGE), ""))
