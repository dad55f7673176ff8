"""What a run directory already holds: the disk is the state, and this reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from empathy_core import store
from empathy_core.errors import Damaged
from empathy_core.store import UNIT_BLOCKS, RunDir
from empathy_core.training.adapter import adapters
from jobs.planning.plan import Plan, Task, score_tasks


@dataclass(frozen=True)
class Survey:
    """The sound pieces of one folder.

    Attributes:
        blocks: Block (or score unit) → digest: of its rows, or of the answers it was scored from.
        paths: The sound pieces.
        unusable: Pieces that are damaged, foreign, or repeat a block, each with the reason.
    """

    blocks: Mapping[int, str]
    paths: tuple[Path, ...] = ()
    unusable: tuple[tuple[Path, str], ...] = ()


def generated(run: RunDir, condition: str, data: str, adapter: str | None = None) -> Survey:
    """Survey a condition's answers; every piece is proven.

    Args:
        run: The run.
        condition: Its id.
        data: Identity of the frozen rows.
        adapter: Digest of the adapter's weights that the answers must be made with.
    """
    tags = {"kind": "generations", "condition": condition, "data": data}
    if adapter:
        tags["adapter"] = adapter
    return _survey(run.generations(condition), tags)


def scored(run: RunDir, key: str, condition: str, data: str) -> Survey:
    """Survey a condition's statistics under one metric; digests are those of the answers."""
    tags = {"kind": "scores", "condition": condition, "data": data}
    return _survey(run.scores(key, condition), tags)


def _survey(folder: Path, expected: Mapping[str, str]) -> Survey:
    blocks: dict[int, str] = {}
    paths, unusable = [], []
    for path in store.list_pieces(folder):
        try:
            piece = store.verify_piece(path)
            reason = _foreign(piece, expected) or _repeated(piece, blocks)
        except Damaged as error:
            reason = str(error)
        if reason:
            unusable.append((path, reason))
            continue
        inputs = piece.tags.get("inputs")
        blocks |= {int(k): v for k, v in json.loads(inputs).items()} if inputs else piece.blocks
        paths.append(path)
    return Survey(blocks, tuple(paths), tuple(unusable))


def _foreign(piece: store.Piece, expected: Mapping[str, str]) -> str:
    wrong = [f"{k} is {piece.tags.get(k)}" for k, v in expected.items() if piece.tags.get(k) != v]
    return f"{piece.path} belongs to other work ({', '.join(wrong)})" if wrong else ""


def _repeated(piece: store.Piece, blocks: Mapping[int, str]) -> str:
    twice = sorted(set(piece.blocks) & set(blocks))
    return f"{piece.path} repeats block {twice[0]} of another file" if twice else ""


@dataclass(frozen=True)
class Standing:
    """What is done of a plan.

    Attributes:
        generated: Condition id → survey of its answers.
        scored: (metric key, condition id) → survey of its statistics.
        trained: Fine-tune id → digest of the weights of its finished adapter.
    """

    generated: Mapping[str, Survey]
    scored: Mapping[tuple[str, str], Survey]
    trained: Mapping[str, str] = field(default_factory=dict)

    def done(self) -> dict[str, Mapping[int, str]]:
        """Return condition id → finished block → digest."""
        return {condition: survey.blocks for condition, survey in self.generated.items()}

    def inputs(self) -> dict[str, dict[int, str]]:
        """Return condition id → score unit → digest of the answers it holds."""
        return {c: store.unit_inputs(survey.blocks) for c, survey in self.generated.items()}

    def units(self) -> dict[tuple[str, str], Mapping[int, str]]:
        """Return (metric key, condition id) → score unit → digest it was scored from."""
        return {key: survey.blocks for key, survey in self.scored.items()}

    def unusable(self) -> list[tuple[Path, str]]:
        """Return every file that must be set aside, with the reason."""
        surveys = [*self.generated.values(), *self.scored.values()]
        return [entry for survey in surveys for entry in survey.unusable]


def standing(run: RunDir, plan: Plan) -> Standing:
    """Survey everything the plan names."""
    data, made = plan.data_digest, trained(run, plan)
    by = adapters_of(plan, made)
    answers = {c.id: generated(run, c.id, data, by.get(c.id)) for c in plan.conditions}
    statistics = {
        (m.key, c.id): scored(run, m.key, c.id, data) for m in plan.metrics for c in plan.conditions
    }
    return Standing(answers, statistics, made)


UNTRAINED = "not trained"
"""Stands for an adapter that is not there: answers of an earlier one are not its own."""


def trained(run: RunDir, plan: Plan) -> dict[str, str]:
    """Return fine-tune id → digest of the weights of each finished adapter of the plan."""
    folders = {f.id: run.adapter(f.id) for f in plan.finetunes}
    return {i: adapters.digest_of(p) for i, p in folders.items() if adapters.is_complete(p)}


def adapters_of(plan: Plan, made: Mapping[str, str]) -> dict[str, str]:
    """Return condition id → digest of the adapter that its answers must be made with."""
    owners = ((c.id, plan.finetune_of(c.model.name)) for c in plan.conditions)
    return {c: made.get(owner.id, UNTRAINED) for c, owner in owners if owner}


def to_score(plan: Plan, standing: Standing, *, more_to_come: bool) -> list[Task]:
    """Return the score tasks that today's answers need, and those of answers to come."""
    inputs: dict[str, dict[int, str]] = {c: dict(u) for c, u in standing.inputs().items()}
    if more_to_come:
        for condition in plan.conditions:
            if condition.id in plan.made_elsewhere:
                continue
            lacking = set(range(plan.n_blocks)) - set(standing.generated[condition.id].blocks)
            units = {block // UNIT_BLOCKS: "to come" for block in lacking}
            inputs.setdefault(condition.id, {}).update(units)
    return score_tasks(plan, inputs, standing.units())
