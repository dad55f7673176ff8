"""How ratings of two systems differ within a question, where a run does not know it yet. Pure."""

from empathy_core.rubrics.spec import Dimension
from empathy_core.stats import PairedSpread

MENTALALIGN = {
    "guidance": 1.01,
    "informativeness": 0.91,
    "relevance": 0.85,
    "safety": 0.73,
    "empathy": 0.98,
    "helpfulness": 0.92,
    "understanding": 0.93,
}
"""Attribute → standard deviation of the differences of two systems within a question, on a scale
from 1 to 5: the median of the 45 pairs of ten systems, one expert's rating each, in MentalAlign-70k
(github.com/abeerbadawi/MentalBench-Align, MIT). A test computes them anew."""
_POINTS = 4
"""From the lowest to the highest point of that scale."""
_DISCORDANT = 0.3
"""Assumed share of questions at which exactly one of two systems gets a yes; not measured."""
_USUAL = "empathy"


def known_spread(dimension: Dimension) -> tuple[PairedSpread, str]:
    """Return the spread to expect of a dimension, and where it is from, in words.

    A scale of another length is taken to be used alike: the spread grows with the length.
    """
    if dimension.is_share:
        why = f"assumed: two conditions differ at {_DISCORDANT:.0%} of the questions"
        return PairedSpread(_DISCORDANT, None, 0), why
    attribute = dimension.name if dimension.name in MENTALALIGN else _USUAL
    values = dimension.values
    deviation = MENTALALIGN[attribute] * (values[-1] - values[0]) / _POINTS
    source = f"public ratings (MentalAlign-70k, {attribute})"
    return PairedSpread(deviation**2, None, 0), source
