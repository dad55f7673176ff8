"""How far people agree on each dimension: of single answers, and of conditions' means. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from empathy_core.stats import (
    Agreement,
    Estimate,
    MeansAgree,
    OwnAgreement,
    Refusal,
    Resampler,
    adjusted_means,
    mean_agreement,
    own_agreement,
    rater_agreement,
)
from reports.keys import head_of
from reports.numbers.values import ends
from reports.rows.collect import Collected
from reports.rows.rated_tables import Asked, RatedDimension, rated_dimensions
from reports.rows.ratings import PeoplesRatings
from reports.spec import ReportSpec

RESPONSE, SYSTEM = "response", "system"
CEILING = 0.7
"""Share of all ratings that have the commonest value, above which raw agreement is mostly theirs:
alpha and kappa are then low although raters seldom differ (Feinstein and Cicchetti (1990), High
agreement but low kappa, Journal of Clinical Epidemiology 43(6))."""

STATISTICS: Mapping[str, str] = {
    "alpha_ordinal": "Krippendorff's alpha, ordinal",
    "alpha_interval": "Krippendorff's alpha, interval",
    "icc_a1": "ICC(A,1)",
    "icc_ak": "ICC(A,k)",
    "icc_c1": "ICC(C,1)",
    "icc_ck": "ICC(C,k)",
    "kappa": "quadratic kappa, mean over pairs of raters",
    "tau": "Kendall's tau-b, mean over pairs of raters",
    "raw": "raw agreement",
    "commonest": "share of the commonest rating",
}

_OF: dict[str, Any] = {
    "key": pl.String,  # what prose calls it, or what all keys of the row begin with
    "rubric": pl.String,
    "dimension": pl.String,
    "digest": pl.String,  # of what raters read
    "label": pl.String,  # of the rubric and the dimension
}

AGREEMENT: dict[str, Any] = _OF | {
    "level": pl.String,  # response: single answers; system: conditions' means
    "statistic": pl.String,  # key of ``STATISTICS``
    "value": pl.Float64,  # null: nothing varies, or nothing that all have rated
    "low": pl.Float64,  # of the 95 % interval by question; null: too few, or nothing varies
    "high": pl.Float64,
    "n": pl.Int64,  # answers that count
    "n_conditions": pl.Int64,
    "n_raters": pl.Int64,
    "n_questions": pl.Int64,
    "by_pair": pl.Boolean,  # an ICC that is a mean over pairs: no answer has all raters
}
"""Schema of agreement, a row each dimension, level and statistic."""

RATERS: dict[str, Any] = _OF | {
    "rater": pl.String,
    "n": pl.Int64,  # ratings
    "n_questions": pl.Int64,  # they are of answers to so many
    "mean": pl.Float64,
    "deviation": pl.Float64,  # standard, divisor n - 1; null of one rating
    "severity": pl.Float64,  # above the average rater, same answers; null: see "refusal"
    "severity_low": pl.Float64,
    "severity_high": pl.Float64,
    "n_again": pl.Int64,  # hidden repeats
    "n_questions_again": pl.Int64,  # they are of answers to so many
    "same_again": pl.Float64,  # share rated as before; null without repeats
    "same_low": pl.Float64,
    "same_high": pl.Float64,
    "apart_again": pl.Float64,  # mean absolute difference, points
}
"""Schema of raters, a row each dimension and rater."""

MEANS: dict[str, Any] = _OF | {
    "condition": pl.String,
    "n": pl.Int64,  # answers with a rating
    "n_questions": pl.Int64,
    "mean": pl.Float64,  # of all ratings, whoever gave them
    "adjusted": pl.Float64,  # as the average rater would rate; null: see "refusal"
    "low": pl.Float64,
    "high": pl.Float64,
    "refusal": pl.String,  # why ratings cannot be adjusted; else empty
}
"""Schema of people's means of the rated answers, a row each dimension and condition."""


@dataclass(frozen=True, slots=True)
class AgreementNumbers:
    """What is known of people's ratings.

    Attributes:
        agreement: ``AGREEMENT``.
        raters: ``RATERS``.
        means: ``MEANS``.
        commonest: Digest → the commonest rating.
        ratings: What counts and what does not.
    """

    agreement: pl.DataFrame
    raters: pl.DataFrame
    means: pl.DataFrame
    commonest: Mapping[str, float]
    ratings: PeoplesRatings

    @property
    def ceilings(self) -> dict[str, float]:
        """Label of a dimension → share of its commonest rating, where that is most of all."""
        rows = self.agreement.filter(pl.col("statistic") == "commonest", pl.col("value") > CEILING)
        return dict(rows.select("label", "value").iter_rows())


def agreement_numbers(collected: Collected, spec: ReportSpec) -> AgreementNumbers:
    """Return how far people agree, on every dimension that they rated; empty without ratings."""
    agreement: list[dict[str, object]] = []
    raters: list[dict[str, object]] = []
    means: list[dict[str, object]] = []
    commonest: dict[str, float] = {}
    rated = rated_dimensions(collected, spec)
    heads = _heads(rated, spec)
    for of in rated:
        cells, ratings = (
            of.resampler.repeated(len(of.conditions)),
            of.ratings.reshape(len(of.raters), -1),
        )
        named = _named(of)
        head = heads[of.asked]
        values, counts = np.unique(ratings[~np.isnan(ratings)], return_counts=True)
        commonest[of.asked[2]] = float(values[counts.argmax()])
        if len(of.raters) > 1:
            agreement += [named | _keyed(head, row) for row in _agreement(of, ratings, cells)]
        own, adjusted = _adjusted(of, ratings, cells, collected.ratings.repeats)
        raters += [named | row | {"key": f"{head}.{row['rater']}"} for row in own]
        keys = spec.keys()
        means += [
            named | row | {"key": f"{head}.{keys.condition(str(row['condition']))}"}
            for row in adjusted
        ]
    return AgreementNumbers(
        pl.DataFrame(agreement, schema=AGREEMENT), pl.DataFrame(raters, schema=RATERS),
        pl.DataFrame(means, schema=MEANS), commonest, collected.ratings,
    )  # fmt: skip


def _heads(rated: Sequence[RatedDimension], spec: ReportSpec) -> dict[Asked, str]:
    """Return what the keys of each dimension begin with; of one asked in two texts, its digest."""
    times = Counter(of.name for of in rated)
    head = head_of("agreement", spec.conditions)
    return {
        of.asked: f"{head}.{of.name}{f'.{of.asked[2][:8]}' if times[of.name] > 1 else ''}"
        for of in rated
    }


def _keyed(head: str, row: dict[str, object]) -> dict[str, object]:
    level = "" if row["level"] == RESPONSE else f".{row['level']}"
    return row | {"key": f"{head}{level}.{row['statistic']}"}


def _named(of: RatedDimension) -> dict[str, object]:
    rubric, dimension, digest = of.asked
    label = f"{of.rubric_label}: {of.label}"
    return {"rubric": rubric, "dimension": dimension, "digest": digest, "label": label}


# ---------------------------------------------------------------------------- agreement


def _agreement(
    of: RatedDimension, ratings: np.ndarray, cells: Resampler
) -> Iterator[dict[str, object]]:
    found = rater_agreement(ratings, cells)
    whose = {"n_raters": found.n_raters, "n_conditions": len(of.conditions)}
    of_icc = {"by_pair": found.icc_by_pair}
    for name, estimate in _of_answers(found):
        icc = of_icc if name.startswith("icc") else {}
        yield {"level": RESPONSE, "statistic": name, **estimated(estimate), **whose, **icc}
    share = max((share for _, share in found.prevalence), default=None)
    counts = {"n": int((~np.isnan(ratings)).any(axis=0).sum()),
              "n_questions": of.rows["question"].n_unique()}  # fmt: skip
    yield {"level": RESPONSE, "statistic": "commonest", "value": share, **counts, **whose}
    if len(of.conditions) < 2:
        return
    conditions = np.repeat(np.arange(len(of.conditions)), of.rows.height)
    agreed = mean_agreement(ratings, conditions, cells)
    whose |= {"n_conditions": agreed.n_conditions}
    for name, estimate in _of_means(agreed, found):
        yield {"level": SYSTEM, "statistic": name, **estimated(estimate), **whose}


def _of_answers(found: Agreement) -> Iterator[tuple[str, Estimate]]:
    yield "alpha_ordinal", found.alpha_ordinal
    yield "alpha_interval", found.alpha_interval
    yield "icc_a1", found.icc_absolute
    yield "icc_ak", found.averaged(found.icc_absolute)
    yield "icc_c1", found.icc_consistency
    yield "icc_ck", found.averaged(found.icc_consistency)
    yield "kappa", found.kappa
    yield "tau", found.tau
    yield "raw", found.raw


def _of_means(agreed: MeansAgree, found: Agreement) -> Iterator[tuple[str, Estimate]]:
    yield "alpha_ordinal", agreed.alpha_ordinal
    yield "alpha_interval", agreed.alpha_interval
    yield "icc_a1", agreed.icc_absolute
    yield "icc_ak", found.averaged(agreed.icc_absolute)
    yield "icc_c1", agreed.icc_consistency
    yield "icc_ck", found.averaged(agreed.icc_consistency)
    yield "tau", agreed.tau


def estimated(estimate: Estimate) -> dict[str, object]:
    """Return an estimate as columns of a frame."""
    return {
        "value": estimate.value,
        **ends(estimate.interval),
        "n": estimate.n,
        "n_questions": estimate.n_clusters,
    }


# ---------------------------------------------------------------------------- raters and means


_ALONE = Refusal(
    "one person has rated, so that severity cannot be told from the answers",
    "two raters or more who share answers",
    "Ask another person",
)


def _adjusted(
    of: RatedDimension, ratings: np.ndarray, cells: Resampler, repeats: pl.DataFrame
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the records of raters, and those of conditions."""
    conditions = np.repeat(np.arange(len(of.conditions)), of.rows.height)
    found = adjusted_means(ratings, conditions, cells) if len(of.raters) > 1 else _ALONE
    severities: Sequence[Estimate | None] = [None] * len(of.raters)
    adjusted: Sequence[Estimate | None] = [None] * len(of.conditions)
    if not isinstance(found, Refusal):
        severities, adjusted = found.severities, found.conditions
    again, questions_again = _again(of, repeats)
    raters = [
        _rater(name, own[~np.isnan(own)], severity, again[name])
        | {"n_questions": _n_questions(of, rated), "n_questions_again": questions_again[name]}
        for name, own, rated, severity in zip(
            of.raters, ratings, ~np.isnan(of.ratings).all(axis=1), severities, strict=True
        )
    ]
    refusal = str(found) if isinstance(found, Refusal) else ""
    means = [_mean(of, i, estimate) | {"refusal": refusal} for i, estimate in enumerate(adjusted)]
    return raters, means


def _again(
    of: RatedDimension, repeats: pl.DataFrame
) -> tuple[dict[str, OwnAgreement], dict[str, int]]:
    """Return rater → agreement with what was said before, and of how many questions."""
    rubric, dimension, digest = of.asked
    mine = repeats.filter(
        pl.col("rubric") == rubric, pl.col("dimension") == dimension,
        pl.col("rubric_digest") == digest,
    )  # fmt: skip
    by_rater = {name: mine.filter(pl.col("rater") == name) for name in of.raters}
    found = {
        name: own_agreement(rows["first"].to_list(), rows["value"].to_list())
        for name, rows in by_rater.items()
    }
    return found, {name: rows["question"].n_unique() for name, rows in by_rater.items()}


def _rater(
    name: str, own: np.ndarray, severity: Estimate | None, again: OwnAgreement
) -> dict[str, object]:
    told = estimated(severity) if severity else dict.fromkeys(("value", "low", "high"))
    return {
        "rater": name, "n": len(own), "mean": float(own.mean()),
        "deviation": float(own.std(ddof=1)) if len(own) > 1 else None,
        "severity": told["value"], "severity_low": told["low"], "severity_high": told["high"],
        "n_again": again.n, "same_again": again.same, "apart_again": again.apart,
        **ends(again.interval, "same"),
    }  # fmt: skip


def _n_questions(of: RatedDimension, rated: np.ndarray) -> int:
    """Return to how many questions the rows are that are *rated*, shape (rows,)."""
    return of.rows["question"].filter(pl.Series(rated)).n_unique()


def _mean(of: RatedDimension, place: int, estimate: Estimate | None) -> dict[str, object]:
    own = of.ratings[:, place]
    rated = (~np.isnan(own)).any(axis=0)
    told = estimated(estimate) if estimate else dict.fromkeys(("value", "low", "high"))
    return {
        "condition": of.conditions[place], "n": int(rated.sum()),
        "n_questions": _n_questions(of, rated),
        "mean": float(np.nanmean(own)), "adjusted": told["value"],
        "low": told["low"], "high": told["high"],
    }  # fmt: skip
