"""Which files a body model is made of: the user's licensed ones, or all of the stand-in."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from soke.body.flame import LIDS
from soke.body.graft import Place
from soke.body.smplfx import SMPLFX
from soke.body.smplx import BodyModel
from soke.errors import UserError

log = logging.getLogger(__name__)

MODEL_FILE = Path("smplx") / "SMPLX_NEUTRAL.npz"
FLAME_FOLDER = "flame"
FLAME_FILES = ("FLAME_NEUTRAL.npz", "FLAME_NEUTRAL.pkl", "generic_model.pkl", "flame2023.pkl")  # the first that is there
VERTEX_IDS = "SMPL-X__FLAME_vertex_ids.npy"  # in the folder of SMPL-X, or above it
STAND_IN = "stand_in"  # its folder
STAND_IN_NAME = "stand-in"
_FILES = 3  # of SMPL-FX: body, head and which vertices are whose
_STAND_IN_MARK = "standin_extra.npz"  # is in its folder, and in no other


def load_body_model(root: Path, flat_hand_mean: bool = False, betas: Tensor | None = None) -> BodyModel:
    """The user's SMPL-X in `root`/smplx if there is one, else the stand-in body in `root`/stand_in.

    Raises UserError when neither is there.
    """
    own, stand_in = Path(root), Path(root) / STAND_IN
    file = own / MODEL_FILE
    if not file.is_file():
        if not (stand_in / MODEL_FILE).is_file():
            raise UserError(f"no body model: neither {file} nor {stand_in / MODEL_FILE} exists; see deps/README.md")
        log.info("no SMPL-X model in %s: using the stand-in body, whose scores compare with no published ones", file)
        own, file = stand_in, stand_in / MODEL_FILE
    return BodyModel(file, STAND_IN_NAME if _is_stand_in(own) else "smplx", flat_hand_mean, betas)


def load_smplfx(
    root: Path, flat_hand_mean: bool = False, betas: Tensor | None = None, place: Place = "eyes", teeth: bool = True
) -> SMPLFX:
    """SMPL-FX of the user's SMPL-X, FLAME and vertex ids in `root` if all three are there, else all of the stand-in's.

    Body and head are never mixed; the log says what is missing, and that the stand-in is used. Without the two files
    of eyelids those of motions are not shown, which the log and the label say. place, teeth: see `SMPLFX`.

    Raises UserError when the stand-in is not there either, and when files do not fit each other.
    """
    own, stand_in = Path(root), Path(root) / STAND_IN
    missing = _missing(own)
    if missing:
        if absent := _missing(stand_in):
            raise UserError(f"no SMPL-FX: neither {missing[0]} nor {absent[0]} exists; see deps/README.md")
        some = len(missing) < _FILES
        log.log(
            logging.WARNING if some else logging.INFO,
            "SMPL-FX needs %s: using the stand-in body and head, whose scores compare with no published ones",
            " and ".join(map(str, missing)),
        )
        own = stand_in
    flame = _first(own / FLAME_FOLDER, FLAME_FILES)
    if absent := [str(flame.parent / lid) for lid in LIDS if not (flame.parent / lid).is_file()]:
        log.warning("no file %s: eyelids of motions are neither scored nor shown", " and no ".join(absent))
    name = f"{STAND_IN_NAME}-fx" if _is_stand_in(own) else "smplfx"
    return SMPLFX(own / MODEL_FILE, flame, _vertex_ids(own), name, flat_hand_mean, betas, place, teeth)


def _missing(root: Path) -> list[Path]:
    """Files of SMPL-FX that are not there."""
    files = [root / MODEL_FILE, _first(root / FLAME_FOLDER, FLAME_FILES), _vertex_ids(root)]
    return [file for file in files if not file.is_file()]


def _vertex_ids(root: Path) -> Path:
    beside = root / MODEL_FILE.parent / VERTEX_IDS
    above = root / VERTEX_IDS
    return above if above.is_file() and not beside.is_file() else beside


def _first(folder: Path, names: Sequence[str]) -> Path:
    """The first of the files that is there, else the first."""
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])


def _is_stand_in(root: Path) -> bool:
    """Whether the folder, wherever it lies, is the stand-in's."""
    return (root / _STAND_IN_MARK).is_file()
