"""What of a run is done, read from its files alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import data, store
from empathy_core.store import EVALUATED, RunDir
from empathy_core.types import Condition
from jobs.planning.pilot import measured
from jobs.planning.plan import Plan, PlannedFinetune
from jobs.planning.progress import RunProgress


@dataclass(frozen=True)
class ConditionProgress:
    """How far one condition is.

    Attributes:
        rows: Answers in sound pieces, and in journals of work that is under way.
        expected: Answers that the condition consists of.
        scored: Metric name → share of the units that hold answers and are scored, 0 to 1.
        tokens_per_s: While generating; null where nothing was measured.
        seconds_per_row: Likewise.
        unusable: Files that the next sweep sets aside.
    """

    condition: str
    rows: int
    expected: int
    scored: Mapping[str, float]
    tokens_per_s: float | None
    seconds_per_row: float | None
    unusable: int

    @property
    def done(self) -> bool:
        """Whether every answer is there and scored."""
        return self.rows >= self.expected and all(s == 1 for s in self.scored.values())


@dataclass(frozen=True)
class FinetuneProgress:
    """How far one fine-tune is.

    Attributes:
        trained: Whether the adapter is there.
        step: Of the newest line of its log; 0 before any.
        loss: Null before any.
        eta_s: Seconds until the last step, at the pace so far.
    """

    finetune: str
    trained: bool
    n_steps: int
    step: int = 0
    loss: float | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None


def finetune_progress(run: RunDir, plan: Plan, progress: RunProgress) -> list[FinetuneProgress]:
    """Return a line for each fine-tune of the plan."""
    return [_training(run, f, trained=f.id in progress.trained) for f in plan.finetunes]


def _training(run: RunDir, planned: PlannedFinetune, *, trained: bool) -> FinetuneProgress:
    if trained:
        return FinetuneProgress(planned.id, trained, planned.n_steps, planned.n_steps)
    logs = sorted(run.training(planned.id).glob("**/log.jsonl"), key=lambda p: p.stat().st_mtime)
    steps = [p for p in (_points(logs[-1]) if logs else ()) if p.get("loss") is not None]
    if not steps:
        return FinetuneProgress(planned.id, trained, planned.n_steps)
    last = steps[-1]
    newest = (last["step"], last["loss"], last.get("tokens_per_s"), last.get("eta_s"))
    return FinetuneProgress(planned.id, trained, planned.n_steps, *newest)


def _points(path: Path) -> list[dict[str, Any]]:
    points = []
    for line in store.json_lines(path.read_text()):
        try:
            points.append(json.loads(line))
        except ValueError:  # torn, or being written
            continue
    return points


def condition_progress(run: RunDir, plan: Plan, progress: RunProgress) -> list[ConditionProgress]:
    """Return a line for each condition of the plan."""
    examples = data.load(run).filter(EVALUATED)
    sizes = dict(examples.group_by("block").len().iter_rows())
    return [_condition(run, plan, c, progress, sizes) for c in plan.conditions]


def _condition(
    run: RunDir, plan: Plan, condition: Condition, progress: RunProgress, sizes: Mapping[int, int]
) -> ConditionProgress:
    answers = progress.generated[condition.id]
    n_samples = condition.decoding.n_samples
    if condition.id in plan.not_generated:
        expected = _height(run.expected(condition.id)) * n_samples
        rows = sum(_height(path) for path in answers.paths)
    else:
        expected = sum(sizes.values()) * n_samples
        rows = _under_way(run, condition, answers.blocks, sizes)
    statistics = {m.name: progress.scored[m.key, condition.id] for m in plan.metrics}
    scored = {}
    for metric in plan.metrics:
        units, done = progress.inputs_of(metric, condition.id), statistics[metric.name].blocks
        n_scored = sum(done.get(unit) == digest for unit, digest in units.items())
        scored[metric.name] = _share(n_scored, len(units), expected)
    unusable = len(answers.unusable) + sum(len(s.unusable) for s in statistics.values())
    return ConditionProgress(
        condition.id, rows, expected, scored, *_rates(run, condition), unusable
    )


def _share(n_scored: int, n_units: int, expected: int) -> float:
    """Return how much is scored of what is answered; all of it where nothing is expected."""
    return n_scored / n_units if n_units else float(expected == 0)


def _height(path: Any) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item()) if path.exists() else 0


def _under_way(
    run: RunDir, condition: Condition, blocks: Mapping[int, str], sizes: Mapping[int, int]
) -> int:
    """Return how many answers there are: of finished blocks, and single rows beside them."""
    journals = list(run.journals(condition.id).glob("*.jsonl"))
    whole = set(blocks).union(*(store.read_journal(path) for path in journals))
    rows = {
        key
        for path in journals
        for key, (row, _) in store.read_journal_rows(path).items()
        if row["block"] not in whole
    }
    return sum(sizes[b] for b in whole) * condition.decoding.n_samples + len(rows)


def _rates(run: RunDir, condition: Condition) -> tuple[float | None, float | None]:
    """Return tokens per second and seconds per row."""
    cost = measured(run, condition)
    return (cost.tokens / cost.seconds, cost.seconds / cost.rows) if cost else (None, None)
