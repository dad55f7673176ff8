"""What a run tells at its end: to an address, to a command, and when nobody listens."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.executors import notify
from tests.patience import until

WHAT = {"run": "paper", "state": "partial", "text": "paper: partial"}


@pytest.fixture
def address() -> Iterator[tuple[str, list[object]]]:
    """A server on this machine, and what was posted to it; /no answers with 500."""
    posted: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(500 if self.path == "/no" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    server.server_close()


def test_an_address_gets_json(address: tuple[str, list[object]]):
    """Posted once, as it is."""
    url, posted = address
    notify.send(url, WHAT)

    assert posted == [("application/json", WHAT)]


def test_an_address_that_refuses_is_an_error(address: tuple[str, list[object]]):
    """HTTP's own."""
    with pytest.raises(OSError, match="500"):
        notify.send(f"{address[0]}/no", WHAT)


def test_a_command_reads_json_on_its_standard_input(tmp_path: Path):
    """In a shell."""
    notify.send(f"cat | tee '{tmp_path}/a b' >/dev/null", WHAT)

    assert json.loads((tmp_path / "a b").read_text()) == WHAT


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So that the report job ends."""
    monkeypatch.setattr(notify, "COMMAND_S", 0.5)
    with pytest.raises(RuntimeError, match=r"longer than 0\.5 s"):
        notify.send(f"sh -c 'sleep 600; : {tmp_path}' & wait", WHAT)

    assert until(lambda: not commands_about(tmp_path))


def commands_about(path: Path) -> list[bytes]:
    """Return the arguments of the processes that name *path*."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes())
    return [words for words in found if str(path).encode() in words]


def test_that_nobody_hears_it_is_a_line_in_the_log_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Whatever the command says about itself."""
    plan = SimpleNamespace(config={"slurm": {"notify": "echo no such list; exit 4"}})
    monkeypatch.setattr(notify, "message", lambda *_: WHAT)
    with caplog.at_level(logging.WARNING):
        notify.notify(None, plan, 0)  # type: ignore[arg-type]

    assert "nobody was told: the command ended with 4: no such list" in caplog.text
