"""Which columns stand in Table 1 and in its likes: ``[report] columns``, or the main ones. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from empathy_core import metrics
from empathy_core.counted import counted
from empathy_core.errors import ConfigError
from empathy_core.metrics import MetricProtocol
from empathy_core.types import Column
from reports.keys import metric_name
from reports.numbers import crisis
from reports.numbers.significance import Wanted, columns
from reports.spec import ReportSpec

ANSWERS = "n"
"""The column of how many answers a row stands for."""
COUNT: Wanted = ("", Column(ANSWERS, ANSWERS, None, decimals=0))
"""That column; it is no metric's."""


def named_columns(computed: Mapping[str, MetricProtocol]) -> dict[str, Wanted]:
    """Return every name that ``[report] columns`` may hold → the column.

    A column is called by its name where no other metric has one of that name, and always by its
    metric's and its own: ``rouge.rouge1``. *computed*: key or name of the metric → metric.
    """
    every = [(key, column) for key, m in computed.items() for column in m.columns]
    times = Counter(column.name for _, column in every)
    alone = {column.name: (key, column) for key, column in every if times[column.name] == 1}
    whole = {f"{metric_name(key)}.{column.name}": (key, column) for key, column in every}
    return {ANSWERS: COUNT, **whole, **alone}


def wrong_columns(names: Sequence[str], computed: Mapping[str, MetricProtocol]) -> list[str]:
    """Return what is wrong with the names of columns, one line each.

    A name is of no column, of a column whose metric this run does not compute, or one that stands
    there already.
    """
    known = named_columns(computed)
    problems = unknown_columns([name for name in names if name not in known], known, computed)
    taken: dict[Wanted, str] = {}
    for name in names:
        if (wanted := known.get(name)) is None:
            continue
        before = taken.setdefault(wanted, name)
        if names.index(name) != names.index(before):
            problems.append(f"column '{name}' is '{before}', which stands there; name it once")
    twice = [name for name, n in Counter(names).items() if n > 1 and name in known]
    return problems + [f"column '{name}' is named more than once; name it once" for name in twice]


def unknown_columns(
    names: Sequence[str], known: Mapping[str, object], computed: Mapping[str, MetricProtocol]
) -> list[str]:
    """Return what is wrong with names of columns, a line each, with the nearest that there is.

    Args:
        names: They are not among *known*.
        known: Every name that may be used → the column; the last line lists them.
        computed: The metrics of the run, by key or name.
    """
    if not names:
        return []  # every metric that ships would be loaded
    others = _not_computed({metric_name(key) for key in computed})
    told = [_unknown_column(name, list(known), others) for name in names]
    shortest = sorted({wanted: name for name, wanted in known.items()}.values())
    return [*told[:-1], f"{told[-1]} Known: {', '.join(shortest)}."]


def _unknown_column(name: str, known: Sequence[str], others: Mapping[str, str]) -> str:
    """Return what is wrong with one name; *others*: name of a column → metric that is not there."""
    every = [*known, *others]
    ends = [n for n in every if n.endswith((f"_{name}", f".{name}"))]
    close = [*get_close_matches(name, every, n=1, cutoff=0.5), *sorted(ends, key=len)]
    add = "this run does not compute it: add [metrics.{}] to the configuration and sweep again."
    if name in others:
        return f"column '{name}' is known, but {add.format(others[name])}"
    guess = f" Did you mean '{close[0]}'?" if close else ""
    if close and close[0] in others:
        guess += f" But {add.format(others[close[0]])}"
    return f"unknown column '{name}'.{guess}"


def _not_computed(computed: Collection[str]) -> dict[str, str]:
    """Return every name of a column of a metric that ships and is not *computed* → the metric."""
    found: dict[str, str] = {}
    for metric in metrics.names():
        try:
            columns_of = () if metric in computed else metrics.load(metric, {}).columns
        except ConfigError:  # what columns it has, its settings say
            continue
        found |= {f"{metric}.{column.name}": metric for column in columns_of}
        found |= {column.name: metric for column in columns_of if column.name not in found}
    return found


def table_columns(spec: ReportSpec) -> list[Wanted]:
    """Return the columns of Table 1, in order.

    Raises:
        ConfigError: ``[report] columns`` names some that no metric of the run has, or one twice.
    """
    if not spec.columns:
        return [wanted for of_metric in columns(spec, main=True) for wanted in of_metric]
    if problems := wrong_columns(spec.columns, spec.metrics):
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"report.columns has {counted(len(problems), 'problem')}:{listed}")
    known = named_columns(spec.metrics)
    return [known[name] for name in spec.columns]


def other_columns(spec: ReportSpec) -> list[list[Wanted]]:
    """Return the columns that do not stand in Table 1, a list for each metric.

    Those of crisis safety stand in tables of their own.
    """
    shown, apart = set(table_columns(spec)), crisis.metrics_of(spec)
    rest = [
        [(k, c) for c in m.columns if (k, c) not in shown]
        for k, m in spec.metrics.items()
        if k not in apart
    ]
    return [of_metric for of_metric in rest if of_metric]


def scores_of(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Return the columns that are a metric's."""
    return [w for w in wanted if w != COUNT]
