"""Which columns stand in Table 1 and in its likes: ``[report] columns``, or the main ones. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from empathy_core.errors import UnknownName
from empathy_core.metrics import MetricProtocol
from empathy_core.types import Column
from reports.keys import metric_name
from reports.numbers.significance import Wanted, columns
from reports.spec import ReportSpec

ANSWERS = "n"
"""The column of how many answers a row stands for."""
COUNT: Wanted = ("", Column(ANSWERS, ANSWERS, None, decimals=0))
"""That column; it is no metric's."""


def named_columns(metrics: Mapping[str, MetricProtocol]) -> dict[str, Wanted]:
    """Return every name that ``[report] columns`` may hold → the column.

    A column is called by its name where no other metric has one of that name, and always by its
    metric's and its own: ``bertscore.f1``. *metrics*: key or name of the metric → metric.
    """
    every = [(key, column) for key, m in metrics.items() for column in m.columns]
    times = Counter(column.name for _, column in every)
    alone = {column.name: (key, column) for key, column in every if times[column.name] == 1}
    whole = {f"{metric_name(key)}.{column.name}": (key, column) for key, column in every}
    return {ANSWERS: COUNT, **whole, **alone}


def check_column(name: str, metrics: Mapping[str, MetricProtocol]) -> Wanted:
    """Return the column called *name*.

    Raises:
        UnknownName: There is none; the error lists all, each by its shortest name.
    """
    known = named_columns(metrics)
    if name in known:
        return known[name]
    shortest = {wanted: called for called, wanted in known.items()}
    raise UnknownName("column", name, shortest.values())


def table_columns(spec: ReportSpec) -> list[Wanted]:
    """Return the columns of Table 1, in order.

    Raises:
        UnknownName: ``[report] columns`` names one that no metric of the run has.
    """
    if not spec.columns:
        return [wanted for of_metric in columns(spec, main=True) for wanted in of_metric]
    return [check_column(name, spec.metrics) for name in spec.columns]


def other_columns(spec: ReportSpec) -> list[list[Wanted]]:
    """Return the columns that do not stand in Table 1, a list for each metric."""
    shown = set(table_columns(spec))
    rest = [[(k, c) for c in m.columns if (k, c) not in shown] for k, m in spec.metrics.items()]
    return [of_metric for of_metric in rest if of_metric]


def scores_of(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return the columns that are a metric's."""
    return [w for w in wanted if w != COUNT]
