"""Any producer is shown: beside the signer, at one frame rate, with what its layout can move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vis_mesh
from soke.body.fitted import with_fitted_expression
from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import Motion
from soke.body.skeleton import Skeleton
from soke.data.clip import Clip, ClipError
from soke.errors import UserError
from soke.render import studio
from tests.evaluation.helpers import Corpus, MeanPose
from tests.tokenizer.helpers import SOKE


class Unreadable(Corpus):
    def load(self, clip: Clip) -> Motion:
        raise ClipError("frame 3 is torn")


class Slow(Corpus):
    """Long enough to be shown as it is, and recorded at 20 frames/s."""

    def load(self, clip: Clip) -> Motion:
        motion = Motion.rest(40, 20.0)
        motion.rotations[:, :, 0] = torch.arange(40)[:, None] / 100
        return motion


@pytest.fixture
def drawn(body, tmp_path) -> studio.Studio:
    return studio.Studio(body, tmp_path, size=48, backend="software")


def test_a_clip_is_shown_beside_its_reference(drawn, monkeypatch):
    shown = []
    monkeypatch.setattr(drawn, "draw", lambda name, motions, caption: shown.append((name, motions, caption)) or [])
    corpus, producer = Slow(3), MeanPose(SOKE)
    studio.clips(drawn, producer, [corpus], "test", "own", 2)
    assert [(name, caption) for name, _, caption in shown] == [
        ("own_c0", "rain 0"), ("own_c1", "sun and snow 1"),
    ]
    for _, motions, _ in shown:
        assert list(motions) == ["reference", "mean pose"] and motions["mean pose"] is producer.motion
        reference, expected = motions["reference"], SOKE.covered(corpus.load(None)).resampled(24.0)
        assert reference.fps == 24.0 and len(reference) == 48
        assert torch.equal(reference.rotations, expected.rotations)
        assert not reference.rotations[:, 0].any() and reference.rotations[:, 15].any()  # no root, but a head


@pytest.mark.parametrize("frames", [13, 402])
def test_a_reference_is_shown_whole_and_at_its_own_speed(drawn, monkeypatch, frames):
    """Tests stretch and squeeze clips, and cut them to whole steps; what people see is what was signed."""
    shown, corpus = [], Corpus(1)
    monkeypatch.setattr(drawn, "draw", lambda name, motions, caption: shown.append(motions["reference"]) or [])
    monkeypatch.setattr(corpus, "load", lambda clip: Motion.rest(frames, 24.0))
    studio.clips(drawn, MeanPose(SOKE), [corpus], "test", "own", 1)
    assert [(len(motion), motion.fps) for motion in shown] == [(frames, 24.0)]


def test_a_typed_sentence_is_drawn(drawn, tmp_path, capsys):
    explain = "{0.text} in {0.language}".format
    paths = studio.sentence(drawn, MeanPose(SOKE), "It rains.", "ASL", explain)
    assert [path.name for path in paths] == ["ASL_It_rains.mp4", "ASL_It_rains.png"]
    assert capsys.readouterr().out == "It rains. in ASL\n"
    assert np.asarray(Image.open(paths[1])).std() > 10


def test_sentences_that_begin_alike_have_files_of_their_own(drawn, monkeypatch):
    names, begin = [], "und nun die wettervorhersage für morgen "  # 40 characters
    monkeypatch.setattr(drawn, "draw", lambda name, motions, caption: names.append(name) or [])
    for text in (begin, f"{begin}freitag", f"{begin}samstag"):
        studio.sentence(drawn, MeanPose(SOKE), text, "DGS")
    assert len(set(names)) == 3 and names[0] == f"DGS_{begin}" and all(name.startswith(names[0]) for name in names)


FACE = MotionLayout([PartSpec("face", ("head", "left_eye_smplhf"), jaw=True, expression=100, eyelids=True)])


class Faces(Corpus):
    """Signs with a hundred expression coefficients, eyelids, and an eye that turns."""

    def load(self, clip: Clip) -> Motion:
        torch.manual_seed(0)
        motion = Motion(torch.zeros(30, 55, 3), torch.zeros(30, 100), torch.zeros(10), 24.0, torch.rand(30, 2))
        motion.rotations[:, [15, 22, 23]] = 0.2 * torch.randn(30, 3, 3)
        motion.expression[:, :39] = torch.randn(30, 39)
        return motion


def shown_of(body, tmp_path, monkeypatch, layout: MotionLayout, corpus: Corpus, face: bool) -> dict[str, Motion]:
    """What is drawn of a clip."""
    drawn, shown = studio.Studio(body, tmp_path, face=face), []
    monkeypatch.setattr(drawn, "draw", lambda name, motions, caption: shown.append(motions) or [])
    studio.clips(drawn, MeanPose(layout), [corpus], "test", "own", 1)
    return shown[0]


def test_faces_are_shown_as_they_are_in_ten_coefficients_and_as_generated(body, tmp_path, monkeypatch):
    shown = shown_of(body, tmp_path, monkeypatch, FACE, Faces(1), True)
    ten = "reference in SMPL-X, 10 expression coefficients"
    assert list(shown) == ["reference", ten, "mean pose"]
    reference, expected = shown["reference"], with_fitted_expression(body, shown["reference"])
    assert reference.expression.shape[1] == 100 and reference.eyelids.any() and reference.rotations[:, 23].any()
    assert torch.equal(shown[ten].expression, expected.expression) and expected.expression.shape[1] == 10
    assert shown[ten].eyelids is None and not shown[ten].rotations[:, 23].any()
    assert torch.equal(shown[ten].rotations[:, [15, 22]], reference.rotations[:, [15, 22]])
    assert list(shown_of(body, tmp_path, monkeypatch, FACE, Faces(1), False)) == ["reference", "mean pose"]
    assert list(shown_of(body, tmp_path, monkeypatch, SOKE, Slow(1), True)) == ["reference", "mean pose"]  # has ten


def test_a_close_up_is_drawn_with_a_sentence(body, tmp_path):
    sheets = []
    for face in (False, True):
        drawn = studio.Studio(body, tmp_path / str(face), size=48, backend="software", face=face)
        sheets.append(Image.open(studio.sentence(drawn, MeanPose(SOKE), "It rains.", "ASL")[1]).size)
    (width, height), (same_width, higher) = sheets
    assert width == same_width and higher == height + 4 + 384  # 288 pixels wide, 3 to 4


def test_a_skeleton_has_no_face_to_show(tmp_path):
    with pytest.raises(UserError, match=r"joints alone \(skeleton-50\) has no face.*leave out --face"):
        studio.Studio(Skeleton(SKELETON_50), tmp_path, face=True)


def test_an_unknown_corpus_is_named(drawn):
    with pytest.raises(UserError, match="has no corpus csl: it has own"):
        studio.clips(drawn, MeanPose(SOKE), [Corpus(1)], "test", "csl", 1)


def test_a_corpus_without_a_clip_to_show_is_told(drawn):
    with pytest.raises(UserError, match="not one clip of split test of own can be shown; own/c0: frame 3 is torn"):
        studio.clips(drawn, MeanPose(SOKE), [Unreadable(2)], "test", None, 1)


def test_a_sentence_is_signed_or_a_corpus_shown(capsys):
    with pytest.raises(SystemExit):
        vis_mesh.main(["--cfg", "configs/soke.yaml", "--text", "it rains", "--demo_dataset", "csl"])
    assert "--demo_dataset: not allowed with argument --text" in capsys.readouterr().err
