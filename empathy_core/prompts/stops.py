"""Where an answer ends: the model's own end tokens, the template's end of turn, stop texts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empathy_core.conversation import Message
from empathy_core.errors import ModelError
from empathy_core.prompts import reasoning
from empathy_core.prompts.chat import ChatTemplate, special_spellings
from empathy_core.types import ModelSpec
from empathy_core.weights import checkpoint

if TYPE_CHECKING:
    from torch import Tensor


def read_settings(folder: Path) -> tuple[Any, Any]:
    """Return generation settings and configuration of the model in *folder*, as loading has them.

    Raises:
        ModelError: One of both cannot be read.
    """
    from transformers import GenerationConfig

    config = checkpoint.read_config(folder, folder.name)
    path = folder / "generation_config.json"
    if not path.is_file():
        return GenerationConfig.from_model_config(config), config
    try:
        return GenerationConfig.from_pretrained(folder), config
    except Exception as error:  # a wrong value breaks settings anywhere, with any exception
        msg = (
            f"{path} cannot be read ({str(error)[:160]}); expected the JSON object that "
            "save_pretrained writes; save or download the whole model again"
        )
        raise ModelError(msg) from error


def end_tokens(
    generation: Any, config: Any, tokenizer: Any, turn: int | None = None
) -> tuple[int, ...]:
    """Return the tokens that end an answer: the model's own, the tokenizer's, the end of turn.

    Llama 3.1 names three; some chat models name only the end of a text and not that of a turn.

    Args:
        generation: The model's own generation settings.
        config: The model's configuration, which is asked where those name no end.
        tokenizer: Its tokenizer.
        turn: See ``turn_end``; null for prompts without a chat template.
    """
    named = generation.eos_token_id
    if named is None:
        named = getattr(config, "eos_token_id", None)
    ends = [*named] if isinstance(named, list | tuple) else [named]
    known = {e for e in (*ends, tokenizer.eos_token_id, turn) if e is not None}
    return tuple(sorted(e for e in known if e >= 0))  # some write -1 for none


def stop_tokens(
    folder: Path, tokenizer: Any, spec: ModelSpec | None = None, *, chat: bool = False
) -> tuple[int, ...]:
    """Return the tokens at which the evaluation will end an answer, without loading weights.

    Args:
        folder: Where the model lies: ``generation_config.json`` if there is one, ``config.json``.
        tokenizer: Its tokenizer.
        spec: The model; needed for chat prompts.
        chat: Whether prompts go through the chat template.
    """
    turn = turn_end(tokenizer, spec)[0] if chat and spec else None
    return end_tokens(*read_settings(folder), tokenizer, turn)


# ---------------------------------------------------------------------------- the end of turn


def turn_end(tokenizer: Any, spec: ModelSpec) -> tuple[int | None, str]:
    """Return the token by which the chat template ends an answer, and all that it writes there.

    Null where no special token is the first thing after an answer.

    Raises:
        ModelError: The template cannot render an answer.
    """
    template = ChatTemplate(tokenizer, spec)
    of = spec.reasoning or reasoning.delimiters(template.text)
    after = template.around_answer((Message("user", "probe question"),), of)[1].strip()
    ids = tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
    special = set(tokenizer.convert_tokens_to_ids(sorted(special_spellings(tokenizer))))
    known = special - {tokenizer.unk_token_id}
    return (int(ids[0]) if ids and ids[0] in known else None), after


def check_turn_end(
    tokenizer: Any, spec: ModelSpec, ends: Sequence[int], texts: Sequence[str]
) -> None:
    """Refuse a chat template whose end of turn no stop will meet.

    Args:
        tokenizer: The model's.
        spec: The model, asked through its chat template.
        ends: See ``end_tokens``.
        texts: At which an answer ends too.

    Raises:
        ModelError: It writes something after an answer that holds none of them.
    """
    after = turn_end(tokenizer, spec)[1]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
    if not after or set(ids) & set(ends) or any(text.strip() in after for text in texts):
        return
    msg = (
        f"{spec.name}: the chat template ends an answer with '{after[:60]}', which is neither a "
        "special token of the tokenizer nor one of the model's ends "
        f"({', '.join(map(str, tokenizer.convert_ids_to_tokens(list(ends)))) or 'none'}), so "
        "that answers would go on behind it; expected an end that can be told; set "
        f"stop = ['{after.splitlines()[0][:40]}'] under [decoding.<name>], or use the tokenizer "
        "that belongs to the template"
    )
    raise ModelError(msg)


# ---------------------------------------------------------------------------- stop texts


class AtText:
    """Ends each row of a batch by itself, as soon as its answer holds one of some texts.

    Handed to transformers' ``generate`` as a stopping criterion. What is looked at is the text of
    the row, so that neither neighbours nor padding matter.
    """

    def __init__(
        self,
        texts: Sequence[str],
        decode: Callable[[list[int]], str],
        said: Sequence[Callable[[list[int]], str]],
        start: int,
    ) -> None:
        """Take what must be known of a batch.

        Args:
            texts: At the first of which an answer ends.
            decode: Returns the text of tokens.
            said: For each row, what returns the answer in its tokens: the text without a thought.
            start: Length of ``input_ids`` before the first step.
        """
        self._texts, self._decode, self._said, self._start = tuple(texts), decode, said, start
        self.lengths: list[int | None] = [None] * len(said)
        """Tokens that each row had when it ended here; null where it did not."""

    def __call__(self, input_ids: "Tensor", scores: "Tensor", **_: object) -> "Tensor":  # noqa: ARG002  # the protocol's
        """Return which rows have ended, shape (rows,)."""
        import torch

        for i, row in enumerate(input_ids[:, self._start :].tolist()):
            if self.lengths[i] is None and self._holds(i, row):
                self.lengths[i] = len(row)
        ended = [length is not None for length in self.lengths]
        return torch.tensor(ended, device=input_ids.device)

    def _holds(self, i: int, row: list[int]) -> bool:
        # a token makes at least a byte of text, and a character has up to four: only where the
        # last tokens hold such a text is the whole answer looked at
        few = row[-(4 * max(map(len, self._texts)) + 16) :]
        return self._any_in(self._decode(few)) and self._any_in(self._said[i](row))

    def _any_in(self, text: str) -> bool:
        return any(stop in text for stop in self._texts)


def before_stop(text: str, texts: Sequence[str]) -> str:
    """Return *text* up to the first of some texts that it holds; all of it if it holds none."""
    places = [text.index(stop) for stop in texts if stop in text]
    return text[: min(places)] if places else text
