"""The key of a server elsewhere: read when it is used, and kept nowhere."""

import os
import stat
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.types import EngineSpec

NO_KEY = "none"
"""What is sent to a server that asks for no key; the client wants one."""


def read_key(engine: EngineSpec) -> str:
    """Return the key of an engine elsewhere; ``NO_KEY`` where none is named.

    Raises:
        ConfigError: It is missing or empty, or other people could read its file.
    """
    if engine.key_file:
        return _of_file(engine, Path(engine.key_file))
    if not engine.key_variable:
        return NO_KEY
    key = os.environ.get(engine.key_variable, "").strip()
    if not key:
        msg = (
            f"engine '{engine.name}': the environment variable {engine.key_variable} is not set "
            "here; expected the server's key in it; set it, or, where tasks run on other nodes, "
            "name a file of mode 0600 as key_file"
        )
        raise ConfigError(msg)
    return key


def _of_file(engine: EngineSpec, path: Path) -> str:
    try:
        mode, key = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = (
            f"engine '{engine.name}': its key cannot be read from {path} "
            f"({type(error).__name__}); expected a text file with the key alone; write it there"
        )
        raise ConfigError(msg) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = (
            f"engine '{engine.name}': {path} has mode {stat.S_IMODE(mode):04o}, so that others "
            f"may read the key; expected 0600; run: chmod 600 {path}"
        )
        raise ConfigError(msg)
    if not key or len(key.split()) != 1:
        msg = (
            f"engine '{engine.name}': {path} holds {'no key' if not key else 'several words'}; "
            "expected the key alone; correct it"
        )
        raise ConfigError(msg)
    return key
