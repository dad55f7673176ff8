"""Numbers of Table 3, of refinements and of agreement: under keys of their own, known in prose."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest

from reports.build import Report, build
from reports.claims.citable_numbers import Citable
from reports.claims.citables import citables_of_run
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.manuscript import Manuscript, scan
from reports.claims.typed_numbers import Typed, find
from reports.latex.macros import macros
from reports.numbers.aggregate import SUMMARY
from reports.numbers.made_results import refinement_results
from reports.numbers.pairs import PAIRS
from reports.numbers.results import CitedAs, Result, frame
from reports.numbers.significance import p_column
from reports.rows.collect import collect
from reports.spec import ReportSpec
from reports.write import csv as as_csv
from tests.reports.tables.test_derived import MADE, about, text
from tests.reports.tables.test_refined import gain, on_test, outcome
from tests.runs.by_hand import LLAMA, condition, make, spec

EQUAL = ".equal_length"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report with Table 3 and two refinements, of which one tested nothing."""
    tested = outcome(on_test(0.25, 0.013), on_test(-0.1, 0.4, name="kind of"))
    none = outcome(name="colder", best=gain(-0.07))
    whole = about(refinements=(tested, none))
    return build(collect(make(tmp_path_factory.mktemp("made"), whole, text), whole), whole)


@pytest.fixture(scope="module")
def told(report: Report) -> dict[str, Result]:
    """Every number by its key."""
    return {result.key: result for result in report.results}


@pytest.fixture(scope="module")
def shelf(report: Report) -> tuple[Citable, ...]:
    """What typed numbers are looked up in."""
    evidence = evidence_of_run(report.spec, report.summary, report.pairs)
    return citables_of_run(report.results, evidence)


def read(written: str, shelf: Sequence[Citable]) -> Typed:
    """Return what is found of the one number of a text."""
    (found,) = find(Manuscript((scan(written, "a.tex"),), ()), shelf)
    return found


def test_no_two_numbers_share_a_key(report: Report, told: dict[str, Result]) -> None:
    """Whatever they are of; and each is in the file that macros and claims read."""
    assert len(told) == len(report.results)
    written = csv.DictReader(io.StringIO(as_csv(frame(report.results))))
    assert [line["key"] for line in written] == list(told)
    assert "prose" not in frame(report.results).columns


@pytest.mark.parametrize("made", MADE, ids=lambda d: d.how)
def test_table_3_is_cited_as_it_is_printed(report: Report, told: dict[str, Result], made) -> None:
    """Scores, differences with the p of this table, and differences at equal length."""
    keys = {c.id: report.spec.keys().condition(c.id) for c in report.spec.conditions}
    one, base = keys[made.condition], keys[made.base]
    rows = report.made.filter(condition=made.condition)
    for row in rows.iter_rows(named=True):
        column = {"toy_overlap": "toy_overlap"}.get(row["column"], row["column"])
        score = told[f"made.{one}.{column}"]
        assert (score.value, score.p, score.n) == (row["score"], None, row["n_common"])
        if row["difference"] is None:
            continue
        gap = told[f"made.{one}-vs-{base}.{column}"]
        assert (gap.value, gap.low, gap.high) == (row["difference"], row["low"], row["high"])
        assert (gap.p, gap.n) == (row[p_column(report.spec)], row["n"])
        equal = told.get(f"{gap.key}{EQUAL}")
        assert (equal.value if equal else None) == row["adjusted"]
        assert equal is None or (equal.low, equal.p) == (row["adjusted_low"], None)


def test_refinements_are_cited_as_they_are_printed(told: dict[str, Result]) -> None:
    """Gains, optimism, what else moved; of one that tested nothing, what the best had."""
    head = "refinement.warmer.kind"
    shown = {key: (of.text, of.interval_text, of.p_text) for key, of in told.items()}
    minus = "\N{MINUS SIGN}"

    assert shown[f"{head}.validation_gain"] == ("+0.30", "[+0.20, +0.40]", "")
    assert shown[f"{head}.test_gain"] == ("+0.25", "[+0.15, +0.35]", "0.013")
    assert shown[f"{head}.optimism"] == ("+0.05", "", "")
    assert shown[f"{head}.moved.words"] == ("+15.0", "[+10.0, +20.0]", "< 0.001")
    assert shown[f"{head}.moved.words.parent"][0] == "30.0"
    assert shown[f"{head}.moved.words.candidate"][0] == "45.0"
    assert shown["refinement.warmer.kind-of.test_gain"][0] == f"{minus}0.10"
    assert shown["refinement.colder.best.validation_gain"][0] == f"{minus}0.07"
    assert not any(key.startswith("refinement.colder.best.test") for key in shown)


def test_macros_print_them(report: Report) -> None:
    """With their p where there is one, and a dash where there is none."""
    written = macros(report.results, "")

    assert "{refinement.warmer.kind.test_gain}{+0.25}{[+0.15,~+0.35]}{40}{= 0.013}" in written
    assert r"{refinement.warmer.kind.optimism}{+0.05}{}{40}{\mbox{--}}" in written


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("The test gain of the prompt kind is 0.25.", "kind.test_gain"),
        ("Its validation gain was 0.30, of kind.", "kind.validation_gain"),
        ("The optimism of kind was 0.05.", "kind.optimism"),
        ("On the test rows, Length Words of kind rises to 45.0.", "kind.moved.words.candidate"),
    ],
)
def test_a_typed_number_of_a_refinement_is_known(
    shelf: tuple[Citable, ...], written: str, key: str
) -> None:
    """By the words that tables use."""
    found = read(written, shelf)

    assert found.same is not None
    assert (found.same.key, found.doubt) == (f"refinement.warmer.{key}", "")
    assert found.same.macro == rf"\res{{refinement.warmer.{key}}}"


def test_a_typed_number_of_table_3_is_known(
    told: dict[str, Result], shelf: tuple[Citable, ...]
) -> None:
    """At equal length only where the text says so; a digit that is wrong is found."""
    key = "made.llama-dpo.prompt1-vs-llama.prompt1.toy_overlap"
    value = told[f"{key}{EQUAL}"].value
    assert value is not None
    digits = f"{abs(value):.4f}"
    said = "LLaMA, tuned on pairs, differs by {} at equal length (toy overlap)."

    found = read(said.format(digits), shelf)
    assert found.same is not None
    assert (found.same.key, found.doubt) == (f"{key}{EQUAL}", "")
    assert read(said.format(f"{abs(value) + 0.0111:.4f}"), shelf).same is None
    without = read(f"LLaMA, tuned on pairs, differs by {digits} (toy overlap).", shelf)
    assert without.same is None or without.doubt or not without.same.key.endswith(EQUAL)


def test_a_number_with_words_of_its_own_is_taken_only_for_these() -> None:
    """Many numbers of agreement lie between 0 and 1: else they would hide wrong scores."""
    alpha = CitedAs(replace(WARM, name=""), ("Krippendorff's alpha", "alpha"), columns=("Warmth",))
    result = Result("agreement.r.warmth.alpha", "agreement", 0.614, 0.5, 0.7, None, 9, 9, "0.61",
                    "0.50", "0.70", prose=alpha)  # fmt: skip
    evidence = evidence_of_run(NOTHING, *EMPTY)
    shelf = citables_of_run([result], evidence)

    for written in (
        "Raters agree (alpha 0.614 on warmth).",
        "Krippendorff's ordinal $\\alpha=0.614$.",
    ):
        found = read(written, shelf)
        assert found.same is not None
        assert (found.same.key, found.doubt) == (result.key, "")
    assert read("Alpha of warmth is 0.514.", shelf).same is None
    other = read("Warmth reaches 0.614.", shelf)
    assert "another number (Krippendorff's alpha), which the text does not name" in other.doubt


def test_a_model_or_a_prompt_of_any_name_takes_no_key() -> None:
    """A model called ``refinement`` keeps its keys; two prompts alike have their own."""
    odd = condition("refinement", "Odd", "prompt1")
    about_it = spec(LLAMA, odd, refinements=(
        outcome(on_test(0.2, 0.1, name="a b"), on_test(0.1, 0.1, name="a/b"), name="x"),
    ))  # fmt: skip
    found = [r.key for r in refinement_results(about_it)]

    assert len(found) == len(set(found))
    assert all(key.startswith("refinement++.x.a+") for key in found)


WARM = outcome().target
NOTHING = ReportSpec(conditions=(), metrics={}, data_digest="")
EMPTY = pl.DataFrame(schema=SUMMARY), pl.DataFrame(schema=PAIRS)
