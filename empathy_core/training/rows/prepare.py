"""A fine-tune before its model is loaded: rows as tokens, and the preflight of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import weights
from empathy_core.backends.generation_settings import find
from empathy_core.backends.positions import decoder_of
from empathy_core.errors import ModelError
from empathy_core.prompts.rendering import Renderer, context_window
from empathy_core.prompts.stops import read_settings, stop_tokens
from empathy_core.prompts.tokenizers import tokenizer_of
from empathy_core.training import modules
from empathy_core.training.loop import batches
from empathy_core.training.preflight import run as preflight
from empathy_core.training.rows import encode as tokens
from empathy_core.training.rows import select as rows
from empathy_core.training.rows.pairs import PreparedPairs, prepare_pairs, side_of
from empathy_core.training.spec import Finding, FinetuneSpec, Pair, TrainingRow
from empathy_core.types import Condition, Decoding


@dataclass(frozen=True)
class PreparedTraining:
    """Everything that training needs beside the model.

    Attributes:
        folder: Where the base lies.
        stops: Tokens at which the evaluation ends an answer.
        pad: Token that fills a batch.
        findings: The preflight of the rows.
        asked: How the evaluation asks for answers, and reads them.
        positions: Tokens that an encoder-decoder's answer may have; null without a limit.
        pairs: What is tuned on; null where nothing is. Where no answers are trained before, the
            rows are the chosen replies.
    """

    folder: Path
    tokenizer: Any
    train: Sequence[TrainingRow]
    validation: Sequence[TrainingRow]
    validation_pairs: Sequence[Pair]
    stops: tuple[int, ...]
    pad: int
    findings: tuple[Finding, ...]
    asked: Condition
    positions: int | None
    pairs: PreparedPairs | None = None


def evaluated_as(spec: FinetuneSpec) -> Condition:
    """Return how the evaluation will ask what is trained here."""
    decoding = Decoding(max_new_tokens=spec.min_response_tokens)
    return Condition(spec.base, spec.prompt, decoding, chat=spec.chat)


def prepare(
    spec: FinetuneSpec, examples: pl.DataFrame, frame: pl.DataFrame | None = None
) -> PreparedTraining:
    """Return the rows of a fine-tune as tokens, and what the preflight says of them.

    Args:
        spec: The fine-tune.
        examples: The run's rows (``store.EXAMPLES``).
        frame: The pairs that are tuned on (``preference.pairs.PAIRS``); null where none are.

    Raises:
        DataError: There is no row to train on, or an evaluated row is among them.
        ModelError: Weights or tokenizer are absent, the base has no such layers, or the prompt
            cannot be rendered, or has tokens that it lacks.
    """
    pairs, validation = _answers(spec, examples, frame)
    folder = weights.locate(str(spec.base.weights), spec.base.revision)
    anatomy = modules.of_folder(folder)
    modules.updated(anatomy, spec)
    tokenizer = tokenizer_of(spec.base)
    generation, config = read_settings(folder)
    window = context_window(config, tokenizer)
    stops = stop_tokens(folder, tokenizer, spec.base, chat=spec.chat)
    decoder = decoder_of(generation, config, spec.base.name)
    encoder = tokens.Encoder(spec, tokenizer, window, stops, decoder)
    pad = batches.pad_token(tokenizer, stops, anatomy.n_tokens)
    train, validated = encoder.encode(pairs), encoder.encode(validation)
    tuned = prepare_pairs(spec, encoder, frame, examples, stops) if frame is not None else None
    _check_ids([*train, *validated, *_sides(tuned)], anatomy.n_tokens, spec, tokenizer)
    evaluation = Renderer(evaluated_as(spec), tokenizer, window, "error")
    checked = preflight.RowsToCheck(
        spec=spec if spec.learns_answers else spec.on_pairs(),
        tokenizer=tokenizer,
        stops=stops,
        pad=pad,
        pairs=pairs,
        rows=train,
        collate=partial(
            batches.collate, pad=pad, encoder_decoder=spec.base.architecture != "decoder"
        ),
        evaluated=[p.ids for p in evaluation.prompts([pair.context for pair in pairs])],
        forced=decoder.forced if decoder else (),
    )
    return PreparedTraining(
        folder=folder,
        tokenizer=tokenizer,
        train=train,
        validation=validated,
        validation_pairs=validation,
        stops=stops,
        pad=pad,
        findings=(*preflight.check_rows(checked), *(tuned.findings if tuned else ())),
        asked=find(evaluated_as(spec), folder, tokenizer).applied(evaluated_as(spec)),
        positions=decoder.positions if decoder else None,
        pairs=tuned,
    )


def _answers(
    spec: FinetuneSpec, examples: pl.DataFrame, frame: pl.DataFrame | None
) -> tuple[list[Pair], list[Pair]]:
    """Return what is trained on and validated: answers of the run, or the pairs' chosen replies."""
    if spec.learns_answers or frame is None:
        return rows.training_pairs(spec, examples), rows.validation_pairs(spec, examples)
    return side_of(frame, "train", "chosen"), side_of(frame, "validation", "chosen")


def _sides(tuned: PreparedPairs | None) -> list[TrainingRow]:
    both = (*tuned.train, *tuned.validation) if tuned else ()
    return [side for row in both for side in (row.chosen, row.rejected)]


def _check_ids(
    rows: Sequence[TrainingRow], n_tokens: int, spec: FinetuneSpec, tokenizer: Any
) -> None:
    """Refuse tokens that the base has no embedding for: added, and never resized for.

    Raises:
        ModelError: A row holds one.
    """
    for row in rows:
        beyond = [i for i in (*row.input_ids, *row.labels) if i >= n_tokens]
        if beyond:
            token = tokenizer.convert_ids_to_tokens(beyond[0])
            msg = (
                f"{spec.name}: example {row.example} holds the token {token} ({beyond[0]}), but "
                f"'{spec.base.weights}' has embeddings for {n_tokens} tokens; expected an id below "
                "that; take the tokenizer and template that belong to the weights, or add its "
                "tokens to them (resize_token_embeddings) and save both"
            )
            raise ModelError(msg)
