"""What several metrics need: the form of a signature, columns of shares, means of sums."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from typing import TypeVar

import numpy as np

from empathy_core.types import Column

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader must know of the rows behind a metric's numbers.

    Attributes:
        text: What is so, e.g. ``answers without a token, scored 0``.
        n: Of how many rows; null: of all of them together.
        advice: What to set, a sentence; empty if nothing helps.
    """

    text: str
    n: int | None = None
    advice: str = ""


def counted(*remarks: Remark) -> tuple[Remark, ...]:
    """Return the remarks that hold of some row."""
    return tuple(remark for remark in remarks if remark.n)


def signature(**pairs: object) -> str:
    """Return ``key:value`` pairs joined by ``|``, as sacreBLEU writes them.

    Booleans become yes and no; a separator inside a value becomes ``_``.
    """
    words = {True: "yes", False: "no"}
    shown = {k: words[v] if isinstance(v, bool) else str(v) for k, v in pairs.items()}
    return "|".join(f"{k}:{v.replace('|', '_')}" for k, v in shown.items())


def version(distribution: str) -> str:
    """Return the installed version without a build tag: CPU and CUDA builds are one version."""
    return installed(distribution).partition("+")[0]


GIVEN = "given:"
"""How the names of columns of the data begin in the rows of a metric, which has names of its own.
"""


def given_column(name: str) -> str:
    """Return what a column of the data is called in the rows that a metric measures."""
    return GIVEN + name


def row_share(name: str, label: str, group: str) -> Column:
    """Return the column of a share of rows that show a fault."""
    return Column(
        name, label, better="lower", decimals=1, percent=True, group=group,
        share=True, least=0, most=1,
    )  # fmt: skip


def as_means(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return columns that say that ``means`` makes them."""
    return tuple(replace(c, ratio=(i, len(columns))) for i, c in enumerate(columns))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return above / below by element, NaN where *below* is 0.

    In the order that the numbers have in memory, since resamples are scored by the million.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.asarray(above / below)
    nothing = below == 0
    if nothing.any():
        result[np.broadcast_to(nothing, result.shape)] = np.nan
    return result


def means(sums: np.ndarray, n_values: int) -> np.ndarray:
    """Reduce sums whose last statistic is the number of rows to the *n_values* before it."""
    return ratio(sums[..., :n_values], sums[..., -1:])


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut *items* into batches of *size*; the last may be shorter."""
    return [items[i : i + size] for i in range(0, len(items), size)]
