"""A fine-tune before its model is loaded: rows as tokens, and the preflight of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import weights
from empathy_core.backends.rendering import Renderer, context_window, load_tokenizer
from empathy_core.backends.stops import stop_tokens
from empathy_core.training import batches, modules, preflight, rows, tokens
from empathy_core.training.spec import Finding, FinetuneSpec, Pair, Row
from empathy_core.types import Condition, Decoding


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs beside the model.

    Attributes:
        folder: Where the base lies.
        stops: Tokens at which the evaluation ends an answer.
        pad: Token that fills a batch.
        findings: The preflight of the rows.
    """

    folder: Path
    tokenizer: Any
    train: Sequence[Row]
    validation: Sequence[Row]
    validation_pairs: Sequence[Pair]
    stops: tuple[int, ...]
    pad: int
    findings: tuple[Finding, ...]


def evaluated_as(spec: FinetuneSpec) -> Condition:
    """Return how the evaluation will ask what is trained here."""
    decoding = Decoding(max_new_tokens=spec.min_response_tokens)
    return Condition(spec.base, spec.prompt, decoding, chat=spec.chat)


def prepare(spec: FinetuneSpec, examples: pl.DataFrame) -> Prepared:
    """Return the rows of a fine-tune as tokens, and what the preflight says of them.

    Args:
        spec: The fine-tune.
        examples: The run's rows (``store.EXAMPLES``).

    Raises:
        DataError: There is no row to train on, or an evaluated row is among them.
        ModelError: Weights or tokenizer are absent, the base has no such layers, or the prompt
            cannot be rendered.
    """
    from transformers import AutoConfig

    pairs = rows.training_pairs(spec, examples)
    validation = rows.validation_pairs(spec, examples)
    folder = weights.locate(str(spec.base.weights), spec.base.revision)
    modules.updated(modules.of_folder(folder), spec)
    tokenizer = load_tokenizer(folder)
    window = context_window(AutoConfig.from_pretrained(folder), tokenizer)
    stops = stop_tokens(folder, tokenizer, spec.base, chat=spec.chat)
    encoder = tokens.Encoder(spec, tokenizer, window, stops)
    pad = batches.pad_token(tokenizer, stops)
    train = encoder.encode(pairs)
    evaluation = Renderer(evaluated_as(spec), tokenizer, window, "error")
    checked = preflight.Checked(
        spec=spec,
        tokenizer=tokenizer,
        stops=stops,
        pad=pad,
        pairs=pairs,
        rows=train,
        collate=partial(
            batches.collate, pad=pad, encoder_decoder=spec.base.architecture != "decoder"
        ),
        evaluated=[p.ids for p in evaluation.prompts([pair.context for pair in pairs])],
    )
    return Prepared(
        folder=folder,
        tokenizer=tokenizer,
        train=train,
        validation=encoder.encode(validation),
        validation_pairs=validation,
        stops=stops,
        pad=pad,
        findings=tuple(preflight.check_rows(checked)),
    )
