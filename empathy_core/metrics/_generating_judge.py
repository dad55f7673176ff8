"""What a language model writes when it is asked to rate a reply: a label, and perhaps a reason.

Beside the judge of ``_judge``, whose probabilities are read, this one answers with a text: a JSON
object that is read strictly (``rubrics.written``). It is for models whose probabilities cannot be
read, and for judges that are to reason first. There is no distribution behind such a rating and so
no mass: an answer that is no rating is missing and counted. Nothing is drawn; the most probable
tokens are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl

from empathy_core.backends.current import CURRENT
from empathy_core.backends.protocol import Answer, Request
from empathy_core.errors import ModelError
from empathy_core.metrics import _judge
from empathy_core.metrics._judge_prompts import RatingPrompts, condition_of, written_prompts
from empathy_core.metrics._parts import Remark, chunks
from empathy_core.rubrics import written
from empathy_core.rubrics.rendering import rating_text
from empathy_core.types import Condition, Decoding, digest

LABEL_TOKENS, REASON_TOKENS = 32, 160
"""Most tokens of an answer, where the configuration does not say: without and with a reason."""


@dataclass(frozen=True)
class Metric(_judge.Metric):
    """The value of the label that a judge writes.

    A row has no score where the answer is not exactly one rating, where the judge answers that the
    question does not apply, or where the prompt does not fit.

    Attributes:
        reason: Whether a short reason is written before the label.
        answer_tokens: Most tokens of an answer; null means as ``most_tokens``.
        structure: The checkpoint's own settings of generation; see ``types.Condition``.
    """

    reason: bool = False
    answer_tokens: int | None = None
    structure: tuple[tuple[str, str], ...] = ()

    no_answer: ClassVar[str] = "unreadable"
    why_unscored: ClassVar[Remark] = Remark(
        "the judge's answer could not be read, the question did not apply, or the text was too long"
    )

    @property
    def statistics(self) -> tuple[str, ...]:
        """Score and shares of a row, and 1; what was seen of the answer.

        ``cut`` are those of the unreadable answers that the limit of tokens ended; ``tokens`` is
        the length of the answer.
        """
        thresholds = (threshold.name for threshold in self.rubric.thresholds)
        return (
            "score", *thresholds, "n", "judged", "unreadable", "cut", "not_applicable", "too_long",
            "empty", "tokens",
        )  # fmt: skip

    def recheck(self, rows: pl.DataFrame) -> np.ndarray | None:  # noqa: ARG002  every metric's
        """Return null: generation has no second implementation here."""
        return None

    def sees(self, *texts: str) -> str:
        """Return what it reads of a message and a reply; of a server that renders, what is sent.

        Raises:
            ModelError: There is no room for the rubric.
        """
        return self._sent(texts) if self.model.rendered_elsewhere else super().sees(*texts)

    @property
    def most_tokens(self) -> int:
        """How many tokens an answer may have."""
        return self.answer_tokens or (REASON_TOKENS if self.reason else LABEL_TOKENS)

    @property
    def mode(self) -> str:
        """What stands behind the judge's label of how it answers."""
        return " (written)"

    @property
    def _request(self) -> str:
        return written.request(self.dimension, reason=self.reason)

    @property
    def _schema(self) -> str:
        """The form that a server holds the answer to; empty where none does."""
        guided = self.model.engine is not None and self.model.engine.guided is not None
        return written.schema(self.dimension, reason=self.reason) if guided else ""

    @property
    def _answered(self) -> dict[str, str]:
        return {
            "score": "written", "reason": "yes" if self.reason else "no",
            "answer_tokens": str(self.most_tokens),
            "guided": digest(self._schema, 8) if self._schema else "no",
            "structure": digest(self.structure, 8) if self.structure else "no",
        }  # fmt: skip

    @property
    def _condition(self) -> Condition:
        decoding = Decoding(max_new_tokens=self.most_tokens)
        asked = condition_of(self.model, self.fingerprint, self.reasoning, decoding)
        return replace(asked, structure=self.structure, block_size=self.batch_size)

    @property
    def _prompts(self) -> RatingPrompts:
        return written_prompts(self._condition, self.rubric, self.dimension, self._request)

    def _asked(self, rated: Mapping[int, tuple[str, ...]]) -> dict[int, list[float]]:
        """Return the statistics of the rows that fit; keys are places of rows."""
        texts = self._texts(rated)
        if not texts:
            return {}
        backend, condition = self._backend(), self._condition
        guided = replace(condition, decoding=replace(condition.decoding, schema=self._schema))
        order = sorted(texts, key=lambda i: (len(texts[i]), texts[i]))
        # a server makes its own batches
        size = len(order) if self.model.engine else self.batch_size
        found: dict[int, list[float]] = {}
        for batch in chunks(order, size):
            requests = [Request(str(i), 0, texts[i]) for i in batch]
            try:
                answers = backend.answer(guided, requests)
            except ModelError:
                CURRENT.close()  # a server that died too often is not asked by the next shard
                raise
            found |= zip(batch, map(self._row_of, answers), strict=True)
        return found

    def _texts(self, rated: Mapping[int, tuple[str, ...]]) -> dict[int, str]:
        """Return what the judge reads of each text that fits; a server that renders cuts none."""
        if self.model.rendered_elsewhere:
            return {i: self._sent(texts) for i, texts in rated.items()}
        prompts = self._prompts
        return {i: prompts.text(*rated[i]) for i in self._fitting(rated)}

    def _sent(self, texts: tuple[str, ...]) -> str:
        context, reply = texts
        return rating_text(self.rubric, self.dimension, context, reply, request=self._request)

    def _row_of(self, answer: Answer) -> list[float]:
        """Return the statistics of one answer."""
        of = self.dimension
        label = written.label_in(answer.text, of.labels, reason=self.reason)
        seen = {"judged": 1.0, "tokens": float(answer.n_output_tokens)}
        if label is None:
            return self._whole(None, unreadable=1, cut=answer.stop == "length", **seen)
        values = {anchor.label: anchor.value for anchor in of.anchors}
        if label not in values:
            return self._whole(None, not_applicable=1, **seen)
        value = values[label]
        above = (float(value >= threshold.at_least) for threshold in self.rubric.thresholds)
        return self._whole([float(value), *above], **seen)
