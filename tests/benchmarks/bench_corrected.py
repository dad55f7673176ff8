"""People's means and corrected judges of a whole report: how long they take.

7 dimensions, 10 systems, 1,000 questions of which 200 are rated by 5 people, one judge: 70 means
and 315 differences, of people and of the judge. Asked are 10 s of processor time, so that others
who use the machine change nothing.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2]))

from empathy_core import rubrics
from empathy_core.annotation import SAMPLE, Round
from empathy_core.metrics._people import CorrectedJudge
from empathy_core.types import Column
from reports.numbers.corrected import peoples_numbers
from reports.rows.people import ANSWERS, SEVERITIES, RatedAnswers

N_SYSTEMS, N_QUESTIONS, N_RATED, N_RATERS = 10, 1_000, 200, 5
BUDGET_S = 10.0
RUBRIC = rubrics.rubric("mentalalign")


def said(systems: list[str], examples: list[str], random: np.random.Generator) -> RatedAnswers:
    """Return ratings of the first questions, in two strata."""
    rated = [(c, e, d.name) for d in RUBRIC.dimensions for c in systems for e in examples[:N_RATED]]
    given = np.clip(np.rint(3 + random.normal(size=(len(rated), N_RATERS))), 1, 5)
    answers = pl.DataFrame(
        [
            (c, e, 0, RUBRIC.name, d, float(of.mean()), of.tolist(), False, False, True)
            for (c, e, d), of in zip(rated, given, strict=True)
        ],
        schema=ANSWERS, orient="row",
    )  # fmt: skip
    sample = pl.DataFrame(
        [(e, e, "ab"[i % 2], "", N_RATED / N_QUESTIONS, i < N_RATED)
         for i, e in enumerate(examples)],
        schema=SAMPLE, orient="row",
    )  # fmt: skip
    asked = tuple((RUBRIC.name, d.name, "") for d in RUBRIC.dimensions)
    made = Round(
        name="r", conditions=tuple(systems), dimensions=asked, raters=("R",), raters_per_item=5,
        data="", seed=0, settings={},
    )  # fmt: skip
    instruments = {(RUBRIC.name, d.name): replace(RUBRIC, dimensions=(d,))
                   for d in RUBRIC.dimensions}  # fmt: skip
    return RatedAnswers(answers, pl.DataFrame(schema=SEVERITIES), {"r": made}, {"r": sample},
                        instruments)  # fmt: skip


def made(random: np.random.Generator) -> tuple[Any, Any]:
    """Return what ``peoples_numbers`` takes, as far as it looks."""
    systems = [f"s{i}" for i in range(N_SYSTEMS)]
    examples = [f"e{i}" for i in range(N_QUESTIONS)]
    frame = pl.DataFrame({"example": examples}, schema={"example": pl.String})
    frame = frame.with_columns(sample=pl.lit(0, pl.Int32))
    judges = {
        f"corrected:{d.name}": CorrectedJudge(Column(f"j_{d.name}", d.label, judge="J"),
                                              RUBRIC.name, d, "j")
        for d in RUBRIC.dimensions
    }  # fmt: skip
    scores = {
        (c, d.name): frame.with_columns(score=pl.Series(1 + 4 * random.random(N_QUESTIONS)))
        for c in systems for d in RUBRIC.dimensions
    }  # fmt: skip
    collected = SimpleNamespace(
        people=said(systems, examples, random), scores=scores,
        expected=dict.fromkeys(systems, frame),
    )  # fmt: skip
    spec = SimpleNamespace(
        conditions=[SimpleNamespace(id=c) for c in systems], corrected=judges,
        analysis=SimpleNamespace(contrasts=()),
    )  # fmt: skip
    return collected, spec


def main() -> None:
    """Print the time."""
    collected, spec = made(np.random.default_rng(0))
    start = time.process_time()
    found = peoples_numbers(collected, spec)
    taken = time.process_time() - start
    print(f"{found.height:,} means and differences: {taken:.1f} s")
    print(f"corrected: {BUDGET_S / taken:.1f}x (asked 1.0x)")


if __name__ == "__main__":
    main()
