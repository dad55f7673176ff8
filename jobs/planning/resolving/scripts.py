"""Metrics that find no words in the script of a run's references: told before anything is spent."""

from collections.abc import Iterator

import polars as pl

from empathy_core import metrics
from jobs.config.schema import Config


def misread(config: Config, evaluated: pl.DataFrame) -> Iterator[str]:
    """Say which metrics find no words in most references, and what to set.

    Args:
        config: Its metrics.
        evaluated: The rows that are evaluated, with ``response``.
    """
    references = evaluated["response"].to_list()
    for name, options in config.metrics.items():
        yield from metrics.misread_note(name, metrics.load(name, options), references)
