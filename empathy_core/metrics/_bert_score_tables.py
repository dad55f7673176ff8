"""The tables inside the ``bert_score`` package, read without importing it (and torch)."""

import ast
import csv
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from empathy_core.errors import ConfigError

Baseline = tuple[float, float, float]
"""Precision, recall and F1 of unrelated sentences."""


def tuned_layer(model: str) -> int:
    """Return the layer that ``bert_score`` takes for a model it knows.

    Raises:
        ConfigError: It knows none.
    """
    table = _layers()
    for name in (model, Path(model).name):  # google-bert/bert-base-uncased has an owner now
        if name in table:
            return table[name]
    msg = (
        f"bert_score has no tuned layer for '{model}'; expected 'layer' with it, a number from 1 "
        "to its layers; add it to [metrics.bertscore] (the last layer is a fair start)"
    )
    raise ConfigError(msg)


def baseline(model: str, layer: int) -> Baseline:
    """Return the English baseline that ``bert_score`` has for a layer of a model.

    Raises:
        ConfigError: It has none.
    """
    for name in (model, Path(model).name):
        path = _package() / "rescale_baseline" / "en" / f"{name}.tsv"
        if not model.startswith(("/", ".", "~", "pypi:")) and path.is_file():
            with path.open(newline="") as file:
                rows = {int(row["LAYER"]): row for row in csv.DictReader(file)}
            if layer in rows:
                return tuple(float(rows[layer][part]) for part in "PRF")  # type: ignore[return-value]
    msg = (
        f"bert_score has no baseline for layer {layer} of '{model}'; expected a model of its "
        "folder rescale_baseline/en (e.g. google-bert/bert-base-uncased); choose one, or set "
        "rescale = false in [metrics.bertscore]"
    )
    raise ConfigError(msg)


def _package() -> Path:
    spec = find_spec("bert_score")
    if spec is None or not spec.submodule_search_locations:
        msg = "the package bert-score is not installed; expected it here; run: make install"
        raise ConfigError(msg)
    return Path(spec.submodule_search_locations[0])


@lru_cache(maxsize=1)
def _layers() -> dict[str, int]:
    """Return ``bert_score.utils.model2layers``; importing it takes three seconds."""
    for node in ast.parse((_package() / "utils.py").read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(t, ast.Name) and t.id == "model2layers" for t in targets):
            table: dict[str, int] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            return table
    return {}
