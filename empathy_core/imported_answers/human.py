"""The Therapist Baseline: what another therapist answered to the same question.

With duplicates kept, "another" answer is often an exact copy of the reference, since the public
data sets hold many pairs twice; that is how published baselines of this kind become high. Dropping
the copies gives the ceiling that a person who has not seen the reference reaches.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import polars as pl

from empathy_core.data import references
from empathy_core.data.contexts import answered_alike
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.store import EVALUATED

ANSWERS: dict[str, Any] = {
    "example": pl.String,  # the evaluated row
    "text": pl.String,  # the other therapist's answer
    "partner": pl.String,  # the row it was taken from
    "copy": pl.Boolean,  # equal to the row's own answer in its normal form
}


class _HumanAnswer(NamedTuple):
    id: str
    question: str
    pair: str
    author: str | None
    response: str
    evaluated: bool


@dataclass(frozen=True, slots=True)
class TherapistCoverage:
    """What stands behind the baseline's row of a table.

    Attributes:
        n: Answers.
        copies: Share of them that are exact copies of the reference; 0 where there are none.
        without_partner: Evaluated rows whose question nobody else answered.
        repeated: Evaluated rows left out as duplicates of an earlier one.
        references: References of an answer, on average, where rows have several; else 0.
    """

    n: int
    copies: float
    without_partner: int
    repeated: int
    references: float = 0.0


def answers(
    examples: pl.DataFrame, *, duplicates: Literal["drop", "keep"] = "drop", seed: int = 0
) -> pl.DataFrame:
    """Return for each evaluated row another row's answer to the same normalised question.

    Partners are drawn from all rows of the frame, evaluated or not. Rows without a partner are
    left out. Where rows have several references, one is left out at a time: the answer is the row's
    own, which is then compared with all of its references but itself
    (``data.references.compared``), so that every answer counts once.

    Args:
        examples: ``store.EXAMPLES``, and all references of a row where any has several.
        duplicates: ``drop`` counts equal pairs once: a later evaluated row of a pair is left out,
            and the partner's pair is another one, of another author where one is known.
            ``keep`` takes any other row, exact copies included.
        seed: Of the draw.

    Returns:
        A frame of ``ANSWERS``, in the order of *examples*.
    """
    rows = _rows(examples)
    if references.several(examples):
        there = {row for row, n in _counts(examples) if n > 1}
        own = [(row.id, row.response, row.id, False) for row in _evaluated(rows, duplicates)
               if row.id in there]  # fmt: skip
        return pl.DataFrame(own, schema=ANSWERS, orient="row")
    by_question: dict[str, list[_HumanAnswer]] = defaultdict(list)
    for row in _distinct(rows) if duplicates == "drop" else rows:
        by_question[row.question].append(row)
    drawn = []
    for row in _evaluated(rows, duplicates):
        others = _partners(row, by_question[row.question], duplicates)
        if others:
            partner = min(others, key=lambda other: _draw_key(seed, row.id, other.id))
            drawn.append((row.id, partner.response, partner.id, partner.pair == row.pair))
    return pl.DataFrame(drawn, schema=ANSWERS, orient="row")


def coverage(
    examples: pl.DataFrame, drawn: pl.DataFrame, *, duplicates: Literal["drop", "keep"] = "drop"
) -> TherapistCoverage:
    """Return what stands behind *drawn*, the answers to *examples* under the same *duplicates*."""
    rows = _rows(examples)
    asked = len(_evaluated(rows, duplicates))
    copies = int(drawn["copy"].sum()) / drawn.height if drawn.height else 0.0
    repeated = sum(row.evaluated for row in rows) - asked
    there = set(drawn["example"])
    others = [n - 1 for row, n in _counts(examples) if row in there]
    mean = sum(others) / len(others) if others else 0.0
    return TherapistCoverage(drawn.height, copies, asked - drawn.height, repeated, mean)


def _counts(examples: pl.DataFrame) -> list[tuple[str, int]]:
    """Return id and number of references of each evaluated row; nothing if each has one."""
    if not references.several(examples):
        return []
    counted = examples.filter(EVALUATED).select("id", pl.col(ALL_REFERENCES).list.len())
    return list(counted.iter_rows())


def _rows(examples: pl.DataFrame) -> list[_HumanAnswer]:
    columns = examples.with_columns(question=answered_alike(examples)).select(
        "id", "question", "pair", "author", "response", EVALUATED
    )
    return [_HumanAnswer(*values) for values in columns.iter_rows()]


def _distinct(rows: Sequence[_HumanAnswer]) -> Iterator[_HumanAnswer]:
    """Yield the first row of each pair, by id, so that the frame's order does not matter."""
    seen: set[str] = set()
    for row in sorted(rows, key=lambda row: row.id):
        if row.pair not in seen:
            seen.add(row.pair)
            yield row


def _evaluated(
    rows: Sequence[_HumanAnswer], duplicates: Literal["drop", "keep"]
) -> list[_HumanAnswer]:
    asked = [row for row in rows if row.evaluated]
    if duplicates == "keep":
        return asked
    first = {row.id for row in _distinct(asked)}
    return [row for row in asked if row.id in first]


def _partners(
    row: _HumanAnswer, answered: Sequence[_HumanAnswer], duplicates: Literal["drop", "keep"]
) -> list[_HumanAnswer]:
    if duplicates == "keep":
        return [other for other in answered if other.id != row.id]
    others = [other for other in answered if other.pair != row.pair]
    if row.author is None:
        return others
    strangers = [other for other in others if other.author not in (None, row.author)]
    return strangers or others


def _draw_key(seed: int, example: str, partner: str) -> str:
    return hashlib.sha256(f"therapist:{seed}:{example}:{partner}".encode()).hexdigest()
