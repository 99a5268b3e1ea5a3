"""SignSparK's LMDB: How2Sign and CSL-Daily with body, hands and 50 expression coefficients, in six-dimensional rotations.

    __meta__     pickle {clip_ids, num_clips}
    <clip id>    bytes of a .npz: left_features, right_features (T, >= 90), body_features (T, >= 126), face_features (T, 56)

Hands are 15 joints in SMPL-X's order and frame, relative to a flat hand; the last 60 of the body's 126 numbers are the
ten joints of the upper body (the others, legs and spine, are zero); the face is the jaw and 50 coefficients.
"""
from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from soke.body.joints import LEFT_HAND, RIGHT_HAND, UPPER_BODY
from soke.body.motion import Motion
from soke.data.clip import ClipError
from soke.data.foreign.assembling import Rules, assembled, from_6d, named, taken
from soke.errors import UserError
from soke.pickles import parse_pickle

RENDERED_AT = 20.0  # frames per second of the publication's pictures; the file does not tell a rate
_META = "__meta__"
_JAW, _BODY, _EXPRESSION = 6, 126, 50
_OTHERS = 66  # numbers of legs and spine, before the upper body's


class SignSpark:
    """The clips of one database (a file, or a folder with data.mdb). Raises UserError when it is none of SignSparK's."""

    def __init__(self, path: Path, rules: Rules):
        self.path, self.rules = path, rules
        self.gaps: dict[str, int] = {}
        self._database = _opened(path)
        meta = self._bytes(_META)
        if meta is None:
            raise UserError(f"{path} holds no {_META}: it is no database of SignSparK, or of another version")
        content = parse_pickle(meta, f"{_META} of {path}")
        names = content.get("clip_ids") if isinstance(content, dict) else None
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{_META} of {path} lists no clip_ids: it is a database of another version of SignSparK")
        self.names = list(names)

    def read(self, name: str) -> Motion:
        where, data = named(name, self.path), self._bytes(name)
        if data is None:
            raise ClipError(f"{where} does not hold it, though {_META} lists it")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                keys = [key for key in archive.files if key.endswith("_features")]
                content = {key: archive[key] for key in keys}
        except Exception as error:  # damaged bytes can raise nearly anything
            raise ClipError(f"{where} holds no .npz under that name ({type(error).__name__}: {error})") from error
        hands = (taken(content, f"{side}_features", 6 * len(LEFT_HAND), where, more=True) for side in ("left", "right"))
        body = taken(content, "body_features", _BODY, where, more=True)[:, _OTHERS:]
        face = taken(content, "face_features", _JAW + _EXPRESSION, where)
        turned = [body, *hands, face[:, :_JAW]]
        joints = zip((UPPER_BODY, LEFT_HAND, RIGHT_HAND, ("jaw",)), (from_6d(values, self.rules) for values in turned))
        return assembled(where, dict(joints), face[:, _JAW:], None, self.rules)

    def _bytes(self, key: str) -> bytes | None:
        with self._database.begin() as transaction:
            return transaction.get(key.encode())


def _opened(path: Path) -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise UserError(f"reading {path} needs the package lmdb: pip install lmdb") from error
    if not path.exists():
        raise UserError(f"{path} does not exist: --from names a .lmdb file of SignSparK")
    if path.is_dir() and not (path / "data.mdb").is_file():
        raise UserError(f"{path} is a folder without data.mdb: --from names one database of SignSparK, a .lmdb file")
    try:
        return lmdb.open(str(path), readonly=True, lock=False, readahead=False, subdir=path.is_dir())
    except lmdb.Error as error:
        raise UserError(
            f"{path} cannot be read as an LMDB ({type(error).__name__}: {error}): it is damaged, or of another version"
        ) from error
