"""A model hub on loopback: the few answers that huggingface_hub and datasets ask a real one for.

Repositories are folders, ``<root>/datasets/<owner>/<name>`` and ``<root>/models/<owner>/<name>``;
each has one commit, the digest of its files. A repository named in ``gated`` wants ``TOKEN``.
"""

import hashlib
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "stand-in-token"  # opens nothing but this stand-in


class HubStandIn:
    """Serve the repositories under *root* until the ``with`` block ends.

    Attributes:
        requests: ``METHOD path`` of everything that was asked, in order.
    """

    def __init__(self, root: Path, gated: Iterable[str] = ()) -> None:
        self.root, self.gated = root, frozenset(gated)
        self.requests: list[str] = []
        hub = self

        class Handler(_Handler):
            stand_in = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubStandIn":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def folder(self, kind: str, repo: str) -> Path:
        """Return the folder of a repository, whether or not it is there."""
        return self.root / kind / repo

    def files(self, kind: str, repo: str) -> dict[str, Path]:
        """Return path in the repository → file."""
        folder = self.folder(kind, repo)
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path for path in found}

    def commit(self, kind: str, repo: str) -> str:
        """Return the one commit of a repository: 40 hex digits."""
        sha = hashlib.sha1()  # the length of git's
        for name, path in self.files(kind, repo).items():
            sha.update(name.encode() + b"\0" + path.read_bytes())
        return sha.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    stand_in: HubStandIn
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Stay silent."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.stand_in.requests.append(f"{self.command} /{path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = path.split("/")
        api = parts[0] == "api"
        if api:
            parts = parts[1:]
        kind = parts.pop(0) if parts[0] in ("datasets", "models") else "models"
        repo, rest = "/".join(parts[:2]), parts[2:]
        if not self.stand_in.folder(kind, repo).is_dir():
            return self._refuse(404, "RepoNotFound")
        if not api and repo in self.stand_in.gated and not self._has_token():
            return self._refuse(401, "GatedRepo")
        if len(rest) > 1 and rest[1] not in ("main", self.stand_in.commit(kind, repo)):
            return self._refuse(404, "RevisionNotFound")
        if api:
            return self._describe(kind, repo, rest, body)
        return self._file(kind, repo, "/".join(rest[2:]))

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _describe(self, kind: str, repo: str, rest: list[str], body: bytes) -> None:
        """Answer /api/<kind>/<repo> and its /revision, /tree and /paths-info."""
        files = self.stand_in.files(kind, repo)
        entries = [self._entry(name, path) for name, path in files.items()]
        if rest[:1] == ["tree"]:
            folder = "/".join(rest[2:])
            inside = [e for e in entries if e["path"].startswith(f"{folder}/" if folder else "")]
            return self._json(inside) if inside else self._refuse(404, "EntryNotFound")
        if rest[:1] == ["paths-info"]:
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
            return self._json([e for e in entries if e["path"] in wanted])
        return self._json({
            "id": repo, "sha": self.stand_in.commit(kind, repo), "private": False,
            "gated": "auto" if repo in self.stand_in.gated else False, "tags": [], "downloads": 0,
            "likes": 0, "siblings": [{"rfilename": name} for name in files],
        })  # fmt: skip

    @staticmethod
    def _entry(name: str, path: Path) -> dict[str, Any]:
        oid = hashlib.sha1(path.read_bytes()).hexdigest()  # the length of git's
        return {"type": "file", "oid": oid, "size": path.stat().st_size, "path": name}

    def _file(self, kind: str, repo: str, name: str) -> None:
        path = self.stand_in.files(kind, repo).get(name)
        commit = {"X-Repo-Commit": self.stand_in.commit(kind, repo)}
        if path is None:
            return self._refuse(404, "EntryNotFound", commit)
        data = path.read_bytes()
        etag = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        return self._send(200, data, "application/octet-stream", {**commit, **etag})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), "application/json", {})

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        said = {"X-Error-Code": code, "X-Error-Message": code}
        self._send(status, b"", "text/plain", {**said, **(headers or {})})

    def _send(self, status: int, data: bytes, mime: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        extra = {"Content-Type": mime, "Content-Length": str(len(data)), **headers}
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
