"""An offline classifier of replies, trained on a user's own labelled file.

After EPITOME (Sharma et al. 2020, https://aclanthology.org/2020.emnlp-main.425), whose three
mechanisms have the levels 0, 1 and 2: an ordinal head on the sentence embeddings of question and
reply. It is trained where answers are scored, and its agreement with labels that it was not
trained on is a statistic of each row, so that it goes wherever the scores go.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from empathy_core.bounds import NotEmpty, Positive, Separator
from empathy_core.data.specs import OWN_NAMES, TextLayout
from empathy_core.errors import ConfigError
from empathy_core.metrics import _encoders as encoders
from empathy_core.metrics import _labelled as labelled
from empathy_core.metrics import _ordinal as ordinal
from empathy_core.metrics._parts import Remark, as_means, means, row_share, signature, version
from empathy_core.metrics._windows import WINDOWS, windows
from empathy_core.types import Column
from empathy_core.visible import NORM, as_read

_AGREEMENT = ("f1", "kappa", "f1_majority", "f1_surface", "kappa_surface")
"""Fields of ``HeldOut``, each a statistic of every row under each label."""


@dataclass(frozen=True)
class Metric:
    """The level that a classifier expects a reply to have, under each label of a labelled file.

    A reply is scored in windows of a few sentences, since labelled replies are short, and has the
    greatest of its windows' expected levels: what is shown anywhere in it is shown. Longer replies
    have more windows, and more chances. Scores thus compare answers of like length; they are no
    absolute levels. They are a classifier's opinion, whose agreement with held-out labels stands
    in the tables' notes. An answer without a token scores the least level and is counted; a row
    whose question is such a text is unscored.

    Attributes:
        path: File of labelled replies: CSV, TSV, JSON, JSONL or parquet, ``.gz`` allowed.
        labels: Its columns that hold a level each; an empty cell is no label.
        context: Its columns that together are the question.
        response: Its column with the reply.
        group: Column whose equal values stay in one fold; null keeps equal questions together.
        levels: From least to most, the same for all labels. Numbers are also the levels' values;
            other names have the values 0, 1, 2 ….
        better: Direction in which the best value is marked; null marks none.
        main: Stands in the first table.
        window: Sentences of a window.
        stride: Sentences from one window to the next.
        folds: Parts that agreement is measured in.
        model: Encoder: Hub id, folder, or ``pypi:<distribution>/<path>``.
        revision: Of a Hub id; null means ``main``.
        batch_size: Texts a batch; scores differ by rounding (1e-7) under another.
        label: What tables call the encoder; null takes the last part of *model*.
        encoding: Of a text file; null means UTF-8, or what a byte order mark says.
        separator: Between the cells of a CSV or TSV file; null means comma or tab.
        quotes: Whether quotation marks may enclose a cell.
    """

    path: NotEmpty
    labels: tuple[NotEmpty, ...]
    context: tuple[NotEmpty, ...] = ("context",)
    response: NotEmpty = "response"
    group: str | None = None
    levels: tuple[str | int, ...] = ("0", "1", "2")
    better: Literal["higher", "lower"] | None = "higher"
    main: bool = False
    window: Positive = 3
    stride: Positive = 1
    folds: int = 5
    model: str = "sentence-transformers/all-mpnet-base-v2"
    revision: str | None = None
    batch_size: Positive = 64
    label: str | None = None
    encoding: str | None = None
    separator: Separator | None = None
    quotes: bool = True

    why_unscored: ClassVar[Remark] = Remark("no token in the question, or no finite number")

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            listed = "; ".join(problems)
            raise ConfigError(f"metric 'classifier': {listed}. Correct [metrics.classifier].")

    @property
    def columns(self) -> tuple[Column, ...]:
        """The expected level of each label; shares of texts cut and empty; windows a reply."""
        name = self.label or encoders.short_name(self.model)
        values, group = self._values, f"Classifier ({name})"
        own = [
            Column(
                f"classifier_{slug}", _shown(label), better=self.better, decimals=2,
                main=self.main, group=group, least=float(values[0]), most=float(values[-1]),
            )
            for slug, label in zip(self._slugs, self.labels, strict=True)
        ]  # fmt: skip
        return as_means(
            [
                *own,
                row_share("classifier_truncated", "Cut by the encoder", group),
                row_share("classifier_empty", "Scored lowest as empty", group),
                Column("classifier_windows", "Windows", None, decimals=1, group=group, least=0),
            ]
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of one row; 1; how each label's head agrees with held-out labels."""
        agreement = (f"held_out_{s}_{name}" for s in self._slugs for name in _AGREEMENT)
        return (*(column.name for column in self.columns), "n", *agreement)

    def signature(self) -> str:
        """Return the settings, the encoder's content, and the labelled file's digest and counts.

        What they decide, the agreement with held-out labels, is a statistic instead: to know it
        takes the encoder, which planning must not wait for.
        """
        pairs = self._pairs()
        counts = zip(self.labels, pairs.counts(len(self.levels)), strict=True)
        return signature(
            nrefs=0, model=encoders.short_name(self.model),
            labels=",".join(f"{label}={'/'.join(map(str, n))}" for label, n in counts),
            levels=",".join(self._file.levels), pairs=len(pairs.replies),
            conflicts=",".join(map(str, pairs.conflicts)), data=pairs.digest[:12],
            columns=",".join((*self.context, self.response, self.group or "-")),
            read=_reading(self._file.layout), folds=self.folds,
            window=f"{self.window}x{self.stride},v{WINDOWS}", agg="max-of-windows",
            features=ordinal.FEATURES, head=ordinal.HEAD, empty="least", norm=NORM,
            dtype="float32", batch=self.batch_size,
            weights=encoders.fingerprint(self.model, self.revision),
            sklearn=version("scikit-learn"),
            sentence_transformers=version("sentence-transformers"),
            transformers=version("transformers"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: replies are classified without references, and heads trained later."""
        return self

    def reference_state(self, references: Sequence[str]) -> None:  # noqa: ARG002 - as above
        """Return null: nothing depends on references."""
        return

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002 - as above
        """Return the statistics of each row; trains the heads before the first."""
        trained = _trained(self, self._pairs().digest)
        questions, replies = ([as_read(text) for text in rows[c]] for c in ("context", "text"))
        found = self._asked(questions, replies)
        n, least = rows.height, float(self._values[0])
        scores = [
            ordinal.greatest(head.expected(found.inputs.windows), found.inputs.owners, n, least)
            for head in trained.heads
        ]
        n_windows = np.bincount(found.inputs.owners, minlength=n)
        agreement = np.tile([value for of in trained.held_out for value in _told(of)], (n, 1))
        own = np.column_stack([*scores, found.cut, n_windows == 0, n_windows])
        statistics = np.column_stack([own, np.ones(n), agreement])
        statistics[found.unasked | ~np.isfinite(own).all(axis=1)] = np.nan
        return statistics

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        return means(sums[..., : len(self.columns) + 1], len(self.columns))

    def recheck(self, rows: pl.DataFrame) -> None:  # noqa: ARG002 - the protocol's
        """Return null: there is no reference library."""
        return

    def remarks(self, sums: np.ndarray) -> tuple[Remark, ...]:
        """Say whose opinion it is, and how far it agrees with labels it was not trained on."""
        shares = np.asarray(sums) / sums[self.statistics.index("n")]
        values = dict(zip(self.statistics, shares, strict=True))
        agreement = [
            [float(values[f"held_out_{slug}_{name}"]) for name in _AGREEMENT]
            for slug in self._slugs
        ]
        told = "; ".join(
            f"{_shown(label)} {f1:.2f} ({most:.2f}, {counts:.2f}), {kappa:.2f}"
            for label, (f1, kappa, most, counts, _) in zip(self.labels, agreement, strict=True)
        )
        text = (
            "macro-F1 on held-out labelled replies (of the most frequent level, of surface counts) "
            f"and quadratic kappa: {told}; the opinion of a classifier, not of a person; the "
            f"greatest of windows of {self.window} sentences each, so that longer answers score "
            "higher, and no absolute level"
        )
        useless = [
            _shown(label)
            for label, (f1, _, most, counts, _) in zip(self.labels, agreement, strict=True)
            if f1 <= max(most, counts)
        ]
        advice = f"Do not use {', '.join(useless)}: no better than counts of words and marks."
        return (Remark(text, advice=advice if useless else ""),)

    # ------------------------------------------------------------------------ settings

    @property
    def _slugs(self) -> tuple[str, ...]:
        return tuple(_slug(label) or f"label{i}" for i, label in enumerate(self.labels, 1))

    @property
    def _values(self) -> np.ndarray:
        """The levels' values: shape (levels,)."""
        numbers = list(map(_number, self._file.levels))
        known = [n for n in numbers if n is not None]
        return np.array(known if len(known) == len(numbers) else range(len(numbers)), float)

    @property
    def _file(self) -> labelled.LabelledFile:
        levels = tuple(map(labelled.canonical, self.levels))
        layout = TextLayout(self.encoding, self.separator, self.quotes)
        return labelled.LabelledFile(
            self.path, "metrics.classifier", self.context, self.response, self.labels,
            self.group, levels, layout,
        )  # fmt: skip

    def _pairs(self) -> labelled.LabelledPairs:
        return labelled.read(self._file, self.folds)

    # ------------------------------------------------------------------------ texts to features

    def _asked(
        self, questions: Sequence[str], replies: Sequence[str], *, whole: bool = False
    ) -> "_ReplyFeatures":
        """Return the features of pairs of texts in windows, and of whole replies if asked for."""
        encoder = encoders.sentence_encoder(self.model, self.revision)
        parts = [windows(reply, self.window, self.stride) for reply in replies]
        owners = np.repeat(np.arange(len(parts)), [len(of) for of in parts])
        shown = [text for of in parts for text in of]
        asked, cut, unasked = encoders.embedded(encoder, questions, self.batch_size)
        vectors, cut_windows, empty = encoders.embedded(encoder, shown, self.batch_size)
        np.logical_or.at(cut, owners, cut_windows)
        mine = owners[~empty]
        texts = [text for text, nothing in zip(shown, empty, strict=True) if not nothing]
        of_windows = _features([questions[i] for i in mine], texts, asked[mine], vectors[~empty])
        of_replies = of_windows[:0]
        if whole:
            vectors, _, _ = encoders.embedded(encoder, replies, self.batch_size)
            of_replies = _features(questions, replies, asked, vectors)
        inputs = ordinal.Inputs(of_replies, of_windows, mine, 4 * asked.shape[1])
        return _ReplyFeatures(inputs, cut, unasked)


@dataclass(frozen=True, slots=True, eq=False)
class _ReplyFeatures:
    """Pairs of texts as features.

    Attributes:
        cut: Whether the encoder read a text only in part: shape (pairs,).
        unasked: Whether the question has no token: shape (pairs,).
    """

    inputs: ordinal.Inputs
    cut: np.ndarray
    unasked: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _TrainedHeads:
    """One head a label."""

    heads: tuple[ordinal.OrdinalHead, ...]
    held_out: tuple[ordinal.HeldOut, ...]


@lru_cache(maxsize=1)
def _trained(metric: Metric, digest: str) -> _TrainedHeads:  # noqa: ARG001 - another file, other heads
    """Train the heads of a metric, once a process."""
    pairs, values = metric._pairs(), metric._values
    inputs = metric._asked(pairs.questions, pairs.replies, whole=True).inputs
    groups = np.unique(pairs.groups, return_inverse=True)[1]
    heads, agreement = [], []
    for levels in pairs.levels.T:
        known = levels != labelled.UNLABELLED
        mine = inputs.of_pairs(known)
        agreement.append(ordinal.held_out(mine, levels[known], groups[known], values, metric.folds))
        heads.append(ordinal.train(mine.whole, levels[known], values, mine.n_embedded))
    return _TrainedHeads(tuple(heads), tuple(agreement))


def _features(
    questions: Sequence[str], replies: Sequence[str], asked: np.ndarray, vectors: np.ndarray
) -> np.ndarray:
    counts = [ordinal.surface(*pair) for pair in zip(questions, replies, strict=True)]
    return ordinal.features(asked, vectors, np.reshape(counts, (-1, ordinal.N_SURFACE)))


def _told(of: ordinal.HeldOut) -> list[float]:
    return [getattr(of, name) for name in _AGREEMENT]


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def _shown(label: str) -> str:
    words = " ".join(label.replace("_", " ").split())
    return words[:1].upper() + words[1:]


def _number(level: str) -> float | None:
    try:
        return float(level)
    except ValueError:
        return None


def _reading(layout: TextLayout) -> str:
    given = (layout.encoding, layout.separator, None if layout.quotes else "no-quotes")
    return ",".join(filter(None, given)) or "plain"


def _problems(metric: Metric) -> Iterator[str]:
    """Yield what is wrong with the settings among each other."""
    levels = [labelled.canonical(level) for level in metric.levels]
    numbers = list(map(_number, levels))
    texts = (*metric.context, metric.response)
    taken = {"truncated", "empty", "windows"}
    if not metric.labels or len(set(metric._slugs) - taken) < len(metric.labels):
        yield (
            f"labels is {list(metric.labels)}: expected one or more columns with unlike names, "
            f"none of them {', '.join(sorted(taken))}"
        )
    if len(levels) < 2 or "" in levels or len(set(levels)) < len(levels):
        yield f"levels is {list(metric.levels)}: expected two or more unlike names"
    elif None not in numbers and numbers != sorted(numbers, key=lambda n: n or 0.0):
        yield f"levels is {list(metric.levels)}: expected numbers from least to most"
    for name in (*metric.labels, *((metric.group,) if metric.group else ())):
        if name in (*texts, *OWN_NAMES):
            yield (
                f"the column '{name}' is a text, or has a name of the suite's own columns "
                f"({', '.join(OWN_NAMES)}): rename it in the file"
            )
    if metric.stride > metric.window:
        yield (
            f"stride is {metric.stride} and window {metric.window}, so that sentences are "
            "skipped: expected a stride of the window at most"
        )
    if metric.folds < 2:
        yield f"folds is {metric.folds}: expected 2 or more"
