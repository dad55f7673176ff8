"""The tables of calibration: each judge against people, and against judges that know nothing. Pure.

Which of its ratings count as calibrated stands in every heading; here stands why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import polars as pl

from reports.labels import NOTHING, count, decimal, general, p_text
from reports.numbers.calibration import CalibrationNumbers
from reports.numbers.people_results import printed
from reports.spec import ReportSpec
from reports.tables.agreement import shared_rubric, short_labels, statistic_cell
from reports.tables.cells import count_cell, heads
from reports.tables.table import Cell, Group, Row, Table, TableText

_AGREES: Mapping[str, tuple[str, ...]] = {
    "bias": ("Bias",),
    "kappa": ("Kappa",),
    "alpha": ("Alpha,", "judge"),
    "alpha_people": ("Alpha,", "people"),
    "accuracy": ("Pairs in", "order"),
}
_LEVELS: Mapping[str, tuple[str, ...]] = {
    "icc_a1": ("ICC(A,1)",),
    "icc_c1": ("ICC(C,1)",),
    "system_icc_a1": ("ICC(A,1),", "means"),
    "system_icc_c1": ("ICC(C,1),", "means"),
    "system_tau": ("Tau-b,", "means"),
}
_KNOWS: Mapping[str, tuple[str, ...]] = {
    "rmse": ("RMSE",),
    "gain_mode": ("Over", "mode"),
    "gain_mean": ("Over", "mean"),
    "gain_shuffled": ("Over", "shuffled"),
    "omega": ("Omega",),
    "omega_mode": ("Omega,", "mode"),
    "omega_mean": ("Omega,", "mean"),
    "omega_shuffled": ("Omega,", "shuffled"),
}
_FAULTS: Mapping[str, tuple[str, ...]] = {
    "judge_ties": ("Judge's", "ties"),
    "length": ("Error and", "length"),
    "self_preference": ("Own", "replies"),
    "sensitivity": ("Sensitivity",),
    "specificity": ("Specificity",),
}
_REQUIRED: Mapping[str, str] = {
    "items": "answers",
    "questions": "questions",
    "raters": "raters",
    "kappa": "kappa",
    "alpha": "alpha",
    "icc": "ICC(A,1)",
    "accuracy": "pairs in order",
    "sensitivity": "sensitivity",
    "bias": "bias",
    "alt_test": "Alternative Annotator Test",
    "beats_mode": "nearer to people than their commonest rating",
    "beats_mean": "nearer to people than their mean rating",
    "beats_shuffled": "nearer to people than its own scores in another order",
}
"""Name of a requirement → what sentences call it."""
_COUNTED = ("items", "questions", "raters")


def calibration_tables(
    found: CalibrationNumbers, spec: ReportSpec, words: TableText
) -> tuple[Table, ...]:
    """Return the tables of *found*; none where no judge rates what people rated."""
    if found.standing.is_empty():
        return ()
    tables = [_first(found, spec, words)]
    if found.statistics.height:
        is_own = _is_known(found.statistics, "self_preference")
        tables += [
            _table(found, spec, text, shown) for text, shown in _others(words, is_own=is_own)
        ]
    if found.alternative.height:
        tables.append(_tests(found, spec, words))
    return tuple(
        replace(t, words=replace(t.words, label=f"{words.label}-calibration-{i}"))
        for i, t in enumerate(tables, 1)
    )


# ---------------------------------------------------------------------------- sentences


def standings(found: CalibrationNumbers) -> Iterator[str]:
    """Say which judges are calibrated on what; then each requirement that failed, once.

    Behind a requirement stands who did not reach it, on which dimensions, and with what value.
    """
    rows = list(found.standing.iter_rows(named=True))
    calibrated = [row for row in rows if row["calibrated"]]
    for standing, of in _together(calibrated, lambda row: str(row["standing"])):
        yield f"{standing[:1].upper()}{standing[1:]}: {_of_whom(of, lambda _: '')}."
    refused = [row for row in rows if row["refusal"]]
    for why, of in _together(refused, lambda row: str(row["refusal"])):
        yield f"{_of_whom(of, lambda _: '')}: {of[0]['standing']}: {why}"
    failures = [
        row | {"name": name, "value": value, "least": asked}
        for row in rows
        if not row["refusal"] and not row["calibrated"]
        for name, value, asked in zip(row["unmet"], row["found"], row["asked"], strict=True)
    ]
    order = list(_REQUIRED)
    failures.sort(key=lambda one: order.index(one["name"]))
    for what, of in _together(failures, lambda one: _requirement(one["name"], one["least"])):
        yield f"Uncalibrated, since {what}: {_of_whom(of, _value)}."


_Rows = Sequence[Mapping[str, Any]]
_Says = Callable[[Mapping[str, Any]], str]


def _together(rows: _Rows, by: _Says) -> Iterator[tuple[str, _Rows]]:
    """Yield rows of which *by* says the same, in the order of the first of each."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    yield from groups.items()


def _of_whom(rows: _Rows, value: _Says) -> str:
    """Return judges with their dimensions, and what *value* says of each."""
    return "; ".join(
        f"{judge} ({', '.join(' '.join(filter(None, (one['label'], value(one)))) for one in of)})"
        for judge, of in _together(rows, lambda row: str(row["judge"]))
    )


def _requirement(name: str, asked: float | None) -> str:
    """Return what is required, in a clause that says that it is not reached."""
    what = _REQUIRED[name]
    if name.startswith("beats_"):
        return f"not {what}"
    if name == "alt_test":
        return (
            f"the {what} at epsilon {general(asked or 0.0)} is not passed (share of the people for "
            "whom the judge may stand in)"
        )
    if name in _COUNTED:
        return f"{count(int(asked or 0))} {what} are required"
    least = "at most" if name == "bias" else "at least"
    return f"{what} is to be {least} {general(round(asked or 0.0, 6))}"


def _value(failed: Mapping[str, Any]) -> str:
    """Return what was found of a requirement that failed; nothing of what has no number."""
    name, value = failed["name"], failed["value"]
    if name.startswith("beats_"):
        return ""
    if value is None:
        return "no test" if name == "alt_test" else "not defined"
    if name in _COUNTED:
        return count(int(value))
    return printed("omega" if name == "alt_test" else name, value)


# ---------------------------------------------------------------------------- tables


def _first(found: CalibrationNumbers, spec: ReportSpec, words: TableText) -> Table:
    text = replace(
        words,
        caption="The judges against people who rated the same answers.",
        notes=(
            *standings(found),
            "Meets rule: whether the judge reaches what is required of it; its headings then say "
            "calibrated.",
            "n: answers that judge and people rated. Bias: the judge's mean less people's, in "
            "points. Kappa (quadratic) and the order of pairs are of scores rounded to labels, "
            "alpha (interval) of expected values.",
            "Kappa and alpha of a judge are with one person, mean over people, and so comparable "
            "with those of people with each other.",
            "Pairs in order: share of the pairs of answers to a question that people rate "
            "differently which the judge orders as they do, a tie of the judge being half.",
        ),
        brief=(
            *_short_standings(found),
            "Bias in points; alpha and kappa with one person, mean over people; pairs in order: "
            "the judge's ties are half.",
        ),
        interval_note=_INTERVALS,
    )
    groups = _groups(found, lambda row, by: (
        count_cell(row["n"]), count_cell(row["n_raters"]),
        *(statistic_cell(by.get(name)) for name in _AGREES),
        Cell("yes" if row["calibrated"] else "no"),
    ))  # fmt: skip
    stubs = "Judge", shared_rubric(found.standing["label"])
    shown = heads("n", "Raters", *_AGREES.values(), ("Meets", "rule"))
    return Table(text, stubs, (), shown, groups, layout=spec.layout)


_INTERVALS = "In brackets: 95% intervals (bootstrap by question)."


def _short_standings(found: CalibrationNumbers) -> Iterator[str]:
    """Say in print how many are calibrated, and what the others lack."""
    rows = found.standing
    n = rows.filter("calibrated").height
    lacking = rows.explode("unmet").drop_nulls("unmet")["unmet"].unique(maintain_order=True)
    told = f"Calibrated: {count(n)} of {count(rows.height)}, by the rule declared."
    if lacking.len():
        told += f" The others lack: {'; '.join(_REQUIRED[name] for name in lacking)}."
    yield told


_OWN = "Own replies: bias on replies of the judge's own model less that on others, in points."


def _others(
    words: TableText, *, is_own: bool
) -> Iterator[tuple[TableText, Mapping[str, Sequence[str]]]]:
    yield (
        replace(
            words,
            caption="The judges beside judges that know nothing of an answer.",
            notes=(
                "RMSE: root mean square difference of the judge's expected values from single "
                "ratings. Over mode, mean, shuffled: how much greater it is of people's commonest "
                "rating, of their mean, and of the judge's own scores in another order (the mean "
                "over all orders): above 0 the judge is nearer to people.",
                "Omega: share of the people whom the judge may stand in for (Alternative Annotator "
                "Test, expected values by RMSE; Benjamini and Yekutieli); passed from 50% on. A "
                "constant can pass it, so that the controls stand beside.",
            ),
            interval_note=_INTERVALS,
        ),
        _KNOWS,
    )
    yield (
        replace(
            words,
            caption="The judges against people's values: single answers, and means of conditions.",
            notes=(
                "Expected values of the judge with the mean of people's ratings, severity taken "
                "out. ICC(A): as they are; ICC(C): as if both had the same mean. Means: of "
                "conditions, over the same answers; over few of them agreement is far higher than "
                "over single answers.",
            ),
            interval_note=_INTERVALS,
        ),
        _LEVELS,
    )
    yield (
        replace(
            words,
            caption="The errors of the judges.",
            notes=(
                "Judge's ties: share of the pairs that people order and the judge does not.",
                "Error and length: correlation of score less people's value and log length, "
                "within questions.",
                *((_OWN,) if is_own else ()),
                "Sensitivity: of the answers that people put at the middle of the scale or worse, "
                "the share that the judge does; specificity: of the others, the share that it "
                "does not; Wilson's intervals.",
            ),
            interval_note="In brackets: 95% intervals.",
        ),
        _FAULTS,
    )


def _table(
    found: CalibrationNumbers, spec: ReportSpec, words: TableText,
    shown: Mapping[str, Sequence[str]],
) -> Table:  # fmt: skip
    reasons = {
        row["statistic"]: row["reason"]
        for row in found.statistics.iter_rows(named=True)
        if row["reason"] and row["statistic"] in shown
    }
    told = (f"{_joined(shown[name])}: {reason}." for name, reason in reasons.items())
    words = replace(words, notes=(*words.notes, *told))
    kept = {name: of for name, of in shown.items() if _is_known(found.statistics, name)}
    counted = "sensitivity" in kept

    def cells(_: dict[str, Any], by: Mapping[str, dict[str, Any]]) -> tuple[Cell, ...]:
        own = (statistic_cell(by.get(name)) for name in kept)
        flagged = by.get("sensitivity", {}).get("n")
        return (*own, *([count_cell(flagged)] if counted else []))

    titles = heads(*kept.values(), *([("n", "flagged")] if counted else []))
    stubs = "Judge", shared_rubric(found.standing["label"])
    return Table(words, stubs, (), titles, _groups(found, cells), layout=spec.layout)


def _joined(lines: Sequence[str]) -> str:
    return " ".join(lines).replace("- ", "")


def _is_known(statistics: pl.DataFrame, name: str) -> bool:
    return statistics.filter(pl.col("statistic") == name)["value"].count() > 0


def _groups(found: CalibrationNumbers, cells: Any) -> tuple[Group, ...]:
    """Return a group for each judge; *cells*: record of a dimension and its statistics → cells."""
    short = short_labels(found.standing["label"])
    by: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found.statistics.iter_rows(named=True):
        by.setdefault(row["metric"], {})[row["statistic"]] = row
    return tuple(
        Group(str(judge), tuple(
            Row((short[row["label"]],), cells(row, by.get(row["metric"], {}))) for row in mine
        ))
        for judge, mine in groupby(found.standing.to_dicts(), lambda row: row["judge"])
    )  # fmt: skip


# ---------------------------------------------------------------------------- the test


def _tests(found: CalibrationNumbers, spec: ReportSpec, words: TableText) -> Table:
    rows = found.alternative.filter(pl.col("who") == "judge").to_dicts()
    epsilons = ", ".join(dict.fromkeys(general(row["epsilon"]) for row in rows))
    text = replace(
        words,
        caption="The Alternative Annotator Test of each judge against each person.",
        notes=(
            "Rho: share of answers on which the judge is at least as near to the other people as "
            "the person is. Difference: person at least as near, less judge, mean by question; "
            f"tested against epsilon ({epsilons}), one-sided. p: Benjamini and Yekutieli's over "
            f"people. {NOTHING}: fewer than 30 answers, or no variation.",
        ),
    )  # fmt: skip
    groups = tuple(
        Group(f"{judge}, {label}", tuple(Row((row["rater"],), _test(row)) for row in mine))
        for (judge, label), mine in groupby(rows, lambda row: (row["judge"], row["label"]))
    )
    shown = heads("n", "Questions", "Rho", "Difference", "p", ("p,", "corrected"))
    return Table(text, ("Judge", "Rater"), (), shown, groups, layout=spec.layout)


def _test(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        count_cell(row["n"]), count_cell(row["n_questions"]),
        Cell(printed("rho", row["advantage"]), value=row["advantage"],
             key=f"{row['key']}.advantage"),
        Cell(decimal(row["difference"], 2, signed=True), value=row["difference"],
             key=f"{row['key']}.difference"),
        Cell(p_text(row["p"]), value=row["p"]),
        Cell(p_text(row["p_corrected"]), value=row["p_corrected"], key=f"{row['key']}.p"),
    )  # fmt: skip
