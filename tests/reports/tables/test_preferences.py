"""Preferences and checks of judges in a report: planted numbers, by a few lines of numpy."""

import csv
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from empathy_core.stats import BIAS_RULES
from reports.build import Report, build
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.judge import judge
from reports.claims.names import Names
from reports.labels import NOTHING
from reports.latex import macros
from reports.latex import table as tex
from reports.rows.collect import collect
from reports.tables.table import Table
from reports.write import write_report
from tests.pages import examples_of
from tests.papers import needs_latex, pdf_text
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2, N_EXAMPLES, make, spec
from tests.runs.preferred import (
    BASE,
    IDS,
    KEY,
    NO_ANSWER,
    RATING,
    Said,
    clean,
    of_the_first,
    preferred_run,
    preferred_spec,
    shares,
)


def report_of(folder: Path, **changes: object) -> Report:
    about = preferred_spec(**changes)  # type: ignore[arg-type]
    return build(collect(preferred_run(folder / "r", about), about), about)


def tables_of(report: Report, file: str) -> list[Table]:
    return [
        table for section in report.sections if section.file == file for table in section.tables
    ]


def lines(table: Table) -> dict[str, list[str]]:
    return {
        " ".join((group.label, *row.stubs)): [cell.text for cell in row.cells]
        for group in table.groups
        for row in group.rows
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of a judge without fault that rates, and compares each two of three conditions."""
    return report_of(tmp_path_factory.mktemp("preferred"))


def planted(condition: str, opponent: str, n: int) -> dict[str, np.ndarray]:
    """Return what the judge said of the pairs with a preference, and their questions."""
    of = [i for i in range(n) if i != NO_ANSWER]
    said = [clean(condition, opponent, i) for i in of]
    a, b, longer = np.array([(s.a, s.b, s.longer) for s in said]).T
    return {"a": a, "b": b, "longer": longer, "y": (a + 1 - b) / 2, "cluster": np.array(of) // 2}


# ---------------------------------------------------------------------------- preferences


@pytest.mark.parametrize("condition", [LLAMA2.id, FLAN.id])
def test_preferences_are_those_of_a_few_lines_of_numpy(report: Report, condition: str):
    """Mean, rate of the first place, consistency and counts; at equal length by statsmodels."""
    [row] = report.preferred.filter(condition=condition).to_dicts()
    of = planted(condition, BASE, N_EXAMPLES)
    x = np.tanh(of["longer"] / of["longer"].std(ddof=1))
    fit = sm.GLM(of["y"], sm.add_constant(x), sm.families.Binomial()).fit(tol=1e-12)

    assert row["preferred"] == pytest.approx(of["y"].mean(), abs=1e-12)
    assert row["first"] == pytest.approx(((of["a"] + of["b"]) / 2).mean(), abs=1e-12)
    assert row["consistent"] == np.mean((of["a"] > 0.5) != (of["b"] > 0.5))
    assert (row["n"], row["n_missing"]) == (N_EXAMPLES - 1, 1)
    assert (row["n_no_label"], row["n_too_long"]) == (1, 0)
    assert row["mass"] == pytest.approx((0.9 * (N_EXAMPLES - 1) + 0.2) / N_EXAMPLES, abs=1e-12)
    assert row["adjusted"] == pytest.approx(1 / (1 + np.exp(-fit.params[0])), abs=1e-8)
    assert row["low"] < row["preferred"] < row["high"]
    assert row["adjusted_low"] < row["adjusted"] < row["adjusted_high"]


def test_strengths_are_those_of_statsmodels_over_all_pairs(report: Report):
    """A logit without an intercept on who stands against whom; each pair counts once."""
    pairs = [(c, BASE, N_EXAMPLES) for c in IDS[1:]] + [(*sorted(IDS[1:]), 30)]
    design, y = [], []
    for condition, opponent, n in pairs:
        for value in planted(condition, opponent, n)["y"]:
            row = np.zeros(3)
            row[[IDS.index(condition), IDS.index(opponent)]] = 1, -1
            design.append(row)
            y.append(value)
    whole = np.array(design)[:, 1:]  # the baseline at zero
    fit = sm.GLM(np.array(y), whole, sm.families.Binomial()).fit(tol=1e-12)
    wanted = np.array([0, *fit.params])
    wanted -= wanted.mean()

    found = {row["condition"]: row for row in report.preferred.to_dicts()}

    for name, value in zip(IDS, wanted, strict=True):
        assert found[name]["strength"] == pytest.approx(value, abs=1e-7)
        assert found[name]["strength_low"] < value < found[name]["strength_high"]
    assert found[LLAMA2.id]["strength"] > found[LLAMA.id]["strength"] > found[FLAN.id]["strength"]


def test_the_baseline_beside_itself_is_one_half_in_the_main_table_and_nothing_in_its_own(
    report: Report,
):
    """No interval stands beside a number that cannot vary."""
    at = (pl.col("metric") == KEY) & (pl.col("column") == "tiny_emrank_empathy")
    [row] = report.numbers.summary.filter(at, condition=BASE, subset="all").to_dicts()
    [table] = tables_of(report, "preferences")

    assert (row["score"], row["low"]) == (0.5, None)
    own = lines(table)["LLaMA 3.1 8B Instruct Prompt 1"]
    assert own[:7] == [NOTHING] * 7
    assert own[7] != NOTHING


def test_the_table_says_against_whom_what_is_missing_and_how_strengths_are_made(report: Report):
    """In its caption and notes."""
    [table] = tables_of(report, "preferences")
    notes = " ".join(table.words.notes)

    assert "preference over LLaMA 3.1 8B Instruct, Prompt 1" in table.words.caption
    assert "uncalibrated (judge: Tiny Judge)" in table.words.caption
    assert (
        "Without a preference, since the judge gave none of the answers in an order: "
        f"1 of {N_EXAMPLES} in each row." in notes
    )
    assert "Bradley\u2013Terry" in notes
    assert [" ".join(head.lines) for head in table.heads] == [
        "n", "Missing", "Mass", "Preferred", "At equal length", "First reply",
        "Same in both orders", "Strength",
    ]  # fmt: skip


def test_with_two_conditions_compared_there_are_no_strengths(tmp_path: Path):
    """Nothing would be said that the preference does not say."""
    about = preferred_spec(every=False)
    two = replace(about, conditions=about.conditions[:2])
    run = preferred_run(tmp_path / "r", two)
    [table] = tables_of(build(collect(run, two), two), "preferences")

    assert [" ".join(head.lines) for head in table.heads][-1] == "Same in both orders"


def test_answers_with_nothing_to_compare_are_counted(tmp_path: Path):
    """Where the baseline has no answer, and where the text is too long: each with its reason."""
    report = report_of(tmp_path, without_baseline=5, too_long=3)
    [table] = tables_of(report, "preferences")
    notes = " ".join(table.words.notes)
    [row] = report.preferred.filter(condition=FLAN.id).to_dicts()

    assert (row["n"], row["n_alone"], row["n_too_long"]) == (N_EXAMPLES - 9, 5, 3)
    assert row["n_missing"] == 4
    assert (
        f"LLaMA 3.1 8B Instruct, Prompt 1 has no answer to the question: 5 of {N_EXAMPLES}" in notes
    )
    assert f"a text does not fit the judge's context: 3 of {N_EXAMPLES} in each row." in notes
    assert (
        f"the judge gave none of the answers in an order: 1 of {N_EXAMPLES} in each row." in notes
    )


def test_a_table_without_any_pair_says_why(tmp_path: Path):
    """The baseline has no answer at all."""
    [table] = tables_of(report_of(tmp_path, without_baseline=N_EXAMPLES), "preferences")

    assert f"no answer to the question: {N_EXAMPLES} of {N_EXAMPLES}" in " ".join(table.words.notes)


def test_what_cannot_be_told_names_rows_as_the_table_does(tmp_path: Path):
    """By their labels: of no use is what stands in file names."""

    def separated(condition: str, opponent: str, example: int) -> Said:
        better = IDS.index(condition) > IDS.index(opponent)
        return Said(1.0 if better else 0.0, 0.0 if better else 1.0, 50.0)

    [table] = tables_of(report_of(tmp_path, says=separated), "preferences")
    notes = " ".join(table.words.notes)

    assert "the preferences are separated" in notes
    assert not any(name in notes for name in IDS)
    assert (
        "LLaMA 3.1 8B Instruct, Prompt 1 |" in notes or "| LLaMA 3.1 8B Instruct, Prompt 1" in notes
    )
    assert "At equal length (LLaMA 3.1 8B Instruct, Prompt 2; FLAN" in notes
    assert "in 100% of the pairs the answer is longer than the one that it is" in notes


# ---------------------------------------------------------------------------- checks


@pytest.mark.parametrize("rated", [True, False])
def test_a_judge_that_prefers_the_first_is_named_and_prefers_nobody(tmp_path: Path, rated: bool):
    """Whether or not it rates as well; all preferences are one half."""
    report = report_of(tmp_path, says=of_the_first, rated=rated)
    checks = report.judges.checks
    tables = tables_of(report, "judge-checks")
    table = tables[1]

    assert set(report.preferred["preferred"].drop_nulls().to_list()) == {0.5}
    [order] = checks.filter(check="order").to_dicts()
    assert (order["named"], order["fault"]) == (True, BIAS_RULES["order"].above)
    assert order["value"] == pytest.approx(0.85)
    assert order["column"] == "tiny_emrank_empathy"
    assert "Tiny Judge prefers the reply shown first (EMRank: Empathy)." in table.words.warnings
    assert [len(group.rows) for group in tables[0].groups] == [1 + rated]


def test_a_judge_without_fault_is_named_for_none_of_them(report: Report):
    """Of what it prefers; the checks that cannot be told say why."""
    checks = report.judges.checks

    of_pairs = checks.filter(pl.col("check").is_in(["order", "swap", "verbosity"]))
    assert of_pairs["named"].to_list() == [False] * 3
    assert set(checks["check"]) == set(BIAS_RULES)
    assert checks["check"].n_unique() == checks.height
    untold = checks.filter(pl.col("value").is_null())
    assert untold["reason"].str.len_chars().min() > 0


def test_the_checks_of_pairs_are_made_of_each_pair_once(report: Report):
    """Two pairs with the baseline over all examples, one of the others over thirty."""
    [order] = report.judges.checks.filter(check="order").to_dicts()
    both = [planted(c, BASE, N_EXAMPLES) for c in IDS[1:]] + [planted(*sorted(IDS[1:]), 30)]
    wanted = np.concatenate([(of["a"] + of["b"]) / 2 for of in both])

    assert order["n"] == len(wanted) == 2 * (N_EXAMPLES - 1) + 29
    assert order["value"] == pytest.approx(wanted.mean(), abs=1e-12)


def test_no_two_numbers_of_a_judge_have_one_heading(report: Report):
    """What had too little mass by the setting, and by the rule of the checks, are two numbers."""
    found = tables_of(report, "judge-checks")
    [ratings] = [table for table in found if "Ratings" in table.words.caption]
    [checks] = [table for table in found if any("Labels" in h.lines for h in table.heads)]
    heads = [{" ".join(head.lines) for head in table.heads} for table in (ratings, checks)]

    assert not heads[0] & heads[1]
    assert "Labels below half" in heads[1]
    assert "the least that counts as an answer (50.0%)." in " ".join(ratings.words.notes)


# ---------------------------------------------------------------------------- what is missing


def test_comparisons_stand_among_the_ratings_with_their_mass_and_what_is_missing(report: Report):
    """Of all pairs, each once; nothing is nearest to an end, and nothing can be not applicable."""
    n = 2 * N_EXAMPLES + 30
    [row] = report.judges.judges.filter(metric=KEY).to_dicts()
    [table] = [t for t in tables_of(report, "judge-checks") if "Ratings" in t.words.caption]
    cells = lines(table)["Tiny Judge EMRank: Empathy"]

    assert (row["n"], row["n_rated"], row["n_no_label"], row["n_too_long"]) == (n, n - 3, 3, 0)
    assert row["mass"] == pytest.approx((0.9 * (n - 3) + 0.2 * 3) / n, abs=1e-12)
    assert cells == [str(n), str(n - 3), "3", NOTHING, "0", "0", "88.1%", NOTHING, NOTHING]
    assert "Of a rubric that compares, Answers are pairs" in " ".join(table.words.notes)
    assert "writes its answer" not in " ".join(table.words.notes)


def test_a_mean_lies_between_what_it_is_if_all_that_is_missing_is_the_worst_and_the_best(
    report: Report,
):
    """One of forty preferences is missing: 0 or 1 in its place; of ratings none is missing."""
    [table] = [t for t in tables_of(report, "judge-checks") if "Means" in t.words.caption]
    found = {row["condition"]: row for row in report.judges.bounds.to_dicts()}

    assert set(report.judges.bounds["metric"]) == {KEY}
    for condition in IDS[1:]:
        y, row = planted(condition, BASE, N_EXAMPLES)["y"], found[condition]
        assert (row["n"], row["n_missing"]) == (N_EXAMPLES - 1, 1)
        wanted = [y.mean(), y.sum() / N_EXAMPLES, (y.sum() + 1) / N_EXAMPLES]
        assert [row[name] for name in ("mean", "worst", "best")] == pytest.approx(wanted, abs=1e-12)
        assert row["worst"] < row["mean"] < row["best"]
    assert (found[BASE]["n_missing"], found[BASE]["mean"], found[BASE]["worst"]) == (0, 0.5, 0.5)
    assert [group.label for group in table.groups] == ["Tiny Judge, EMRank: Empathy"]
    assert lines(table)["Tiny Judge, EMRank: Empathy FLAN-T5 (base), Prompt 1"][:2] == ["39", "1"]
    assert len(lines(table)) == 2  # the baseline lacks none


def test_the_page_shows_of_each_comparison_its_mass_and_both_orders(tmp_path: Path):
    """Of what was asked; the baseline beside itself was not."""
    about = preferred_spec()
    run = preferred_run(tmp_path / "r", about)
    write_report(run, about)

    index, scores, _ = examples_of((run.report / "index.html").read_text())
    keys = [column["key"] for column in index["columns"]]
    at = [keys.index(f"{KEY}.tiny_emrank_empathy_{of}") for of in ("mass", "as_a", "as_b")]
    order = [of["key"] for of in index["conditions"]]
    flan, base = (scores[order.index(k)] for k in ("flan_t5.prompt1", "llama.prompt1"))

    for i in range(N_EXAMPLES):
        said, low = clean(FLAN.id, BASE, i), i == NO_ANSWER
        wanted = [20 if low else 90, round(100 * said.a), round(100 * said.b)]
        assert [flan[place][i] for place in at] == wanted
        assert [base[place][i] for place in at] == [None] * 3


# ---------------------------------------------------------------------------- files


def test_the_files_hold_what_the_report_holds_and_none_is_there_without_a_judge(tmp_path: Path):
    """Tables, and numbers under the names of the documentation."""
    about = preferred_spec()
    run = preferred_run(tmp_path / "judged", about)
    write_report(run, about)
    plain = spec(LLAMA, FLAN)
    other = make(tmp_path / "plain", plain)
    write_report(other, plain)

    index, scores, _ = examples_of((run.report / "index.html").read_text())
    keys = [column["key"] for column in index["columns"]]
    shown = [keys.index(f"{RATING}.tiny_emotionqueen_key_label_{label}") for label in "012"]
    order = [of["key"] for of in index["conditions"]]
    flan = scores[order.index("flan_t5.prompt1")]
    assert [column["name"] for column in index["columns"] if "_label_" in column["key"]] == [
        f"EmotionQueen, uncalibrated (judge: Tiny Judge) (Key Event: answer {label})"
        for label in "012"
    ]
    for i in range(N_EXAMPLES):
        of_answers = [flan[at][i] for at in shown]
        assert of_answers == [round(100 * p) for p in shares(FLAN.id, i)]
    names = {
        f"{name}.{end}" for name in ("judge-checks", "preferences") for end in ("tex", "csv")
    } | {"judge-ratings.csv"}
    assert names <= {path.name for path in run.report.iterdir()}
    assert not names & {path.name for path in other.report.iterdir()}
    with (run.report / "preferences.csv").open() as file:
        rows = {row["condition"]: row for row in csv.DictReader(file)}
    assert float(rows[FLAN.id]["preferred"]) == pytest.approx(
        planted(FLAN.id, BASE, N_EXAMPLES)["y"].mean(), abs=1e-6
    )
    page = (run.report / "index.html").read_text()
    assert "How far the judges can be trusted" in page
    assert "Preferences" in page


def test_a_partial_report_does_without_the_comparisons_that_are_missing(tmp_path: Path):
    """A condition that is not yet compared has no row of numbers, and the others have theirs."""
    about = preferred_spec()
    run = preferred_run(tmp_path / "r", about)
    for path in run.root.glob(f"scores/*tiny*/{FLAN.id}/*"):
        path.unlink()

    report = build(collect(run, about, partial=True), about)

    found = {row["condition"]: row for row in report.preferred.to_dicts()}
    [rated] = report.judges.judges.filter(metric=RATING).to_dicts()
    assert (rated["n"], rated["n_rated"]) == (2 * N_EXAMPLES, 2 * N_EXAMPLES)
    assert found[FLAN.id]["preferred"] is None
    assert found[LLAMA2.id]["preferred"] is not None


# ---------------------------------------------------------------------------- what cites them


def test_judges_columns_have_keys_macros_and_claims(report: Report):
    """What a judge rates and what it prefers, by the keys of every number."""
    about = report.spec
    keys = {result.key for result in report.results}
    whole = macros.macros(report.results, "the run")
    names = Names(
        evidence_of_run(
            about, report.numbers.summary, report.numbers.pairs, report.spreads, "a run"
        )
    )
    rated = {c: np.mean([shares(c, i) @ np.arange(3) for i in range(N_EXAMPLES)]) for c in IDS}
    better = "prompt1 > prompt2" if rated[LLAMA.id] > rated[LLAMA2.id] else "prompt2 > prompt1"

    assert {"flan_t5.prompt1.tiny_emotionqueen_key", "llama.prompt2.tiny_emrank_empathy"} <= keys
    assert "llama.prompt2.tiny_emrank_empathy" in whole
    assert judge("LLaMA prompt2 significantly > FLAN-T5 on tiny_emrank_empathy", names).verdict == (
        "true"
    )
    assert judge("LLaMA prompt2 < FLAN-T5 on tiny_emrank_empathy", names).verdict == "false"
    assert judge(f"LLaMA {better} on tiny_emotionqueen_key", names).verdict != "false"


@needs_latex
def test_the_tables_of_judges_compile(report: Report, tmp_path: Path):
    """All of them on paper: names, a fault's dagger, intervals, dashes."""
    tables = [*tables_of(report, "judge-checks"), *tables_of(report, "preferences")]
    (tmp_path / "table1.tex").write_text(tex.fragment(tables))
    (tmp_path / "alone.tex").write_text(tex.standalone("table1.tex", ""))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (tmp_path / "alone.log").read_text(errors="replace")
    text = pdf_text(tmp_path / "alone.pdf")
    assert all(word in text for word in ("Tiny Judge", "EMRank", "Strength", "Uncalibrated"))
