"""What the judges of a run made of each answer, as far as it is there."""

import polars as pl

from empathy_core.metrics import rates
from empathy_core.store import RunDir
from jobs.planning.plan import Plan
from jobs.stages.report import report_spec
from reports.rows.collect import collect

SCORES = {
    "condition": pl.String,
    "example": pl.String,
    "rubric": pl.String,
    "dimension": pl.String,
    "score": pl.Float64,
}


def judge_scores(run: RunDir, plan: Plan) -> pl.DataFrame:
    """Return every judge's score of every answer (``SCORES``); unscored ones are left out."""
    spec = report_spec(run, plan)
    collected = collect(run, spec, partial=True)
    frames = [pl.DataFrame(schema=SCORES)]
    for (condition, key), rows in collected.scores.items():
        metric = spec.metrics[key]
        rubric = getattr(metric, "rubric", None)
        if rubric is None or not rates(metric) or "score" not in rows.columns:
            continue
        frames.append(
            rows.filter(pl.col("score").is_finite()).select(
                pl.lit(condition).alias("condition"),
                "example",
                pl.lit(rubric.name).alias("rubric"),
                pl.lit(rubric.dimensions[0].name).alias("dimension"),
                pl.col("score").cast(pl.Float64),
            )
        )
    return pl.concat(frames)
