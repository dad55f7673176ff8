"""From a prompt and a question to the token ids that a model sees.

Special tokens are the tokenizer's own: those it adds to plain text, or those its chat template
spells, never both.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from empathy_core.conversation import Context, Conversation, last_turn
from empathy_core.errors import ModelError
from empathy_core.prompts.chat import ChatTemplate
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.types import Condition
from empathy_core.weights import checkpoint, embedding

Overlong = Literal["error", "truncate"]

_NO_LIMIT = 1_000_000
"""Tokenizers without a limit carry an astronomic ``model_max_length``."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the planner learns when all prompts of a condition are rendered.

    Attributes:
        digest: Of all rendered token ids, in order of the examples.
        first: The first prompt as the model sees it, special tokens included.
        preamble: Text that the chat template adds by itself and that was kept; empty if none.
        notes: What was done to the prompts so that an answer can follow them.
        template_digest: SHA-256 of the chat template; empty where none is used.
        max_prompt_tokens: Length of the longest prompt.
        context_window: The model's limit of prompt and answer together; null if it has none.
        overlong: Ids of the examples whose prompt and answer do not fit.
    """

    digest: str
    first: str
    preamble: str = ""
    notes: tuple[str, ...] = ()
    template_digest: str = ""
    max_prompt_tokens: int = 0
    context_window: int | None = None
    overlong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """One rendered prompt.

    Attributes:
        ids: Token ids, special tokens included.
        n_whole: Number of tokens before the question was cut.
        fits: Whether the whole question left room for the answer.
    """

    ids: tuple[int, ...]
    n_whole: int
    fits: bool

    @property
    def truncated(self) -> bool:
        """Whether the question was cut."""
        return len(self.ids) < self.n_whole

    @property
    def sha256(self) -> str:
        """Digest of the token ids."""
        return hashlib.sha256(",".join(map(str, self.ids)).encode()).hexdigest()


@dataclass(frozen=True)
class Renderer:
    """Renders the prompts of one condition.

    Attributes:
        tokenizer: A transformers tokenizer.
        window: The model's limit in tokens; null if it has none.
        overlong: ``truncate`` cuts questions that do not fit; ``error`` leaves them whole.
        up_to_answer: Whether a prompt ends just before the first token of an answer: a thought
            that the template opens is closed, and blanks at the end are left to the answer.
    """

    condition: Condition
    tokenizer: Any
    window: int | None
    overlong: Overlong
    up_to_answer: bool = False

    @property
    def max_prompt_tokens(self) -> int | None:
        """How long a prompt may be; null if there is no limit.

        A decoder's window holds prompt and answer; an encoder's holds the prompt alone.
        """
        if self.window is None or self.condition.model.is_encoder_decoder:
            return self.window
        return self.window - self.condition.decoding.max_new_tokens

    @cached_property
    def _template(self) -> ChatTemplate:
        model = self.condition.model
        if not self.tokenizer.chat_template:
            msg = (
                f"{model.name}: its tokenizer has no chat template; expected one since "
                "chat_template = true; set it to false, or take the instruction-tuned model"
            )
            raise ModelError(msg)
        template = ChatTemplate(self.tokenizer, model)
        if self.condition.template_digest not in ("", template.digest):
            msg = (
                f"{model.name}: the chat template in use is not the planned one (SHA-256 "
                f"{template.digest[:12]}, expected {self.condition.template_digest[:12]}); it "
                "changed since the sweep was planned; run sweep again, or pin 'revision'"
            )
            raise ModelError(msg)
        return template

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was done to prompts so that an answer can follow; sentences for the table note."""
        if self.condition.chat:
            opening = self._template.opening_added.strip()
            return (f"the chat template opens no answer; {opening} is added",) if opening else ()
        left_out = [self.tokenizer.convert_ids_to_tokens(i) for i in self._closing]
        return (
            (f"the tokenizer closes texts with {''.join(left_out)}; left out",) if left_out else ()
        )

    @property
    def template_digest(self) -> str:
        """SHA-256 of the chat template; empty where none is used."""
        return self._template.digest if self.condition.chat else ""

    @cached_property
    def _closing(self) -> list[int]:
        """Special tokens that the tokenizer puts behind a text, which a decoder is to continue.

        Empty for an encoder-decoder, whose encoder reads them, and for chat prompts.
        """
        if self.condition.chat or self.condition.model.is_encoder_decoder:
            return []
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("a")["input_ids"]
        starts = range(len(whole) - len(bare) + 1)
        start = next((i for i in starts if whole[i : i + len(bare)] == bare), None)
        return [] if start is None else whole[start + len(bare) :]

    @cached_property
    def preamble(self) -> str:
        """Words that the chat template adds by itself and that are kept."""
        if not self.condition.chat:
            return ""
        return self._template.added(self.condition.prompt.chat("question"))

    def prompts(self, contexts: Sequence[Context]) -> list[PromptTokens]:
        """Render one prompt for each question.

        Raises:
            ModelError: The template cannot render the prompt's roles, a prompt is empty or begins
                twice, or leaves no room for a question at all.
        """
        whole = self._tokens([self._text(context) for context in contexts])
        return [self._fitted(ids, c) for ids, c in zip(whole, contexts, strict=True)]

    def with_answer(self, context: Context, answer: str) -> list[int]:
        """Return the tokens of a prompt and the beginning of an answer behind it."""
        return self._tokens([self._spelled(context) + answer])[0]

    def _text(self, context: Context) -> str:
        text = self._spelled(context)
        return text.rstrip(" ") if self.up_to_answer else text

    def _spelled(self, context: Context) -> str:
        prompt = self.condition.prompt
        if not self.condition.chat:
            return prompt.plain(context)
        turns = prompt.chat(context)
        text = self._template.render(turns)
        if not self.up_to_answer:
            return text
        return text + self._template.around_answer(turns, self.condition.reasoning)[0]

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        plain = not self.condition.chat  # a template spells its special tokens itself
        encoded = self.tokenizer(texts, add_special_tokens=plain, verbose=False)["input_ids"]
        if n := len(self._closing):
            encoded = [ids[:-n] for ids in encoded]
        for ids in encoded:
            self._check(ids)
        return list(encoded)

    def _check(self, ids: Sequence[int]) -> None:
        name, bos = self.condition.model.name, self.tokenizer.bos_token_id
        if not ids:
            msg = f"{name}: a prompt has no tokens; expected a question; drop empty questions"
            raise ModelError(msg)
        if bos is not None and list(ids[:2]) == [bos, bos]:
            msg = (
                f"{name}: prompts begin with {self.tokenizer.bos_token} twice; expected it once; "
                "take it out of the prompt's text, since the tokenizer adds it"
            )
            raise ModelError(msg)
        decoder = self.condition.model.architecture == "decoder"
        if not self.condition.chat and decoder and ids[-1] == self.tokenizer.eos_token_id:
            msg = (
                f"{name}: prompts end in {self.tokenizer.eos_token}, and a model that is to "
                "continue them has ended already; expected the question's last word; take the "
                "token out of the prompt's text, or set add_eos_token = false in the tokenizer's "
                "tokenizer_config.json"
            )
            raise ModelError(msg)

    def _fitted(self, ids: Sequence[int], context: Context) -> PromptTokens:
        limit = self.max_prompt_tokens
        if limit is None or len(ids) <= limit:
            return PromptTokens(tuple(ids), len(ids), fits=True)
        if self.overlong == "error":
            return PromptTokens(tuple(ids), len(ids), fits=False)
        cut = self._cut(context, limit)
        return PromptTokens(tuple(cut), len(ids), fits=False)

    def _cut(self, context: Context, limit: int) -> list[int]:
        """Return the prompt with the latest turns of *context* that fit.

        Where not even the last one does, its longest beginning that fits is taken.
        """
        shorter = context.shortened() if isinstance(context, Conversation) else ()
        for conversation in shorter:
            ids = self._tokens([self._text(conversation)])[0]
            if len(ids) <= limit:
                return ids
        question = last_turn(context)

        def tokens(n_characters: int) -> list[int]:
            return self._tokens([self._text(question[:n_characters])])[0]

        sizes = range(1, len(question) + 1)
        n_characters = bisect_right(sizes, limit, key=lambda n: len(tokens(n)))
        if n_characters == 0:
            msg = (
                f"{self.condition.model.name}: prompt '{self.condition.prompt.name}' leaves no "
                f"room for a question; expected less than {limit} tokens without it; lower "
                "max_new_tokens or take a shorter prompt"
            )
            raise ModelError(msg)
        return tokens(n_characters)


def context_window(config: Any, tokenizer: Any) -> int | None:
    """Return how many tokens a model takes; null if it has no limit.

    A decoder has positions, and no more of them. T5's are relative and without a limit: there
    it is the length that its tokenizer names, the one it was trained on (512). A model that also
    sees or hears names the positions of its text model there.
    """
    name = "max_position_embeddings"
    positions = getattr(config, name, None)
    if positions is None and not config.is_encoder_decoder:
        positions = getattr(config.get_text_config(), name, None)
    if positions is None or positions < 1:  # XLNet says -1
        length = tokenizer.model_max_length
        return int(length) if length < _NO_LIMIT else None
    return int(positions)


Turns = tuple[tuple[str, str], ...]
"""Pairs of role and text."""


def turns(condition: Condition, context: Context) -> Turns:
    """Return what a server renders: the prompt's turns, or its text as one turn."""
    if not condition.chat:
        return (("user", condition.prompt.plain(context)),)
    return tuple((m.role, m.content) for m in condition.prompt.chat(context))


def digest_of_turns(asked: Turns) -> str:
    """Return the digest of what a server renders, which stands for that of token ids."""
    return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()


def render_in(
    condition: Condition, folder: Path, examples: Sequence[tuple[str, Context]], overlong: Overlong
) -> Rendering:
    """Render a condition's prompts for all examples, without loading any weights.

    Args:
        condition: What to render; its model is an ``hf`` one.
        folder: Where the model lies.
        examples: Pairs of id and question, or conversation; at least one.
        overlong: What happens to questions that do not fit.

    Raises:
        ModelError: See ``Renderer.prompts``.
    """
    renderer = _renderer(condition, folder, overlong)
    tokenizer = renderer.tokenizer
    prompts = renderer.prompts([context for _, context in examples])
    embedding.check_planned(condition.model, folder, tokenizer, [p.ids for p in prompts])
    return Rendering(
        digest=hashlib.sha256("\n".join(p.sha256 for p in prompts).encode()).hexdigest(),
        first=tokenizer.decode(list(prompts[0].ids), clean_up_tokenization_spaces=False),
        preamble=renderer.preamble,
        notes=renderer.notes,
        template_digest=renderer.template_digest,
        max_prompt_tokens=max(p.n_whole for p in prompts),
        context_window=renderer.window,
        overlong=tuple(e for (e, _), p in zip(examples, prompts, strict=True) if not p.fits),
    )


def _renderer(condition: Condition, folder: Path, overlong: Overlong) -> Renderer:
    tokenizer = tokenizer_of(condition.model)
    config = checkpoint.read_config(folder, condition.model.name)
    return Renderer(condition, tokenizer, context_window(config, tokenizer), overlong)


def prompt_digests(
    condition: Condition, contexts: Sequence[Context], overlong: Overlong
) -> list[str]:
    """Return for each question or conversation what an answer to it bears as ``prompt_sha256``.

    Raises:
        ModelError: The tokenizer is absent, or cannot render the prompt.
    """
    if condition.model.rendered_elsewhere:
        return [digest_of_turns(turns(condition, context)) for context in contexts]
    if condition.model.backend != "hf" or condition.model.weights is None:
        plain = (condition.prompt.plain(context) for context in contexts)
        return [hashlib.sha256(prompt.encode()).hexdigest() for prompt in plain]
    from empathy_core import weights

    folder = weights.locate(condition.model.weights, condition.model.revision)
    return [prompt.sha256 for prompt in _renderer(condition, folder, overlong).prompts(contexts)]


def render(
    condition: Condition,
    examples: Sequence[tuple[str, Context]],
    overlong: Literal["error", "truncate"] = "error",
) -> Rendering:
    """Render the prompts of *condition* for all examples (pairs of id and question).

    Needs the model's tokenizer, not its weights. Without a tokenizer only ``first`` is filled.

    Raises:
        ModelError: The tokenizer is absent, or cannot render the prompt.
    """
    if condition.model.rendered_elsewhere:
        asked = [turns(condition, context) for _, context in examples]
        return Rendering(
            digest=hashlib.sha256("\n".join(map(digest_of_turns, asked)).encode()).hexdigest(),
            first="\n\n".join(f"{role}: {text}" for role, text in asked[0]),
            notes=("the prompt is rendered by the server",),
        )
    if condition.model.backend != "hf" or condition.model.weights is None:
        return Rendering(digest="", first=condition.prompt.plain(examples[0][1]))
    from empathy_core import weights

    folder = weights.locate(condition.model.weights, condition.model.revision)
    return render_in(condition, folder, examples, overlong)
