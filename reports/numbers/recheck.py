"""Stored scores against the reference libraries themselves, on rows drawn by seed."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
import polars.selectors as cs

from empathy_core import data
from empathy_core.data.contexts import contexts_of, has_turns
from empathy_core.metrics import ROWS, MetricProtocol, compares_alike
from empathy_core.store import RunDir
from empathy_core.types import Condition
from reports.keys import metric_name
from reports.labels import power_of_ten
from reports.rows.collect import Collected, collect
from reports.rows.pieces import KEY
from reports.spec import ReportSpec

TOLERANCE = 5e-5
"""Largest difference that is rounding: half of the last digit that is printed. Encoders on other
hardware or in other batches differ by 1e-6, and by ten times that where scores are rescaled."""

_SEVERAL = cs.by_name(data.references.ROWS, require_all=False)
"""All references of a row, where the run has several."""

DIFFERENCES = {
    "metric": pl.String,  # key
    "column": pl.String,
    "n": pl.Int64,  # rows compared; null: no reference implementation exists
    "difference": pl.Float64,  # largest absolute one; null if none was compared
}
"""Schema of what ``differences`` returns."""


class Rechecked(NamedTuple):
    """What a recheck found.

    Attributes:
        text: For the terminal.
        wrong: Columns in which a stored score is not the library's, as *text* names them.
    """

    text: str
    wrong: tuple[str, ...]


def recheck(
    run: RunDir, spec: ReportSpec, metrics: Mapping[str, MetricProtocol], n: int, seed: int = 0
) -> Rechecked:
    """Recompute *n* rows of every metric by its reference library, and say how far they differ.

    *metrics* are those of *spec*, prepared and with their encoders. Rows that are missing are not
    drawn.
    """
    found = differences(run, spec, metrics, n, seed)
    wrong = found.filter(pl.col("difference") > TOLERANCE)
    named = (f"{metric_name(key)} {column}" for key, column, *_ in wrong.iter_rows())
    return Rechecked(_text(found), tuple(named))


def _text(found: pl.DataFrame) -> str:
    lines = ["Stored scores of randomly drawn rows, compared with the reference libraries:"]
    for key, column, compared, difference in found.iter_rows():
        name = f"  {metric_name(key):<14} {column:<24}"
        if difference is not None:
            lines.append(f"{name} {compared:>5} rows   {_difference_text(difference)}")
        elif compared is not None:
            lines.append(f"{name} no scored row among them")
    known = set(found.filter(pl.col("n").is_not_null())["metric"])
    without = dict.fromkeys(
        column if key in known else metric_name(key)
        for key, column, compared, _ in found.iter_rows()
        if compared is None
    )
    if without:
        lines.append(f"  without a reference implementation: {', '.join(without)}")
    return "\n".join(lines)


def _difference_text(difference: float) -> str:
    if np.isinf(difference):
        return "NOT EQUAL: a row has no score, or no finite one, in only one of the two"
    unequal = "NOT EQUAL: " if difference > TOLERANCE else ""
    return f"{unequal}largest difference {power_of_ten(difference)}"


def differences(
    run: RunDir, spec: ReportSpec, metrics: Mapping[str, MetricProtocol], n: int, seed: int = 0
) -> pl.DataFrame:
    """Return the largest absolute difference of each column (``DIFFERENCES``).

    A row that only one of the two scores differs infinitely.
    """
    collected = collect(run, spec, partial=True)
    drawn = draw(collected, n, seed)
    alike = any(map(compares_alike, metrics.values()))
    texts = pl.concat([_rows(collected, c, drawn, alike=alike) for c in spec.conditions])
    records = [
        record
        for key, metric in metrics.items()
        for record in _compared(key, metric, collected, texts)
    ]
    return pl.DataFrame(records, schema=DIFFERENCES, orient="row")


def draw(collected: Collected, n: int, seed: int) -> pl.DataFrame:
    """Return *n* sound rows of all conditions (``condition``, ``example``, ``sample``)."""
    keys = [
        rows.select(pl.lit(condition).alias("condition"), *KEY)
        for condition, rows in collected.answers.items()
    ]
    every = pl.concat(keys)
    chosen = np.random.default_rng(seed).permutation(every.height)[:n]
    return every[np.sort(chosen)]


def _rows(
    collected: Collected, condition: Condition, drawn: pl.DataFrame, *, alike: bool
) -> pl.DataFrame:
    """Return what the metrics take (``ROWS``) of the drawn rows of one condition."""
    mine = drawn.filter(pl.col("condition") == condition.id).select(KEY)
    answers = collected.texts(condition.id, mine["example"].unique().to_list())
    examples = collected.examples
    turns = ["turns"] if has_turns(examples) else []
    references = data.references.compared(
        examples, people=condition.model.is_human, own_left_out=alike
    )
    questions = examples.select("context", *turns, "id").join(references, "id")
    questions = questions.rename({"id": "example"})
    joined = answers.join(mine, on=KEY, how="semi", maintain_order="left").join(
        questions, on="example", how="left", maintain_order="left"
    )
    prompts = [condition.prompt.plain(context) for context in contexts_of(joined)]
    return joined.with_columns(
        pl.lit(condition.id).alias("condition"), prompt=pl.Series(prompts, dtype=pl.String)
    ).select("condition", *KEY, *ROWS, _SEVERAL)


def _compared(
    key: str, metric: MetricProtocol, collected: Collected, texts: pl.DataFrame
) -> list[tuple[str, str, int | None, float | None]]:
    """Return a record for each column of one metric."""
    stored = pl.concat(
        [
            rows.select(pl.lit(condition).alias("condition"), *KEY, *metric.statistics)
            for (condition, owner), rows in collected.scores.items()
            if owner == key and rows.height
        ]
        or [pl.DataFrame(schema={"condition": pl.String, "example": pl.String, "sample": pl.Int32})]
    )
    rows = texts.join(stored, on=["condition", *KEY], how="inner", maintain_order="left")
    if rows.is_empty():
        return [(key, column.name, 0, None) for column in metric.columns]
    theirs = metric.recheck(rows.select(*ROWS, _SEVERAL))
    if theirs is None:
        return [(key, column.name, None, None) for column in metric.columns]
    statistics = rows.select(metric.statistics).fill_null(np.nan).to_numpy()
    ours = np.stack([metric.score(row) for row in statistics])
    return [
        (key, column.name, *_largest(ours[:, i], theirs[:, i]))
        for i, column in enumerate(metric.columns)
    ]


def _largest(ours: np.ndarray, theirs: np.ndarray) -> tuple[int | None, float | None]:
    """Return how many rows were compared and their largest difference; null where none was.

    A count that the library never computes (texts cut, say) is NaN in every row: no reference.
    """
    if np.isnan(theirs).all() and not np.isnan(ours).all():
        return None, None
    neither = np.isnan(ours) & np.isnan(theirs)
    gaps = np.nan_to_num(np.abs(ours - theirs)[~neither], nan=np.inf, posinf=np.inf)
    return gaps.size, float(gaps.max()) if gaps.size else None
