"""Why a statistic is not given. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, in the three parts of every error: a report prints it where the number would be.

    Attributes:
        wrong: What is wrong.
        expected: What was expected.
        remedy: What to do.
    """

    wrong: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.wrong}. Expected: {self.expected}. {self.remedy}."


def too_few(n_clusters: int, least: int) -> Refusal:
    """Return the refusal of an interval over *n_clusters* questions."""
    return Refusal(
        f"only {n_clusters:,} questions can be used",
        f"at least {least} for an interval",
        "Add questions",
    )
