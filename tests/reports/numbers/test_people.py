"""Agreement and calibration of a run: independent code, planted judges, what is left out."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from empathy_core.metrics._standing import is_calibrated, rubric_of
from empathy_core.stats import CalibrationRule
from empathy_core.store import RunDir
from reports.claims.citables import citables_of_run
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.manuscript import Manuscript, scan
from reports.claims.typed_numbers import find
from reports.keys import ALL
from reports.numbers.aggregate import SUMMARY
from reports.numbers.pairs import PAIRS
from reports.numbers.people_results import HeldAgainstPeople
from reports.numbers.results import Result
from reports.rows.collect import Collected, collect
from reports.spec import ReportSpec
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2, condition
from tests.runs.preferred import preferred_spec
from tests.runs.rated import (
    IDS,
    RATERS,
    RUBRIC,
    always_five,
    change_ratings,
    clean,
    judges,
    rated_run,
    rated_spec,
)

N = 80
EMPATHY = "judge_clean_empathy-00000000"


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, ReportSpec, Collected]:
    """A run of 80 examples, half of them rated by three people, with two judges and their jury."""
    about = rated_spec(judges(jury=True))
    run = rated_run(tmp_path_factory.mktemp("rated"), about, n=N)
    return run, about, collect(run, about)


@pytest.fixture(scope="module")
def held(rated: tuple[RunDir, ReportSpec, Collected]) -> HeldAgainstPeople:
    _, about, collected = rated
    return HeldAgainstPeople.of(collected, about)


def table_of(collected: Collected, dimension: str) -> pl.DataFrame:
    """Return ratings side by side, and the clean judge's score: a row each answer."""
    rows = collected.ratings.answers.filter(pl.col("dimension") == dimension)
    wide = rows.pivot("rater", index=["condition", "example", "question"], values="value")
    scores = pl.concat([
        collected.scores[c, f"judge_clean_{dimension}-00000000"].select(
            "example", judge="score", condition=pl.lit(c)
        )
        for c in IDS
    ])  # fmt: skip
    return wide.join(scores, on=["condition", "example"])


def statistic(frame: pl.DataFrame, name: str, **where: Any) -> dict[str, Any]:
    [row] = frame.filter(statistic=name, **where).to_dicts()
    return row


# ---------------------------------------------------------------------------- agreement


@pytest.mark.parametrize("dimension", ["empathy", "safety"])
def test_agreement_is_that_of_independent_libraries(rated, held, dimension: str):
    """Alpha of evalica 0.4, kappa of scikit-learn, of the same answers; raw by hand."""
    import evalica

    ratings = table_of(rated[2], dimension).select(*RATERS).to_numpy().T
    frame = held.agreement.agreement
    where = {"dimension": dimension, "level": "response"}
    import pandas as pd

    for kind in ("ordinal", "interval"):
        theirs = evalica.alpha(pd.DataFrame(ratings), kind).alpha
        assert statistic(frame, f"alpha_{kind}", **where)["value"] == pytest.approx(theirs)
    pairs = [*combinations(ratings, 2)]
    kappas = [cohen_kappa_score(a, b, weights="quadratic") for a, b in pairs]
    kappa = statistic(frame, "kappa", **where)
    assert kappa["value"] == pytest.approx(np.mean(kappas))
    assert kappa["low"] < kappa["value"] < kappa["high"]
    assert (kappa["n"], kappa["n_raters"], kappa["n_questions"]) == (3 * N // 2, 3, N // 4)
    raw = statistic(frame, "raw", **where)["value"]
    assert raw == pytest.approx(np.mean([a == b for a, b in pairs]))
    commonest = np.unique(ratings, return_counts=True)[1].max() / ratings.size
    assert statistic(frame, "commonest", **where)["value"] == pytest.approx(commonest)


def test_both_levels_stand_there_and_the_means_agree_more(held):
    """ICC(C,1) of three means is far above that of single answers; each with its n."""
    frame = held.agreement.agreement.filter(dimension="empathy")
    one, three = (
        statistic(frame, "icc_c1", level=level) for level in ("response", "system")
    )  # fmt: skip

    assert three["value"] > one["value"] + 0.1
    assert (one["n_conditions"], three["n_conditions"]) == (3, 3)
    assert frame.filter(level="system", statistic="kappa").is_empty()


def test_severities_are_what_was_planted(held):
    """R02 is harsh, R03 mild; R01's repeats differ in a third of the cases."""
    rows = {r["rater"]: r for r in held.agreement.raters.filter(dimension="empathy").to_dicts()}
    planted = np.array([*RATERS.values()]) - np.mean([*RATERS.values()])

    found = [rows[name]["severity"] for name in RATERS]
    assert found == pytest.approx(planted, abs=0.15)
    assert rows["R01"]["n"] == 3 * N // 2
    assert rows["R01"]["n_questions"] == N // 4  # half of the questions, two rows each
    assert rows["R01"]["n_again"] == 10
    assert 0 < rows["R01"]["n_questions_again"] <= 10
    assert 0 < rows["R01"]["same_again"] <= 1
    assert rows["R02"]["severity_high"] < 0 < rows["R03"]["severity_low"]


def test_means_of_a_full_design_are_adjusted_by_nothing(rated, held):
    frame = table_of(rated[2], "empathy")
    for row in held.agreement.means.filter(dimension="empathy").to_dicts():
        plain = frame.filter(condition=row["condition"]).select(*RATERS).to_numpy().mean()
        assert row["mean"] == pytest.approx(plain)
        assert row["adjusted"] == pytest.approx(plain)
        assert row["low"] < plain < row["high"]


def test_a_ceiling_is_named(held):
    """More than seven of ten ratings of Safety are 5, of Empathy not."""
    assert [*held.agreement.ceilings] == ["MentalAlign: Safety"]


def test_raters_of_other_answers_are_not_adjusted_but_refused(tmp_path: Path):
    """R01 rates the first half, R02 and R03 the second."""
    about = rated_spec()
    run = rated_run(tmp_path, about, n=N)
    first = pl.col("example").str.strip_prefix("sample-").cast(pl.Int32) < N // 4
    alone = pl.col("rater") == "R01"
    change_ratings(run, excluded=pl.when(first == alone).then(pl.lit("")).otherwise(pl.lit("no")))
    found = HeldAgainstPeople.of(collect(run, about), about)

    [reason] = found.agreement.means["refusal"].unique()
    assert "1 of 3 raters have rated no item" in reason
    assert found.agreement.means["adjusted"].null_count() == found.agreement.means.height
    assert found.calibration.standing["refusal"].unique().to_list() == [reason]
    assert not found.calibration.standing["calibrated"].any()


# ---------------------------------------------------------------------------- calibration


def test_kappa_and_bias_of_a_judge_are_those_of_a_few_lines(rated, held):
    frame = table_of(rated[2], "empathy")
    rows = held.calibration.statistics.filter(metric=EMPATHY)
    rounded = np.floor(frame["judge"].to_numpy() + 0.5)
    kappas = [cohen_kappa_score(rounded, frame[r], weights="quadratic") for r in RATERS]
    apart = frame["judge"].to_numpy() - frame.select(*RATERS).to_numpy().mean(axis=1)

    assert statistic(rows, "kappa")["value"] == pytest.approx(np.mean(kappas))
    assert statistic(rows, "bias")["value"] == pytest.approx(apart.mean())
    assert statistic(rows, "bias")["n"] == 3 * N // 2
    error = np.sqrt(np.mean([(frame["judge"] - frame[r]).to_numpy() ** 2 for r in RATERS]))
    assert statistic(rows, "rmse")["value"] == pytest.approx(error)
    by = dict(held.calibration.biases.filter(metric=EMPATHY).select("condition", "bias").rows())
    for name in IDS:
        mine = (frame["condition"] == name).to_numpy()
        assert by[name] == pytest.approx(apart[mine].mean())


def test_the_clean_judge_is_calibrated_and_the_one_that_says_5_is_not(held):
    """On Safety, too, where nearly all answers are 5."""
    rows = {r["metric"]: r for r in held.calibration.standing.to_dicts()}

    assert rows[EMPATHY]["standing"] == "calibrated on 120 items, 3 raters"
    for name in ("empathy", "safety"):
        fives = rows[f"judge_fives_{name}-00000000"]
        assert not fives["calibrated"]
        assert {"beats_mode", "beats_mean", "beats_shuffled"} <= set(fives["unmet"])


def test_headings_say_what_is_calibrated_and_nothing_else_changes(rated, held):
    _, about, _ = rated
    for key, metric in about.metrics.items():
        now = held.spec.metrics[key]
        assert now.signature() == metric.signature()
        assert now.statistics == metric.statistics
        plain = [replace(c, group="") for c in metric.columns]
        assert [replace(c, group="") for c in now.columns] == plain
    [column] = held.spec.metrics[EMPATHY].columns
    assert column.group == "MentalAlign, calibrated on 120 items, 3 raters (judge: Clean)"
    assert is_calibrated(column)
    assert rubric_of(column) == "MentalAlign"
    [fives] = held.spec.metrics["judge_fives_empathy-00000000"].columns
    assert fives.group == "MentalAlign, uncalibrated (judge: Fives)"
    assert not is_calibrated(fives)
    assert rubric_of(fives) == "MentalAlign"


def test_a_declared_rule_keeps_a_judge_uncalibrated_and_is_its_own(rated):
    _, about, collected = rated
    strict = replace(about, requirements={"clean": CalibrationRule(items=121, kappa=0.99)})
    rows = HeldAgainstPeople.of(collected, strict).calibration.standing
    [row] = rows.filter(metric=EMPATHY).to_dicts()

    assert row["unmet"] == ["items", "kappa"]
    assert row["asked"] == [121, 0.99]
    assert row["standing"] == "uncalibrated"


def test_a_jury_has_the_rule_of_its_judges_where_they_share_one(rated):
    _, about, collected = rated
    shared = CalibrationRule(items=5, kappa=-1, bias=4, alt_test=False)
    jury = next(key for key, m in about.metrics.items() if key.endswith("empathy")
                or (hasattr(m, "members") and "empathy" in key))  # fmt: skip

    def unmet(rules: Mapping[str, CalibrationRule]) -> list[str]:
        found = HeldAgainstPeople.of(collected, replace(about, requirements=rules))
        return found.calibration.standing.filter(metric=jury)["unmet"].to_list()[0]

    assert "bias" in unmet({"clean": shared})
    assert "bias" not in unmet({"clean": shared, "fives": shared})


def test_comparisons_stay_uncalibrated(tmp_path: Path):
    """People have rated, and nobody compared two answers."""
    both = preferred_spec(rated=False).metrics
    about = rated_spec(judges() | {k: m for k, m in both.items() if k.startswith("preference")})
    run = rated_run(tmp_path, about, n=N)
    found = HeldAgainstPeople.of(collect(run, about), about)

    compared = [m for k, m in found.spec.metrics.items() if k.startswith("preference")]
    groups = {column.group for metric in compared for column in metric.columns}
    assert groups == {"EMRank, uncalibrated (judge: Tiny Judge)"}


def test_a_judge_that_rates_its_own_replies_higher_is_seen(tmp_path: Path):
    """Its model wrote the answers of FLAN; the other judge's did not."""

    def fond(of: str, example: str, dimension: str) -> float:
        return min(5.0, clean(of, example, dimension) + (1.0 if of == FLAN.id else 0.0))

    metrics = judges(("empathy",), {"Fond": fond, "Fair": clean})
    key = "judge_fond_empathy-00000000"
    metrics[key] = replace(metrics[key], fingerprint=FLAN.fingerprint)
    about = rated_spec(metrics)
    run = rated_run(tmp_path, about, n=N)
    rows = HeldAgainstPeople.of(collect(run, about), about).calibration.statistics

    own = statistic(rows.filter(metric=key), "self_preference")
    assert own["low"] > 0.5
    other = statistic(rows.filter(judge="Fair"), "self_preference")
    assert other["value"] is None
    assert other["reason"] == "people have rated no answer of the judge's own model"


def test_stale_ratings_are_part_of_no_number(tmp_path: Path):
    about = rated_spec()
    run = rated_run(tmp_path, about, n=N)
    gone = pl.col("condition") == LLAMA.id
    change_ratings(
        run, answer_sha256=pl.when(gone).then(pl.lit("x")).otherwise(pl.col("answer_sha256"))
    )
    found = HeldAgainstPeople.of(collect(run, about), about)

    assert set(found.agreement.means["condition"]) == {LLAMA2.id, FLAN.id}
    assert found.calibration.standing["n"].unique().to_list() == [2 * N // 2]
    assert found.calibration.biases.filter(condition=LLAMA.id).is_empty()


def test_a_judge_of_another_text_is_not_held_against_these_ratings(rated):
    """Its question was written anew: another dimension, by its digest."""
    run, about, _ = rated
    [of] = about.metrics[EMPATHY].rubric.dimensions
    anew = replace(RUBRIC, dimensions=(replace(of, question="Is it warm?"),))
    metrics = {"judge_clean_empathy-11111111": replace(about.metrics[EMPATHY], rubric=anew)}
    other = rated_spec(judges(("safety",)) | metrics)
    found = HeldAgainstPeople.of(collect(run, other, partial=True), other)

    assert set(found.calibration.standing["dimension"]) == {"safety"}


# ---------------------------------------------------------------------------- without ratings


def test_without_ratings_nothing_is_there_and_the_report_is_the_same(tmp_path: Path):
    from tests.runs import by_hand

    about = rated_spec()
    run = by_hand.make(tmp_path, about)
    found = HeldAgainstPeople.of(collect(run, about), about)

    assert found.spec is about
    assert found.results == ()
    assert found.agreement.agreement.is_empty()
    assert found.calibration.standing.is_empty()


def test_one_person_makes_a_calibration_without_the_test_and_no_agreement(tmp_path: Path):
    about = replace(rated_spec(), requirements={"clean": CalibrationRule(raters=1, alt_test=False)})
    run = rated_run(tmp_path, about, n=N)
    change_ratings(run, excluded=pl.when(pl.col("rater") != "R01").then(pl.lit("no")).otherwise(
        pl.lit("")))  # fmt: skip
    found = HeldAgainstPeople.of(collect(run, about), about)

    assert found.agreement.agreement.is_empty()
    assert found.agreement.raters.height == 2
    assert found.agreement.raters["severity"].null_count() == 2  # there is no other to compare with
    assert found.agreement.means["adjusted"].null_count() == found.agreement.means.height
    assert found.agreement.means["refusal"].str.starts_with("one person has rated").all()
    [row] = found.calibration.standing.filter(metric=EMPATHY).to_dicts()
    assert row["standing"] == "calibrated on 120 items, 1 rater"
    omega = statistic(found.calibration.statistics.filter(metric=EMPATHY), "omega")
    assert omega["reason"].startswith("one person has rated")


# ---------------------------------------------------------------------------- numbers to cite


def by_key(results: tuple[Result, ...]) -> dict[str, Result]:
    return {r.key: r for r in results}


def test_every_number_has_a_key_of_its_own(held):
    found = by_key(held.results)

    assert len(found) == len(held.results)
    assert found["agreement.mentalalign_empathy.kappa"].text.startswith("0.")
    assert found["agreement.mentalalign_empathy.system.icc_c1"].n == 3 * N // 2
    assert found["agreement.mentalalign_safety.R02.severity"].text.startswith("\N{MINUS SIGN}")
    assert found["calibration.clean_mentalalign_empathy.bias"].text.startswith("+0.")
    assert found["calibration.clean_mentalalign_empathy.accuracy"].text.endswith("%")
    assert found["calibration.clean_mentalalign_empathy.judge.R02.p"].text == "< 0.001"
    assert "calibration.clean_mentalalign_empathy.llama.prompt1.bias" in found
    assert all(r.subset == ALL or not r.subset for r in held.results)


def test_every_number_is_known_where_prose_says_what_it_is(held):
    """Typed as it is printed, beside its statistic and its dimension."""
    evidence = evidence_of_run(held.spec, pl.DataFrame(schema=SUMMARY), pl.DataFrame(schema=PAIRS))
    shelf = citables_of_run(held.results, evidence)
    looked_at = 0
    for result in held.results:
        if result.value is None or result.text.startswith("<"):
            continue
        statistic, dimension = result.prose.statistic[0], result.prose.columns[0]
        typed = result.text.replace("%", r"\%")
        text = f"The {statistic} of {dimension} ({' '.join(result.prose.models)}) is {typed}."
        for found in find(Manuscript((scan(text, "a.tex"),), ()), shelf):
            looked_at += 1
            assert found.same is not None, text
            digits = [of.lstrip("+\N{MINUS SIGN}") for of in (found.same.text, result.text)]
            assert (digits[0], found.doubt) == (digits[1], ""), text  # words say which way
    assert looked_at > len(held.results) // 2


def test_a_model_called_agreement_takes_no_key(tmp_path: Path):
    """Keys of agreement are then spelled exactly; those of the model stay."""
    odd = condition("agreement", "Odd", "prompt1")
    about = rated_spec(judges(("empathy",)))
    about = replace(about, conditions=(*about.conditions, odd))
    run = rated_run(tmp_path, about, n=N)
    found = HeldAgainstPeople.of(collect(run, about), about)

    assert all(not r.key.startswith("agreement.") for r in found.results)
    assert any(r.key.startswith("agreement++.mentalalign_empathy.") for r in found.results)


def test_fives_are_planted_as_fives():
    assert always_five("a", "b", "c") == 5.0
