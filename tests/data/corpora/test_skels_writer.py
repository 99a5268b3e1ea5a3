"""Corpora of joint positions that are written and read back."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.data.clip import Clip, ClipError
from soke.data.corpora.skels import SkelsCorpus
from soke.data.corpora.skels_writer import SkelsWriter


def positions(frames: int, seed: int = 0) -> JointMotion:
    values = torch.randn(frames, 50, 3, generator=torch.Generator().manual_seed(seed))
    values[:, 1] = 0
    return JointMotion(values, SKELETON_50, 25.0)


def clip(name: str, **more) -> Clip:
    return Clip(name, "skels", "val", "DGS", more.pop("text", f"text of {name}"), Path(), 25.0, **more)


def test_what_is_written_is_read_back(tmp_path):
    clips = [
        clip("dev/11August-1", gloss="MORGEN REGEN", prompt="wie gebärdet man »morgen regnet es«?"),
        clip("b", text='mit "Zeichen"\tund\nUmbruch'), clip("c", gloss="WIND"),
    ]
    motions = [positions(5), replace(positions(9, 1), made_by="model x"), positions(4, 2)]
    with SkelsWriter(tmp_path, "val") as writer:
        for each, motion in zip(clips, motions):
            writer.add(each, motion)
    corpus = SkelsCorpus(tmp_path)
    read = corpus.clips("val")
    assert [c.name for c in read] == ["dev/11August-1", "b", "c"]
    assert [c.text for c in read] == ["text of dev/11August-1", 'mit "Zeichen" und Umbruch', "text of c"]
    assert [c.gloss for c in read] == ["MORGEN REGEN", "", "WIND"]
    assert [c.prompt for c in read] == ["wie gebärdet man »morgen regnet es«?", "", ""]
    for each, motion in zip(read, motions):
        loaded = corpus.load(each)
        torch.testing.assert_close(loaded.positions, motion.positions, atol=3 * 0.51e-5, rtol=0)
        assert loaded.made_by == motion.made_by
    assert not corpus.skipped("val")


def test_files_appear_together_or_not_at_all(tmp_path):
    with SkelsWriter(tmp_path, "val") as writer:
        writer.add(clip("a", gloss="A", prompt="p"), replace(positions(4), made_by="model x"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {f"dev.{kind}" for kind in ("skels", "text", "files", "gloss", "prompt", "made_by")}
    with pytest.raises(KeyboardInterrupt), SkelsWriter(tmp_path, "val") as writer:
        writer.add(clip("b"), positions(4))
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with SkelsWriter(tmp_path, "val") as writer:
        writer.add(clip("b"), positions(4))
    assert {path.name for path in tmp_path.iterdir()} == {"dev.skels", "dev.text", "dev.files"}


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    broken = positions(5)
    broken.positions[2, 7, 1] = float("nan")
    with SkelsWriter(tmp_path, "val") as writer:
        for motion, fault in ((broken, "NaN or infinity"), (positions(3), "3 frames, at least 4")):
            with pytest.raises(ClipError, match=f"clip a: .*{fault}"):
                writer.add(clip("a"), motion)
        with pytest.raises(ValueError, match="the 50 joints"):
            writer.add(clip("a"), JointMotion(torch.zeros(4, 2, 3), ("neck", "nose"), 25.0))
        writer.add(clip("b"), positions(4))
    assert (tmp_path / "dev.files").read_text() == "dev/b\n"
    for kind in ("skels", "text"):
        assert (tmp_path / f"dev.{kind}").read_text().count("\n") == 1


def test_prompts_are_counted_like_the_other_lines(tmp_path):
    from soke.errors import UserError

    with SkelsWriter(tmp_path, "val") as writer:
        writer.add(clip("a"), positions(4))
    (tmp_path / "dev.prompt").write_text("one\ntwo\n")
    with pytest.raises(UserError, match="differ in their number of lines: .*dev.prompt 2"):
        SkelsCorpus(tmp_path).clips("val")
