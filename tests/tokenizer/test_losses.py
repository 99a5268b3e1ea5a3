from __future__ import annotations

import pytest
import torch

from soke.tokenizer.losses import DISTANCES, reconstruction, velocity

SIZES = {"body": 5, "hand": 2}
REDUCTIONS = ("per_part", "all")
LENGTHS = [6, 1, 3]
MASK = torch.arange(6) < torch.tensor(LENGTHS)[:, None]
MASKS = dict.fromkeys(SIZES, MASK)


def random_parts(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {part: torch.randn(3, 6, size, generator=generator) * 2 for part, size in SIZES.items()}


PREDICTION, TARGET = random_parts(0), random_parts(1)


def distance(difference: float, kind: str = "smooth_l1") -> float:
    difference = abs(difference)
    if kind == "l1":
        return difference
    if kind == "l2":
        return difference**2
    return 0.5 * difference**2 if difference < 1 else difference - 0.5


def expected(prediction: dict, target: dict, lengths: list[int], frames: int, reduction: str, kind: str) -> float:
    """Number by number."""
    values = {
        part: [
            distance(float(prediction[part][b, t, d] - target[part][b, t, d]), kind)
            for b, length in enumerate(lengths) for t in range(length) for d in range(size)
        ] for part, size in SIZES.items()
    }
    if reduction == "all":
        return sum(map(sum, values.values())) / (len(lengths) * frames * sum(SIZES.values()))
    return sum(sum(of_part) / len(of_part) for of_part in values.values())


def test_the_kinds_are_those_that_are_checked_here():
    assert list(DISTANCES) == ["smooth_l1", "l2", "l1"]


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_distances_number_by_number(reduction, kind):
    found = reconstruction(PREDICTION, TARGET, MASKS, kind, reduction).item()
    assert found == pytest.approx(expected(PREDICTION, TARGET, LENGTHS, 6, reduction, kind), rel=1e-5)


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_velocity_is_the_same_of_differences_within_clips(reduction, kind):
    steps = ({part: v[:, 1:] - v[:, :-1] for part, v in batch.items()} for batch in (PREDICTION, TARGET))
    found = velocity(PREDICTION, TARGET, MASKS, kind, reduction).item()
    assert found == pytest.approx(expected(*steps, [length - 1 for length in LENGTHS], 5, reduction, kind), rel=1e-5)


def test_both_reductions_by_hand():
    """Two clips of 3 and 1 of 4 frames: v = 1/2. Smooth-L1 of 2 is 1.5, of 1 is 0.5, of 0.6 is 0.18."""
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    off = {"body": torch.full((2, 4, 3), 2.0), "hand": torch.full((2, 4, 1), 1.0), "face": torch.full((2, 4, 1), 0.6)}
    nothing = {part: torch.zeros_like(values) for part, values in off.items()}
    assert reconstruction(off, nothing, dict.fromkeys(off, mask), "smooth_l1", "per_part").item() == pytest.approx(1.5 + 0.5 + 0.18)
    # 4 valid frames of 3 * 1.5 + 0.5 + 0.18, over 8 frames of 5 numbers
    assert reconstruction(off, nothing, dict.fromkeys(off, mask), "smooth_l1", "all").item() == pytest.approx(4 * 5.18 / 40)


def test_with_everything_equally_far_off_the_reductions_differ_by_parts_over_the_valid_share():
    """Three parts as in SOKE and 3 of 8 frames valid: eight times."""
    mask = torch.zeros(2, 8, dtype=torch.bool)
    mask[0, :5] = mask[1, :1] = True
    off = {part: torch.full((2, 8, size), 0.7) for part, size in (("body", 43), ("lhand", 45), ("rhand", 45))}
    nothing = {part: torch.zeros_like(values) for part, values in off.items()}
    masks = dict.fromkeys(off, mask)
    per_part, whole = (reconstruction(off, nothing, masks, "smooth_l1", reduction).item() for reduction in REDUCTIONS)
    assert per_part / whole == pytest.approx(8)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", [reconstruction, velocity])
def test_what_stands_in_the_padding_does_not_count(loss, reduction):
    changed = {part: torch.where(MASK[..., None], values, 1e6) for part, values in PREDICTION.items()}
    found, expected = (loss(each, TARGET, MASKS, "smooth_l1", reduction) for each in (changed, PREDICTION))
    assert found == expected
    assert loss(PREDICTION, TARGET, dict.fromkeys(SIZES, torch.zeros_like(MASK)), "smooth_l1", reduction) == 0


@pytest.mark.parametrize(("reduction", "right"), [("per_part", 1.5 + 0.5), ("all", (8 * 1.5 + 3 * 0.5) / 14)])
def test_a_part_is_compared_in_the_clips_that_have_it(reduction: str, right: float):
    """The body, off by 2, in both clips of 2 frames and 2 numbers; the face, by 1, in one, with 3 numbers."""
    off = {"body": torch.full((2, 2, 2), 2.0), "face": torch.full((1, 2, 3), 1.0)}
    masks = {"body": torch.ones(2, 2, dtype=torch.bool), "face": torch.tensor([[True, False]])}
    nothing = {part: torch.zeros_like(values) for part, values in off.items()}
    assert reconstruction(off, nothing, masks, "smooth_l1", reduction).item() == pytest.approx(right)
    without = {**off, "face": off["face"][:0]}, {**nothing, "face": nothing["face"][:0]}
    masks["face"] = masks["face"][:0]
    assert reconstruction(*without, masks, "smooth_l1", "per_part").item() == pytest.approx(1.5)
