"""A model looked at step by step: what it holds for probable at each token of an answer.

Answers are made by ``HfBackend`` itself. The distributions come from forward passes over prompt
and answer, with the cache and a few tokens at a time: hundreds of steps of a vocabulary of
128,000 do not stand in memory at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import count
from typing import TYPE_CHECKING, Any

from empathy_core import weights
from empathy_core.backends import Answer, Request
from empathy_core.backends.hf import HfBackend
from empathy_core.backends.loading import load_model
from empathy_core.conversation import Context
from empathy_core.diagnosis import Answered, Kind, Step, Stop, Token
from empathy_core.prompts.chat import special_spellings
from empathy_core.prompts.rendering import Overlong, PromptTokens, Renderer, context_window
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.types import Condition, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16
"""Steps whose distributions stand in memory together."""

_ENDS = re.compile(r"end|eo[stm]|</s>", re.IGNORECASE)
"""Spellings of ends. Of models whose padding is a second end (Qwen's <|endoftext|>) it is no bug
that they stop at it."""

TURN_ENDS_SINCE = 3
"""Version of the generation code that ends answers at the template's end of turn."""

_Forward = Callable[[list[int], Any], tuple["Tensor", Any]]


@dataclass(frozen=True)
class Asked:
    """What is asked of each step.

    Attributes:
        top: How many of the most probable tokens are told.
        ends: Tokens whose probability and rank are told.
        stored: Place in the answer, from 0 → another token whose probability is told.
    """

    top: int
    ends: Sequence[int]
    stored: Mapping[int, int]


def load(model: ModelSpec, overlong: Overlong) -> "Stepper":
    """Load weights and tokenizer.

    Raises:
        ModelError: They are absent or cannot be used here.
    """
    folder = weights.locate(str(model.weights), model.revision)
    tokenizer = tokenizer_of(model)
    loaded = load_model(model, folder)
    return Stepper(HfBackend(model, loaded, tokenizer, overlong), loaded, tokenizer, overlong)


@dataclass(frozen=True)
class Stepper:
    """A loaded model.

    Attributes:
        backend: What answers.
        model: The transformers model in it.
        tokenizer: Its tokenizer.
    """

    backend: HfBackend
    model: Any
    tokenizer: Any
    overlong: Overlong

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer one batch, as ``HfBackend.answer``."""
        return self.backend.answer(condition, requests)

    def prompts(self, condition: Condition, contexts: Sequence[Context]) -> list[PromptTokens]:
        """Render one prompt for each question."""
        window = context_window(self.model.config, self.tokenizer)
        renderer = Renderer(condition, self.tokenizer, window, self.overlong)
        return renderer.prompts(contexts)

    # ------------------------------------------------------------------------ tokens

    def written(self, id_: int) -> str:
        """Return how one token is written, a leading blank included."""
        raw = self.tokenizer.convert_ids_to_tokens(id_)
        if raw is None:  # the embedding has more rows than the tokenizer has tokens
            return f"<no token {id_}>"
        text = self._decoded([id_], skip=False)
        if raw.startswith("\u2581") and not text.startswith(" "):
            return f" {text}"
        return text if text and "\ufffd" not in text else str(raw)

    def answered(self, answer: Answer, condition: Condition, prompt: Sequence[int]) -> Answered:
        """Return an answer as ids, and what decoding makes of them now.

        Args:
            answer: As made or as stored.
            condition: Whose answer it is.
            prompt: Ids of the prompt.
        """
        ids = list(answer.output_ids)
        read = self.backend.read(condition, prompt, ids)
        return Answered(
            text=answer.text,
            stop=answer.stop,
            ids=answer.output_ids,
            tokens=tuple(map(self.written, ids)),
            visible=read.text,
            whole=self._decoded(ids, skip=False),
            prompt_sha256=answer.prompt_sha256,
            n_thought=read.n_thought_tokens,
        )

    def _decoded(self, ids: list[int], *, skip: bool) -> str:
        return str(
            self.tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        )

    def stops(self, condition: Condition) -> tuple[Stop, ...]:
        """Return what generation stops at; of answers of old versions, what it should have."""
        turn = self.backend.text.turn if condition.chat else None
        own = self.backend.text.ends(chat=False)
        known = condition.generation_version >= TURN_ENDS_SINCE
        return tuple(
            Stop(i, self.written(i), self._kind(i, turn), listed=i in own or known)
            for i in self.backend.text.ends(chat=condition.chat)
        )

    def _kind(self, id_: int, turn_end: int | None) -> Kind:
        spelled = self.tokenizer.convert_ids_to_tokens(id_)
        named: dict[int | None, Kind] = {
            self.tokenizer.unk_token_id: "unknown",
            self.tokenizer.bos_token_id: "start",
            self.tokenizer.pad_token_id: "pad",
        }
        if id_ == self.tokenizer.eos_token_id:
            return "end of text"
        if id_ == turn_end:
            return "end of turn"
        if spelled is None:
            return "unknown"
        if spelled not in special_spellings(self.tokenizer):
            return "word"
        return "special" if _ENDS.search(spelled) else named.get(id_, "special")

    # ------------------------------------------------------------------------ distributions

    def steps(self, prompt: Sequence[int], ids: Sequence[int], asked: Asked) -> list[Step]:
        """Return the distribution of each token of an answer, given prompt and tokens before it."""
        found: list[Step] = []
        for chunk in self._log_probabilities(prompt, ids[:-1], 0):
            found += self._told(chunk, len(found), ids, asked)
        return found

    def after(self, prompt: Sequence[int], text: str, asked: Asked) -> tuple[int, Step] | None:
        """Return a given answer's length in tokens, and the distribution after it.

        Null if prompt and answer do not fit the context window together.
        """
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        window = context_window(self.model.config, self.tokenizer)
        alone = self.backend.text.start is not None  # a decoder's answer shares its window
        if window is not None and not alone and len(prompt) + len(ids) > window:
            return None
        (chunk,) = self._log_probabilities(prompt, ids, len(ids))
        return len(ids), self._told(chunk, len(ids), ids, asked)[0]

    def _log_probabilities(
        self, prompt: Sequence[int], ids: Sequence[int], first: int
    ) -> Iterator["Tensor"]:
        """Yield log-probabilities, float32, of shape (up to 16, vocabulary).

        Those after *first* tokens of *ids*, after one more, and so on up to all of them.
        """
        forward, begin = self._forward(prompt)
        logits, cache = forward([*begin, *ids[:first]], None)
        yield logits[0, -1:].float().log_softmax(-1)
        for start in range(first, len(ids), CHUNK):
            logits, cache = forward(list(ids[start : start + CHUNK]), cache)
            yield logits[0].float().log_softmax(-1)

    def _forward(self, prompt: Sequence[int]) -> tuple[_Forward, list[int]]:
        """Return a function of (tokens, cache), and the tokens that the answer is put behind."""
        import torch

        device, model, start = self.model.device, self.model, self.backend.text.start
        if start is None:
            few = "logits_to_keep" in signature(model.forward).parameters

            @torch.inference_mode()
            def decoder(tokens: list[int], cache: Any) -> tuple["Tensor", Any]:
                # of the prompt only the last position is needed
                keep = {"logits_to_keep": 1} if few and cache is None else {}
                ids = torch.tensor([tokens], device=device)
                out = model(input_ids=ids, past_key_values=cache, use_cache=True, **keep)
                return out.logits, out.past_key_values

            return decoder, list(prompt)
        with torch.inference_mode():
            encoded = model.get_encoder()(torch.tensor([list(prompt)], device=device))

        @torch.inference_mode()
        def encoder_decoder(tokens: list[int], cache: Any) -> tuple["Tensor", Any]:
            ids = torch.tensor([tokens], device=device)
            out = model(
                encoder_outputs=encoded,
                decoder_input_ids=ids,
                past_key_values=cache,
                use_cache=True,
            )
            return out.logits, out.past_key_values

        return encoder_decoder, [start]

    def _told(self, chunk: "Tensor", first: int, ids: Sequence[int], asked: Asked) -> list[Step]:
        """Return the steps whose distributions are *chunk*; *first* is the place of the first."""
        import torch

        entropies = torch.special.entr(chunk.exp()).sum(-1).tolist()
        tops = chunk.topk(min(max(asked.top, 2), chunk.shape[1]), dim=-1).indices.tolist()
        lines = zip(count(first), chunk, entropies, tops, strict=False)
        return [
            Step(
                number=place + 1,
                taken=self._token(row, ids[place]) if place < len(ids) else None,
                top=tuple(self._token(row, i) for i in top),
                entropy=entropy,
                ends=tuple(self._token(row, i) for i in asked.ends),
                stored=self._token(row, asked.stored[place]) if place in asked.stored else None,
            )
            for place, row, entropy, top in lines
        ]

    def _token(self, row: "Tensor", id_: int) -> Token:
        rank = int((row > row[id_]).sum()) + 1
        return Token(id_, self.written(id_), float(row[id_].exp()), rank)

    @property
    def vocabulary(self) -> int:
        """Number of tokens that have a probability."""
        return int(self.model.get_output_embeddings().weight.shape[0])
