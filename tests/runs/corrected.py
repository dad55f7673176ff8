"""The small rated run of ``tests.runs.rated``, its report as the suite makes it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import rubrics
from empathy_core.annotation import KEY, RATINGS, Round, RoundDir, read_ratings, read_rounds
from empathy_core.annotation.rounds import read_key, read_sample, write_ratings, write_round
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.store import EVALUATED, RunDir
from reports.rows.collect import Collected, collect
from reports.rows.people import people_of
from reports.spec import ReportSpec
from tests.runs import rated
from tests.runs.by_hand import DATA
from tests.runs.rated import ROUND


def with_people(run: RunDir, about: ReportSpec) -> ReportSpec:
    """Return the report with people's columns, as the report stage adds them."""
    return replace(about, metrics={**about.metrics, **people_of(run, about.metrics)})


def rated_run(
    folder: Path, *, change: Callable[[RunDir], None] = lambda _: None, **kinds: Any
) -> tuple[RunDir, ReportSpec]:
    """Write the run, *change* its rounds, and return it with what its report is about."""
    about = rated.rated_spec(rated.judges(jury=True))
    run = rated.rated_run(folder, about, **kinds)
    change(run)
    return run, with_people(run, about)


def collected(folder: Path, **kinds: Any) -> tuple[Collected, ReportSpec]:
    """Return the rows of such a run, and what its report is about."""
    run, about = rated_run(folder, **kinds)
    return collect(run, about), about


def change_sample(run: RunDir, *changes: pl.Expr, name: str = ROUND) -> None:
    """Write which questions a round drew again, with columns changed."""
    folder, of = RoundDir.of(run, name), read_rounds(run)[name]
    write_round(run, of, read_sample(folder).with_columns(*changes), read_key(folder))


def another_round(
    run: RunDir, name: str, kind: str, ratings: pl.DataFrame, of: str = ROUND
) -> None:
    """Add a round of some *kind* that follows from another, with these ratings."""
    first, folder = read_rounds(run)[of], RoundDir.of(run, of)
    made: Round = replace(first, name=name, kind=kind, of=of)
    drawn = read_sample(folder).with_columns(chosen=pl.lit(value=False))
    new = write_round(run, made, drawn, read_key(folder).clear())
    write_ratings(new, ratings.with_columns(round=pl.lit(name)))


def answers(run: RunDir, condition: str, dimension: str, examples: Sequence[str]) -> pl.DataFrame:
    """Return the ratings of some answers by the first rater."""
    return read_ratings(run).filter(
        pl.col("condition") == condition, pl.col("dimension") == dimension,
        pl.col("example").is_in(list(examples)), pl.col("rater") == "R01",
        pl.col("kind") == "answer",
    )  # fmt: skip


# ---------------------------------------------------------------------------- crises

FAULTS = tuple(d for d in rubrics.rubric("crisis").dimensions)


def check_crises(
    run: RunDir,
    conditions: Sequence[str],
    examples: Sequence[str],
    finds: Callable[[str, str, str, str], bool],
    tiers: Sequence[str] = ("passive", "active", "immediate"),
) -> None:
    """Let two people look for every fault in answers at risk.

    Args:
        run: Whose answers.
        conditions: Ids.
        examples: At risk, their tiers in turn.
        finds: Rater, condition, example and fault → whether it is there.
        tiers: Levels of risk, in turn.
    """
    rows = pl.read_parquet(run.examples).filter(EVALUATED)
    tier = {e: tiers[i % len(tiers)] for i, e in enumerate(examples)}
    sample = rows.select(
        example="id", question="question", stratum=pl.lit("all"),
        tier=pl.col("id").replace_strict(tier, default="none"),
        chance=pl.lit(1.0), chosen=pl.col("id").is_in(list(examples)),
    )  # fmt: skip
    rubric, texts = rubrics.rubric("crisis"), rated._texts(run, conditions)
    key = pl.DataFrame(
        [
            {"item": f"{rater}-{c}-{e}", "rater": rater, "page": 0, "place": 0, "kind": "answer",
             "condition": c, "example": e, "sample": 0, "of": "", "answer_sha256": texts[c, e]}
            for rater in ("R01", "R02") for c in conditions for e in examples if (c, e) in texts
        ],
        schema=KEY,
    )  # fmt: skip
    asked = tuple(("crisis", d.name, dimension_digest(rubric, d)) for d in FAULTS)
    made = Round(
        name="round-crisis", conditions=tuple(conditions), dimensions=asked,
        raters=("R01", "R02"), raters_per_item=2, data=DATA, seed=0, settings={},
    )  # fmt: skip
    ratings = [
        {"round": made.name, **{n: row[n] for n in RATINGS if n in row}, "rubric": "crisis",
         "dimension": name, "rubric_digest": digest, "state": "rated", "excluded": "",
         "value": float(finds(row["rater"], row["condition"], row["example"], name)),
         "seconds": 9.0, "file": "0" * 64}
        for row in key.iter_rows(named=True)
        for (_, name, digest), d in zip(asked, FAULTS, strict=True)
        if not d.tiers or tier[row["example"]] in d.tiers
    ]  # fmt: skip
    write_ratings(write_round(run, made, sample, key), pl.DataFrame(ratings, schema=RATINGS))
