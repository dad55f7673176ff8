"""Adapters stand beside their bases, with intervals, tests, and what is wrong with them."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from empathy_core.store import UNIT_BLOCKS, RunDir
from empathy_core.types import Condition
from reports.build import Report, Section, build
from reports.labels import NOTHING
from reports.latex.escape import escape
from reports.numbers.adapter_vs_base import by_base, labels
from reports.rows.collect import collect
from reports.spec import ReportSpec
from reports.tables import published
from reports.tables.table import Table, TableText
from reports.write import Written, write_report
from tests.pages import Tags
from tests.papers import OF_CLASS, need, needs_latex
from tests.runs import adapters_by_hand as runs
from tests.runs.adapters_by_hand import BASE, FULL, LARGE, SECOND, SMALL, SMALL0, SMALL1, WHOLE
from tests.runs.by_hand import BLOCK_ROWS, Answer, Toy, make

KEY = "toy-00000000"
N = 60  # examples: 30 questions of two


@dataclass(frozen=True)
class Paper:
    """A run and its report."""

    run: RunDir
    written: Written
    built: Report


def report(
    folder: Path, about: ReportSpec, answer: Answer = runs.planted, n: int = N
) -> dict[str, Section]:
    """Return the sections of the report of a run made for it."""
    return sections(build(collect(make(folder / "run", about, answer, n=n), about), about))


def sections(of: Report) -> dict[str, Section]:
    return {section.file: section for section in of.sections}


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    """Return a written report under real metrics: two seeds at 525, and all rows."""
    about = runs.finetuned_spec()
    run = make(tmp_path_factory.mktemp("paper") / "run", about, runs.planted, n=N)
    written = write_report(run, about)
    return Paper(run, written, build(collect(run, about), about))


def lines(table: Table) -> dict[str, list[str]]:
    """Return label → cells of a table whose groups are lines; what is marked ends in its mark."""
    return {
        " ".join(filter(None, (g.label, *row.stubs))): [
            f"{c.text} {c.interval}".strip() + ("†" if c.dagger else "") for c in row.cells
        ]
        for g in table.groups
        for row in g.rows
    }


def notes(table: Table) -> str:
    return " ".join(table.words.sentences)


def toy(*comparisons, **changes) -> ReportSpec:
    """Return a report whose one metric is a toy, and therefore quick."""
    return runs.finetuned_spec(
        *comparisons, metrics={KEY: Toy(unscored="skip")}, published=None, **changes
    )


def better(by: float) -> Callable[[Condition, int, int], str]:
    """Return answers of which adapters know more words of the reference in a share of the rows."""

    def answer(made_by: Condition, row: int, sample: int) -> str:
        known = made_by not in (BASE, FULL) and row % 10 < 10 * by
        return f"w0 w1 {'w2' if known else 'x'} {'w3' if row % 3 else 'y'}"

    return answer


# ---------------------------------------------------------------------------- Table 2


def test_the_differences_are_those_of_the_reference_libraries(paper: Paper):
    """Corpus BLEU by sacrebleu on all texts of both sides, subtracted before rounding."""
    from sacrebleu import corpus_bleu

    run = paper.run
    reference = ["w0 w1 w2 w3 w4 w5 w6 w7"] * N
    base, tuned = (
        corpus_bleu([runs.planted(c, i, 0) for i in range(N)], [reference], smooth_method="none")
        for c in (BASE, SMALL0)
    )

    with (run.report / "comparisons.csv").open() as file:
        rows = {(row["tuned"], row["column"]): row for row in csv.DictReader(file)}
    found = rows[SMALL0.id, "bleu"]

    assert float(found["difference"]) == pytest.approx((tuned.score - base.score) / 100, abs=1e-6)
    assert float(found["low"]) < float(found["difference"]) < float(found["high"])
    assert (found["n"], found["n_left_out"], found["n_questions"]) == ("60", "0", "30")
    assert len(rows) == 3 * 4
    full = json.loads((run.report / "summary.json").read_text())["comparisons"]
    assert len(full) == 12
    assert "p_bootstrap" in full[0]


def test_base_and_adapters_stand_side_by_side(paper: Paper):
    """The bases once, then each adapter with its difference; the scores are those of Table 1."""
    found = sections(paper.built)
    table = found["table2"].tables[0]
    main = {g.label: g.rows[0].cells[0].text for g in found["table1"].tables[0].groups}

    assert [" ".join(h.lines) for h in table.heads] == [
        "Base, not quantised", "Base", *["Fine-tuned", "Difference [95% interval]"] * 2,
    ]  # fmt: skip
    assert [(s.label, s.first, s.last) for s in table.spans] == [
        ("", 2, 3), ("n = 525, seed 0", 4, 5), ("n = 525, seed 1", 6, 7),
    ]  # fmt: skip
    assert list(lines(table)) == ["BLEU ↑", "ROUGE-1 ↑", "ROUGE-2 ↑", "ROUGE-L ↑"]
    whole, base, small, difference = lines(table)["BLEU ↑"][:4]
    assert [whole, base, small] == [
        main[c.model.label] for c in (FULL, BASE, SMALL0)
    ]  # fmt: skip
    assert re.fullmatch(r"\+0\.\d{4} \[\+0\.\d{4}, \+0\.\d{4}\]†", difference)
    assert "LLaMA 3.1 8B Instruct (4-bit), Prompt 2 (nf4)" in table.words.caption


def test_what_is_no_finding_bears_no_dagger(tmp_path: Path):
    """Two of sixty answers better: an interval, and a note that says that nothing is found."""
    about = toy(SMALL, conditions=(BASE, FULL, SMALL0))
    few = report(tmp_path / "few", about, lambda c, i, s: better(i < 2)(c, i, s))
    many = report(tmp_path / "many", about, better(0.5))

    small, large = (of["table2"].tables[0] for of in (few, many))

    assert lines(small)["Overlap ↑"][3] == "+0.0083 [0.0000, +0.0250]"
    assert "No difference here has p < 0.05" in notes(small)
    assert lines(large)["Overlap ↑"][3].endswith("]†")
    assert "† p < 0.05 (approximate randomisation by question, two-sided" in notes(large)
    assert "Holm-corrected over the 2 differences of the fine-tunes “paper”" in notes(large)


def test_holm_counts_the_whole_family_and_no_other(tmp_path: Path):
    """Three adapters of one family share the correction, wherever their tables are cut."""
    other = replace(SMALL, tuned=SMALL1.id, family="other")
    about = toy(SMALL, WHOLE, other)
    run = make(tmp_path / "run", about, better(0.5), n=N)

    built = build(collect(run, about), about)

    counts = [
        re.search(r"over the (\d) diff", notes(t))[1] for t in sections(built)["table2"].tables
    ]
    assert counts == ["4", "2"]
    tested = built.compared.filter(family="paper").sort("p_randomization")
    smallest = tested.row(0, named=True)
    assert smallest["p_holm"] == pytest.approx(4 * smallest["p_randomization"])


def test_under_twenty_questions_there_is_no_interval(tmp_path: Path):
    """The difference stands, and the note says why nothing stands beside it."""
    table = report(tmp_path, toy(SMALL), better(0.5), n=38)["table2"].tables[0]

    assert re.fullmatch(r"\+0\.\d{4} \[n/a\]", lines(table)["Overlap ↑"][3])
    assert "[n/a]: answers to fewer than 20 questions (19)" in notes(table)
    assert "p < 0.05" not in notes(table)


def test_rows_that_one_side_lacks_leave_the_difference_and_are_counted(tmp_path: Path):
    """The note tells how many answers a difference is made of, and how many it is not."""

    def answer(made_by: Condition, row: int, sample: int) -> str:
        skipped = (made_by == BASE and row < 2) or (made_by == SMALL0 and 1 <= row < 4)
        return "skip" if skipped else better(0.5)(made_by, row, sample)

    about = toy(SMALL, SECOND)
    run = make(tmp_path / "run", about, answer, n=N)
    built = build(collect(run, about), about)
    table = sections(built)["table2"].tables[0]

    row = built.compared.row(0, named=True)
    assert (row["n"], row["n_left_out"], row["n_questions"]) == (56, 4, 28)
    assert (
        "n = 56 answers to 28 questions, 4 more not scored on both sides (n = 525, seed 0); "
        "n = 58 answers to 29 questions, 2 more not scored on both sides (n = 525, seed 1)."
    ) in notes(table)
    common = [i for i in range(N) if i >= 4]
    known = {f"w{i}" for i in range(8)}
    words = [answer(c, i, 0).split() for c in (BASE, SMALL0) for i in common]
    values = [sum(word in known for word in of) / len(of) for of in words]
    mean = (sum(values[len(common) :]) - sum(values[: len(common)])) / len(common)
    assert row["difference"] == pytest.approx(mean, abs=1e-12)


def test_a_partial_run_is_stamped_and_marks_no_difference(tmp_path: Path):
    """In every file of the adapters, the figures included. Scores of a cut unit do not count."""
    about = runs.finetuned_spec()
    run = make(tmp_path / "run", about, runs.planted, n=N)
    run.generation(SMALL0.id, 0, 3).unlink()

    write_report(run, about, partial=True)

    stamp = "PARTIAL 240/300"
    for path in run.report.iterdir():
        if path.suffix not in (".csv", ".pdf"):
            assert stamp in path.read_text(), path.name
    text = (run.report / "table2.html").read_text()
    assert "†" not in text
    assert "no difference is marked" in text


def test_scores_that_are_absent_leave_the_difference_row_by_row(tmp_path: Path):
    """A piece of the adapter's scores is not there: the other rows still meet their base's."""
    about = toy(SMALL, conditions=(BASE, FULL, SMALL0))
    run = make(tmp_path / "run", about, better(0.5), n=N)
    run.score(KEY, SMALL0.id, 1, 3).unlink()

    built = build(collect(run, about, partial=True), about)

    row = built.compared.row(0, named=True)
    present = [i for i in range(N) if i // (BLOCK_ROWS * UNIT_BLOCKS) % 3 != 1]
    assert (row["n"], row["n_left_out"]) == (len(present), N - len(present))
    gained = sum(i % 10 < 5 for i in present) / 4 / len(present)
    assert row["difference"] == pytest.approx(gained, abs=1e-12)


def test_a_broken_adapter_prints_no_clean_table(paper: Paper):
    """Seven of ten answers are empty: said beside its name and in the first sentence."""
    tables = sections(paper.built)["table2"].tables

    broken, healthy = tables[1], tables[0]
    assert broken.spans[1].label == "n = 4,719, seed 0 ‡"
    assert broken.words.sentences[0] == (
        "‡ 70.0% of the fine-tuned answers (n = 4,719, seed 0) are empty, of the base's 0.0%: "
        "its scores are those of empty texts."
    )
    assert "‡" not in notes(healthy) + "".join(s.label for s in healthy.spans)


@pytest.mark.parametrize(("empty", "said"), [(3, False), (4, True)])
def test_more_than_five_points_of_empty_answers_are_said(tmp_path: Path, empty: int, said: bool):
    """Three of sixty are five points and no more; four are."""

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return " " if made_by == SMALL0 and row < empty else "w0 text"

    table = report(tmp_path, toy(SMALL), answer)["table2"].tables[0]

    assert ("are empty" in notes(table)) is said


def test_other_faults_that_the_base_has_not_are_said(paper: Paper):
    """One of eight answers at 525 rows holds noise."""
    tables = sections(paper.built)["table2"].tables

    assert "More faults than the base's: noise 13.3% against 0.0% (n = 525, seed 0);" in notes(
        tables[0]
    )
    assert "More faults" not in notes(tables[1])


def test_the_adapters_own_sentences_stand_below_their_tables(tmp_path: Path):
    """Once where all of a table have it, else with the names of those that have."""
    allowed = "trained although the preflight found labels-misaligned."
    third = replace(SMALL, notes=(allowed, *SMALL.notes))
    table = report(tmp_path / "two", toy(third, SECOND), better(0.5))["table2"].tables[0]
    alone = report(tmp_path / "one", toy(third), better(0.5))["table2"].tables[0]

    assert notes(table).count(SMALL.notes[0]) == 1
    assert f"n = 525, seed 0: {allowed}" in notes(table)
    assert "Trained although the preflight found labels-misaligned." in notes(alone)
    assert "seed 0: Assumed" not in notes(table)


def test_every_warning_stands_first_and_is_never_cut(tmp_path: Path):
    """An allowed finding, notes of the plan, an older version, missing rows, faults, unscored."""
    allowed = "trained although the preflight found labels-misaligned."
    older, cut = "Rows cleaned by version 1 of the cleaning rules.", "3 questions were cut."
    about = toy(
        replace(SMALL, notes=(allowed,)), replace(SECOND, notes=(allowed,)),
        notes=(cut,), older=(older,),
    )  # fmt: skip

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return "skip" if row == 0 else "" if row % 10 == 1 and made_by == SMALL0 else "w0 text"

    run = make(tmp_path / "run", about, answer, n=N)
    run.score(KEY, SMALL1.id, 1, 3).unlink()
    built = {s.file: s.tables for s in build(collect(run, about, partial=True), about).sections}

    kinds = {
        "table1": ("PARTIAL", cut, older, "Not scored by toy", "Empty answers"),
        "table2": ("PARTIAL", allowed.capitalize(), older, "are empty", "Not scored by toy"),
        "training": ("PARTIAL", allowed.capitalize(), older),
    }
    for file, expected in kinds.items():
        warnings = " ".join(built[file][0].words.warnings)
        assert [kind for kind in expected if kind not in warnings] == []
    for table in (table for tables in built.values() for table in tables):
        assert table.words.warnings[0].startswith("PARTIAL")
        assert older in table.words.warnings
        assert table.words.sentences[: len(table.words.warnings)] == table.words.warnings


# ---------------------------------------------------------------------------- many adapters


def test_seeds_have_a_table_of_their_means(tmp_path: Path):
    """Mean and standard deviation of the scores and of the differences, for each train size."""
    about = toy()

    def answer(made_by: Condition, row: int, sample: int) -> str:
        known = {BASE: 2, SMALL0: 3, SMALL1: 4, LARGE: 1}.get(made_by, 2)
        return " ".join(f"w{i}" if i < known else "x" for i in range(4))

    table = report(tmp_path, about, answer)["table2"].tables[-1]

    assert [s.label for s in table.spans] == ["n = 525, 2 seeds", "n = 4,719, 1 seed"]
    assert lines(table)["Overlap ↑"] == [
        "0.8750 ± 0.1768", "+0.3750 ± 0.1768", "0.2500", "−0.2500",  # noqa: RUF001 - a minus sign
    ]  # fmt: skip


def test_one_seed_has_no_table_of_means(tmp_path: Path):
    """There is nothing to average."""
    tables = report(tmp_path, toy(SMALL, WHOLE), better(0.5))["table2"].tables

    assert len(tables) == 1


def test_adapters_are_packed_two_a_table_and_a_table_has_one_base(tmp_path: Path):
    """Five of one base take three tables; of another base one more. Labels are all different."""
    tuned = [runs.quantized(f"t{i}", f"T{i}") for i in range(5)]
    many = [runs.comparison(t, 100 * (i + 1), 0) for i, t in enumerate(tuned)]
    other = replace(SMALL, base=FULL.id, unquantized=None)
    about = toy(*many, other, conditions=(*runs.CONDITIONS, *tuned))

    tables = report(tmp_path, about, better(0.5))["table2"].tables

    shown = [[s.label for s in t.spans if s.label] for t in tables]
    assert [len(of) for of in shown] == [2, 2, 1, 1]
    assert shown[0] == ["n = 100, seed 0", "n = 200, seed 0"]
    assert [len(t.heads) for t in tables] == [6, 6, 4, 3]
    assert len({t.words.label for t in tables}) == 4
    assert len({t.words.caption for t in tables}) == 4


def test_equal_labels_are_told_apart():
    """By the sources, where these differ; else by the seed."""
    alone = replace(SECOND, label=SMALL.label, sources="amod")
    seed = replace(SECOND, label=SMALL.label)

    assert list(labels([SMALL, alone]).values()) == [
        "n = 525, seed 0, all", "n = 525, seed 0, amod",
    ]  # fmt: skip
    assert len(set(labels([SMALL, seed]).values())) == 2
    assert labels([SMALL, WHOLE])[SMALL.tuned] == SMALL.label


def test_adapters_are_ordered_by_size_and_seed():
    """However the configuration names them."""
    assert by_base([WHOLE, SECOND, SMALL]) == [[SMALL, SECOND, WHOLE]]


# ---------------------------------------------------------------------------- faults


def test_faults_stand_by_train_size(paper: Paper):
    """Base first, then sizes; shares with the number of answers; the paper's in the note."""
    table = sections(paper.built)["failures"].tables[0]

    assert [" ".join(h.lines) for h in table.heads] == [
        "Answers", "Empty", "Echo of the prompt", "At the token limit", "Repetition",
        "Special tokens", "Noise",
    ]  # fmt: skip
    stubs = [row.stubs for g in table.groups for row in g.rows]
    assert stubs == [("base, not quantised",), ("base",), ("n = 525, seed 0",),
                     ("n = 525, seed 1",), ("n = 4,719, seed 0",)]  # fmt: skip
    cells = [[c.text for c in row.cells] for g in table.groups for row in g.rows]
    assert cells[1] == ["60", *["0.0%"] * 6]
    assert cells[2] == ["60", *["0.0%"] * 5, "13.3%"]
    assert cells[4] == ["60", "70.0%", *["0.0%"] * 5]
    assert "about 3% empty answers after training on 525 rows and about 70% after 4,719" in notes(
        table
    )


def test_without_diagnostics_there_is_no_table_of_faults(tmp_path: Path):
    """Empty answers are counted all the same."""
    found = report(tmp_path, toy(SMALL), lambda c, i, s: " " if c == SMALL0 else "w0")

    assert "failures" not in found
    assert "100.0% of the fine-tuned answers" in notes(found["table2"].tables[0])


def test_trainings_are_listed_beside_their_curves(tmp_path: Path):
    """Rows, steps, losses, and the step of the lowest validation loss."""
    found = report(tmp_path, toy(SMALL, WHOLE), better(0.5))["training"]

    assert lines(found.tables[0])["n = 4,719, seed 0"] == [
        "4,719", "884", "3.00", "3.033", "2.030", "2.350", "2.250", "589", "2.350",
    ]  # fmt: skip
    assert [f.name for f in found.figures] == ["figure-training"]


def test_lengths_of_answers_stand_beside_the_losses(tmp_path: Path):
    """At the first evaluation and the last; an adapter without any has none."""
    first, *middle, last = WHOLE.curve
    longer = (replace(first, sample_tokens=20.0), *middle, replace(last, sample_tokens=34.46))
    found = report(tmp_path, toy(SMALL, replace(WHOLE, curve=longer)), better(0.5))["training"]

    table = found.tables[0]
    assert lines(table)["n = 4,719, seed 0"][-2:] == ["20.0", "34.5"]
    assert lines(table)["n = 525, seed 0"][-2:] == [NOTHING, NOTHING]
    assert "Answer tokens: mean length of the answers" in notes(table)


def test_an_adapter_without_a_curve_makes_no_section(tmp_path: Path):
    """What is not known is not drawn."""
    found = report(tmp_path, toy(replace(SMALL, curve=())), better(0.5))

    assert "training" not in found


# ---------------------------------------------------------------------------- published values


def _matched(about: ReportSpec, built: Report) -> dict[str, list[str]]:
    paper = published.load("huang2024")
    table = published.published_tables(paper, built.summary, about, TableText("", "tab:p"))[1]
    return {
        g.label: [r.stubs[1] for r in g.rows if r.stubs[1] != "difference"] for g in table.groups
    }


def test_the_papers_fine_tuned_row_meets_our_adapters(tmp_path: Path):
    """Though they inherit the base's name, which they do not answer to; by their own name, too."""
    own = replace(SMALL1, model=replace(SMALL1.model, published="LLaMA Fine-Tuned"))
    about = runs.finetuned_spec(
        SMALL, replace(SECOND, tuned=own.id), WHOLE, conditions=(FULL, BASE, SMALL0, own, LARGE)
    )
    run = make(tmp_path / "run", about, runs.planted, n=N)

    found = _matched(about, build(collect(run, about), about))

    names = [f"{c.model.label}, Prompt 2" for c in (FULL, BASE, SMALL0, own, LARGE)]
    assert found["LLaMA Baseline"] == ["paper", *names[:2]]
    assert found["LLaMA Fine-Tuned"] == ["paper", *names[2:]]


def test_without_adapters_the_fine_tuned_row_stands_alone(tmp_path: Path):
    """The base is no fine-tune of itself."""
    about = runs.finetuned_spec(conditions=(FULL,), finetunes=())
    run = make(tmp_path / "run", about, runs.planted, n=N)

    found = _matched(about, build(collect(run, about), about))

    assert found == {"LLaMA Baseline": ["paper", "this run"], "LLaMA Fine-Tuned": ["paper"]}


# ---------------------------------------------------------------------------- files


def test_equal_rows_give_equal_bytes_figures_included(tmp_path: Path):
    """However the rows were dealt to shards."""
    about = runs.finetuned_spec()
    contents = []
    for name, n_shards in (("one", 2), ("two", 5)):
        run = make(tmp_path / name, about, runs.planted, n_shards, N)
        write_report(run, about)
        contents.append({p.name: p.read_bytes() for p in run.report.iterdir()})

    assert contents[0] == contents[1]
    assert {"table2.tex", "table2-standalone.tex", "table2.html", "failures.tex", "training.tex",
            "comparisons.csv", "figure-training.svg", "figure-training.pdf", "figure-failures.svg",
            "figure-failures.pdf"} <= set(contents[0])  # fmt: skip


def test_a_report_without_adapters_has_no_file_of_theirs(tmp_path: Path):
    """And no word of them."""
    about = runs.finetuned_spec(finetunes=())
    run = make(tmp_path / "run", about, runs.planted, n=N)

    written = write_report(run, about)

    names = {p.name for p in run.report.iterdir()}
    assert not [
        n
        for n in names
        if n.startswith(("table2", "failures", "figure-t", "figure-f", "comparisons"))
    ]
    assert "comparisons" not in json.loads((run.report / "summary.json").read_text())
    assert "Difference" not in written.text


def test_page_and_terminal_show_the_cells_of_the_latex(paper: Paper):
    """Every string of the table stands in all three."""
    run, written = paper.run, paper.written
    table = sections(paper.built)["table2"].tables[0]

    page = Tags((run.report / "index.html").read_text())
    tex = (run.report / "table2.tex").read_text()

    for cell in (c for g in table.groups for row in g.rows for c in row.cells):
        for text in filter(None, (cell.text, cell.interval)):
            assert text in page.text
            assert text in written.text
        assert cell.text.replace("\N{MINUS SIGN}", "-") in tex or escape(cell.text) in tex
        assert escape(cell.interval).replace("{[}", "[").replace("{]}", "]") in tex
    tables = sections(paper.built)["table2"].tables
    marked = sum(c.dagger for t in tables for g in t.groups for row in g.rows for c in row.cells)
    assert page.text.count("†") >= tex.count(r"\reportdagger{}") == marked > 0


def test_the_page_holds_the_figures_with_their_words(paper: Paper):
    """Drawn in the page itself: no script, no address, no id twice, a description of each."""
    found = Tags((paper.run.report / "index.html").read_text())

    drawn = found.of("img")
    assert len(drawn) == len(("scores", "failures", "training", "answers"))
    assert all(a["src"].startswith("data:image/svg+xml,") for a in drawn)
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a.get("xlink:href") or a.get("href") for _, a in found.tags]
    assert {link[1:] for link in links if link and link != "data:,"} <= set(ids)
    assert not [tag for tag, _ in found.tags if tag in ("svg", "object", "iframe")]
    assert any("empty: base 0.0%" in a["alt"] and "70.0%" in a["alt"] for a in drawn)


@needs_latex
@pytest.mark.parametrize("document", ["article", "twocolumn", "IEEEtran"])
def test_the_tables_compile(tmp_path: Path, paper: Paper, document: str):
    """Alone, in a paper of two columns, and in a journal's class."""
    need(*OF_CLASS.get(document, ()))
    folder = shutil.copytree(paper.run.report, tmp_path / "report")
    names = ("table2", "failures", "training", "published")
    inputs = "".join(rf"\input{{{name}}}" for name in names)
    options = {
        "article": "{article}",
        "twocolumn": "[twocolumn]{article}",
        "IEEEtran": "{IEEEtran}",
    }
    (folder / "paper.tex").write_text(
        rf"\documentclass{options[document]}\usepackage{{booktabs,graphicx}}\begin{{document}}"
        rf"Table~\ref{{tab:main-finetuned-1}}.{inputs}"
        r"\par\noindent\includegraphics[width=\linewidth]{figure-training}\end{document}"
    )

    for name in ("paper", "paper", "table2-standalone"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=120,
        )
        log = (folder / f"{name}.log").read_text(errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in log
    assert "undefined" not in (folder / "paper.log").read_text(errors="replace")
