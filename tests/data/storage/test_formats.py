"""The corpora in SMPL-FX clips: as from SOKE's frames, with what those clips have more, packed or not."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prepare.pack_poses import pack
from prepare.survey import survey
from soke.body.joints import LEFT_HAND
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import Motion
from soke.build.data import corpora_of, statistics_of, tokenizer_data
from soke.build.translation import models as translation_models
from soke.data.clip import ClipError
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.face_clips import write_list
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.dataset import MotionDataset
from soke.data.statistics import Statistics, load_or_compute_statistics
from soke.data.storage.formats import SMPLFX_CLIPS
from soke.data.storage.smplfx_clips import write_clip
from soke.errors import UserError
from soke.run.config import keyed, load_config
from tests.data.storage.test_smplfx_clips import random_motion, rewritten, same
from tests.data.writing import LAYOUT, write_entries, write_how2sign, write_phoenix


def motion(frames: int, fps: float, **changes) -> Motion:
    return replace(random_motion(frames), fps=fps, **changes)


def phoenix(root: Path) -> Phoenix14T:
    return Phoenix14T(root, form=SMPLFX_CLIPS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Clips of 41, 90 and 3 frames, and one without a file; frame pickles of the same names lie beside them."""
    write_phoenix(tmp_path, {"a": 41, "b": 90, "c": 5, "d": 44})
    write_clip(tmp_path / "smplfx/dev/a.npz", motion(41, 25.0))
    write_clip(tmp_path / "smplfx/dev/b.npz", motion(90, 25.0, lacking=frozenset({"eyelids", *LEFT_HAND}), made_by="x"))
    write_clip(tmp_path / "smplfx/dev/c.npz", motion(3, 25.0))
    return tmp_path


def test_a_corpus_of_smplfx_clips_reads_them_and_nothing_else(root: Path):
    corpus = phoenix(root)
    clips = corpus.clips("val")
    assert [clip.name for clip in clips] == ["dev/a", "dev/b"] and corpus.dropped("val").total() == 1
    (skipped,) = corpus.skipped("val")
    assert skipped.name == "dev/d" and skipped.reason == f"{root}/smplfx/dev/d.npz does not exist"
    assert same(corpus.load(clips[0]), motion(41, 25.0)) and corpus.length(clips[0]) == 41
    assert corpus.load(clips[1]).lacking == {"eyelids", *LEFT_HAND} and corpus.load(clips[1]).made_by == "x"


def test_packed_clips_are_those_that_were_packed(root: Path):
    corpus = phoenix(root)
    expected = [corpus.load(clip) for clip in corpus.clips("val")]
    assert pack(corpus, corpus.packed, workers=0).form == "smplfx" and corpus.packed == root / "packed_smplfx"
    shutil.rmtree(root / "smplfx")
    packed = phoenix(root)
    assert all(same(packed.load(clip), e) for clip, e in zip(packed.clips("val"), expected, strict=True))
    assert packed.length(packed.clips("val")[1]) == 90
    assert len(Phoenix14T(root).clips("val")) == 4  # the frame pickles are another matter


def test_a_store_of_other_frames_is_not_read(root: Path):
    corpus = phoenix(root)
    pack(corpus, corpus.packed, workers=0)
    told = "packed in the frames smplfx, not soke: set DATASET.FRAMES, or the corpus's `packed`"
    with pytest.raises(UserError, match=told), keyed():  # as the command line tells it
        Phoenix14T(root, packed=root / "packed_smplfx")
    with pytest.raises(UserError, match="packed in the frames soke, not smplfx"):
        soke = Phoenix14T(root)
        pack(soke, soke.packed, workers=0)
        Phoenix14T(root, packed=root / "packed", form=SMPLFX_CLIPS)


@pytest.mark.parametrize("change", [{"eyelids": None}, {"flame_shape": np.ones(300, np.float32)}])
def test_a_packed_clip_that_was_written_anew_is_noticed(root: Path, change: dict):
    corpus = phoenix(root)
    store = pack(corpus, corpus.packed, workers=0)
    found = store.fingerprint(store.clips("val")[0])
    rewritten(root / "smplfx/dev/a.npz", **change)
    with pytest.raises(UserError, match="frame files of 1 clips of phoenix val .the first: dev/a. have changed"):
        phoenix(root).clips("val")
    again = pack(corpus, corpus.packed, workers=0)
    assert not again.fingerprint(again.clips("val")[0]).fits(found)  # the numbers per frame are what they were


def test_invalid_frames_are_missing_frames(root: Path):
    valid = np.ones(41, bool)
    valid[[0, 7, 8, 40]] = False
    rewritten(root / "smplfx/dev/a.npz", valid=valid)
    corpus = phoenix(root)
    clip = corpus.clips("val")[0]
    kept = motion(41, 25.0).frames(torch.from_numpy(np.flatnonzero(valid)))
    assert same(corpus.load(clip), kept) and corpus.missing_frames(clip) == 2 and corpus.length(clip) == 37
    pack(corpus, corpus.packed, workers=0)
    assert same(phoenix(root).load(phoenix(root).clips("val")[0]), kept)
    assert phoenix(root).missing_frames(phoenix(root).clips("val")[0]) == 2


def csl(root: Path, frames: int, fps: float, annotated: int) -> CSLDaily:
    write_entries(root / "csl_clean.val", [{"name": "S1", "text": "你好", "num_frames": annotated}])
    write_clip(root / "smplfx/S1.npz", motion(frames, fps))
    return CSLDaily(root, form=SMPLFX_CLIPS)


def test_the_rate_of_the_clip_holds(tmp_path: Path):
    corpus = csl(tmp_path, frames=80, fps=20.0, annotated=120)  # of a corpus of 30 frames/s
    (clip,) = corpus.clips("val")
    assert clip.fps == 20.0 and corpus.load(clip).fps == 20.0 and len(corpus.load(clip)) == 80


def test_a_faster_clip_is_brought_down(tmp_path: Path):
    write_how2sign(tmp_path, "train", [("a", 0, 2, "x")], fps=24.0)
    write_clip(tmp_path / "smplfx/a.npz", motion(96, 48.0))
    corpus = How2Sign(tmp_path, form=SMPLFX_CLIPS)
    (clip,) = corpus.clips("train")
    assert same(corpus.load(clip), replace(motion(96, 24.0), **vars_of(motion(96, 24.0).frames(slice(None, None, 2)))))
    assert corpus.length(clip) == 48


def vars_of(motion: Motion) -> dict:
    return {name: getattr(motion, name) for name in ("rotations", "expression", "eyelids")}


def test_a_wrong_rate_is_told_by_the_annotated_duration(tmp_path: Path):
    with pytest.raises(UserError, match="the 120 frames .* last 4.00 s at 30 frames/s, as annotated, but the file says 20"):
        csl(tmp_path, frames=120, fps=20.0, annotated=120).clips("val")


def test_a_clip_of_another_length_than_annotated_is_refused(tmp_path: Path):
    corpus = csl(tmp_path, frames=120, fps=30.0, annotated=30)
    with pytest.raises(ClipError, match="last 4.00 s at 30 frames/s, but its annotation says 1.00 s"):
        corpus.load(corpus.clips("val")[0])


def test_bad_clips_are_skipped_with_their_fault(root: Path):
    (root / "smplfx/dev/a.npz").write_bytes(b"PK")
    jaw = np.zeros((90, 3), np.float32)
    jaw[5, 1] = np.nan
    rewritten(root / "smplfx/dev/b.npz", jaw_pose=jaw)
    corpus = phoenix(root)
    assert {s.name: s.reason.split(";")[0].split("(")[0] for s in corpus.skipped("val")}["dev/a"] == (
        f"{root}/smplfx/dev/a.npz is no .npz of numbers "
    )
    with pytest.raises(ClipError, match="clip dev/b: .*b.npz holds numbers in jaw_pose that are not finite"):
        corpus.load(corpus.clips("val")[0])
    assert [clip.reason.startswith("clip dev/b") for clip in survey(corpus).splits["val"].broken] == [True]


def test_clips_without_sentences_train_tokenizers_alone(root: Path, tmp_path: Path):
    write_clip(tmp_path / "mead/smplfx/M003/1.npz", motion(41, 25.0))
    write_list(tmp_path / "mead", {"M003/1": "M003"})
    own = ["DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null", f"DATASET.CORPORA.phoenix.ROOT={root}",
           f"DATASET.CORPORA.faces.ROOT={tmp_path / 'mead'}", "DATASET.FRAMES=smplfx",
           "DATASET.TRAIN_ON_LEXICON=false"]
    config = load_config("configs/deto.yaml", None, own)
    assert [corpus.name for corpus in corpora_of(config)] == ["phoenix"]
    assert [corpus.name for corpus in tokenizer_data(config, tmp_path).corpora] == ["phoenix", "faces"]
    assert [model.name for model in translation_models(config)] == ["deto/phoenix"]
    alone = load_config("configs/deto.yaml", None, [*own, "DATASET.CORPORA.phoenix=null"])
    for asked in (corpora_of, translation_models):
        with pytest.raises(UserError, match="the clips of faces are no sentences: they train a tokenizer and nothing else"):
            asked(alone)
    assert [corpus.name for corpus in tokenizer_data(alone, tmp_path).corpora] == ["faces"]


def test_soke_s_frames_do_not_tell_where_the_eyes_look(root: Path):
    """A part with eyes is not trained on zeros."""
    eyed = MotionLayout([PartSpec("body", ("head", "left_eye_smplhf"))])
    found = list(MotionDataset([Phoenix14T(root)], "val", eyed))
    assert {item.reason.split(": ")[1] for item in found} == {"it lacks left_eye_smplhf of the part body"}
    with pytest.raises(UserError, match="needs 100 expression coefficients, the motion has 10; check the parts and `frames`"):
        MotionDataset([Phoenix14T(root)], "val", MotionLayout([PartSpec("face", (), expression=100)]))[0]


def test_signs_are_clips_of_their_own_or_segments_of_a_sentence_s(root: Path):
    lexicon = root / "lexicon"
    lexicon.mkdir()
    (lexicon / "lexicon.csv").write_text(
        "word,language,name,fps,source,start,end\nx,DGS,own,25,,,\ny,DGS,cut,25,../smplfx/dev/b.npz,10,30\n"
        "z,DGS,held,25,../smplfx/dev/a.npz,0,20\n"
    )
    write_clip(lexicon / "smplfx/own.npz", motion(20, 25.0))
    write_entries(root / "phoenix14t.train", [{"name": "dev/b", "text": "y"}])
    write_entries(root / "phoenix14t.dev", [{"name": "dev/a", "text": "z"}])
    signs = Lexicon(lexicon, corpora=[phoenix(root)], form=SMPLFX_CLIPS)
    own, cut = signs.clips("train")
    assert same(signs.load(own), motion(20, 25.0)) and len(signs.load(cut)) == 20
    assert torch.equal(signs.load(cut).expression, motion(90, 25.0).expression[10:30])
    assert signs.source(cut) == "phoenix/dev/b"
    assert [clip.name for clip in signs.skipped("train")] == ["held"]  # of a sentence of the validation split


def test_the_configuration_chooses_the_frames_and_statistics_are_of_one_form(root: Path, tmp_path: Path):
    shutil.move(root / "phoenix14t.dev", root / "phoenix14t.train")
    rewritten(root / "smplfx/dev/b.npz", left_hand_pose=np.zeros((90, 45), np.float32))
    own = ["DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null", f"DATASET.CORPORA.phoenix.ROOT={root}"]
    config = load_config("configs/deto.yaml", None, [*own, "DATASET.FRAMES=smplfx"])
    (corpus,) = corpora_of(config)
    assert corpus.form is SMPLFX_CLIPS
    file = tmp_path / "statistics.json"
    found = load_or_compute_statistics(file, MotionDataset([corpus], "train", LAYOUT), form="smplfx")
    assert Statistics.load(file, LAYOUT).form == "smplfx" and found.clips == 2
    named = load_config("configs/deto.yaml", None, [*own, f"DATASET.STATISTICS={file}"])
    with pytest.raises(UserError, match="are of the frames smplfx, DATASET.FRAMES is soke"):
        statistics_of(named, LAYOUT, corpora_of(named))
    published = load_config("configs/deto.yaml", None, [*own, "DATASET.FRAMES=smplfx", "DATASET.STATISTICS=mean.pt"])
    with pytest.raises(UserError, match="mean.pt are of the frames soke, DATASET.FRAMES is smplfx"):
        statistics_of(published, LAYOUT, [corpus])
