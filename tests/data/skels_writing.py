"""Corpora of joint positions, as Progressive Transformers' files hold them."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from soke.body.motion import JointMotion
from soke.body.skeletonise import skeleton_50
from soke.body.smplx import BodyModel
from soke.data.clip import SPLITS, Clip
from soke.data.corpora.skels_writer import SkelsWriter
from soke.data.synthetic.corpora import plan_corpora


def write_split(
    root: Path, split: str, motions: Sequence[JointMotion], counter: str = "t/T", divisor: float = 3.0
) -> None:
    """Clips clip-0, clip-1, … of texts of their own."""
    with SkelsWriter(root, split, counter, divisor) as writer:
        for i, motion in enumerate(motions):
            writer.add(Clip(f"clip-{i}", "skels", split, "DGS", f'satz "{i}", ja', root, motion.fps), motion)


def write_skels_corpus(root: Path, body: BodyModel) -> None:
    """The synthetic corpus of German Sign Language, tiny: 12, 4 and 4 sentences."""
    (corpus,) = (corpus for corpus in plan_corpora("tiny", 1234) if corpus.spoken.language == "DGS")
    for split in SPLITS:
        with SkelsWriter(root, split) as writer:
            for take in (take for take in corpus.takes if take.split == split):
                motion, gloss = corpus.perform(take), corpus.spoken.gloss(take.sentence.words)
                clip = Clip(take.name, "skels", split, "DGS", take.sentence.text, root, motion.fps, gloss)
                writer.add(clip, skeleton_50(body, motion))
