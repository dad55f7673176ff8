"""``annotate plan``: how many questions people must rate to see a difference."""

from dataclasses import dataclass

from jobs.commands.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotatePlanOptions(RunOptions):
    """Say how many questions and raters a difference between two conditions needs."""


def plan(options: AnnotatePlanOptions) -> int:
    """Print how many questions and raters are needed.

    Raises:
        ConfigError: There is no such run.
    """
    from jobs.commands.console import existing

    existing(options)
    return 0
