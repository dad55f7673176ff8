"""A stand-in server in a process of its own, for the time of a test."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from empathy_core.types import EngineSpec, ModelSpec
from tests import preloaded
from tests.patience import until
from tests.runs.command_line import environment

KEY = "key-of-the-stand-in"
NAME = "tiny"


@dataclass(frozen=True)
class RunningServer:
    """Where a stand-in answers.

    Attributes:
        url: Without ``/v1``.
        process: Its process.
    """

    url: str
    process: subprocess.Popen[str]

    @property
    def base_url(self) -> str:
        """What OpenAI-compatible clients are given."""
        return f"{self.url}/v1"

    def set_faults(self, **faults: Any) -> dict[str, Any]:
        """Set faults and settings of ``stand_in``; return all, with how often each happened."""
        body = json.dumps(faults).encode()
        with urlopen(Request(f"{self.url}/_faults", data=body), timeout=300) as answer:
            return json.load(answer)

    def seen(self) -> dict[str, Any]:
        """Return what was asked since it started; see ``stand_in.Seen``."""
        with urlopen(f"{self.url}/_seen", timeout=300) as answer:
            return json.load(answer)

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """Return the answer at *path* of the API to a request with the key; a GET without body."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        data = json.dumps({"model": NAME, **body}).encode() if body else None
        with urlopen(Request(self.base_url + path, data, headers), timeout=300) as answer:
            return json.load(answer)


def command(model: Path, *arguments: str, port: int = 0, python: str = "") -> list[str]:
    """Return the command that starts a stand-in; without a port it chooses one, and says which."""
    module = [python or preloaded.python(), "-m", "tests.engines.stand_in"]
    return [*module, "--model", str(model), "--port", str(port), "--served-name", NAME, *arguments]


@contextmanager
def running(
    model: Path, *arguments: str, key: str = KEY, python: str = ""
) -> Iterator[RunningServer]:
    """Start a stand-in for the folder *model*, wait until it answers, and end it at last.

    Args:
        model: Folder of a decoder.
        arguments: More of ``stand_in``'s.
        key: The key that it wants; empty for none.
        python: The interpreter; empty for a fork of one that has imported the libraries, whose
            children are not those of ``process``.
    """
    env = environment({"STAND_IN_API_KEY": key})
    asked = command(model, *arguments, python=python)
    started = subprocess.Popen(asked, env=env, stdout=-1, text=True)
    try:
        assert started.stdout is not None
        said = started.stdout.readline()
        assert said, f"the stand-in ended with {started.wait()}"
        server = RunningServer(said.split()[-1], started)
        wait_until_healthy(server.url)
        yield server
    finally:
        started.kill()
        started.wait()


def wait_until_healthy(url: str) -> None:
    """Return when ``/health`` says 200."""

    def healthy() -> bool:
        with suppress(OSError), urlopen(f"{url}/health", timeout=60):
            return True
        return False

    assert until(healthy, nap_s=0.02), f"{url} never answered"


def alive(pid: int) -> bool:
    """Tell whether there is such a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, itself left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(folder.name))
    return sorted(found)


def judged_by(spec: ModelSpec, server: RunningServer, **changes: object) -> ModelSpec:
    """Return a judge that is asked on a stand-in."""
    engine = EngineSpec(
        name="stand_in", base_url=server.base_url, key_variable="STAND_IN_KEY",
        returns_tokens=True, max_retries=1, max_in_flight=4,
    )  # fmt: skip
    return replace(spec, engine=replace(engine, **changes), served_name=NAME)
