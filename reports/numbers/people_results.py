"""Agreement and calibration as numbers that prose may cite. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from empathy_core.types import Column
from reports.labels import number, p_text
from reports.numbers.agreement import AgreementNumbers, agreement_numbers
from reports.numbers.calibration import (
    CalibrationNumbers,
    calibration_numbers,
    with_standings,
)
from reports.numbers.results import Result
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
        return (*_agreement(self.agreement), *_calibration(self.calibration))


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


def printed(statistic: str, value: float | None) -> str:
    """Return a number as tables and macros print it: shares in percent, signs where both occur."""
    column = _SHARE if statistic in _SHARES else _NUMBER
    return number(value, column, signed=statistic in _SIGNED)


def interval(statistic: str, low: float | None, high: float | None) -> str:
    """Return an interval as tables print it; empty without one."""
    if low is None or high is None:
        return ""
    return f"[{printed(statistic, low)}, {printed(statistic, high)}]"


def _agreement(of: AgreementNumbers) -> Iterator[Result]:
    for row in of.agreement.iter_rows(named=True):
        yield _result(row["key"], row["statistic"], row, row["n"], row["n_questions"])
    for row in of.raters.iter_rows(named=True):
        ends = {"severity": ("severity_low", "severity_high"),
                "same_again": ("same_low", "same_high")}  # fmt: skip
        for name in ("mean", "deviation", "severity", "same_again", "apart_again"):
            low, high = ends.get(name, ("", ""))
            told = {"value": row[name], "low": row.get(low), "high": row.get(high)}
            of_what = "_again" if name.endswith("again") else ""
            counts = row[f"n{of_what}"], row[f"n_questions{of_what}"]
            yield _result(f"{row['key']}.{name}", name, told, *counts)
    for row in of.means.iter_rows(named=True):
        counts = row["n"], row["n_questions"]
        yield _result(f"{row['key']}.mean", "mean", {"value": row["mean"]}, *counts)
        yield _result(f"{row['key']}.adjusted", "adjusted", row | {"value": row["adjusted"]},
                      *counts)  # fmt: skip


def _calibration(of: CalibrationNumbers) -> Iterator[Result]:
    for row in of.statistics.iter_rows(named=True):
        n, questions = row["n"] or 0, row["n_questions"] or 0
        yield _result(row["key"], row["statistic"], row, n, questions, row)
    for row in of.biases.iter_rows(named=True):
        yield _result(f"{row['key']}.bias", "bias", row | {"value": row["bias"]}, row["n"],
                      row["n"], row)  # fmt: skip
    for row in of.alternative.iter_rows(named=True):
        for name in ("advantage", "difference"):
            yield _result(f"{row['key']}.{name}", name, {"value": row[name]}, row["n"],
                          row["n_questions"], row)  # fmt: skip
        text = p_text(row["p_corrected"])
        yield Result(
            f"{row['key']}.p", "agreement", row["p_corrected"], None, None, None, row["n"],
            row["n_questions"], text, metric=row["metric"], column=row["column"],
        )  # fmt: skip


def _result(
    key: str,
    statistic: str,
    row: Mapping[str, Any],
    n: int,
    n_questions: int,
    of: Mapping[str, Any] | None = None,
) -> Result:
    low, high = row.get("low"), row.get("high")
    has = low is not None and high is not None
    return Result(
        key=key, kind="agreement", value=row["value"], low=low if has else None,
        high=high if has else None, p=None, n=n, n_questions=n_questions,
        text=printed(statistic, row["value"]),
        low_text=printed(statistic, low) if has else "",
        high_text=printed(statistic, high) if has else "",
        metric=of["metric"] if of else "", column=of["column"] if of else "",
    )  # fmt: skip
