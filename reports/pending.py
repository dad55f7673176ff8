"""Stands in until empathy_core.stats has these."""

# mypy: ignore-errors
from dataclasses import dataclass
import numpy as np
from empathy_core.stats import Difference, interval, paired_difference, holm


@dataclass(frozen=True)
class AllPairs:
    estimates: tuple
    differences: dict


def _more(d):
    return d


def compare_all(rows, score, resampler, pairs=None):
    n = len(rows)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)] if pairs is None else pairs
    return AllPairs(
        tuple(interval(r, score, resampler) for r in rows),
        {p: paired_difference(rows[p[0]], rows[p[1]], score, resampler) for p in pairs},
    )


def contrast(first, second, score, resampler):
    return paired_difference(first[0], second[0], score, resampler)


def benjamini_hochberg(p):
    return holm(p)


def spread(*a):
    return ()


def interaction(*a):
    return ()


def length_adjusted(*a):
    return None


def movers(*a):
    return ()
