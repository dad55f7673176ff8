"""A decoder behind an encoder: what an answer begins with, and how long it can be."""

from dataclasses import dataclass
from typing import Any

from empathy_core.backends.generation_settings import decoder_start
from empathy_core.errors import ModelError
from empathy_core.types import Condition

_NAMES = ("max_decoder_position_embeddings", "max_position_embeddings", "max_target_positions")


@dataclass(frozen=True, slots=True)
class Decoder:
    """The decoder of an encoder-decoder.

    Attributes:
        start: The token that it begins with, which is no part of the answer.
        forced: The tokens that an answer is made to begin with (BART, mBART).
        positions: See ``decoder_positions``.
    """

    start: int
    forced: tuple[int, ...] = ()
    positions: int | None = None


def decoder_of(generation: Any, config: Any, name: str) -> Decoder | None:
    """Return the decoder of a checkpoint as its answers are generated; null for a decoder alone.

    Args:
        generation: Its generation settings.
        config: Its configuration.
        name: Of the model, for messages.

    Raises:
        ModelError: Nothing names the token that an answer begins with.
    """
    start = decoder_start(generation, config, name)
    if start is None:
        return None
    forced = getattr(generation, "forced_bos_token_id", None)
    return Decoder(start, () if forced is None else (int(forced),), decoder_positions(config))


def decoder_positions(config: Any) -> int | None:
    """Return how many tokens an encoder-decoder's answer may have; null without a limit.

    The first position is that of the token that a decoder starts with, and what is predicted at
    the last one needs none. T5's positions are relative, and without a limit.

    Args:
        config: Of a transformers model; for a decoder alone the answer is null, since its window
            holds prompt and answer together.
    """
    if not config.is_encoder_decoder:
        return None
    decoder = getattr(config, "decoder", None)
    of = decoder if hasattr(decoder, "to_dict") else config  # an EncoderDecoderModel holds two
    found = (getattr(of, name, None) for name in _NAMES)
    return next((int(n) for n in found if n is not None), None)


def check_room(condition: Condition, config: Any) -> None:
    """Refuse answers that the decoder has no positions for.

    Raises:
        ModelError: ``max_new_tokens`` is larger than they are.
    """
    n, wanted = decoder_positions(config), condition.decoding.max_new_tokens
    if n is not None and wanted > n:
        msg = (
            f"{condition.model.name}: max_new_tokens = {wanted} under [decoding."
            f"{condition.decoding.name}], but the decoder of '{condition.model.weights}' has "
            f"{n} positions; expected at most {n}; lower max_new_tokens"
        )
        raise ModelError(msg)
