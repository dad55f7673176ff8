"""``prefetch``: everything that a sweep needs from the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jobs.commands.options import ProfileOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from empathy_core.types import ModelSpec
    from jobs.config.schema import Config


@dataclass(frozen=True, kw_only=True)
class PrefetchOptions(ProfileOptions):
    """Fetch everything a configuration needs, on a node with internet.

    Afterwards everything runs with HF_HUB_OFFLINE=1. Where a profile or [slurm] names a cache, it
    is filled: array tasks look nowhere else. Gated models need HF_TOKEN, or the Hub's own
    login (hf auth login); never write a token into a configuration.
    """


def prefetch(options: PrefetchOptions) -> int:
    """Fetch data, weights and encoders.

    Raises:
        ConfigError: The configuration is wrong.
        EmpathyError: Something of it cannot be fetched.
    """
    from jobs.commands.console import print_out, use_cache_of_nodes
    from jobs.config import read as configuration

    config = configuration.read(options.config, options.changes)
    if config.slurm.cache:
        print_out(f"into {config.slurm.cache} (slurm.cache), where array tasks look")
        use_cache_of_nodes(config.slurm.cache, filling=True)
    for name, fetch in _fetches(config):
        print_out(f"{name}: {fetch()}")
    print_out("all there: set HF_HUB_OFFLINE=1 to run without the network")
    return 0


def _fetched(spec: "ModelSpec") -> object:
    """Fetch what judges; a server elsewhere has its own weights."""
    from empathy_core import weights

    return weights.locate(spec.weights, spec.revision) if spec.weights else "on its server"


def _fetches(config: "Config") -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is fetched, and what fetches it and returns what to print."""
    from empathy_core import data, metrics, weights
    from empathy_core.counted import counted
    from jobs.config.judges import judge_model

    def rows() -> str:
        prepared = data.prepare(config.data_spec(), config.evaluate_spec())
        return counted(prepared.examples.height, "row")

    yield "data", rows
    for name in config.models:
        spec = config.model_spec(name)
        if spec.weights:
            yield f"model {name}", partial(weights.locate, spec.weights, spec.revision)
        if spec.weights and spec.tokenizer:
            yield f"tokenizer of {name}", partial(weights.tokenizer_folder, spec)
        if spec.adapter:
            where = partial(weights.locate, spec.adapter, spec.adapter_revision)
            yield f"adapter of {name}", where
    for name, judge in config.judges.items():
        spec = judge_model(config, judge)
        yield f"judge {name}", partial(_fetched, spec)
    for name, table in config.metrics.items():
        yield f"metric {name}", metrics.load(name, table).signature
