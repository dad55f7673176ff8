"""Which of a run's rows a fine-tune trains on, and which it is validated on. Pure."""

from collections.abc import Iterator

import polars as pl

from empathy_core.data.contexts import contexts_of
from empathy_core.data.splitting import draw_key
from empathy_core.errors import DataError
from empathy_core.store import EVALUATED
from empathy_core.training.spec import FinetuneSpec, Pair

_DRAW_SEED = 0
"""Not the fine-tune's own: every seed trains on the same rows, and sizes are nested."""


def training_pairs(spec: FinetuneSpec, examples: pl.DataFrame) -> list[Pair]:
    """Return the rows that are trained on, in drawn order: a smaller set begins a larger one.

    Args:
        spec: Its ``sources`` and ``train_size`` choose.
        examples: The run's rows (``store.EXAMPLES``).

    Raises:
        DataError: No row is left, fewer than ``train_size`` are, or one of them is evaluated.
    """
    found = _of_split(spec, examples, "train")
    if not found.height:
        raise DataError(_none_left(spec, examples))
    _check_not_evaluated(spec, found)
    if spec.train_size is not None and spec.train_size > found.height:
        msg = (
            f"{spec.name}: train_size = {spec.train_size}, but {found.height} training rows are "
            f"left ({_counts(found)}); expected at most that many; lower train_size, or leave it "
            "out to train on all"
        )
        raise DataError(msg)
    return _drawn(found, spec.train_size)


def validation_pairs(spec: FinetuneSpec, examples: pl.DataFrame) -> list[Pair]:
    """Return the rows of the validation split, in drawn order; none if the split is empty.

    Args:
        spec: Its ``sources`` and ``validation_limit`` choose.
        examples: The run's rows (``store.EXAMPLES``).
    """
    return _drawn(_of_split(spec, examples, "validation"), spec.validation_limit)


def _of_split(spec: FinetuneSpec, examples: pl.DataFrame, split: str) -> pl.DataFrame:
    found = examples.filter(pl.col("split") == split)
    return found.filter(pl.col("source").is_in(spec.sources)) if spec.sources else found


def _drawn(found: pl.DataFrame, limit: int | None) -> list[Pair]:
    pairs = map(Pair, found["id"], contexts_of(found), found["response"])
    ordered = sorted(pairs, key=lambda pair: draw_key("finetune", _DRAW_SEED, pair.example))
    return ordered[:limit]


def _none_left(spec: FinetuneSpec, examples: pl.DataFrame) -> str:
    train = examples.filter(pl.col("split") == "train")
    if train.height:
        asked = ", ".join(spec.sources)
        return (
            f"{spec.name}: no training row is left by sources = [{asked}]; expected some of the "
            f"sources of the training split ({_counts(train)}); correct 'sources', or leave it "
            "out to train on all"
        )
    splits = ", ".join(_counted(examples, "split")) or "no rows at all"
    return (
        f"{spec.name}: the run has no training rows ({splits}); expected rows in the training "
        "split; raise the first of the split's fractions, or add a source to [data.sources]"
    )


def _check_not_evaluated(spec: FinetuneSpec, found: pl.DataFrame) -> None:
    """Refuse rows that are evaluated too: their scores would measure memory."""
    both = found.filter(EVALUATED)
    if both.height:
        msg = (
            f"{spec.name}: {both.height} of {found.height} training rows are evaluated as well "
            f"(e.g. {min(both['id'].to_list())}): their scores would measure memory; expected "
            'none; set evaluate.split = "test" (or "validation")'
        )
        raise DataError(msg)


def _counts(rows: pl.DataFrame) -> str:
    return ", ".join(_counted(rows, "source"))


def _counted(rows: pl.DataFrame, column: str) -> Iterator[str]:
    counts = rows.group_by(column).len().sort(column)
    for name, n in zip(counts[column].to_list(), counts["len"].to_list(), strict=True):
        yield f"{name}: {n}"
