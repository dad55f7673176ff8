"""What a run directory already holds: the disk is the state, and this reads it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from empathy_core import metrics, store
from empathy_core.errors import Damaged
from empathy_core.store import RunDir, check_folder
from empathy_core.training.adapter import adapters
from jobs.planning.plan import Plan, PlannedMetric


@dataclass(frozen=True)
class SoundPieces:
    """The sound result files of one folder.

    Attributes:
        blocks: Block (or score unit) → digest: of its rows, or of the answers it was scored from.
        paths: The sound files.
        unusable: Files that are damaged, foreign, or repeat a block, each with the reason.
    """

    blocks: Mapping[int, str]
    paths: tuple[Path, ...] = ()
    unusable: tuple[tuple[Path, str], ...] = ()


def read_answers(run: RunDir, condition: str, data: str, adapter: str | None = None) -> SoundPieces:
    """Read which answers of a condition are there; every file is checked.

    Args:
        run: The run.
        condition: Its id.
        data: Identity of the frozen rows.
        adapter: Digest of the adapter's weights that the answers must be made with.
    """
    return _read_pieces(run.generations(condition), answer_tags(condition, data, adapter))


def answer_tags(condition: str, data: str, adapter: str | None = None) -> dict[str, str]:
    """Return what every piece of a condition's answers says of itself."""
    tags = {"kind": "generations", "condition": condition, "data": data}
    return tags | ({"adapter": adapter} if adapter else {})


def read_scores(
    run: RunDir, key: str, condition: str, data: str, signature: str = ""
) -> SoundPieces:
    """Read which statistics of a condition are there, with their answers' digests.

    Without *signature* that of the metric is not compared: its hash stands in *key*.
    """
    return _read_pieces(run.scores(key, condition), score_tags(condition, data, signature))


def score_tags(condition: str, data: str, signature: str = "") -> dict[str, str]:
    """Return what every piece of a condition's statistics under one metric says of itself."""
    tags = {"kind": "scores", "condition": condition, "data": data}
    return tags | ({"signature": signature} if signature else {})


def _read_pieces(folder: Path, expected: Mapping[str, str]) -> SoundPieces:
    checked = check_folder(folder, expected, lambda path: (store.verify_piece(path), lambda: None))
    unusable = {path: one.reason for one in checked.unusable for path in one.paths}
    pieces = [one.piece for one in checked.loaded if one.piece.path not in unusable]
    blocks: dict[int, str] = {}
    for piece in pieces:
        blocks |= store.inputs_of(piece) if "inputs" in piece.tags else piece.blocks
    return SoundPieces(blocks, tuple(piece.path for piece in pieces), tuple(unusable.items()))


@dataclass(frozen=True)
class RunProgress:
    """What is done of a plan.

    Attributes:
        run: Where it is done.
        generated: Condition id → result files of its answers.
        scored: (metric key, condition id) → result files of its statistics.
        trained: Fine-tune id → digest of the weights of its finished adapter.
        to_come: Condition id → blocks of answers that are awaited.
    """

    run: RunDir
    generated: Mapping[str, SoundPieces]
    scored: Mapping[tuple[str, str], SoundPieces]
    trained: Mapping[str, str] = field(default_factory=dict)
    to_come: Mapping[str, Collection[int]] = field(default_factory=dict)

    def done(self) -> dict[str, Mapping[int, str]]:
        """Return condition id → finished block → digest."""
        return {condition: pieces.blocks for condition, pieces in self.generated.items()}

    @cached_property
    def inputs(self) -> Mapping[str, Mapping[int, str]]:
        """Condition id → score unit → digest of the answers it holds, or that they are to come."""
        return _WhenAsked(self.generated, self._units)

    def _units(self, condition: str) -> dict[int, str]:
        awaited = dict.fromkeys(self.to_come.get(condition, ()), "to come")
        to_come = dict.fromkeys(store.unit_inputs(awaited), "to come")
        return store.unit_inputs(self.generated[condition].blocks) | to_come

    def inputs_of(self, metric: PlannedMetric, condition: str) -> Mapping[int, str]:
        """Return score unit → digest of what a condition's statistics are made from."""
        own = self.inputs.get(condition, {})
        if metrics.is_of_corpus(metric.signature):
            return store.corpus_inputs(own)
        if not metric.opponent:
            return own
        return store.paired_inputs(own, self.inputs.get(metric.opponent, {}))

    def unusable(self) -> list[tuple[Path, str]]:
        """Return every file that must be set aside, with the reason."""
        folders = [*self.generated.values(), *self.scored.values()]
        return [entry for pieces in folders for entry in pieces.unusable]

    def with_answers(self, claimed: Mapping[str, Collection[int]]) -> "RunProgress":
        """Return what will be done once *claimed* is answered: condition id → blocks."""
        answered = {
            condition: replace(
                pieces,
                blocks=dict.fromkeys(claimed.get(condition, ()), "claimed") | dict(pieces.blocks),
            )
            for condition, pieces in self.generated.items()
        }
        return replace(self, generated=answered)

    def expecting(self, plan: Plan) -> "RunProgress":
        """Return the same, with every answer that is lacking about to come."""
        blocks, others = set(plan.blocks), plan.not_generated
        to_come = {
            condition: frozenset(blocks - set(pieces.blocks))
            for condition, pieces in self.generated.items()
            if condition not in others
        }
        return replace(self, to_come=to_come)


def read_progress(run: RunDir, plan: Plan) -> RunProgress:
    """Read what is done of everything that the plan names."""
    found = read_when_asked(run, plan)
    return replace(found, generated=dict(found.generated), scored=dict(found.scored))


def read_own_answers(run: RunDir, plan: Plan, shard: int, n_shards: int) -> RunProgress:
    """Return what the pieces of one shard say is answered; others are not looked at.

    Of 10,000 array tasks each would read the files of all. Statistics are not looked for.
    """
    by = adapters_of(plan, read_trained(run, plan))

    def read(condition: str) -> SoundPieces:
        path = run.generation(condition, shard, n_shards)
        tags = answer_tags(condition, plan.data_digest, by.get(condition))
        try:
            piece = store.verify_piece(path)
        except Damaged:
            return SoundPieces({})
        sound = tags.items() <= piece.tags.items()
        return SoundPieces(piece.blocks, (path,)) if sound else SoundPieces({})

    return RunProgress(run, _WhenAsked([c.id for c in plan.conditions], read), {})


def read_when_asked(run: RunDir, plan: Plan) -> RunProgress:
    """Return the same, but each folder is read when it is first asked for: for few questions."""
    data, made = plan.data_digest, read_trained(run, plan)
    by = adapters_of(plan, made)
    signatures = {m.key: m.signature for m in plan.metrics}
    conditions = [c.id for c in plan.conditions]
    pairs = [(key, condition) for key in signatures for condition in conditions]
    return RunProgress(
        run,
        _WhenAsked(conditions, lambda c: read_answers(run, c, data, by.get(c))),
        _WhenAsked(pairs, lambda pair: read_scores(run, *pair, data, signatures[pair[0]])),
        made,
    )


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _WhenAsked(Mapping[_Key, _Value]):
    """What is found of each key, once, when it is asked for: of most, files must be read."""

    def __init__(self, keys: Iterable[_Key], read: Callable[[_Key], _Value]) -> None:
        self._keys = dict.fromkeys(keys)
        self._read = read
        self._known: dict[_Key, _Value] = {}

    def __getitem__(self, key: _Key) -> _Value:
        if key not in self._keys:
            raise KeyError(key)
        if key not in self._known:
            self._known[key] = self._read(key)
        return self._known[key]

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def made_from(path: Path) -> dict[int, str]:
    """Return what a JSON file says it was made from: score unit → digest of its answers.

    For stages whose results are one file a task, under the key ``inputs``; empty if there is no
    sound file.
    """
    try:
        return {int(unit): digest for unit, digest in store.read_json(path)["inputs"].items()}
    except (Damaged, KeyError):
        return {}


UNTRAINED = "not trained"
"""Stands for an adapter that is not there: answers of an earlier one are not its own."""


def read_trained(run: RunDir, plan: Plan) -> dict[str, str]:
    """Return fine-tune id → digest of the weights of each finished adapter of the plan."""
    folders = {f.id: run.adapter(f.id) for f in plan.finetunes}
    return {i: adapters.digest_of(p) for i, p in folders.items() if adapters.is_complete(p)}


def adapters_of(plan: Plan, made: Mapping[str, str]) -> dict[str, str]:
    """Return condition id → digest of the adapter that its answers must be made with."""
    owners = ((c.id, plan.finetune_of(c.model.name)) for c in plan.conditions)
    return {c: made.get(owner.id, UNTRAINED) for c, owner in owners if owner}
