"""Which validation rows a refinement proposes from, and which it scores on. Pure and seeded.

The rows that a prompt answers worst are worst by bad luck too: answered again, they are better,
whatever the prompt (regression to the mean). So what candidates are made from and what they are
scored on share no question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from empathy_core.counted import counted
from empathy_core.data.splitting import draw_key
from empathy_core.errors import DataError


@dataclass(frozen=True, slots=True)
class RefinementRows:
    """Ids of validation rows, one a question, no question twice.

    Attributes:
        proposing: What the parent prompt answers first, to find the worst.
        rounds: For each round the rows that it adds to those of the rounds before.
    """

    proposing: tuple[str, ...]
    rounds: tuple[tuple[str, ...], ...]


def draw_rows(
    examples: pl.DataFrame, n_proposing: int, totals: Sequence[int], seed: int
) -> RefinementRows:
    """Return the rows of a refinement.

    Questions that stand in the test split as well are left out (a split by rows lets them stand on
    two sides). Of the rows of a question one is drawn.

    Args:
        examples: ``store.EXAMPLES``.
        n_proposing: Questions to propose from.
        totals: Questions that candidates have been scored on after each round, growing.
        seed: Of the draw.

    Raises:
        DataError: There is no validation row, or there are too few questions.
    """
    validation = examples.filter(pl.col("split") == "validation")
    tested = examples.filter(pl.col("split") == "test")["question"].unique()
    free = validation.filter(~pl.col("question").is_in(tested.to_list()))
    first: dict[str, str] = {}
    for name, question in sorted(
        free.select("id", "question").iter_rows(), key=lambda row: draw_key("refine", seed, row[0])
    ):
        first.setdefault(question, name)
    ordered = sorted(first, key=lambda question: draw_key("refine question", seed, question))
    _require(len(ordered), n_proposing, totals, validation.height)
    ids = [first[question] for question in ordered]
    starts = [n_proposing + n for n in (0, *totals)]
    rounds = tuple(tuple(ids[a:b]) for a, b in pairwise(starts))
    return RefinementRows(tuple(ids[:n_proposing]), rounds)


def _require(n: int, n_proposing: int, totals: Sequence[int], n_rows: int) -> None:
    needed = n_proposing + totals[-1]
    if n >= needed:
        return
    if not n_rows:
        msg = (
            "the validation split holds no row: expected some, on which prompts are chosen; give "
            "data.fractions a share of validation, or give more data"
        )
        raise DataError(msg)
    msg = (
        f"the validation split holds {counted(n, 'question')} that the test split does not, and "
        f"{n_proposing} to propose from and {totals[-1]} to score on are asked for: expected "
        f"{needed} at least; lower worst_of or rounds, or give validation a larger share of the "
        "rows (data.fractions)"
    )
    raise DataError(msg)
