"""What ``annotate adjudicate`` and ``annotate refine`` show."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from empathy_core.annotation import Round, RoundDir
from empathy_core.annotation.writing import PAGE
from empathy_core.counted import counted
from empathy_core.store import RunDir
from jobs.commands.console import relative
from jobs.planning.plan import Plan
from jobs.planning.ratings.adjudication import AdjudicatedRound
from jobs.planning.ratings.next_round import NextRound
from jobs.planning.shown_commands import command


def adjudication_text(run: RunDir, of: Round, found: AdjudicatedRound) -> str:
    """Return what is printed about flags that are to be settled."""
    n = found.disputes.height
    if not n:
        return f"{of.name}: raters do not differ on any flag that is not settled; nothing to do"
    lines = [f"{of.name}: raters differ on {counted(n, 'flag')}"]
    by = found.disputes.group_by("rubric", "dimension").len().sort("rubric", "dimension")
    lines += [f"  {rubric}.{dimension}: {n}" for rubric, dimension, n in by.iter_rows()]
    if found.changed:
        lines.append(
            f"  {counted(found.changed, 'answer')} not asked: their text is not in the run any more"
        )
    for waiting in found.waiting:
        where = relative(RoundDir.of(run, waiting.name).packet(waiting.raters[0]))
        lines.append(f"  {waiting.name} asks some of them already and is not answered: {where}")
    if found.made and found.packet:
        where = relative(RoundDir.of(run, found.made.name).packet(found.packet.rater) / PAGE)
        n_items = counted(found.packet.n_items, "reply", "replies")
        lines += [
            f"{found.made.name}: {n_items} for {found.packet.rater}, a new rater: {where}",
            f"then: {command(run, 'annotate', 'import', 'FILE')}",
        ]
    return "\n".join(lines)


def adjudication_record(run: RunDir, found: AdjudicatedRound) -> dict[str, Any]:
    """Return the same for other programs."""
    made = found.made
    return {
        "disputed": found.disputes.height,
        "changed": found.changed,
        "waiting": [of.name for of in found.waiting],
        "round": made.name if made else None,
        "packet": str(RoundDir.of(run, made.name).packet(made.raters[0])) if made else None,
    }


# ---------------------------------------------------------------------------- refinement


def next_round_text(run: RunDir, plan: Plan, of: Round, found: NextRound, shown: int) -> str:
    """Return the ranked lists, and what the next round asks."""
    labels = {c.id: f"{c.model.name}.{c.prompt.name}" for c in plan.conditions}
    lines = [
        f"{of.name}: the largest gaps, from 0 to 3: the mean's distance from the better end, the",
        "distance between raters, and that of judges from people, each as a share of the scale",
        "",
        *_table("question", found.questions, {}, shown),
        "",
        *_table("model.prompt", found.conditions, labels, shown),
        "",
    ]
    chosen = found.drawn.sample.filter("chosen")
    favoured = chosen.filter(pl.col("example").is_in(sorted(found.favoured))).height
    n_all = found.drawn.sample["question"].n_unique()
    lines.append(
        f"next: {chosen.height} of {n_all} questions, {favoured} of them among the "
        f"{len(found.favoured)} examples with gaps, which are drawn more often by known chances"
    )
    if found.drawn.purposive:
        n = counted(len(found.drawn.purposive), "question")
        lines.append(f"  and {n} added undrawn, which no estimate uses")
    lines += [*_made(run, found)]
    return "\n".join(lines)


def _made(run: RunDir, found: NextRound) -> Iterator[str]:
    exported = found.exported
    if exported is None:
        yield "no round was made: --dry-run"
        return
    state = "made" if exported.new else "there already, from these ratings and settings"
    yield f"{exported.round.name}: {state}"
    for packet in exported.packets:
        where = relative(exported.folder.packet(packet.rater) / PAGE)
        yield f"  {packet.rater}: {counted(packet.n_items, 'reply', 'replies')}: {where}"
    yield f"then: {command(run, 'annotate', 'import', 'FILES')}"


def _table(what: str, gaps: pl.DataFrame, labels: Mapping[str, str], shown: int) -> Iterator[str]:
    yield (
        f"{what:<44} {'gap':>5} {'rated':>6} {'low':>5} {'disputed':>9} {'judge far':>10}  most in"
    )
    for row in gaps.head(shown).iter_rows(named=True):
        name = labels.get(row["name"], row["name"])
        yield (
            f"{name:<44} {row['gap']:>5.2f} {row['n']:>6} {row['low']:>5} {row['disputed']:>9} "
            f"{row['far']:>10}  {row['weakest']}"
        )
    if gaps.height > shown:
        yield f"and {gaps.height - shown} more (--shown)"


def next_round_record(found: NextRound) -> dict[str, Any]:
    """Return the same for other programs, whole."""
    exported = found.exported
    return {
        "questions": found.questions.to_dicts(),
        "conditions": found.conditions.to_dicts(),
        "favoured": sorted(found.favoured),
        "chosen": found.drawn.sample.filter("chosen")["example"].to_list(),
        "purposive": list(found.drawn.purposive),
        "round": exported.round.name if exported else None,
        "packets": (
            [str(exported.folder.packet(p.rater)) for p in exported.packets] if exported else []
        ),
    }
