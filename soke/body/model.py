"""Which body model there is: the user's licensed files, or the stand-in."""
from __future__ import annotations

import logging
from pathlib import Path

from torch import Tensor

from soke.body.smplx import BodyModel
from soke.errors import UserError

log = logging.getLogger(__name__)

MODEL_FILE = Path("smplx") / "SMPLX_NEUTRAL.npz"
STAND_IN = "stand_in"  # its folder
STAND_IN_NAME = "stand-in"


def load_body_model(root: Path, flat_hand_mean: bool = False, betas: Tensor | None = None) -> BodyModel:
    """The user's SMPL-X in `root`/smplx if there is one, else the stand-in body in `root`/stand_in.

    Raises UserError when neither is there.
    """
    licensed, stand_in = Path(root) / MODEL_FILE, Path(root) / STAND_IN / MODEL_FILE
    if licensed.is_file():
        return BodyModel(licensed, "smplx", flat_hand_mean, betas)
    if not stand_in.is_file():
        raise UserError(f"no body model: neither {licensed} nor {stand_in} exists; see deps/README.md")
    log.info("no SMPL-X model in %s: using the stand-in body, whose scores compare with no published ones", licensed)
    return BodyModel(stand_in, STAND_IN_NAME, flat_hand_mean, betas)
