"""Eight short rows under an adapter that is thrown away: their losses, learning them."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from empathy_core.training.loop.batches import collate
from empathy_core.training.loop.loss import loss_sum
from empathy_core.training.spec import IGNORED, FinetuneSpec, TrainingRow

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 8
"""Rows that are learnt: a batch."""

ANSWER_TOKENS = 40
"""Longer answers are cut to this before their end token: learning them takes minutes on a CPU."""

_SHORTEST = 8
"""Answers of fewer trained tokens are taken last: they prove little."""

_LEARNING_RATE, _WARMUP_STEPS, _MAX_NORM, _LEARNT, _LOOK_EVERY = 1e-2, 3, 1.0, 0.2, 5

_STEPS, _PATIENCE, _PROGRESS = 60, 20, 0.9
"""Learning is given up after so many steps, or when 20 lower the loss by less than a tenth.
SmolLM2 learns its rows in 11."""

_TOY_WEIGHTS, _TOY_FACTOR = 20_000_000, 3
"""Random weights of two layers need more steps, and cost nothing."""


# ---------------------------------------------------------------------------- rows


def select_rows(
    rows: Sequence[TrainingRow], ends: frozenset[int], *, encoder_decoder: bool
) -> list[TrainingRow]:
    """Return up to eight short rows of distinct prompts, their answers cut but for the end.

    One prompt cannot give back two answers. Rows that are trained to end come first: where none
    is, the answers will not stop, which is then found.
    """
    usable = [row for row in rows if any(label != IGNORED for label in row.labels)]
    short = [_shortened(row, ends, encoder_decoder=encoder_decoder) for row in usable]
    short.sort(key=lambda row: (ends.isdisjoint(row.labels), _trained(row) < _SHORTEST, _size(row)))
    distinct: dict[tuple[int, ...], TrainingRow] = {}
    for row in short:
        distinct.setdefault(prompt(row, encoder_decoder=encoder_decoder), row)
    return list(distinct.values())[:ROWS]


def _trained(row: TrainingRow) -> int:
    return sum(label != IGNORED for label in row.labels)


def _size(row: TrainingRow) -> int:
    return len(row.input_ids) + len(row.labels)


def _shortened(row: TrainingRow, ends: frozenset[int], *, encoder_decoder: bool) -> TrainingRow:
    """Return the row without the positions between the answer's beginning and its end token."""
    first = _first_answer(row, encoder_decoder=encoder_decoder) + ANSWER_TOKENS
    places = range(len(row.labels))
    last = next((i for i in reversed(places) if row.labels[i] in ends), len(row.labels))
    if last <= first or (not encoder_decoder and row.n_prompt >= len(row.input_ids)):
        return row
    kept = [*range(first), *range(last, len(row.labels))]
    labels = tuple(row.labels[i] for i in kept)
    if encoder_decoder:
        return replace(row, labels=labels)
    return replace(row, labels=labels, input_ids=tuple(row.input_ids[i] for i in kept))


def _first_answer(row: TrainingRow, *, encoder_decoder: bool) -> int:
    """Return where the answer's labels begin; 0 where they do not stand behind the prompt."""
    return 0 if encoder_decoder or row.n_prompt >= len(row.labels) else row.n_prompt


def prompt(row: TrainingRow, *, encoder_decoder: bool) -> tuple[int, ...]:
    """Return the tokens that the answer is to be generated from."""
    return row.input_ids if encoder_decoder else row.input_ids[: row.n_prompt]


def answer(row: TrainingRow, ends: frozenset[int], *, encoder_decoder: bool) -> tuple[int, ...]:
    """Return the tokens that are to be generated, without the end token."""
    labels = row.labels[_first_answer(row, encoder_decoder=encoder_decoder) :]
    trained = [label for label in labels if label != IGNORED]
    last = next((i for i, label in enumerate(trained) if label in ends), len(trained))
    return tuple(trained[:last])


# ---------------------------------------------------------------------------- the base, adapted


@contextmanager
def temporary_adapter(model: Any, spec: FinetuneSpec) -> Iterator[None]:
    """Put a fresh adapter into *model*, without dropout, and leave the base as it was.

    Raises:
        ModelError: See ``lora.attach``.
    """
    import torch

    from empathy_core.training.loop import lora

    training, generation = model.training, model.generation_config
    asked = {id(parameter): parameter.requires_grad for parameter in model.parameters()}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(spec.seed)
        attached = lora.attach(model, replace(spec, gradient_checkpointing=False))
        attached.eval()
        try:
            yield
        finally:
            attached.unload()
            model.generation_config = generation
            model.train(training)
            model.zero_grad()
            for parameter in model.parameters():
                parameter.requires_grad = asked[id(parameter)]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model gives for the trained tokens of a batch, n of them.

    Attributes:
        logits: Shape (n, vocabulary), float32, without a graph.
        labels: Shape (n,).
        rows: Shape (n,): the number of the row in the batch.
        answers: Shape (n,): whether the token belongs to the answer, not to its prompt.
        loss: Mean over the tokens; it has gradients.
    """

    logits: "Tensor"
    labels: "Tensor"
    rows: "Tensor"
    answers: "Tensor"
    loss: "Tensor"

    @property
    def losses(self) -> "Tensor":
        """Mean loss of each row, of shape (rows,)."""
        import torch
        from torch.nn.functional import cross_entropy

        each = cross_entropy(self.logits, self.labels, reduction="none")
        n_rows = int(self.rows.max()) + 1
        sums = torch.zeros(n_rows, device=each.device).index_add(0, self.rows, each)
        return sums / self.rows.bincount(minlength=n_rows)

    @property
    def accuracy(self) -> float:
        """Share of answer tokens that are the most probable ones."""
        right = self.logits.argmax(1) == self.labels
        return float(right[self.answers].float().mean())

    @property
    def answer_loss(self) -> float:
        """Mean loss of the answer tokens."""
        from torch.nn.functional import cross_entropy

        return float(cross_entropy(self.logits[self.answers], self.labels[self.answers]))


@dataclass(frozen=True, slots=True)
class OverfitResult:
    """How learning ended.

    Attributes:
        accuracy: Share of answer tokens that are the most probable ones.
        loss: Mean over answer tokens.
    """

    steps: int
    accuracy: float
    loss: float


@dataclass(frozen=True, slots=True)
class OverfitCheck:
    """A model and the rows that it is tried on."""

    model: Any
    rows: Sequence[TrainingRow]
    pad: int
    encoder_decoder: bool

    def scores(self, rows: Sequence[TrainingRow]) -> Scores:
        """Return what the model gives for one batch, padded as in training.

        The loss is transformers' own: the training's, which makes no more logits than it needs,
        is equal to it.
        """
        batch, answers = self._batch(rows)
        given = self.model(**batch, use_cache=False)
        return self._scores(given.logits.detach(), batch["labels"], answers, given.loss)

    def scores_as_generated(self, rows: Sequence[TrainingRow]) -> Scores:
        """Return the same of a decoder, padded in front as evaluation does."""
        batch, answers = self._batch(rows)
        moved = _left({**batch, "answers": answers})
        answers, labels = moved.pop("answers"), moved.pop("labels")
        logits = self.model(**moved).logits.detach()
        return self._scores(logits, labels, answers, logits.new_zeros(()))

    def _scores(
        self, logits: "Tensor", labels: "Tensor", answers: "Tensor", loss: "Tensor"
    ) -> Scores:
        import torch

        if not self.encoder_decoder:  # the logits at one place are for the next
            labels, answers, logits = labels[:, 1:], answers[:, 1:], logits[:, :-1]
        trained = labels != IGNORED
        at = torch.nonzero(trained)[:, 0]
        return Scores(logits[trained].float(), labels[trained], at, answers[trained], loss)

    def _batch(self, rows: Sequence[TrainingRow]) -> tuple[dict[str, Any], "Tensor"]:
        """Return the collated rows, and where their labels are those of answers."""
        answers = self._collated([self._answers_only(row) for row in rows])["labels"] != IGNORED
        return self._collated(rows), answers

    def _collated(self, rows: Sequence[TrainingRow]) -> dict[str, Any]:
        batch = collate(rows, self.pad, encoder_decoder=self.encoder_decoder)
        return {name: tensor.to(self.model.device) for name, tensor in batch.items()}

    def _answers_only(self, row: TrainingRow) -> TrainingRow:
        first = _first_answer(row, encoder_decoder=self.encoder_decoder)
        return replace(row, labels=(IGNORED,) * first + row.labels[first:])

    def learn(self) -> OverfitResult:
        """Train, by the training's own loss, until every answer token is sure or nothing moves."""
        import torch

        parameters = [p for p in self.model.parameters() if p.requires_grad]
        batch, _ = self._batch(self.rows)
        n_labels = len(self._looked().labels)
        if not parameters:
            return self._learnt([math.nan])
        optimizer = torch.optim.AdamW(parameters, weight_decay=0.0)
        losses: list[float] = []
        factor = _TOY_FACTOR if self.model.num_parameters() < _TOY_WEIGHTS else 1
        while True:
            loss = loss_sum(self.model, self.model, batch) / n_labels
            losses.append(loss.item())
            if _over(losses, factor) or (_may_be_sure(losses) and self._sure()):
                return self._learnt(losses)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, _MAX_NORM)
            optimizer.param_groups[0]["lr"] = _LEARNING_RATE * min(1, len(losses) / _WARMUP_STEPS)
            optimizer.step()

    def _looked(self) -> Scores:
        import torch

        with torch.no_grad():
            return self.scores(self.rows)

    def _sure(self) -> bool:
        looked = self._looked()
        return looked.accuracy == 1.0 and looked.answer_loss < _LEARNT

    def _learnt(self, losses: Sequence[float]) -> OverfitResult:
        looked = self._looked()
        return OverfitResult(len(losses) - 1, looked.accuracy, looked.answer_loss)


def _over(losses: Sequence[float], factor: int) -> bool:
    """Tell whether nothing more will be learnt; *factor* lengthens the wait."""
    if len(losses) > _STEPS * factor or not math.isfinite(losses[-1]):
        return True
    patience = _PATIENCE * factor
    before, since = losses[:-patience], losses[-patience:]
    return bool(before) and min(since) > _PROGRESS * min(before)


def _may_be_sure(losses: Sequence[float]) -> bool:
    """Tell whether it is time to look: where prompts are trained too, their loss stays high."""
    return losses[-1] < _LEARNT or len(losses) % _LOOK_EVERY == 0


def _left(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch with the padding of each row in front of it, and positions without it."""
    mask = batch["attention_mask"]
    order = mask.argsort(dim=1, stable=True)  # zeros first, what stands behind them as it was
    moved = {name: tensor.gather(1, order) for name, tensor in batch.items()}
    positions = moved["attention_mask"].cumsum(1) - 1
    # nothing stands before a row's first token, whatever label it has
    moved["labels"] = moved["labels"].masked_fill(positions == 0, IGNORED)
    moved["position_ids"] = positions.clamp(min=0)
    return moved
