from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.render.figure import Figure, figures_of
from soke.render.pictures import Pictures
from soke.render.sheet import contact_sheet, sheet_frames
from soke.render.video import write_video

CAPTION = "Guten Morgen, schöne Grüße! 今天天气很好。"


@pytest.fixture
def figures(doll: tuple) -> list[Figure]:
    """Seven and four frames: in each frame both hands are somewhere else."""
    vertices, faces, colors = doll
    hands = np.abs(vertices[:, 0]) > 0.24
    clip = np.stack([vertices] * 7)
    clip[:, hands, 1] += np.linspace(-0.2, 0.3, 7, dtype=np.float32)[:, None]
    return [Figure(clip, faces, colors, "reference", 25), Figure(clip[:4], faces, colors, "generated", 25)]


def read(path: Path) -> tuple[dict, np.ndarray]:
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def test_video_can_be_read_back(figures: list[Figure], tmp_path: Path):
    path = write_video(tmp_path / "new" / "clip.mp4", figures, CAPTION, (121, 99), "software", progress=False)
    meta, frames = read(path)
    assert meta["codec"] == "h264" and meta["pix_fmt"].startswith("yuv420p") and meta["fps"] == 25
    height, width = frames.shape[1:3]
    assert len(frames) == 7 and width % 2 == 0 and height % 2 == 0
    assert 2 * 121 <= width < 2 * 121 + 10 and height > 99  # side by side, with room for label and caption
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_shorter_clip_holds_its_last_frame(figures: list[Figure], tmp_path: Path):
    path = write_video(tmp_path / "clip.mp4", figures, CAPTION, (120, 120), "software", progress=False)
    frames = read(path)[1].astype(int)
    change = np.abs(np.diff(frames, axis=0))  # [6, H, W, 3]
    left, right = change[:, :, :120].mean(axis=(1, 2, 3)), change[:, :, 124:].mean(axis=(1, 2, 3))
    moving = min(left.min(), right[:3].min())
    assert moving > 0.5
    assert right[3:].max() < 0.25 * moving  # nothing moves: compression alone
    assert np.abs(frames[6] - frames[3])[:, 124:].mean() < 0.25 * moving  # and it is the last frame that stays


def test_caption_and_labels_are_written(figures: list[Figure], tmp_path: Path):
    frames = read(write_video(tmp_path / "a.mp4", figures, CAPTION, (120, 120), "software", progress=False))[1]
    blank = [Figure(f.vertices, f.faces, f.colors, "", f.fps) for f in figures]
    empty = read(write_video(tmp_path / "b.mp4", blank, "", (120, 120), "software", progress=False))[1]
    top = (frames.shape[1] - 120) // 3
    assert frames[0, :top, :120].min() < 120 and frames[0, :top, 124:].min() < 120 and frames[0, -top:].min() < 120
    assert empty.shape[1] == 120  # nothing is written, and nothing left free for it


def test_figures_of_other_videos_share_the_cameras(figures: list[Figure], tmp_path: Path):
    first, second = [Figure(f.vertices, f.faces, f.colors, "", f.fps) for f in figures]
    second.vertices *= 1.3  # taller: seen from farther away
    options = dict(size=(120, 120), backend="software", progress=False)
    both = read(write_video(tmp_path / "both.mp4", [first, second], "", **options))[1].astype(int)
    alone, beside = (
        read(write_video(tmp_path / f"{len(others)}.mp4", [first], "", beside=others, **options))[1].astype(int)
        for others in ([], [second])
    )
    known = both[: len(beside), :, :120]
    assert np.abs(beside - known).mean() < 0.25 * np.abs(alone - known).mean()


def test_failure_leaves_no_file_and_keeps_the_old_one(figures: list[Figure], tmp_path: Path, monkeypatch):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")

    def fail(self, vertices, faces, colors):
        raise RuntimeError("disk full")

    monkeypatch.setattr("soke.render.backends.SoftwareRenderer.draw", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        write_video(path, figures, CAPTION, (64, 64), "software", progress=False)
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_two_frame_rates_are_refused(figures: list[Figure], tmp_path: Path):
    figures[1].fps = 20
    with pytest.raises(ValueError, match="'reference' 25, 'generated' 20"):
        write_video(tmp_path / "clip.mp4", figures, CAPTION)
    with pytest.raises(ValueError, match="at least one"):
        write_video(tmp_path / "clip.mp4", [], CAPTION)


def test_contact_sheet(figures: list[Figure], tmp_path: Path):
    path = contact_sheet(tmp_path / "s.png", figures, CAPTION, 5, (64, 48), "software", progress=False)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape[1] == 5 * 64 + 4 * 4
    one = np.asarray(
        Image.open(contact_sheet(tmp_path / "t.png", figures[:1], CAPTION, 5, (64, 48), "software", progress=False))
    )
    assert sheet.shape[0] - one.shape[0] >= 48  # a row more
    np.testing.assert_array_equal(sheet[: one.shape[0] // 2], one[: one.shape[0] // 2])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s.png", "t.png"]
    with pytest.raises(ValueError, match="one column"):
        contact_sheet(path, figures, CAPTION, columns=0)


def test_both_hands_of_stick_figures_stand_beside_them_in_a_video_and_under_them_in_a_sheet(tmp_path: Path):
    motions = {
        name: JointMotion(torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(seed)), SKELETON_50, 25.0)
        for name, seed in (("reference", 1), ("generated", 2))
    }
    figures = figures_of(Skeleton(SKELETON_50), motions)
    _, frames = read(write_video(tmp_path / "a.mp4", figures, "a", (64, 65), "software", progress=False))
    assert frames.shape[2] == 2 * (64 + 4 + 30) + 4  # two hands of (65 - 4) / 2, above each other
    bare = [Figure(f.vertices, f.faces, f.colors, f.label, f.fps, f.whole) for f in figures]
    tall, low = (
        np.asarray(Image.open(contact_sheet(tmp_path / "s.png", f, "a", 2, (65, 64), "software", progress=False)))
        for f in (figures, bare)
    )
    assert tall.shape[1] == low.shape[1] == 2 * 65 + 4
    assert tall.shape[0] == low.shape[0] + 2 * (4 + 30)  # two hands of (65 - 4) / 2, side by side

    pictures = Pictures(figures, (64, 64), (64, 64), "software")
    whole, *hands = pictures.draw(figures[1], 1)
    warmth = [hand[..., 0].astype(int) - hand[..., 2] for hand in hands]
    (cold, none), (nothing, warm) = (((of_hand < -60).sum(), (of_hand > 60).sum()) for of_hand in warmth)
    assert min(cold, warm) > 100 and none == nothing == 0  # the right hand is cold, the left one warm
    assert whole.shape == (64, 64, 3)
    pictures.close()


def test_sheet_frames_are_even_and_span_the_clip():
    assert sheet_frames(29, 8).tolist() == [0, 4, 8, 12, 16, 20, 24, 28]
    assert sheet_frames(3, 8).tolist() == [0, 1, 2]
    assert sheet_frames(1, 8).tolist() == [0]
