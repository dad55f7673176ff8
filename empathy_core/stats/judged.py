"""What one judge said: scores of conditions' replies, preferences between two of them. Pure."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class JudgedScores:
    """Scores of one judge on one dimension of a rubric, all on the same rows.

    Attributes:
        scores: Shape (conditions, rows); NaN where it gave none.
        log_lengths: Of the replies, likewise; NaN where there is no reply.
        labels: The scale's values, ascending, two at least.
        mass: Probability of the labels before renormalising, likewise; NaN where the judge was not
            asked. Null: not known.
        own: Which conditions are of the judge's own model or family, shape (conditions,).
        others: Other judges' scores on the same scale, shape (judges, conditions, rows).
        wordings: Its own under paraphrased rubrics, *scores* not among them, shape (wordings,
            conditions, rows).

    Raises:
        ValueError: The arrays are of different replies, or the scale has no two labels.
    """

    scores: np.ndarray
    log_lengths: np.ndarray
    labels: tuple[float, ...]
    mass: np.ndarray | None = None
    own: np.ndarray | None = None
    others: np.ndarray | None = None
    wordings: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.scores)
        of_replies = {"log_lengths": self.log_lengths, "mass": self.mass}
        found = {name: np.shape(of) for name, of in of_replies.items() if of is not None}
        stacked = {"others": self.others, "wordings": self.wordings}
        found |= {name: np.shape(of)[1:] for name, of in stacked.items() if of is not None}
        wrong = [f"{name} {of}" for name, of in found.items() if of != shape]
        if len(shape) != 2 or wrong:
            raise ValueError(
                f"scores of shape {shape} and {', '.join(wrong) or 'nothing else'} do not fit; "
                "give all of the same replies, with the shape (conditions, rows)"
            )
        if self.own is not None and np.shape(self.own) != shape[:1]:
            raise ValueError(f"own is of {np.shape(self.own)} conditions; give one of {shape[0]}")
        if len(self.labels) < 2 or list(self.labels) != sorted(set(self.labels)):
            raise ValueError(f"the labels {self.labels} are no scale; give two or more, ascending")


@dataclass(frozen=True, slots=True, eq=False)
class JudgedPairs:
    """Preferences of one judge between two conditions' replies, asked in both orders.

    All have the shape (rows,).

    Attributes:
        first_of_ab: How much the reply shown first is preferred where that is the first
            condition's, from 0 to 1; NaN where there is no answer.
        first_of_ba: Likewise where it is the second condition's.
        longer: Length of the first condition's reply less that of the second's.
        pairs: The number of each row's pair of conditions, from 0 up.
        clusters: The number of its question, from 0 up.
        quality: How much better the first condition's reply is, by other judges or people: what
            that explains of the preference is no verbosity. Null: not known.

    Raises:
        ValueError: The arrays are not of the same rows, or a preference is not from 0 to 1.
    """

    first_of_ab: np.ndarray
    first_of_ba: np.ndarray
    longer: np.ndarray
    pairs: np.ndarray
    clusters: np.ndarray
    quality: np.ndarray | None = None

    def __post_init__(self) -> None:
        given = {of.name: getattr(self, of.name) for of in fields(self)}
        shapes = {np.shape(of) for of in given.values() if of is not None}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise ValueError(
                f"preferences and what belongs to them have the shapes {sorted(shapes)}; give each "
                "the shape (rows,)"
            )
        for of in (self.first_of_ab, self.first_of_ba):
            if np.any((of < 0) | (of > 1)):
                raise ValueError("a preference lies outside 0 to 1; give NaN where there is none")
