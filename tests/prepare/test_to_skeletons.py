"""The .skels of parametric corpora: what is read back are the body's joints, and all else of the clips."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from prepare import to_skeletons
from soke.body.joints import LEFT_HAND, RIGHT_HAND, SKELETON_50, UPPER_BODY, joint_indices
from soke.body.motion import Motion
from soke.body.skeletonise import skeleton_50
from soke.build.body import body_model
from soke.build.data import corpora_of
from soke.errors import UserError
from soke.run.config import load_config
from tests.data.writing import random_motion, write_how2sign, write_how2sign_frames, write_phoenix

SOKE, M3T = "configs/soke.yaml", "configs/m3t.yaml"


@pytest.fixture
def root(tmp_path):
    """Two clips of How2Sign, of which one lacks its frames, and two of Phoenix-2014T."""
    rows = [("a", 0, 1, "one , two"), ("b", 2, 3, "three"), ("c", 3, 4, "four")]
    write_how2sign(tmp_path / "h2s", "val", rows, fps=24)
    for seed, name in enumerate("ab"):
        write_how2sign_frames(tmp_path / "h2s", "val", name, quiet(24, seed))
    broken = tmp_path / "h2s" / "val" / "poses" / "b" / "b_3_3D.pkl"
    broken.write_bytes(b"no pickle")
    write_phoenix(tmp_path / "phoenix", {"x": 25, "y": 30})
    return tmp_path


def quiet(frames: int, seed: int) -> Motion:
    return replace(random_motion(frames, seed), rotations=0.3 * random_motion(frames, seed).rotations)


def run(root, *more: str, config: str = SOKE) -> None:
    to_skeletons.main([
        "--cfg", config, "--out", str(root / "out"), "--workers", "0", *more, "DATASET.CORPORA.csl=null",
        f"DATASET.CORPORA.how2sign.ROOT={root}/h2s", f"DATASET.CORPORA.phoenix.ROOT={root}/phoenix",
        "DATASET.LEXICON=null",
    ])


def sources(root):
    config = load_config(SOKE, overrides=[
        "DATASET.CORPORA.csl=null", f"DATASET.CORPORA.how2sign.ROOT={root}/h2s",
        f"DATASET.CORPORA.phoenix.ROOT={root}/phoenix",
    ])
    return {corpus.name: corpus for corpus in corpora_of(config)}, body_model(config, "cpu")


def read(root):
    config = load_config(str(root / "out" / "data.yaml"), overrides=["NAME=x"])
    return {corpus.name: corpus for corpus in corpora_of(config)}, config


def test_what_is_read_back_are_the_bodys_joints(root, capsys):
    run(root)
    said = capsys.readouterr().out
    assert "how2sign: clips val 1; 24 frames/s, as recorded; 2 clips skipped" in said
    assert "phoenix: clips val 2; 25 frames/s, as recorded; 0 clips skipped" in said
    (parametric, body), (skeletons, config) = sources(root), read(root)
    found = {name: (corpus.language, corpus.fps) for name, corpus in skeletons.items()}
    assert found == {"how2sign": ("ASL", 24), "phoenix": ("DGS", 25)}
    for name, corpus in skeletons.items():
        before = {clip.name: clip for clip in parametric[name].clips("val")}
        for clip in corpus.clips("val"):
            original = before[clip.name]
            assert (clip.text, clip.gloss or None, clip.language) == (original.text, original.gloss, original.language)
            motion = parametric[name].load(original)
            rotations = torch.zeros_like(motion.rotations)  # SOKE's parts see neither root nor spine nor legs
            seen = joint_indices([*UPPER_BODY, "jaw", *LEFT_HAND, *RIGHT_HAND])
            rotations[:, seen] = motion.rotations[:, seen]
            expected = skeleton_50(body, replace(motion, rotations=rotations))
            found = corpus.load(clip)
            assert found.joints == SKELETON_50 and found.fps == motion.fps
            torch.testing.assert_close(found.positions, expected.positions, atol=3 * 0.51e-5, rtol=0)
    assert [clip.name for clip in skeletons["phoenix"].clips("val")] == ["dev/x", "dev/y"]
    assert body_model(config, "cpu").label == "skeleton-50"
    listed = (root / "out" / "skipped_clips.txt").read_text().splitlines()
    assert [line.split("\t")[:2] for line in listed] == [["how2sign/c", "val"], ["how2sign/b", "val"]]
    facts = json.loads((root / "out" / "skeletons.json").read_text())
    assert facts["body"].startswith("stand-in") and facts["fps"] == {"how2sign": 24.0, "phoenix": 25.0}


def test_other_rates_are_resampled_and_said(root, capsys):
    run(root, "--fps", "12")
    assert "phoenix: clips val 2; 12 frames/s, resampled: 2 of 25 frames/s" in capsys.readouterr().out
    corpora, _ = read(root)
    assert corpora["phoenix"].fps == 12
    assert [len(corpora["phoenix"].load(clip)) for clip in corpora["phoenix"].clips("val")] == [12, 14]


def test_processes_write_the_same_bytes(root):
    run(root)
    alone = (root / "out" / "phoenix" / "dev.skels").read_bytes()
    run(root, "--workers", "2")
    assert (root / "out" / "phoenix" / "dev.skels").read_bytes() == alone


def test_what_ends_in_a_sentence(root):
    with pytest.raises(UserError, match="has joint positions already"):
        to_skeletons.main(["--cfg", "configs/skels/tokenizer.yaml", "--out", str(root / "out")])
    with pytest.raises(UserError, match="do not see head and other joints of head, arms and hands"):
        run(root, 'PARTS=[{name: lhand, joints: left_hand, quantizer: {kind: ema, codes: 8}}]')
    with pytest.raises(UserError, match="--fps is 0, it must be between"):
        run(root, "--fps", "0")
    with pytest.raises(UserError, match="clip b: .*b_3_3D.pkl"):
        run(root, "DATASET.STRICT=true")
    assert not (root / "out" / "how2sign" / "dev.skels").exists()
