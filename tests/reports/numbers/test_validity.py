"""What a report says besides scores: flagged answers, subgroups, prompts, contrasts, repeats."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core.errors import ConfigError
from empathy_core.stats import Resampler, paired_difference, spread
from empathy_core.types import Condition, Decoding
from reports.build import Report, build
from reports.numbers.aggregate import aggregate
from reports.numbers.flagged import emptiest, flagged_answers
from reports.numbers.prompt_effects import moved, own_scores, spreads
from reports.numbers.repeats import repeated, repeats
from reports.rows.collect import Collected, collect
from reports.rows.subsets import subsets
from reports.spec import Analysis, Comparison, Contrast, ReportSpec
from reports.tables.table import Table
from tests.runs.by_hand import FLAN, GREEDY, HUMAN, LLAMA, LLAMA2, Toy, condition, make, spec

KEY = "toy-00000000"
FLAN2 = condition("flan_t5", "FLAN-T5 (base)", "prompt2", "FLAN-T5")
N = 60


def words_of(made_by: Condition, row: int, sample: int) -> str:
    """Return answers in which prompt 2 helps LLaMA much, and FLAN-T5 not at all."""
    known = 3 + row % 3 + 2 * (made_by is LLAMA2)
    return " ".join([*(f"w{i}" for i in range(known)), *(f"x{row}" for _ in range(8 - known))])


def report(root: Path, about: ReportSpec, answer: object = words_of, n: int = N) -> Report:
    """Return the report of a run whose answers *answer* makes."""
    return build(collected(root, about, answer, n), about)


def collected(root: Path, about: ReportSpec, answer: object = words_of, n: int = N) -> Collected:
    """Return the rows of such a run."""
    return collect(make(root / "run", about, answer, n=n), about)  # type: ignore[arg-type]


def cells(table: Table, group: int, row: int = 0) -> list[str]:
    """Return the printed numbers of a line."""
    return [cell.text for cell in table.groups[group].rows[row].cells]


def tables(of: Report, file: str) -> tuple[Table, ...]:
    """Return the tables of a section."""
    return next(s.tables for s in of.sections if s.file == file)


# ---------------------------------------------------------------------------- flagged answers


def broken(made_by: Condition, row: int, sample: int) -> str:
    """Return answers of which LLaMA's are empty in a tenth of the rows, FLAN-T5's the same."""
    if made_by.model.name == "llama" and row % 10 == 0:
        return "  "
    return "The same for all." if made_by is FLAN else words_of(made_by, row, sample)


def test_flagged_answers_are_counted_by_kind(tmp_path: Path):
    """Empties, and texts that answer other questions too; white space is no text said twice."""
    about = spec(LLAMA, FLAN)

    one, other = flagged_answers(collected(tmp_path, about, broken), about)

    assert (one.n, one.count("empty"), one.count("duplicate")) == (N, 6, 0)
    assert (other.count("empty"), other.count("duplicate")) == (0, N)
    assert emptiest([one, other]) == pytest.approx(0.1)


def test_an_answer_is_cut_or_exposed_as_the_data_say(tmp_path: Path):
    """A question that stands in the training split is told with every answer to it."""
    about = spec(LLAMA)
    found = collected(tmp_path, about)
    rows = found.examples.with_columns(exposed=pl.col("id") == "sample-3")
    answers = found.answers[LLAMA.id].with_columns(cut=pl.col("example") == "sample-4")
    found = replace(found, examples=rows, answers={LLAMA.id: answers})

    (one,) = flagged_answers(found, about)

    assert (one.count("exposed"), one.count("cut"), one.count("prompt_cut")) == (1, 1, 0)


def test_scores_are_given_as_they_are_and_without_the_flagged(tmp_path: Path):
    """What is left out has its n, and the score is that of the other rows."""
    of = report(tmp_path, spec(LLAMA, FLAN), broken)

    counts, without = tables(of, "validity")

    assert cells(counts, 0)[:2] == ["60", "10.0%"]
    whole, kept = cells(without, 0, 0), cells(without, 0, 1)
    assert (whole[0], kept[0]) == ("60", "54")
    own = [(3 + i % 3) / 8 for i in range(N)]
    lost = np.array(own)[[i for i in range(N) if i % 10]]
    assert kept[1] == f"{lost.mean():.4f}"
    assert whole[1] == f"{lost.sum() / N:.4f}"


def test_too_many_empties_leave_no_clean_table(tmp_path: Path):
    """Every table is stamped and nothing is called best; the share that is let pass is a choice."""
    of = report(tmp_path, spec(LLAMA, FLAN), broken)
    marks = {
        c.mark for t in tables(of, "table1") for g in t.groups for r in g.rows for c in r.cells
    }

    assert of.stamp == "10.0% EMPTY ANSWERS"
    assert {t.words.stamp for s in of.sections for t in s.tables} == {of.stamp}
    assert marks == {""}
    lenient = replace(of.spec, analysis=Analysis(most_empty=0.1))
    assert build(of.collected, lenient).stamp == ""


# ---------------------------------------------------------------------------- subgroups


def test_thirds_by_length_hold_every_example_once(tmp_path: Path):
    """Equal lengths stay together, and so do the rows of a question."""
    about = spec(LLAMA, analysis=Analysis(subgroups=("length",)))
    found = collected(tmp_path, about)
    long = pl.Series([f"word {'very ' * (i // 2 % 9)}" for i in range(found.examples.height)])
    found = replace(found, examples=found.examples.with_columns(context=long))

    by_name = dict(subsets(found, about))
    thirds = [ids for name, ids in by_name.items() if name.startswith("length=")]

    assert len(thirds) == 3
    ids = [i for third in thirds for i in third]
    assert sorted(ids) == sorted(found.examples["id"])


def test_a_subgroup_is_a_table_with_its_own_n(tmp_path: Path):
    """Its scores are those of its rows alone."""
    about = spec(LLAMA, FLAN, analysis=Analysis(subgroups=("source",)))
    found = collected(tmp_path, about)
    half = pl.Series(["a" if i % 2 else "b" for i in range(found.examples.height)])
    found = replace(found, examples=found.examples.with_columns(source=half))

    of = build(found, about)

    first, second = tables(of, "table-by-source")
    assert first.words.caption == "Only source a: 30 questions."
    own = np.array([(3 + i % 3) / 8 for i in range(N)])
    assert cells(first, 0)[0] == f"{own[1::2].mean():.4f}"
    assert cells(second, 0)[0] == f"{own[::2].mean():.4f}"
    assert {r.key for r in of.results} >= {
        "llama.prompt1.toy_overlap@source=a",
        "llama.prompt1.toy_overlap@source=b",
    }


def test_of_many_values_those_of_few_questions_stand_together(tmp_path: Path):
    """The most frequent keep a group each; a row without a value is in none."""
    about = spec(LLAMA, analysis=Analysis(subgroups=("topic",)))
    found = collected(tmp_path, about)
    values = [None if i < 3 else "often" if i < 45 else f"rare {i}" for i in range(60)]
    topics = found.examples.with_columns(topic=pl.Series(values))

    groups = dict(subsets(replace(found, examples=topics), about))

    sizes = {name: len(ids) for name, ids in groups.items() if name.startswith("topic=")}
    assert sizes == {"topic=often": 42, "topic=other values": 15}
    few = found.examples.with_columns(topic=pl.Series([f"{i % 12}" for i in range(60)]))
    twelve = dict(subsets(replace(found, examples=few), about))
    assert sum(name.startswith("topic=") for name in twelve) == 12


@pytest.mark.parametrize(
    ("column", "match"),
    [
        ("topic", "no column 'topic' in the data; try one of: length"),
        ("id", "has 60 values in the evaluated rows, and none with 20 questions"),
        ("author", "has 0 values"),
    ],
)
def test_a_subgroup_that_cannot_be_made_is_refused(tmp_path: Path, column: str, match: str):
    """The error says what there is."""
    about = spec(LLAMA, analysis=Analysis(subgroups=(column,)))

    with pytest.raises(ConfigError, match=match):
        report(tmp_path, about)


# ---------------------------------------------------------------------------- pairs, contrasts


def test_pairs_are_those_of_the_statistics(tmp_path: Path):
    """Second less first on the rows of both, with the tests of ``empathy_core.stats``."""
    about = spec(LLAMA, LLAMA2, FLAN)
    found = collected(tmp_path, about)

    pairs = aggregate(found, about).pairs

    row = pairs.filter(pl.col("second") == LLAMA2.id, pl.col("column") == "toy_overlap")
    assert row["first"].to_list() == [LLAMA.id]
    one, two = (found.scores[c.id, KEY].sort("example") for c in (LLAMA, LLAMA2))
    questions = one.join(found.examples.select("question", example="id"), on="example")["question"]
    names = list(Toy().statistics)
    told = paired_difference(
        one.select(names).to_numpy(), two.select(names).to_numpy(), Toy().score,
        Resampler.by(questions),
    )[0]  # fmt: skip
    assert row["difference"][0] == pytest.approx(2 / 8)
    assert row["difference"][0] == pytest.approx(told.value)
    assert row["n"][0] == told.n == N
    assert row["n_questions"][0] == N // 2
    assert row["p_holm"][0] >= row["p_randomization"][0]


def test_a_best_row_bears_a_dagger_only_if_it_beats_all(tmp_path: Path):
    """FLAN-T5's two prompts answer alike, so that neither is significantly best without LLaMA."""
    clear = report(tmp_path / "a", spec(LLAMA2, FLAN, FLAN2))
    alike = report(tmp_path / "b", spec(FLAN, FLAN2))

    def daggers(of: Report) -> list[bool]:
        (table,) = tables(of, "table1")
        return [row.cells[0].dagger for group in table.groups for row in group.rows]

    assert daggers(clear) == [True, False, False]
    assert daggers(alike) == [False, False]
    assert any("Holm-corrected" in note for note in tables(clear, "table1")[0].words.sentences)


def test_a_contrast_is_the_mean_over_its_pairs(tmp_path: Path):
    """Its table, its key, and both corrections."""
    pairs = ((FLAN.id, LLAMA.id), (FLAN2.id, LLAMA2.id))
    contrast = Contrast("architecture", "LLaMA less FLAN-T5", pairs)
    about = spec(LLAMA, LLAMA2, FLAN, FLAN2, analysis=Analysis("bh", (contrast,)))

    of = report(tmp_path, about)

    (row, _) = of.numbers.contrasts.iter_rows(named=True)
    assert row["difference"] == pytest.approx((0 + 2 / 8) / 2)
    assert row["pairs"] == 2
    assert "contrast.architecture.toy_overlap" in {r.key for r in of.results}
    (table,) = tables(of, "contrasts")
    assert cells(table, 0)[2] == "+0.1250", "the same in every question: no interval"
    assert any("Benjamini" in note for note in table.words.sentences)


# ---------------------------------------------------------------------------- prompts


def test_the_range_over_prompts_is_that_of_the_statistics(tmp_path: Path):
    """LLaMA moves with the prompt and FLAN-T5 does not; the two interact."""
    about = spec(LLAMA, LLAMA2, FLAN, FLAN2)
    found = collected(tmp_path, about)

    frame = spreads(found, about).filter(pl.col("column") == "toy_overlap")

    llama, flan, both = frame.sort("kind", descending=True).iter_rows(named=True)
    assert (llama["lowest"], llama["highest"]) == (LLAMA.id, LLAMA2.id)
    assert llama["value"] == pytest.approx(0.25)
    assert llama["p"] < 0.001
    assert (flan["value"], flan["p"]) == (0, 1)
    assert both["kind"] == "interaction"
    assert both["p"] < 0.001
    rows = [found.scores[c.id, KEY].select(Toy().statistics).to_numpy() for c in (LLAMA, LLAMA2)]
    resampler = Resampler.by(range(N))
    assert llama["value"] == pytest.approx(spread(rows, Toy().score, resampler)[0].value)


@pytest.mark.slow
def test_models_asked_together_have_the_numbers_of_each_alone(tmp_path: Path):
    """Though one should have other rows than the rest, or three prompts where others have two."""

    def varied(made_by: Condition, row: int, sample: int) -> str:
        n = np.random.default_rng([row, *made_by.id.encode()]).integers(2, 12)
        return " ".join(f"w{i}" for i in range(n))

    short, long, third = (
        tuple(condition(name, name.title(), f"prompt{i}") for i in (1, 2))
        for name in ("short", "long", "third")
    )
    long = (*long, condition("long", "Long", "none"))
    models = (short, (LLAMA, LLAMA2), long, third)
    about = spec(*(c for model in models for c in model))
    whole = collected(tmp_path, about, varied)
    few = whole.examples.select(example="id").head(44)
    expected = {c.id: whole.expected[c.id].join(few, on="example", how="semi") for c in short}
    found = replace(whole, expected={**whole.expected, **expected})

    def of(*some: tuple[Condition, ...]) -> pl.DataFrame:
        lines = spreads(found, spec(*(c for model in some for c in model)))
        kind = "interaction" if len(some) > 1 else "spread"
        return lines.filter(pl.col("kind") == kind).drop("p_holm", "p_bh")

    alone = pl.concat([*map(of, models), *(of(*pair) for pair in combinations(models, 2))])

    assert spreads(found, about).drop("p_holm", "p_bh").equals(alone)
    assert alone["p"].n_unique() > 8
    assert alone.height == 2 * (4 + 6)


class LogWords(Toy):
    """A score that is nothing but length."""

    def _row(self, text: str, reference: str) -> list[float]:
        return [np.log1p(len(text.split())), len(text.split()), 1]


def test_an_effect_of_length_vanishes_at_equal_length(tmp_path: Path):
    """Where prompt 2 only makes answers longer, what it adds goes."""

    def longer(made_by: Condition, row: int, sample: int) -> str:
        n = 20 + 3 * (row % 7) + (made_by is LLAMA2) * (10 + row % 11)
        return " ".join(f"x{i}" for i in range(n))

    about = spec(LLAMA, LLAMA2, metrics={KEY: LogWords()})
    frame = spreads(collected(tmp_path, about, longer), about)

    (row,) = frame.filter(pl.col("column") == "toy_overlap").iter_rows(named=True)
    assert row["value"] > 0.3
    assert row["adjusted"] == pytest.approx(0, abs=1e-9)


def test_the_rows_that_move_most_come_first(tmp_path: Path):
    """With their scores under both prompts."""

    def one_moves(made_by: Condition, row: int, sample: int) -> str:
        return "w0 w1" if made_by is LLAMA2 and row == 7 else "x y"

    frame = moved(collected(tmp_path, about := spec(LLAMA, LLAMA2), one_moves), about)

    (row,) = frame.filter(pl.col("column") == "toy_overlap").iter_rows(named=True)
    assert (row["example"], row["lowest"], row["highest"]) == ("sample-7", LLAMA.id, LLAMA2.id)
    assert (row["low_score"], row["high_score"]) == (0, 1)


def test_a_ratio_of_sums_has_no_scores_of_rows():
    """Only where the whole is the mean of the rows does a row have a score of its own."""
    rows = [np.array([[1.0, 2, 1], [3, 4, 1]]), np.array([[np.nan] * 3, [1, 1, 1]])]

    class Ratio(Toy):
        def score(self, sums: np.ndarray) -> np.ndarray:
            return sums[..., :2] / sums[..., 1:2]

    own = own_scores(Toy(), rows, 0)
    assert own is not None
    assert own[0].tolist() == [1, 3]
    assert own_scores(Ratio(), rows, 0) is None


# ---------------------------------------------------------------------------- repeats


def test_repeated_samples_are_runs_on_the_same_questions(tmp_path: Path):
    """The spread of the samples' scores stands beside that over questions."""
    sampled = replace(LLAMA, decoding=Decoding(name="s", sample=True, samples=3, max_new_tokens=9))

    def noisy(made_by: Condition, row: int, sample: int) -> str:
        return " ".join(["w0"] * (1 + sample) + ["x"] * (7 - sample))

    found = collected(tmp_path, about := spec(sampled, FLAN), noisy)
    (row, _) = repeats(found, about).iter_rows(named=True)

    assert (row["runs"], row["n"], row["n_questions"]) == ("3 samples", N, N // 2)
    assert row["mean"] == pytest.approx(2 / 8)
    assert row["deviation"] == pytest.approx(1 / 8)
    assert row["error_questions"] == 0
    assert row["share"] == 1
    (table,) = tables(build(found, about), "repeats")
    assert table.groups[0].label == "LLaMA 3.1 8B Instruct, Prompt 1: 3 samples"
    assert cells(table, 0)[0] == "0.2500"


def test_conditions_that_differ_in_a_seed_alone_are_runs():
    """Of decoding, and of training; another temperature is another condition."""
    hot = Decoding(name="s0", sample=True, max_new_tokens=9)
    seeds = [replace(LLAMA, decoding=replace(hot, name=f"s{i}", seed=i)) for i in range(2)]
    other = replace(LLAMA, decoding=replace(hot, name="hot", temperature=2.0))
    tuned = [condition(f"tuned{i}", f"Tuned, seed {i}", "prompt1") for i in range(3)]
    pairs = tuple(
        Comparison(c.id, LLAMA.id, None, f"seed {i}", 525 if i < 2 else 9, i, "all", "f")
        for i, c in enumerate(tuned)
    )

    found = list(repeated(spec(*seeds, other, LLAMA, *tuned, finetunes=pairs)))

    assert [one.conditions for one in found] == [
        tuple(c.id for c in seeds), (tuned[0].id, tuned[1].id),
    ]  # fmt: skip
    assert found[1].label == "LLaMA 3.1 8B Instruct, Prompt 1, n = 525"


def test_without_repeats_there_is_no_section(tmp_path: Path):
    """Greedy answers are equal however often they are made."""
    of = report(tmp_path, spec(HUMAN, LLAMA, LLAMA2))

    assert GREEDY.samples == 1
    assert "repeats" not in {section.file for section in of.sections}
