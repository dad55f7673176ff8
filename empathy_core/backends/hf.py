"""Answers from transformers models, decoder-only and encoder-decoder, in batches."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from empathy_core import weights
from empathy_core.backends.loading import load_model
from empathy_core.backends.logits import GumbelNoise, NanWatch, NoiseKey, Unpadded
from empathy_core.backends.probabilities import Ids, LabelProbabilities, label_probabilities
from empathy_core.backends.protocol import Answer, Request
from empathy_core.backends.reading import AnswerRules, ModelText, closed
from empathy_core.errors import ModelError
from empathy_core.prompts.rendering import Overlong, PromptTokens
from empathy_core.prompts.stops import AtText
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.types import Condition, Decoding, ModelSpec
from empathy_core.weights import embedding

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Made = TypeVar("Made")

SAMPLED_ROWS = 16
"""Rows of a batch under sampling where the condition does not say: a block's contexts times its
samples would not fit."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    """One sequence to generate; equal rows give equal answers.

    Attributes:
        noise: Null under greedy decoding.
    """

    prompt: PromptTokens
    noise: NoiseKey | None


def load(model: ModelSpec, overlong: Overlong) -> "HfBackend":
    """Load weights and tokenizer.

    Raises:
        ModelError: They are absent or cannot be used here.
    """
    folder = weights.locate(str(model.weights), model.revision)
    tokenizer = tokenizer_of(model)
    return HfBackend(model, load_model(model, folder), tokenizer, overlong)


class HfBackend:
    """A loaded model.

    Attributes:
        halvings: How often a batch was halved after running out of memory.
    """

    def __init__(self, spec: ModelSpec, model: Any, tokenizer: Any, overlong: Overlong) -> None:
        from transformers import GenerationConfig

        self.halvings = 0
        self._spec, self._model = spec, model
        settings, n_rows = (model.generation_config, model.config), embedding.rows_of(model)
        self.text = ModelText(spec, tokenizer, settings, n_rows, overlong)
        self._start, self._pad = self.text.start, embedding.fill_token(tokenizer, n_rows)
        # ``generate`` takes what is not given from here: a model's own temperature or repetition
        # penalty would be in force without being in the condition.
        model.generation_config = GenerationConfig()

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer one batch; under greedy decoding equal prompts are generated once.

        Raises:
            ModelError: A prompt is too long, one alone does not fit in memory, the weights are
                not the planned ones, or the scores are not numbers.
        """
        self.text.check(condition)
        rows = self._rows(condition, requests)
        distinct = list(dict.fromkeys(rows))
        sampled = condition.decoding.sample
        size = condition.block_size or (SAMPLED_ROWS if sampled else max(len(distinct), 1))
        rules, answers = self.text.rules(condition), dict[_Sequence, Answer]()
        for start in range(0, len(distinct), size):
            batch = distinct[start : start + size]
            answers |= zip(batch, self._generated(batch, rules), strict=True)
        return [closed(answers[row], condition) for row in rows]

    def label_probabilities(
        self, prompts: Sequence[Ids], labels: Sequence[Ids]
    ) -> list[LabelProbabilities]:
        """Return how probable each label is behind each prompt, as ``probabilities`` has it.

        Args:
            prompts: Token ids of a batch.
            labels: Token ids of each.

        Raises:
            ModelError: The labels cannot be told apart, a score is not a number, or one prompt
                alone does not fit in memory.
        """
        forced = self.text.structure.get("forced_bos_token_id")
        begins = [] if self._start is None else [self._start, *([] if forced is None else [forced])]

        def read(batch: Sequence[Ids]) -> list[LabelProbabilities]:
            return label_probabilities(self._model, batch, labels, decoder_input=begins)

        return self._as_fits(prompts, prompts, read)

    @property
    def model(self) -> Any:
        """The loaded transformers model."""
        return self._model

    def close(self) -> None:
        """Let go of the weights."""
        self._model = None

    def continued(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, *, chat: bool = False
    ) -> list[Answer]:
        """Answer a batch of prompts that are tokens already, with the most probable ones.

        Args:
            prompts: Their ids.
            decoding: A greedy one.
            chat: Whether they went through the chat template.

        Raises:
            ModelError: One alone does not fit in memory, or the scores are not numbers.
        """
        rows = [_Sequence(PromptTokens(tuple(p), len(p), fits=True), None) for p in prompts]
        rules = AnswerRules(decoding, self.text.ends(chat=chat), self.text.structure)
        return self._generated(rows, rules)

    def read(self, condition: Condition, prompt: Sequence[int], ids: Sequence[int]) -> Answer:
        """Return what the suite makes of tokens as an answer: its text and its thought.

        Args:
            condition: What is answered.
            prompt: Ids of the prompt.
            ids: Ids of the answer, its end token included.
        """
        whole = PromptTokens(tuple(prompt), len(prompt), fits=True)
        answer = self.text.answer(whole, ids, self.text.rules(condition))
        return closed(answer, condition)

    def _rows(self, condition: Condition, requests: Sequence[Request]) -> list[_Sequence]:
        sampled, seed = condition.decoding.sample, condition.decoding.seed
        return [
            _Sequence(prompt, NoiseKey(seed, r.example, r.sample) if sampled else None)
            for r, prompt in zip(requests, self.text.prompts(condition, requests), strict=True)
        ]

    def _generated(self, rows: Sequence[_Sequence], rules: AnswerRules) -> list[Answer]:
        """Generate one batch; halve it as often as memory runs out."""
        ids = [row.prompt.ids for row in rows]
        outputs = self._as_fits(rows, ids, partial(self._new_tokens, rules))
        return [self.text.answer(r.prompt, o, rules) for r, o in zip(rows, outputs, strict=True)]

    def _as_fits(
        self, rows: Sequence[Row], ids: Sequence[Ids], work: Callable[[Sequence[Row]], list[Made]]
    ) -> list[Made]:
        """Return what *work* makes of each row; *ids* are of their prompts.

        All rows are one batch, which is halved as often as memory runs out.

        Raises:
            ModelError: One row alone does not fit.
        """
        try:
            return work(rows)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
        # the traceback held the tensors: go on outside of that clause
        self._halve(ids)
        middle = (len(rows) + 1) // 2
        return [
            *self._as_fits(rows[:middle], ids[:middle], work),
            *self._as_fits(rows[middle:], ids[middle:], work),
        ]

    def _halve(self, ids: Sequence[Ids]) -> None:
        import torch

        longest = max(map(len, ids))
        if len(ids) == 1:
            msg = (
                f"{self._spec.name}: one prompt of {longest} tokens alone does not fit in memory; "
                'expected room for one; lower max_new_tokens, set quantization = "nf4", or use a '
                "larger GPU"
            )
            raise ModelError(msg)
        self.halvings += 1
        log.warning("out of memory with %d prompts of up to %d tokens", len(ids), longest)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _new_tokens(self, rules: AnswerRules, rows: Sequence[_Sequence]) -> list[list[int]]:
        """Return the generated ids of each row, up to and including the first end."""
        import torch

        ids, mask, n_padding = self._padded([row.prompt.ids for row in rows])
        start = 1 if self._start is not None else ids.shape[1]
        watch = NanWatch()
        processors = [watch, *_processors(rules.decoding, rows, n_padding, start)]
        said = [partial(self.text.said, row.prompt, rules) for row in rows]
        at_text = AtText(rules.texts, self.text.decoded, said, start) if rules.texts else None
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=self._settings(rules),
                logits_processor=processors,
                stopping_criteria=[at_text] if at_text else None,
            )
        if watch.seen:
            msg = (
                f"{self._spec.name}: the model's scores are not numbers (NaN) under dtype "
                f"{self._spec.dtype}; expected finite ones; use bfloat16 or float32"
            )
            raise ModelError(msg)
        lengths = at_text.lengths if at_text else [None] * len(rows)
        made = zip(output[:, start:].tolist(), lengths, strict=True)
        return [_up_to_end(row[:length], rules.ends) for row, length in made]

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Any, Any, list[int]]:
        """Return ids and mask of shape (rows, tokens), and how much padding the scores would see.

        A decoder continues its row, so padding stands on the left; an encoder reads from the
        left, and its padding is not part of what the decoder continues.
        """
        import torch

        width = max(map(len, prompts))
        left = self._start is None
        ids = torch.full((len(prompts), width), self._pad)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):
            place = slice(width - len(prompt), width) if left else slice(0, len(prompt))
            ids[i, place] = torch.tensor(prompt)
            mask[i, place] = 1
        n_padding = [width - len(p) if left else 0 for p in prompts]
        device = self._model.device
        return ids.to(device), mask.to(device), n_padding

    def _settings(self, rules: AnswerRules) -> Any:
        """Return all of transformers' settings; sampling and penalties are processors of ours."""
        from transformers import GenerationConfig

        # texts are stopped at by ``AtText``, and the start of an answer is known without a plan
        ours = ("stop_strings", "decoder_start_token_id")
        return GenerationConfig(
            max_new_tokens=rules.decoding.max_new_tokens,
            min_new_tokens=rules.decoding.min_new_tokens or None,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(rules.ends),
            pad_token_id=self._pad,
            decoder_start_token_id=self._start,
            use_cache=True,
            **{name: value for name, value in rules.settings.items() if name not in ours},
        )


def _processors(
    decoding: Decoding, rows: Sequence[_Sequence], n_padding: Sequence[int], start: int
) -> list[Any]:
    """Return what changes the scores, in transformers' order: penalties, sampling, noise."""
    from transformers.generation import logits_process as hf

    found: list[Any] = []
    if decoding.repetition_penalty != 1.0:
        penalty = hf.RepetitionPenaltyLogitsProcessor(float(decoding.repetition_penalty))
        found.append(Unpadded(penalty, n_padding))
    if decoding.no_repeat_ngram_size:
        ngrams = hf.NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size)
        found.append(Unpadded(ngrams, n_padding))
    if not decoding.sample:
        return found
    if decoding.temperature != 1.0:
        found.append(hf.TemperatureLogitsWarper(float(decoding.temperature)))
    if decoding.top_k:
        found.append(hf.TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1.0:
        found.append(hf.TopPLogitsWarper(decoding.top_p))
    return [*found, GumbelNoise([row.noise for row in rows if row.noise], start)]


def _up_to_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    places = (i for i, token in enumerate(ids) if token in ends)
    return ids[: next(places, len(ids)) + 1]


def _out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: torch has a class for accelerators, and words for the CPU."""
    import torch

    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)
