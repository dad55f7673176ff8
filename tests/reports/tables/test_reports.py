"""A run becomes a folder of tables and a page, whole, and the same for the same rows."""

import csv
import io
import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core import metrics, store
from empathy_core.errors import Incomplete, UnknownName
from empathy_core.store import RunDir
from reports.build import build
from reports.numbers.recheck import differences, recheck
from reports.rows.collect import collect
from reports.spec import ReportSpec
from reports.write import write_report
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, N_SHARDS, Toy, make, plain_answer, spec

KEY = "toy-00000000"
SECTIONS = ("table1", "table-therapist", "table-detail", "published", "prompts", "validity")
FILES = {
    *(f"{name}{end}" for name in SECTIONS for end in (".tex", "-standalone.tex", ".html")),
    "summary.csv", "summary.json", "version.json", "pairs.csv", "prompts.csv", "results.csv",
    "index.html", "macros.tex", "methods.tex",
    *(f"figure-{name}{end}" for name in ("scores", "differences", "answers")
      for end in (".svg", ".pdf")),
}  # fmt: skip


@pytest.fixture
def about() -> ReportSpec:
    """Return a report with real metrics, published values and provenance."""
    found = {"bleu": metrics.load("bleu", {}), "rouge": metrics.load("rouge", {})}
    return spec(
        metrics={metrics.key(name, metric): metric for name, metric in found.items()},
        published="huang2024",
        provenance={"commit": "c0ffee", "command": "python -m jobs.launch sweep"},
    )


def _contents(run: RunDir) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in run.report.iterdir() if p.name != "index.html"}


def _scores(run: RunDir) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((run.report / "summary.csv").read_text())))


# ---------------------------------------------------------------------------- the folder


def test_a_report_is_a_folder_of_private_files(tmp_path: Path, about: ReportSpec):
    """Every file is there, readable by its owner only, and nothing is left beside the folder."""
    run = make(tmp_path / "run", about)

    write_report(run, about)

    assert {p.name for p in run.report.iterdir()} == FILES
    assert stat.S_IMODE(run.report.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in run.report.iterdir()} == {0o600}
    assert not list(run.root.glob(".report*"))


def test_equal_rows_give_equal_bytes_however_they_were_dealt(tmp_path: Path, about: ReportSpec):
    """Shards, run directory and provenance change no file but the page."""
    one = make(tmp_path / "one", about)
    two = make(tmp_path / "another-name", about, n_shards=5)

    write_report(one, about)
    write_report(
        two, spec(metrics=about.metrics, published="huang2024", provenance={"commit": "x"})
    )

    assert _contents(one) == _contents(two)


def test_provenance_stands_on_the_page_and_nowhere_else(tmp_path: Path, about: ReportSpec):
    """Commit, command and run name are no part of the numbers."""
    run = make(tmp_path / "a-run-name", about)

    write_report(run, about)

    assert "c0ffee" in (run.report / "index.html").read_text()
    for name, content in _contents(run).items():
        assert b"c0ffee" not in content, name
        assert b"a-run-name" not in content, name


def test_a_new_report_takes_the_place_of_the_old(tmp_path: Path, about: ReportSpec):
    """No file of an older report stays behind."""
    run = make(tmp_path / "run", about)
    write_report(run, about)
    (run.report / "old.txt").write_text("old")

    write_report(run, about)

    assert {p.name for p in run.report.iterdir()} == FILES


def test_what_a_killed_report_left_is_cleared(tmp_path: Path, about: ReportSpec):
    """A folder that never took its place does not stay for ever, nor get into the report."""
    run = make(tmp_path / "run", about)
    left = run.root / ".report.new"
    left.mkdir()
    (left / "half.tex").write_text("half")

    write_report(run, about)

    assert {p.name for p in run.report.iterdir()} == FILES
    assert not list(run.root.glob(".report*"))


def test_a_refused_report_leaves_the_old_one(tmp_path: Path, about: ReportSpec):
    """Where the run is not whole nothing already written is touched."""
    run = make(tmp_path / "run", about)
    write_report(run, about)
    before = _contents(run)
    run.generation(LLAMA.id, 0, N_SHARDS).unlink()

    with pytest.raises(Incomplete, match="add --partial"):
        write_report(run, about)

    assert _contents(run) == before
    assert not list(run.root.glob(".report*"))


@pytest.mark.fast
def test_a_partial_report_is_stamped_everywhere(tmp_path: Path, about: ReportSpec):
    """Each table and page says how much of the run it shows."""
    run = make(tmp_path / "run", about)
    run.generation(LLAMA.id, 0, N_SHARDS).unlink()

    written = write_report(run, about, partial=True)

    stamp = "PARTIAL 100/140"
    assert stamp in written.text
    assert len(written.problems) == 1
    for path in run.report.iterdir():
        assert path.suffix in (".csv", ".pdf") or stamp in path.read_text(), path.name
    page = (run.report / "index.html").read_text()
    assert f"{run.generations(LLAMA.id)} lacks 14 of 40 rows" in page


def test_a_whole_run_is_not_stamped_even_with_partial(tmp_path: Path, about: ReportSpec):
    """The option allows gaps, it does not claim them."""
    run = make(tmp_path / "run", about)

    write_report(run, about, partial=True)

    assert not [p.name for p in run.report.iterdir() if b"PARTIAL" in p.read_bytes()]


def test_an_unknown_publication_is_named(tmp_path: Path):
    """The closest name is offered."""
    about = spec(published="huang2042")
    run = make(tmp_path / "run", about)

    with pytest.raises(UnknownName, match="Did you mean 'huang2024'"):
        write_report(run, about)


# ---------------------------------------------------------------------------- the numbers


def test_scores_equal_the_reference_library_over_all_rows(tmp_path: Path, about: ReportSpec):
    """Corpus BLEU and mean ROUGE, by sacrebleu and rouge_score on the same texts."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu

    run = make(tmp_path / "run", about)
    write_report(run, about)
    answers = [plain_answer(FLAN, i, 0) for i in range(40)]
    reference = pl.read_parquet(run.examples)["response"][0]
    bleu = corpus_bleu(answers, [[reference] * 40], smooth_method="none").score / 100
    scorer = RougeScorer(["rougeL"])
    rouge = np.mean([scorer.score(reference, a)["rougeL"].fmeasure for a in answers])

    found = {
        row["column"]: float(row["score"])
        for row in _scores(run)
        if row["condition"] == FLAN.id and row["subset"] == "all"
    }

    assert found["bleu"] == pytest.approx(bleu, abs=5e-7)
    assert found["rougeL"] == pytest.approx(rouge, abs=5e-7)


def test_the_therapist_subset_is_exactly_the_therapists_questions(tmp_path: Path):
    """Models are scored anew on the examples of the human row; that row itself does not change."""
    about = spec(HUMAN, LLAMA)
    run = make(tmp_path / "run", about, lambda c, i, s: "w0" if i % 2 == 0 else "x")
    write_report(run, about)

    found = {
        (row["condition"], row["subset"]): (float(row["score"]), row["n"])
        for row in _scores(run)
        if row["column"] == "toy_overlap"
    }

    assert found == {
        (HUMAN.id, "all"): (1.0, "20"),
        (HUMAN.id, "therapist"): (1.0, "20"),
        (LLAMA.id, "all"): (0.5, "40"),
        (LLAMA.id, "therapist"): (1.0, "20"),
    }


def test_without_people_there_is_no_therapist_table(tmp_path: Path):
    """A subset that does not exist makes no file."""
    run = make(tmp_path / "run", spec(LLAMA))

    write_report(run, spec(LLAMA))

    assert not list(run.report.glob("table-therapist*"))
    assert {row["subset"] for row in _scores(run)} == {"all"}


def test_unscored_rows_leave_the_mean_and_are_counted(tmp_path: Path):
    """Missing is not zero."""
    about = spec(LLAMA, metrics={KEY: Toy(unscored="skip")})
    run = make(tmp_path / "run", about, lambda c, i, s: "skip" if i < 10 else "w0")
    write_report(run, about)

    row = _scores(run)[0]

    assert (row["score"], row["n"], row["n_unscored"]) == ("1.000000", "30", "10")


def test_the_csv_is_rounded_and_the_json_is_not(tmp_path: Path):
    """Six decimals for diffs and eyes, full precision and signatures for programmes."""
    about = spec(LLAMA)
    run = make(tmp_path / "run", about, lambda c, i, s: "w0 x y" if i else "w0")
    write_report(run, about)

    full = json.loads((run.report / "summary.json").read_text())

    expected = (39 / 3 + 1) / 40
    assert _scores(run)[0]["score"] == f"{expected:.6f}"
    assert full["summary"][0]["score"] == pytest.approx(expected, abs=1e-15)
    assert full["metrics"][KEY]["signature"] == "metric:toy|tok:split|toolib:1.2.3"
    assert full["conditions"][0]["n_complete"] == 40


def test_the_order_of_the_rows_in_the_files_changes_no_digit(tmp_path: Path):
    """Sums are exactly rounded."""
    about = spec(LLAMA)
    sums = []
    for name, n_shards in (("a", 1), ("b", 7)):
        run = make(tmp_path / name, about, n_shards=n_shards)
        summary = build(collect(run, about), about).summary
        sums.append(summary["score"].to_list())

    assert sums[0] == sums[1]


# ---------------------------------------------------------------------------- recheck


def test_stored_scores_are_rechecked_by_the_reference_libraries(tmp_path: Path, about: ReportSpec):
    """Equal within rounding on the drawn rows, for every column."""
    run = make(tmp_path / "run", about)

    found = differences(run, about, about.metrics, 10)

    assert found.height == 12
    assert set(found["n"]) == {10}
    assert found["difference"].max() < 1e-12


def test_a_wrong_stored_score_is_found(tmp_path: Path):
    """A score that differs from the reference shows in the largest difference."""
    about = spec(LLAMA)
    run = make(tmp_path / "run", about)
    path = run.score(KEY, LLAMA.id, 0, N_SHARDS)
    piece, frame = store.read_piece(path)
    store.write_piece(frame.with_columns(pl.col("overlap") + 0.25), path, piece.tags)

    found = differences(run, about, about.metrics, 40)

    assert found["difference"].to_list() == pytest.approx([0.25, 0.0])
    told = recheck(run, about, about.metrics, 40)
    assert "NOT EQUAL: largest difference 2.5e-01" in told.text
    assert told.wrong == ("toy toy_overlap",)


@pytest.mark.parametrize("value", [float("inf"), None])
def test_a_score_that_is_not_finite_or_absent_is_a_wrong_one(tmp_path: Path, value: float | None):
    """A row that only the reference library scores is not passed over, and neither is infinity."""
    about = spec(LLAMA)
    run = make(tmp_path / "run", about)
    path = run.score(KEY, LLAMA.id, 0, N_SHARDS)
    piece, frame = store.read_piece(path)
    first = pl.int_range(pl.len()) == 0
    changed = pl.when(first).then(pl.lit(value, dtype=pl.Float64)).otherwise("overlap")
    store.write_piece(frame.with_columns(overlap=changed), path, piece.tags)

    told = recheck(run, about, about.metrics, 40)

    assert "NOT EQUAL: a row has no score, or no finite one" in told.text
    assert told.wrong[0] == "toy toy_overlap"


def test_a_sound_recheck_finds_nothing_wrong(tmp_path: Path, about: ReportSpec):
    """Rows that neither scores are equal; rounding is no difference."""
    about = replace(about, metrics={KEY: Toy(unscored=plain_answer(LLAMA, 0, 0))})
    run = make(tmp_path / "run", about)

    told = recheck(run, about, about.metrics, 400)

    assert told.wrong == ()
    assert "NOT EQUAL" not in told.text


def test_the_same_seed_draws_the_same_rows(tmp_path: Path):
    """And another seed draws others."""
    about = spec(LLAMA, FLAN)
    found = collect(make(tmp_path / "run", about), about)
    from reports.numbers.recheck import draw

    assert draw(found, 5, 1).equals(draw(found, 5, 1))
    assert not draw(found, 5, 1).equals(draw(found, 5, 2))
