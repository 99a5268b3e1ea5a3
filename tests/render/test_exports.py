"""What is exported is what was posed, when other programs' rules read it back."""
from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from soke.body.joints import SKELETON_50, SMPLX_JOINTS
from soke.body.motion import JointMotion, Motion
from soke.body.skeleton import Skeleton
from soke.data.storage.saved import read_motion
from soke.errors import UserError
from soke.render import backends, poster
from soke.render.exports import FORMATS, Shown, file_name, write
from soke.render.figure import Figure
from soke.render.gltf import APART
from soke.render.poster import write_poster
from soke.render.studio import Studio
from soke.render.video import write_gif
from soke.run import cli
from tests.render.reading import Glb, read_bvh

MM = 1e-3
FRAMES = 6


def turning(frames: int = FRAMES, expression: int = 10, fps: float = 25.0) -> Motion:
    """All joints turn, up to upside down; the face moves, its joints with it."""
    g = torch.Generator().manual_seed(2)
    return Motion(
        0.6 * torch.randn(frames, 55, 3, generator=g), 2 * torch.randn(frames, expression, generator=g),
        torch.randn(10, generator=g), fps, torch.rand(frames, 2, generator=g),
    )


def sticks(frames: int = 5) -> Shown:
    positions = torch.randn(frames, 50, 3, generator=torch.Generator().manual_seed(0))
    return Shown(Skeleton(SKELETON_50, up="-y"), {"a": JointMotion(positions, SKELETON_50, 20.0)}, "bones")


def joints_of(body, motion: Motion) -> dict[str, np.ndarray]:
    return dict(zip(SMPLX_JOINTS, body.joints(motion)[:, :55].numpy().swapaxes(0, 1)))


@pytest.fixture(scope="module")
def two(body) -> Shown:
    """Figures of different lengths and rates."""
    return Shown(body, {"reference": turning(), "made: <b>": turning(4, fps=20.0)}, "größer, 今天")


def test_glb_gives_back_the_joints_within_a_millimetre(body, two, tmp_path):
    (path,) = write("glb", tmp_path / "clip", two)
    glb = Glb(path)
    assert [node["name"] for node in glb.json["nodes"] if "mesh" in node] == ["reference surface", "made: <b> surface"]
    keys = {len(times): times for times, _ in glb.channels().values()}
    assert np.allclose(keys[6], np.arange(6) / 25) and np.allclose(keys[4], np.arange(4) / 20)
    for skin, (motion, x) in enumerate(zip(two.motions.values(), (-APART / 2, APART / 2))):
        read, expected = glb.joints(skin, len(motion)), joints_of(body, motion)
        assert set(read) == set(expected)
        assert max(np.abs(read[name] - [x, 0, 0] - expected[name]).max() for name in read) < MM


def test_glb_gives_back_the_surface_with_its_face(body, tmp_path):
    """As far as a rig is the surface, and bytes are weights."""
    motion = replace(turning(), rotations=0.5 * turning().rotations)
    shown = Shown(body, {"a": motion}, "")
    glb = Glb(write("glb", tmp_path / "clip", shown)[0])
    (mesh,), (node,) = glb.json["meshes"], [n for n, each in enumerate(glb.json["nodes"]) if "mesh" in each]
    names = mesh["extras"]["targetNames"]
    assert names == [morph.name for morph in shown.rigs["a"].morphs] and "expression_000" in names
    assert np.allclose(glb.channels()[node, "weights"][1][:, 0], motion.expression[:, 0], atol=1e-6)
    off = np.linalg.norm(glb.surface(node, FRAMES) - shown.rigs["a"].surface().numpy(), axis=2)
    assert off.max() < 2 * MM and off.mean() < 0.3 * MM
    weights = glb.accessor(mesh["primitives"][0]["attributes"]["WEIGHTS_0"])
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-12)
    indices = glb.accessor(mesh["primitives"][0]["indices"]).reshape(-1, 3)
    assert np.array_equal(indices, body.faces.numpy())


def test_what_does_not_move_is_left_out_and_what_figures_share_is_kept_once(body, tmp_path):
    still = Motion.rest(3, 25.0)
    (path,) = write("glb", tmp_path / "still", Shown(body, {"a": still}, ""))
    glb = Glb(path)
    ((root, what), (times, _)), = glb.channels().items()  # which keeps the duration
    assert (glb.json["nodes"][root]["name"], what) == ("pelvis", "rotation") and np.allclose(times, np.arange(3) / 25)
    assert "targets" not in glb.json["meshes"][0]["primitives"][0]
    moved = replace(still, rotations=still.rotations.clone())
    moved.rotations[2, 17, 1] = 1.0
    (pair,) = write("glb", tmp_path / "pair", Shown(body, {"a": still, "b": moved}, ""))
    glb = Glb(pair)
    assert {glb.json["nodes"][node]["name"] for node, _ in glb.channels()} == {"pelvis", "right_shoulder"}
    assert pair.stat().st_size < 1.25 * path.stat().st_size  # joints and weights are not quite the same


def test_bvh_gives_back_the_joints_within_a_millimetre(body, two, tmp_path):
    paths = write("bvh", tmp_path / "clip", two)
    assert [path.name for path in paths] == ["clip.1-reference.bvh", "clip.2-made_b.bvh"]
    for path, motion in zip(paths, two.motions.values()):
        read, seconds = read_bvh(path)
        expected = joints_of(body, motion)
        assert set(read) == set(expected) and seconds == pytest.approx(1 / motion.fps)
        assert max(np.abs(read[name] / 100 - expected[name]).max() for name in read) < MM
    text = paths[0].read_text()
    assert "CHANNELS 3 Zrotation Xrotation Yrotation" in text and text.count("CHANNELS 6") > 1  # the face moves joints
    (still,) = write("bvh", tmp_path / "still", Shown(body, {"a": Motion.rest(2, 25.0)}, ""))
    assert still.read_text().count("CHANNELS 6") == 1


def test_npz_and_pose_hold_each_motion(two, tmp_path):
    paths = write("npz", tmp_path / "v1.5 a", two)
    assert [path.name for path in paths] == ["v1.5 a.1-reference.npz", "v1.5 a.2-made_b.npz"]
    assert torch.equal(read_motion(paths[1]).rotations, two.motions["made: <b>"].rotations)
    pytest.importorskip("pose_format")
    from pose_format import Pose

    (path,) = write("pose", tmp_path / "a", replace(two, motions={"reference": two.motions["reference"]}))
    pose = Pose.read(path.read_bytes())
    assert path.name == "a.pose" and pose.body.data.shape == (FRAMES, 1, 67 + 55, 3) and pose.body.fps == 25
    assert write("pose", tmp_path / "b", sticks())[0].is_file()


def test_what_cannot_be_written_is_said_in_one_sentence(body, two, tmp_path):
    with pytest.raises(UserError, match="unknown format 'fbx': choose among mp4, png, gif, poster, glb, html, bvh"):
        write("fbx", tmp_path / "a", two)
    for format in ("glb", "bvh"):
        with pytest.raises(UserError, match=f"{format} holds skin or angles, and a body of joint positions .skel"):
            write(format, tmp_path / "a", sticks())
        with pytest.raises(UserError, match="choose among mp4, png, gif, poster, html, pose, npz"):
            Studio(sticks().body, tmp_path, formats=["mp4", format])
    broken = turning()
    broken.expression[3, 2] = torch.nan
    with pytest.raises(UserError, match="'a' holds NaN or infinite numbers in frame 3"):
        Shown(body, {"a": broken}, "")
    with pytest.raises(UserError, match="'a' holds NaN or infinite numbers in its shape"):
        Shown(body, {"a": replace(turning(), betas=torch.full((10,), torch.inf))}, "")
    with pytest.raises(UserError, match="'a' has no frames"):
        Shown(body, {"a": turning(0)}, "")
    with pytest.raises(UserError, match="add poster to --format"):
        Studio(body, tmp_path, formats=["mp4"], frames=(3,))
    for format in ("mp4", "gif"):
        with pytest.raises(UserError, match=f"{format} has one frame rate, these motions have 'reference' 25, .* 20 f"):
            write(format, tmp_path / "a", two)
    metres = Shown(Skeleton(SKELETON_50, unit="m"), sticks().motions, "")
    with pytest.raises(UserError, match=r"positions of skeleton-50 are in m, \+y is up"):
        write("pose", tmp_path / "a", metres)
    assert list(tmp_path.iterdir()) == []


def test_a_motion_without_a_joint_of_the_body_is_no_pose_file(body, tmp_path):
    pytest.importorskip("pose_format")
    lacking = replace(turning(), lacking=frozenset({"left_wrist"}))
    with pytest.raises(UserError, match="'a' cannot be written as .pose: the motion lacks left_wrist"):
        write("pose", tmp_path / "a", Shown(body, {"a": lacking}, ""))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_or_not_the_bodys_is_said_before_anything_is_signed(body, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"positions of skeleton-50 are in m, \+y is up"):
        Studio(Skeleton(SKELETON_50, unit="m"), tmp_path, formats=["npz", "pose"])
    monkeypatch.setitem(sys.modules, "pose_format", None)
    with pytest.raises(UserError, match="writing .pose files needs the package pose-format: pip install pose-format"):
        Studio(body, tmp_path, formats=["npz", "pose"])
    monkeypatch.setattr(backends, "vtk_problem", lambda: "VTK is not installed (pip install vtk)")
    with pytest.raises(UserError, match="VTK is not installed .* or choose the backend 'software'"):
        Studio(body, tmp_path, backend="vtk", formats=["mp4"])
    assert Studio(body, tmp_path, formats=["mp4"]).backend == "auto"


def test_the_log_says_how_far_a_rig_is_from_its_surface(body, caplog):
    caplog.set_level(logging.INFO)
    assert set(Shown(body, {"a": Motion.rest(2, 25.0)}, "").rigs) == {"a"}
    assert "'a' as a skinned figure: at most 0.0 mm off its surface, 0.00 mm on average" in caplog.text


def test_formats_are_named_where_people_look(two):
    root = Path(__file__).parents[2]
    for place in ("vis_mesh.py", "soke/render/EXPORTS.md"):
        text = (root / place).read_text(encoding="utf-8")
        assert not [name for name in FORMATS if not re.search(rf"\b{name}\b", text)]


def test_settings_may_follow_the_formats():
    parser = cli.parser("vis_mesh", "")
    parser.add_argument("--format", nargs="+", action="extend")
    config, args = cli.parse(parser, ["--cfg", "configs/soke.yaml", "--format", "glb", "bvh", "RENDER.SIZE=64"])
    assert args.format == ["glb", "bvh"] and config.render.size == 64
    assert cli.numbers("3,10,24") == (3, 10, 24)
    with pytest.raises(argparse.ArgumentTypeError, match="'3,x' is no list of whole numbers"):
        cli.numbers("3,x")
    assert cli.positive("12") == 12
    for text in ("0", "-1", "1.5", "", "two"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is no whole number from 1 on"):
            cli.positive(text)


def test_a_studio_writes_every_format_that_is_asked_for(two, body, tmp_path):
    paths = Studio(body, tmp_path, 32, "software", formats=["npz", "bvh", "npz"]).draw("a/b 1", two.motions, "")
    names = [f"a_b_1.{number}.{suffix}" for suffix in ("npz", "bvh") for number in ("1-reference", "2-made_b")]
    assert [path.name for path in paths] == names and all(path.is_file() for path in paths)
    assert file_name(" / ") == "clip" and set(FORMATS) >= {"mp4", "png", "gif", "poster", "glb", "html", "bvh", "pose"}


@pytest.fixture
def doll_figures(doll) -> list[Figure]:
    vertices, faces, colors = doll
    clip = np.stack([vertices] * 7)
    clip[:, :, 1] += np.linspace(0, 0.3, 7, dtype=np.float32)[:, None]
    return [Figure(clip, faces, colors, "reference", 24), Figure(clip[:4], faces, colors, "gen $x_1$", 24)]


def test_a_gif_keeps_the_duration_and_its_frames_differ(doll_figures, tmp_path):
    path = write_gif(tmp_path / "a.gif", doll_figures, "caption", 64, "software", progress=False)
    with Image.open(path) as gif:
        assert gif.n_frames == 7 and gif.info["loop"] == 0 and gif.size[0] < 2 * 64 + 10
        pictures, durations = [], []
        for frame in range(7):
            gif.seek(frame)
            pictures.append(np.asarray(gif.convert("RGB")).astype(int))
            durations.append(gif.info["duration"])
    assert sum(durations) == 290 and set(durations) == {40, 50}  # 7 / 24 s in hundredths
    changes = [np.abs(a - b).mean() for a, b in zip(pictures, pictures[1:])]
    assert min(changes) > 0.5
    fast = [replace(figure, fps=120) for figure in doll_figures]
    with Image.open(write_gif(tmp_path / "b.gif", fast, "", 32, "software", progress=False)) as gif:
        assert gif.n_frames == 3  # 0, 3 and 6


def test_a_poster_shows_the_frames_that_are_chosen(doll_figures, tmp_path, monkeypatch):
    monkeypatch.setattr(poster, "choose_font", lambda text, size: ImageFont.load_default(size))  # small, soon embedded
    pdf, svg = write_poster(tmp_path / "v1.5", doll_figures, "ein Satz, größer", (1, 5), "software")
    assert pdf.name == "v1.5.pdf" and pdf.read_bytes()[:5] == b"%PDF-"
    text = svg.read_text()
    assert text.count("<image") == 3  # the second figure has no frame 5
    assert "ein Satz, größer" in text and "0.04 s (1)" in text and "gen $x_1$" in text  # as comments, beside shapes
    with pytest.raises(UserError, match="there is no frame 9: frames go from 0 to 6"):
        write_poster(tmp_path / "a", doll_figures, "", (9,), "software")
    with pytest.raises(UserError, match="room for 40 frames beside each other, not for 41: choose fewer"):
        write_poster(tmp_path / "a", doll_figures, "", range(41), "software")
    assert [[stamp for _, stamp in row] for row in poster.pictures(doll_figures, (), "software")] == [
        ["0.00 s (0)", "0.04 s (1)", "0.08 s (2)", "0.17 s (4)", "0.21 s (5)", "0.25 s (6)"],
        ["0.00 s (0)", "0.04 s (1)", "0.08 s (2)", "0.12 s (3)"],
    ]


@pytest.mark.slow
def test_khronos_validator_finds_nothing(two, tmp_path):
    script = (
        "const v = require('gltf-validator'), fs = require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then((r) => console.log(JSON.stringify(r)));"
    )
    paths = write("glb", tmp_path / "clip", two)
    paths += write("glb", tmp_path / "one", replace(two, motions={"a frame": turning(1)}))
    paths += write("glb", tmp_path / "rest", replace(two, motions={"still": Motion.rest(3, 25.0, 0)}))
    if shutil.which("node") is None:
        pytest.skip("no node")
    for path in paths:
        done = subprocess.run(["node", "-e", script, str(path)], capture_output=True, text=True, check=False)
        if "Cannot find module" in done.stderr:
            pytest.skip("npm install gltf-validator, in a folder that NODE_PATH names")
        report = json.loads(done.stdout)
        assert report["issues"]["messages"] == [] and report["info"]["animationCount"] == 1
