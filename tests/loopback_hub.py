"""A stand-in of the Hugging Face hub on this machine: as much of it as creating a repository, committing small files and
fetching snapshots need. Large files (LFS, xet) it takes as small ones, so that every commit carries its bytes."""
from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Hub:
    """What the stand-in keeps.

    commits:  repository -> revision -> its files
    fetched:  names of the files that were asked for
    refusing: repository -> status and X-Error-Code with which the hub answers for it; refusing_files: for its
              files alone
    """

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.fetched: list[str] = []
        self.refusing: dict[str, tuple[int, str]] = {}
        self.refusing_files: dict[str, tuple[int, str]] = {}
        self.private: dict[str, bool] = {}
        self.url = ""

    def put(self, repo: str, files: dict[str, bytes], revision: str = "main") -> None:
        self.commits.setdefault(repo, {})[revision] = dict(files)

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        return self.commits[repo][revision]

    def found(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Commit and files of a branch, or of a commit."""
        for name, files in self.commits[repo].items():
            commit = commit_of(files)
            if revision in (name, commit):
                return commit, files
        return None


def commit_of(files: dict[str, bytes]) -> str:
    content = [(name, hashlib.sha1(data).hexdigest()) for name, data in sorted(files.items())]
    return hashlib.sha1(json.dumps(content).encode()).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/"):
            self._tell(path)
        else:
            self._give(path.lstrip("/"))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if "Authorization" not in self.headers:
            return self._answer({"error": "who are you?"}, 401)
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            if repo in self.hub.commits:
                return self._answer({"error": "it is there", "url": f"{self.hub.url}/{repo}"}, 409)
            self.hub.put(repo, {})
            self.hub.private[repo] = asked.get("visibility") == "private" or bool(asked.get("private"))
            return self._answer({"url": f"{self.hub.url}/{repo}"})
        repo, action, revision = self._repo(path)
        if action == "branch":
            self.hub.put(repo, self.hub.files(repo), revision)
            return self._answer({})
        if action == "preupload":
            named = [file["path"] for file in json.loads(body)["files"]]
            return self._answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in named]})
        files = dict(self.hub.files(repo, revision))
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        self.hub.put(repo, files, revision)
        commit = commit_of(files)
        self._answer({"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit})

    @staticmethod
    def _repo(path: str) -> tuple[str, str, str]:
        """/api/models/user/name/action/revision -> user/name, action, revision"""
        user, name, *rest = path.removeprefix("/api/models/").split("/")
        action, revision = (rest[0], "/".join(rest[1:])) if rest else ("", "main")
        return f"{user}/{name}", action, revision

    def _tell(self, path: str) -> None:
        """Of a repository: its commit and its files."""
        repo, action, revision = self._repo(path)
        if repo in self.hub.refusing:
            status, code = self.hub.refusing[repo]
            return self._answer({"error": code}, status, {"X-Error-Code": code})
        if repo not in self.hub.commits:
            return self._answer({"error": "no such repository"}, 404, {"X-Error-Code": "RepoNotFound"})
        found = self.hub.found(repo, revision)
        if found is None:
            return self._answer({"error": "no such revision"}, 404, {"X-Error-Code": "RevisionNotFound"})
        commit, files = found
        if action == "tree":
            return self._answer([
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ])
        self._answer({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files], "tags": []})

    def _give(self, path: str) -> None:
        """/user/name/resolve/commit/file"""
        repo, _, rest = path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repo in self.hub.refusing_files:
            status, code = self.hub.refusing_files[repo]
            return self._answer({"error": code}, status, {"X-Error-Code": code})
        found = self.hub.found(repo, revision) if repo in self.hub.commits else None
        if found is None or name not in found[1]:
            return self._answer({"error": "no such file"}, 404, {"X-Error-Code": "EntryNotFound"})
        self.hub.fetched.append(name)
        data = found[1][name]
        self._send(data, 200, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": found[0]})

    def _answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def no_outside_address(monkeypatch) -> None:
    """A connection to any other machine fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            assert address[0] in LOOPBACK, f"{address} is an outside address"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, address: guarded(self, address) or 0)


@pytest.fixture
def hub(tmp_path, monkeypatch, no_outside_address) -> Iterator[Hub]:
    """The stand-in, to which this process and those that it starts turn, with an empty cache and a token."""
    made = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": made}))
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    turn_to(made.url, tmp_path / "hf", monkeypatch)
    yield made
    server.shutdown()
    server.server_close()


def turn_to(url: str, home, monkeypatch) -> None:
    """As the environment does it, which huggingface_hub reads when it is imported."""
    from huggingface_hub import constants

    variables = {
        "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": "hf_a", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    changed = {
        "ENDPOINT": url, "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), "HF_HUB_DISABLE_XET": True,
    }
    for name, value in changed.items():
        monkeypatch.setattr(constants, name, value)


def offline(monkeypatch) -> None:
    """As HF_HUB_OFFLINE=1 does it."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
