"""Files of users and of ours: text is read in one encoding, under any spelling of its name, and nothing is written by
halves: files and folders appear under their name only when they are complete."""
from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import unicodedata
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

from soke.errors import UserError

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path | str) -> str:
    """The text of a file in UTF-8, lines ended by \\n alone; a byte order mark at its beginning is no part of it.

    Raises UserError that names the file: it cannot be read, or is in another encoding.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith(UTF_16_MARKS):
            raise not_utf8(path, "it begins with the mark of UTF-16") from None
        line = data.count(b"\n", 0, error.start) + 1
        found = f"its line {line} holds the byte 0x{data[error.start]:02x}, perhaps of Latin-1 or GB 18030"
        raise not_utf8(path, found) from None
    if "\0" in text:
        raise not_utf8(path, "it holds zeros between its letters, as UTF-16 does")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def not_utf8(path: Path | str, found: str) -> UserError:
    """The error of a file in another encoding; `found` says what tells so."""
    return UserError(f"{path} is not in UTF-8: {found}; save it in UTF-8 (an editor or iconv does it)")


def existing(path: Path) -> Path:
    """`path`, or where that does not exist, the same names in the other Unicode spelling: a file system or an archive
    may have changed composed letters into letters and accents (macOS), or the other way round."""
    if str(path).isascii() or path.exists() or path == path.parent:
        return path
    folder = existing(path.parent)
    for form in ("NFC", "NFD"):
        spelled = folder / unicodedata.normalize(form, path.name)
        if spelled.exists():
            return spelled
    return path


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`, which takes its place when the block succeeds and vanishes otherwise.

    Raises UserError when it cannot be written: a full disk, a read-only folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{_mark()}{path.suffix}")  # libraries choose the format by the suffix
    with _explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()


def require_new(folder: Path) -> None:
    """Raises UserError for a folder that is there and holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already: choose a new folder")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path`, which replaces `path` when the block succeeds and vanishes otherwise.

    Raises UserError when it cannot be written: a full disk, a read-only folder.
    """
    path = Path(path)
    temporary, old = (path.with_name(f".{path.name}.{_mark()}.{role}") for role in ("new", "old"))
    with _explained(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file. Raises UserError that names the file and the remedy."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; {remedy}")
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}; {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a table; {remedy}")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def folder_hash(folder: Path) -> str:
    """12 hex digits that change with the name or the content of any file in a folder, but for its card, README.md."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "README.md"):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        _feed(digest, path)
    return digest.hexdigest()[:12]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hex digits."""
    digest = hashlib.sha256()
    _feed(digest, path)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, path: Path) -> None:
    """A file's content, which need not fit into memory."""
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)


def program_hash() -> str:
    """12 hex digits that change with any line of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _mark() -> str:
    """Of this writing alone, among the processes of all machines that share a folder, whose numbers may be the same."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # numpy's has no strerror when a disk is full
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; make room, or choose a folder that can be written to"
        ) from error
