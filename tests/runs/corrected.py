"""The small rated run of ``tests.runs.rated``, its report as the suite makes it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.annotation import Round, RoundDir, read_ratings, read_rounds
from empathy_core.annotation.rounds import read_key, read_sample, write_ratings, write_round
from empathy_core.store import RunDir
from reports.rows.collect import Collected, collect
from reports.rows.people import people_of
from reports.spec import ReportSpec
from tests.runs import rated
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
