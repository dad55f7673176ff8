"""What may be said of a difference that no test has found. Pure."""

from empathy_core.stats.intervals import Interval
from empathy_core.stats.resampling import ALPHA

POWER = 0.8


def equivalent(narrow: Interval, margin: float) -> bool:
    """Tell whether a difference is shown to be less than *margin* either way.

    Two one-sided tests at 5 % each (TOST), which both find what they look for where the whole
    90 % interval (``Difference.narrow``) lies within the margin: Schuirmann (1987), A comparison
    of the two one-sided tests procedure and the power approach, Journal of Pharmacokinetics and
    Biopharmaceutics 15(6). That a test finds no difference shows nothing of the kind.

    Args:
        narrow: The 90 % interval of the difference.
        margin: The least difference that matters, in the scores' units; declared beforehand.

    Raises:
        ValueError: The margin is not above zero.
    """
    if not margin > 0:
        raise ValueError(
            f"the margin of an equivalence test is {margin}; it must be above zero, in the units "
            "of the score"
        )
    return bool(-margin < narrow.low and narrow.high < margin)


def least_detectable(standard_error: float, n_tests: int = 1) -> float:
    """Return the least true difference that a family of tests would find four times in five.

    (z(1 - alpha / 2m) + z(0.80)) x standard error at alpha = 5 %, m tests, the first step of Holm:
    Bloom (1995), Minimum Detectable Effects, Evaluation Review 19(5). Of many clusters: of one
    test with few of them, ``Difference.detectable`` takes Student's quantiles.

    Args:
        standard_error: ``Difference.standard_error``.
        n_tests: How many tests p is corrected for.

    Raises:
        ValueError: There is no test.
    """
    from scipy.special import ndtri

    if n_tests < 1:
        raise ValueError(f"a family of {n_tests} tests finds nothing; one at least is needed")
    return float(ndtri(1 - ALPHA / (2 * n_tests)) + ndtri(POWER)) * standard_error
