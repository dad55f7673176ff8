"""Which questions people get, with what chance, and who rates them with whom."""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import polars as pl
import pytest

from empathy_core.annotation.assignment import Teams, assigned, rater_names
from empathy_core.annotation.sampling import Candidate, chances_by_stratum, draw
from empathy_core.errors import ConfigError


def _candidates(sizes: dict[tuple[str, str], int], examples: int = 1) -> list[Candidate]:
    return [
        Candidate(f"{source}-{tier}-{i}-{k}", f"{source}{tier}{i}", source, tier)
        for (source, tier), n in sizes.items()
        for i in range(n)
        for k in range(examples)
    ]


SIZES = {("a", "none"): 60, ("a", "active"): 8, ("b", "none"): 30, ("b", "active"): 2}


def test_questions_are_drawn_in_proportion_and_two_of_each_stratum_at_least():
    sample = draw(_candidates(SIZES), 20)

    assert chances_by_stratum(sample) == {
        "a, active": (2, 8), "a, none": (11, 60), "b, active": (2, 2), "b, none": (5, 30),
    }  # fmt: skip
    chances = sample.select("stratum", "chance").unique()
    assert dict(chances.iter_rows()) == {
        "a, active": 2 / 8, "a, none": 11 / 60, "b, active": 1.0, "b, none": 5 / 30,
    }  # fmt: skip


def test_weights_of_what_is_drawn_add_up_to_what_there_is():
    """The sum of 1 / chance over the drawn is the number of examples, in every stratum."""
    candidates = _candidates(SIZES, examples=3)
    sample = draw(candidates, 20, seed=4)
    drawn = sample.filter("chosen")

    assert drawn["question"].is_unique().all()
    totals = drawn.group_by("stratum").agg((1 / pl.col("chance")).sum())
    there = sample.group_by("stratum").len()
    assert dict(totals.iter_rows()) == pytest.approx(dict(there.iter_rows()))


def test_each_example_is_drawn_as_often_as_its_chance_says():
    """Over 4,000 draws, questions with one example and with two."""
    candidates = [*_candidates({("a", "none"): 6}), *_candidates({("b", "none"): 6}, examples=2)]
    times: Counter[str] = Counter()
    for seed in range(4000):
        sample = draw(candidates, 4, by=(), seed=seed)
        times.update(sample.filter("chosen")["example"])
    chance = dict(sample.select("example", "chance").iter_rows())

    assert chance["a-none-0-0"] == pytest.approx(4 / 12)
    assert chance["b-none-0-1"] == pytest.approx(4 / 24)
    for example, expected in chance.items():
        assert times[example] / 4000 == pytest.approx(expected, abs=0.035)


def test_the_draw_depends_on_seed_and_rows_and_not_on_their_order():
    candidates = _candidates(SIZES)
    first, other = draw(candidates, 20, seed=1), draw(candidates, 20, seed=2)
    turned = draw(candidates[::-1], 20, seed=1)

    assert first.filter("chosen").sort("example").equals(turned.filter("chosen").sort("example"))
    assert set(first.filter("chosen")["example"]) != set(other.filter("chosen")["example"])


def test_strata_that_are_too_small_are_joined_within_their_tier_first():
    """A stratum of one question, and more strata than the questions allow."""
    sizes = {("a", "none"): 40, ("b", "none"): 1, ("a", "active"): 5, ("c", "active"): 1}
    sample = draw(_candidates(sizes), 12)
    few = draw(_candidates(sizes), 3)

    assert set(sample["stratum"]) == {"a, none + b, none", "a, active + c, active"}
    assert sum(drawn for drawn, _ in chances_by_stratum(sample).values()) == 12
    assert few["stratum"].n_unique() == 1
    assert few["chosen"].sum() == 3


def test_more_questions_than_there_are_are_refused():
    with pytest.raises(ConfigError, match=r"questions = 101, and this run has 100 to draw from"):
        draw(_candidates(SIZES), 101)
    assert draw(_candidates(SIZES), 100)["chosen"].all()


# ---------------------------------------------------------------------------- raters


@pytest.mark.parametrize(("raters", "each"), [(3, 3), (4, 3), (5, 2), (8, 3), (2, 2)])
@pytest.mark.parametrize("questions", [7, 60])
def test_everybody_rates_as_much_and_every_question_has_its_raters(
    raters: int, each: int, questions: int
):
    names = rater_names(raters)
    strata = {"x": [f"x{i}" for i in range(questions)], "y": [f"y{i}" for i in range(4)]}
    teams = assigned(strata, names, each, seed=5, answers=4)
    load = Counter(rater for team in teams.values() for rater in team)

    assert set(teams) == {*strata["x"], *strata["y"]}
    assert all(len(set(team)) == each for team in teams.values())
    assert max(load.values()) - min(load.values()) <= 1


def test_all_pairs_meet_equally_often_where_they_share_enough():
    questions = {"x": [str(i) for i in range(100)]}
    teams = assigned(questions, rater_names(5), 2, seed=0, answers=4)
    met = Counter(pair for team in teams.values() for pair in combinations(team, 2))

    assert len(met) == 10
    assert max(met.values()) - min(met.values()) <= 2


def shared(teams: Teams, answers: Mapping[str, int]) -> dict[str, int]:
    """Return rater → answers shared with the rater with whom most are."""
    both: Counter[tuple[str, str]] = Counter()
    for question, team in teams.items():
        for first, second in combinations(team, 2):
            both[first, second] += answers[question]
            both[second, first] += answers[question]
    most: dict[str, int] = {}
    for (rater, _), n in both.items():
        most[rater] = max(n, most.get(rater, 0))
    return most


def test_neighbours_share_more_where_all_pairs_would_share_little():
    """Ten raters, 60 questions of two answers: a mixed team would share eight with each other."""
    questions = {"x": [str(i) for i in range(60)]}
    teams = assigned(questions, rater_names(10), 3, seed=0, answers=2)
    most = shared(teams, dict.fromkeys(questions["x"], 2))

    assert most.keys() == set(rater_names(10))
    assert min(most.values()) == 24
    linked = {pair for team in teams.values() for pair in combinations(team, 2)}
    assert {rater for pair in linked for rater in pair} == set(rater_names(10))


def test_teams_in_a_ring_are_linked_even_where_they_divide_it():
    """Nine raters in threes: from one rater every other one is reached over shared questions."""
    teams = assigned({"x": [str(i) for i in range(12)]}, rater_names(9), 3, seed=0)
    reached, before = {"R01"}, set()
    while reached != before:
        before = set(reached)
        reached |= {r for team in teams.values() if reached & set(team) for r in team}

    assert reached == set(rater_names(9))


def test_raters_have_names_that_say_nothing():
    assert rater_names(12)[::11] == ("R01", "R12")
