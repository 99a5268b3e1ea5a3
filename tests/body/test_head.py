"""The head that a close-up looks at."""
from __future__ import annotations

import torch

from soke.body.joints import joint_indices
from soke.body.motion import Motion


def place(body, motion: Motion) -> torch.Tensor:
    """[T, 3]"""
    return torch.einsum("v,tvc->tc", body.head.joint, body.surface(motion))


def test_the_posed_surface_gives_the_place_of_the_heads_joint(body):
    torch.manual_seed(0)
    motion = Motion(0.25 * torch.randn(8, 55, 3), torch.randn(8, 10), torch.randn(10), 25.0)
    expected = body.joints(motion)[:, joint_indices(["head"])[0]]
    assert (place(body, motion) - expected).norm(dim=1).max() < 0.003  # metres; with the shape it shifts a little


def test_neither_a_moving_face_nor_a_turning_head_moves_it(body):
    torch.manual_seed(1)
    motion = Motion.rest(9, 25.0)
    motion.rotations[1:, joint_indices(["jaw", "left_eye_smplhf", "right_eye_smplhf"])] = 0.3 * torch.randn(8, 3, 3)
    motion.rotations[1:, joint_indices(["head"])] = 0.5 * torch.randn(8, 1, 3)
    motion.expression[1:] = torch.randn(8, 10)
    places = place(body, motion)
    assert (places - places[0]).norm(dim=1).max() < 0.002  # the expression moves the pivot a little


def test_head_and_bust_are_what_they_are_called(body):
    head, bust = set(body.head.vertices.tolist()), set(body.head.bust.tolist())
    assert head < bust and set(body.face_vertices.tolist()) <= head
    for hand in body.hand_vertices.values():
        assert not bust & set(hand.tolist())
    neck, _ = body.joints(Motion.rest(1, 25.0))[0, joint_indices(["neck", "head"])]
    heights = body.template[body.head.vertices, 1]
    assert heights.max() == body.template[:, 1].max() and abs(heights.min() - neck[1]) < 0.03
    below = body.template[body.head.bust, 1].min()
    assert below < neck[1] - 0.05  # the picture's lower edge shows shoulders, not where they end
