"""A judge's mean with missing ratings at either end: which of them count as missing."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from reports.numbers.judge_bounds import judge_bounds
from reports.rows.align import Aligned
from reports.rows.collect import collect
from tests.runs.by_hand import N_EXAMPLES
from tests.runs.preferred import IDS, RATING, Rates, preferred_run, preferred_spec

LOST, DOES_NOT_APPLY, LOST_BY_ONE = 3, 5, 8


@dataclass(frozen=True)
class Fails(Rates):
    """Fails at one example under all conditions; at another the question applies to no reply."""

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return planted statistics, some of them lost."""
        found = super().measure(rows, state)
        at = {name: i for i, name in enumerate(self.statistics)}
        for row, (condition, example) in enumerate(rows.select("condition", "example").iter_rows()):
            i = int(example.rpartition("-")[2])
            why = {LOST: "low_mass", DOES_NOT_APPLY: "not_applicable"}.get(i)
            why = "too_long" if i == LOST_BY_ONE and condition == IDS[0] else why
            if why:
                found[row, : at["n"]] = np.nan
                found[row, at[why]], found[row, at["judged"]] = 1, why != "too_long"
        return found


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_what_a_judge_lost_counts_and_a_question_that_applies_to_none_does_not(
    tmp_path: Path, direction: Any
):
    """By a few lines of numpy; where lower is better the worst is the greatest."""
    usual = preferred_spec(every=False)
    rates = usual.metrics[RATING]
    of = replace(rates.dimension, direction=direction)
    judge = Fails("tiny", "Tiny", rates.model, replace(rates.rubric, dimensions=(of,)))
    about = replace(usual, metrics={RATING: judge})
    run = preferred_run(tmp_path / "r", about)
    aligned = Aligned.of(collect(run, about), IDS)

    found = judge_bounds(aligned, [(RATING, judge)]).to_dicts()

    assert [row["condition"] for row in found] == list(IDS)
    for i, row in enumerate(found):
        scores = aligned.by_row(RATING, ("score",))[i][:, 0]
        known, n_lost = scores[~np.isnan(scores)], 2 if i == 0 else 1
        counted = N_EXAMPLES - 1  # all but that to which the question does not apply
        ends = [known.sum() / counted, (known.sum() + 2 * n_lost) / counted]
        wanted = [known.mean(), *(ends if direction == "higher" else ends[::-1])]
        assert (row["n"], row["n_missing"]) == (len(known), n_lost + 1)
        assert [row[of] for of in ("mean", "worst", "best")] == pytest.approx(wanted, abs=1e-12)
