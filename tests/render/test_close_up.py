"""A close-up frames head and neck, goes where the head goes, and shows how it turns and what the face does."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from soke.body.joints import joint_indices
from soke.body.model import load_smplfx
from soke.body.motion import Motion
from soke.render.backends import vtk_problem
from soke.render.camera import close_up_camera
from soke.render.figure import Figure, figures_of
from soke.render.pictures import Pictures, joined
from soke.render.raster import project
from soke.render.sheet import contact_sheet
from soke.render.video import write_video

ROOT = Path(__file__).resolve().parents[2]
SIZE = (90, 120)


def moved(frames: int = 1, **joints: Sequence[float]) -> Motion:
    """The zero pose with the named joints turned."""
    motion = Motion.rest(frames, 25.0)
    for name, turn in joints.items():
        motion.rotations[:, joint_indices([name])[0]] = torch.tensor(turn)
    return motion


def with_close_ups(body, *motions: Motion) -> list[Figure]:
    return figures_of(body, {str(number): motion for number, motion in enumerate(motions)}, close_ups=True)


def picture(figure: Figure, of: list[Figure] | None = None, backend: str = "software") -> np.ndarray:
    """The close-up of its first frame, by the camera for `of`, [120, 90, 3] int."""
    pictures = Pictures(of or [figure], (32, 32), SIZE, backend)
    drawn = pictures.draw(figure, 0)[1].astype(int)
    pictures.close()
    return drawn


def in_picture(figures: list[Figure]) -> np.ndarray:
    """x, y in pixels [T, N, 2] of the heads' vertices, all figures' frames one after the other."""
    heads = [figure.close_ups[0].part.vertices[:, figure.close_ups[0].seen] for figure in figures]
    camera = close_up_camera(heads, SIZE[0] / SIZE[1])
    eye = np.array(camera.position)
    frames = [frame for head in heads for frame in head]
    return np.stack([project(frame, eye, camera.focal(SIZE[1]), *SIZE)[:, :2] for frame in frames])


TURNS = {
    "straight": {}, "to the left": {"head": [0.0, 0.9, 0.0]}, "down": {"head": [0.5, 0.0, 0.0], "neck": [0.3, 0.0, 0.0]},
    "up": {"head": [-0.5, 0.0, 0.0]}, "aslant": {"neck": [0.0, 0.0, 0.5]}, "leaning": {"spine1": [0.4, 0.0, 0.3]},
    "shouting": {"jaw": [0.35, 0.0, 0.0]},
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("shape", [[0.0, 0.0], [3.0, -2.0], [-3.0, 2.0]])
def test_head_and_neck_are_framed_and_large(turn, shape, body):
    motion = moved(**TURNS[turn])
    motion.betas[:2] = torch.tensor(shape)
    points = in_picture(with_close_ups(body, motion))
    assert points.min() > 0 and (points < SIZE).all()
    extent = np.ptp(points[0], axis=0) / SIZE
    assert extent.max() > 0.85  # the picture is filled
    assert abs(0.5 * (points[0].min(axis=0) + points[0].max(axis=0)) / SIZE - 0.5).max() < 0.1  # and evenly


def test_one_camera_frames_the_heads_of_all_figures_and_frames(body):
    tall = moved(2, neck=[0.0, 0.0, 0.6])
    tall.betas[0] = 3.0
    points = in_picture(with_close_ups(body, moved(3, head=[0.0, -1.0, 0.0]), tall))
    assert len(points) == 5 and points.min() > 0 and (points < SIZE).all()


def test_one_vertex_gone_astray_does_not_shrink_the_head(body):
    (figure,) = with_close_ups(body, moved(5))
    heads = [figure.close_ups[0].part.vertices[:, figure.close_ups[0].seen]]
    wild = heads[0].copy()
    wild[2, 0] = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(close_up_camera([wild]).position, close_up_camera(heads).position, atol=0.02)


def test_the_camera_goes_with_the_head_and_does_not_turn_with_it(body):
    nose = int(np.argmax(body.template[:, 2] * (body.template[:, 1] > body.template[:, 1].max() - 0.25)))
    (nose,) = np.flatnonzero(body.head.vertices.numpy() == nose)

    def place(**joints: Sequence[float]) -> np.ndarray:
        (figure,) = with_close_ups(body, moved(**joints))
        return figure.close_ups[0].part.vertices[0, figure.close_ups[0].seen][nose]

    still = place()
    # the whole body carried elsewhere by a joint below the head, which turns back
    leaning = with_close_ups(body, moved(spine1=[0.0, 0.0, 0.3], neck=[0.0, 0.0, -0.3]))[0]
    shift = leaning.vertices[0, body.head.vertices[nose]] - with_close_ups(body, moved())[0].vertices[
        0, body.head.vertices[nose]
    ]
    assert np.abs(shift).max() > 0.05
    carried = place(spine1=[0.0, 0.0, 0.3], neck=[0.0, 0.0, -0.3])
    assert np.abs(carried - still).max() < 0.008
    left, right = place(head=[0.0, 0.5, 0.0]), place(head=[0.0, -0.5, 0.0])
    assert left[0] - still[0] > 0.04 and still[0] - right[0] > 0.04  # the subject's left is +x
    assert still[1] - place(head=[0.4, 0.0, 0.0])[1] > 0.03  # a nod lowers the nose


def test_the_close_up_is_cut_out_of_the_posed_surface(body, monkeypatch):
    posed = []
    surface = body.surface
    monkeypatch.setattr(body, "surface", lambda motion: posed.append(motion) or surface(motion))
    motions = [moved(2, head=[0.1, 0.4, 0.0], left_elbow=[0.0, -1.0, 0.0]), moved(jaw=[0.3, 0.0, 0.0])]
    figures = with_close_ups(body, *motions)
    assert posed == motions  # each once
    bust = figures[0].close_ups[0].part
    place = figures[0].vertices[:, body.head.bust] - bust.vertices
    np.testing.assert_allclose(place, np.broadcast_to(place[:, :1], place.shape), atol=1e-6)
    np.testing.assert_array_equal(bust.colors, figures[0].colors[body.head.bust])
    corners = {tuple(face) for face in body.head.bust.numpy()[bust.faces]}
    assert corners <= {tuple(face) for face in figures[0].faces}
    assert set(body.head.bust[figures[0].close_ups[0].seen].tolist()) == set(body.head.vertices.tolist())
    assert len(bust.faces) < 0.75 * len(figures[0].faces)


def test_hands_neither_move_the_camera_nor_hide_the_face(body):
    raised = moved(
        right_shoulder=[0.0, 1.0, 0.5], right_elbow=[0.0, 1.7, -1.2], left_elbow=[0.0, -1.5, 0.0],
        left_wrist=[0.5, 0.5, 0.5], left_index1=[0.0, 0.0, 1.0],
    )
    still, signing = with_close_ups(body, moved(), raised)
    hand, face = (signing.vertices[0, ids] for ids in (body.hand_vertices["right"], body.face_vertices))
    before = (hand[:, :2] > face[:, :2].min(axis=0)) & (hand[:, :2] < face[:, :2].max(axis=0))
    assert before.all(axis=1).sum() > 50 and hand[:, 2].min() > face[:, 2].max()
    a, b = picture(still), picture(signing)
    neck = 95  # rows from above: below are shoulders
    assert np.abs(a - b)[:neck].max() < 25 and np.abs(a - b)[:neck].mean() < 0.2
    whole = [Pictures([figure], (64, 64), SIZE, "software") for figure in (still, signing)]
    figures = [pictures.draw(figure, 0)[0].astype(int) for pictures, figure in zip(whole, (still, signing))]
    assert np.abs(figures[0] - figures[1]).mean() > 2  # they are seen in the figure


def test_what_the_face_does_is_seen_where_it_does_it(body):
    smiling = moved()
    smiling.expression[:] = 2 * torch.eye(10)[:1]
    still, *others = with_close_ups(body, moved(), moved(jaw=[0.3, 0.0, 0.0]), smiling)
    for other in others:
        both = [still, other]
        change = np.abs(picture(still, both) - picture(other, both)).max(axis=-1) > 40
        rows, columns = np.nonzero(change)
        assert change.sum() > 20 and rows.min() > 40 and abs(columns.mean() - 45) < 5


def white(image: np.ndarray, rows: slice) -> np.ndarray:
    """Columns of the white pixels within the face, in these rows."""
    inside = image[rows, 25:65]
    return np.nonzero((inside.min(axis=-1) > 120) & (np.ptp(inside, axis=-1) < 45))[1]


def test_eyelids_gaze_and_teeth_are_seen():
    body = load_smplfx(ROOT / "deps" / "smpl_models", flat_hand_mean=True)
    eyes, mouth = slice(44, 58), slice(72, 88)
    blinking, left, right = moved(), *(
        moved(left_eye_smplhf=[0.0, turn, 0.0], right_eye_smplhf=[0.0, turn, 0.0]) for turn in (0.5, -0.5)
    )
    blinking = replace(blinking, eyelids=torch.ones(1, 2))
    extra = np.load(ROOT / "deps" / "smpl_models" / "stand_in" / "standin_extra.npz")
    bared = np.flatnonzero([a.startswith(("mouthUpperUp", "mouthLowerDown")) for a in extra["facial_action_labels"]])
    baring = moved(jaw=[0.1, 0.0, 0.0])
    baring = replace(baring, expression=torch.from_numpy(extra["action_to_expression"][bared].sum(axis=0))[None])
    figures = with_close_ups(body, moved(), blinking, left, right, baring)
    still, blink, left, right, smile = (picture(figure, figures) for figure in figures)
    assert len(white(still, eyes)) > 10 and len(white(blink, eyes)) < 2
    assert white(right, eyes).mean() - white(left, eyes).mean() > 1.5  # where the irises are not
    assert len(white(still, mouth)) < 2 and len(white(smile, mouth)) > 8


@pytest.mark.skipif(vtk_problem() is not None, reason=str(vtk_problem()))
def test_both_renderers_draw_the_same_face(body):
    (figure,) = with_close_ups(body, moved(head=[0.1, 0.4, 0.1], jaw=[0.25, 0.0, 0.0]))
    difference = np.abs(picture(figure) - picture(figure, backend="vtk")).max(axis=-1)
    assert difference.mean() < 3.0 and (difference > 60).mean() < 0.03


def test_a_close_up_stands_beside_its_figure_in_a_video_and_under_it_in_a_sheet(body, tmp_path: Path):
    figures = with_close_ups(body, moved(2), moved(3, jaw=[0.3, 0.0, 0.0]))
    plain = figures_of(body, {str(n): moved(n + 2) for n in range(2)})
    sizes = {}
    for name, shown in (("faces", figures), ("plain", plain)):
        reader = imageio_ffmpeg.read_frames(
            str(write_video(tmp_path / f"{name}.mp4", shown, "a", (64, 80), "software", progress=False))
        )
        sheet = contact_sheet(tmp_path / f"{name}.png", shown, "a", 4, (48, 48), "software", progress=False)
        sizes[name] = (next(reader)["size"], Image.open(sheet).size)
        reader.close()
    (width, height), (sheet_width, sheet_height) = sizes["plain"]
    assert width == 2 * 64 + 4 and sheet_width == 3 * 48 + 2 * 4  # as many columns as the longest has frames
    assert sizes["faces"] == ((width + 2 * (60 + 4), height), (sheet_width, sheet_height + 2 * (64 + 4)))


def test_pictures_are_joined_with_paper_between():
    a, b = np.zeros((2, 3, 3), np.uint8), np.ones((2, 3, 3), np.uint8)
    beside, above = joined([a, b], axis=1), joined([a, b], axis=0)
    assert beside.shape == (2, 10, 3) and above.shape == (8, 3, 3)
    assert (beside[:, 3:7] == 255).all() and not beside[:, :3].any() and (beside[:, 7:] == 1).all()
    assert joined([a], axis=1) is not None and joined([a], axis=1).shape == a.shape


def test_all_figures_have_a_close_up_or_none(body):
    figures = with_close_ups(body, moved(), moved())
    figures[1].close_ups = ()
    with pytest.raises(ValueError, match="some figures have a close-up"):
        Pictures(figures, (32, 32), SIZE, "software")
