"""What a judge reads: the text of a rating as its tokens, and the tokens of its answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from empathy_core import weights
from empathy_core.conversation import Message
from empathy_core.errors import ModelError
from empathy_core.prompts.chat import special_spellings
from empathy_core.prompts.rendering import PromptTokens, Renderer, context_window
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.rubrics.rendering import empty_text, lettered, rating_text
from empathy_core.rubrics.spec import Dimension, Rubric
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt
from empathy_core.weights import checkpoint, embedding

_PROMPT = Prompt(name="judge", label="", text="{context}", messages=(Message("user", "{context}"),))
ROOM = 2
"""Tokens that a label and a server's next token take."""
_LABEL = Decoding(max_new_tokens=ROOM)


def condition_of(
    model: ModelSpec,
    fingerprint: str,
    reasoning: tuple[str, str] | None = None,
    decoding: Decoding = _LABEL,
) -> Condition:
    """Return the judge as what answers: its model, asked for one label or for a text.

    Args:
        model: Of the judge.
        fingerprint: Of its weights.
        reasoning: The delimiters of a thought, which is closed before a label.
        decoding: How much room an answer has, and which form.
    """
    return Condition(
        model, _PROMPT, decoding, chat=model.chat_template, fingerprint=fingerprint,
        reasoning=reasoning,
    )  # fmt: skip


@dataclass(frozen=True)
class RatingPrompts:
    """Renders the ratings of one dimension for one judge.

    Attributes:
        renderer: Ends each prompt just before the judge's answer.
        dimension: As the judge reads it: its points have the labels of the rubric, or letters.
        labels: Token of each label, in the order of ``dimension.labels``; empty where the judge
            writes its answer.
        request: The end of its text where that is more than one of the labels.
    """

    rubric: Rubric
    renderer: Renderer
    dimension: Dimension
    labels: tuple[int, ...]
    request: str = ""

    def prompts(self, rated: Sequence[tuple[str, ...]]) -> list[PromptTokens]:
        """Return the prompt for each (message, reply), or (message, reply A, reply B)."""
        return self.renderer.prompts([self.text(*texts) for texts in rated])

    @property
    def empty(self) -> str:
        """The text of a rating in which nothing stands to be rated."""
        return empty_text(self.rubric, self.dimension, self.request)

    def text(self, *texts: str) -> str:
        """Return what is read of one (message, reply), or (message, reply A, reply B)."""
        # quoting knows the usual spellings; these are the tokenizer's own
        apart = (_apart(text, self.spellings) for text in texts)
        return rating_text(self.rubric, self.dimension, *apart, request=self.request)

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """What may not be spelled in a quoted text, longest first.

        Special tokens, and others beside the vocabulary that delimit something (``</think>``);
        not the blanks and the words that some tokenizers keep there.
        """
        tokenizer = self.renderer.tokenizer
        added = {token.content for token in tokenizer.added_tokens_decoder.values()}
        delimiting = {text for text in added if not text.strip()[:1].isalnum()}
        wanted = special_spellings(tokenizer) | delimiting
        return tuple(sorted((s for s in wanted if len(s.strip()) > 1), key=len, reverse=True))


def _apart(text: str, spelled: Sequence[str]) -> str:
    """Return a text in which nothing of *spelled* is: a blank stands after its first sign."""
    while found := next((s for s in spelled if s in text), None):
        n = len(found) - len(found.lstrip()) + 1
        text = text.replace(found, f"{found[:n]} {found[n:]}")
    return text


@lru_cache(maxsize=64)
def rating_prompts(condition: Condition, rubric: Rubric, dimension: Dimension) -> RatingPrompts:
    """Return how the judge of a condition is asked about one dimension; reads its tokenizer.

    The labels must be single, distinct tokens at the exact end of the prompt: those of the rubric,
    or else letters.

    Raises:
        ModelError: Neither are, or the rubric alone does not fit the judge's context.
    """
    model = condition.model
    folder, renderer = _read(condition)
    for asked in (dimension, lettered(dimension)):
        found = RatingPrompts(rubric, renderer, asked, ())
        empty = _checked(found, folder)
        if labels := _label_tokens(found, empty.ids):
            return replace(found, labels=labels)
    listed = ", ".join(dimension.labels)
    msg = (
        f"{model.name}: the answers {listed} of rubric '{rubric.name}', dimension "
        f"'{dimension.name}', are no single, distinct tokens of its tokenizer behind the prompt, "
        "and letters are none either; expected one token each; use another judge"
    )
    raise ModelError(msg)


@lru_cache(maxsize=64)
def written_prompts(
    condition: Condition, rubric: Rubric, dimension: Dimension, request: str
) -> RatingPrompts:
    """Return how a judge is asked that writes its answer; reads its tokenizer.

    Raises:
        ModelError: The rubric alone does not fit the judge's context.
    """
    folder, renderer = _read(condition)
    found = RatingPrompts(rubric, replace(renderer, up_to_answer=False), dimension, (), request)
    _checked(found, folder)
    return found


def _checked(asked: RatingPrompts, folder: Path) -> PromptTokens:
    """Return the prompt in which nothing stands to be rated, as the model of *folder* reads it.

    Raises:
        ModelError: It does not fit, or holds a token without a row.
    """
    renderer = asked.renderer
    model = renderer.condition.model
    empty = renderer.prompts([asked.empty])[0]
    embedding.check_planned(model, folder, renderer.tokenizer, [empty.ids])
    if not empty.fits:
        raise ModelError(_too_long(model, asked.rubric, asked.dimension, empty, renderer))
    return empty


@lru_cache(maxsize=4)
def _read(condition: Condition) -> tuple[Path, Renderer]:
    """Return where a judge lies and what renders its prompts, read once for all it is asked."""
    model = condition.model
    folder = weights.locate(str(model.weights), model.revision)
    tokenizer = tokenizer_of(model)
    window = context_window(checkpoint.read_config(folder, model.name), tokenizer)
    engine = model.engine.context if model.engine else None
    limits = [limit for limit in (window, engine) if limit is not None]
    limit = min(limits, default=None)
    return folder, Renderer(condition, tokenizer, limit, "error", up_to_answer=True)


def _label_tokens(asked: RatingPrompts, prompt: Sequence[int]) -> tuple[int, ...]:
    """Return the token of each label where the answer begins; empty if one has none of its own."""
    found = []
    for label in asked.dimension.labels:
        behind = _behind(asked, prompt, label)
        if len(behind) != 1:
            return ()
        found += behind
    return tuple(found) if len(set(found)) == len(found) else ()


def _behind(asked: RatingPrompts, prompt: Sequence[int], label: str) -> list[int]:
    """Return the tokens of an answer behind the prompt; none if they change those of the prompt.

    An encoder-decoder's answer is a text of its own.
    """
    renderer = asked.renderer
    if renderer.condition.model.is_encoder_decoder:
        return list(renderer.tokenizer(label, add_special_tokens=False)["input_ids"])
    blank = "" if renderer.condition.chat else " "
    whole = renderer.with_answer(asked.empty, blank + label)
    return whole[len(prompt) :] if whole[: len(prompt)] == list(prompt) else []


def _too_long(
    model: ModelSpec, rubric: Rubric, dimension: Dimension, empty: PromptTokens, renderer: Any
) -> str:
    return (
        f"{model.name}: rubric '{rubric.name}', dimension '{dimension.name}', takes "
        f"{empty.n_whole} tokens without any reply; expected at most "
        f"{renderer.max_prompt_tokens}; use a judge with a longer context"
    )
