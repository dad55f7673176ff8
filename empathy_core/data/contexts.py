"""The contexts of frozen rows: texts, or the conversations that a run's rows hold. Pure.

Only a run with conversations has the columns ``conversation`` and ``turns`` (``store.TURNS``).
"""

from collections.abc import Mapping, Sequence

import polars as pl

from empathy_core.conversation import Context, Conversation, Message
from empathy_core.data.normal import question_digest


def has_turns(examples: pl.DataFrame) -> bool:
    """Tell whether any row is a conversation."""
    return "turns" in examples.columns


def contexts_of(examples: pl.DataFrame) -> list[Context]:
    """Return the context of each row, in order.

    Args:
        examples: Rows with ``context`` and, where there are conversations, ``turns``.
    """
    texts: list[Context] = examples["context"].to_list()
    if not has_turns(examples):
        return texts
    turns = examples["turns"].to_list()
    return [_context(text, of) for text, of in zip(texts, turns, strict=True)]


def answered_alike(examples: pl.DataFrame) -> pl.Series:
    """Return a key that rows share whose answers answer the same.

    It is ``question``, but for conversations and groups, whose rows share that one whatever they
    answer: of them it is the digest of what was said before, in its normal form.
    """
    apart = [pl.col(name).is_null() for name in ("turns", "group") if name in examples.columns]
    if not apart:
        return examples["question"]
    alone = pl.all_horizontal(apart).alias("alone")
    columns = examples.select("context", "question", alone).iter_rows()
    keys = [own if alone else question_digest(text) for text, own, alone in columns]
    return pl.Series("question", keys, dtype=pl.String)


def _context(text: Context, turns: Sequence[Mapping[str, str]] | None) -> Context:
    if turns is None:
        return text
    return Conversation(tuple(Message(turn["role"], turn["content"]) for turn in turns))  # type: ignore[arg-type]
