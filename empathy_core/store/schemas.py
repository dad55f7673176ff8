"""Schemas of the frames that a run consists of, and how blocks form score units."""

import hashlib
from collections.abc import Mapping
from typing import Any

import polars as pl

EXAMPLES: dict[str, Any] = {
    "id": pl.String,  # "<source>-<row>", unique in the run
    "context": pl.String,
    "response": pl.String,
    "source": pl.String,
    "row": pl.Int64,  # 0-based row of the raw file
    "raw_sha256": pl.String,  # of the row before cleaning
    "question": pl.String,  # digest of the normalised context: rows that share it are one cluster
    "pair": pl.String,  # digest of the normalised context and response: equal means duplicate
    "author": pl.String,  # who answered, where the source tells; null otherwise
    "split": pl.String,  # train | validation | test
    "block": pl.Int32,  # null: not evaluated in this run
}
"""Schema of ``examples.parquet``: all cleaned rows, in the run's fixed order."""

TURNS: dict[str, Any] = {
    "conversation": pl.String,  # "<source>-<id>": the conversation that the row is a piece of
    "turns": pl.List(pl.Struct({"role": pl.String, "content": pl.String})),
}
"""Columns behind those of ``EXAMPLES`` where a source holds conversations; null for other rows.

``turns`` is what was said before the answer, cleaned; roles are ``user`` and ``assistant``, the
last is the user's. ``context`` is the same as text.
"""

EVALUATED = pl.col("block").is_not_null()
"""Which rows of ``examples.parquet`` the run's conditions answer."""

GENERATIONS: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,  # 0 under greedy decoding
    "block": pl.Int32,
    "text": pl.String,
    "stop": pl.String,  # eos | length | none (text made elsewhere) | filter (a server withheld it)
    "prompt_sha256": pl.String,  # of the prompt's token ids; empty without a tokenizer
    "n_prompt_tokens": pl.Int32,
    "n_output_tokens": pl.Int32,
    "n_special_tokens": pl.Int32,  # generated special tokens other than the final end token
    "prompt_truncated": pl.Boolean,
    "output_ids": pl.List(pl.Int32),
    "thought": pl.String,  # what a reasoning model wrote before its answer; never scored
    "n_thought_tokens": pl.Int32,  # of n_output_tokens, delimiters included
}
"""Schema of a piece under ``generations/``; tags ``kind``, ``condition``, ``data``."""

ADDED: dict[str, Any] = {"thought": "", "n_thought_tokens": 0}
"""Columns of ``GENERATIONS`` that pieces and journals of older versions lack, and their value."""

SCORES: dict[str, Any] = {
    "condition": pl.String,
    "example": pl.String,
    "sample": pl.Int32,
    "block": pl.Int32,  # the score unit: ``UNIT_BLOCKS`` generation blocks
}
"""Schema of a piece under ``scores/``, before one Float64 column a statistic (null: unscored).

Tags ``kind``, ``condition``, ``data``, ``signature``, and ``inputs``: JSON of ``unit_inputs``.
"""

UNIT_BLOCKS = 8
"""Blocks that are scored together: encoder batches are formed inside a unit and nowhere else, so
that a score does not depend on how units are dealt to workers."""


def paired_inputs(own: Mapping[int, str], other: Mapping[int, str]) -> dict[int, str]:
    """Return what scores are made from that compare a condition's answers with another's.

    Args:
        own: Score unit → digest, of the answers that are scored.
        other: Of those that they are compared with; units that it lacks have no answers.
    """
    return {
        unit: hashlib.sha256(f"{of} {other.get(unit, '')}".encode()).hexdigest()[:16]
        for unit, of in own.items()
    }


def corpus_inputs(own: Mapping[int, str]) -> dict[int, str]:
    """Return what the scores of each unit are made from where all answers are compared.

    Args:
        own: Score unit → digest, of every unit of the condition that has answers.
    """
    every = " ".join(f"{unit}:{of}" for unit, of in sorted(own.items()))
    return {
        unit: hashlib.sha256(f"{of} among {every}".encode()).hexdigest()[:16]
        for unit, of in own.items()
    }


def unit_inputs(blocks: Mapping[int, str]) -> dict[int, str]:
    """Return score unit → digest of the generated blocks it is made from.

    Args:
        blocks: Generation block → digest of its rows, as a piece's metadata has them.
    """
    units: dict[int, list[str]] = {}
    for block, digest in sorted(blocks.items()):
        units.setdefault(block // UNIT_BLOCKS, []).append(f"{block}:{digest}")
    return {u: hashlib.sha256(" ".join(b).encode()).hexdigest()[:16] for u, b in units.items()}
