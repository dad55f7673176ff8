"""From pairs of question and answer to training rows: ids, and the labels the loss is taken on.

Prompts are rendered by what renders the evaluation's. Nothing here pads, and nothing here knows
the model.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from empathy_core.backends.generation_settings import delimiters
from empathy_core.backends.positions import Decoder
from empathy_core.conversation import Context, last_turn
from empathy_core.errors import ConfigError, ModelError
from empathy_core.prompts import reasoning
from empathy_core.prompts.chat import ChatTemplate, special_spellings
from empathy_core.prompts.rendering import Overlong, PromptTokens, Renderer
from empathy_core.training.spec import IGNORED, FinetuneSpec, Pair, TrainingRow
from empathy_core.types import Condition, Decoding

_TAG = re.compile(r"<[^<>\s]+>\Z")
_PROBE = "probe question"


@dataclass(frozen=True, slots=True)
class _Form:
    """What stands around an answer.

    Attributes:
        opening: What a template writes between prompt and answer up to its last special token.
        before: White space, or a thought without special tokens, that the answer follows at once.
        after: Text between answer and end token: white space, or the prompt's ending.
        end: The end token.
    """

    opening: str
    before: str
    after: str
    end: int


@dataclass(frozen=True)
class Encoder:
    """Makes rows of pairs.

    Attributes:
        spec: The fine-tune.
        tokenizer: The base's transformers tokenizer.
        window: The base's limit in tokens; null if it has none.
        stops: Tokens at which the evaluation ends an answer.
        decoder: How an encoder-decoder's answer begins; null for a decoder alone.
    """

    spec: FinetuneSpec
    tokenizer: Any
    window: int | None
    stops: tuple[int, ...]
    decoder: Decoder | None = None

    def encode(self, pairs: Sequence[Pair]) -> list[TrainingRow]:
        """Return one row for each pair, in their order.

        Raises:
            ConfigError: The settings leave no room for a question, or ask an encoder-decoder for
                labels that only a decoder has.
            ModelError: The prompt cannot be rendered, or the tokenizer has no end token.
        """
        self._check()
        if self.decoder is not None:
            return self._encoder_decoder_rows(pairs, self.decoder)
        prompts = self._prompts(pairs, self._renderer(self.window, "error"))
        answers = self._continuations(pairs)
        asked = self._with_room(pairs, prompts, answers)
        return [self._row(*each) for each in zip(pairs, prompts, asked, answers, strict=True)]

    # ------------------------------------------------------------------------ settings

    @property
    def _encoder_decoder(self) -> bool:
        return self.spec.base.is_encoder_decoder

    @property
    def _limit(self) -> int:
        """Tokens of the longest row."""
        limit = self.spec.max_tokens
        return limit if self.window is None else min(limit, self.window)

    def _check(self) -> None:
        if self._encoder_decoder and self.spec.labels != "response":
            msg = (
                f"{self.spec.name}: labels = '{self.spec.labels}' on the encoder-decoder "
                f"{self.spec.base.name}, whose labels are the answer alone; expected 'response'; "
                "change 'labels', or take a decoder as base"
            )
            raise ConfigError(msg)
        if not self._encoder_decoder and self.spec.min_response_tokens >= self._limit:
            msg = (
                f"{self.spec.name}: min_response_tokens = {self.spec.min_response_tokens} leaves "
                f"no room for a question in rows of {self._limit} tokens (the smaller of "
                "max_tokens and the model's window); expected less; lower it or raise max_tokens"
            )
            raise ConfigError(msg)

    def _renderer(self, window: int | None, overlong: Overlong, room: int = 1) -> Renderer:
        """Return the evaluation's renderer, with *room* tokens left for the answer."""
        return Renderer(self._condition(room), self.tokenizer, window, overlong)

    def _condition(self, room: int) -> Condition:
        """Return how the evaluation asks, for answers of *room* tokens."""
        decoding = Decoding(max_new_tokens=room)
        return Condition(self.spec.base, self.spec.prompt, decoding, chat=self.spec.chat)

    def _prompts(self, pairs: Sequence[Pair], renderer: Renderer) -> list[PromptTokens]:
        """Return each pair's prompt; many answers share a question, which is rendered once."""
        contexts = list(dict.fromkeys(pair.context for pair in pairs))
        rendered = dict(zip(contexts, renderer.prompts(contexts), strict=True))
        return [rendered[pair.context] for pair in pairs]

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self.tokenizer, self.spec.base)

    @cached_property
    def _form(self) -> _Form:
        prompt = self.spec.prompt
        if self.spec.chat:
            return self._turn()
        bare = self._encoder_decoder or prompt.text[-1:].isspace() or _TAG.search(prompt.text)
        return _Form("", "" if bare else " ", self._ending(), self._end_of_text())

    def _ending(self) -> str:
        """Return what closes an answer; nothing if the tokenizer cannot spell it.

        T5 lacks ``<``: it would write ``/assistant>``, which the evaluation does not take off.
        """
        ending = self.spec.prompt.ending
        ids = self._apart([ending])[0]
        return ending if ending in self.tokenizer.decode(ids) else ""

    def _turn(self) -> _Form:
        """Return what the chat template writes around an answer.

        All of it that stands before the answer is trained, so that what is asked for and what was
        trained are one conversation. The end is the first token after it that stops an
        evaluation, else the first special one.
        """
        messages = self.spec.prompt.chat("question")
        before, after = self._template.around_answer(messages, self._reasoning)
        ids = self.tokenizer(after, add_special_tokens=False)["input_ids"]
        stops = [token for token in ids if token in self.stops]
        ends = stops or [token for token in ids if token in self._special]
        end = ends[0] if ends else self._end_of_text()
        between = after.partition(self.tokenizer.convert_ids_to_tokens(end))[0] if ends else ""
        self._check_unsaid(self._template.render(messages), before, between)
        special = list(self._spelled.finditer(before))
        cut = special[-1].end() if special else 0
        return _Form(before[:cut], before[cut:], between, end)

    @cached_property
    def _reasoning(self) -> tuple[str, str] | None:
        """How a thought begins and ends in the evaluation's answers; null if there are none."""
        return delimiters(self._condition(1), self.tokenizer)

    def _check_unsaid(self, prompt: str, before: str, after: str) -> None:
        """Refuse a template whose own words the evaluation would take for the therapist's."""
        ids = self.tokenizer(before, add_special_tokens=False)["input_ids"] if before else []
        inside = self._reasoning is not None and reasoning.opened(prompt, self._reasoning)

        def decoded(some: Sequence[int], skip: bool) -> str:
            return str(
                self.tokenizer.decode(
                    list(some), skip_special_tokens=skip, clean_up_tokenization_spaces=False
                )
            )

        found = reasoning.parts(ids, decoded, self._reasoning, inside=inside)
        words = found.text.strip() or after.strip()
        if words:
            msg = (
                f"{self.spec.base.name}: the chat template writes '{words[:60]}' into the answer, "
                "and the evaluation would score these words as the answer's own; expected white "
                "space, special tokens or a thought; set reasoning = [begin, end] of this model "
                "if it is one, correct the template, or train with format = 'plain'"
            )
            raise ModelError(msg)

    def _end_of_text(self) -> int:
        end = self.tokenizer.eos_token_id
        if end is None and not self.stops:
            msg = (
                f"{self.spec.base.name}: neither its tokenizer nor its configuration names an end "
                "token; expected one, since an answer has to stop; set eos_token in "
                "tokenizer_config.json, or eos_token_id in generation_config.json"
            )
            raise ModelError(msg)
        return int(self.stops[0] if end is None else end)

    # ------------------------------------------------------------------------ answers

    @cached_property
    def _special(self) -> frozenset[int]:
        """Ids that no text may become; an unknown character's id is no such id."""
        ids = self.tokenizer.convert_tokens_to_ids(sorted(special_spellings(self.tokenizer)))
        return frozenset(ids) - ({self.tokenizer.unk_token_id} - set(self.stops))

    @cached_property
    def _spelled(self) -> re.Pattern[str]:
        spellings = sorted(special_spellings(self.tokenizer), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, spellings)) or r"\Z\A")

    def _texts(self, pairs: Sequence[Pair]) -> list[str]:
        form = self._form
        return [form.before + pair.response.strip() + form.after for pair in pairs]

    def _continuations(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Return each answer's ids as the tokenizer makes them behind its prompt.

        The prompt's last words and the answer are tokenised together, since many tokenizers put
        the space before a word into the word's token. Where that changes the ids of the prompt's
        words, or where the answer spells a special token, the answer is tokenised apart.
        """
        opening = self._form.opening
        leads = [self._lead or self._asked(pair.context) for pair in pairs]
        answers = self._texts(pairs)
        distinct = list(dict.fromkeys(leads))
        ids_of = dict(zip(distinct, self._ids(distinct, add_special_tokens=False), strict=True))
        texts = [lead + opening + answer for lead, answer in zip(leads, answers, strict=True)]
        found = []
        for lead, ids in zip(leads, self._ids(texts, add_special_tokens=False), strict=True):
            n = len(ids_of[lead])
            found.append(ids[n:] if ids[:n] == ids_of[lead] else None)
        apart = [
            i for i, ids in enumerate(found) if ids is None or self._spelled.search(answers[i])
        ]
        opened = self._ids([opening], add_special_tokens=False)[0] if opening else []
        separate = dict(zip(apart, self._apart([answers[i] for i in apart]), strict=True))
        return [
            [*opened, *separate[i]] if i in separate else ids or [] for i, ids in enumerate(found)
        ]

    @cached_property
    def _lead(self) -> str:
        """The text between question and answer, the same for each row; empty if there is none."""
        if self.spec.chat:
            return self._template.render(self.spec.prompt.chat(_PROBE)).rpartition(_PROBE)[2]
        return self.spec.prompt.plain(_PROBE).rpartition(_PROBE)[2]

    def _asked(self, context: Context) -> str:
        """Return the text that a prompt ends in where nothing stands behind the question."""
        if isinstance(context, str) or self.spec.chat:
            return last_turn(context)
        return self.spec.prompt.turns.written(context.turns)

    def _apart(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of *texts* alone, none of them a special token."""
        found = self._ids(texts, add_special_tokens=False, split_special_tokens=True)
        return [
            self._broken(text) if self._special.intersection(ids) else ids
            for text, ids in zip(texts, found, strict=True)
        ]

    def _broken(self, text: str) -> list[int]:
        """Return the ids of *text* with spelled special tokens cut in two.

        T5's vocabulary holds ``</s>`` as a word, too: there it cannot be had as text in one piece.
        """
        cuts = [0, *(found.start() + 1 for found in self._spelled.finditer(text)), len(text)]
        pieces = [text[a:b] for a, b in itertools.pairwise(cuts) if a < b]
        parts = self._ids(pieces, add_special_tokens=False, split_special_tokens=True)
        return [token for ids in parts for token in ids]

    def _ids(self, texts: Sequence[str], **how: bool) -> list[list[int]]:
        if not texts:
            return []
        return list(self.tokenizer(list(texts), verbose=False, **how)["input_ids"])

    # ------------------------------------------------------------------------ rows

    def _with_room(
        self,
        pairs: Sequence[Pair],
        prompts: Sequence[PromptTokens],
        answers: Sequence[Sequence[int]],
    ) -> list[tuple[int, ...]]:
        """Return the prompts' ids, questions cut where the least of the answer has no room."""
        renderers: dict[int, Renderer] = {}  # by room: a template is read once for each
        found = []
        for pair, prompt, answer in zip(pairs, prompts, answers, strict=True):
            room = min(len(answer) + 1, self.spec.min_response_tokens)
            if len(prompt.ids) + room <= self._limit:
                found.append(prompt.ids)
                continue
            if room not in renderers:
                renderers[room] = self._renderer(self._limit, "truncate", room)
            found.append(renderers[room].prompts([pair.context])[0].ids)
        return found

    def _row(
        self, pair: Pair, prompt: PromptTokens, asked: tuple[int, ...], answer: Sequence[int]
    ) -> TrainingRow:
        """Return a decoder's row."""
        cut = len(asked) < len(prompt.ids)
        n_prompt = len(asked)
        if self.spec.labels == "misaligned":
            labels = (*answer[:n_prompt], *[IGNORED] * (n_prompt - len(answer)))
            return TrainingRow(pair.example, asked, labels, n_prompt, cut, len(answer) > n_prompt)
        said, response_cut = self._ended(answer, self._limit - n_prompt)
        before = asked if self.spec.labels == "all" else (IGNORED,) * n_prompt
        return TrainingRow(
            pair.example, (*asked, *said), (*before, *said), n_prompt, cut, response_cut
        )

    def _ended(self, answer: Sequence[int], room: int) -> tuple[tuple[int, ...], bool]:
        """Return answer and end token if there is room, else what there is room for, and True."""
        if len(answer) + 1 <= room:
            return (*answer, self._form.end), False
        return tuple(answer[:room]), True

    def _encoder_decoder_rows(self, pairs: Sequence[Pair], decoder: Decoder) -> list[TrainingRow]:
        """Return rows whose two sides each have room for ``max_tokens``.

        The window bounds the encoder alone, as in the evaluation. The decoder has positions of
        its own (BART), or no limit (T5).
        """
        prompts = self._prompts(pairs, self._renderer(self._limit, "truncate"))
        limit, room = decoder.positions, self.spec.max_tokens
        room = (room if limit is None else min(room, limit)) - len(decoder.forced)
        rows = []
        for pair, prompt, answer in zip(
            pairs, prompts, self._apart(self._texts(pairs)), strict=True
        ):
            said, cut = self._ended(answer, room)
            labels, ids = (*decoder.forced, *said), prompt.ids
            rows.append(
                TrainingRow(
                    pair.example, ids, labels, len(ids), prompt.truncated, cut, decoder.start
                )
            )
        return rows
