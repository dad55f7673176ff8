"""Which of two replies a language model prefers: an answer, or a baseline's to the same question.

Both orders are always asked, since judges favour a place: with a = P(the first reply is preferred |
the answer stands first) and b = the same where the baseline's stands first, the preference for the
answer is (a + 1 - b) / 2. That a model is asked so follows EMRank (Luo et al., arXiv 2405.16402).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from empathy_core.backends.probabilities import LabelProbabilities
from empathy_core.metrics import _judge
from empathy_core.metrics._parts import Remark, signature
from empathy_core.metrics._standing import heading
from empathy_core.types import Column
from empathy_core.visible import as_read, nothing_visible

_LARGEST = 2**64


@dataclass(frozen=True)
class Metric(_judge.Metric):
    """The probability with which a judge prefers an answer to the baseline's, over both orders.

    A row has no score where the baseline has no answer, where the labels have less than
    ``min_mass`` of the judge's probability in either order, or where a prompt does not fit. Equal
    texts count one half; an answer of which nothing is visible loses to any other. The
    baseline beside itself is one half.

    Of two conditions neither of which is the baseline, the one whose id comes first is compared
    with the other, so that no pair is asked about twice, whatever is added later.

    Attributes:
        opponent: Id of the condition whose answers others are compared with.
        opponent_label: As printed in tables.
        baseline: Id of the condition that every other is compared with, which tables print.
        share: Share of the questions that are compared; the same ones for every condition.
    """

    opponent: str = ""
    opponent_label: str = "the baseline"
    baseline: str = ""
    share: float = 1.0

    why_unscored = Remark(
        "the judge gave none of the answers, the baseline has no answer, or the text was too long"
    )

    @property
    def is_baseline(self) -> bool:
        """Whether it is the comparison that tables print."""
        return self.opponent == self.baseline

    @property
    def columns(self) -> tuple[Column, ...]:
        """The mean preference, the rate of the first place, and how often both orders agree."""
        if not self.is_baseline:
            return ()
        of = self.dimension
        stem = f"{self.judge}_{self.rubric.name}_{of.name}"
        group = heading(self.rubric.label, f"judge: {self.label}")
        n, judged = self.statistics.index("n"), self.statistics.index("judged")
        share = Column(
            stem, f"{of.label}: preferred to {self.opponent_label}", better=of.direction,
            decimals=1, percent=True, main=self._is_main, group=group, least=0, most=1,
            ratio=(0, n), judge=self.label,
        )  # fmt: skip
        seen = (("first", "first reply preferred"), ("consistent", "same in both orders"))
        return share, *(
            replace(
                share, name=f"{stem}_{name}", label=f"{of.label}: {label}", better=None, main=False,
                ratio=(self.statistics.index(name), judged), judge="",
            )
            for name, label in seen
        )  # fmt: skip

    @property
    def statistics(self) -> tuple[str, ...]:
        """Preference and 1; what was seen; P(first reply) with the answer first and second.

        ``longer`` is by how many characters the answer is longer than the baseline's.
        """
        return (
            "preference", "n", "judged", "first", "consistent", "mass", "low_mass", "too_long",
            "empty", "alone", "left_out", "longer", "p_first_as_a", "p_first_as_b",
        )  # fmt: skip

    def signature(self) -> str:
        """Return what is asked, of whom, against what."""
        score = signature(opponent=self.opponent or "unknown", share=f"{self.share:g}",
                          orders="both", equal="0.5")  # fmt: skip
        others = "" if self.is_baseline else f"|{signature(baseline=self.baseline, pairs='once')}"
        return f"{super().signature()}|{score}{others}"

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:  # noqa: ARG002  every metric's
        """Compare each row with its baseline's, whose text is in the column ``opponent``."""
        of = rows["condition"].to_list() if "condition" in rows.columns else [""] * rows.height
        found = [
            self._told_apart(*texts) if self._is_paired(condition) else self._line(left_out=1)
            for condition, texts in zip(of, _texts(rows), strict=True)
        ]
        orders: dict[int, tuple[str, ...]] = {}  # of row i at 2 i and 2 i + 1
        for i, (context, answer, other) in enumerate(_texts(rows)):
            if found[i] is None:
                orders[2 * i] = (context, answer, str(other))
                orders[2 * i + 1] = (context, str(other), answer)
        ids = self._fitting(orders)
        both = {at: prompt for at, prompt in ids.items() if at ^ 1 in ids}
        seen = self._probabilities(both)
        whole = [
            row if row is not None
            else self._compared(seen[2 * i], seen[2 * i + 1]) if 2 * i in seen
            else self._line(too_long=1)
            for i, row in enumerate(found)
        ]  # fmt: skip
        values = np.array(whole, dtype=float).reshape(rows.height, len(self.statistics))
        values[:, self.statistics.index("longer")] = [
            len(answer) - len(other or "") for _, answer, other in _texts(rows)
        ]
        return values

    def recheck(self, rows: pl.DataFrame) -> np.ndarray | None:  # noqa: ARG002  every metric's
        """Return null: what a comparison is with, the rows of a recheck do not hold."""
        return None

    def _told_apart(self, context: str, answer: str, other: str | None) -> list[float] | None:
        """Return the row of a pair that no judge must see; null for one that it must."""
        if not self._is_drawn(context):
            return self._line(left_out=1)
        if other is None:
            return self._line(alone=1)
        if answer == other:
            return self._line(preference=0.5)
        if nothing_visible(answer) or nothing_visible(other):
            return self._line(preference=float(nothing_visible(other)), empty=1)
        return None

    def _is_paired(self, condition: str) -> bool:
        """Tell whether a condition is compared with the opponent, and not the other way round."""
        return self.is_baseline or (condition != self.baseline and condition < self.opponent)

    def _is_drawn(self, context: str) -> bool:
        """Tell whether a question is among those that are compared."""
        drawn = hashlib.sha256(f"{self.opponent}\0{context}".encode()).digest()[:8]
        return int.from_bytes(drawn, "big") < self.share * _LARGEST

    def _compared(self, first: LabelProbabilities, second: LabelProbabilities) -> list[float]:
        """Return the statistics of a pair; what was said with the answer first, and second."""
        a, b = first.probabilities[0], second.probabilities[0]
        mass = (first.mass + second.mass) / 2
        low = min(first.mass, second.mass) < self.min_mass
        if np.isnan(a + b):  # no label is possible at all, even where any mass is enough
            return self._line(judged=1, mass=mass, low_mass=1)
        return self._line(
            preference=np.nan if low else (a + 1 - b) / 2,
            judged=1, first=(a + b) / 2, consistent=(a > 0.5) != (b > 0.5), mass=mass,
            low_mass=low, p_first_as_a=a, p_first_as_b=b,
        )  # fmt: skip

    def _line(self, **given: float) -> list[float]:
        """Return a row of statistics; a preference that is not given is missing."""
        usual = {"preference": np.nan, "n": 1.0}
        return [float({**usual, **given}.get(name, 0.0)) for name in self.statistics]


def _texts(rows: pl.DataFrame) -> Iterator[tuple[str, str, str | None]]:
    """Yield message, answer and the baseline's answer, null where there is none."""
    for context, answer, other in rows.select("context", "text", "opponent").iter_rows():
        yield as_read(context), as_read(answer), None if other is None else as_read(other)
