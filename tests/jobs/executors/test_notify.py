"""What a run tells at its end: to an address, to a command, and when nobody listens."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.executors import notify

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
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match=r"longer than 0\.5 s"):
        notify.send(f"(sleep 3; touch {tmp_path}/late) & wait", WHAT)
    took_s = time.monotonic() - begun
    time.sleep(3)

    assert took_s < 3
    assert not (tmp_path / "late").exists()


def test_that_nobody_hears_it_is_a_line_in_the_log_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Whatever the command says about itself."""
    plan = SimpleNamespace(config={"slurm": {"notify": "echo no such list; exit 4"}})
    monkeypatch.setattr(notify, "message", lambda *_: WHAT)
    with caplog.at_level(logging.WARNING):
        notify.notify(None, plan, 0)  # type: ignore[arg-type]

    assert "nobody was told: the command ended with 4: no such list" in caplog.text
