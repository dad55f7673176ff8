"""From the ratings of a round to the next one: where the gaps are, and what is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from empathy_core.annotation.gaps import answer_gaps, ranked_gaps
from empathy_core.annotation.next_sample import next_sample, with_gaps
from empathy_core.annotation.rounds import read_round_ratings, read_sample
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from jobs.config.annotate import AnnotateTable
from jobs.planning.plan import Plan
from jobs.planning.ratings.returned import OpenRound
from jobs.planning.ratings.rounds import (
    DrawnRound,
    ExportedRound,
    refinement_round,
    require_helpline,
)
from jobs.planning.ratings.rows import rated_run


@dataclass(frozen=True, slots=True)
class NextRoundOptions:
    """What the command line says.

    Attributes:
        questions: Of the next round; null means as ``[annotate]`` says.
        times: How much more often questions with gaps are drawn.
        also: Questions that are added undrawn.
        dry_run: Whether no round is made.
    """

    questions: int | None = None
    times: float = 3.0
    also: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class NextRound:
    """What ratings show, and the round that follows.

    Attributes:
        questions: ``GAPS`` of examples.
        conditions: ``GAPS`` of conditions.
        favoured: Examples that are drawn more often.
        drawn: What is asked next.
        exported: The round; null on a dry run.
    """

    questions: pl.DataFrame
    conditions: pl.DataFrame
    favoured: frozenset[str]
    drawn: DrawnRound
    exported: ExportedRound | None


def next_round(
    run: RunDir,
    plan: Plan,
    table: AnnotateTable,
    of: OpenRound,
    how: NextRoundOptions,
    judged: pl.DataFrame,
) -> NextRound:
    """Rank what was rated, and draw and write the next round.

    Args:
        run: The run.
        plan: Its newest.
        table: ``[annotate]``.
        of: The round that was rated.
        how: What the command line says.
        judged: Judges' scores (condition, example, rubric, dimension, score); may be empty.

    Raises:
        ConfigError: Nothing is rated, an option is wrong, or no helpline is named.
        Incomplete: Answers are missing.
    """
    if how.times < 1 or how.also < 0:
        msg = (
            f"--times {how.times:g} --also {how.also}: expected at least 1 and at least 0; "
            "correct them"
        )
        raise ConfigError(msg)
    gaps = answer_gaps(read_round_ratings(of.folder), of.asked.scales, judged)
    if gaps.is_empty():
        msg = (
            f"{of.of.name} has no ratings that count; expected some; import what raters returned "
            "with annotate import"
        )
        raise ConfigError(msg)
    questions, conditions = ranked_gaps(gaps, "example"), ranked_gaps(gaps, "condition")
    before = read_sample(of.folder)
    favoured = _favoured(of, questions, judged)
    sample = next_sample(
        before, favoured, how.times, how.questions or table.questions, table.seed + _number(of)
    )
    drawn = _drawn(of, how, sample, questions, favoured)
    if how.dry_run:
        return NextRound(questions, conditions, favoured, drawn, None)
    require_helpline(table)
    rated = rated_run(run, plan, table)
    exported = refinement_round(run, plan, table, rated, drawn)
    return NextRound(questions, conditions, favoured, drawn, exported)


def _number(of: OpenRound) -> int:
    """Return what makes each round's drawing another one."""
    return int(of.of.name.rpartition("-")[2]) if of.of.name[-1:].isdigit() else 0


def _drawn(
    of: OpenRound,
    how: NextRoundOptions,
    sample: pl.DataFrame,
    questions: pl.DataFrame,
    favoured: frozenset[str],
) -> DrawnRound:
    taken = set(sample.filter("chosen")["question"])
    cluster = dict(sample.select("example", "question").iter_rows())
    left = [example for example in questions["name"] if cluster[example] not in taken]
    settings = {
        "times": how.times,
        "favoured": sorted(favoured),
        "purposive": left[: how.also],
    }
    return DrawnRound(
        sample=sample, kind="refinement", of=of.of.name, purposive=tuple(left[: how.also]),
        settings={"refine": settings},
    )  # fmt: skip


def _favoured(of: OpenRound, questions: pl.DataFrame, judged: pl.DataFrame) -> frozenset[str]:
    """Return the third of the rated questions with the largest gaps, and of the others the third
    that judges score lowest.
    """  # noqa: D205
    gap: Mapping[str, float] = dict(questions.select("name", "gap").iter_rows())
    low = {q: of for q, of in _shortfalls(of, judged).items() if q not in gap}
    return frozenset(with_gaps(gap) | with_gaps(low))


def _shortfalls(of: OpenRound, judged: pl.DataFrame) -> dict[str, float]:
    """Return example → mean distance of the judges' scores from the better end, from 0 to 1."""
    found: dict[str, list[float]] = {}
    for example, rubric, dimension, score in judged.select(
        "example", "rubric", "dimension", "score"
    ).iter_rows():
        scale = of.asked.scales.get((rubric, dimension))
        if scale is None or scale.direction is None or score is None:
            continue
        least, most = scale.values[0], scale.values[-1]
        short = (most - score) if scale.direction == "higher" else (score - least)
        found.setdefault(example, []).append(short / (most - least))
    return {example: sum(several) / len(several) for example, several in found.items()}
