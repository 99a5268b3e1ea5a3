"""The whole way once with quantizers of every kind: a part of two streams from codes over generation to motion."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import get_motion_code
import train
from prepare import small_mbart, synthetic_corpora
from soke.build.generator import trained_producer
from soke.build.tokenizer import own_tokenizer
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.generator.schemes import SCHEMES
from soke.run.config import load_config
from soke.tokenizer.reconstruction import Reconstruction

pytestmark = pytest.mark.slow  # SOKE's and M3T's chains walk the same way
STREAMS = {"body.0": 9, "body.1": 9, "lhand": 12, "rhand.0": 7, "rhand.1": 7}
PARTS = (
    "PARTS={body: {quantizer: {kind: residual, count: 2, of: {kind: ema, codes: 9}}}, "
    "lhand: {quantizer: {kind: fsq, levels: [4, 3]}}, "
    "rhand: {quantizer: {kind: residual, count: 2, of: {kind: vq, codes: 7}}}}"
)


class Workshop:
    """A folder of its own for data, runs and results."""

    def __init__(self, root: Path):
        self.root = root
        data = str(root / "data")
        synthetic_corpora.main(["--out", data, "--size", "tiny"])
        small_mbart.main(["--corpora", data, "--out", str(root / "mbart"), "--size", "tiny"])

    def overrides(self, *more: str) -> list[str]:
        return [
            f"DATASET.CORPORA={{how2sign: null, csl: null, phoenix: {{ROOT: {self.root}/data/Phoenix_2014T}}}}",
            f"DATASET.LEXICON={self.root}/data/lexicon", f"DATASET.CODE_PATH={self.root}/codes",
            f"FOLDER={self.root}/experiments", f"RESULTS={self.root}/results",
            f"TOKENIZER.PATH={self.root}/experiments/tokenizer/toy/tokenizer", f"GENERATOR.MBART={self.root}/mbart",
            "NAME=toy", "TOKENIZER.WIDTH=16", "TOKENIZER.CODE_DIM=16", "TRAIN.END_EPOCH=2", "EVAL.EVERY_EPOCHS=2",
            "EVAL.GENERATE_EVERY=0", "GENERATOR.MAX_STEPS=12", "LOGGER.TENSORBOARD=false", "ACCELERATOR=cpu",
            "METRIC.BACK_TRANSLATION=''", PARTS, *more,
        ]

    def run(self, program, config: str, *more: str) -> None:
        program.main(["--cfg", f"configs/demo/{config}.yaml", "--nodebug", *self.overrides(*more)])

    def config(self, file: str, *more: str):
        return load_config(f"configs/demo/{file}.yaml", overrides=self.overrides(*more))


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """With a trained tokenizer and its codes."""
    shop = Workshop(tmp_path_factory.mktemp("streams"))
    shop.run(train, "deto")
    shop.run(get_motion_code, "soke")
    return shop


def test_codes_are_of_streams(shop):
    """In every file, in the record of origin, in the lexicon's tables and in the published one."""
    tokenizer = own_tokenizer(shop.config("deto"))
    assert tokenizer.streams == STREAMS
    record = json.loads((shop.root / "codes" / "provenance.json").read_text())
    assert record["streams"] == STREAMS
    corpus = Phoenix14T(shop.root / "data" / "Phoenix_2014T")
    clip = corpus.clips("test")[0]
    codes = np.load(shop.root / "codes" / "phoenix" / f"{clip.name}.npy")
    assert codes.shape[2] == 5 and (codes[0] < list(STREAMS.values())).all()
    words = json.loads((shop.root / "codes" / "word2code_DGS.json").read_text())
    assert list(next(iter(words.values()))["recordings"][0]["codes"]) == list(STREAMS)
    published = json.loads((shop.root / "codes" / "word2code.json").read_text())
    assert list(next(iter(published.values()))) == list(STREAMS)

    # what is decoded is the sum of both levels, not one of them
    motion = tokenizer.decode_motion(torch.from_numpy(codes[0]), 25.0)
    other = codes[0].copy()
    other[:, 1] = (other[:, 1] + 1) % 9
    assert not torch.equal(tokenizer.decode_motion(torch.from_numpy(other), 25.0).rotations, motion.rotations)


def test_the_use_of_every_stream_s_codes_is_reported(shop):
    """In training and in a tokenizer's test."""
    tokenizer = own_tokenizer(shop.config("deto"))
    corpus = Phoenix14T(shop.root / "data" / "Phoenix_2014T")
    clips = corpus.clips("test")
    signers = SimpleNamespace(produce=lambda sentences: [corpus.load(clip) for clip in sentences])
    rebuilt = Reconstruction(tokenizer, signers)
    lengths = [len(motion) for motion in rebuilt.produce(clips)]
    assert {stream: use.size for stream, use in rebuilt.use.items()} == STREAMS
    assert all(use.counts.sum() == tokenizer.steps(sum(lengths)) for use in rebuilt.use.values())
    with (shop.root / "experiments" / "tokenizer" / "toy" / "csv" / "metrics.csv").open() as file:
        columns = csv.DictReader(file).fieldnames
    assert {f"val/perplexity_{stream}" for stream in STREAMS} <= set(columns)


@pytest.mark.parametrize("decoding", SCHEMES)
def test_generation_speaks_all_streams(shop, decoding):
    fusion = "GENERATOR.FUSION={body.0: 2, body.1: 1, lhand: 1, rhand.0: 1, rhand.1: 1}"
    chosen = (f"NAME={decoding}", f"GENERATOR.DECODING={decoding}", fusion, "TRAIN.END_EPOCH=1", "EVAL.EVERY_EPOCHS=1")
    shop.run(train, "soke", *chosen)
    with (shop.root / "experiments" / "generator" / decoding / "csv" / "metrics.csv").open() as file:
        logged = {key: float(value) for row in csv.DictReader(file) for key, value in row.items() if value}
    assert all(logged[f"val/loss_{stream}"] > 0 for stream in STREAMS)
    producer = trained_producer(shop.config("soke", *chosen))
    assert producer.generator.spec.streams == STREAMS
    assert producer.generator.source.lexicon.recordings["DGS"]
    clips = Phoenix14T(shop.root / "data" / "Phoenix_2014T").clips("test")[:3]
    codes = producer.generator.generate([clip.text for clip in clips], [clip.language for clip in clips], clips=clips)
    sizes = torch.tensor(list(STREAMS.values()))
    for of_clip in codes:
        assert of_clip.shape[1] == 5 and (of_clip >= 0).all() and (of_clip < sizes).all()
    motions = producer.produce(clips)
    assert [len(motion) for motion in motions] == [producer.tokenizer.frames(len(of_clip)) for of_clip in codes]
    assert all(motion.rotations.isfinite().all() for motion in motions)
