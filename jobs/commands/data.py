"""``data`` and ``prefetch``: rows and weights, before a sweep."""

import json
from argparse import Namespace
from typing import Any

from jobs.commands.console import say
from jobs.config import read as configuration
from jobs.config.tables import Config


def data(options: Namespace) -> int:
    """Print the data audit, or write the evaluated examples to be answered elsewhere."""
    from empathy_core import data as core
    from empathy_core.data import audit_text

    config = configuration.read(options.config, options.overrides)
    prepared = core.prepare(config.data_spec(), config.evaluate_spec())
    if options.export:
        n = core.export(prepared.examples, options.export)
        said = f'{n} examples: add a column "text" and name the file under [answers.<name>] path'
        say(json.dumps({"exported": str(options.export), "examples": n}) if options.json else said)
        return 0
    say(json.dumps(prepared.audit, indent=1) if options.json else audit_text(prepared.audit))
    return 0


def prefetch(options: Namespace) -> int:
    """Fetch data, weights and encoders."""
    config = configuration.read(options.config, options.overrides)
    for name, fetch in _fetches(config):
        say(f"{name}: {fetch()}")
    say("all there: set HF_HUB_OFFLINE=1 to run without the network")
    return 0


def _fetches(config: Config) -> list[tuple[str, Any]]:
    from empathy_core import data as core
    from empathy_core import metrics, weights

    found: list[tuple[str, Any]] = [
        (
            "data",
            lambda: (
                f"{core.prepare(config.data_spec(), config.evaluate_spec()).examples.height} rows"
            ),
        )
    ]
    for name in config.models:
        spec = config.model_spec(name)
        if spec.weights:
            found.append((f"model {name}", lambda s=spec: weights.locate(s.weights, s.revision)))
        if spec.weights and spec.tokenizer:
            found.append((f"tokenizer of {name}", lambda s=spec: weights.tokenizer_folder(s)))
        if spec.adapter:
            found.append(
                (f"adapter of {name}", lambda s=spec: weights.locate(s.adapter, s.adapter_revision))
            )
    for name, table in config.metrics.items():
        metric = metrics.load(name, table)
        found.append((f"metric {name}", metric.signature))
    return found
