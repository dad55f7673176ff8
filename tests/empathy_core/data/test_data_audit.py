"""The audit: its counts on frames made by hand, and on the real CounselChat rows."""

import random
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from empathy_core.data import (
    DataSpec,
    EvaluateSpec,
    PreparedRows,
    Source,
    audit_text,
    prepare,
    source,
)
from empathy_core.data import near_duplicates as neighbours
from tests.runs.command_line import SHARED

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no folder {SHARED}")
CHAT = SHARED / "counsel-chat"
AMOD_LIKE = Source(
    "amod_like",
    path=str(CHAT / "amod_like_3512.csv.gz"),
    context=("Context",),
    response="Response",
    author="therapist",
)
COUNSELCHAT = (
    replace(source("counselchat_2020"), path=str(CHAT / "20200325_counsel_chat.csv")),
    replace(source("counselchat_export"), path=str(CHAT / "counselchat-data.csv")),
)


@cache
def _prepared(sources: tuple[Source, ...], protocol: str, duplicates: str) -> PreparedRows:
    spec = DataSpec(sources, protocol=protocol, duplicates=duplicates)
    return prepare(spec, EvaluateSpec(split="all"))


# ---------------------------------------------------------------------------- near duplicates


def _jaccard(one: str, two: str, words: int = 5) -> float:
    """Return the similarity by its definition, on sets of word tuples."""
    import re

    def shingles(text: str) -> set[tuple[str, ...]]:
        found = re.findall(r"\w+", text.lower())
        return {tuple(found[i : i + words]) for i in range(len(found) - words + 1)}

    a, b = shingles(one), shingles(two)
    return len(a & b) / len(a | b) if a and b else 0.0


def test_near_duplicates_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch):
    """Every pair, and no other, reaches the threshold; however small the chunks are."""
    rng = random.Random(0)
    base = [[f"w{rng.randrange(60)}" for _ in range(rng.randrange(3, 50))] for _ in range(40)]
    edited = [[*words[:-1], "new"] if rng.random() < 0.7 else words[2:] for words in base]
    texts = [" ".join(words) for words in (*base, *edited)]
    expected = [
        [i, j] for i, j in combinations(range(80), 2) if _jaccard(texts[i], texts[j]) >= 0.8
    ]

    whole = neighbours.near_duplicates(texts)
    for bound in ("_BYTES_PER_CHUNK", "_TEXTS_PER_CHUNK", "_PAIRS_PER_CHUNK", "_WAITING_PAIRS"):
        monkeypatch.setattr(neighbours, bound, 7)
    chunked = neighbours.near_duplicates(texts)

    assert len(expected) > 10
    assert whole.tolist() == expected
    assert np.array_equal(whole, chunked)


@pytest.mark.parametrize("threshold", [0.3, 0.8, 1.0])
def test_frequent_sequences_hide_no_pair(threshold: float):
    """Texts of few words share many sequences; the pairs are those of sparse matrix products."""
    from scipy.sparse import csr_matrix

    rng = random.Random(1)
    base = [[f"w{rng.randrange(9)}" for _ in range(rng.randrange(60))] for _ in range(150)]
    edited = [["new" if rng.random() < 0.02 else word for word in words] for words in base]
    texts = [" ".join(words) for words in (*base, *edited)]
    sets = [{tuple(t.split()[i : i + 5]) for i in range(len(t.split()) - 4)} for t in texts]
    known = {one: i for i, one in enumerate(dict.fromkeys(one for of in sets for one in of))}
    columns = [known[one] for of in sets for one in of]
    sizes = np.array([len(of) for of in sets])
    table = csr_matrix(
        (np.ones(len(columns)), columns, np.concatenate([[0], np.cumsum(sizes)])),
        shape=(len(texts), len(known)),
    )
    shared = (table @ table.T).toarray()
    union = sizes[:, None] + sizes - shared
    expected = np.argwhere(np.triu((shared >= threshold * union - 1e-6) & (union > 0), 1))
    expected = expected[shared[tuple(expected.T)] > 0]

    assert len(expected) > 20
    assert np.array_equal(neighbours.near_duplicates(texts, threshold), expected)


def test_no_texts_have_no_neighbours():
    """Empty input and texts of fewer than five words give no pair."""
    assert neighbours.near_duplicates([]).shape == (0, 2)
    assert neighbours.near_duplicates(["one two", "one two"]).shape == (0, 2)


@needs_shared
@pytest.mark.slow
def test_near_duplicates_of_6000_answers_are_found():
    """Three variants of each real answer, more than could be compared one by one."""
    answers = _prepared((AMOD_LIKE,), "question", "drop").examples["response"].to_list()
    texts = [
        *answers,
        *(f"{a} Take care of yourself." for a in answers),
        *(a[:-1] for a in answers),
    ]

    pairs = neighbours.near_duplicates(texts)

    assert len(texts) > 6000
    assert len(pairs) > 5000


# ---------------------------------------------------------------------------- by hand


def _lines(tmp_path, name: str, rows: list[tuple[str, str]]) -> Source:
    path = tmp_path / f"{name}.csv"
    pl.DataFrame(rows, schema=["q", "a"], orient="row").write_csv(path)
    return Source(name, path=str(path), context=("q",), response="a", licence="CC0")


LONG = "take one small step today and tell somebody you trust how it went and how you feel about it"


def test_duplicates_and_leaks_are_counted_within_and_across_sources(tmp_path):
    """Each surplus row, near pair and leak of two small files is told apart."""
    one = [("Why?", "So."), ("why", "SO!"), ("How?", LONG), ("", "lost"), ("When?", "")]
    two = [("Why?", "so"), ("Who?", f"{LONG} now"), ("How?", "Slowly.")]
    sources = (_lines(tmp_path, "one", one), _lines(tmp_path, "two", two))

    kept = prepare(DataSpec(sources, duplicates="keep"), EvaluateSpec(split="all")).audit
    dropped = prepare(DataSpec(sources), EvaluateSpec(split="all")).audit

    assert [(s["raw"], s["kept"]) for s in kept["sources"]] == [(5, 3), (3, 3)]
    assert [(s["raw"], s["kept"]) for s in dropped["sources"]] == [(5, 2), (3, 2)]
    assert kept["sources"][0]["dropped"] == {"empty context": 1, "empty response": 1}
    assert dropped["sources"][1]["dropped"] == {"duplicate of an earlier row": 1}
    for audit in (kept, dropped):
        exact = audit["exact_duplicates"]
        assert (exact["rows"], exact["distinct_pairs"]) == (6, 4)
        assert exact["pairs_by_times"] == {"1": 3, "3": 1}
        assert exact["surplus_rows_within_sources"] == 1
        assert exact["surplus_rows_across_sources"] == 1
        assert audit["near_duplicates"]["pairs_across_sources"] == 1
        assert audit["near_duplicates"]["pairs_within_sources"] == 0
        assert audit["near_duplicates"]["rows"] == 2
    assert kept["answers_per_question"] == {"1": 1, "2": 1, "3": 1}
    assert dropped["answers_per_question"] == {"1": 2, "2": 1}
    assert dropped["words"]["response"] == {
        "0%": 1, "5%": 1, "25%": 1, "50%": 19, "75%": 19, "95%": 20, "100%": 20,
    }  # fmt: skip


def test_leaks_are_counted_by_hand(tmp_path):
    """Under the row protocol the audit counts the very questions and answers on two sides."""
    rows = [(f"Question {i % 20}?", f"Answer number {i % 30}.") for i in range(60)]
    spec = DataSpec((_lines(tmp_path, "one", rows),), protocol="row", duplicates="keep")

    prepared = prepare(spec, EvaluateSpec())

    sides: dict[str, dict[str, set[str]]] = {"context": {}, "response": {}}
    for row in prepared.examples.to_dicts():
        for column, found in sides.items():
            found.setdefault(row[column], set()).add(row["split"])
    leaks = prepared.audit["leaks"]
    assert leaks["questions"] == sum(len(s) > 1 for s in sides["context"].values()) > 0
    assert leaks["answers"] == sum(len(s) > 1 for s in sides["response"].values()) > 0
    held_out = [r for r in prepared.examples.to_dicts() if r["split"] != "train"]
    assert leaks["held_out_rows"] == len(held_out) == 15
    assert leaks["held_out_rows_answer_in_train"] == sum(
        "train" in sides["response"][row["response"]] for row in held_out
    )


# ---------------------------------------------------------------------------- real rows


@pytest.mark.slow
@needs_shared
def test_the_counts_behind_the_papers_main_source():
    """3,512 rows hold 2,023 pairs: 592 once, 1,377 twice, 54 three times, on 830 questions.

    Four more pairs (so 2,027) have an empty answer and are dropped.
    """
    audit = _prepared((AMOD_LIKE,), "question", "keep").audit

    (counts,) = audit["sources"]
    exact = audit["exact_duplicates"]
    assert counts["raw"] == 3512
    assert counts["dropped"] == {"empty response": 4}
    assert exact["distinct_pairs"] + counts["dropped"]["empty response"] == 2027
    assert exact["pairs_by_times"] == {"1": 592, "2": 1377, "3": 54}
    assert audit["questions"] == 830


@pytest.mark.slow  # the whole data set
@needs_shared
def test_448_questions_have_one_answer_once_duplicates_are_dropped():
    """So the therapists' row covers other questions than the models' rows."""
    audit = _prepared((AMOD_LIKE,), "question", "drop").audit

    assert audit["rows"] == 2023
    assert audit["answers_per_question"]["1"] == 448


@pytest.mark.slow
@needs_shared
def test_the_two_files_of_counselchat_are_read_as_they_are():
    """Null questions, empty answers, HTML and run-together paragraphs have their counts."""
    first, export = _prepared(COUNSELCHAT, "row", "keep").audit["sources"]

    assert (first["raw"], first["kept"]) == (2129, 2129)
    assert export["raw"] == 1482
    # Five answers are empty, one of them to a null question.
    assert export["dropped"] == {"empty context": 99, "empty response": 4}
    assert export["kept"] == 1379
    assert export["repaired"]["HTML"] > 1300
    assert first["repaired"]["sentences run together"] > 1000


@pytest.mark.slow  # the whole data set
@needs_shared
def test_the_papers_split_leaks_and_ours_does_not():
    """By rows most test questions stand in train; by questions none does."""
    rows = _prepared(COUNSELCHAT, "row", "keep").audit["leaks"]
    questions = _prepared((AMOD_LIKE,), "question", "keep").audit["leaks"]

    assert rows["questions"] > 300
    assert rows["held_out_rows_question_in_train"] > 0.8 * rows["held_out_rows"]
    assert rows["held_out_rows_answer_in_train"] > 0.5 * rows["held_out_rows"]
    assert questions["questions"] == 0
    assert questions["held_out_rows_question_in_train"] == 0


@needs_shared
def test_the_terminal_shows_every_part_within_its_width():
    """Sources, duplicates, splits, leaks, lengths and evaluated rows, in 100 columns."""
    shown = audit_text(_prepared((AMOD_LIKE,), "question", "keep").audit)

    for part in ("SOURCES", "DUPLICATES", "SPLITS", "LEAKS", "ANSWERS PER", "LENGTHS", "EVALUATED"):
        assert part in shown
    assert "592 occur once, 1,377 occur twice, 54 occur 3 times" in shown
    assert max(map(len, shown.splitlines())) <= 100
