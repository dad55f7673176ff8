"""Table 3: a base and what was made of it, on the same examples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core.choice import SampleChoice
from empathy_core.store import RunDir
from empathy_core.types import Column, Condition
from reports.build import build
from reports.numbers.derived import chose_by, families
from reports.rows.collect import collect
from reports.spec import Derived, ReportSpec
from reports.write import write_report
from tests.runs.by_hand import N_EXAMPLES, Toy, condition, make, spec

BASE = condition("llama", "LLaMA", "prompt1")
SFT = condition("llama-sft", "LLaMA, fine-tuned", "prompt1")
DPO = condition("llama-dpo", "LLaMA, tuned on pairs", "prompt1")
REFINED = condition("llama", "LLaMA", "prompt2")
ALONE = condition("flan", "FLAN-T5", "prompt1")
MADE = (
    Derived(SFT.id, BASE.id, "SFT", "n = 32, seed 0"),
    Derived(DPO.id, BASE.id, "DPO", "16 pairs, n = 32, seed 0"),
    Derived(REFINED.id, BASE.id, "Refined prompt", "Prompt 2"),
)
EXTRA = {BASE.id: 0, SFT.id: 1, DPO.id: 4, REFINED.id: 2, ALONE.id: 2}


def text(made_by: Condition, row: int, _: int) -> str:
    """Return words of which some are the reference's; DPO writes the most, of unlike length."""
    shared = " ".join(f"w{i}" for i in range(2 + (row * 7 + EXTRA[made_by.id]) % 6))
    return f"{shared} {'more ' * (EXTRA[made_by.id] * (1 + row % 4) + row % 3)}".strip()


def about(**changes: object) -> ReportSpec:
    """Return a report on the base, three that were made of it, and one that was not."""
    given = {"derived": MADE, "metrics": {"toy-00000000": Toy(), "other-00000000": Toy("other")}}
    return spec(BASE, SFT, DPO, REFINED, ALONE, **{**given, **changes})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A whole run of them."""
    return make(tmp_path_factory.mktemp("derived"), about(), text)


def own(made_by: Condition) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of words that the reference has, and log(1 + words), of each example."""
    texts = [text(made_by, i, 0).split() for i in range(N_EXAMPLES)]
    share = [sum(w.startswith("w") for w in words) / len(words) for words in texts]
    return np.array(share), np.log1p([len(words) for words in texts])


@pytest.mark.parametrize("made", MADE, ids=lambda d: d.how)
def test_differences_are_those_of_twenty_lines_as_they_are_and_at_equal_length(
    run: RunDir, made: Derived
):
    """Means of paired differences, and the intercept of a least-squares line on log words."""
    report = build(collect(run, about()), about())
    line = report.made.filter(condition=made.condition, column="toy_overlap").row(0, named=True)
    tuned = next(c for c in about().conditions if c.id == made.condition)
    (first, x0), (second, x1) = own(BASE), own(tuned)
    gaps, longer = second - first, x1 - x0

    assert line["score"] == pytest.approx(second.mean())
    assert line["difference"] == pytest.approx(gaps.mean())
    assert line["low"] < line["difference"] < line["high"]
    if np.ptp(longer) > 0:
        assert line["adjusted"] == pytest.approx(np.polyfit(longer, gaps, 1)[1])
    assert line["n"] == line["n_common"] == N_EXAMPLES
    words = report.made.filter(condition=made.condition, column="words_per_answer")
    assert words["score"][0] == pytest.approx(np.expm1(x1).mean())
    assert words["difference"][0] == pytest.approx((np.expm1(x1) - np.expm1(x0)).mean())


def test_a_family_is_a_base_and_all_that_was_made_of_it():
    """What was made of nothing is in none, and adapters by SFT alone have Table 2."""
    [family] = families(about())

    assert family.ids == (BASE.id, SFT.id, DPO.id, REFINED.id)
    assert families(about(derived=MADE[:1])) == []
    assert families(about(derived=())) == []


def test_a_base_and_the_same_base_unquantised_are_one_family():
    """Best of n of the one and adapters of the other stand in one table."""
    whole = condition("llama-whole", "LLaMA, whole", "prompt1")
    best = condition("llama-whole", "LLaMA, whole", "prompt2")
    made = (
        replace(MADE[1], unquantized=whole.id),
        Derived(best.id, whole.id, "Best of 8"),
    )
    conditions = (whole, best, BASE, DPO)

    [family] = families(replace(about(derived=made), conditions=conditions))

    assert family.bases == (whole.id, BASE.id)
    assert [d.how for d in family.members] == ["DPO", "Best of 8"]


def test_the_scores_are_of_the_examples_that_all_have(tmp_path: Path):
    """An example that one row has no score for counts in no row of its column."""
    lacking = text(SFT, 3, 0)
    metrics = {"toy-00000000": Toy(unscored=lacking), "other-00000000": Toy("other")}
    wanted = about(metrics=metrics)
    found = build(collect(make(tmp_path, wanted, text), wanted), wanted).made

    gone = {i for c in (BASE, SFT, DPO, REFINED) for i in range(N_EXAMPLES)
            if text(c, i, 0) == lacking}  # fmt: skip
    kept = [i for i in range(N_EXAMPLES) if i not in gone]
    toy = found.filter(column="toy_overlap")
    assert toy["n_common"].unique().to_list() == [len(kept)]
    for made_by in (BASE, SFT, DPO, REFINED):
        [score] = toy.filter(condition=made_by.id)["score"]
        assert score == pytest.approx(own(made_by)[0][kept].mean())


def test_the_examples_that_moved_most_are_shown_both_ways(run: RunDir):
    """Five whose score rises and five whose falls, each the furthest of its kind."""
    wanted = about()
    report = build(collect(run, wanted), wanted)
    [section] = [s for s in report.sections if s.file == "table3"]
    table = section.tables[-1]
    dpo = next(g for g in table.groups if g.label.startswith("DPO"))
    gaps = own(DPO)[0] - own(BASE)[0]
    shown = [(row.stubs[0], row.cells[2].value) for row in dpo.rows]

    n_up, n_down = min(5, (gaps > 0).sum()), min(5, (gaps < 0).sum())
    up = sorted(gaps[gaps > 0], reverse=True)[:5]
    down = sorted(gaps[gaps < 0])[:5]
    assert [value for _, value in shown] == pytest.approx([*up, *down])
    assert len(shown) == n_up + n_down
    for name, value in shown:
        assert gaps[int(name.removeprefix("sample-"))] == pytest.approx(value)
    assert report.moved.height > 0
    assert set(report.moved["highest"]) <= {c.id for c in wanted.conditions}


def test_table_3_says_what_is_compared_and_is_there_in_every_form(run: RunDir):
    """Its files, its rows in their order, and the two lines of each difference."""
    wanted = about()
    write_report(run, wanted)
    report = build(collect(run, wanted), wanted)
    [section] = [s for s in report.sections if s.file == "table3"]
    scores, differences, _ = section.tables

    assert [g.label for g in scores.groups] == ["Base", "SFT", "DPO", "Refined prompt"]
    assert [g.label for g in differences.groups] == ["SFT", "DPO", "Refined prompt"]
    assert [row.stubs[0] for row in differences.groups[1].rows][1] == "at equal length"
    assert "LLaMA, tuned on pairs, Prompt 1 to LLaMA, Prompt 1" in differences.words.notes[0]
    for name in ("table3.tex", "table3.html", "table3-standalone.tex", "table3.csv"):
        assert (run.report / name).is_file()
    written = pl.read_csv(run.report / "table3.csv")
    assert written["how"].unique(maintain_order=True).to_list() == [
        "Base", "SFT", "DPO", "Refined prompt",
    ]  # fmt: skip


def test_a_report_without_such_rows_has_no_table_3(tmp_path: Path):
    """Nor a file of one; and no row of the examples that moved."""
    wanted = spec(BASE, ALONE)
    run = make(tmp_path, wanted, text)
    write_report(run, wanted)

    assert not [p.name for p in run.report.iterdir() if "table3" in p.name or "best" in p.name]
    assert not (run.report / "movers.csv").exists()


@pytest.mark.parametrize(
    ("who", "column", "grey"),
    [
        ("One", "One", True),
        ("One", "Two", False),
        ("One", "jury of One, Two", True),
        ("jury of One, Two", "Two", True),
        ("jury of One, Two", "Three", False),
        ("One", "", False),
    ],
)
def test_ratings_by_whoever_chose_are_grey_also_those_of_a_jury(who: str, column: str, grey: bool):
    """Other judges' ratings and other metrics are not; of a metric that chose, its own is."""
    choice = SampleChoice(BASE.id, 4, "k", ("k",), "warmth", "Warmth", who, "higher")
    of = replace(BASE, choice=choice)
    by_metric = replace(BASE, choice=replace(choice, judge=""))

    assert chose_by(of, Column("a", "A", judge=column)) is grey
    assert not chose_by(BASE, Column("a", "A", judge=column))
    assert chose_by(by_metric, Column("warmth", "Warmth"))
    assert not chose_by(by_metric, Column("cold", "Cold"))
