"""The classifier finds planted levels, says how far, and refuses labels that teach nothing."""

import csv
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold

from empathy_core import metrics, weights
from empathy_core.data.normal import normalised
from empathy_core.errors import ConfigError, DataError, NoColumn
from empathy_core.metrics import _encoders as encoders
from empathy_core.metrics import _ordinal as ordinal
from empathy_core.metrics import classifier
from empathy_core.metrics._windows import sentences, windows
from tests.labelled_replies import TOPICS, WARM, Row, rows, write
from tests.metric_rows import ENCODER, frame, measured

pytestmark = pytest.mark.slow  # it loads an encoder and trains on it

SETTINGS = {"labels": ["warmth", "about"], "context": ["q"], "response": "r", "model": ENCODER}
VALUES = np.arange(3.0)


def of_file(path: str, **changes: object) -> classifier.Metric:
    """Return the classifier of a file of labelled replies."""
    return metrics.load("classifier", {"path": path, **SETTINGS, **changes})


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file of 300 labelled replies."""
    return write(tmp_path_factory.mktemp("labelled") / "replies.csv", rows(300))


@pytest.fixture(scope="module")
def trained(labelled: str) -> classifier.Metric:
    """Return its classifier."""
    return of_file(labelled)


def scores(metric: classifier.Metric, questions: list[str], replies: list[str]) -> np.ndarray:
    """Return the expected levels of replies: shape (replies, labels)."""
    return measured(metric, frame(replies, ["-"] * len(replies), context=questions))[:, :2]


def told(metric: classifier.Metric) -> dict[str, float]:
    """Return the statistics that say how far the classifier agrees."""
    found = measured(metric, frame(["Rest well."], ["-"]))[0]
    return dict(zip(metric.statistics, found, strict=True))


# ---------------------------------------------------------------------------- what it finds


def test_planted_levels_are_found_in_replies_to_other_questions(trained: classifier.Metric):
    """Of both labels; the second is told only by comparing the reply with its question."""
    unseen = rows(60, seed=5)
    levels = np.array([(int(warmth), int(about)) for _, _, warmth, about in unseen])

    found = scores(trained, [row[0] for row in unseen], [row[1] for row in unseen])

    assert np.abs(found - levels).mean(axis=0) == pytest.approx([0, 0], abs=0.25)
    assert (np.rint(found) == levels).mean() > 0.9


def test_agreement_on_held_out_replies_beats_the_majority_and_surface_counts(
    trained: classifier.Metric,
):
    """Each row carries it; what the counts can know of the labels is little."""
    found = told(trained)

    for label in ("warmth", "about"):
        assert found[f"held_out_{label}_f1"] > 0.9
        assert found[f"held_out_{label}_kappa"] > 0.9
        assert found[f"held_out_{label}_f1_surface"] < 0.7
        assert found[f"held_out_{label}_f1_majority"] < 0.2


def test_labels_without_a_meaning_agree_with_nothing(tmp_path: Path):
    """Levels by chance: no kappa, whatever the head learns by heart, and the note says so."""
    random = np.random.default_rng(1)
    chance = [(q, r, str(random.integers(3)), a) for q, r, _, a in rows(300)]
    metric = of_file(write(tmp_path / "chance.csv", chance))
    found = measured(metric, frame(["Rest well."], ["-"]))
    (remark,) = metric.remarks(found.sum(axis=0))

    assert abs(dict(zip(metric.statistics, found[0], strict=True))["held_out_warmth_kappa"]) < 0.15
    assert remark.advice in (
        "", "Do not use Warmth: no better than counts of words and marks.",
    )  # fmt: skip
    assert "Warmth 0.3" in remark.text or "Warmth 0.2" in remark.text


def test_the_head_and_its_agreement_are_plain_scikit_learns(
    labelled: str, trained: classifier.Metric
):
    """Features, folds, heads and agreement written out; scikit-learn 1.9, to four decimals."""
    with Path(labelled).open(newline="") as file:
        table = list(dict.fromkeys(tuple(row.values()) for row in csv.DictReader(file)))
    questions, replies = ([row[i] for row in table] for i in (0, 1))
    levels = np.array([int(row[2]) for row in table])
    encoder = SentenceTransformer(str(weights.locate(ENCODER)))
    q, r = (encoder.encode(of, normalize_embeddings=True).astype(float)
            for of in (questions, replies))  # fmt: skip
    counts = np.array([ordinal.surface(*pair) for pair in zip(questions, replies, strict=True)])
    blocks = [q, r, q * r, abs(q - r)]
    groups = np.unique([normalised(question) for question in questions], return_inverse=True)[1]

    def fitted(known: np.ndarray) -> list[LogisticRegression]:
        return [
            LogisticRegression(C=1 / 0.3, class_weight="balanced", tol=1e-6, max_iter=2000).fit(
                scaled(known, known), levels[known] > k
            )
            for k in (0, 1)
        ]

    def scaled(known: np.ndarray, of: np.ndarray) -> np.ndarray:
        parts = [(b[of] - b[known].mean(0)) / np.sqrt(b[known].var(axis=0).sum()) for b in blocks]
        own = (counts[of] - counts[known].mean(0)) / (counts[known].std(axis=0) * np.sqrt(6) + (
            counts[known].std(axis=0) == 0))  # fmt: skip
        return np.hstack([*parts, own])

    def expected(known: np.ndarray, of: np.ndarray) -> np.ndarray:
        return sum(head.predict_proba(scaled(known, of))[:, 1] for head in fitted(known))

    named = np.zeros(len(levels), int)
    split = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(levels, levels, groups)
    for known, asked in split:
        named[asked] = np.round(expected(known, asked))
    every = np.arange(len(levels))

    found = told(trained)

    kappa = cohen_kappa_score(levels, named, weights="quadratic")
    assert found["held_out_warmth_f1"] == pytest.approx(
        f1_score(levels, named, average="macro"), abs=6e-5
    )
    assert found["held_out_warmth_kappa"] == pytest.approx(kappa, abs=6e-5)
    ours = scores(trained, questions, replies)[:, 0]
    np.testing.assert_allclose(ours, expected(every, every), rtol=0, atol=1e-4)


def test_a_reply_has_the_greatest_of_its_windows(trained: classifier.Metric):
    """One warm sentence among six cold ones counts as it does alone with its neighbours."""
    question = f"{TOPICS['sleep'][0]}. What can I do?"
    cold = [f"{sentence}." for sentence in WARM[0]]
    mixed = [*cold[:3], f"{WARM[2][0]}.", *cold[3:]]
    parts = [" ".join(mixed[i : i + 3]) for i in range(5)]

    (whole,) = scores(trained, [question], [" ".join(mixed)])
    alone = scores(trained, [question] * 5, parts)

    np.testing.assert_allclose(whole, alone.max(axis=0), rtol=0, atol=1e-5)
    assert whole[0] > scores(trained, [question], [" ".join(cold)])[0, 0] + 0.5


def test_windows_cover_a_text_and_end_with_it():
    """Whatever the stride; a short text is one window as it stands."""
    text = "One. Two!  Three?\nFour: (yes). Five… six."

    assert sentences(text) == ["One.", "Two!", "Three?", "Four: (yes).", "Five…", "six."]
    assert windows(text, 3, 1) == [
        "One. Two! Three?", "Two! Three? Four: (yes).", "Three? Four: (yes). Five…",
        "Four: (yes). Five… six.",
    ]  # fmt: skip
    assert windows(text, 4, 3) == [
        "One. Two! Three? Four: (yes).",
        "Three? Four: (yes). Five… six.",
    ]
    assert windows("One.  Two. ", 3, 1) == ["One.  Two. "]
    assert sentences("Well. !!! So.\n---\nYes") == ["Well. !!!", "So. ---", "Yes"]


def test_an_empty_answer_has_the_least_level_and_a_question_without_a_text_none(
    trained: classifier.Metric,
):
    """The first is counted; the second is unscored under every condition."""
    rows_ = frame(["", "\u200b", "Rest."], ["-"] * 3, context=["Why?", "Why?", " "])
    found = measured(trained, rows_)
    names = list(trained.statistics)

    assert found[:2, :2].tolist() == [[0, 0], [0, 0]]
    assert found[:2, names.index("classifier_empty")].tolist() == [1, 1]
    assert found[:2, names.index("classifier_windows")].tolist() == [0, 0]
    assert np.isnan(found[2]).all()


def test_a_text_that_the_encoder_cuts_is_counted(trained: classifier.Metric):
    """Be it the question or a window; MiniLM reads 256 tokens here."""
    limit = encoders.sentence_encoder(ENCODER, None).max_seq_length
    long = "word " * (limit + 10)
    found = measured(
        trained, frame(["Rest.", long, "Rest."], ["-"] * 3, context=["Why?", "Why?", long])
    )

    assert found[:, trained.statistics.index("classifier_truncated")].tolist() == [0, 1, 1]


# ---------------------------------------------------------------------------- identity


def test_training_again_gives_the_same_bytes(labelled: str, trained: classifier.Metric):
    """In one process, heads forgotten; so scores do not depend on which task trained them."""
    asked = [row[0] for row in rows(20, seed=8)], [row[1] for row in rows(20, seed=8)]
    first = scores(trained, *asked)
    classifier._trained.cache_clear()

    assert np.array_equal(scores(of_file(labelled), *asked), first)


def test_planning_loads_no_encoder(labelled: str, monkeypatch: pytest.MonkeyPatch):
    """The signature takes the file's content and the encoder's digest, not its vectors."""

    def refuse(*_: object) -> None:
        raise AssertionError("the encoder was loaded")

    monkeypatch.setattr(encoders, "sentence_encoder", refuse)
    metric = of_file(labelled).prepare(["any"])

    assert "labels:warmth=90/105/104,about=82/102/115" in metric.signature()
    assert metric.columns
    assert "f1" not in metric.signature()


def test_the_signature_follows_the_labels_and_not_the_place(tmp_path: Path, labelled: str):
    """One label changed is another key; another name of the same file is none."""
    moved = tmp_path / "elsewhere.csv"
    moved.write_bytes(Path(labelled).read_bytes())
    changed = [(*row[:2], "0" if i == 7 else row[2], row[3]) for i, row in enumerate(rows(300))]
    other = write(tmp_path / "changed.csv", changed)
    base = metrics.key("classifier", of_file(labelled))

    assert metrics.key("classifier", of_file(str(moved))) == base
    assert metrics.key("classifier", of_file(other)) != base
    for change in ({"window": 2}, {"stride": 2}, {"folds": 4}, {"labels": ["warmth"]}):
        assert metrics.key("classifier", of_file(labelled, **change)) != base


def test_a_report_needs_neither_file_nor_encoder():
    """Columns, reduction and remark are there where the file is not."""
    metric = of_file("nowhere.csv", model="no/encoder")
    sums = np.full(len(metric.statistics), 8.0)
    sums[[metric.statistics.index(f"held_out_warmth_{n}") for n in ("f1", "kappa")]] = 4, 2

    (remark,) = metric.remarks(sums)

    assert [c.label for c in metric.columns[:2]] == ["Warmth", "About"]
    assert {c.group for c in metric.columns} == {"Classifier (encoder)"}
    assert not any(c.judge or c.main for c in metric.columns)
    assert metric.score(sums).tolist() == [1] * 5
    assert "not of a person" in remark.text
    assert "Warmth 0.50 (1.00, 1.00), 0.25; About 1.00" in remark.text
    assert remark.advice == "Do not use Warmth, About: no better than counts of words and marks."


# ---------------------------------------------------------------------------- labelled files


def test_levels_may_be_words_or_other_numbers(tmp_path: Path):
    """Words count from 0, numbers are what they are; 1.0 is 1."""
    words = {"0": "none", "1": "weak", "2": "strong"}
    numbers = {"0": "1", "1": "3.0", "2": "5"}
    asked = [row[0] for row in rows(12, seed=8)], [row[1] for row in rows(12, seed=8)]
    found = []
    for name, spelled, levels in (
        ("words", words, ["none", "weak", "strong"]), ("numbers", numbers, [1, 3, 5]),
    ):  # fmt: skip
        table = [(q, r, spelled[w], spelled[a]) for q, r, w, a in rows(150)]
        metric = of_file(write(tmp_path / f"{name}.csv", table), levels=levels)
        found.append(scores(metric, *asked))
        assert metric.columns[0].most == (2 if name == "words" else 5)

    np.testing.assert_allclose(found[1], 1 + 2 * found[0], rtol=0, atol=1e-4)


def test_a_label_may_be_missing_where_another_is_there(tmp_path: Path):
    """Each label is trained on the replies that have it, as three files put below each other."""
    halves = [
        (q, r, *((w, "") if i % 2 else ("NaN", a))) for i, (q, r, w, a) in enumerate(rows(300))
    ]
    metric = of_file(write(tmp_path / "halves.csv", halves))

    assert sum(map(sum, metric._pairs().counts(3))) == 300
    assert told(metric)["held_out_warmth_f1"] > 0.8


def test_labels_that_all_contradict_each_other_are_the_reason_that_is_given(tmp_path: Path):
    """More labels of this kind would not help."""
    both = [(f"Why {i}?", f"Because {i}.", str(level), "1") for i in range(60) for level in (0, 2)]
    with pytest.raises(DataError, match="60 pairs with several levels of 'warmth', left out of it"):
        of_file(write(tmp_path / "odd.csv", both))._pairs()


def test_contradictions_repeats_and_empty_texts_are_counted_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A pair with two levels of a label keeps the other label."""
    odd = [("Why?", "Because.", "0", "1"), ("Why?", "Because. ", "2", "1"),
           ("How?", "So.", "1", "1"), ("How?", "So.", "1", "1"),
           ("", "No question.", "1", "1"), ("When?", "\u200b", "1", "1"),
           ("Who?", "Me.", "", "")]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        metric = of_file(write(tmp_path / "odd.csv", [*rows(150), *odd]))
        pairs = metric._pairs()

    at = pairs.replies.index("Because.")
    assert pairs.levels[at].tolist() == [-1, 1]
    assert pairs.conflicts == (1, 0)
    assert pairs.dropped["nothing visible in question or reply"] == 2
    assert pairs.dropped["no label"] == 1
    assert pairs.replies.count("So.") == 1
    assert "conflicts:1,0" in metric.signature()
    assert "1 pair with several levels of 'warmth', left out of it" in caplog.text


def test_replies_to_one_question_stay_in_one_fold(tmp_path: Path):
    """Spelled alike or not; or those of one author, where a column tells who wrote."""
    table: list[Row] = [(q.upper() if i % 2 else q, *row) for i, (q, *row) in enumerate(rows(150))]
    by_question = of_file(write(tmp_path / "q.csv", table))
    named = [(*row, f"author {i % 6}") for i, row in enumerate(rows(150))]
    header = ("q", "r", "warmth", "about", "who")
    by_author = of_file(write(tmp_path / "a.csv", named, header), group="who")

    assert len(set(by_question._pairs().groups)) == 75
    assert set(by_author._pairs().groups) == {f"author {i}" for i in range(6)}


def test_the_golden_file_is_the_planted_one():
    """What the tests of all metrics train on."""
    golden = Path(__file__).parents[2] / "golden" / "labelled_replies.csv"
    with golden.open(newline="") as file:
        table = [tuple(row) for row in csv.reader(file)]

    assert table == [("q", "r", "warmth", "about"), *rows(150)]


def refusal(path: str, **changes: object) -> str:
    """Return the error that a file is refused with when it is planned."""
    with pytest.raises((DataError, ConfigError)) as error:
        of_file(path, **changes).signature()
    return str(error.value)


def test_labels_that_teach_nothing_are_refused(tmp_path: Path):
    """One level, none, a level that is hardly there, one of a single question, an unknown one."""
    constant = [(q, r, "1", a) for q, r, _, a in rows(150)]
    rare = [(q, r, "2" if i < 9 else str(i % 2), a) for i, (q, r, _, a) in enumerate(rows(150))]
    unknown = [(q, r, "3" if i == 4 else w, a) for i, (q, r, w, a) in enumerate(rows(150))]
    empty = [(q, r, "", a) for q, r, _, a in rows(150)]

    assert "'warmth' has the one level 1 in all rows" in refusal(
        write(tmp_path / "c.csv", constant)
    )
    assert "unknown format" in refusal(write(tmp_path / "c.txt", constant))
    assert "level 2 of 'warmth' has 9 pairs of 5 groups, expected 10 of 5" in refusal(
        write(tmp_path / "r.csv", rare)
    )
    assert "line 6: column 'warmth' holds the level '3': expected one of 0, 1, 2" in refusal(
        write(tmp_path / "u.csv", unknown)
    )
    assert "'warmth' has no level in all rows" in refusal(write(tmp_path / "e.csv", empty))
    assert "Label more replies" in refusal(write(tmp_path / "e.csv", empty))


def test_a_column_that_is_not_there_is_named_with_the_nearest(labelled: str):
    """As for sources; a file that is not there too."""
    with pytest.raises(NoColumn, match=r"no column 'warmt'\. Did you mean 'warmth'"):
        of_file(labelled, labels=["warmt"]).signature()
    assert "no file" in refusal(labelled + "x")


def test_settings_that_contradict_each_other_are_told_at_once():
    """Before any file is read."""
    told_ = refusal("x.csv", labels=["A b", "a_b"], levels=[2, 1], stride=4, folds=1, group="split")

    assert "labels is ['A b', 'a_b']" in told_
    assert "expected numbers from least to most" in told_
    assert "stride is 4 and window 3" in told_
    assert "folds is 1" in told_
    assert "the column 'split' is a text, or has a name" in told_
    assert "Correct [metrics.classifier]" in told_


def test_the_planted_replies_are_hard_for_surface_counts():
    """The fixture itself: levels are balanced, and lengths differ little."""
    found = rows(300)

    assert min(Counter(row[2] for row in found).values()) > 80
    words = pl.DataFrame(found, schema=["q", "r", "w", "a"], orient="row").with_columns(
        n=pl.col("r").str.split(" ").list.len()
    )
    means = words.group_by("w").agg(pl.col("n").mean())["n"]
    assert float(means.max() - means.min()) < 2


def test_another_encoder_label_changes_headings_alone(trained: classifier.Metric):
    """Not the identity."""
    named = replace(trained, label="MiniLM")

    assert named.columns[0].group == "Classifier (MiniLM)"
    assert named.signature() == trained.signature()
