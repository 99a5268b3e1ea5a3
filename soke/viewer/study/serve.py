"""Serving a study: its pages, and a place for its answers, which become lines of one file. No address is kept."""
from __future__ import annotations

import errno
import logging
import mimetypes
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from soke.errors import UserError
from soke.viewer.study.answers import LONGEST_LINE, START, Answer, AnsweredBefore, Answers, Refused, read_answer
from soke.viewer.study.key import ANSWERS, SITE, Key

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

log = logging.getLogger(__name__)
COLLECTS = b"window.STUDY_COLLECTS = true;\n"
PATIENCE = 20.0  # seconds that a connection may be silent
PARTICIPANTS_PER_FORM = 20  # more than so many are not people: the file cannot grow without end
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_BLOCK = 1 << 16


class Bucket:
    """Lets `burst` pass at once, and then `rate` in a second. clock: seconds"""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._left, self._at = burst, clock()

    def passes(self) -> bool:
        now = self.clock()
        self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class TooFast(Exception):
    """More answers than people give."""


@dataclass(frozen=True)
class Rates:
    """Answers in a second, and at once: of everybody, of newcomers, and of one participant, whose page may have kept a
    few while the server was away."""

    everybody: tuple[float, float] = (50.0, 200.0)
    newcomers: tuple[float, float] = (1.0, 30.0)
    one: tuple[float, float] = (1.0, 20.0)


class Desk:
    """Takes answers, one at a time, and appends them to the study's file.

    Raises UserError where another process does so, and for a file that cannot be written.
    """

    def __init__(self, key: Key, path: Path, rates: Rates = Rates(), clock: Callable[[], float] = time.monotonic) -> None:
        self.key, self._rates, self._clock = key, rates, clock
        self._lock = threading.Lock()
        self._everybody, self._newcomers = Bucket(*rates.everybody, clock), Bucket(*rates.newcomers, clock)
        self._each: dict[str, Bucket] = {}
        self.answers = Answers(key)
        try:
            self._file = path.open("a+b", buffering=0)
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise UserError(f"{path} cannot be written, or another process serves this study: stop it") from error
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        self.answers.read(path)
        for problem in self.answers.refused:
            log.warning("%s", problem)
        end = self._file.seek(0, os.SEEK_END)
        if end:  # a line that a power cut has broken off stays alone
            self._file.seek(end - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def take(self, data: bytes) -> Answer:
        """Keeps an answer: it is on the disk when this returns. Raises Refused, TooFast, or OSError for a full disk."""
        with self._lock:
            if not self._everybody.passes():
                raise TooFast
            answer = read_answer(data, self.key)
            known = answer.participant in self.answers.participants
            if not known and answer.item == START:
                if len(self.answers.participants) >= PARTICIPANTS_PER_FORM * len(self.key.forms):
                    raise Refused("the study has all its participants")
                if not self._newcomers.passes():
                    raise TooFast
            if known:
                bucket = self._each.setdefault(answer.participant, Bucket(*self._rates.one, self._clock))
                if not bucket.passes():
                    raise TooFast
            self.answers.require(answer)
            self._write(answer.line.encode())
            self.answers.add(answer)
            return answer

    def _write(self, line: bytes) -> None:
        """All of the line, or nothing."""
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(end)
            raise

    def close(self) -> None:
        self._file.close()


class Server(ThreadingHTTPServer):
    """The pages of a study's folder, and its desk.

    Raises UserError for an address that cannot be had.
    """

    daemon_threads = True

    def __init__(self, study: Path, host: str = "127.0.0.1", port: int = 8000, rates: Rates = Rates()) -> None:
        site = study / SITE
        # What is not in this table is not there, whatever its path.
        self.files = {"/" + path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
        self.desk = Desk(Key.read(study), study / ANSWERS, rates)
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            self.desk.close()
            raise UserError(f"{host}:{port} cannot be had: {error.strerror}; choose another --host or --port") from error

    @property
    def address(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host}:{port}/"

    def server_close(self) -> None:
        super().server_close()
        self.desk.close()

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("a connection broke off", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    timeout = PATIENCE
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "study", ""

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        path = "/index.html" if path == "/" else path
        if path not in self.server.files:
            self._say(HTTPStatus.NOT_FOUND, "no such page")
        elif path == "/collects.js":
            self._begin(HTTPStatus.OK, len(COLLECTS), "text/javascript")
            self._body(COLLECTS)
        else:
            self._send_file(self.server.files[path])

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.close_connection = True  # whatever is left of a body that was not read is no request
        length = self.headers.get("Content-Length", "")
        if self.path != "/answers":
            self._say(HTTPStatus.NOT_FOUND, "no such page")
        elif self.headers.get_content_type() != "application/json":
            self._say(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "answers are application/json")
        elif not (length.isascii() and length.isdigit()):
            self._say(HTTPStatus.LENGTH_REQUIRED, "state a Content-Length")
        elif len(length) > 9 or int(length) > LONGEST_LINE:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {LONGEST_LINE} bytes")
        else:
            self._take(self.rfile.read(int(length)), int(length))

    def _take(self, data: bytes, length: int) -> None:
        if len(data) < length:
            self._say(HTTPStatus.BAD_REQUEST, "broken off")
            return
        try:
            self.server.desk.take(data)
        except TooFast:
            self._say(HTTPStatus.TOO_MANY_REQUESTS, "too fast")
        except Refused as reason:
            before = isinstance(reason, AnsweredBefore)
            self._say(HTTPStatus.CONFLICT if before else HTTPStatus.BAD_REQUEST, str(reason))
        except OSError as error:
            log.error("an answer could not be kept: %s", error)
            self._say(HTTPStatus.INSUFFICIENT_STORAGE, "the answer could not be kept")
        else:
            self._say(HTTPStatus.CREATED, "kept")

    def _send_file(self, path: Path) -> None:
        """All of it, or the range that is asked for: some browsers play no video without."""
        size = path.stat().st_size
        first, last = 0, size - 1
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match and any(match.groups()):
            begin, end = match.groups()
            first = int(begin) if begin else max(0, size - int(end))
            last = min(int(end), last) if begin and end else last
            if first > last:
                self._begin(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, more={"Content-Range": f"bytes */{size}"})
                return
        more = {"Accept-Ranges": "bytes"}
        if match:
            more["Content-Range"] = f"bytes {first}-{last}/{size}"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._begin(HTTPStatus.PARTIAL_CONTENT if match else HTTPStatus.OK, last - first + 1, kind, more)
        with path.open("rb") as stream:
            stream.seek(first)
            left = last - first + 1
            while left and (block := stream.read(min(_BLOCK, left))):
                self._body(block)
                left -= len(block)

    def _say(self, status: HTTPStatus, text: str) -> None:
        data = (text + "\n").encode()
        self._begin(status, len(data), "text/plain; charset=utf-8")
        self._body(data)

    def _begin(self, status: HTTPStatus, length: int, kind: str = "text/plain", more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (_HEADERS | {"Content-Type": kind, "Content-Length": str(length)} | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, data: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what it would say names addresses."""


def serve(study: Path, host: str, port: int) -> None:
    """Until it is interrupted."""
    server = Server(study, host, port)
    log.info(
        "%s: answers go to %s, of %d participants so far; Ctrl+C ends it", server.address, study / ANSWERS,
        len(server.desk.answers.participants),
    )
    try:
        server.serve_forever()
    finally:
        server.server_close()
