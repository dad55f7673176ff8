"""Which rows meet in a batch, and what a batch is. Seeded; no global random state is touched."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from empathy_core.training.spec import IGNORED, FinetuneSpec, Row

GROUP_BATCHES, FEWEST_GROUPS = 50, 4
"""Rows are sorted by length inside groups of at most 50 batches, and of at most a quarter of all
rows, so that an epoch's batches differ from those of the epoch before."""


def schedule(lengths: Sequence[int], spec: FinetuneSpec, epoch: int) -> list[list[list[int]]]:
    """Return the epoch's optimiser steps, each a list of micro-batches of row numbers.

    Every row stands in the epoch exactly once. A step has ``spec.batch_size`` rows, but for one,
    which has what is left; a micro-batch has at most ``spec.micro_batch``. The order depends on
    ``spec.seed`` and *epoch* alone.

    Args:
        lengths: Tokens of each row.
        spec: Batch sizes, batching and seed.
        epoch: From 0.
    """
    generator = np.random.Philox(key=(spec.seed % 2**64) << 64 | epoch)
    drawn = _drawn(len(lengths), generator)
    if spec.batching == "length":
        groups = _cut(drawn, _group_rows(len(drawn), spec.batch_size))
        ordered = [i for group in groups for i in sorted(group, key=lambda i: lengths[i])]
        steps = _cut(ordered, spec.batch_size)
        steps = [steps[i] for i in _drawn(len(steps), generator)]
    else:
        steps = _cut(drawn, spec.batch_size)
    return [_cut(step, spec.micro_batch) for step in steps]


def _drawn(n: int, generator: np.random.Philox) -> list[int]:
    """Return the numbers below *n* in drawn order.

    Raw words of Philox are sorted, since numpy promises those for ever, and shuffles not.
    """
    order: list[int] = np.argsort(generator.random_raw(n), kind="stable").tolist()
    return order


def _group_rows(n: int, batch_size: int) -> int:
    return batch_size * max(1, min(GROUP_BATCHES, n // (FEWEST_GROUPS * batch_size)))


def _cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def collate(rows: Sequence[Row], pad: int, *, encoder_decoder: bool) -> dict[str, Any]:
    """Return one batch as integer tensors, padded on the right.

    What is padding is known by position and never by id: where a tokenizer pads with its end
    token, the end token of an answer keeps its label.

    Args:
        rows: Any number of them.
        pad: Id that fills ``input_ids``; its labels are ``IGNORED`` and its mask is 0.
        encoder_decoder: Whether labels have a width of their own.

    Returns:
        ``input_ids`` and ``attention_mask`` of shape (rows, tokens), ``labels`` of the same shape,
        or of shape (rows, tokens of the longest answer) for an encoder-decoder, and then
        ``decoder_input_ids`` of that shape: the start, and all labels but the last. transformers
        makes them of the labels, too, but mBART otherwise than it generates, and some not at all.
    """
    import torch

    width = max((len(row.input_ids) for row in rows), default=0)
    labels_width = max((len(row.labels) for row in rows), default=0) if encoder_decoder else width
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), labels_width), IGNORED, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row.input_ids)] = torch.tensor(row.input_ids, dtype=torch.long)
        mask[i, : len(row.input_ids)] = 1
        labels[i, : len(row.labels)] = torch.tensor(row.labels, dtype=torch.long)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    if encoder_decoder:
        batch["decoder_input_ids"] = _shifted(rows, labels_width, pad)
    return batch


def _shifted(rows: Sequence[Row], width: int, pad: int) -> Any:
    """Return what a decoder reads: each row's start, and its labels but the last."""
    import torch

    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    for i, row in enumerate(rows):
        read = [row.start, *(pad if label == IGNORED else label for label in row.labels[:-1])]
        ids[i, : len(row.labels)] = torch.tensor(read[: len(row.labels)], dtype=torch.long)
    return ids


def pad_token(tokenizer: Any, stops: Sequence[int], n_tokens: int) -> int:
    """Return the id that fills a batch.

    It is the tokenizer's own, unless there is none or it ends answers: then a token that does not,
    if there is one. Masked as it is, it changes no number; but an answer must never end at what a
    faulty collator could have trained.

    Args:
        tokenizer: A transformers tokenizer.
        stops: Tokens at which the evaluation ends an answer.
        n_tokens: Rows of the model's embedding: what a tokenizer adds may have none.
    """
    candidates = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id,
                  tokenizer.eos_token_id, 0)  # fmt: skip
    known = [int(token) for token in candidates if token is not None and token < n_tokens]
    return next((token for token in known if token not in stops), known[0])
