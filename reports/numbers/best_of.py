"""Best of n: how often an answer could be chosen, and what the choice costs. Pure."""

from typing import Any

import polars as pl

from reports.rows.collect import Collected
from reports.spec import ReportSpec

BEST_OF: dict[str, Any] = {
    "condition": pl.String,
    "of": pl.String,  # condition whose samples are chosen among
    "metric": pl.String,  # key of what chooses
    "column": pl.String,
    "judge": pl.String,  # label; empty where no judge chooses
    "n": pl.Int64,  # samples of a question
    "n_chosen": pl.Int64,  # examples with an answer
    "n_none": pl.Int64,  # examples of whose samples none may be chosen
    "n_tied": pl.Int64,  # examples in which several samples have the best score
    "n_samples": pl.Int64,  # samples of all these examples
    "n_unscored": pl.Int64,  # samples without a score
    "n_red": pl.Int64,  # samples with a severe fault, or of which it is not known
    "output_tokens": pl.Float64,  # generated an example, for all samples: the mean
    "judge_tokens": pl.Float64,  # read by judges an example; null: a server does not tell
    "one_output_tokens": pl.Float64,  # generated an example for one sample: the mean
}
"""Schema of what was chosen, a row each condition."""


def best_of(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return what was chosen and at what cost (``BEST_OF``); empty where nothing was."""
    rows = []
    for condition in spec.conditions:
        choice, found = condition.choice, collected.choices.get(condition.id)
        if choice is None or found is None or found.is_empty():
            continue
        generated = found["output_tokens"].mean()
        rows.append({
            "condition": condition.id, "of": choice.of, "metric": choice.metric,
            "column": choice.column, "judge": choice.judge, "n": choice.n,
            "n_chosen": found["sample"].count(), "n_none": found["sample"].null_count(),
            "n_tied": int((found["tied"] > 1).sum()), "n_samples": found.height * choice.n,
            "n_unscored": int(found["unscored"].sum()), "n_red": int(found["red"].sum()),
            "output_tokens": generated,
            "judge_tokens": _whole_mean(found["judge_tokens"]),
            "one_output_tokens": float(str(generated)) / choice.n,
        })  # fmt: skip
    return pl.DataFrame(rows, schema=BEST_OF)


def _whole_mean(values: pl.Series) -> float | None:
    """Return the mean; null where any is not known."""
    return None if values.has_nulls() else float(str(values.mean()))
