"""A server that an array task starts on its own node, and that does not outlive it.

It listens on a free port of the loopback address, takes a key that nobody else knows, and serves
its model under a name that no other server has: so neither another user of the node nor another
task can be taken for it.
"""

import json
import logging
import os
import secrets
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from empathy_core.backends.server import start_failures as failures
from empathy_core.backends.server.supervised import Supervised
from empathy_core.errors import ConfigError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
GRACE_S = 10.0
"""How long a server that is told to end may take, in seconds."""

STARTS = 4
"""How often a server is started on another port because its own was taken."""

PATIENCE_S = (1, 2, 5, 10, 0)
"""Pauses after each time that a server which runs and is healthy does not name its models."""

TOLD_AFTER_S, TOLD_AGAIN_S = 10, 30
"""After how many seconds of waiting the log says so first, and how often then."""

NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME")
"""Variables of this interpreter that would put its modules into the engine's own."""


@dataclass(frozen=True, slots=True)
class ServerLaunch:
    """How a server is started.

    Attributes:
        name: Of the engine, for messages.
        command: May hold ``{port}`` and ``{served_name}``; all else is filled in.
        environment: Added to the task's own; may hold ``{key}``, ``{port}``, ``{served_name}``.
        log: What the server prints is appended to it.
        health: Path that answers with status 200 once the model is loaded.
        start_timeout_s: How long that may take, in seconds.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    health: str = "/health"
    start_timeout_s: float = 1800.0


class ServerProcess:
    """A server that ends with this process, however that ends.

    Attributes:
        key: Secret that the server asks for; in its environment only.
        served_name: Name of its model in requests.
    """

    def __init__(self, launch: ServerLaunch, grace_s: float = GRACE_S) -> None:
        """Describe a server; ``start`` starts it.

        Raises:
            ConfigError: The key would stand in the arguments, which every user of a node can read.
        """
        if any("{key}" in part for part in launch.command):
            msg = (
                f"engine '{launch.name}': its command holds {{key}}, and all users of a node can "
                "read arguments; expected {key} in 'environment' only; set the variable that the "
                "server reads its key from"
            )
            raise ConfigError(msg)
        self._launch, self._grace_s = launch, grace_s
        self.key = secrets.token_urlsafe(32)
        self.served_name = f"model-{secrets.token_hex(8)}"
        self._port = 0
        self._reservation: socket.socket | None = None
        self._running: Supervised | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    @property
    def url(self) -> str:
        """Address of the server, without a path; another one after a restart."""
        return f"http://{HOST}:{self._port}"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self._launch.log

    def is_alive(self) -> bool:
        """Tell whether the server's first process runs."""
        return self._running is not None and self._running.is_alive()

    def is_healthy(self) -> bool:
        """Tell whether the server says that it can answer."""
        return request(self.url + self._launch.health, timeout_s=5.0)[0] == 200

    def start(self) -> None:
        """Start the server, and return once it answers for its model.

        Side effects: makes the folder of the log; lines of this module's log say how long it waits.

        Raises:
            ConfigError: The command cannot be started.
            EngineError: The server ends, or takes too long, or another answers in its place.
        """
        self.close()
        self._launch.log.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(STARTS):
            try:
                # from the second on not reserved: this server refuses a port that is
                self._start_once(reserved=attempt == 0)
            except failures.PortTaken:
                self.close()
                if attempt == STARTS - 1:
                    raise
                log.info("%s: port %d is taken; trying another", self._launch.name, self._port)
            except BaseException:
                self.close()
                raise
            else:
                return

    def restart(self) -> None:
        """End the server if it still runs, and start it again; ``url`` changes."""
        self.start()

    def close(self) -> None:
        """End the server and all that it started."""
        if self._running is not None:
            self._running.close()
        if self._reservation is not None:
            self._reservation.close()
        self._running = self._reservation = None

    # ------------------------------------------------------------------------ one start

    def _start_once(self, *, reserved: bool) -> None:
        self._reservation = reserve_port()
        self._port = int(self._reservation.getsockname()[1])
        if not reserved:
            self._reservation.close()
        log_start = self._launch.log.stat().st_size if self._launch.log.exists() else 0
        values = {"port": str(self._port), "served_name": self.served_name}
        command = [filled(part, values) for part in self._launch.command]
        secret = {**values, "key": self.key}
        environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        environment |= {k: filled(v, secret) for k, v in self._launch.environment.items()}
        self._running = Supervised(command, environment, self._launch.log, self._grace_s)
        began = time.monotonic()
        self._wait_for_health(self._running, began, log_start)
        self._check_model()
        seconds = time.monotonic() - began
        log.info("%s: ready on port %d after %.0f s", self._launch.name, self._port, seconds)

    def _wait_for_health(self, running: Supervised, began: float, log_start: int) -> None:
        told, pause_s = began + TOLD_AFTER_S, 0.05
        address = self.url + self._launch.health
        while True:
            if running.wait(pause_s):
                raise self._ended(running, time.monotonic() - began, log_start)
            if request(address, timeout_s=2.0)[0] == 200:
                return
            now, pause_s = time.monotonic(), min(2 * pause_s, 0.5)
            if now - began > self._launch.start_timeout_s:
                raise failures.too_slow(self._launch.name, now - began, self._text(log_start))
            if now >= told:
                told = now + TOLD_AGAIN_S
                last = failures.last_line(self._text(log_start).text)
                said = f"; its log says: {last}" if last else ""
                log.info("%s: starting for %.0f s%s", self._launch.name, now - began, said)

    def _ended(self, running: Supervised, seconds: float, log_start: int) -> Exception:
        """Return the error for a server that ended before it answered."""
        if running.refusal is not None:
            return failures.refused(self._launch.name, self._launch.command, running.refusal)
        running.close()  # the log is complete once all its processes are gone
        text = self._text(log_start)
        return failures.ended(self._launch.name, running.code, seconds, text)

    def _text(self, log_start: int) -> failures.LogText:
        """Return what the server has printed in this start, without the key."""
        with self._launch.log.open("rb") as file:
            file.seek(max(log_start, file.seek(0, os.SEEK_END) - failures.READ_BYTES))
            text = file.read().decode("utf-8", "replace")
        return failures.LogText(self._launch.log, text.replace(self.key, "[key]"))

    def _check_model(self) -> None:
        """Refuse a server that does not take the key, or serves another model.

        Raises:
            EngineError: It is not the server that was started, or not started as it should be.
        """
        status, body = self._asked_for_models()
        if status != 200:
            raise failures.not_ours(self._launch.name, self._port, f"answers {status or 'nothing'}")
        names = []
        with suppress(ValueError, LookupError, TypeError):
            names = [str(model["id"]) for model in json.loads(body)["data"]]
        if self.served_name not in names:
            serves = ", ".join(names[:5]) or "no model"
            raise failures.not_ours(self._launch.name, self._port, f"serves {serves}")

    def _asked_for_models(self) -> tuple[int, bytes]:
        """Return status and body; a busy node may be silent for a while though all is well."""
        for pause_s in PATIENCE_S:
            status, body = request(f"{self.url}/v1/models", self.key)
            if status or not self.is_alive():
                break
            time.sleep(pause_s)
        return status, body


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with its placeholders filled in; other braces stay, since JSON has them."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def reserve_port() -> socket.socket:
    """Return a socket that keeps a free loopback port from other programs, without listening.

    A server that sets ``SO_REUSEADDR`` or ``SO_REUSEPORT``, as nearly all do, may listen on it
    all the same. Nobody gets this port by asking for a free one meanwhile: not even a task of the
    same user, whose vLLM would share it (it sets ``SO_REUSEPORT``) and get half of the requests.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.bind((HOST, 0))  # before the options: so the port is nobody else's
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        reservation.setsockopt(socket.SOL_SOCKET, option, 1)
    return reservation


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Clusters set ``http_proxy``: the loopback address of this node is not to be asked there."""


def request(address: str, key: str = "", timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Return status and body of a GET; status 0 if there is no answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        asked = urllib.request.Request(address, headers=headers)  # noqa: S310 - loopback
        with _OPENER.open(asked, timeout=timeout_s) as answer:
            return answer.status, answer.read(1_000_000)
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (OSError, ValueError, HTTPException):  # the last: what answers speaks no HTTP
        return 0, b""
