"""Corrections of p for many tests. Pure."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return p corrected so that one false finding among all has at most the chance it states.

    Holm (1979), A simple sequentially rejective multiple test procedure. The i-th smallest of k
    is multiplied by k - i + 1, and none is below the one before it. Null is no test, is not
    counted, and stays null.
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, i) in enumerate(tested):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        corrected[i] = least
    return tuple(corrected)


def benjamini_hochberg(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return p corrected so that, of what is found, the expected share it states is false.

    Benjamini and Hochberg (1995), Controlling the false discovery rate. The i-th smallest of k is
    multiplied by k / i, and none is above the one after it; valid where tests are independent or
    positively dependent. Null is no test, is not counted, and stays null.
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    most = 1.0
    for rank, (p, i) in reversed([*enumerate(tested, start=1)]):
        most = min(most, p * len(tested) / rank)
        corrected[i] = most
    return tuple(corrected)


def benjamini_yekutieli(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return p corrected as ``benjamini_hochberg`` does, valid however the tests depend.

    Benjamini and Yekutieli (2001), The control of the false discovery rate in multiple testing
    under dependency, Annals of Statistics 29(4): each is multiplied by 1 + 1/2 + ... + 1/k too.
    """
    k = sum(p is not None for p in p_values)
    factor = sum(1 / i for i in range(1, k + 1))
    found = benjamini_hochberg([None if p is None else p * factor for p in p_values])
    return tuple(None if p is None else min(1.0, p) for p in found)
