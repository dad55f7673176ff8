"""People's ratings and corrected judges from report to CSV, print, page, macros and claims."""

import subprocess
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.store import RunDir
from reports.build import Report, build
from reports.claims.evidence_of_people import with_corrected
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.judge import judge
from reports.claims.names import Names
from reports.labels import number
from reports.latex import macros
from reports.latex import table as tex
from reports.numbers.corrected import PEOPLE
from reports.page import html
from reports.rows.collect import collect
from reports.tables import people
from reports.tables.table import Table, TableText
from reports.write import write_report
from tests.papers import needs_latex, pdf_text
from tests.runs import by_hand, rated
from tests.runs.by_hand import LLAMA2
from tests.runs.corrected import rated_run

CORRECTED = "corrected_clean_mentalalign_empathy"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Report]:
    """Return the run with its files, and the report that they hold."""
    run, about = rated_run(tmp_path_factory.mktemp("rated") / "run")
    write_report(run, about)
    return run, build(collect(run, about), about)


@pytest.fixture
def report(written: tuple[RunDir, Report]) -> Report:
    return written[1]


def tables_of(report: Report) -> list[Table]:
    return [t for s in report.sections if s.file == "people" for t in s.tables]


def of_clean(report: Report) -> tuple[Table, Table]:
    """Return the tables of means and of differences of the judge that sees quality."""
    means, differences = [t for t in tables_of(report) if "Clean corrected" in t.words.caption]
    return means, differences


def test_people_come_first_and_the_judge_alone_last_and_grey(report: Report):
    means, _ = of_clean(report)
    heads = [" ".join(head.lines) for head in means.heads]
    cells = [cell for g in means.groups for row in g.rows for cell in row.cells]

    assert heads == ["Mean", "n", "Mean", "\N{GREEK SMALL LETTER LAMDA}", "Effective n",
                     "Judge alone"]  # fmt: skip
    assert [span.label for span in means.spans[:2]] == ["People", "Clean, corrected by people"]
    assert [g.label for g in means.groups] == ["Safety", "Empathy"]
    assert [cell.grey for cell in cells] == [False] * 5 + [True] + ([False] * 5 + [True]) * 5
    assert not any(cell.mark for cell in cells)


def test_cells_are_the_numbers_of_their_keys(report: Report):
    """Tables, macros and results print one and the same."""
    by_key = {r.key: r for r in report.results}
    cells = [c for t in tables_of(report) for g in t.groups for row in g.rows for c in row.cells]
    keyed = [cell for cell in cells if cell.key]

    assert len(keyed) > 40
    for cell in keyed:
        found = by_key[cell.key]
        assert (cell.text, cell.value) == (found.text, found.value)
        assert cell.interval == found.interval_text


def test_the_file_holds_what_the_report_holds(written: tuple[RunDir, Report]):
    run, report = written
    found = pl.read_csv(run.report / "people.csv", schema_overrides=PEOPLE)

    assert found.columns == list(PEOPLE)
    assert found.height == report.corrected.height == 2 * 4 * (3 + 3)
    one = {"kind": "mean", "dimension": "empathy", "judge": "Clean", "condition": LLAMA2.id}
    value = found.filter(**one)["value"].item()
    column = report.spec.metrics["people:mentalalign:empathy"].columns[0]
    assert (
        f"llama.prompt2.{CORRECTED}}}{{{number(value, column)}}}"
        in (run.report / "macros.tex").read_text()
    )


def test_differences_are_tested_over_all_pairs_of_a_question(report: Report):
    _, differences = of_clean(report)
    (text,) = [n for n in differences.words.notes if n.startswith("p: ")]
    daggers = [row.cells[5].dagger for g in differences.groups for row in g.rows]

    assert "Holm-corrected over the 3 pairs of a question" in text
    assert all(daggers)
    assert len(daggers) == 6


def test_over_one_pair_nothing_is_corrected(report: Report):
    assert people._over_pairs(1, report.spec) == "of the one pair of a question"
    assert people._over_pairs(2, report.spec) == "Holm-corrected over the 2 pairs of a question"


def test_notes_say_who_rated_what_and_how_strict_they_are(report: Report):
    means, _ = of_clean(report)
    text = " ".join(means.words.notes)

    assert "mean of 3 raters, of answers to up to 30 questions drawn by chance" in text
    assert "Raters differ in how high they rate by up to 1.0" in text
    assert "raters are taken as fixed" in means.words.interval_note
    assert "not to be cited" in text


def test_table_1_says_of_how_many_answers_peoples_columns_are(report: Report):
    (main,) = [t for s in report.sections if s.file == "table1" for t in s.tables]
    told = "(people): n = 60 answers a row"

    assert any(note.startswith(told) for note in main.words.notes)
    assert any(note.startswith(told) for note in main.words.brief)
    assert "MentalAlign (people)" in {span.label for span in main.spans}
    assert not any("Not scored by people" in w for w in main.words.warnings)
    assert not report.collected.partial


def test_peoples_columns_are_no_overlap_metric(report: Report):
    assert not any(of.startswith("people:") for of in report.correlated["metric"])


# ---------------------------------------------------------------------------- claims


@pytest.fixture(scope="module")
def names(written: tuple[RunDir, Report]) -> Names:
    of = written[1]
    found = evidence_of_run(of.spec, of.summary, of.pairs, of.spreads, "a run")
    return Names(with_corrected(found, of.spec, of.corrected))


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ("LLaMA prompt2 significantly > FLAN-T5 on empathy (human)", "true"),
        ("LLaMA prompt2 significantly > FLAN-T5 on empathy (people)", "true"),
        ("FLAN-T5 > LLaMA prompt2 on MentalAlign empathy (human)", "false"),
        ("LLaMA prompt2 is best on human empathy", "true"),
        ("LLaMA prompt2 significantly > prompt1 on empathy (corrected by Clean)", "true"),
        ("LLaMA prompt2 significantly > prompt1 on empathy (corrected by jury)", "true"),
        ("LLaMA prompt1 is best on empathy (corrected by Clean)", "false"),
        ("LLaMA prompt2 > 3 on empathy (corrected by Clean)", "true"),
        ("LLaMA prompt2 > 4.5 on empathy (corrected by Clean)", "false"),
        ("LLaMA prompt2 > prompt1 on empathy (corrected)", "error"),  # by one of three
        ("LLaMA prompt2 > prompt1 on safety (human), empathy (human)", "true"),
    ],
)
def test_claims_name_people_and_who_is_corrected(names: Names, says: str, verdict: str):
    assert judge(says, names).verdict == verdict


def test_a_claim_that_could_mean_several_corrected_judges_lists_them(names: Names):
    found = judge("LLaMA prompt2 > prompt1 on empathy (corrected)", names)

    assert "Empathy (corrected by clean); Empathy (corrected by fives)" in found.reason


def test_a_claim_about_corrected_judges_says_the_two_means_beside_their_difference(names: Names):
    found = judge("LLaMA prompt2 > prompt1 on empathy (corrected by Clean)", names)
    (check,) = found.checks

    both = (check.left, check.right)
    means = [names.evidence.scores[key, check.measure.key].value for key in both]
    assert [check.score, check.other] == means
    assert check.gap.value == pytest.approx(means[0] - means[1], abs=0.3)
    assert check.gap.value > 0


def test_a_claim_about_corrected_judges_where_none_is_says_what_to_do(report: Report):
    """Nobody can guess from a list of columns that a judge is missing, or ratings."""
    found = evidence_of_run(report.spec, report.summary, report.pairs, report.spreads, "a run")
    nobody = tuple(m for m in found.measures if not m.column.name.startswith("human_"))

    corrected = judge("LLaMA prompt2 > prompt1 on empathy (corrected)", Names(found))
    human = judge(
        "LLaMA prompt2 > prompt1 on empathy (human)", Names(replace(found, measures=nobody))
    )

    assert corrected.reason.startswith(
        "'empathy (corrected)': no judge of this report is corrected"
    )
    assert "[judges.<name>], then sweep" in corrected.reason
    assert "or say 'empathy', without people" in corrected.reason
    assert "annotate import, then report" in human.reason


def test_a_claim_about_people_that_names_no_question_lists_theirs_alone(names: Names):
    found = judge("LLaMA prompt2 > prompt1 on warmth (human)", names)

    assert "Known: MentalAlign Empathy (people), MentalAlign Safety (people)" in found.reason
    assert "rouge" not in found.reason


def test_people_are_named_once_in_a_heading(report: Report):
    (main,) = [t for s in report.sections if s.file == "table1" for t in s.tables]
    below = {" ".join(head.lines) for head in main.heads}

    assert "MentalAlign (people)" in {span.label for span in main.spans}
    assert "Empathy" in below
    assert not any("(people)" in text for text in below)


def test_every_number_of_a_corrected_judge_has_a_macro(report: Report):
    whole = macros.macros(report.results, "the run")

    for key in (f"llama.prompt1.{CORRECTED}", f"flan_t5.prompt1-vs-llama.prompt2.{CORRECTED}",
                "llama.prompt2.corrected_jury_mentalalign_safety"):  # fmt: skip
        assert f"{{{key}}}" in whole


# ---------------------------------------------------------------------------- print and page


@needs_latex
def test_the_tables_compile_and_their_notes_need_four_lines(report: Report, tmp_path: Path):
    (tmp_path / "table1.tex").write_text(tex.fragment(tables_of(report)))
    (tmp_path / "alone.tex").write_text(tex.standalone("table1.tex", "", grey=True))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (tmp_path / "alone.log").read_text(errors="replace")
    text = pdf_text(tmp_path / "alone.pdf")
    assert all(word in text for word in ("Clean, corrected by people", "Judge", "People: mean of"))


@needs_latex
def test_without_a_package_for_colour_grey_is_italic(report: Report, tmp_path: Path):
    (tmp_path / "table1.tex").write_text(tex.fragment(tables_of(report)[:1]))
    (tmp_path / "alone.tex").write_text(tex.standalone("table1.tex", ""))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "alone.tex"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-2000:]


def test_the_page_prints_grey_in_a_class_that_its_policy_allows(report: Report):
    means, _ = of_clean(report)
    page = html.table_page([means], "t", "")
    without = html.table_page([replace(means, groups=())], "t", "")

    assert '<span class="n grey">' in page
    assert "td .grey {" in page
    assert "grey" not in without


def test_a_report_without_ratings_has_nothing_of_all_this(tmp_path: Path):
    about = rated.rated_spec(rated.judges(jury=True))
    kept = {key: m for key, m in about.metrics.items() if not hasattr(m, "members")}
    run = by_hand.make(tmp_path / "run", replace(about, metrics=kept), n=40)
    write_report(run, about)

    assert not list(run.report.glob("people*"))
    for path in run.report.glob("*.[tc][es][xv]"):
        text = path.read_text()
        assert not any(word in text for word in ("(people)", "corrected_", "reportgrey"))


def test_of_many_pairs_those_with_the_reference_are_listed(
    report: Report, monkeypatch: pytest.MonkeyPatch
):
    """Without people who answer, that is the first condition; the family stays that of all."""
    monkeypatch.setattr(people, "MOST_PAIRS", 2)
    made = people.people_tables(
        report.corrected, report.collected, report.numbers, report.spec, TableText("", "tab:x")
    )
    (table,) = [t for t in made if t.words.caption.endswith("differences, by people and by Clean "
                                                            "corrected by them.")]  # fmt: skip
    text = " ".join(table.words.notes)

    assert [len(g.rows) for g in table.groups] == [2, 2]
    assert all("LLaMA 3.1 8B Instruct, Prompt 1" in row.stubs[0] for row in table.groups[0].rows)
    assert "Pairs with LLaMA 3.1 8B Instruct, Prompt 1; all are in people.csv." in text
    assert "over the 3 pairs of a question" in text


def test_questions_that_do_not_fit_one_table_are_divided_whole(
    report: Report, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people, "MOST_ROWS", 4)
    made = people.people_tables(
        report.corrected, report.collected, report.numbers, report.spec, TableText("", "tab:x")
    )
    means = [t for t in made if "sample, and Clean corrected" in t.words.caption]

    assert [[g.label for g in t.groups] for t in means] == [["Safety"], ["Empathy"]]
    assert len({t.words.label for t in made}) == len(made)


def _without_some_scores(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows as they are where the judge has no score of some rated answers."""
    is_judged, is_few = pl.col("judge") != "", pl.col("condition") == LLAMA2.id
    why = "only {} questions have an answer with ratings and a judge score. Expected: more"
    return rows.with_columns(
        n_rated=pl.when(is_judged).then(pl.col("n_rated") - 40 - is_few).otherwise("n_rated"),
        refusal=pl.when(is_judged)
        .then(pl.when(is_few).then(pl.lit(why.format(9))).otherwise(pl.lit(why.format(12))))
        .otherwise("refusal"),
    )


def test_n_of_people_counts_answers_that_the_judge_has_no_score_of(report: Report):
    """The count stands beside people's mean, which is of all that they rated."""
    made = people.people_tables(
        _without_some_scores(report.corrected), report.collected, report.numbers, report.spec,
        TableText("", "tab:x"),
    )  # fmt: skip
    of_judges = [t for t in made if "Clean corrected" in t.words.caption]
    n = {row.cells[1].text for t in of_judges for g in t.groups for row in g.rows}

    assert len(of_judges) == 2
    assert n == {"60"}
    told = "Of one line up to 41 rated answers lack a score of the judge"
    assert all(told in " ".join(t.words.notes) for t in of_judges)


def test_refusals_that_differ_in_a_count_are_one_sentence(report: Report):
    rows = _without_some_scores(report.corrected)
    made = people.people_tables(
        rows, report.collected, report.numbers, report.spec, TableText("", "tab:x")
    )
    means = next(t for t in made if "sample, and Clean corrected" in t.words.caption)
    told = [note for note in means.words.notes if "not estimated" in note]

    assert len(told) == 1
    assert "not estimated in 6 rows, since only 9 to 12 questions have an answer" in told[0]


def test_where_the_judge_scored_all_nothing_is_said_of_missing_scores(report: Report):
    assert not any(
        "lack a score of the judge" in n for t in of_clean(report) for n in t.words.notes
    )


def test_settled_answers_are_counted_for_the_questions_of_the_table_alone(report: Report):
    """Flags of another rubric that were settled are in none of its means."""
    said = report.collected.people
    assert said is not None
    flags = said.answers.head(3).with_columns(
        rubric=pl.lit("crisis"), dimension=pl.lit("blaming"), adjudicated=pl.lit(value=True)
    )
    other = replace(
        report.collected, people=replace(said, answers=pl.concat([said.answers, flags]))
    )
    made = people.people_tables(
        report.corrected, other, report.numbers, report.spec, TableText("", "tab:x")
    )

    assert made
    assert not any("by what settled it" in note for t in made for note in t.words.notes)
