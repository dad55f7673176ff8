"""Agreement and calibration as numbers that prose may cite. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from empathy_core.types import Column
from reports.labels import number, p_text
from reports.numbers import agreement, calibration
from reports.numbers.agreement import AgreementNumbers, agreement_numbers
from reports.numbers.calibration import (
    CalibrationNumbers,
    calibration_numbers,
    with_standings,
)
from reports.numbers.results import CitedAs, Result
from reports.rows.collect import Collected
from reports.spec import ReportSpec


@dataclass(frozen=True, slots=True)
class HeldAgainstPeople:
    """A report's people, and the report with headings that say which judges are calibrated.

    Attributes:
        spec: The report.
        agreement: How far people agree.
        calibration: How far judges agree with them.
    """

    spec: ReportSpec
    agreement: AgreementNumbers
    calibration: CalibrationNumbers

    @classmethod
    def of(cls, collected: Collected, spec: ReportSpec) -> "HeldAgainstPeople":
        """Return what people's ratings make of a report; nothing of one without ratings."""
        agreed, held = agreement_numbers(collected, spec), calibration_numbers(collected, spec)
        return cls(with_standings(spec, held), agreed, held)

    @property
    def results(self) -> tuple[Result, ...]:
        """Every number of agreement and calibration."""
        keys = {c.id: self.spec.keys().condition(c.id) for c in self.spec.conditions}
        return (*_agreement(self.agreement, keys), *_calibration(self.calibration, keys))


_SHARES = frozenset({
    "raw", "commonest", "same_again", "accuracy", "decided", "judge_ties", "people_ties",
    "sensitivity", "specificity", "rho", "omega", "omega_mode", "omega_mean", "omega_shuffled",
    "advantage",
})  # fmt: skip
_SIGNED = frozenset({
    "bias", "self_preference", "gain_mode", "gain_mean", "gain_shuffled", "severity", "difference",
    "length",
})  # fmt: skip
_SHARE = Column("", "", None, decimals=1, percent=True)
_NUMBER = Column("", "", None, decimals=2)
_P = Column("p", "p", None, decimals=3)


def _column(statistic: str) -> Column:
    return _SHARE if statistic in _SHARES else _NUMBER


def printed(statistic: str, value: float | None) -> str:
    """Return a number as tables and macros print it: shares in percent, signs where both occur."""
    return number(value, _column(statistic), signed=statistic in _SIGNED)


def interval(statistic: str, low: float | None, high: float | None) -> str:
    """Return an interval as tables print it; empty without one."""
    if low is None or high is None:
        return ""
    return f"[{printed(statistic, low)}, {printed(statistic, high)}]"


def _agreement(of: AgreementNumbers, keys: Mapping[str, str]) -> Iterator[Result]:
    for row in of.agreement.iter_rows(named=True):
        counts = row["n"], row["n_questions"]
        yield _result(row["key"], row["statistic"], row, counts, _prose(row, row["statistic"]))
    for row in of.raters.iter_rows(named=True):
        ends = {"severity": ("severity_low", "severity_high"),
                "same_again": ("same_low", "same_high")}  # fmt: skip
        for name in ("mean", "deviation", "severity", "same_again", "apart_again"):
            low, high = ends.get(name, ("", ""))
            told = {"value": row[name], "low": row.get(low), "high": row.get(high)}
            of_what = "_again" if name.endswith("again") else ""
            counts = row[f"n{of_what}"], row[f"n_questions{of_what}"]
            yield _result(f"{row['key']}.{name}", name, told, counts, _prose(row, name))
    for row in of.means.iter_rows(named=True):
        counts = row["n"], row["n_questions"]
        for name in ("mean", "adjusted"):
            bounds = {} if name == "adjusted" else dict.fromkeys(("low", "high"))
            told = row | {"value": row[name], **bounds}
            prose = _prose(row, name, keys[row["condition"]])
            yield _result(f"{row['key']}.{name}", name, told, counts, prose)


def _calibration(of: CalibrationNumbers, keys: Mapping[str, str]) -> Iterator[Result]:
    for row in of.statistics.iter_rows(named=True):
        counts = row["n"] or 0, row["n_questions"] or 0
        prose = _prose(row, row["statistic"])
        yield _result(row["key"], row["statistic"], row, counts, prose, row)
    for row in of.biases.iter_rows(named=True):
        told, counts = row | {"value": row["bias"]}, (row["n"], row["n"])
        prose = _prose(row, "bias", keys[row["condition"]])
        yield _result(f"{row['key']}.bias", "bias", told, counts, prose, row)
    for row in of.alternative.iter_rows(named=True):
        counts = row["n"], row["n_questions"]
        for name in ("advantage", "difference"):
            prose = _prose(row, name)
            yield _result(f"{row['key']}.{name}", name, {"value": row[name]}, counts, prose, row)
        text = p_text(row["p_corrected"])
        yield Result(
            f"{row['key']}.p", "agreement", row["p_corrected"], None, None, None, *counts, text,
            metric=row["metric"], column=row["column"], prose=replace(_prose(row, "p"), column=_P),
        )  # fmt: skip


def _prose(row: Mapping[str, Any], statistic: str, *conditions: str) -> CitedAs:
    """Return what prose calls a number of a dimension, and of a judge if one is held to it."""
    rubric, _, dimension = row["label"].partition(": ")
    return CitedAs(
        _column(statistic), _said(statistic), conditions,
        columns=(row["label"], dimension, f"{rubric} {dimension}", row["dimension"]),
        models=(row["judge"],) if row.get("judge") else (),
    )  # fmt: skip


_TITLES = {**agreement.STATISTICS, **calibration.STATISTICS}
_ALPHA = ("Krippendorff's alpha", "alpha")
_SAID: Mapping[str, tuple[str, ...]] = {
    "alpha_ordinal": (*_ALPHA, "ordinal alpha"),
    "alpha_interval": (*_ALPHA, "interval alpha"),
    "alpha": (*_ALPHA, "interval alpha"),
    "alpha_people": (*_ALPHA, "interval alpha"),
    "kappa": ("kappa", "weighted kappa", "quadratic kappa"),
    "tau": ("tau", "Kendall's tau"),
    "system_tau": ("tau", "Kendall's tau"),
    "raw": ("raw agreement", "percent agreement"),
    "commonest": ("commonest rating", "most common rating"),
    "mean": ("mean rating", "rated on average", "average rating"),
    "adjusted": ("adjusted mean", "adjusted for severity", "average rater"),
    "deviation": ("standard deviation", "deviation"),
    "severity": ("severity", "severe rater", "lenient", "severer"),
    "same_again": ("rated as before", "same rating again", "hidden repeats", "test-retest"),
    "apart_again": ("hidden repeats", "test-retest"),
    "bias": ("bias", "biased", "overrates", "underrates"),
    "rmse": ("RMSE", "root mean square"),
    "accuracy": ("accuracy", "pairwise accuracy", "pairs ordered as people do"),
    "decided": ("accuracy", "of the pairs that it orders"),
    "judge_ties": ("judge ties", "ties of the judge"),
    "people_ties": ("ties of people", "people ties"),
    "omega": ("omega", "winning rate", "Alternative Annotator Test", "alt-test"),
    "rho": ("rho", "advantage probability", "Alternative Annotator Test", "alt-test"),
    "advantage": ("advantage", "advantage probability", "Alternative Annotator Test", "alt-test"),
    "difference": ("advantage", "Alternative Annotator Test", "alt-test"),
    "p": ("Alternative Annotator Test", "alt-test"),
    "length": ("correlation of error and log length", "correlation with length", "length bias"),
    "self_preference": ("self-preference", "own replies"),
    "sensitivity": ("sensitivity",),
    "specificity": ("specificity",),
}
"""What prose calls a statistic; of ICCs what tables do."""


def _said(statistic: str) -> tuple[str, ...]:
    """Return what prose calls a statistic; without one of these, no number is taken for it."""
    known = _SAID.get(statistic, ())
    if "icc" in statistic:
        known = ("ICC", "intraclass correlation")
    if statistic.startswith(("omega_", "gain_")):
        known = _SAID["omega"]
    return (*known, _TITLES.get(statistic, statistic.replace("_", " ")))


def _result(
    key: str,
    statistic: str,
    row: Mapping[str, Any],
    counts: tuple[int, int],
    prose: CitedAs,
    of: Mapping[str, Any] | None = None,
) -> Result:
    low, high = row.get("low"), row.get("high")
    has = low is not None and high is not None
    return Result(
        key=key, kind="agreement", value=row["value"], low=low if has else None,
        high=high if has else None, p=None, n=counts[0], n_questions=counts[1],
        text=printed(statistic, row["value"]),
        low_text=printed(statistic, low) if has else "",
        high_text=printed(statistic, high) if has else "",
        metric=of["metric"] if of else "", column=of["column"] if of else "", prose=prose,
    )  # fmt: skip
