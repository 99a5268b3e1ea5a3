"""SMPL-FX is SMPL-X below the neck, FLAME above it, and nothing tears between."""
from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from soke.body import Motion
from soke.body.graft import RING_SHARES, edges_of, neck_rings
from soke.body.joints import SMPLX_JOINTS, joint_indices
from soke.body.model import MODEL_FILE, load_body_model, load_smplfx
from soke.body.smplfx import SMPLFX
from soke.body.smplx import BodyModel
from soke.errors import UserError
from soke.metrics.motion_errors import MotionErrors
from soke.metrics.motion_scores import MotionScores
from soke.render.backends import SoftwareRenderer
from soke.render.camera import Camera

STAND_IN = Path(__file__).parents[2] / "deps" / "smpl_models" / "stand_in"
FLAME, IDS = STAND_IN / "flame" / "FLAME_NEUTRAL.npz", STAND_IN / "SMPL-X__FLAME_vertex_ids.npy"
HEAD_JOINTS = joint_indices(["head", "jaw", "left_eye_smplhf", "right_eye_smplhf"])
EYEBALLS = slice(9383, 10475)
UPPER_TEETH = torch.tensor([10475 + 15 * row + i for row in (0, 2, 4, 5) for i in range(15)])
LOWER_TEETH = torch.tensor([10475 + 15 * row + i for row in (1, 3, 6, 7) for i in range(15)])


@pytest.fixture(scope="module")
def smplfx() -> SMPLFX:
    return load_smplfx(STAND_IN.parent, flat_hand_mean=True)


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(FLAME) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def other_head(tmp_path_factory, arrays) -> SMPLFX:
    """With a larger, deeper head in another place, as FLAME's is another one than SMPL-X's."""
    folder = tmp_path_factory.mktemp("flame")
    template = arrays["v_template"] * np.float32([1.06, 1.04, 1.08]) + np.float32([0.0, 1.5, 0.2])
    np.savez(folder / "FLAME_NEUTRAL.npz", **{**arrays, "v_template": template})
    for name in ("l_eyelid.npy", "r_eyelid.npy", "lip_rings.npz"):
        shutil.copy(FLAME.parent / name, folder / name)
    return SMPLFX(STAND_IN / MODEL_FILE, folder / "FLAME_NEUTRAL.npz", IDS, "other", flat_hand_mean=True)


def motion_of(frames: int = 1, **turns: tuple[float, float, float]) -> Motion:
    rest = Motion.rest(frames, 25.0, 100)
    rotations = rest.rotations.clone()
    for joint, turn in turns.items():
        rotations[:, SMPLX_JOINTS.index(joint)] = torch.tensor(turn)
    return replace(rest, rotations=rotations)


def random_motion(frames: int = 6, face: float = 0.0) -> Motion:
    g = torch.Generator().manual_seed(5)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g)

    return Motion(
        noise(frames, 55, 3) * 0.3, noise(frames, 100) * face, noise(10), 25.0, noise(frames, 2).abs() * face,
        head_shape=noise(300) * face,
    )


def shares(body: SMPLFX) -> Tensor:
    return torch.from_numpy(body._graft.share)


def test_neutral_stand_in_is_smplx_everywhere(smplfx, body):
    motion = random_motion()
    at_zero = replace(motion, betas=torch.zeros(10))
    torch.testing.assert_close(smplfx.surface(at_zero)[:, :10475], body.surface(at_zero), atol=1e-6, rtol=0)
    torch.testing.assert_close(smplfx.joints(at_zero), body.joints(at_zero), atol=1e-6, rtol=0)


@pytest.mark.parametrize("face", [0.0, 1.0])
def test_below_the_neck_any_head_leaves_smplx_alone(other_head, body, face):
    motion = random_motion(face=face)
    plain = replace(motion, expression=torch.zeros(6, 10), eyelids=None, head_shape=None)
    own, smplx = other_head.surface(motion)[:, :10475], body.surface(plain)
    below = (shares(other_head) == 1) & (body.weights[:, HEAD_JOINTS].sum(1) == 0)
    assert below.sum() > 5300
    torch.testing.assert_close(own[:, below], smplx[:, below], atol=1e-6, rtol=0)
    assert (own[:, shares(other_head) == 0] - smplx[:, shares(other_head) == 0]).norm(dim=2).mean() > 0.002
    hands = [replace(m, betas=motion.betas) for m in (motion, plain)]
    torch.testing.assert_close(
        other_head.hand_joints(hands[0], "left"), body.hand_joints(hands[1], "left"), atol=1e-6, rtol=0
    )


def test_the_eyes_are_where_smplx_has_them(other_head, body, arrays):
    rest = motion_of()
    at = [posed.joints(rest)[0, joint_indices(["left_eye_smplhf", "right_eye_smplhf"])].mean(0)
          for posed in (other_head, body)]
    torch.testing.assert_close(at[0], at[1], atol=1e-5, rtol=0)
    by_mean = SMPLFX(
        STAND_IN / MODEL_FILE, other_head._flame.file, IDS, "other", flat_hand_mean=True, place="mean"
    )
    ids = torch.from_numpy(by_mean._graft.ids)
    head = torch.from_numpy(by_mean._flame.template + by_mean._graft.moved)
    torch.testing.assert_close(head.mean(0), body.template[ids].mean(0), atol=1e-5, rtol=0)
    assert by_mean.label == "other,flat-hands,own-betas,head-by-mean"


CASES = {
    "rest": motion_of(), "jaw": motion_of(jaw=(0.4, 0.0, 0.0)), "turned": motion_of(neck=(0.0, 0.5, 0.0)),
    "nodding": motion_of(neck=(0.3, 0.0, 0.0), head=(0.3, 0.0, 0.0)),
    "tilted": motion_of(neck=(0.0, 0.0, 0.3), head=(0.0, 0.0, 0.2)),
    "expressions": replace(motion_of(40), expression=3 * torch.eye(100)[:40]),
    "shape": replace(motion_of(), head_shape=3 * torch.eye(300)[0]),
    "other shape": replace(motion_of(), head_shape=-3 * torch.eye(300)[0] + 2 * torch.eye(300)[1]),
    "tall": replace(motion_of(), betas=3 * torch.eye(10)[0]), "short": replace(motion_of(), betas=-3 * torch.eye(10)[0]),
    "thin": replace(motion_of(), betas=3 * torch.eye(10)[1]),
}


@pytest.mark.parametrize("which", ["smplfx", "other_head"])
def test_no_seam_at_the_neck(which, smplfx, other_head, body):
    """An edge of the neck is at most 1.6 times as long as in SMPL-X's template, and 2 mm."""
    posed = {"smplfx": smplfx, "other_head": other_head}[which]
    edges = torch.from_numpy(edges_of(body.faces.numpy()))
    share = shares(posed)[edges]
    neck = edges[((share > 0) & (share < 1)).any(1)]
    assert len(neck) > 1000
    before = (body.template[neck[:, 0]] - body.template[neck[:, 1]]).norm(dim=1)
    worst = {}
    for name, motion in CASES.items():
        surface = posed.surface(motion)
        after = (surface[:, neck[:, 0]] - surface[:, neck[:, 1]]).norm(dim=2)
        worst[name] = float((after - 1.6 * before).max())
    assert max(worst.values()) < 0.002, worst


def uncovered(surface: Tensor, faces: Tensor, body: SMPLFX, joint: int) -> int:
    """How many vertices of the front of an eyeball are seen from the front: no other triangle lies before them."""
    ball = body.weights[:, joint] > 0.99
    centre = surface[ball].mean(0)
    eye = surface[ball & (surface[:, 2] > centre[2] + 0.005)]
    skin = surface[faces[~(body.weights[faces][:, :, [23, 24]].sum(2) > 0.5).any(1)]]  # [F, 3, 3]
    a, b, c = skin[(skin.mean(1) - centre).norm(dim=1) < 0.04].unbind(1)

    def cross(u: Tensor, v: Tensor) -> Tensor:
        return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]

    p = eye[:, None]
    area = cross(b - a, c - a)
    first, second = cross(p - a, c - a) / area, cross(b - a, p - a) / area
    depth = a[:, 2] + first * (b - a)[:, 2] + second * (c - a)[:, 2]
    covers = (first >= 0) & (second >= 0) & (first + second <= 1) & (depth > p[..., 2])
    return int((~covers.any(1)).sum())


@pytest.mark.parametrize(("side", "joint"), [(0, 23), (1, 24)])
def test_an_eyelid_at_one_closes_its_eye_alone(smplfx, side, joint):
    lids = torch.zeros(3, 2)
    lids[:, side] = torch.tensor([0.0, 0.4, 1.0])
    surfaces = smplfx.surface(replace(motion_of(3), eyelids=lids))
    seen = [uncovered(surface, smplfx.faces, smplfx, joint) for surface in surfaces]
    assert seen[0] > 40 and 0 < seen[1] < seen[0] and seen[2] == 0
    other = [uncovered(surface, smplfx.faces, smplfx, 47 - joint) for surface in surfaces]
    assert other[0] == other[1] == other[2] == seen[0]


def test_gaze_moves_the_eyeballs_alone(smplfx):
    rest, gaze = (smplfx.surface(m)[0] for m in (motion_of(), motion_of(left_eye_smplhf=(0.0, 0.4, 0.0))))
    moved = (gaze - rest).norm(dim=1) > 1e-6
    left = smplfx.weights[:, 23] > 0.5
    assert moved.sum() > 500 and not moved[~left].any()
    turned = (gaze - rest)[left]
    assert turned[rest[left, 2] == rest[left, 2].max(), 0] > 0.004  # the pupil goes to the signer's left


def distances(points: Tensor) -> Tensor:
    return (points[..., :, None, :] - points[..., None, :, :]).norm(dim=-1)


def test_upper_teeth_are_the_heads_and_lower_teeth_the_jaws(smplfx):
    assert len(smplfx.template) == 10595 and smplfx.surface(motion_of()).shape == (1, 10595, 3)
    moving = replace(random_motion(face=1.0), betas=torch.zeros(10), head_shape=None)
    opened = replace(moving, rotations=moving.rotations.clone())
    opened.rotations[:, 22] += torch.tensor([0.3, 0.0, 0.0])
    a, b = smplfx.surface(moving), smplfx.surface(opened)
    assert torch.equal(a[:, UPPER_TEETH], b[:, UPPER_TEETH])
    assert (a - b)[:, LOWER_TEETH].norm(dim=2).min() > 0.005
    rest = smplfx.template
    for teeth, joint in ((UPPER_TEETH, "head"), (LOWER_TEETH, "jaw")):
        torch.testing.assert_close(  # rigid, whatever the face does
            distances(a[:, teeth]), distances(rest[teeth]).expand(6, -1, -1),
            atol=2e-5, rtol=0,
        )
        rigid = smplfx.weights[:, SMPLX_JOINTS.index(joint)] == 1
        assert rigid[teeth].all()
    faces = smplfx.faces[(smplfx.faces >= 10475).all(1)]
    assert len(faces) == 168 and len(faces) == len(smplfx.faces) - len(smplfx._model.faces_tensor)


def test_teeth_are_closed_but_for_their_roots_and_look_outward(smplfx):
    for teeth in (UPPER_TEETH, LOWER_TEETH):
        faces = smplfx.faces[torch.isin(smplfx.faces, teeth).all(1)]
        corners = smplfx.template[faces]
        normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        middle = smplfx.template[teeth].mean(0)
        front, edge, back = normals.split(28)
        assert (front[:, 2] > 0).all() and (back[:, 2] < 0).all()
        tip = corners[28:56].mean((0, 1))
        assert ((edge[:, 1] > 0) == (tip[1] > middle[1])).all()


def test_teeth_hide_behind_closed_lips_and_show_between_open_ones(smplfx):
    def white(motion: Motion) -> int:
        surface = smplfx.surface(motion)[0]
        centre = surface[9120]  # the nose
        colors = torch.zeros(len(surface), 3)
        colors[10475:, 1] = 1
        renderer = SoftwareRenderer((160, 160), Camera((0.0, -0.04, 0.4)))
        picture = renderer.draw((surface - centre).numpy(), smplfx.faces.int().numpy(), colors.numpy())
        renderer.close()
        return int(((picture[..., 1] > 60) & (picture[..., 0] < 30)).sum())

    closed, opened = white(motion_of()), white(motion_of(jaw=(0.15, 0.0, 0.0)))
    assert closed < 10 < 30 < opened, (closed, opened)  # the stand-in's lips do not quite touch


def test_without_teeth_there_are_smplx_vertices(smplfx):
    bare = load_smplfx(STAND_IN.parent, flat_hand_mean=True, teeth=False)
    motion = random_motion(face=1.0)
    torch.testing.assert_close(bare.surface(motion), smplfx.surface(motion)[:, :10475], atol=1e-6, rtol=0)
    assert len(bare.faces) == len(bare._model.faces_tensor) and len(bare.colors) == 10475
    assert (smplfx.label, bare.label) == (
        "stand-in-fx,flat-hands,own-betas", "stand-in-fx,flat-hands,own-betas,no-teeth"
    )


def test_ten_coefficients_are_a_hundred_with_zeros(smplfx):
    motion = random_motion(face=1.0)
    padded = replace(motion, expression=torch.cat([motion.expression[:, :10], torch.zeros(6, 90)], dim=1))
    ten = replace(motion, expression=motion.expression[:, :10])
    torch.testing.assert_close(smplfx.surface(ten), smplfx.surface(padded), atol=1e-6, rtol=0)
    lids = replace(ten, eyelids=None), replace(ten, eyelids=torch.zeros(6, 2))
    torch.testing.assert_close(smplfx.surface(lids[0]), smplfx.surface(lids[1]), atol=1e-7, rtol=0)
    with pytest.raises(UserError, match="100 expression coefficients, the motion uses 101"):
        smplfx.surface(replace(ten, expression=torch.ones(6, 101)))


def test_frames_do_not_depend_on_each_other(smplfx):
    motion = random_motion(70, face=1.0)
    whole = smplfx.track(motion, ["body", "left_hand", "face"])
    one = smplfx.track(motion.frames(slice(66, 67)), ["body", "left_hand", "face"])
    for name, points in whole.items():
        torch.testing.assert_close(points[66:67], one[name], atol=1e-6, rtol=0)
    assert smplfx.surface(motion.frames(slice(0, 0))).shape == (0, 10595, 3)


def test_points_are_those_of_the_whole_mesh(smplfx, monkeypatch):
    motion = random_motion(face=1.0)
    surface, points = smplfx.surface(motion), smplfx.track(motion, ["body", "face"])
    torch.testing.assert_close(points["face"][:, 1:], surface[:, smplfx.face_vertices], atol=1e-6, rtol=0)
    torch.testing.assert_close(points["face"][:, 0], points["body"][:, 15], atol=1e-6, rtol=0)
    extra = smplfx._model.vertex_joint_selector.extra_joints_idxs
    torch.testing.assert_close(points["body"][:, 55:76], surface[:, extra], atol=1e-6, rtol=0)
    monkeypatch.setattr(SMPLFX, "vertices", None)
    monkeypatch.setattr(SMPLFX, "joints", None)
    assert list(smplfx.track(motion, ["face"])) == ["face"]


def test_any_precision_gives_single_precision(smplfx):
    motion = random_motion(face=1.0)
    double = replace(
        motion, rotations=motion.rotations.double(), expression=motion.expression.double(),
        betas=motion.betas.double(), eyelids=motion.eyelids.double(), head_shape=motion.head_shape.double(),
    )
    assert torch.equal(smplfx.surface(double), smplfx.surface(motion))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(smplfx.surface(motion), smplfx.surface(motion))


def test_a_mirrored_motion_moves_the_other_side(smplfx):
    mirror = torch.from_numpy(np.load(STAND_IN / "standin_extra.npz")["mirror"])
    lids = replace(motion_of(jaw=(0.2, 0.1, 0.0)), eyelids=torch.tensor([[1.0, 0.2]]))
    own, other = (smplfx.surface(m)[0, :10475] for m in (lids, lids.mirrored()))
    head = shares(smplfx) < 1
    flipped = other[mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert (own - flipped)[head].norm(dim=1).max() < 0.001


def test_with_fixed_betas_every_head_is_the_mean_one(smplfx):
    fixed = load_smplfx(STAND_IN.parent, flat_hand_mean=True, betas=torch.zeros(10))
    motion = replace(random_motion(face=1.0), betas=torch.zeros(10))
    torch.testing.assert_close(
        fixed.surface(motion), smplfx.surface(replace(motion, head_shape=None)), atol=1e-6, rtol=0
    )
    assert fixed.label == "stand-in-fx,flat-hands"
    assert (fixed.surface(motion) - smplfx.surface(motion)).norm(dim=2).max() > 0.005


def test_the_scored_face_has_no_neck_eyeballs_or_teeth(smplfx):
    face = smplfx.face_vertices
    assert 1000 < len(face) < 2500 and smplfx.face_region == "flame-face"
    assert (shares(smplfx)[face] == 0).all() and face.max() < 9383
    assert set(np.load(STAND_IN / "flame" / "lip_rings.npz")["upper"]) <= {
        int(i) for i in np.flatnonzero(np.isin(np.load(IDS), face.numpy()))
    }


def test_signatures_name_body_region_and_alignment(smplfx, body):
    """So that scores of SMPL-X and of SMPL-FX never share a column; SMPL-X's stay as they were."""
    def signatures(posed) -> list[str]:
        scores = MotionScores.of(posed, fps=25.0).metrics
        errors = [error for name, error in MotionErrors(posed).errors.items() if name.endswith("face")]
        return [str(m.signatures[0]) for m in (*scores, *errors) if m.signatures[0].part == "face"]

    count = len(smplfx.face_vertices)
    assert signatures(smplfx)[0] == (
        f"DTW-VPE|face|align:root|joints:{count}of{count} flame-face|dtw:exact|units:m,mm|fps:25|"
        "body:stand-in-fx,flat-hands,own-betas|v:1"
    )
    assert signatures(body)[0] == (
        "DTW-VPE|face|align:root|joints:1594of1594|dtw:exact|units:m,mm|fps:25|body:stand-in,flat-hands,own-betas|v:1"
    )
    points = [[line.split("joints:")[1].split("|")[0] for line in signatures(posed)[1:]] for posed in (smplfx, body)]
    assert points == [["flame-face"] * 2, ["mesh"] * 2]


def test_teeth_are_white_and_lips_red(smplfx, body):
    colors = smplfx.colors
    assert colors[10475:].min() > 0.8
    torch.testing.assert_close(colors[:10475], body.colors, atol=1e-3, rtol=0)  # eyebrows fade by distances


def root_with(tmp_path: Path, *files: str, **contents) -> Path:
    """A root with some of the licensed files, which are copies of the stand-in's, and the stand-in."""
    (tmp_path / "stand_in").symlink_to(STAND_IN)
    places = {"smplx": MODEL_FILE, "flame": "flame/FLAME_NEUTRAL.npz", "ids": f"smplx/{IDS.name}",
              "l": "flame/l_eyelid.npy", "r": "flame/r_eyelid.npy", "rings": "flame/lip_rings.npz"}
    for file in files:
        target = tmp_path / places[file]
        target.parent.mkdir(exist_ok=True)
        shutil.copy(IDS if file == "ids" else STAND_IN / places[file], target)
    for file, content in contents.items():
        np.save(tmp_path / places[file], content) if file != "flame" else np.savez(tmp_path / places[file], **content)
    return tmp_path


def test_all_licensed_files_or_the_stand_in(tmp_path, caplog):
    root = root_with(tmp_path, "smplx", "flame")
    with caplog.at_level(logging.INFO):
        assert load_smplfx(root).name == "stand-in-fx"
    assert [(r.levelname, r.message) for r in caplog.records] == [(
        "WARNING", f"SMPL-FX needs {root}/smplx/{IDS.name}: using the stand-in body and head, whose scores compare with "
        "no published ones",
    )]
    assert load_body_model(root).name == "smplx"
    caplog.clear()
    shutil.copy(IDS, root / "smplx" / IDS.name)
    licensed = load_smplfx(root)
    assert licensed.label == "smplfx,own-betas,no-eyelids"
    lids = replace(motion_of(2), eyelids=torch.ones(2, 2))
    assert torch.equal(licensed.surface(lids), licensed.surface(motion_of(2)))
    assert [r.message for r in caplog.records] == [
        f"no file {root}/flame/l_eyelid.npy and no {root}/flame/r_eyelid.npy: eyelids of motions are neither scored nor "
        "shown",
        "the body model smplfx has no eyelids: those of the motions are neither scored nor shown",
    ]


def test_the_stand_in_is_known_wherever_it_lies(tmp_path):
    assert load_body_model(STAND_IN).name == "stand-in" and load_smplfx(STAND_IN).name == "stand-in-fx"
    with pytest.raises(UserError, match="no SMPL-FX: neither .*SMPLX_NEUTRAL.npz nor .*stand_in.* exists; see deps"):
        load_smplfx(tmp_path)


def test_files_that_do_not_fit_are_named(tmp_path, arrays):
    ids = np.load(IDS)
    few = {**arrays, "shapedirs": arrays["shapedirs"][:, :, :200]}
    metres = {**arrays, "v_template": 1000 * arrays["v_template"]}
    closed = {**arrays, "f": np.array([[0, 1, 2], [0, 2, 1]])}
    other = np.random.default_rng(0).permutation(10475)[:5023]
    cases = {
        "few": (dict(flame=few), "has 200 shape directions, SMPL-FX needs 400"),
        "unit": (dict(flame=metres), "cm from the body's .* another unit"),
        "closed": (dict(flame=closed), "is of another model|no open border"),
        "other": (dict(ids=other), "vertex_ids.npy is of another model: only 0% of the edges"),
        "smpl": (dict(ids=np.arange(6890)), r"must hold 5023 different vertices.*\[6890\]"),
        "large": (dict(ids=np.arange(6000, 11023)), "names vertex 11022 of a body of 10475"),
        "shape": (dict(flame={**arrays, "v_template": arrays["v_template"][:778]}), "has 778 vertices, FLAME has 5023"),
        "key": (dict(flame={"v_template": arrays["v_template"]}), "has no shapedirs: it is no FLAME model"),
        "lid": (dict(l=np.zeros((10475, 3))), r"l_eyelid.npy must hold \[5023, 3\] metres, not \[10475, 3\] float64"),
        "millimetres": (dict(l=np.full((5023, 3), -9.25)), r"l_eyelid.npy must hold metres, .* up to 9.25: it is in another"),
        "hole": (dict(l=np.full((5023, 3), np.nan)), "l_eyelid.npy must hold metres, .* numbers up to nan: .* damaged"),
    }
    assert len(ids) == 5023
    for name, (contents, message) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        root = root_with(folder, "smplx", "flame", "ids", "l", "r", "rings", **contents)
        with pytest.raises(UserError, match=message):
            load_smplfx(root)


def test_shares_fall_from_the_body_to_the_face(smplfx):
    share = shares(smplfx)
    assert RING_SHARES == (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    counts = [int((share == of).sum()) for of in RING_SHARES]
    assert counts == [48, 46, 44, 46, 44, 44, 46, 52, 56]
    heights = [float(smplfx.template[torch.nonzero(share == of).squeeze(1), 1].mean()) for of in RING_SHARES]
    assert heights == sorted(heights)


def test_a_second_border_in_the_mouth_is_no_neck(smplfx):
    flame = smplfx._flame
    lip = flame.lips[0, 7]
    open_mouth = replace(flame, faces=flame.faces[~(flame.faces == lip).any(1)])
    for ring, expected in zip(neck_rings(open_mouth), neck_rings(flame), strict=True):
        assert np.array_equal(ring, expected)
    sealed = replace(flame, faces=np.concatenate([flame.faces, flame.faces[:, ::-1]]))
    with pytest.raises(UserError, match="has no open border at the neck"):
        neck_rings(sealed)


def test_pose_correctives_are_those_of_smplx(tmp_path):
    """The stand-in has none."""
    with np.load(STAND_IN / MODEL_FILE) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["posedirs"][:, :, ::90] = np.random.default_rng(0).normal(0, 0.005, arrays["posedirs"][:, :, ::90].shape)
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays)
    motion = replace(random_motion(), betas=torch.zeros(10))
    smplx = BodyModel(tmp_path / "SMPLX_NEUTRAL.npz", "smplx", flat_hand_mean=True)
    posed = SMPLFX(tmp_path / "SMPLX_NEUTRAL.npz", FLAME, IDS, "smplfx", flat_hand_mean=True)
    surface = posed.surface(motion)
    torch.testing.assert_close(surface[:, :10475], smplx.surface(motion), atol=1e-6, rtol=0)
    torch.testing.assert_close(posed.joints(motion), smplx.joints(motion), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        posed.face_points(motion)[:, 1:], surface[:, posed.face_vertices], atol=1e-6, rtol=0
    )
    teeth = surface[:, UPPER_TEETH]
    torch.testing.assert_close(
        distances(teeth), distances(posed.template[UPPER_TEETH]).expand(6, -1, -1), atol=2e-5, rtol=0
    )
    plain = load_smplfx(STAND_IN.parent, flat_hand_mean=True).surface(motion)
    assert (surface - plain)[:, :10475].norm(dim=2).mean() > 0.001


def test_a_body_of_joints_alone_stays_smplx(smplfx, body):
    assert isinstance(body, BodyModel) and smplfx.point_sets == body.point_sets
    assert smplfx.head.joint.shape == (10595,)
