"""The committed stand-in body: the unmodified smplx package takes it, and everything is where code looks for it."""
from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from smplx.joint_names import JOINT_NAMES
from smplx.vertex_ids import vertex_ids

ROOT = Path(__file__).parents[2] / "deps" / "smpl_models" / "stand_in"
FINGERTIPS = {"left": (5361, 4933, 5058, 5169, 5286), "right": (8079, 7669, 7794, 7905, 8022)}


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(ROOT / "smplx" / "SMPLX_NEUTRAL.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def extra() -> dict[str, np.ndarray]:
    with np.load(ROOT / "standin_extra.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def model() -> smplx.SMPLX:
    return smplx.create(
        str(ROOT), model_type="smplx", gender="neutral", ext="npz", use_pca=False, flat_hand_mean=True,
        use_face_contour=True, num_betas=10, num_expression_coeffs=100,
    ).requires_grad_(False)


@pytest.fixture(scope="module")
def template(arrays) -> np.ndarray:
    return arrays["v_template"].astype(float)


def joint(name: str) -> int:
    return JOINT_NAMES.index(name)


def joints_after(model: smplx.SMPLX, **turns: tuple[float, float, float]) -> np.ndarray:
    """Joints [144, 3] with the named joints turned by axis-angle vectors, all others at rest."""
    pose = torch.zeros(55, 3)
    for name, turn in turns.items():
        pose[joint(name)] = torch.tensor(turn)
    output = model(
        body_pose=pose[None, 1:22].flatten(1), jaw_pose=pose[None, 22], left_hand_pose=pose[None, 25:40].flatten(1),
        right_hand_pose=pose[None, 40:].flatten(1),
    )
    return output.joints[0].numpy()


def test_smplx_loads_it_with_contour_and_all_expressions(model):
    assert model.num_expression_coeffs == 100
    output = model()
    assert output.joints.shape == (1, 144, 3)
    assert output.vertices.shape == (1, 10475, 3)
    assert model.faces.shape == (20938, 3)


def test_template_is_its_own_mirror_image(template, extra, arrays):
    mirror = extra["mirror"]
    assert np.array_equal(mirror[mirror], np.arange(10475))
    np.testing.assert_allclose(template[mirror] * [-1, 1, 1], template, atol=1e-6)
    weights = arrays["weights"]
    swapped = [JOINT_NAMES.index(n.replace("left", "?").replace("right", "left").replace("?", "right"))
               for n in JOINT_NAMES[:55]]
    np.testing.assert_allclose(weights[mirror][:, swapped], weights, atol=1e-3)


def test_mesh_is_closed_and_faces_look_outward(arrays, template):
    faces = arrays["f"].astype(int)
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    codes = directed[:, 0] * 10475 + directed[:, 1]
    assert len(np.unique(codes)) == len(codes)
    assert np.array_equal(np.sort(codes), np.sort(directed[:, 1] * 10475 + directed[:, 0]))
    corners = template[faces]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.03 < volume < 0.15  # cubic metres; negative if the faces were inside out


def test_weights_and_regressor_rows_sum_to_one(arrays):
    for name in ("weights", "J_regressor"):
        assert (arrays[name] >= 0).all()
        np.testing.assert_allclose(arrays[name].sum(1), 1, atol=1e-5)
    assert ((arrays["weights"] > 0).sum(1) <= 8).all()


def test_gaze_moves_the_eyeballs_only(arrays):
    assert np.array_equal(np.flatnonzero(arrays["weights"][:, [23, 24]].any(1)), np.arange(9383, 10475))


def test_landmarks_are_points_on_faces(arrays):
    for indices, coordinates, shape in (("lmk_faces_idx", "lmk_bary_coords", (51,)),
                                        ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords", (79, 17))):
        assert arrays[indices].shape == shape
        assert arrays[indices].max() < len(arrays["f"])
        np.testing.assert_allclose(arrays[coordinates].sum(-1), 1)


def test_named_vertices_are_in_place(template):
    at = {name: template[i] for name, i in vertex_ids["smplx"].items()}
    assert abs(at["nose"][0]) < 1e-4
    head = template[template[:, 1] > at["nose"][1] - 0.02]
    assert at["nose"][2] == pytest.approx(head[:, 2].max(), abs=0.002)
    for name in ("lear", "leye", "LBigToe", "LSmallToe", "LHeel", *(f"l{f}" for f in ("thumb", "index", "pinky"))):
        twin = ("R" if name[0] == "L" else "r") + name[1:]
        assert at[name][0] > 0.02
        np.testing.assert_allclose(at[twin], at[name] * [-1, 1, 1], atol=1e-6)
    bottom = template[:, 1].min()
    for foot in ("LHeel", "LBigToe", "LSmallToe"):
        assert at[foot][1] - bottom < 0.05
    assert at["LHeel"][2] < at["LSmallToe"][2] < at["LBigToe"][2]
    assert at["LSmallToe"][0] > at["LBigToe"][0]
    assert at["lear"][2] < at["leye"][2] < at["nose"][2]
    left_eye = template[9383:9929]
    assert at["leye"][2] == left_eye[:, 2].max()


@pytest.mark.parametrize("side", ["left", "right"])
def test_fingertips_end_their_fingers(model, template, side):
    sign = 1 if side == "left" else -1
    joints = joints_after(model)
    last = np.stack([joints[joint(f"{side}_{finger}3")] for finger in ("thumb", "index", "middle", "ring", "pinky")])
    tips = template[list(FINGERTIPS[side])]
    assert (sign * tips[:, 0] > 0).all()
    distance = np.linalg.norm(tips[:, None] - last[None], axis=2)
    assert np.array_equal(distance.argmin(1), np.arange(5))
    assert (distance.diagonal() < 0.04).all()
    assert tips[2, 0] * sign == pytest.approx((template[:, 0] * sign).max(), abs=0.003)


@pytest.mark.parametrize(("side", "sign"), [("left", -1.0), ("right", 1.0)])
@pytest.mark.parametrize("finger", ["index", "middle", "ring", "pinky"])
def test_fingers_curl_into_the_palm(model, side, sign, finger):
    """The palm looks down in the T-pose: curling takes the tip down and back towards the wrist."""
    rest = joints_after(model)
    curled = joints_after(model, **{f"{side}_{finger}{k}": (0.0, 0.0, sign * 0.9) for k in (1, 2, 3)})
    tip, wrist = joint(f"{side}_{finger}"), joint(f"{side}_wrist")
    assert curled[tip, 1] < rest[tip, 1] - 0.02
    assert np.linalg.norm(curled[tip] - curled[wrist]) < np.linalg.norm(rest[tip] - rest[wrist]) - 0.02


@pytest.mark.parametrize(("side", "sign"), [("left", -1.0), ("right", 1.0)])
def test_elbow_flexes_to_the_front(model, side, sign):
    rest, bent = joints_after(model), joints_after(model, **{f"{side}_elbow": (0.0, sign * 1.5, 0.0)})
    wrist, elbow = joint(f"{side}_wrist"), joint(f"{side}_elbow")
    np.testing.assert_allclose(bent[elbow], rest[elbow], atol=1e-6)
    assert bent[wrist, 2] > rest[wrist, 2] + 0.15


def test_arms_drop_about_z(model):
    rest = joints_after(model)
    dropped = joints_after(model, left_shoulder=(0.0, 0.0, -1.2), right_shoulder=(0.0, 0.0, 1.2))
    for side in ("left", "right"):
        assert dropped[joint(f"{side}_wrist"), 1] < rest[joint(f"{side}_wrist"), 1] - 0.3


def test_jaw_opens_downward(model):
    rest, opened = joints_after(model), joints_after(model, jaw=(0.3, 0.0, 0.0))
    lower_lip, upper_lip = 76 + 40, 76 + 34  # in the 51 landmarks behind the 76 joints and vertices
    assert opened[lower_lip, 1] < rest[lower_lip, 1] - 0.01
    np.testing.assert_allclose(opened[upper_lip], rest[upper_lip], atol=0.003)


def test_expression_moves_the_face_only(model, extra, arrays):
    components = arrays["shapedirs"][:, :, 300:]
    assert np.flatnonzero(components.any((0, 1))).tolist() == list(range(39))
    assert not components[np.setdiff1d(np.arange(10475), np.load(ROOT / "SMPL-X__FLAME_vertex_ids.npy"))].any()
    blink = np.zeros(100, np.float32)
    blink[:39] = extra["action_to_expression"][list(extra["facial_action_labels"]).index("eyeBlinkLeft")]
    moved = np.linalg.norm((model(expression=torch.tensor(blink)[None]).vertices - model().vertices)[0].numpy(), axis=1)
    seen = ~extra["mouth_interior"]  # the sockets behind the eyes move together, out of sight
    x = arrays["v_template"][:, 0]
    assert moved[seen & (x > 0.01)].max() > 0.005
    assert moved[seen & (x < -0.01)].max() < 0.001


def test_first_shape_coefficient_is_height(model):
    heights = []
    for beta in (-2.0, 0.0, 2.0):
        betas = torch.zeros(1, 10)
        betas[0, 0] = beta
        heights.append(float(np.ptp(model(betas=betas).vertices[0, :, 1].numpy())))
    assert heights[0] < heights[1] < heights[2]
    assert 1.4 < heights[0] and heights[2] < 2.2


def test_random_poses_stay_finite_and_connected(model, arrays):
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        def noise(*shape):
            return 0.6 * torch.randn(shape, generator=generator)

        vertices = model(
            betas=noise(1, 10), expression=noise(1, 100), global_orient=noise(1, 3), body_pose=noise(1, 63),
            jaw_pose=noise(1, 3), leye_pose=noise(1, 3), reye_pose=noise(1, 3), left_hand_pose=noise(1, 45),
            right_hand_pose=noise(1, 45),
        ).vertices[0]
        assert torch.isfinite(vertices).all()
        corners = vertices[torch.from_numpy(arrays["f"].astype(np.int64))]
        assert (corners - corners.roll(1, 1)).norm(dim=2).max() < 0.25


def test_side_files_agree_with_the_model(arrays):
    with (ROOT / "MANO_SMPLX_vertex_ids.pkl").open("rb") as file:
        hands = pickle.load(file)
    for side in ("left", "right"):
        ids = hands[f"{side}_hand"]
        assert len(np.unique(ids)) == 778
        mano_tips = [vertex_ids["mano"][finger] for finger in ("thumb", "index", "middle", "ring", "pinky")]
        assert tuple(ids[mano_tips]) == FINGERTIPS[side]
        assert (np.sign(arrays["v_template"][ids, 0]) == (1 if side == "left" else -1)).all()
    head = np.load(ROOT / "SMPL-X__FLAME_vertex_ids.npy")
    assert len(head) == 5023 and len(np.unique(head)) == 5023
    segments = json.loads((ROOT / "smplx_vert_segmentation.json").read_text())
    eyes = segments.pop("eyeballs")
    assert eyes == sorted(segments["leftEye"] + segments["rightEye"])
    assert sorted(i for ids in segments.values() for i in ids) == list(range(10475))


def test_flame_head_is_the_head_of_the_body(model):
    flame = smplx.create(str(ROOT), model_type="flame", gender="neutral", ext="npz", use_face_contour=True,
                         num_betas=10, num_expression_coeffs=100).requires_grad_(False)
    expression = torch.zeros(1, 100)
    expression[0, :10] = 0.5
    moves = dict(jaw_pose=torch.tensor([[0.3, 0.0, 0.0]]), expression=expression)
    head = flame(**moves).vertices[0].numpy()
    body = model(**moves).vertices[0].numpy()[np.load(ROOT / "SMPL-X__FLAME_vertex_ids.npy")]
    difference = body - head
    np.testing.assert_allclose(difference, np.broadcast_to(difference.mean(0), difference.shape), atol=1e-3)
