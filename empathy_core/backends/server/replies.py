"""From what a server answers to an ``Answer``: pure, and the same for every server."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from empathy_core.backends.protocol import Answer
from empathy_core.backends.reading import AnswerRules, ModelText
from empathy_core.backends.server.client import MalformedReply
from empathy_core.errors import ModelError
from empathy_core.prompts import reasoning
from empathy_core.prompts.rendering import PromptTokens
from empathy_core.prompts.stops import before_stop

FILTERED = ("content_filter", "content-filter", "safety", "recitation")
"""What servers call it when their filter ended an answer."""

Stop = Literal["eos", "length", "none", "filter"]


def withheld(prompt_sha256: str, n_prompt_tokens: int) -> Answer:
    """Return the answer to a prompt that the server's filter refused: no text."""
    return Answer("", "filter", prompt_sha256=prompt_sha256, n_prompt_tokens=n_prompt_tokens)


# ---------------------------------------------------------------------------- token ids


def check_echo(choice: Mapping[str, Any], sent: Sequence[int], engine: str) -> None:
    """Refuse an answer to another prompt than was sent.

    Raises:
        ModelError: The server gives back other ids: it cut them, or put some before them.
    """
    echoed = choice.get("prompt_token_ids")
    if echoed is None or list(echoed) == list(sent):
        return
    msg = (
        f"engine '{engine}': the server answered another prompt than was sent: "
        f"{_difference(list(echoed), list(sent))}; expected the {len(sent)} token ids as they "
        "were; look whether it cuts long prompts or adds tokens of its own, and turn that off"
    )
    raise ModelError(msg)


def _difference(echoed: list[int], sent: list[int]) -> str:
    if len(echoed) != len(sent):
        return f"{len(echoed)} ids instead of {len(sent)}"
    pairs = enumerate(zip(echoed, sent, strict=True))
    at = next(i for i, (a, b) in pairs if a != b)
    return f"id {echoed[at]} instead of {sent[at]} in place {at + 1}"


def of_tokens(
    choice: Mapping[str, Any], prompt: PromptTokens, text: ModelText, rules: AnswerRules
) -> Answer:
    """Return the answer in a choice that holds the ids of its tokens.

    Args:
        choice: Of ``/completions``.
        prompt: What was sent.
        text: Reads tokens.
        rules: How.

    Raises:
        MalformedReply: There are no ids.
    """
    ids = choice.get("token_ids")
    if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
        msg = "a choice has no 'token_ids'"
        raise MalformedReply(msg)
    whole = _with_end(list(ids), choice, rules)
    cut = whole[: _up_to_text(whole, prompt, text, rules)]
    answer = text.answer(prompt, cut, rules)
    return replace(answer, stop="filter") if _is_filtered(choice) else answer


def _with_end(ids: list[int], choice: Mapping[str, Any], rules: AnswerRules) -> list[int]:
    """Return the ids with the token that ended them, where the server leaves it out."""
    end = choice.get("stop_reason")
    ended = choice.get("finish_reason") == "stop" and (not ids or ids[-1] not in rules.ends)
    return [*ids, end] if ended and isinstance(end, int) and end in rules.ends else ids


def _up_to_text(
    ids: Sequence[int], prompt: PromptTokens, text: ModelText, rules: AnswerRules
) -> int:
    """Return how many tokens there are once the answer holds a stop text; all if it never does."""
    if not rules.texts:
        return len(ids)

    def holds(n: int) -> bool:
        said = text.said(prompt, rules, ids[:n])
        return any(stop in said for stop in rules.texts)

    if not holds(len(ids)):
        return len(ids)
    return next(n for n in range(1, len(ids) + 1) if holds(n))


# ---------------------------------------------------------------------------- text alone


def of_text(
    choice: Mapping[str, Any],
    usage: Mapping[str, Any],
    prompt: tuple[str, int],
    rules: AnswerRules,
) -> Answer:
    """Return the answer in a choice that holds text and no ids.

    Args:
        choice: Of ``/completions`` or ``/chat/completions``.
        usage: Of the whole reply.
        prompt: Digest of what was sent, and its tokens as the suite counts them (0: as the
            server does).
        rules: How texts are read.

    Raises:
        MalformedReply: There is neither a text nor a reason for its absence.
    """
    message = choice.get("message")
    written = message.get("content") if isinstance(message, dict) else choice.get("text")
    refusal = message.get("refusal") if isinstance(message, dict) else None
    thought = _thought_of(message) if isinstance(message, dict) else ""
    if not isinstance(written, str):
        if refusal is None and not _may_be_silent(choice, message):
            msg = "a choice has neither text nor a reason for its absence"
            raise MalformedReply(msg)
        written = str(refusal or "")
    text, inside = _split(written, rules)
    said = before_stop(text, rules.texts)
    n_thought = _nested(usage, "completion_tokens_details", "reasoning_tokens")
    return Answer(
        text=said,
        stop=_stop(choice, ended=said != text or refusal is not None),
        prompt_sha256=prompt[0],
        n_prompt_tokens=prompt[1] or int(usage.get("prompt_tokens") or 0),
        n_output_tokens=int(usage.get("completion_tokens") or 0),
        thought=thought or inside,
        n_thought_tokens=n_thought,
    )


def _may_be_silent(choice: Mapping[str, Any], message: Any) -> bool:
    """Tell whether a choice may lack a text: a filter took it, or all of it was thought."""
    thinks = isinstance(message, dict) and any(isinstance(message.get(n), str) for n in _THOUGHTS)
    return thinks or _is_filtered(choice) or choice.get("finish_reason") == "length"


_THOUGHTS = ("reasoning_content", "reasoning")
"""What servers call a thought in a message."""


def _thought_of(message: Mapping[str, Any]) -> str:
    """Return what a reasoning model wrote before its answer."""
    return str(next((message[n] for n in _THOUGHTS if message.get(n)), "")).strip()


def _split(written: str, rules: AnswerRules) -> tuple[str, str]:
    """Return text and thought, where the server leaves the delimiters in the text."""
    if rules.reasoning is None:
        return written, ""

    def decode(characters: Sequence[int], _skip: bool) -> str:
        return "".join(map(chr, characters))

    opened = rules.reasoning[0] not in written and rules.reasoning[1] in written
    found = reasoning.parts([*map(ord, written)], decode, rules.reasoning, inside=opened)
    return found.text, found.thought


def _stop(choice: Mapping[str, Any], *, ended: bool) -> Stop:
    if _is_filtered(choice):
        return "filter"
    return (
        "eos" if ended or choice.get("finish_reason") in ("stop", "eos", "end_turn") else "length"
    )


def _is_filtered(choice: Mapping[str, Any]) -> bool:
    return str(choice.get("finish_reason") or "").lower() in FILTERED


def _nested(usage: Mapping[str, Any], outer: str, inner: str) -> int:
    details = usage.get(outer)
    return int(details.get(inner) or 0) if isinstance(details, dict) else 0
