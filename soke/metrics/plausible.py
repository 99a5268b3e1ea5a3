"""Whether numbers of unknown origin can be what they are taken for: radians, metres, normalised.

Each check raises ValueError with the numbers where they certainly cannot be, and returns the doubt where they hardly
can be, as the end of a sentence that begins with the file; None where nothing speaks against them.
"""
from __future__ import annotations

import numpy as np
import torch

from soke.body.joints import joint_indices
from soke.body.motion import require_radians

_STILL = joint_indices(("neck", "left_collar", "right_collar", "head", "jaw"))  # hardly turned in signing
_STILL_AT_MOST = 1.0  # rad, root mean square; normalised numbers have 1.7
_RATES = (5.0, 250.0)  # frames per second
_EXTENTS = {"body": (0.5, 3.0, 10.0), "hand": (0.05, 0.5, 2.0)}  # m: least, greatest, certainly another unit above
_SCALE = 2.0  # times the reference's size, beyond which a prediction is hardly in its unit [A]
_FLOOR = 1e-3  # standard deviations below it say nothing of what is normalised
_CLEARLY = 0.1  # difference of log-likelihoods, per number


def doubt_of_rotations(rotations: torch.Tensor) -> str | None:
    """[T, 55, 3] axis-angle, taken for radians."""
    angles = rotations.norm(dim=2)
    if not len(angles) or not angles.isfinite().all():
        return None
    require_radians(rotations)
    still = angles[:, _STILL].square().mean().sqrt().item()
    if still > _STILL_AT_MOST:
        return (
            f"neck, head, collars and jaw turn by {still:.2g} rad (root mean square), a signer's by less than "
            f"{_STILL_AT_MOST:g}; normalised numbers need --mean and --std, degrees must be made radians"
        )
    return None


def doubt_of_points(points: torch.Tensor, kind: str) -> str | None:
    """[T, N, 3] of a body or a hand, taken for metres. kind: body or hand"""
    if not len(points) or not points.isfinite().all():
        return None
    least, greatest, certain = _EXTENTS[kind]
    extent = (points.amax(dim=1) - points.amin(dim=1)).amax(dim=1).median().item()
    if extent > certain:
        raise ValueError(
            f"its {kind} measures {extent:.4g} m; if these are millimetres or centimetres, make them metres"
        )
    if not least <= extent <= greatest:
        return f"the {kind} measures {extent:.2g} m, usual is {least:g} to {greatest:g} m; joints must be in metres"
    return None


def doubt_of_scale(points: torch.Tensor, reference: torch.Tensor) -> str | None:
    """[T, N, 3] of a prediction and [S, N, 3] of its reference, in a unit that nobody says, taken for the same."""
    if not len(points) or not len(reference) or not (points.isfinite().all() and reference.isfinite().all()):
        return None
    size, right = ((p.amax(dim=1) - p.amin(dim=1)).amax(dim=1).median().item() for p in (points, reference))
    if right and not 1 / _SCALE <= size / right <= _SCALE:
        return f"its joints extend over {size:.3g}, the reference's over {right:.3g}; both must be in one unit"
    return None


def doubt_of_rate(fps: float) -> str | None:
    if _RATES[0] <= fps <= _RATES[1]:
        return None
    return f"the frame rate is {fps:g} frames/s, usual is {_RATES[0]:g} to {_RATES[1]:g}"


def doubt_of_length(frames: int) -> str | None:
    return "it holds one frame, and a file is a clip; where files are frames, stack those of a clip" if frames == 1 else None


def doubt_of_normalised(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> str | None:
    """Frames [T, F] of a signer, which are to be multiplied by std [F] and added to mean [F]: were they more likely
    without that?"""
    known = std > _FLOOR
    if not len(values) or not known.any() or not np.isfinite(values).all():
        return None
    plain = (values[:, known] - mean[known]) / std[known]
    as_normalised = -0.5 * np.minimum(np.square(values[:, known]), 100).mean()
    as_they_are = -0.5 * np.minimum(np.square(plain), 100).mean() - np.log(std[known]).mean()
    if as_they_are > as_normalised + _CLEARLY:
        spread = float(np.sqrt(np.square(values[:, known]).mean()))
        return (
            f"its numbers look as if they were not normalised (root mean square {spread:.2g}, normalised ones have 1): "
            "leave out --mean and --std"
        )
    return None
