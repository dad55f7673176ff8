"""Answers from transformers models, decoder-only and encoder-decoder, in batches."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from empathy_core import weights
from empathy_core.backends import generation_settings
from empathy_core.backends.loading import load_model
from empathy_core.backends.logits import GumbelNoise, NanWatch, NoiseKey, Unpadded
from empathy_core.backends.protocol import Answer, Request
from empathy_core.errors import ModelError
from empathy_core.prompts import reasoning
from empathy_core.prompts.chat import special_spellings
from empathy_core.prompts.rendering import Overlong, PromptTokens, Renderer, context_window
from empathy_core.prompts.stops import AtText, before_stop, end_tokens, turn_end
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.types import Condition, Decoding, ModelSpec
from empathy_core.weights import embedding

log = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class _How:
    """How answers are made of prompts, and read.

    Attributes:
        ends: Tokens at which an answer ends.
        settings: The checkpoint's own that are no matter of taste.
        reasoning: The delimiters of a thought; null if there are none.
    """

    decoding: Decoding
    ends: tuple[int, ...]
    settings: Mapping[str, Any]
    reasoning: tuple[str, str] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts at the first of which an answer ends."""
        return generation_settings.stop_texts(self.decoding.stop, self.settings)


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
        self._own = model.generation_config
        self._start = generation_settings.decoder_start(self._own, model.config, spec.name)
        self._n_rows = embedding.rows_of(model)
        self._pad = embedding.fill_token(tokenizer, self._n_rows)
        spelled = sorted(special_spellings(tokenizer))
        self._special = frozenset(tokenizer.convert_tokens_to_ids(spelled))
        # ``generate`` takes what is not given from here: a model's own temperature or repetition
        # penalty would be in force without being in the condition.
        model.generation_config = GenerationConfig()

    def ends(self, *, chat: bool) -> tuple[int, ...]:
        """Return the tokens at which an answer ends, if prompts go through the chat template."""
        turn = self.turn if chat else None
        return end_tokens(self._own, self._model.config, self._tokenizer, turn)

    @cached_property
    def turn(self) -> int | None:
        """The token by which the chat template ends an answer; null if there is none."""
        return turn_end(self._tokenizer, self._spec)[0]

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
        size = condition.block_size or (SAMPLED_ROWS if sampled else max(len(distinct), 1))
        how, answers = self._how(condition), dict[_Sequence, Answer]()
        for start in range(0, len(distinct), size):
            batch = distinct[start : start + size]
            answers |= zip(batch, self._generated(batch, how), strict=True)
        ending = "" if condition.chat else condition.prompt.ending
        return [_closed(answers[row], ending) for row in rows]

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
        structure = generation_settings.structure(self._own, self._model.config)
        settings = generation_settings.as_settings(structure)
        return self._generated(rows, _How(decoding, self.ends(chat=chat), settings))

    def read(self, condition: Condition, prompt: Sequence[int], ids: Sequence[int]) -> Answer:
        """Return what the suite makes of tokens as an answer: its text and its thought.

        Args:
            condition: What is answered.
            prompt: Ids of the prompt.
            ids: Ids of the answer, its end token included.
        """
        row = _Sequence(PromptTokens(tuple(prompt), len(prompt), fits=True), None)
        answer = self._answer(row.prompt, list(ids), self._how(condition))
        return _closed(answer, "" if condition.chat else condition.prompt.ending)

    def _how(self, condition: Condition) -> _How:
        settings = generation_settings.as_settings(condition.structure)
        ends = self.ends(chat=condition.chat)
        return _How(condition.decoding, ends, settings, condition.reasoning)

    def _check(self, condition: Condition) -> None:
        if condition.fingerprint and condition.fingerprint != self._fingerprint:
            msg = (
                f"{self._spec.name}: the weights in use are not the planned ones (fingerprint "
                f"{self._fingerprint[:12]}, expected {condition.fingerprint[:12]}); they changed "
                "since the sweep was planned; run sweep again, or pin 'revision'"
            )
            raise ModelError(msg)

    def _rows(self, condition: Condition, requests: Sequence[Request]) -> list[_Sequence]:
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
            rows.append(_Sequence(prompt, noise if condition.decoding.sample else None))
        return rows

    def _generated(self, rows: Sequence[_Sequence], how: _How) -> list[Answer]:
        """Generate one batch; halve it as often as memory runs out."""
        try:
            outputs = self._new_tokens(rows, how)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            outputs = None  # the traceback holds the tensors: go on outside of this clause
        if outputs is not None:
            return [self._answer(r.prompt, o, how) for r, o in zip(rows, outputs, strict=True)]
        self._halve(rows)
        middle = (len(rows) + 1) // 2
        return [
            *self._generated(rows[:middle], how),
            *self._generated(rows[middle:], how),
        ]

    def _halve(self, rows: Sequence[_Sequence]) -> None:
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

    def _new_tokens(self, rows: Sequence[_Sequence], how: _How) -> list[list[int]]:
        """Return the generated ids of each row, up to and including the first end."""
        import torch

        ids, mask, n_padding = self._padded([row.prompt.ids for row in rows])
        start = 1 if self._start is not None else ids.shape[1]
        watch = NanWatch()
        processors = [watch, *_processors(how.decoding, rows, n_padding, start)]
        said = [partial(self._said, row.prompt, how) for row in rows]
        at_text = AtText(how.texts, self._decoded, said, start) if how.texts else None
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=self._settings(how),
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
        return [_up_to_end(row[:length], how.ends) for row, length in made]

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

    def _settings(self, how: _How) -> Any:
        """Return all of transformers' settings; sampling and penalties are processors of ours."""
        from transformers import GenerationConfig

        # texts are stopped at by ``AtText``, and the start of an answer is known without a plan
        ours = ("stop_strings", "decoder_start_token_id")
        return GenerationConfig(
            max_new_tokens=how.decoding.max_new_tokens,
            min_new_tokens=how.decoding.min_new_tokens or None,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(how.ends),
            pad_token_id=self._pad,
            decoder_start_token_id=self._start,
            use_cache=True,
            **{name: value for name, value in how.settings.items() if name not in ours},
        )

    def _decoded(self, ids: Sequence[int], skip: bool = True) -> str:
        """Return the text of tokens, without special ones if they are to be skipped."""
        return str(
            self._tokenizer.decode(
                list(ids), skip_special_tokens=skip, clean_up_tokenization_spaces=False
            )
        )

    def _parts(self, prompt: PromptTokens, how: _How, ids: Sequence[int]) -> reasoning.Parts:
        """Return text and thought of an answer whose end token is taken off."""
        of = how.reasoning
        # the end of a prompt is enough: a delimiter has fewer than so many tokens
        inside = of is not None and reasoning.opened(self._decoded(prompt.ids[-32:], False), of)
        return reasoning.parts(ids, self._decoded, of, inside=inside)

    def _said(self, prompt: PromptTokens, how: _How, ids: Sequence[int]) -> str:
        return self._parts(prompt, how, ids).text

    def _answer(self, prompt: PromptTokens, ids: list[int], how: _How) -> Answer:
        ended = bool(ids) and ids[-1] in how.ends
        inside = ids[:-1] if ended else ids
        parts = self._parts(prompt, how, inside)
        text = before_stop(parts.text, how.texts)
        # the last token that there is room for is made an end by some checkpoints (BART)
        forced = "forced_eos_token_id" in how.settings and len(ids) == how.decoding.max_new_tokens
        return Answer(
            text=text,
            stop="eos" if (ended and not forced) or text != parts.text else "length",
            prompt_sha256=prompt.sha256,
            n_prompt_tokens=len(prompt.ids),
            n_output_tokens=len(ids),
            n_special_tokens=self._n_special(parts.said, inside, how),
            prompt_truncated=prompt.truncated,
            output_ids=tuple(ids),
            thought=parts.thought,
            n_thought_tokens=parts.n_thought,
        )

    def _n_special(self, said: Sequence[int], ids: Sequence[int], how: _How) -> int:
        """Count the special tokens of an answer, but for the one that every answer begins with."""
        begins = {how.settings.get("forced_bos_token_id")}
        if self._start is not None:
            begins.add(self._tokenizer.bos_token_id)
        opened = bool(said) and said[0] == ids[0] and said[0] in begins & self._special
        return sum(token in self._special for token in said) - opened


def _closed(answer: Answer, ending: str) -> Answer:
    """Return the answer up to where the prompt's format closes it."""
    if not ending or ending not in answer.text:
        return answer
    return replace(answer, text=answer.text[: answer.text.index(ending)])


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
