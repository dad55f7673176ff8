"""The rows of a fine-tune as the collator hands them to the model, for the preflight to look at."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from empathy_core.backends import generation_settings
from empathy_core.prompts import reasoning
from empathy_core.training.spec import IGNORED, FinetuneSpec, Pair, TrainingRow
from empathy_core.types import Condition, Decoding

_COLLATED_ROWS = 8  # of unlike lengths, so that batches have padding

Answer = tuple[str, str]
"""Evidence and remedy; without a remedy nothing is wrong."""


@dataclass(frozen=True)
class RowsToCheck:
    """What is asked.

    Attributes:
        spec: The fine-tune.
        tokenizer: The base's transformers tokenizer.
        stops: Tokens at which the evaluation ends an answer.
        pad: Token that fills a batch.
        pairs: The rows before they were tokens.
        rows: One for each pair.
        collate: What makes batches of rows in the training: ``input_ids``, ``attention_mask`` and
            ``labels``, tensors of shape (rows, tokens).
        evaluated: For each pair, the whole prompt's ids as the evaluation renders it.
        forced: Tokens that the evaluation makes an encoder-decoder's answer begin with.
    """

    spec: FinetuneSpec
    tokenizer: Any
    stops: Sequence[int]
    pad: int
    pairs: Sequence[Pair]
    rows: Sequence[TrainingRow]
    collate: Callable[[Sequence[TrainingRow]], Mapping[str, Any]]
    evaluated: Sequence[Sequence[int]]
    forced: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class CollatedRow:
    """One row as the model gets it, without padding.

    Attributes:
        asked: The evaluation's ids of its prompt.
        labels: As long as ``ids``; an encoder-decoder's as long as the row's own.
        trained: The labels that the loss is taken on.
        n_padding_labels: Labels that the loss is taken on where padding stands.
        n_mask_off: Tokens that the attention mask hides, or of padding that it does not.
    """

    pair: Pair
    row: TrainingRow
    asked: Sequence[int]
    ids: list[int]
    labels: list[int]
    trained: list[int]
    n_padding_labels: int
    n_mask_off: int

    @property
    def name(self) -> str:
        """Id of the example."""
        return self.pair.example


@dataclass(frozen=True)
class Case:
    """What is asked, and what all questions need."""

    checked: RowsToCheck

    @property
    def spec(self) -> FinetuneSpec:
        """The fine-tune."""
        return self.checked.spec

    @property
    def encoder_decoder(self) -> bool:
        """Whether labels are a sequence of their own."""
        return self.spec.base.is_encoder_decoder

    @cached_property
    def seen(self) -> list[CollatedRow]:
        """All rows, collated."""
        return list(_collated(self))

    @cached_property
    def uncut(self) -> list[CollatedRow]:
        """Rows that hold their whole answer."""
        return [s for s in self.seen if not s.row.response_cut]

    @cached_property
    def special(self) -> frozenset[int]:
        """Special tokens; an unknown character's is none."""
        added = self.checked.tokenizer.added_tokens_decoder.items()
        found = {i for i, token in added if token.special}
        return frozenset(found | self.ends) - {self.unknown}

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that stop an answer, or end a text."""
        eos = self.checked.tokenizer.eos_token_id
        return frozenset({*self.checked.stops, *(() if eos is None else (eos,))})

    @cached_property
    def openings(self) -> Sequence[int]:
        """Special tokens that may open a trained answer: the template's own, or forced ones."""
        if not self.spec.chat:
            return self.checked.forced
        from jinja2 import TemplateError

        question = {"role": "user", "content": "probe question"}
        answer = {"role": "assistant", "content": "probe answer"}
        try:
            whole, asked = self._applied([question, answer]), self._applied([question])
        except (TemplateError, ValueError, TypeError):  # it takes contents in parts only
            return ()
        between = whole.partition("probe question")[2].partition("probe answer")[0]
        begun = asked.partition("probe question")[2].rstrip()
        ids = self.checked.tokenizer(between.removeprefix(begun), add_special_tokens=False)
        return [token for token in ids["input_ids"] if token in self.special]

    def _applied(self, turns: Sequence[Mapping[str, str]]) -> str:
        return str(
            self.checked.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=turns[-1]["role"] == "user",
                **dict(self.spec.base.template_arguments),
            )
        )

    @cached_property
    def delimiters(self) -> tuple[str, str] | None:
        """How the evaluation tells a thought from an answer; null if it does not."""
        spec = self.spec
        condition = Condition(spec.base, spec.prompt, Decoding(), chat=spec.chat)
        return generation_settings.delimiters(condition, self.checked.tokenizer)

    def said(self, seen: CollatedRow) -> reasoning.Parts:
        """Return what the evaluation reads in a row's labels: a thought and an answer."""
        inside = self.delimiters is not None and reasoning.opened(
            self._decoded(seen.asked[-32:], skip=False), self.delimiters
        )
        return reasoning.parts(seen.trained, self._decode, self.delimiters, inside=inside)

    def _decode(self, ids: Sequence[int], skip: bool) -> str:
        return self._decoded(ids, skip=skip)

    def _decoded(self, ids: Sequence[int], *, skip: bool) -> str:
        return str(
            self.checked.tokenizer.decode(
                list(ids), skip_special_tokens=skip, clean_up_tokenization_spaces=False
            )
        )

    @property
    def unknown(self) -> int | None:
        """What characters become that the tokenizer lacks; null if it lacks none."""
        unknown = self.checked.tokenizer.unk_token_id
        return None if unknown in self.ends else unknown

    def text(self, ids: Sequence[int]) -> str:
        """Return *ids* as text without special tokens, white space evened."""
        return flat(self._decoded(ids, skip=True))

    def token(self, token: int) -> str:
        """Return a token as text that can be told from its neighbours."""
        return repr(self.checked.tokenizer.decode([token], clean_up_tokenization_spaces=False))


def flat(text: str) -> str:
    """Return *text* with one space for each stretch of white space."""
    return " ".join(text.split())


def _collated(case: Case) -> Iterator[CollatedRow]:
    checked = case.checked
    asked = {
        pair.example: (pair, prompt)
        for pair, prompt in zip(checked.pairs, checked.evaluated, strict=True)
    }
    each = [(*asked[row.example], row) for row in checked.rows if row.example in asked]
    for start in range(0, len(each), _COLLATED_ROWS):
        part = each[start : start + _COLLATED_ROWS]
        batch = checked.collate([row for *_, row in part])
        columns = (batch[name].tolist() for name in ("input_ids", "attention_mask", "labels"))
        for of, *tensors in zip(part, *columns, strict=True):
            yield _unpadded(case, of, tensors)


def _unpadded(
    case: Case, of: tuple[Pair, Sequence[int], TrainingRow], tensors: Sequence[list[int]]
) -> CollatedRow:
    pair, asked, row = of
    ids, mask, labels = tensors
    n = len(row.input_ids)
    # a mask that was made by id hides real tokens, too: then padding is what follows the row
    real = [i for i, is_real in enumerate(mask) if is_real]
    places = real if len(real) == n else list(range(n))
    of_labels = list(range(len(row.labels))) if case.encoder_decoder else places
    kept = [labels[i] for i in of_labels if i < len(labels)]
    n_all = len(labels) - labels.count(IGNORED)
    trained = [label for label in kept if label != IGNORED]
    return CollatedRow(
        pair, row, asked, [ids[i] for i in places], kept, trained,
        n_padding_labels=n_all - len(trained), n_mask_off=abs(n - len(real)),
    )  # fmt: skip


def some(wrong: Sequence[CollatedRow], case: Case, n: int | None = None) -> str:
    """Return how many rows are wrong, and the first of them."""
    return f"{len(wrong)} of {len(case.seen) if n is None else n} rows, e.g. {wrong[0].name}"
