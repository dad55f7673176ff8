"""What the model that a preference tuning starts from says of each pair: taken once, and kept.

The reference is the model before the first step: the bare base, or the adapter that is tuned on.
So there is never a second model in memory: its log-probabilities are taken with the model that is
about to be trained, and stored under what they depend on. One file holds those of one model and
adapter; fine-tunes of other betas or seeds read the same. Two attempts that write it side by side
do no harm: what one of them loses is taken again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.errors import Damaged
from empathy_core.store import frame_bytes, write_bytes
from empathy_core.training.loop.job import PreferenceTuning
from empathy_core.training.loop.machine import precision
from empathy_core.training.loop.preference import PreferenceObjective, log_probabilities
from empathy_core.training.spec import FinetuneSpec, PreferenceRow, TrainingRow
from empathy_core.types import digest

log = logging.getLogger(__name__)

SCHEMA = {
    "model": pl.String,
    "adapter": pl.String,
    "row": pl.String,
    "log_probability": pl.Float64,
}
"""``model`` and ``adapter`` as in ``PreferenceTuning``; ``row`` is ``row_digest``."""

Known = Mapping[str, float]
"""Row digest → log-probability of its labels, in nats."""


def row_digest(row: TrainingRow) -> str:
    """Return what names the tokens and labels of a row, whatever example it is of."""
    return digest([row.input_ids, row.labels, row.start])


def file_of(tuning: PreferenceTuning) -> Path:
    """Return the file of one model and adapter."""
    return tuning.references / f"{digest([tuning.model, tuning.adapter])[:16]}.parquet"


def stored(tuning: PreferenceTuning) -> dict[str, float]:
    """Return what is known already; nothing if there is no file, or a damaged one."""
    path = file_of(tuning)
    if not path.is_file():
        return {}
    try:
        frame = pl.read_parquet(path)
        ours = frame.filter(model=tuning.model, adapter=tuning.adapter)
        return dict(ours.select("row", "log_probability").iter_rows())
    except (pl.exceptions.PolarsError, OSError) as error:
        log.warning("%s cannot be read (%s); the reference is taken again", path, error)
        return {}


def keep(known: Known, tuning: PreferenceTuning) -> None:
    """Write *known*, whole or not at all."""
    rows = [(tuning.model, tuning.adapter, row, logp) for row, logp in sorted(known.items())]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    write_bytes(frame_bytes(frame), file_of(tuning))


def take(
    objective: PreferenceObjective, model: Any, spec: FinetuneSpec, rows: Sequence[PreferenceRow]
) -> dict[str, float]:
    """Return row digest → log-probability of all replies under *model* as it is, without dropout.

    Rows of similar length meet in a batch; the mode of the model is as it was.

    Args:
        objective: What makes batches of pairs.
        model: A transformers model, whether or not it has an adapter.
        spec: Its ``micro_batch`` pairs are a batch, in its base's precision.
        rows: Pairs.
    """
    import torch

    ordered, n = sorted(rows, key=objective.size), spec.micro_batch
    found: dict[str, float] = {}
    training = model.training
    model.eval()
    try:
        for start in range(0, len(ordered), n):
            batch = ordered[start : start + n]
            tensors = {k: t.to(model.device) for k, t in objective.batch(batch)[0].items()}
            with torch.inference_mode(), precision(spec.base.dtype, model.device.type):
                (chosen, rejected), _ = log_probabilities(model, model, tensors)
            sides = [*(r.chosen for r in batch), *(r.rejected for r in batch)]
            logs = torch.cat([chosen, rejected]).tolist()
            found |= dict(zip(map(row_digest, sides), logs, strict=True))
    finally:
        model.train(training)
    return found


def lacking(rows: Sequence[PreferenceRow], known: Known) -> list[PreferenceRow]:
    """Return the pairs of which a side is not known."""
    return [
        row for row in rows
        if row_digest(row.chosen) not in known or row_digest(row.rejected) not in known
    ]  # fmt: skip


def with_reference(rows: Sequence[PreferenceRow], known: Known) -> tuple[PreferenceRow, ...]:
    """Return *rows* with the reference's log-probabilities.

    Raises:
        Damaged: One is not known.
    """
    if lacking(rows, known):
        msg = (
            f"the reference's log-probabilities of {len(lacking(rows, known))} pairs are not "
            "stored; expected those of every pair; run the same command again"
        )
        raise Damaged(msg)
    return tuple(
        replace(row, reference=(known[row_digest(row.chosen)], known[row_digest(row.rejected)]))
        for row in rows
    )
