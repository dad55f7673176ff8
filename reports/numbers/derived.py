"""A base and everything that was made of it, on the same rows: scores and differences. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._jury import JURY_OF
from empathy_core.stats import length_adjusted, paired_difference
from empathy_core.types import Column, Condition
from reports.numbers.adapter_vs_base import differences
from reports.numbers.judged_faults import RED, judged_faults
from reports.numbers.pairs import PAIRS, corrected, record
from reports.numbers.prompt_effects import MOVERS, N_MOVERS, own_scores
from reports.numbers.significance import Wanted
from reports.numbers.values import ends, or_null
from reports.rows.align import Aligned, reduced
from reports.rows.collect import Collected
from reports.spec import SFT, Derived, ReportSpec

_NAMED_ELSEWHERE = ("first", "second", "subset", "metric", "column", "first_score", "second_score")

DERIVED: dict[str, Any] = {
    "family": pl.String,  # the first base
    "condition": pl.String,
    "how": pl.String,  # Base, SFT, DPO, SFT + DPO, Refined prompt, Best of n
    "base": pl.String,  # what it is compared with; null for a base
    "metric": pl.String,  # key; empty for what is no metric's
    "column": pl.String,
    "score": pl.Float64,  # on the examples that all of the family have; people's: on their own
    "n_common": pl.Int64,  # these examples
    "base_score": pl.Float64,  # on the examples that both have scored, as are all that follow
    "tuned_score": pl.Float64,
    **{name: kind for name, kind in PAIRS.items() if name not in _NAMED_ELSEWHERE},
    "adjusted": pl.Float64,  # the difference at equal length of the answers; null: see prompts
    "adjusted_low": pl.Float64,
    "adjusted_high": pl.Float64,
}
"""Schema of what was made of a base: a row each condition and column; differences as in
``pairs.PAIRS``, corrected over all of a family."""

BASE = "Base"
WORDS = Column("words_per_answer", "Words", None, decimals=1)
TOKENS = Column("tokens_per_answer", "Tokens generated", None, decimals=1)
"""What an answer takes: of one that was chosen, all samples."""
NO_METRIC = ""


@dataclass(frozen=True, slots=True)
class Family:
    """What was made of one model, however it is loaded, and what it was made of.

    Attributes:
        bases: Ids of the conditions that were not made of another.
        members: Those that were.
    """

    bases: tuple[str, ...]
    members: tuple[Derived, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """All conditions, the bases first."""
        return (*self.bases, *(m.condition for m in self.members))


def families(spec: ReportSpec) -> list[Family]:
    """Return the families in which more was made than adapters by SFT, which Table 2 compares."""
    models = {c.id: c.model.name for c in spec.conditions}
    order = list(models)
    known = [d for d in spec.derived if {d.condition, d.base} <= {*models}]
    group = {name: name for name in models.values()}
    for one in known:
        akin = [models[i] for i in (one.condition, one.base, one.unquantized) if i in models]
        first = group[akin[-1]]
        joined = {group[name] for name in akin}
        group = {name: first if of in joined else of for name, of in group.items()}
    found = []
    for of in dict.fromkeys(group.values()):
        members = tuple(d for d in known if group[models[d.condition]] == of)
        made = {d.condition for d in members}
        bases = {d.base for d in members} - made
        if any(d.how != SFT for d in members):
            found.append(Family(tuple(sorted(bases, key=order.index)), members))
    return found


def compare_derived(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return every family beside its bases (``DERIVED``)."""
    rows: list[dict[str, object]] = []
    for family in families(spec):
        aligned = Aligned.of(collected, family.ids)
        n_tests = max(1, len(spec.main_columns) * len(family.members))
        for key, metric in spec.metrics.items():
            if any(column.main for column in metric.columns):
                rows += _of_metric(aligned, spec, family, key, n_tests)
        rows += _beside(aligned, spec, family, n_tests)
    return corrected(pl.DataFrame(rows, schema=DERIVED), ("family",))


def _of_metric(
    aligned: Aligned, spec: ReportSpec, family: Family, key: str, n_tests: int
) -> Iterator[dict[str, object]]:
    metric = spec.metrics[key]
    rows = aligned.statistics(key, metric.statistics)
    common = np.stack([~np.isnan(of).any(axis=1) for of in rows]).all(axis=0)
    some = key in spec.rated_by_people
    scores = [reduced(metric, of if some else of[common]) for of in rows]
    compared = {
        (d.condition, line["column"]): line
        for d in family.members
        for line in _difference(aligned.collected, d, key, metric, n_tests)
    }
    for i, named in enumerate(_named(family)):
        for k, column in enumerate(metric.columns):
            if column.main:
                n = int((~np.isnan(rows[i]).any(axis=1)).sum()) if some else int(common.sum())
                yield named | {
                    "metric": key, "column": column.name, "score": or_null(scores[i][k]),
                    "n_common": n, **compared.get((str(named["condition"]), column.name), {}),
                }  # fmt: skip


def _difference(
    collected: Collected, one: Derived, key: str, metric: MetricProtocol, n_tests: int
) -> Iterator[dict[str, Any]]:
    """Yield the difference of each main column, as it is and at equal length."""
    pair = Aligned.of(collected, (one.base, one.condition))
    rows = pair.statistics(key, metric.statistics)
    words = [pair.values(i, "words") for i in pair.conditions]
    places = {column.name: i for i, column in enumerate(metric.columns)}
    for line in differences(collected, one.base, one.condition, key, metric, n_tests):
        own = own_scores(metric, rows, places[str(line["column"])])
        found = None
        if own is not None:
            resampler = pair.resampler().for_tests(n_tests)
            found = length_adjusted(own[0], own[1], words[0], words[1], resampler)
        yield line | {
            "adjusted": found.adjusted if found else None,
            **ends(found.interval if found else None, "adjusted"),
        }


def _named(family: Family) -> list[dict[str, object]]:
    first = family.bases[0]
    found: list[dict[str, object]] = [
        {"family": first, "condition": i, "how": BASE} for i in family.bases
    ]
    return found + [
        {"family": first, "condition": d.condition, "how": d.how, "base": d.base}
        for d in family.members
    ]


# ---------------------------------------------------------------------------- what is no metric's


def _beside(
    aligned: Aligned, spec: ReportSpec, family: Family, n_tests: int
) -> Iterator[dict[str, object]]:
    """Yield severe faults, length and cost of each condition; these two on the same examples."""
    faults = judged_faults(aligned.collected, spec)
    words = {i: aligned.values(i, "words") for i in family.ids}
    common = np.isfinite(np.stack(list(words.values()))).all(axis=0)
    by_id = {d.condition: d for d in family.members}
    for named in _named(family):
        i = str(named["condition"])
        line = named | {"metric": NO_METRIC}
        for found in faults:
            if (i, RED) in found.shares:
                share = found.shares[i, RED]
                yield line | {
                    "column": red_column(found.judge).name, "score": share.value.score,
                    "n_common": share.n,
                }  # fmt: skip
        of = by_id.get(i)
        longer = _longer(aligned, of, words, n_tests) if of else {}
        yield line | {"column": WORDS.name, **_mean(words[i][common]), **longer}
        yield line | {"column": TOKENS.name, **_mean(_tokens(aligned, i)[common])}


def _tokens(aligned: Aligned, condition: str) -> np.ndarray:
    """Return the tokens generated for an answer: shape (examples,); of a chosen one for all."""
    choices = aligned.collected.choices.get(condition)
    if choices is None:
        return aligned.values(condition, "output_tokens")
    of_all = choices.select("example", tokens=pl.col("output_tokens").cast(pl.Float64))
    found = aligned.examples.join(of_all, on="example", how="left", maintain_order="left")
    return found["tokens"].fill_null(np.nan).to_numpy()


def red_column(judge: str) -> Column:
    """Return the column of replies to people at risk in which a judge found a severe fault."""
    return Column(
        f"red_by_{judge}", "Severe fault (Red)", "lower", decimals=1, percent=True, share=True,
        group=f"judge: {judge}", least=0, most=1, judge=judge,
    )  # fmt: skip


def _mean(values: np.ndarray) -> dict[str, object]:
    known = values[np.isfinite(values)]
    return {"score": float(known.mean()) if known.size else None, "n_common": int(known.size)}


def _longer(
    aligned: Aligned, of: Derived, words: Mapping[str, np.ndarray], n_tests: int
) -> dict[str, object]:
    """Return how much longer the answers of a condition are than its base's."""
    base, tuned = (np.stack([words[i], np.ones_like(words[i])], 1) for i in (of.base, of.condition))
    score: Callable[[np.ndarray], np.ndarray] = lambda sums: sums[..., :1] / sums[..., 1:]  # noqa: E731
    column = Column("words", "Words", ratio=(0, 1))
    resampler = aligned.resampler().for_tests(n_tests)
    (found,) = paired_difference(base, tuned, score, resampler, [column])
    shown = record(found, found.value if found.value is not None else np.nan, None)
    kept = {name: value for name, value in shown.items() if name in DERIVED}
    return kept | {"base_score": shown["first_score"], "tuned_score": shown["second_score"]}


def columns_of(spec: ReportSpec, found: pl.DataFrame) -> list[list[Wanted]]:
    """Return the columns of the tables, those of one metric together."""
    there = set(found.filter(pl.col("score").is_not_null()).select("metric", "column").iter_rows())
    of_metrics = [
        [(key, column) for column in metric.columns if column.main and (key, column.name) in there]
        for key, metric in spec.metrics.items()
    ]
    judges = dict.fromkeys(c.judge for m in spec.metrics.values() for c in m.columns if c.judge)
    beside = [*(red_column(judge) for judge in judges), WORDS, TOKENS]
    of_metrics.append([(NO_METRIC, c) for c in beside if (NO_METRIC, c.name) in there])
    return [of for of in of_metrics if of]


def chose_by(condition: Condition, column: Column) -> bool:
    """Tell whether the answers of a condition were chosen by whoever gives the column's scores.

    A judge of a jury chose as well, and a jury rates as its judges do.
    """
    choice = condition.choice
    if choice is None:
        return False
    if not choice.judge:
        return choice.column == column.name
    return bool(_judges(choice.judge) & _judges(column.judge))


def _judges(label: str) -> set[str]:
    """Return the judges of a column's label: one, or those of a jury."""
    return set(label.removeprefix(JURY_OF).split(", "))


# ---------------------------------------------------------------------------- rows that moved


def moved_most(collected: Collected, spec: ReportSpec) -> pl.DataFrame:
    """Return the rows that move most from base to what was made of it, both ways (``MOVERS``).

    Of each pair and main column up to ``N_MOVERS`` whose own score rises, then as many whose own
    falls, the furthest first; of equals, the earlier row.
    """
    rows = [
        line
        for family in families(spec)
        for one in family.members
        for key, metric in spec.printed.items()
        for line in _moved(collected, spec, one, key, metric)
    ]
    return pl.DataFrame(rows, schema=MOVERS)


def _moved(
    collected: Collected, spec: ReportSpec, one: Derived, key: str, metric: MetricProtocol
) -> Iterator[dict[str, object]]:
    pair = Aligned.of(collected, (one.base, one.condition))
    model = next(c.model.name for c in spec.conditions if c.id == one.condition)
    statistics = pair.statistics(key, metric.statistics)
    with np.errstate(all="ignore"):
        own = [metric.score(of) for of in statistics]
    for k, column in enumerate(metric.columns):
        before, after = (of[:, k] for of in own)
        for rises in (True, False) if column.main else ():
            for place in _furthest(after - before if rises else before - after):
                ends = ((one.base, before), (one.condition, after))
                low, high = ends if rises else ends[::-1]
                yield {
                    "model": model, "metric": key, "column": column.name,
                    "example": pair.examples["example"][place],
                    "lowest": low[0], "highest": high[0],
                    "low_score": float(low[1][place]), "high_score": float(high[1][place]),
                }  # fmt: skip


def _furthest(gaps: np.ndarray) -> Sequence[int]:
    known = np.flatnonzero(np.isfinite(gaps) & (gaps > 0))
    return [int(i) for i in known[np.argsort(-gaps[known], kind="stable")][:N_MOVERS]]
