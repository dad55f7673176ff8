"""What may choose among samples: a column of a judge, or of another metric that rates a reply."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from empathy_core import metrics
from empathy_core.errors import ConfigError, EmpathyError
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._jury import juries
from empathy_core.types import Column
from jobs.config.judges import metric_options
from jobs.config.schema import Config
from reports.tables.columns import ANSWERS, named_columns, unknown_columns


def chooser(name: str, computed: Mapping[str, MetricProtocol]) -> tuple[str, Column]:
    """Return the metric key and the column that ``chosen_by`` names.

    Args:
        name: As configured.
        computed: Key or name → metric of everything that the run scores, juries as well.

    Raises:
        ConfigError: There is no such column, or nothing can be chosen by it.
    """
    known = {n: wanted for n, wanted in named_columns(computed).items() if n != ANSWERS}
    if name not in known:
        raise ConfigError(unknown_columns([name], known, computed)[0])
    key, column = known[name]
    if getattr(computed[key], "opponent", None) is not None:
        msg = (
            f"'{name}' compares two replies, and a choice needs a score of each; expected a column "
            "that rates one reply; name another"
        )
        raise ConfigError(msg)
    if metrics.is_of_corpus(computed[key].signature()):
        msg = (
            f"'{name}' compares the answers of a condition with each other, and a choice needs a "
            "score of each alone; expected a column that rates one reply; name another"
        )
        raise ConfigError(msg)
    if column.better is None:
        msg = (
            f"'{name}' has no better end, so that no answer is the best by it; expected a column "
            "in which higher or lower is better; name another"
        )
        raise ConfigError(msg)
    return key, column


def problems(config: Config) -> Iterator[str]:
    """Yield what is wrong with what chooses; what is with a metric or a judge is told there."""
    if not any(table.chooses for table in config.decoding.values()):
        return
    with suppress(EmpathyError):
        found = {m: metrics.load(m, of) for m, of in metric_options(config).items()}
        computed = {**found, **juries(found)}
        for name, table in config.decoding.items():
            if table.chosen_by is not None and table.chooses:
                yield from _problem(f"decoding.{name}.chosen_by", table.chosen_by, computed)


def _problem(path: str, name: str, computed: Mapping[str, MetricProtocol]) -> Iterator[str]:
    try:
        chooser(name, computed)
    except ConfigError as error:
        yield f"{path}: {error}"


def require_source(config: Config, name: str, decodings: Sequence[str]) -> None:
    """Refuse a decoding that chooses where the samples that it chooses among are not there.

    Args:
        config: The configuration.
        name: Of the decoding.
        decodings: All of the model's.

    Raises:
        ConfigError: Its source is not among them.
    """
    table = config.decoding.get(name)
    if table is not None and table.chooses and table.of not in decodings:
        msg = (
            f"decoding '{name}' chooses among the samples of '{table.of}', which is not among the "
            "decodings; expected both, since one sample is what the choice is compared with; add "
            f"'{table.of}'"
        )
        raise ConfigError(msg)
