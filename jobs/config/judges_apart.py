"""Judges that readers of a table, or of a file of results, could not tell apart."""

from collections.abc import Iterator, Mapping
from typing import Any

from empathy_core import metrics
from empathy_core.metrics._jury import juries
from empathy_core.types import Column
from jobs.config.judges import metric_options, questions
from jobs.config.schema import Config


def indistinct(config: Config) -> Iterator[str]:
    """Yield which judges have one label, or columns of one name; each can be asked by itself.

    Two judges of one model are fine, for instance with unlike ``min_mass``, as long as their labels
    say which is which.
    """
    seen: dict[str, str] = {}
    for name in config.judges:
        asked, options = next(iter(questions(config, name).items()))
        judge: Any = metrics.load(asked, options)
        label = f"{judge.label}{getattr(judge, 'mode', '')}"  # of those that write, it says so
        first = seen.setdefault(label, name)
        if first != name:
            yield (
                f"judges.{name}: in tables it is called '{label}', as is the judge '{first}'; "
                f"expected another name; set label under [judges.{name}]"
            )
    yield from _one_name(_columns(config))


def _columns(config: Config) -> Iterator[tuple[str, Column]]:
    """Yield what asks, for readers, and each of its columns."""
    found: dict[str, Any] = {
        name: metrics.load(name, options) for name, options in metric_options(config).items()
    }
    for metric in found.values():
        if judge := getattr(metric, "judge", ""):
            asker = f"judge '{judge}', rubric '{metric.rubric.name}', '{metric.dimension.name}'"
            yield from ((asker, column) for column in metric.columns)
    together: Mapping[str, Any] = juries(found)
    for jury in together.values():
        yield from (("the jury of all judges", column) for column in jury.columns)


def _one_name(columns: Iterator[tuple[str, Column]]) -> Iterator[str]:
    """Yield the first column of one name that two unlike questions have."""
    seen: dict[str, str] = {}
    told: set[tuple[str, str]] = set()
    for asker, column in columns:
        first = seen.setdefault(column.name, asker)
        if first != asker and (asker, first) not in told:
            told.add((asker, first))
            yield (
                f"judges: a column of {asker} is called '{column.name}', as is one of {first}; "
                "expected a name of its own; rename a judge, a rubric or a dimension"
            )
