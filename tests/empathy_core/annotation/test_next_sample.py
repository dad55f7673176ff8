"""The next round's chances are what they say, and undo that questions with gaps are drawn more."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.annotation import SAMPLE
from empathy_core.annotation.next_sample import next_sample, systematic, with_gaps
from empathy_core.errors import ConfigError


def _before(strata: dict[str, int], twice: int = 0) -> pl.DataFrame:
    """Return an earlier sample; the first *twice* questions have two examples each."""
    rows = [
        {"example": f"{name}{i}{part}", "question": f"{name}{i}", "stratum": name, "tier": "",
         "chance": 0.5, "chosen": False}
        for name, n in strata.items() for i in range(n) for part in ("ab" if i < twice else "a")
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SAMPLE)


@pytest.mark.slow  # thousands of draws
def test_each_example_is_drawn_as_often_as_its_chance_says():
    """4,000 drawings; the bound is four standard errors of a share."""
    before, n = _before({"s": 30, "t": 12}, twice=3), 12
    favoured = {f"s{i}a" for i in range(8)} | {"t0a"}
    times = Counter[str]()
    for seed in range(4000):
        sample = next_sample(before, favoured, 3.0, n, seed)
        times.update(sample.filter("chosen")["example"])
    chance = dict(sample.select("example", "chance").iter_rows())

    for example, of in chance.items():
        assert times[example] / 4000 == pytest.approx(of, abs=4 * np.sqrt(of * (1 - of) / 4000))
    assert chance["s5a"] == pytest.approx(3 * chance["s20a"])
    assert chance["s0a"] == chance["s0b"] == pytest.approx(chance["s5a"] / 2)


@pytest.mark.slow  # thousands of draws
def test_weighted_by_its_chances_the_mean_is_that_of_all_questions():
    """Low questions are drawn more often: the plain mean is too low, the weighted one is right."""
    rng = np.random.default_rng(1)
    before = _before({"s": 120})
    value = dict(zip(before["example"], rng.integers(1, 6, 120).astype(float), strict=True))
    low = {example for example, of in value.items() if of <= 2}
    plain, weighted = [], []
    for seed in range(1000):
        chosen = next_sample(before, low, 3.0, 30, seed).filter("chosen")
        own = np.array([value[e] for e in chosen["example"]])
        weight = 1 / chosen["chance"].to_numpy()
        plain.append(own.mean())
        weighted.append((own * weight).sum() / weight.sum())
    mean = float(np.mean(list(value.values())))

    assert np.mean(weighted) == pytest.approx(mean, abs=4 * np.std(weighted) / np.sqrt(1000) + 0.01)
    assert np.mean(plain) < mean - 0.4


@given(
    chances=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30),
    start=st.floats(0, 1, exclude_max=True),
)
def test_a_systematic_sample_has_the_expected_size(chances: list[float], start: float):
    names = [str(i) for i in range(len(chances))]

    drawn = systematic(names, chances, start)

    assert len(set(drawn)) == len(drawn)
    assert abs(len(drawn) - sum(chances)) < 1 + 1e-9
    assert {str(i) for i, chance in enumerate(chances) if chance == 1.0} <= set(drawn)


@given(
    sizes=st.lists(st.integers(2, 40), min_size=1, max_size=4), share=st.floats(0.2, 1.0),
    times=st.floats(1.0, 20.0), seed=st.integers(0, 9),
)  # fmt: skip
def test_as_many_questions_are_drawn_as_are_asked_for(
    sizes: list[int], share: float, times: float, seed: int
):
    before = _before({f"s{i}-": size for i, size in enumerate(sizes)}, twice=2)
    n = max(2 * len(sizes), int(share * sum(sizes)))
    sample = next_sample(before, {"s0-0a", "s0-1b"}, times, n, seed)
    chosen = sample.filter("chosen")

    assert chosen.height == chosen["question"].n_unique() == n
    assert sample["chance"].min() > 0
    assert sample.group_by("question").agg(pl.col("chance").sum())["chance"].max() <= 1 + 1e-9
    assert sample["chance"].sum() == pytest.approx(n)
    assert chosen.group_by("stratum").len()["len"].min() >= 2
    assert next_sample(before, {"s0-0a", "s0-1b"}, times, n, seed).equals(sample)


def test_more_questions_than_there_are_cannot_be_drawn():
    with pytest.raises(ConfigError, match="13 questions are to be drawn and the run has 12"):
        next_sample(_before({"s": 12}), set(), 3.0, 13, 0)


def test_the_third_with_the_largest_gaps_is_favoured_and_ties_at_its_end_are_not():
    gaps = {"a": 0.9, "b": 0.8, "c": 0.5, "d": 0.5, "e": 0.1, "f": 0.0}

    assert with_gaps(gaps) == {"a", "b"}
    assert with_gaps(gaps | {"b": 0.5}) == {"a"}
    assert with_gaps(dict.fromkeys("abcdef", 0.0)) == set()
    assert with_gaps({}) == set()
