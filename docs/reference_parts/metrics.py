"""Every metric: its settings, its columns, and its statistics."""

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from empathy_core import metrics, types
from reference_parts.keys import keys, summary
from reference_parts.markdown import key_table, table

EXAMPLES: dict[str, dict[str, Any]] = {
    "meteor": {"tokenizer": "13a", "synonyms": False},  # without NLTK's data
    "classifier": {"path": "labelled.csv", "labels": ("label",)},
}
"""Settings of metrics that have none by default, so that their columns can be shown."""


def metric_settings() -> str:
    """Return every metric with its columns and settings."""
    parts = []
    for name in metrics.names():
        cls = import_module(f"empathy_core.metrics.{name}").Metric
        shown = "evaluate:<path>" if name == "evaluate_metric" else name
        heading = f'### `[metrics."{shown}"]`' if ":" in shown else f"### `[metrics.{shown}]`"
        words = re.sub(r"``", "`", summary(cls))
        settings = keys(cls)
        below = key_table(settings) if settings else "It has no keys."
        parts.append("\n\n".join((heading, words, *_columns(cls, name), below)))
    return "\n\n".join(parts)


def _columns(cls: type, name: str) -> Iterator[str]:
    if name == "evaluate_metric":
        yield "Its columns are the entries of `keys`."
        return
    if name == "classifier":
        yield "The columns depend on the settings; here `labels` is one column called `label`."
    marks = {"higher": "higher is better", "lower": "lower is better", None: "no direction"}
    rows = [
        (
            f"`{c.name}`", c.label, "0 to 100 %" if c.percent else _scale(c), marks[c.better],
            "yes" if c.main else "no",
        )
        for c in cls(**EXAMPLES.get(name, {})).columns
    ]  # fmt: skip
    yield table(("column", "heading", "scale", "direction", "in Table 1 by default"), rows)


def _scale(column: types.Column) -> str:
    least, most = (("" if v is None else f"{v:g}") for v in (column.least, column.most))
    if least and most:
        return f"{least} to {most}"
    return f"from {least}" if least else "—"


def statistics() -> str:
    """Return the statistics of each metric, as its result files have them."""
    rows = []
    for name in metrics.names():
        if name != "evaluate_metric":
            cls = import_module(f"empathy_core.metrics.{name}").Metric
            metric = cls(**EXAMPLES.get(name, {}))
            rows.append((f"`{name}`", ", ".join(f"`{s}`" for s in metric.statistics)))
    return table(("metric", "statistics of a row"), rows)
