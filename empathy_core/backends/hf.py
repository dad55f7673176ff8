"""Answers from transformers models, decoder-only and encoder-decoder, in batches."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from empathy_core import weights
from empathy_core.backends import Answer, Request, embedding
from empathy_core.backends.chat import special_spellings
from empathy_core.backends.loading import load_model
from empathy_core.backends.logits import GumbelNoise, NanWatch, NoiseKey, Unpadded
from empathy_core.backends.rendering import Overlong, PromptTokens, Renderer, context_window
from empathy_core.backends.tokenizers import tokenizer_of
from empathy_core.errors import ModelError
from empathy_core.types import Condition, Decoding, ModelSpec

log = logging.getLogger(__name__)

SAMPLED_ROWS = 16
"""Rows of a batch under sampling where the condition does not say: a block's contexts times its
samples would not fit."""


@dataclass(frozen=True, slots=True)
class _Row:
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
        self._spec, self._model, self._tokenizer, self._overlong = spec, model, tokenizer, overlong
        self._fingerprint = weights.model_fingerprint(spec)
        self._window = context_window(model.config, tokenizer)
        self._end = end_tokens(model.generation_config, model.config, tokenizer)
        self._start = _decoder_start(model)
        self._n_rows = embedding.rows_of(model)
        self._pad = embedding.fill_token(tokenizer, self._n_rows)
        spelled = sorted(special_spellings(tokenizer))
        self._special = frozenset(tokenizer.convert_tokens_to_ids(spelled))
        # ``generate`` takes what is not given from here: a model's own temperature or repetition
        # penalty would be in force without being in the condition.
        model.generation_config = GenerationConfig()

    @property
    def ends(self) -> tuple[int, ...]:
        """Tokens at which an answer ends."""
        return self._end

    @property
    def decoder_start(self) -> int | None:
        """Token that an encoder-decoder's answer begins with; null for a decoder."""
        return self._start

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer one batch; under greedy decoding equal prompts are generated once.

        Raises:
            ModelError: A prompt is too long, one alone does not fit in memory, the weights are
                not the planned ones, or the scores are not numbers.
        """
        self._check(condition)
        rows = self._rows(condition, requests)
        distinct = list(dict.fromkeys(rows))
        sampled = condition.decoding.sample
        size = (condition.block_size or SAMPLED_ROWS) if sampled else max(len(distinct), 1)
        answers: dict[_Row, Answer] = {}
        for start in range(0, len(distinct), size):
            batch = distinct[start : start + size]
            answers |= zip(batch, self._generated(batch, condition.decoding), strict=True)
        ending = "" if condition.chat else condition.prompt.ending
        return [_closed(answers[row], ending) for row in rows]

    def continued(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Answer]:
        """Answer a batch of prompts that are tokens already, with the most probable ones.

        Raises:
            ModelError: One alone does not fit in memory, or the scores are not numbers.
        """
        rows = [_Row(PromptTokens(tuple(p), len(p), fits=True), None) for p in prompts]
        return self._generated(rows, decoding)

    def _check(self, condition: Condition) -> None:
        if condition.fingerprint and condition.fingerprint != self._fingerprint:
            msg = (
                f"{self._spec.name}: the weights in use are not the planned ones (fingerprint "
                f"{self._fingerprint[:12]}, expected {condition.fingerprint[:12]}); they changed "
                "since the sweep was planned; run sweep again, or pin 'revision'"
            )
            raise ModelError(msg)

    def _rows(self, condition: Condition, requests: Sequence[Request]) -> list[_Row]:
        renderer = Renderer(condition, self._tokenizer, self._window, self._overlong)
        prompts = renderer.prompts([request.context for request in requests])
        ids = (prompt.ids for prompt in prompts)
        embedding.check_inside(self._spec.name, self._tokenizer, ids, self._n_rows)
        rows = []
        for request, prompt in zip(requests, prompts, strict=True):
            if not prompt.fits and self._overlong == "error":
                msg = (
                    f"{self._spec.name}: the prompt of {request.example} has {prompt.n_whole} "
                    f"tokens; expected at most {renderer.max_prompt_tokens}; lower max_new_tokens "
                    'or set generation.overlong = "truncate"'
                )
                raise ModelError(msg)
            noise = NoiseKey(condition.decoding.seed, request.example, request.sample)
            rows.append(_Row(prompt, noise if condition.decoding.sample else None))
        return rows

    def _generated(self, rows: Sequence[_Row], decoding: Decoding) -> list[Answer]:
        """Generate one batch; halve it as often as memory runs out."""
        try:
            outputs = self._new_tokens(rows, decoding)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            outputs = None  # the traceback holds the tensors: go on outside of this clause
        if outputs is not None:
            return [self._answer(r.prompt, o) for r, o in zip(rows, outputs, strict=True)]
        self._halve(rows)
        middle = (len(rows) + 1) // 2
        return [
            *self._generated(rows[:middle], decoding),
            *self._generated(rows[middle:], decoding),
        ]

    def _halve(self, rows: Sequence[_Row]) -> None:
        import torch

        longest = max(len(row.prompt.ids) for row in rows)
        if len(rows) == 1:
            msg = (
                f"{self._spec.name}: one prompt of {longest} tokens alone does not fit in memory; "
                'expected room for one; lower max_new_tokens, set quantization = "nf4", or use a '
                "larger GPU"
            )
            raise ModelError(msg)
        self.halvings += 1
        log.warning("out of memory with %d prompts of up to %d tokens", len(rows), longest)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _new_tokens(self, rows: Sequence[_Row], decoding: Decoding) -> list[list[int]]:
        """Return the generated ids of each row, up to and including the first end token."""
        import torch

        ids, mask, n_padding = self._padded([row.prompt.ids for row in rows])
        start = 1 if self._start is not None else ids.shape[1]
        watch = NanWatch()
        processors = [watch, *_processors(decoding, rows, n_padding, start)]
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=self._settings(decoding),
                logits_processor=processors,
            )
        if watch.seen:
            msg = (
                f"{self._spec.name}: the model's scores are not numbers (NaN) under dtype "
                f"{self._spec.dtype}; expected finite ones; use bfloat16 or float32"
            )
            raise ModelError(msg)
        return [self._up_to_end(row) for row in output[:, start:].tolist()]

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

    def _settings(self, decoding: Decoding) -> Any:
        """Return all of transformers' settings; sampling and penalties are processors of ours."""
        from transformers import GenerationConfig

        return GenerationConfig(
            max_new_tokens=decoding.max_new_tokens,
            min_new_tokens=decoding.min_new_tokens or None,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(self._end),
            pad_token_id=self._pad,
            decoder_start_token_id=self._start,
            use_cache=True,
        )

    def _up_to_end(self, ids: list[int]) -> list[int]:
        ends = (i for i, token in enumerate(ids) if token in self._end)
        return ids[: next(ends, len(ids)) + 1]

    def _answer(self, prompt: PromptTokens, ids: list[int]) -> Answer:
        ended = bool(ids) and ids[-1] in self._end
        inside = ids[:-1] if ended else ids
        return Answer(
            text=self._tokenizer.decode(
                inside, skip_special_tokens=True, clean_up_tokenization_spaces=False
            ),
            stop="eos" if ended else "length",
            prompt_sha256=prompt.sha256,
            n_prompt_tokens=len(prompt.ids),
            n_output_tokens=len(ids),
            n_special_tokens=sum(token in self._special for token in inside),
            prompt_truncated=prompt.truncated,
            output_ids=tuple(ids),
        )


def _closed(answer: Answer, ending: str) -> Answer:
    """Return the answer up to where the prompt's format closes it."""
    if not ending or ending not in answer.text:
        return answer
    return replace(answer, text=answer.text[: answer.text.index(ending)])


def _processors(
    decoding: Decoding, rows: Sequence[_Row], n_padding: Sequence[int], start: int
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


def end_tokens(generation: Any, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer: the model's own, and the tokenizer's.

    Llama 3.1 names three; some chat models name only the end of a text and not that of a turn.

    Args:
        generation: The model's own generation settings.
        config: The model's configuration, which is asked where those name no end.
        tokenizer: Its tokenizer.
    """
    named = generation.eos_token_id
    if named is None:
        named = config.eos_token_id
    ends = [*named] if isinstance(named, list | tuple) else [named]
    return tuple(sorted({e for e in (*ends, tokenizer.eos_token_id) if e is not None}))


def _decoder_start(model: Any) -> int | None:
    """Return the token that an encoder-decoder's answer begins with; null for a decoder."""
    if not model.config.is_encoder_decoder:
        return None
    start = model.generation_config.decoder_start_token_id
    start = model.config.decoder_start_token_id if start is None else start
    return int(model.config.pad_token_id if start is None else start)


def _out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: torch has a class for accelerators, and words for the CPU."""
    import torch

    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)
