"""From requests to prompts, and from tokens to answers: what needs a model's files, no weights.

Whatever generates (transformers in this process, a server) is given these prompts, and its tokens
become answers here, so that engines cannot differ in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from empathy_core import weights
from empathy_core.backends import generation_settings
from empathy_core.backends.protocol import Answer, Request
from empathy_core.errors import ModelError
from empathy_core.prompts import reasoning
from empathy_core.prompts.chat import special_spellings
from empathy_core.prompts.rendering import Overlong, PromptTokens, Renderer, context_window
from empathy_core.prompts.stops import before_stop, end_tokens, turn_end
from empathy_core.types import Condition, Decoding, ModelSpec
from empathy_core.weights import embedding


@dataclass(frozen=True, slots=True)
class AnswerRules:
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


class ModelText:
    """The side of a model that is text: tokenizer, chat template, context window, ends.

    Attributes:
        start: Token that an encoder-decoder's answer begins with; null for a decoder.
    """

    def __init__(
        self,
        spec: ModelSpec,
        tokenizer: Any,
        settings: tuple[Any, Any],
        rows: int | None,
        overlong: Overlong,
    ) -> None:
        """Take what the model's files say.

        Args:
            spec: The model.
            tokenizer: Its tokenizer.
            settings: Its own generation settings, and its configuration.
            rows: Of its embedding; null if they are not known.
            overlong: ``truncate`` cuts questions that do not fit the context window.
        """
        self._spec, self._tokenizer, self._overlong = spec, tokenizer, overlong
        self._own, self._config = settings
        self._rows = rows
        self._fingerprint = weights.model_fingerprint(spec)
        self._window = context_window(self._config, tokenizer)
        self.start = generation_settings.decoder_start(self._own, self._config, spec.name)
        spelled = sorted(special_spellings(tokenizer))
        self._special = frozenset(tokenizer.convert_tokens_to_ids(spelled))

    def ends(self, *, chat: bool) -> tuple[int, ...]:
        """Return the tokens at which an answer ends, if prompts go through the chat template."""
        turn = self.turn if chat else None
        return end_tokens(self._own, self._config, self._tokenizer, turn)

    @cached_property
    def turn(self) -> int | None:
        """The token by which the chat template ends an answer; null if there is none."""
        return turn_end(self._tokenizer, self._spec)[0]

    @property
    def structure(self) -> dict[str, Any]:
        """The model's own settings that are no matter of taste."""
        kept = generation_settings.structure(self._own, self._config)
        return generation_settings.as_settings(kept)

    def rules(self, condition: Condition) -> AnswerRules:
        """Return how a condition's answers are made and read."""
        settings = generation_settings.as_settings(condition.structure)
        ends = self.ends(chat=condition.chat)
        return AnswerRules(condition.decoding, ends, settings, condition.reasoning)

    def check(self, condition: Condition) -> None:
        """Refuse weights that are not the planned ones.

        Raises:
            ModelError: Their fingerprint is another.
        """
        if condition.fingerprint and condition.fingerprint != self._fingerprint:
            msg = (
                f"{self._spec.name}: the weights in use are not the planned ones (fingerprint "
                f"{self._fingerprint[:12]}, expected {condition.fingerprint[:12]}); they changed "
                "since the sweep was planned; run sweep again, or pin 'revision'"
            )
            raise ModelError(msg)

    def prompts(self, condition: Condition, requests: Sequence[Request]) -> list[PromptTokens]:
        """Render the prompt of each request.

        Raises:
            ModelError: One does not fit, or cannot be rendered, or holds a token without a row.
        """
        renderer = Renderer(condition, self._tokenizer, self._window, self._overlong)
        prompts = renderer.prompts([request.context for request in requests])
        if self._rows is not None:
            ids = (prompt.ids for prompt in prompts)
            embedding.check_inside(self._spec.name, self._tokenizer, ids, self._rows)
        for request, prompt in zip(requests, prompts, strict=True):
            if not prompt.fits and self._overlong == "error":
                msg = (
                    f"{self._spec.name}: the prompt of {request.example} has {prompt.n_whole} "
                    f"tokens; expected at most {renderer.max_prompt_tokens}; lower max_new_tokens "
                    'or set generation.overlong = "truncate"'
                )
                raise ModelError(msg)
        return prompts

    def decoded(self, ids: Sequence[int], skip: bool = True) -> str:
        """Return the text of tokens, without special ones if they are to be skipped."""
        return str(
            self._tokenizer.decode(
                list(ids), skip_special_tokens=skip, clean_up_tokenization_spaces=False
            )
        )

    def said(self, prompt: PromptTokens, rules: AnswerRules, ids: Sequence[int]) -> str:
        """Return the text of an answer whose end token is taken off, without its thought."""
        return self._parts(prompt, rules, ids).text

    def _parts(
        self, prompt: PromptTokens, rules: AnswerRules, ids: Sequence[int]
    ) -> reasoning.Parts:
        of = rules.reasoning
        # the end of a prompt is enough: a delimiter has fewer than so many tokens
        inside = of is not None and reasoning.opened(self.decoded(prompt.ids[-32:], False), of)
        return reasoning.parts(ids, self.decoded, of, inside=inside)

    def answer(self, prompt: PromptTokens, ids: Sequence[int], rules: AnswerRules) -> Answer:
        """Return what the suite makes of tokens, the end token included, as an answer."""
        ended = bool(ids) and ids[-1] in rules.ends
        inside = list(ids[:-1] if ended else ids)
        parts = self._parts(prompt, rules, inside)
        text = before_stop(parts.text, rules.texts)
        # the last token that there is room for is made an end by some checkpoints (BART)
        full = len(ids) == rules.decoding.max_new_tokens
        forced = "forced_eos_token_id" in rules.settings and full
        return Answer(
            text=text,
            stop="eos" if (ended and not forced) or text != parts.text else "length",
            prompt_sha256=prompt.sha256,
            n_prompt_tokens=len(prompt.ids),
            n_output_tokens=len(ids),
            n_special_tokens=self._n_special(parts.said, inside, rules),
            prompt_truncated=prompt.truncated,
            output_ids=tuple(ids),
            thought=parts.thought,
            n_thought_tokens=parts.n_thought,
        )

    def _n_special(self, said: Sequence[int], ids: Sequence[int], rules: AnswerRules) -> int:
        """Count the special tokens of an answer, but for the one that every answer begins with."""
        begins = {rules.settings.get("forced_bos_token_id")}
        if self.start is not None:
            begins.add(self._tokenizer.bos_token_id)
        opened = bool(said) and said[0] == ids[0] and said[0] in begins & self._special
        return sum(token in self._special for token in said) - opened


def closed(answer: Answer, condition: Condition) -> Answer:
    """Return the answer up to where the prompt's format closes it."""
    ending = "" if condition.chat else condition.prompt.ending
    if not ending or ending not in answer.text:
        return answer
    return replace(answer, text=answer.text[: answer.text.index(ending)])
