"""The text of a configuration, before it is checked: TOML files, plans of runs, and ``--set``.

Imports nothing that takes long: of a command about a run that is there, only the name is wanted.
"""

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from empathy_core.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"


def raw(path: Path) -> dict[str, Any]:
    """Return what a TOML file says, or the configuration that a plan (JSON) was made of.

    Raises:
        ConfigError: It is neither.
    """
    return _of_plan(path) if path.suffix == ".json" else _of_toml(path)


def name_of(path_or_name: str) -> str | None:
    """Return the name of the run that a configuration is about; null where it says none.

    Raises:
        ConfigError: There is no such file, or it is not TOML.
    """
    name = raw(find(path_or_name)).get("name")
    return name if isinstance(name, str) else None


def _of_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        line = 1 + path.read_bytes()[: error.start].count(b"\n")
        msg = f"{path} is not UTF-8 (line {line}): expected TOML; save it as UTF-8 and run again"
        raise ConfigError(msg) from error
    except (tomllib.TOMLDecodeError, OSError) as error:
        msg = f"{path} is not valid TOML: {error}; correct that line and run again"
        raise ConfigError(msg) from error


def _of_plan(path: Path) -> dict[str, Any]:
    """Return the configuration that a plan was made of, e.g. ``runs/demo/plans/0001.json``."""
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8"))["config"])
        config.get("report", {}).pop("examples", None)  # was a setting once
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        msg = f"{path} is no plan of a run: expected JSON with a key 'config' ({error})"
        raise ConfigError(msg) from error
    return config


def find(path_or_name: str) -> Path:
    """Return the file of a configuration: one that is there, or one that ships.

    Raises:
        ConfigError: There is none; the message lists those that ship.
    """
    path = Path(path_or_name)
    if path.suffix == ".toml" or path.is_file():
        if path.is_file():
            return path
        msg = f"no configuration file {path}; give a path to a TOML file, or one of: {_shipped()}"
        raise ConfigError(msg)
    known = {p.stem: p for p in CONFIGS.glob("*.toml")}
    if path_or_name not in known:
        beside = path.with_name(f"{path.name}.toml") if path.name else path
        close = get_close_matches(path_or_name, known, n=1)
        close = [str(beside)] if beside.is_file() else close
        guess = f" Did you mean '{close[0]}'?" if close else ""
        msg = f"unknown configuration '{path_or_name}'.{guess} Known: {_shipped()}, or a TOML file"
        raise ConfigError(msg)
    return known[path_or_name]


def _shipped() -> str:
    return ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))


def override(text: str) -> dict[str, Any]:
    """Return what ``a.b=value`` says, as a table.

    Raises:
        ConfigError: It is not of this form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        msg = f"--set {text}: expected a.b=value, for example --set evaluate.limit=8"
        raise ConfigError(msg)
    for candidate in (value, json.dumps(value)):  # a bare word is a string
        try:
            return tomllib.loads(f"{key} = {candidate}")
        except tomllib.TOMLDecodeError:
            continue
    msg = f"--set {text}: '{key}' is not a dotted key; expected a.b=value"
    raise ConfigError(msg)


def merge(base: dict[str, Any], change: Mapping[str, Any], *, emptying: bool = False) -> None:
    """Put *change* over *base*: tables are merged, everything else is replaced.

    An empty table says nothing in a file, and if *emptying*, as on the command line, that nothing
    is to be there.
    """
    for key, value in change.items():
        is_told = bool(value) or not emptying
        if isinstance(value, dict) and isinstance(base.get(key), dict) and is_told:
            merge(base[key], value, emptying=emptying)
        else:
            base[key] = value
