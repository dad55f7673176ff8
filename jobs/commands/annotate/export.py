"""``annotate export``: packets for people who rate."""

from dataclasses import dataclass

from jobs.commands.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotateExportOptions(RunOptions):
    """Make the packets of a round: a file for each rater, which works offline."""


def export(options: AnnotateExportOptions) -> int:
    """Draw questions and write a packet for each rater.

    Raises:
        ConfigError: There is no such run.
    """
    from jobs.commands.console import existing

    existing(options)
    return 0
