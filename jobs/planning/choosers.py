"""Who chose preference pairs, and whether the same judge or metric reports what came of them."""

from collections.abc import Iterator, Sequence

from jobs.planning.pairs import Pairs
from jobs.planning.plan import PlannedFinetune, PlannedMetric


def same_again(
    finetunes: Sequence[PlannedFinetune], metrics: Sequence[PlannedMetric], pairs: Pairs
) -> Iterator[str]:
    """Yield a sentence for each adapter whose pairs were chosen by what reports on it.

    Whatever is tuned for is reached sooner than what it stands for: select with one judge, report
    with another.
    """
    reporting = {m.judged_by or m.name for m in metrics}
    for planned in finetunes:
        origin = (pairs.audit(planned.spec) or {}).get("origin", {})
        if reporting.intersection(origin.get("chosen_by", ())):
            who = f"judge {origin['judge']}" if origin["judge"] else f"metric of {origin['label']}"
            yield (
                f"The {who} chose the pairs that {planned.spec.label} was tuned on, and scores it "
                "here: it was tuned for this score. Select with one judge, report with another."
            )
