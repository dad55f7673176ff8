"""Who chose preference pairs, and whether the same judge or metric reports what came of them."""

from collections.abc import Iterator, Sequence

from empathy_core.store import RunDir
from jobs.planning.pairs import audit_of
from jobs.planning.plan import PlannedFinetune, PlannedMetric


def same_again(
    finetunes: Sequence[PlannedFinetune], metrics: Sequence[PlannedMetric], run: RunDir
) -> Iterator[str]:
    """Yield a sentence for each adapter whose pairs were chosen by what reports on it.

    Whatever is tuned for is reached sooner than what it stands for: select with one judge, report
    with another.
    """
    reporting = {m.judged_by or m.name for m in metrics}
    for planned in finetunes:
        origin = (audit_of(planned, run) or {}).get("origin", {})
        if reporting.intersection(origin.get("chosen_by", ())):
            who = f"judge {origin['judge']}" if origin["judge"] else f"metric of {origin['label']}"
            yield (
                f"The {who} chose the pairs that {planned.spec.label} was tuned on, and scores it "
                "here: it was tuned for this score. Select with one judge, report with another."
            )
