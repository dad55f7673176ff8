"""Which of n samples is chosen: by hand, and by code that knows nothing of the implementation."""

import hashlib
import random

import polars as pl
import pytest

from empathy_core.best_of import CHOSEN, RATED, choose

ROWS = [
    # example, sample, score, red
    ("a", 0, 1.0, False),
    ("a", 1, 3.0, True),
    ("a", 2, 2.0, False),
    ("b", 0, None, False),
    ("b", 1, 0.5, False),
    ("b", 2, None, False),
    ("c", 0, 2.0, True),
    ("c", 1, 3.0, None),
    ("c", 2, None, False),
    ("d", 0, 1.0, False),
    ("d", 1, 1.0, False),
    ("d", 2, 9.0, False),
]


def rated(rows: list[tuple[str, int, float | None, bool | None]] = ROWS) -> pl.DataFrame:
    """Return samples as ``choose`` takes them."""
    return pl.DataFrame(rows, schema=RATED, orient="row")


def test_the_best_is_chosen_that_has_a_score_and_no_severe_fault():
    """Of a the best is faulty, of b one has a score, of c none is sound, and is counted."""
    found = choose(rated(), 3, better="higher")

    assert dict(found.schema) == CHOSEN
    assert found.rows() == [
        ("a", 2, 2.0, 1, 0, 1),
        ("b", 1, 0.5, 1, 2, 0),
        ("c", None, None, 0, 1, 2),
        ("d", 2, 9.0, 1, 0, 0),
    ]


def test_only_the_first_n_samples_are_looked_at():
    """The third sample of d, the best of all, is beyond n = 2, where the two others are tied."""
    found = choose(rated(), 2, better="higher").filter(example="d")

    assert found["score"].to_list() == [1.0]
    assert found["tied"].to_list() == [2]


def test_lower_is_better_where_the_column_says_so():
    """Of a the lowest is the first."""
    assert choose(rated(), 3, better="lower")["sample"].to_list() == [0, 1, None, chosen_of_d()]


def chosen_of_d(seed: int = 0) -> int:
    """Return which of the two equal samples of d has the smaller hash, computed here."""
    return min((0, 1), key=lambda i: hashlib.sha256(f"best of n:{seed}:d:{i}".encode()).hexdigest())


def test_ties_are_drawn_by_a_hash_that_knows_no_place():
    """Over many questions each place wins as often as another, whatever the order of the rows."""
    names = [f"q{i}" for i in range(900)]
    rows = [(name, sample, 1.0, False) for name in names for sample in range(3)]

    found = choose(rated(rows), 3, better="higher")
    backwards = choose(rated(rows[::-1]), 3, better="higher").sort("example")

    assert backwards.equals(found.sort("example"))
    counts = found["sample"].value_counts()["count"].to_list()
    assert all(240 < n < 360 for n in counts)  # 300 expected, four standard errors of 14
    assert not choose(rated(rows), 3, better="higher", seed=1).equals(found)


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_it_chooses_as_twenty_lines_do_that_were_written_without_it(better: str):
    """Scores with ties, gaps and faults, drawn at random."""
    chance = random.Random(18)
    rows = [
        (
            f"q{i}",
            s,
            chance.choice([None, 0.0, 0.5, 1.0]),
            chance.choice([False, False, True, None]),
        )
        for i in range(200)
        for s in range(5)
    ]
    expected = []
    for i in range(200):
        best = None
        for name, s, score, red in rows:
            if name != f"q{i}" or s >= 4 or score is None or red is not False:
                continue
            draw = hashlib.sha256(f"best of n:7:{name}:{s}".encode()).hexdigest()
            key = (-score if better == "higher" else score, draw)
            if best is None or key < best[0]:
                best = (key, s, score)
        expected.append((f"q{i}", best[1] if best else None, best[2] if best else None))

    found = choose(rated(rows), 4, better=better, seed=7)

    assert found.select("example", "sample", "score").rows() == expected
    assert 0 < found["sample"].null_count() < 100
