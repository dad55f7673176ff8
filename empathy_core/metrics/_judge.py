"""What a language model makes of a reply on one dimension of a rubric.

The judge is not asked for a text. It reads the rubric, the person's message and the reply once,
and the probabilities of the scale's labels at the place of its answer are the rating: the score is
their expected value. Wang, Zhang & Choi (2025), Improving LLM-as-a-Judge Inference with the
Judgment Distribution. Nothing restricts what the judge might say there, so that the labels' share
of its probability (*mass*) tells whether it answers at all.

A judge is no plug-in of ``[metrics]``: ``[judges.<name>]`` makes such a metric of each dimension.
"""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import polars as pl

from empathy_core.backends.current import CURRENT
from empathy_core.backends.probabilities import LabelProbabilities
from empathy_core.crisis.given import digest_of_tiers
from empathy_core.crisis.screen import screen_digest, tiers_of
from empathy_core.errors import ModelError
from empathy_core.metrics import judge_group
from empathy_core.metrics._encoders import short_name
from empathy_core.metrics._judge_prompts import (
    RatingPrompts,
    condition_of,
    rating_prompts,
)
from empathy_core.metrics._parts import Remark, chunks, given_column, ratio, signature, version
from empathy_core.metrics._standing import heading
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.rubrics.spec import Dimension, Rubric
from empathy_core.store import RunDir
from empathy_core.types import Column, Condition, ModelSpec, digest
from empathy_core.visible import NORM, as_read, nothing_visible

_COUNTS = ("judged", "mass", "low_mass", "not_applicable", "too_long", "empty")


@dataclass(frozen=True)
class Metric:
    """The expected value of a judge's answer, and how far it answered at all.

    A row has no score where the labels have less than ``min_mass`` of the judge's probability,
    where "not applicable" has more than half of what the labels have, or where the prompt is longer
    than the judge's context. An answer of which nothing is visible is not shown to the judge: where
    higher is better it has the lowest score, else it has none.

    Attributes:
        judge: The key in the configuration, which names the columns.
        label: As printed in tables.
        model: What judges.
        fingerprint: Of its weights; empty in a configuration that is only read.
        rubric: With the one dimension that is asked.
        min_mass: Least share of the judge's probability that the labels must have.
        overlong: A prompt that does not fit the judge's context: ``missing`` leaves the row
            without a score, ``error`` ends the task.
        batch_size: Prompts a batch; scores differ by rounding under another.
        reasoning: The delimiters of a thought, which is closed before the answer; null if none.
        tier_column: Column of the data with the level of risk of each question, for dimensions that
            are asked at some levels only; null leaves that to the screen.
    """

    judge: str
    label: str
    model: ModelSpec
    rubric: Rubric
    fingerprint: str = ""
    min_mass: float = 0.5
    overlong: Literal["missing", "error"] = "missing"
    batch_size: int = 16
    reasoning: tuple[str, str] | None = None
    tier_column: str | None = None

    by_condition: ClassVar[bool] = True
    """Nothing is shared between conditions, so that each is kept as soon as it is judged."""
    no_answer: ClassVar[str] = "low_mass"
    """The statistic that counts the rows in which the judge gave none of the answers."""
    _run: ClassVar[RunDir | None] = None
    _tiers: ClassVar[str] = "unknown"
    why_unscored: ClassVar[Remark] = Remark(
        "the judge gave none of the answers, the question did not apply, or the text was too long"
    )

    @property
    def dimension(self) -> Dimension:
        """What is asked."""
        return self.rubric.dimensions[0]

    @property
    def score_group(self) -> str:
        """The score group: all that a judge is asked is asked by one task."""
        return judge_group(self.judge)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The score, and the shares above thresholds."""
        of, values = self.dimension, self.dimension.values
        stem = f"{self.judge}_{self.rubric.name}_{of.name}"
        group = heading(self.rubric.label, f"judge: {self.called}")
        n = self.statistics.index("n")
        score = Column(
            stem, of.label, better=of.direction, decimals=1 if of.is_share else 2,
            percent=of.is_share, main=self._is_main, group=group, least=values[0],
            most=values[-1], ratio=(0, n), judge=self.called,
        )  # fmt: skip
        above = [
            Column(
                f"{stem}_{t.name}", f"{of.label}: {t.label}", better=of.direction, decimals=1,
                percent=True, group=group, least=0, most=1, ratio=(i, n), judge=self.called,
            )
            for i, t in enumerate(self.rubric.thresholds, 1)
        ]  # fmt: skip
        return score, *above

    @property
    def statistics(self) -> tuple[str, ...]:
        """Score and shares of a row, and 1; what was seen; the probability of each label.

        The score is NaN in a row without one; what was seen stands there all the same.
        """
        thresholds = (threshold.name for threshold in self.rubric.thresholds)
        labels = (f"p{i}" for i in range(len(self.dimension.labels)))
        return ("score", *thresholds, "n", *_COUNTS, *labels)

    def signature(self) -> str:
        """Return what is asked, of whom, and how an answer becomes a number."""
        of = self.dimension
        source = f"column_{self.tier_column}_{self._tiers}" if self.tier_column else "screen"
        levels = {"tiers": source, "screen": screen_digest()} if of.tiers else {}
        return signature(
            rubric=self.rubric.name, dimension=of.name,
            text=dimension_digest(self.rubric, of, self._request)[:16],
            scale=f"{of.values[0]}-{of.values[-1]}",
            thresholds=",".join(f"{t.name}>={t.at_least}" for t in self.rubric.thresholds) or "no",
            **self._answered, overlong=self.overlong,
            empty="least" if of.direction == "higher" else "missing", norm=NORM,
            model=short_name(self.model.weights or self.model.name),
            asked=digest([self.model.identity(), self.fingerprint, self.reasoning], 12),
            weights=self.fingerprint[:16] or "unknown",
            batch=self.batch_size, transformers=version("transformers"), **levels,
        )  # fmt: skip

    @property
    def asks(self) -> tuple[str, ...]:
        """The column of the data with the levels of risk, where the question depends on them."""
        return (self.tier_column,) if self.tier_column and self.dimension.tiers else ()

    def given(self, rows: pl.DataFrame) -> Self:
        """Return the judge that knows the levels of risk of the run's rows, as ``prepared`` asks.

        Raises:
            ConfigError: A value is no level.
        """
        found = copy(self)
        for column in self.asks:
            object.__setattr__(found, "_tiers", digest_of_tiers(column, rows))
        return found

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002  every metric's
        """Return itself: no reference is shown to a judge."""
        return self

    def sees(self, *texts: str) -> str:
        """Return what it reads of a message and a reply, or two; special tokens included.

        Raises:
            ModelError: It cannot be asked: its answers are no tokens, or there is no room.
        """
        prompts = self._prompts
        ids = list(prompts.prompts([texts])[0].ids)
        return str(prompts.renderer.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def n_read(self, rows: pl.DataFrame) -> list[int] | None:
        """Return how many tokens it reads of each row, 0 where it is not asked; null: not known."""
        if self.model.rendered_elsewhere:
            return None
        texts = [(as_read(c), as_read(t)) for c, t in rows.select("context", "text").iter_rows()]
        asked = [
            here and not nothing_visible(text)
            for here, (_, text) in zip(self._concerned(rows), texts, strict=True)
        ]
        prompts = iter(self._prompts.prompts([t for t, a in zip(texts, asked, strict=True) if a]))
        return [len(next(prompts).ids) if a else 0 for a in asked]

    def in_run(self, run: RunDir) -> Self:
        """Return the judge with the run where a server's log and budget are kept."""
        found = copy(self)
        object.__setattr__(found, "_run", run)  # no setting, and no part of what it is
        return found

    def reference_state(self, references: Sequence[str]) -> None:
        """Return nothing: no reference is shown to a judge."""

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002  every metric's
        """Judge each row that says anything, in batches of like length.

        Raises:
            ModelError: The model cannot be used, or a prompt is too long and that is an error.
        """
        texts = [(as_read(c), as_read(t)) for c, t in rows.select("context", "text").iter_rows()]
        concerned = self._concerned(rows)
        found = [
            self._unasked() if not is_concerned
            else self._unasked(empty=1) if nothing_visible(text)
            else None
            for (_, text), is_concerned in zip(texts, concerned, strict=True)
        ]  # fmt: skip
        seen = self._asked({i: texts[i] for i, row in enumerate(found) if row is None})
        whole = [
            row if row is not None else seen.get(i) or self._unasked(too_long=1)
            for i, row in enumerate(found)
        ]
        return np.array(whole, dtype=float).reshape(rows.height, len(self.statistics))

    def recheck(self, rows: pl.DataFrame) -> np.ndarray | None:
        """Score each row alone by one plain call of the transformers model, nothing kept or shared.

        Null for a judge that a server runs, and where the levels of risk that it asks at are in a
        column that *rows* lack. A row that it is not asked about is NaN.
        """
        lacking = any(given_column(column) not in rows.columns for column in self.asks)
        if self.model.engine is not None or self.model.architecture != "decoder" or lacking:
            return None
        import torch

        model = self._backend().model
        found = np.full((rows.height, len(self.columns)), np.nan)
        n_points = len(self.dimension.values)
        concerned = self._concerned(rows)
        for i, pair in enumerate(rows.select("context", "text").iter_rows()):
            context, text = map(as_read, pair)
            if not concerned[i]:
                continue
            if nothing_visible(text):
                found[i] = self._unasked(empty=1)[: found.shape[1]]
                continue
            prompt = self._prompts.prompts([(context, text)])[0]
            if not prompt.fits:
                continue
            with torch.inference_mode():
                logits = model(torch.tensor([prompt.ids], device=model.device)).logits[0, -1]
            p = logits.double().softmax(-1)[list(self._prompts.labels)].cpu().numpy()
            given, outside = p[:n_points], p[n_points:].sum()
            if p.sum() < self.min_mass or outside > p.sum() / 2:
                continue
            values = np.array(self.dimension.values)
            shares = given / given.sum()
            found[i, 0] = shares @ values
            for k, threshold in enumerate(self.rubric.thresholds, 1):
                found[i, k] = shares[values >= threshold.at_least].sum()
        return found

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means over the rows with a score."""
        sums = np.asarray(sums, float)
        parts = [ratio(sums[..., top], sums[..., n]) for top, n in self._ratios]
        return np.stack(parts, axis=-1) if parts else np.empty((*sums.shape[:-1], 0))

    @property
    def mode(self) -> str:
        """What stands behind the judge's label of how it answers; empty where labels are read."""
        return ""

    @property
    def called(self) -> str:
        """The judge as printed in tables."""
        return self.label + self.mode

    @property
    def _request(self) -> str:
        """The end of what it reads, where that is more than one of the labels."""
        return ""

    @property
    def _answered(self) -> dict[str, str]:
        """What its signature says of how it answers."""
        return {"score": "expected", "min_mass": f"{self.min_mass:g}"}

    @property
    def _is_main(self) -> bool:
        """Whether it stands in Table 1: faults have a table of their own, paraphrases none."""
        return self.dimension.severity is None and not self.rubric.paraphrase_of

    @property
    def _ratios(self) -> list[tuple[int, int]]:
        return [cast("tuple[int, int]", column.ratio) for column in self.columns]

    @property
    def _condition(self) -> Condition:
        return condition_of(self.model, self.fingerprint, self.reasoning)

    @property
    def _prompts(self) -> RatingPrompts:
        return rating_prompts(self._condition, self.rubric, self.dimension)

    def _concerned(self, rows: pl.DataFrame) -> list[bool]:
        """Return whether the question is asked of each row: of some, only at some risk."""
        wanted = self.dimension.tiers
        if not wanted:
            return [True] * rows.height
        given = rows[given_column(self.tier_column)].to_list() if self.tier_column else None
        return [tier in wanted for tier in tiers_of(rows["context"].to_list(), given)]

    def _asked(self, rated: Mapping[int, tuple[str, ...]]) -> dict[int, list[float]]:
        """Return the statistics of the rows that fit; keys are places of rows."""
        told = self._probabilities(self._fitting(rated))
        return {i: self._row(of) for i, of in told.items()}

    def _fitting(self, rated: Mapping[int, tuple[str, ...]]) -> dict[int, tuple[int, ...]]:
        """Return the prompt of each text that fits; keys are as given.

        Raises:
            ModelError: One does not fit, and that is an error.
        """
        if not rated:
            return {}
        prompts, limit = self._prompts.prompts(list(rated.values())), self._limit()
        ids = {
            i: p.ids for i, p in zip(rated, prompts, strict=True)
            if limit is None or len(p.ids) <= limit
        }  # fmt: skip
        if len(ids) < len(rated) and self.overlong == "error":
            raise self._too_long(max(prompt.n_whole for prompt in prompts), limit)
        return ids

    def _limit(self) -> int | None:
        """Return how long a prompt may be: the model's window, and that of a server that runs it.

        Null if there is no limit.
        """
        served = getattr(self._backend(), "window", None) if self.model.engine else None
        room = None if served is None else served - self._condition.decoding.max_new_tokens
        limits = (self._prompts.renderer.max_prompt_tokens, room)
        return min((limit for limit in limits if limit is not None), default=None)

    def _backend(self) -> Any:
        return CURRENT.get(self.model, run=self._run)

    def _too_long(self, n_tokens: int, limit: int | None) -> ModelError:
        msg = (
            f"judge '{self.judge}': a message and its reply take {n_tokens} tokens with rubric "
            f"'{self.rubric.name}', dimension '{self.dimension.name}'; expected at most "
            f"{limit}; use a judge with a longer context, or "
            f'set overlong = "missing" under [judges.{self.judge}], which leaves such rows out and '
            "counts them"
        )
        return ModelError(msg)

    def _probabilities(self, prompts: dict[int, tuple[int, ...]]) -> dict[int, LabelProbabilities]:
        """Return what the judge makes of each prompt; keys are places of rows."""
        if not prompts:
            return {}
        backend = self._backend()
        backend.text.check(self._condition)
        labels = [(token,) for token in self._prompts.labels]
        order = sorted(prompts, key=lambda i: (len(prompts[i]), prompts[i]))
        # a server makes its own batches
        size = len(order) if self.model.engine else self.batch_size
        found: dict[int, LabelProbabilities] = {}
        for batch in chunks(order, size):
            try:
                told = backend.label_probabilities([prompts[i] for i in batch], labels)
            except ModelError:
                CURRENT.close()  # a server that died too often is not asked by the next shard
                raise
            found |= zip(batch, told, strict=True)
        return found

    def _row(self, told: LabelProbabilities) -> list[float]:
        """Return the statistics of one judged row."""
        values = self.dimension.values
        given = told.probabilities[: len(values)]
        outside = sum(told.probabilities[len(values) :])
        # not a number: no label is possible at all
        low = told.mass < self.min_mass or math.isnan(given[0])
        applies = outside <= 0.5
        labels = {f"p{i}": p for i, p in enumerate(np.nan_to_num(told.probabilities))}
        return self._whole(
            self._scored(given) if applies and not low else None,
            judged=1, mass=told.mass, low_mass=low, not_applicable=not low and not applies,
            **labels,
        )  # fmt: skip

    def _scored(self, given: Sequence[float]) -> list[float]:
        """Return the expected value and the shares of a distribution over the points."""
        total, points = sum(given), list(zip(self.dimension.values, given, strict=True))
        above = (
            sum(p for value, p in points if value >= threshold.at_least) / total
            for threshold in self.rubric.thresholds
        )
        return [sum(value * p for value, p in points) / total, *above]

    def _unasked(self, *, empty: int = 0, too_long: int = 0) -> list[float]:
        """Return the statistics of a row that the judge did not see."""
        least = empty and self.dimension.direction == "higher"
        score = [float(self.dimension.values[0]), *[0.0] * len(self.rubric.thresholds)]
        return self._whole(score if least else None, empty=empty, too_long=too_long)

    def _whole(self, score: Sequence[float] | None, **seen: float) -> list[float]:
        """Return a row of statistics: score and shares (null: missing), and what was seen."""
        given = score or [np.nan] * (1 + len(self.rubric.thresholds))
        rest = self.statistics[len(given) + 1 :]
        return [*given, 1.0, *(float(seen.get(name, 0.0)) for name in rest)]
