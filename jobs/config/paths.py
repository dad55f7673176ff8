"""Paths of a configuration, made absolute where they were written: beside the file, on the line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empathy_core.metrics import PLUGIN

_PATHS: tuple[tuple[str, str | None, str], ...] = (
    ("data", "sources", "path"),
    ("answers", None, "path"),
    ("pairs", None, "path"),
    ("models", None, "weights"),
    ("models", None, "adapter"),
    ("models", None, "tokenizer"),
    ("metrics", None, "path"),
    ("metrics", None, "model"),
)
"""Where paths stand: table, table within it, key."""


def anchor(table: dict[str, Any], folder: Path) -> None:
    """Make relative paths absolute, in place.

    A weights reference counts as a path only if it begins with a dot, since ``a/b`` is a Hub id.

    Args:
        table: A configuration, or a part of one.
        folder: What its paths are relative to.
    """
    for head, middle, key in _PATHS:
        for entry in tables_below(table, head, middle):
            value = entry.get(key)
            if isinstance(value, str) and (key == "path" or value.startswith((".", "~"))):
                entry[key] = _absolute(value, folder)
    for head, key in (("data", "test_ids"), ("evaluate", "ids")):
        rows = table.get(head)
        if isinstance(rows, dict) and isinstance(rows.get(key), str):
            rows[key] = _absolute(rows[key], folder)
    _anchor_files(table, folder)
    _anchor_programs(table, folder)
    _anchor_names(table, folder)


def _anchor_files(table: dict[str, Any], folder: Path) -> None:
    """Make names absolute that are paths if they end in ``.toml``: profiles, prompts."""
    for entry in tables_below({"": table}, "", None):  # [slurm] is no table of named tables
        if str(entry.get("profile", "")).endswith(".toml"):
            entry["profile"] = _absolute(str(entry["profile"]), folder)
    for head, key, ending in (
        ("finetune", "prompt", ".toml"), ("refine", "parent", ".toml"),
        ("refine", "candidates_file", ""),
    ):  # fmt: skip
        for entry in tables_below(table, head, None):
            if isinstance(entry.get(key), str) and entry[key].endswith(ending):
                entry[key] = _absolute(entry[key], folder)


def _anchor_programs(table: dict[str, Any], folder: Path) -> None:
    """Make what engines are made of absolute; an interpreter may be a link, and stays one."""
    for entry in tables_below(table, "engines", None):
        for key in ("python", "image", "weights_file", "key_file"):
            if isinstance(entry.get(key), str) and set(entry[key]) & {"/", "~"}:
                whole = folder / Path(entry[key]).expanduser()
                entry[key] = os.path.abspath(whole)  # noqa: PTH100  resolve() follows links


def _anchor_names(table: dict[str, Any], folder: Path) -> None:
    """Make the paths absolute that are in lists and in keys: prompts, rubrics, plug-in metrics."""
    people = {"": {"annotate": table.get("annotate")}}  # one table, not a table of named ones
    for of, head, key in (
        (table, "models", "prompts"), (table, "judges", "rubrics"), (people, "", "rubrics"),
        (table, "refine", "candidates"),
    ):  # fmt: skip
        for entry in tables_below(of, head, None):
            if isinstance(entry.get(key), list):
                entry[key] = [
                    _absolute(name, folder) if str(name).endswith(".toml") else name
                    for name in entry[key]
                ]
    chosen = table.get("metrics")
    for name in list(chosen) if isinstance(chosen, dict) else ():
        if name.startswith(PLUGIN + "."):
            path = _absolute(name.removeprefix(PLUGIN), folder)
            table["metrics"][PLUGIN + path] = table["metrics"].pop(name)


def tables_below(table: Mapping[str, Any], head: str, middle: str | None) -> list[dict[str, Any]]:
    """Return the named tables below *head* (and *middle*), whatever else is there."""
    group = table.get(head)
    group = group.get(middle) if middle and isinstance(group, dict) else group
    values = group.values() if isinstance(group, dict) else ()
    return [entry for entry in values if isinstance(entry, dict)]


def _absolute(path: str, folder: Path) -> str:
    return str((folder / Path(path).expanduser()).resolve())
