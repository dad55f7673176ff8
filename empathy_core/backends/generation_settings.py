"""What of a checkpoint's own settings is in force, known from its files and without its weights.

Taste (temperature, penalties, beams, lengths) is the condition's decoding and nothing else. What
a checkpoint cannot answer soundly without is kept: tokens that are forced or forbidden, the token
that a decoder starts with, texts that it stops at.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.prompts import reasoning
from empathy_core.prompts.stops import check_turn_end, end_tokens, read_settings, turn_end
from empathy_core.types import Condition

STRUCTURE = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "stop_strings",
    "suppress_tokens",
)
"""Names of transformers' generation settings that are no matter of taste."""

ALONE = frozenset({"reformer", "rwkv", "xlnet", "xlstm"})
"""Architectures (``model_type``) that read the padding of a batch as if it were text.

Of 90 families tried in float32, a prompt alone against the same prompt padded in a batch, these
are the ones whose answers differ (relative logits by 0.3 and more; all others by less than 1e-4).
"""


def structure(generation: Any, config: Any) -> tuple[tuple[str, str], ...]:
    """Return the settings of ``STRUCTURE`` that a checkpoint gives: names, and values as JSON.

    Args:
        generation: Its generation settings.
        config: Its configuration.
    """
    given = {name: getattr(generation, name, None) for name in STRUCTURE}
    if not config.is_encoder_decoder:
        del given["decoder_start_token_id"]
    if isinstance(given["stop_strings"], str):
        given["stop_strings"] = [given["stop_strings"]]
    return tuple((n, json.dumps(v)) for n, v in sorted(given.items()) if v not in (None, [], ()))


def as_settings(structure: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return ``structure`` as names and values."""
    return {name: json.loads(value) for name, value in structure}


def decoder_start(generation: Any, config: Any, name: str) -> int | None:
    """Return the token that an encoder-decoder's answer begins with; null for a decoder.

    As transformers has it: where none is named, the token that begins a text.

    Args:
        generation: The checkpoint's generation settings.
        config: Its configuration.
        name: Of the model, for messages.

    Raises:
        ModelError: Neither is named anywhere.
    """
    if not config.is_encoder_decoder:
        return None
    named = (
        generation.decoder_start_token_id,
        generation.bos_token_id,
        getattr(config, "decoder_start_token_id", None),
        getattr(config, "bos_token_id", None),
    )
    start = next((token for token in named if token is not None), None)
    if start is None:
        msg = (
            f"{name}: neither its generation_config.json nor its config.json names the token that "
            "an answer begins with; expected one, since a decoder continues it; set "
            "decoder_start_token_id in generation_config.json (the id of <pad> for T5)"
        )
        raise ModelError(msg)
    return int(start[0] if isinstance(start, list | tuple) else start)


# ---------------------------------------------------------------------------- at planning


def check_structure(
    settings: Mapping[str, Any], rows: int | None, name: str, *, encodes: bool
) -> None:
    """Refuse settings of a checkpoint that no answer could be made with.

    Ids beyond the vocabulary among the suppressed ones suppress nothing, and harm nothing.

    Args:
        settings: Names of ``STRUCTURE`` and their values.
        rows: How many tokens there are; null if that is not known.
        name: Of the model, for messages.
        encodes: Whether it is an encoder-decoder: of a decoder, no start is ever read.

    Raises:
        ModelError: A value is of another form than transformers takes, or names no token.
    """

    def tokens(value: Any, at_least: int = 0) -> bool:
        listed = value if isinstance(value, list) else [value]
        inside = (type(i) is int and i >= 0 and (rows is None or i < rows) for i in listed)
        return len(listed) >= at_least and all(inside)

    def words(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(w, list) and tokens(w, 1) for w in value)

    def texts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(t, str) and t for t in value)

    sound = {"bad_words_ids": words, "stop_strings": texts, "forced_eos_token_id": tokens}
    if encodes:
        sound |= dict.fromkeys(("decoder_start_token_id", "forced_bos_token_id"), tokens)
    for key, is_sound in sound.items():
        if key in settings and not is_sound(settings[key]):
            msg = (
                f"{name}: {key} = {json.dumps(settings[key])[:80]} in its generation_config.json "
                "cannot be followed; expected "
                + ("texts" if key == "stop_strings" else f"ids of tokens that it has ({rows})")
                + ", as transformers takes them; correct that file, or take the setting out of it"
            )
            raise ModelError(msg)


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """What the files of a checkpoint say of how it answers.

    Attributes:
        structure: See ``structure``.
        reasoning: The delimiters of a thought; null if there are none.
        alone: Whether each prompt must be a batch of its own.
        overridden: How the template writes thoughts, if the setting ``reasoning`` has it otherwise.
        turn_added: How the end of turn is spelled that was added to the model's own ends; empty
            if none had to be.
    """

    structure: tuple[tuple[str, str], ...] = ()
    reasoning: tuple[str, str] | None = None
    alone: bool = False
    turn_added: str = ""
    overridden: tuple[str, str] | None = None

    def applied(self, condition: Condition) -> Condition:
        """Return *condition* with what was found."""
        return replace(
            condition,
            structure=self.structure,
            reasoning=self.reasoning,
            block_size=1 if self.alone else condition.block_size,
        )

    def notes(self, label: str) -> tuple[str, ...]:
        """Return what tables must say of a model, called *label*."""
        sentences = []
        if self.turn_added:
            sentences.append(
                f"{label}: answers also end at {self.turn_added}, by which the chat template ends "
                "a turn and which the model's settings do not name."
            )
        if self.overridden:
            sentences.append(
                f"{label}: the chat template writes reasoning between {self.overridden[0].strip()} "
                f"and {self.overridden[1].strip()}, which the setting 'reasoning' replaces: what "
                "is written so is scored."
            )
        return tuple(sentences)


def find(condition: Condition, folder: Path, tokenizer: Any) -> CheckpointSettings:
    """Return what the files of a condition's model say of how it answers.

    Args:
        condition: Of an ``hf`` model.
        folder: Where the model lies.
        tokenizer: Its tokenizer.

    Raises:
        ModelError: The end of an answer, or the token that begins one, cannot be told.
    """
    spec, (generation, config) = condition.model, read_settings(folder)
    kept = structure(generation, config)
    encodes = bool(config.is_encoder_decoder)
    check_structure(as_settings(kept), _rows(config, tokenizer), spec.name, encodes=encodes)
    decoder_start(generation, config, spec.name)
    own = end_tokens(generation, config, tokenizer)
    turn = None
    if condition.chat and tokenizer.chat_template:
        turn = turn_end(tokenizer, spec)[0]
        texts = stop_texts(condition.decoding.stop, as_settings(kept))
        ends = end_tokens(generation, config, tokenizer, turn)
        check_turn_end(tokenizer, spec, ends, texts)
    added = "" if turn is None or turn in own else str(tokenizer.convert_ids_to_tokens(turn))
    used, written = delimiters(condition, tokenizer), template_delimiters(tokenizer)
    same = used is None or written is None or [*map(str.strip, used)] == [*map(str.strip, written)]
    unlike = None if same else written
    return CheckpointSettings(kept, used, config.model_type in ALONE, added, unlike)


def _rows(config: Any, tokenizer: Any) -> int | None:
    """Return how many tokens may be named; null if that is not known.

    An adapter may bring rows for the tokenizer's own; a decoder may have more than its encoder.
    """
    text = config.get_text_config()
    rows = [getattr(text, name, None) for name in ("vocab_size", "decoder_vocab_size")]
    known = [int(n) for n in rows if n is not None]
    return max(*known, len(tokenizer)) if known else None


def delimiters(condition: Condition, tokenizer: Any) -> tuple[str, str] | None:
    """Return how a condition's thoughts begin and end: as set, else as the template says."""
    return condition.model.reasoning or template_delimiters(tokenizer)


def template_delimiters(tokenizer: Any) -> tuple[str, str] | None:
    """Return how thoughts begin and end as the chat template says; null if it names none."""
    with suppress(ValueError):  # several templates, none of them the usual one
        if tokenizer.chat_template:
            return reasoning.delimiters(str(tokenizer.get_chat_template()))
    return None


def stop_texts(stop: tuple[str, ...], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts at which an answer ends: the decoding's, and the checkpoint's own."""
    return tuple(dict.fromkeys((*stop, *settings.get("stop_strings", ()))))
