"""Any producer is shown: beside the signer, at one frame rate, with what its layout can move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from soke.body.motion import Motion
from soke.data.clip import Clip
from soke.errors import UserError
from soke.render import studio
from tests.evaluation.helpers import Corpus, MeanPose
from tests.tokenizer.helpers import SOKE


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


def test_a_typed_sentence_is_drawn(drawn, tmp_path, capsys):
    explain = "{0.text} in {0.language}".format
    paths = studio.sentence(drawn, MeanPose(SOKE), "It rains.", "ASL", explain)
    assert [path.name for path in paths] == ["ASL_It_rains.mp4", "ASL_It_rains.png"]
    assert capsys.readouterr().out == "It rains. in ASL\n"
    assert np.asarray(Image.open(paths[1])).std() > 10


def test_an_unknown_corpus_is_named(drawn):
    with pytest.raises(UserError, match="has no corpus csl: it has own"):
        studio.clips(drawn, MeanPose(SOKE), [Corpus(1)], "test", "csl", 1)
