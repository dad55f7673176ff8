"""A server with a family like that of a real engine: children and grandchildren, some detached.

``python family.py PORT NAME [fault …]``; asks for the key in ``FAMILY_KEY``, if there is
one. ``stubborn``: all ignore SIGTERM. Other faults end it, or have it do something else, at once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

FAMILY = __file__
SLEEPER = "import signal, sys, time\nif 'stubborn' in sys.argv: signal.signal(15, signal.SIG_IGN)\n"
DIES = {
    "cuda": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 15.02 GiB. GPU 0 has",
    "malloc": "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried",
    "cache": "ValueError: To serve at least one request with the models's max seq len (131072), "
    "(16.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.2 GiB)).",
    "crash": "ValueError: unknown architecture 'Nothing'\nRuntimeError: Engine core initialization "
    "failed. See root cause above. Failed core proc(s): {}",
}


def sleepers(faults: list[str]) -> None:
    """Start a child in this session, one in its own, and an orphan in a session of its own."""
    body = SLEEPER + "time.sleep(600)"
    subprocess.Popen([sys.executable, "-ISc", body, *faults])
    subprocess.Popen([sys.executable, "-ISc", body, *faults], start_new_session=True)
    # the parent of the last ends at once, as a daemon's does
    last = f"[sys.executable, '-ISc', {body!r}, *sys.argv[1:]]"
    parent = f"import subprocess, sys\nsubprocess.Popen({last}, start_new_session=True)"
    subprocess.run([sys.executable, "-ISc", parent, *faults], check=True)


class Handler(BaseHTTPRequestHandler):
    """Answers for health and models."""

    def do_GET(self) -> None:
        """Answer."""
        key = os.environ.get("FAMILY_KEY", "")
        if self.path == "/health":
            self.reply(200, {})
        elif key and self.headers.get("Authorization") != f"Bearer {key}":
            self.reply(401, {"error": "Unauthorized"})
        else:
            self.reply(200, {"object": "list", "data": [{"id": sys.argv[2]}]})

    def reply(self, status: int, body: dict[str, object]) -> None:
        """Send a JSON object."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class ReusingServer(HTTPServer):
    """As nearly every server, sets SO_REUSEADDR."""

    allow_reuse_address = True


class StrictServer(HTTPServer):
    """Sets no option: takes only a port that nobody holds."""

    allow_reuse_address = False


def main() -> None:
    """Serve until told to end."""
    port, faults = int(sys.argv[1]), sys.argv[3:]
    print("starting", flush=True)
    if "stubborn" in faults:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for fault in faults:
        if fault in DIES:
            print(f"(EngineCore pid=7) ERROR 11-29 12:00:00 [core.py:9] {DIES[fault]}", flush=True)
            sys.exit(1)
    if "tells-key" in faults:
        sys.exit(f"ValueError: my key is {os.environ['FAMILY_KEY']}")
    if "killed" in faults:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hangs" in faults:
        print("loading shard 3 of 4", flush=True)
    sleepers([fault for fault in faults if fault == "stubborn"])
    if "hangs" in faults:
        time.sleep(600)
    kind = StrictServer if "strict" in faults else ReusingServer
    kind(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
