"""Whether overlap metrics follow the judges: the numbers, the tables, and what their notes say."""

# ruff: noqa: D102 - the protocol documents the members of a metric

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr

from empathy_core.types import Column, Condition
from reports.build import Report, build
from reports.rows.collect import collect
from reports.spec import ReportSpec
from reports.write import write_report
from tests.runs.by_hand import HUMAN, Toy, condition, make, plain_answer, spec

KEY, JUDGE = "toy-00000000", "judge-00000000"


@dataclass(frozen=True)
class Judge(Toy):
    """A judge that likes words beginning with w, dislikes long answers, and has no opinion of some.

    Attributes:
        dimensions: How many more opinions it has, all of them noise.
    """

    name: str = "judge"
    dimensions: int = 1
    judge: str = "Judge A"
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def columns(self) -> tuple[Column, ...]:
        found = [
            Column("likes", "Likes", judge=self.judge, group="Opinion"),
            Column("length", "Too long", better="lower", judge=self.judge, group="Opinion"),
            *(
                Column(f"noise{i}", f"Noise {i}", judge=self.judge, group=f"Noise ({self.judge})")
                for i in range(self.dimensions)
            ),
            Column("mass", "Mass"),
        ]
        return tuple(replace(c, ratio=(i, len(found))) for i, c in enumerate(found))

    @property
    def statistics(self) -> tuple[str, ...]:
        return (*(c.name for c in self.columns), "n")

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        return np.array([self._opinion(text) for text in rows["text"]])

    def _opinion(self, text: str) -> list[float]:
        words = text.split()
        liked = sum(w.startswith("w") for w in words) / len(words) + self.noise.normal() / 50
        if self.noise.random() < 0.05:
            return [np.nan] * len(self.statistics)
        return [liked, len(words), *self.noise.normal(size=self.dimensions), 1.0, 1.0]

    def score(self, sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., :-1] / sums[..., -1:]


def answer(made_by: Condition, row: int, sample: int) -> str:
    """Return a text of known and other words, of another length for each condition and row."""
    random = np.random.default_rng((row, *made_by.model.name.encode()))
    known, other = random.integers(1, 8), random.integers(2, 9)
    return " ".join([*(f"w{i}" for i in range(known)), *(f"v{i}" for i in range(other))])


def about(n_models: int, **changes: Any) -> ReportSpec:
    """Return a report about people and some models under the toy metric and a judge."""
    judge = changes.pop("judge", Judge())
    models = [condition(f"m{i}", f"Model {i}") for i in range(n_models)]
    return spec(HUMAN, *models, metrics={KEY: Toy(), JUDGE: judge}, **changes)


def made(folder: Path, report: ReportSpec) -> Report:
    """Return the report of a run that is written to *folder*."""
    return build(collect(make(folder, report, answer), report), report)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Four models and people."""
    return made(tmp_path_factory.mktemp("four") / "run", about(4))


def own_scores(report: Report, key: str, names: tuple[str, str]) -> Iterator[np.ndarray]:
    """Yield the values of single answers from the files: (conditions, examples) of each column."""
    examples = report.collected.examples.select(example="id")
    for name in names:
        rows = []
        for made_by in report.spec.conditions[1:]:
            scores = report.collected.scores[made_by.id, key].select("example", name)
            rows.append(examples.join(scores, on="example", how="left")[name].to_numpy())
        yield np.array(rows, float)


def line(report: Report, level: str, column: str, judged: str) -> dict[str, Any]:
    """Return one record of the numbers."""
    where = (pl.col("level") == level, pl.col("column") == column, pl.col("judge_column") == judged)
    (found,) = report.correlated.filter(*where).iter_rows(named=True)
    return found


# ---------------------------------------------------------------------------- numbers


def test_every_main_column_meets_every_opinion_of_the_judge(four: Report):
    """On two levels; a judge's column that is no opinion is left out, and so are people."""
    found = four.correlated

    assert set(found["level"]) == {"within", "across"}
    assert set(found["column"]) == {"toy_overlap", "toy_words"}
    assert set(found["judge_column"]) == {"likes", "length", "noise0"}
    assert found.height == 2 * 2 * 3
    assert set(found.filter(pl.col("level") == "across")["n"]) == {4}


def test_within_questions_the_judges_taste_is_found(four: Report):
    """What it likes is what overlaps; n is what both have scored."""
    likes = line(four, "within", "toy_overlap", "likes")
    (opinions,) = own_scores(four, JUDGE, ("likes",))
    known = np.isfinite(opinions)

    assert likes["pearson"] > 0.9
    assert likes["spearman"] > 0.8
    assert 0.8 < likes["pearson_low"] < likes["pearson"] < likes["pearson_high"] < 1
    assert likes["n"] == known[:, known.sum(axis=0) > 1].sum() < 160
    assert likes["n_clusters"] == 20


def test_a_complete_pair_is_the_correlation_of_doubly_centred_scores(tmp_path: Path):
    """Score less the example's mean less the condition's mean plus the mean of all."""

    class Sure(Judge):
        """Has an opinion of every answer."""

        def _opinion(self, text: str) -> list[float]:
            words = text.split()
            noise = self.noise.normal(size=self.dimensions)
            return [words.count("w3") + self.noise.normal(), len(words), *noise, 1.0, 1.0]

    report = made(tmp_path / "run", about(5, judge=Sure()))
    (x,), (y,) = own_scores(report, KEY, ("overlap",)), own_scores(report, JUDGE, ("likes",))
    left = [of - of.mean(0) - of.mean(1, keepdims=True) + of.mean() for of in (x, y)]

    found = line(report, "within", "toy_overlap", "likes")

    assert found["pearson"] == pytest.approx(pearsonr(*(of.ravel() for of in left))[0], abs=1e-9)
    assert found["n"] == 200


def test_over_conditions_it_is_of_the_scores_of_the_table(tmp_path: Path):
    """With an interval from ten models on."""
    report = made(tmp_path / "run", about(10))
    summary = report.summary.filter(pl.col("subset") == "all", pl.col("condition") != HUMAN.id)
    x, y = (
        summary.filter(pl.col("column") == name)["score"].to_numpy()
        for name in ("toy_overlap", "likes")
    )

    found = line(report, "across", "toy_overlap", "likes")

    theirs = pearsonr(x, y)
    assert found["pearson"] == pytest.approx(theirs.statistic)
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic)
    assert found["pearson_low"] == pytest.approx(theirs.confidence_interval().low)
    assert (found["n"], found["n_clusters"]) == (10, 10)


# ---------------------------------------------------------------------------- tables


def test_there_is_a_table_of_each_level(four: Report):
    """Lines of Pearson and Spearman; n in the caption; no interval over four conditions."""
    (section,) = (s for s in four.sections if s.file == "correlations")
    within, across = section.tables

    assert section.title == "Do overlap metrics follow the judges?"
    assert "answers to 20 questions" in within.words.caption
    assert "n = 4 conditions of 4 models" in across.words.caption
    assert [g.label for g in within.groups] == ["Overlap ↑", "Words ↓"]
    assert [row.stubs for row in within.groups[0].rows] == [("Pearson",), ("Spearman",)]
    assert [span.label for span in within.spans] == ["Opinion (Judge A)", "Noise (Judge A)"]
    assert [head.lines for head in within.heads] == [("Likes",), ("Too long",), ("Noise 0",)]
    assert within.groups[0].rows[0].cells[0].text.startswith("+0.9")
    assert within.groups[0].rows[0].cells[0].interval.startswith("[+0.")
    assert not any(c.interval for g in across.groups for row in g.rows for c in row.cells)


def test_the_notes_say_what_is_and_is_not_shown(four: Report):
    """How centred, what ranks, how many clusters, whose opinion, people left out, directions."""
    (section,) = (s for s in four.sections if s.file == "correlations")
    within, across = (" ".join(table.words.sentences) for table in section.tables)

    assert "effects of example and condition are removed" in within
    assert "none with fewer than 20 questions" in within
    assert "Judge A" in within
    assert "not calibrated against people" in within
    assert "Human reference answers are left out" in within
    assert "agreement is a negative correlation" in within
    assert "No interval with fewer than 10 conditions" in across


def test_a_column_of_mostly_one_score_is_named(tmp_path: Path):
    """As BLEU of single answers is, and as a judge at its ceiling."""

    class Content(Judge):
        """Likes nearly everything equally."""

        def _opinion(self, text: str) -> list[float]:
            return [1.0 + (self.noise.random() < 0.3), *super()._opinion(text)[1:]]

    report = made(tmp_path / "run", about(4, judge=Content()))
    (section,) = (s for s in report.sections if s.file == "correlations")
    text = " ".join(section.tables[0].words.sentences)

    assert "the same score, which weakens correlations: Opinion (Likes) (7" in text


def test_many_opinions_stand_in_several_tables(tmp_path: Path):
    """Eight columns each at most, numbered, and every pair in one of them."""
    report = made(tmp_path / "run", about(3, judge=Judge(dimensions=10)))
    (section,) = (s for s in report.sections if s.file == "correlations")
    within = [t for t in section.tables if "within" in t.words.caption]

    assert len(within) > 1
    assert max(len(t.heads) for t in within) <= 8
    assert sum(len(t.heads) for t in within) == 12
    assert len({t.words.label for t in section.tables}) == len(section.tables)


@pytest.mark.parametrize("n_models", [1, 4])
def test_without_a_judge_or_a_second_model_there_is_no_section(tmp_path: Path, n_models: int):
    """Nor a file."""
    plain = Judge(judge="") if n_models > 1 else Judge()
    report = about(n_models, judge=plain)
    run = make(tmp_path / "run", report, plain_answer)

    write_report(run, report)

    assert not list(run.report.glob("correlations*"))


def test_the_files_of_a_report_have_them(tmp_path: Path):
    """LaTeX, HTML, CSV and the page; equal rows give equal bytes."""
    report = about(4)
    run = make(tmp_path / "run", report, answer)

    write_report(run, report)
    first = {p.name: p.read_bytes() for p in run.report.glob("correlations*")}
    write_report(run, report)

    assert set(first) == {
        "correlations.csv", "correlations.html", "correlations.tex", "correlations-standalone.tex",
    }  # fmt: skip
    assert first == {p.name: p.read_bytes() for p in run.report.glob("correlations*")}
    assert "Do overlap metrics follow the judges?" in (run.report / "index.html").read_text()
