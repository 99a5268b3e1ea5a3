"""`.pose` files of pose-format: written as OpenPose's components, read back, and read as other tools write them."""
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soke.body.joints import SKELETON_50, SKELETON_LEFT_HAND, SMPLX_JOINTS
from soke.body.motion import JointMotion, Motion
from soke.body.skeletonise import named_joints
from soke.data.storage import pose_files
from soke.data.storage.pose_files import flattened, read_hands, read_pose, write_pose
from soke.errors import UserError

pose_format = pytest.importorskip("pose_format")
RIGHT, LEFT = (SKELETON_50.index(f"{side}_shoulder") for side in ("right", "left"))


def motion(frames: int = 6, seed: int = 0) -> JointMotion:
    """The neck at the origin and shoulders 1 apart."""
    values = torch.randn(frames, 50, 3, generator=torch.Generator().manual_seed(seed))
    values[:, 1] = 0
    values[:, RIGHT], values[:, LEFT] = torch.tensor([0.5, 0.1, 0.0]), torch.tensor([-0.5, 0.1, 0.0])
    return JointMotion(values, SKELETON_50, 25.0)


def read_raw(path: Path):
    return pose_format.Pose.read(path.read_bytes())


def test_what_is_written_is_read_back(tmp_path):
    write_pose(tmp_path / "a.pose", motion())
    read, depth, _ = read_pose(tmp_path / "a.pose")
    assert depth and (read.joints, read.fps, read.lacking) == (SKELETON_50, 25.0, frozenset())
    torch.testing.assert_close(read.positions, motion().positions, atol=1e-5, rtol=0)


def test_other_tools_know_what_is_written(tmp_path):
    from pose_format.utils.generic import detect_known_pose_format, pose_normalization_info

    write_pose(tmp_path / "a.pose", motion())
    pose = read_raw(tmp_path / "a.pose")
    assert detect_known_pose_format(pose) == "openpose"
    info = pose_normalization_info(pose.header)
    shoulders = pose.body.data[:, 0, [info.p1, info.p2]]
    assert np.allclose(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1), 256)
    body = {name: i for i, name in enumerate(pose.header.components[0].points)}
    data = pose.body.data[:, 0]
    assert (data[:, body["RShoulder"], 0] < data[:, body["LShoulder"], 0]).all()  # as in a picture of the signer
    assert np.allclose(data[:, body["Neck"]], [512, 512, 0])
    assert not pose.body.confidence[:, 0, body["MidHip"]].any() and pose.body.confidence[:, 0, body["Nose"]].all()


def test_smplx_joints_stand_in_the_file_by_name_and_openpose_has_what_it_knows_of_them(body, tmp_path):
    rotations = 0.1 * torch.randn(4, 55, 3, generator=torch.Generator().manual_seed(1))
    posed = replace(Motion.rest(4, 30.0), rotations=rotations, betas=torch.linspace(-1, 1, 10))
    write_pose(tmp_path / "a.pose", named_joints(body, posed))
    pose = read_raw(tmp_path / "a.pose")
    sizes = [(component.name, len(component.points)) for component in pose.header.components]
    assert sizes[3:] == [("SMPLX", 55)] and len(sizes) == 4 and pose.body.confidence.min() == 1 and pose.body.fps == 30
    smplx = pose.body.data[:, 0, -55:].filled(0)
    assert pose.header.components[3].points == list(SMPLX_JOINTS)
    rest = body.joints(replace(Motion.rest(1, 30.0), betas=posed.betas))[0]
    metres = float((rest[16] - rest[17]).norm()) / 256  # of a pixel
    read = (smplx - [512, 512, 0]) * metres * [1, -1, -1]
    joints = body.joints(posed)[:, :55].numpy()
    assert np.allclose(read, joints - joints[:, 12, None], atol=1e-4)
    points = dict(zip(pose.header.components[0].points, pose.body.data[:, 0].filled(0).swapaxes(0, 1)))
    for name, joint in (("MidHip", 0), ("LKnee", 4), ("Neck", 12), ("RWrist", 21)):
        assert np.allclose(points[name], smplx[:, joint], atol=1e-3)
    assert (points["REar"][:, 0] < points["LEar"][:, 0]).all() and (points["LHeel"][:, 1] > points["LKnee"][:, 1]).all()
    limbs = pose.header.components[3].limbs
    assert (SMPLX_JOINTS.index("left_wrist"), SMPLX_JOINTS.index("left_thumb1")) in [tuple(limb) for limb in limbs]
    assert read_pose(tmp_path / "a.pose")[0].joints == SKELETON_50


def test_a_leg_that_nobody_saw_has_no_confidence(body, tmp_path):
    partly = replace(Motion.rest(2, 30.0), lacking=frozenset({"left_hip", "left_eye_smplhf", "spine1"}))
    write_pose(tmp_path / "a.pose", named_joints(body, partly))
    pose = read_raw(tmp_path / "a.pose")
    names = [f"{c.name}.{point}" for c in pose.header.components for point in c.points]
    assert [name for name, seen in zip(names, pose.body.confidence[0, 0]) if not seen] == [
        *(f"pose_keypoints_2d.{point}" for point in ("LKnee", "LAnkle", "LBigToe", "LSmallToe", "LHeel")),
        *(f"SMPLX.left_{joint}" for joint in ("knee", "ankle", "foot")),
    ]


def test_joints_that_are_lacking_have_no_confidence_and_are_read_as_lacking(tmp_path):
    some = [i for i, joint in enumerate(SKELETON_50) if joint not in SKELETON_LEFT_HAND]
    part = JointMotion(motion().positions[:, some], tuple(SKELETON_50[i] for i in some), 25.0)
    write_pose(tmp_path / "a.pose", part)
    read, *_ = read_pose(tmp_path / "a.pose")
    assert read.joints == part.joints and read.lacking == set(SKELETON_LEFT_HAND)


def written(
    path: Path, components: dict[str, list[str]], points: np.ndarray, confidence: np.ndarray, form: str
) -> None:
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480, 0), [
        PoseHeaderComponent(name, names, [], [], form) for name, names in components.items()
    ])
    body = NumPyPoseBody(30.0, points.astype(np.float32), confidence.astype(np.float32))
    with path.open("wb") as file:
        pose_format.Pose(header, body).write(file)


def test_mediapipes_points_are_read_by_their_names(tmp_path):
    body = ["NOSE", "LEFT_EYE", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_WRIST"]
    fingers = [f"{f}_{j}" for f, joints in (
        ("THUMB", ("CMC", "MCP", "IP", "TIP")), *((f"{f}_FINGER", ("MCP", "PIP", "DIP", "TIP"))
        for f in ("INDEX", "MIDDLE", "RING")), ("PINKY", ("MCP", "PIP", "DIP", "TIP"))) for j in joints]
    points = np.random.default_rng(0).uniform(0, 400, (5, 1, 26, 3))
    points[:, 0, 2], points[:, 0, 3] = [400, 200, 0], [200, 200, 0]
    seen = np.ones((5, 1, 26))
    seen[2, 0, 4], points[2, 0, 4] = 0, 0
    components = {"POSE_LANDMARKS": body, "LEFT_HAND_LANDMARKS": ["WRIST", *fingers]}
    written(tmp_path / "a.pose", components, points, seen, "XYZC")
    read, depth, _ = read_pose(tmp_path / "a.pose")
    assert depth and read.fps == 30 and len(read) == 5
    assert set(read.joints) == {"nose", "left_shoulder", "right_shoulder", "left_wrist", *SKELETON_LEFT_HAND}
    nose = read.positions[:, read.joints.index("nose")].numpy()
    np.testing.assert_allclose(nose, (points[:, 0, 0] - [300, 200, 0]) / 200 * [-1, 1, -1], atol=1e-5)
    tip = read.positions[:, read.joints.index("left_hand_pinky4")].numpy()
    np.testing.assert_allclose(tip, (points[:, 0, 25] - [300, 200, 0]) / 200 * [-1, 1, -1], atol=1e-5)
    wrist = read.positions[:, read.joints.index("left_wrist")].numpy()
    np.testing.assert_allclose(wrist[2], (wrist[1] + wrist[3]) / 2, atol=1e-5)  # not at the picture's corner


def test_flat_files_have_no_depth_and_flat_shoulders(tmp_path):
    deep = replace(motion(), positions=motion().positions.clone())
    deep.positions[:, RIGHT, 2] = 1.0  # turned away: in the picture the shoulders are 1 apart, in space more
    flat = flattened(deep)
    assert (flat.positions[..., 2] == 0).all()
    torch.testing.assert_close(flat.positions[..., :2], deep.positions[..., :2])
    names = ["LEFT_SHOULDER", "RIGHT_SHOULDER", "NOSE"]
    written(tmp_path / "a.pose", {"POSE_LANDMARKS": names}, np.random.rand(4, 1, 3, 2), np.ones((4, 1, 3)), "XYC")
    read, depth, _ = read_pose(tmp_path / "a.pose")
    assert not depth and (read.positions[..., 2] == 0).all()


def test_files_that_cannot_be_used(tmp_path):
    path = tmp_path / "a.pose"
    write_pose(path, motion())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="a.pose is no .pose file"):
        read_pose(path)
    written(path, {"FACE": ["a", "b"]}, np.ones((4, 1, 2, 3)), np.ones((4, 1, 2)), "XYZC")
    with pytest.raises(UserError, match="a.pose has the components FACE; known are pose_keypoints_2d, "):
        read_pose(path)
    names = {"POSE_LANDMARKS": ["LEFT_SHOULDER", "RIGHT_SHOULDER"]}
    seen = np.ones((4, 1, 2))
    written(path, names, np.ones((4, 1, 2, 3)), seen, "XYZC")
    with pytest.raises(UserError, match="both shoulders are at one place"):
        read_pose(path)
    seen[:3, 0, 1] = 0
    written(path, names, np.random.rand(4, 1, 2, 3), seen, "XYZC")
    with pytest.raises(UserError, match="shows a shoulder in fewer than half of its frames"):
        read_pose(path)
    written(path, names, np.ones((0, 1, 2, 3)), np.ones((0, 1, 2)), "XYZC")
    with pytest.raises(UserError, match="a.pose"):
        read_pose(path)


def test_the_package_is_named_where_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pose_format", None)
    for act in (lambda: write_pose(tmp_path / "a.pose", motion()), lambda: pose_files.read_pose(tmp_path / "a.pose")):
        with pytest.raises(UserError, match="a.pose needs the package pose-format: pip install pose-format"):
            act()


def test_a_depth_that_is_0_everywhere_is_none(tmp_path):
    """As of files whose tool sees pictures alone, and fills the third number; their scores would be of another space."""
    flat = replace(motion(), positions=motion().positions * torch.tensor([1.0, 1.0, 0.0]))
    for name, of in (("flat", flat), ("deep", motion())):
        write_pose(tmp_path / f"{name}.pose", of)
    assert [read_pose(tmp_path / f"{name}.pose")[1] for name in ("flat", "deep")] == [False, True]
    assert [read_hands(tmp_path / f"{name}.pose").points.shape[2] for name in ("flat", "deep")] == [2, 3]
