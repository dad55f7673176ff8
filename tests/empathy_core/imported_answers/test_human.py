"""The Therapist Baseline: who answers for whom, and the numbers it gives on the real rows."""

from collections import Counter
from functools import cache

import polars as pl
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from empathy_core import data, metrics
from empathy_core.data import DataSpec, EvaluateSpec, Source, prepare
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.imported_answers import human
from empathy_core.store import EVALUATED
from tests.runs.command_line import SHARED

pytestmark = pytest.mark.slow

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no folder {SHARED}")


def _frame(rows: list[tuple[str, str, str | None, int | None]]) -> pl.DataFrame:
    """Return examples from (question, answer, author, block)."""
    return pl.DataFrame(
        [
            (f"s-{i:05d}", question, f"{question}|{answer}", author, answer, block)
            for i, (question, answer, author, block) in enumerate(rows)
        ],
        schema=["id", "question", "pair", "author", "response", "block"],
        orient="row",
        strict=False,
    ).with_columns(pl.col("author").cast(pl.String), pl.col("block").cast(pl.Int32))


ROWS = [
    ("sleep", "early", "Ann", 0),
    ("sleep", "early", "Ann", 0),  # an exact copy
    ("sleep", "tea", "Ann", 0),
    ("sleep", "walk", "Bea", None),  # not evaluated, but may answer for others
    ("grief", "time", "Ann", 0),  # nobody else answered
    ("anger", "pause", None, 1),
    ("anger", "count", None, 1),
]


def test_dropped_duplicates_leave_one_row_a_pair_and_another_author():
    """Copies count once, and a stranger is preferred to another answer of the same author."""
    frame = _frame(ROWS)

    drawn = human.answers(frame)

    assert drawn.select("example", "text", "partner").rows() == [
        ("s-00000", "walk", "s-00003"),
        ("s-00002", "walk", "s-00003"),
        ("s-00005", "count", "s-00006"),
        ("s-00006", "pause", "s-00005"),
    ]
    assert not drawn["copy"].any()
    assert human.coverage(frame, drawn) == human.TherapistCoverage(
        4, 0.0, without_partner=1, repeated=1
    )


def test_the_same_author_answers_where_nobody_else_did():
    """A therapist's second, different answer is better than none."""
    frame = _frame([("sleep", "early", "Ann", 0), ("sleep", "tea", "Ann", None)])

    assert human.answers(frame)["text"].to_list() == ["tea"]


def test_kept_duplicates_may_be_drawn():
    """With copies kept every other row may answer, and the copies are counted."""
    frame = _frame(ROWS[:2] + ROWS[4:5])

    drawn = human.answers(frame, duplicates="keep")

    assert drawn.rows() == [
        ("s-00000", "early", "s-00001", True),
        ("s-00001", "early", "s-00000", True),
    ]
    assert human.coverage(frame, drawn, duplicates="keep") == human.TherapistCoverage(2, 1.0, 1, 0)


def test_nothing_evaluated_gives_no_answers():
    """An empty draw has the schema and a share of 0."""
    frame = _frame([("sleep", "early", "Ann", None)])

    drawn = human.answers(frame)

    assert dict(drawn.schema) == human.ANSWERS
    assert human.coverage(frame, drawn) == human.TherapistCoverage(0, 0.0, 0, 0)


rows = st.lists(
    st.tuples(
        st.sampled_from(["q1", "q2", "q3"]),
        st.sampled_from("abcde"),
        st.sampled_from(["Ann", "Bea", None]),
        st.sampled_from([0, 1, None]),
    ),
    max_size=30,
)


@given(rows=rows, seed=st.integers(0, 99), duplicates=st.sampled_from(["drop", "keep"]))
def test_a_partner_is_another_row_of_the_same_question(rows: list, seed: int, duplicates: str):
    """Nobody answers for oneself or for another question; the draw does not see the row order."""
    frame = _frame(rows)

    drawn = human.answers(frame, duplicates=duplicates, seed=seed)

    by_id = {row["id"]: row for row in frame.to_dicts()}
    for example, text, partner, copy in drawn.iter_rows():
        own, other = by_id[example], by_id[partner]
        assert example != partner
        assert own["question"] == other["question"]
        assert text == other["response"]
        assert copy == (own["pair"] == other["pair"])
        assert own["block"] is not None
        assert not (copy and duplicates == "drop")
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    again = human.answers(shuffled, duplicates=duplicates, seed=seed)
    assert again.sort("example").equals(drawn.sort("example"))


def test_the_seed_decides_among_several_partners():
    """Each of four partners is drawn by some seed, and a seed always draws the same."""
    frame = _frame([("q", answer, None, 0 if answer == "a" else None) for answer in "abcde"])

    drawn = [human.answers(frame, seed=seed)["text"].to_list()[0] for seed in range(60)]

    assert set(Counter(drawn)) == set("bcde")
    assert drawn[7] == human.answers(frame, seed=7)["text"].to_list()[0]


# ---------------------------------------------------------------------------- real rows


@cache
def _amod_like() -> pl.DataFrame:
    source = Source(
        "amod_like",
        path=str(SHARED / "counsel-chat" / "amod_like_3512.csv.gz"),
        context=("Context",),
        response="Response",
        author="therapist",
    )
    return prepare(DataSpec((source,), duplicates="keep"), EvaluateSpec(split="all")).examples


def _pairs(duplicates: str) -> tuple[list[str], list[str]]:
    """Return the drawn answers and the references."""
    frame = _amod_like()
    references = dict(frame.select("id", "response").iter_rows())
    drawn = human.answers(frame, duplicates=duplicates)
    return drawn["text"].to_list(), [references[name] for name in drawn["example"]]


def _bleu(texts: list[str], references: list[str]) -> float:
    return sacrebleu.corpus_bleu(texts, [references], smooth_method="none").score / 100


def _rouge1(texts: list[str], references: list[str], *, stemmer: bool = False) -> float:
    scorer = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=stemmer)
    scores = [scorer.score(r, t) for t, r in zip(texts, references, strict=True)]
    return sum(score["rouge1"].fmeasure for score in scores) / len(scores)


@needs_shared
def test_the_human_ceiling_without_copies_is_low():
    """1,575 answers against another therapist's: BLEU about .02, ROUGE-1 about .28."""
    texts, references = _pairs("drop")

    assert len(texts) == 1575
    assert 0.02 <= _bleu(texts, references) <= 0.03
    assert 0.27 <= _rouge1(texts, references) <= 0.29
    assert 0.29 <= _rouge1(texts[::2], references[::2], stemmer=True) <= 0.31


@needs_shared
def test_copies_of_the_reference_give_the_published_baseline():
    """3,423 rows with duplicates kept: BLEU about .4 and ROUGE-1 above .5."""
    texts, references = _pairs("keep")

    assert len(texts) == 3423
    assert 0.35 <= _bleu(texts, references) <= 0.43
    assert 0.50 <= _rouge1(texts[::2], references[::2]) <= 0.55


@needs_shared
def test_what_stands_behind_the_therapists_rows():
    """About a third of the partners are copies, and 448 questions have nobody else's answer."""
    frame = _amod_like()
    dropped = human.coverage(frame, human.answers(frame))
    drawn = human.answers(frame, duplicates="keep")
    kept = human.coverage(frame, drawn, duplicates="keep")

    assert (dropped.n, dropped.copies, dropped.without_partner) == (1575, 0.0, 448)
    assert (kept.n, kept.without_partner) == (3423, 85)
    assert 0.30 <= kept.copies <= 0.36


def test_with_several_references_each_answer_is_left_out_once():
    """Every answer that has others beside it counts once, as itself; copies count once."""
    lists = [["early", "tea", "walk"]] * 2 + [["tea", "early", "walk"], None, ["time"],
             ["pause", "count"], ["count", "pause"]]  # fmt: skip
    frame = _frame(ROWS).with_columns(pl.Series(ALL_REFERENCES, lists, dtype=pl.List(pl.String)))

    drawn = human.answers(frame)

    assert drawn.rows() == [
        ("s-00000", "early", "s-00000", False),
        ("s-00002", "tea", "s-00002", False),
        ("s-00005", "pause", "s-00005", False),
        ("s-00006", "count", "s-00006", False),
    ]
    assert human.coverage(frame, drawn) == human.TherapistCoverage(
        4, 0.0, without_partner=1, repeated=1, references=1.5
    )
    kept = human.answers(frame, duplicates="keep")
    assert kept["example"].to_list()[:2] == ["s-00000", "s-00001"]


@needs_shared
def test_all_other_answers_as_references_give_the_figures_that_were_measured_apart():
    """1,575 answers, each against all others to its question: BLEU .078, ROUGE-1 .358 (stems)."""
    source = Source(
        "amod", path=str(SHARED / "counsel-chat" / "amod_like_3512.csv.gz"),
        context=("Context",), response="Response",
    )  # fmt: skip
    spec = DataSpec((source,), references="question")
    examples = prepare(spec, EvaluateSpec(split="all")).examples
    drawn = human.answers(examples)
    others = data.references.compared(examples.filter(EVALUATED), people=True)
    rows = drawn.join(others, left_on="example", right_on="id", maintain_order="left")
    found = human.coverage(examples, drawn)

    assert (found.n, found.without_partner, round(found.references, 1)) == (1575, 448, 8.5)
    of_metrics = {"bleu": {}, "rouge": {"use_stemmer": True}}
    scores = {}
    for name, options in of_metrics.items():
        metric = metrics.prepared(name, options, examples.filter(EVALUATED))
        state = metric.reference_state(metrics.references_of(metric, rows))
        sums = metric.measure(rows, state).sum(axis=0)
        scores[name] = metric.score(sums)
    assert round(scores["bleu"][0], 3) == 0.078
    assert scores["rouge"][:3].round(3).tolist() == [0.358, 0.068, 0.169]
