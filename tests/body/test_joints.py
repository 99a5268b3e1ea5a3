"""Groups of joints, as parts files name them."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from soke.body.joints import DWPOSE_128, JOINT_GROUPS, LEFT_HAND, SKELETON_50, SMPLX_JOINTS, expanded
from soke.build.body import layout_of
from soke.errors import UserError
from soke.run.config import Config, load_config


def test_groups_and_names_mix_in_their_order():
    assert expanded("left_hand") == expanded(["left_hand"]) == LEFT_HAND
    assert expanded(["head", "left_hand", "neck"]) == ("head", *LEFT_HAND, "neck")
    assert expanded("pelvis") == ("pelvis",)
    assert expanded([]) == ()


def test_no_group_is_called_like_a_joint():
    assert not set(JOINT_GROUPS) & {*SMPLX_JOINTS, *SKELETON_50, *DWPOSE_128}
    for joints in JOINT_GROUPS.values():
        assert set(joints) <= {*SMPLX_JOINTS, *SKELETON_50, *DWPOSE_128}


@pytest.mark.parametrize(
    ("file", "expected"),
    [("configs/deto.yaml", "855cc5702081"), ("configs/ablation/s_motiongpt_tokenizer.yaml", "bf667b99db64")],
)
def test_shipped_layouts_are_those_of_models_that_were_trained_with_the_joints_spelt_out(file, expected):
    config = load_config(file)
    assert layout_of(config).hash == expected
    assert layout_of(renamed(config, lambda joints: list(expanded(joints)))).hash == expected


def test_unknown_names_are_told_with_the_groups():
    with pytest.raises(UserError, match="PARTS: not SMPL-X joints: lefthand; groups of joints are upper_body, left_hand"):
        layout_of(renamed(load_config("configs/deto.yaml"), lambda joints: str(joints).replace("left_h", "lefth")))


def renamed(config: Config, rename: Callable[[list[str] | str], list[str] | str]) -> Config:
    """With other joints in every part."""
    return replace(config, parts=[replace(part, joints=rename(part.joints)) for part in config.parts])
