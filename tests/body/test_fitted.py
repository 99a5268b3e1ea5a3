"""Ten coefficients say of a face what least squares lets them."""
from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from soke.body.fitted import expression_fit, with_fitted_expression
from soke.body.joints import joint_indices
from soke.body.motion import Motion

EYES = joint_indices(["left_eye_smplhf", "right_eye_smplhf"])


@pytest.fixture(scope="module")
def motion() -> Motion:
    """Thirty of the stand-in's 39 coefficients, eyelids, and eyes that turn."""
    torch.manual_seed(5)
    expression = torch.cat([torch.randn(6, 30), torch.zeros(6, 70)], dim=1)
    return Motion(0.2 * torch.randn(6, 55, 3), expression, torch.randn(10), 25.0, torch.rand(6, 2))


def test_no_other_ten_coefficients_come_nearer_to_the_face(body, motion):
    """Least squares: what is left of every face vertex's way is perpendicular to the first ten directions."""
    directions = body.expression_directions[body.face_vertices].flatten(0, 1).double()  # [3F, 100]
    fitted = motion.expression @ expression_fit(body).T
    assert fitted.shape == (6, 10)
    left = motion.expression.double() @ directions.T - fitted.double() @ directions[:, :10].T  # [6, 3F]
    across = left @ directions[:, :10]
    assert across.abs().max() < 1e-5 * (motion.expression.double() @ directions.T @ directions[:, :10]).abs().max()
    cut = motion.expression.double() @ directions.T - motion.expression[:, :10].double() @ directions[:, :10].T
    assert left.norm() < cut.norm()  # and better than cutting the others off


def test_ten_coefficients_are_fitted_by_themselves(body, motion):
    assert torch.equal(expression_fit(body)[:, :10], torch.eye(10))
    ten = replace(motion, expression=torch.cat([motion.expression[:, :10], torch.zeros(6, 90)], dim=1))
    torch.testing.assert_close(with_fitted_expression(body, ten).expression, motion.expression[:, :10])
    few = replace(motion, expression=motion.expression[:, :7])
    assert torch.equal(with_fitted_expression(body, few).expression, few.expression)


def test_a_direction_that_moves_nothing_gets_nothing():
    directions = torch.zeros(4, 3, 12)
    directions[0, 0, 0], directions[1, 1, 1], directions[1, 1, 11] = 1.0, 2.0, 4.0
    fit = expression_fit(SimpleNamespace(expression_directions=directions, face_vertices=torch.arange(4)))
    assert fit[:, 11].tolist() == [0.0, 2.0, *[0.0] * 8] and not fit[:, 10].any()


def test_eyelids_and_gaze_are_gone_and_all_else_stays(body, motion):
    fitted = with_fitted_expression(body, motion)
    assert fitted.eyelids is None and not fitted.rotations[:, EYES].any() and motion.rotations[:, EYES].all()
    others = [joint for joint in range(55) if joint not in EYES]
    assert torch.equal(fitted.rotations[:, others], motion.rotations[:, others])
    assert torch.equal(fitted.betas, motion.betas) and fitted.fps == 25.0
    shorter = replace(motion, expression=motion.expression[:, :40])  # fewer than the body has directions
    torch.testing.assert_close(with_fitted_expression(body, shorter).expression, fitted.expression)
