"""Frozen pairs to rows of both replies, and the preflight of the pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core.data.normal import normalised
from empathy_core.training.preflight.pairs import PairsToCheck, PairTexts, check_pairs
from empathy_core.training.rows.encode import Encoder
from empathy_core.training.spec import Finding, FinetuneSpec, Pair, PreferenceRow


@dataclass(frozen=True)
class PreparedPairs:
    """Pairs as a tuning takes them.

    Attributes:
        train: What is trained on.
        validation: What is held out.
        findings: The preflight of the pairs.
    """

    train: tuple[PreferenceRow, ...]
    validation: tuple[PreferenceRow, ...]
    findings: tuple[Finding, ...]


def side_of(frame: pl.DataFrame, split: str, side: str) -> list[Pair]:
    """Return the chosen or the rejected replies of a split, by id of their pair.

    Args:
        frame: ``preference.pairs.PAIRS``.
        split: ``train`` or ``validation``.
        side: ``chosen`` or ``rejected``.
    """
    rows = frame.filter(split=split).select("id", "context", side).iter_rows()
    return [Pair(*row) for row in rows]


def prepare_pairs(
    spec: FinetuneSpec,
    encoder: Encoder,
    frame: pl.DataFrame,
    examples: pl.DataFrame,
    stops: Sequence[int],
) -> PreparedPairs:
    """Return the pairs of *frame* as rows, each reply with its prompt, and what is found of them.

    Args:
        spec: The fine-tune.
        encoder: Of its rows.
        frame: ``preference.pairs.PAIRS``.
        examples: The run's rows, whose answers are the references.
        stops: Tokens at which the evaluation ends an answer.
    """
    train = _rows(encoder, frame, "train")
    texts = [PairTexts(*row) for row in frame.filter(split="train")
             .select("context", "chosen", "rejected").iter_rows()]  # fmt: skip
    findings = check_pairs(
        PairsToCheck(
            spec=spec.on_pairs(),
            stops=frozenset(stops),
            texts=texts,
            rows=train,
            references=frozenset(map(normalised, examples["response"])),
        )
    )
    return PreparedPairs(train, _rows(encoder, frame, "validation"), tuple(findings))


def _rows(encoder: Encoder, frame: pl.DataFrame, split: str) -> tuple[PreferenceRow, ...]:
    chosen, rejected = (encoder.encode(side_of(frame, split, s)) for s in ("chosen", "rejected"))
    return tuple(
        PreferenceRow(one.example, one, other)
        for one, other in zip(chosen, rejected, strict=True)
    )  # fmt: skip
