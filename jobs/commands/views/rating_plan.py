"""PURE: a plan of ratings as ``annotate plan`` shows it."""

from collections.abc import Iterator
from typing import Any

from empathy_core.counted import counted
from empathy_core.stats import LEAST_CLUSTERS, MOST_GAIN
from jobs.planning.ratings.needed import RATERS, DimensionPlan, RatingPlan
from reports.labels import count, decimal, general


def text(plan: RatingPlan, difference: float | None) -> str:
    """Return a plan as it is printed; *difference*: in points of the scale, null for three."""
    lines = [*_head(plan)]
    for one in plan.dimensions:
        lines += ["", *_dimension(plan, one, difference)]
    return "\n".join([*lines, "", *_foot(plan, difference)])


def _head(plan: RatingPlan) -> Iterator[str]:
    table = plan.table
    yield (
        f"{counted(len(plan.conditions), 'condition')}, {counted(plan.n_questions, 'question')} in "
        f"the run; {counted(table.raters, 'rater')}, {table.raters_per_item} of them for each reply"
    )
    yield "Questions for a difference to be found with a chance of 80 % (two-sided test, 5 %):"


def _dimension(plan: RatingPlan, one: DimensionPlan, difference: float | None) -> Iterator[str]:
    values, each = one.asked.dimension.values, plan.table.raters_per_item
    name = f"{one.asked.rubric.name}, {one.asked.dimension.name} ({values[0]} to {values[-1]})"
    deviation = decimal(one.deviation(each), 2)
    yield f"{name}: standard deviation of a difference {deviation}{_range(one)}"
    yield f"  from {one.source}"
    for points in one.differences(difference):
        yield f"  {general(round(points, 3))} points: {_needed(plan, one, points)}"
    n = plan.table.questions
    found = decimal(one.found(n, each), 2)
    yield f"  {counted(n, 'question')}, as configured, would find {found} points"


def _range(one: DimensionPlan) -> str:
    if len(one.spreads) < 2:
        return ""
    low, high = (decimal(value, 2) for value in one.range)
    return f" (of one rating: {low} to {high} over {len(one.spreads)} pairs)"


def _needed(plan: RatingPlan, one: DimensionPlan, points: float) -> str:
    """Return the questions for one difference, by raters where these are known to differ."""
    each = plan.table.raters_per_item
    needed = one.needed(points, each)
    parts = [counted(needed, "question")]
    if one.knows_raters:
        others = [
            f"{count(one.needed(points, raters))} with {raters}"
            for raters in RATERS
            if raters != each
        ]
        parts.append(f"with {each} raters a reply ({', '.join(others)})")
    items = counted(plan.items(needed), "reply", "replies")
    whole = f"{' '.join(parts)}: {items}, {_time(plan, needed)} for each rater"
    if needed > plan.n_questions:
        return f"{whole}; the run has {count(plan.n_questions)}"
    least, own = one.beside_judge(needed, plan.n_questions)
    measured = "" if own is None else f", beside {one.judge} {count(own)}"
    return f"{whole}; beside a judge of all questions at best {count(least)}{measured}"


def _time(plan: RatingPlan, questions: int) -> str:
    minutes = plan.minutes(questions)
    return f"{minutes} min" if minutes < 120 else f"{decimal(minutes / 60, 1)} h"


def _few(plan: RatingPlan, difference: float | None) -> bool:
    """Tell whether some number of questions is too small for an interval."""
    each = plan.table.raters_per_item
    needed = [
        one.needed(points, each)
        for one in plan.dimensions
        for points in one.differences(difference)
    ]
    return min([*needed, plan.table.questions]) < LEAST_CLUSTERS


def _foot(plan: RatingPlan, difference: float | None) -> Iterator[str]:
    table, n = plan.table, plan.table.questions
    items = counted(plan.items(n), "reply", "replies")
    yield (
        f"As configured: {counted(n, 'question')}, {counted(table.raters, 'packet')} of {items} "
        f"each, {_time(plan, n)} at {general(table.minutes_per_item)} min a reply"
    )
    if _few(plan, difference):
        yield (
            f"With fewer than {LEAST_CLUSTERS} rated questions the report has no interval and no "
            f"corrected mean: ask for {LEAST_CLUSTERS} at least, whatever stands above."
        )
    yield (
        f"A judge saves less than a factor of {general(MOST_GAIN)}, whatever it is. On public "
        "ratings 100 rated questions were worth 100 to 133 for a mean, and for a difference 100 to "
        "107 where two systems were close and up to 194 where they were not."
    )
    if not all(one.knows_raters for one in plan.dimensions):
        yield (
            "Where only one rating a question is known, more raters a reply are not taken to help; "
            "they do, by as much as raters differ. Plan again after a first round."
        )


def record(plan: RatingPlan, difference: float | None) -> dict[str, Any]:
    """Return a plan for scripts."""
    each, n = plan.table.raters_per_item, plan.table.questions
    return {
        "conditions": [condition.id for condition in plan.conditions],
        "questions_in_run": plan.n_questions,
        "configured": {
            "questions": n, "raters": plan.table.raters, "raters_per_item": each,
            "items_per_rater": plan.items(n), "minutes_per_rater": plan.minutes(n),
        },
        "dimensions": [
            {
                "rubric": one.asked.rubric.name,
                "dimension": one.asked.dimension.name,
                "spread": one.deviation(each),
                "spread_from": one.of,
                "pairs": len(one.spreads),
                "found_as_configured": one.found(n, each),
                "needed": [_point(plan, one, points) for points in one.differences(difference)],
            }
            for one in plan.dimensions
        ],
    }  # fmt: skip


def _point(plan: RatingPlan, one: DimensionPlan, points: float) -> dict[str, Any]:
    needed = one.needed(points, plan.table.raters_per_item)
    least, own = one.beside_judge(needed, plan.n_questions)
    return {
        "difference": points, "questions": needed, "at_best_beside_a_judge": least,
        "beside_own_judge": own, "items_per_rater": plan.items(needed),
        "minutes_per_rater": plan.minutes(needed),
    }  # fmt: skip
