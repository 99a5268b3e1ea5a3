"""The layout of M3T goes the whole way: six-dimensional rotations, a mirrored hand, 100 expressions, eyelids; toy size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import get_motion_code
import test as test_entry
import train
from prepare import small_mbart
from soke.data.saved import read_motion
from soke.generator.producer import SignProducer
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.m3t_corpus import M3TCorpus, write_m3t_corpus

TOKENIZER = """
BASE: [configs/parts/m3t.yaml]
NAME: m3t
TRAIN: {END_EPOCH: 2, NUM_WORKERS: 0}
EVAL: {EVERY_EPOCHS: 1, GENERATE_EVERY: 1, BEST: per_part}
TOKENIZER: {WIDTH: 16, CODE_DIM: 16}
"""


class Workshop:
    """A folder for data, configurations, runs and results."""

    def __init__(self, root: Path):
        self.root = root
        (root / "tokenizer.yaml").write_text(TOKENIZER)
        (root / "generator.yaml").write_text(
            f"BASE: [{root}/tokenizer.yaml]\nTRAIN: {{STAGE: generator}}\n"
            "TOKENIZER: {PATH: '${FOLDER}/tokenizer/m3t/tokenizer'}\n"
        )
        self.overrides = [
            f"DATASET.CORPORA={{m3t: {{ROOT: {root}/data, READER: tests.data.m3t_corpus.M3TCorpus}}}}",
            f"DATASET.CODE_PATH={root}/codes", f"FOLDER={root}/experiments", f"RESULTS={root}/results",
            f"GENERATOR.MBART={root}/mbart", "GENERATOR.MAX_STEPS=12", "LOGGER.TENSORBOARD=false", "ACCELERATOR=cpu",
            "METRIC.BACK_TRANSLATION=", "BODY.FLAT_HAND_MEAN=true",
        ]

    def run(self, program, config: str, *more: str) -> None:
        program.main(["--cfg", f"{self.root}/{config}.yaml", "--nodebug", *self.overrides, *more])

    def tokenizer(self) -> SignTokenizer:
        return SignTokenizer.from_pretrained(self.root / "experiments" / "tokenizer" / "m3t" / "tokenizer")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("m3t"))
    write_m3t_corpus(shop.root / "data")
    small_mbart.main([
        "--cfg", f"{shop.root}/generator.yaml", "--out", str(shop.root / "mbart"), "--size", "tiny", *shop.overrides,
    ])
    shop.run(train, "tokenizer")
    shop.run(get_motion_code, "generator")
    shop.run(train, "generator")
    return shop


def test_each_part_is_exported_at_its_own_best(shop):
    run = shop.root / "experiments" / "tokenizer" / "m3t"
    with (run / "csv" / "metrics.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("val/part_error_face")]
    for part, epoch in shop.tokenizer().epochs.items():
        errors = {int(row["epoch"]): float(row[f"val/part_error_{part}"]) for row in rows}
        assert len(errors) == 2 and epoch == min(errors, key=errors.get)
    assert set(shop.tokenizer().epochs) == {"body", "rhand", "face"}


def test_the_layout_is_the_published_one(shop):
    layout = shop.tokenizer().layout
    assert layout.sizes == {"body": 72, "lhand": 90, "rhand": 90, "face": 108}


def test_both_hands_speak_the_codes_of_one_autoencoder(shop):
    tokenizer, corpus = shop.tokenizer(), M3TCorpus(shop.root / "data")
    assert set(tokenizer.autoencoders) == {"body", "rhand", "face"}
    motion = corpus.load(corpus.clips("test")[0]).frames(slice(0, 40))
    codes, mirrored = tokenizer.encode_motion(motion), tokenizer.encode_motion(motion.mirrored())
    left, right = tokenizer.parts.index("lhand"), tokenizer.parts.index("rhand")
    assert torch.equal(codes[:, left], mirrored[:, right]) and torch.equal(codes[:, right], mirrored[:, left])
    assert not torch.equal(codes[:, left], codes[:, right])


def test_codes_have_a_column_per_part(shop):
    files = list((shop.root / "codes" / "m3t").rglob("*.npy"))
    assert len(files) == 20 and all(np.load(file).shape[2] == 4 for file in files)


def test_generated_motion_has_all_that_the_layout_covers_and_is_scored(shop, caplog):
    shop.run(test_entry, "generator", "TEST.SAVE_PREDICTIONS=true")
    cells = json.loads((shop.root / "results" / "m3t" / "table.json").read_text(encoding="utf-8"))["cells"]
    rows = {"ground truth", "generated", "generated, shuffled", "tokenizer reconstruction"}
    assert {cell["row"] for cell in cells} == rows
    assert {("DTW-PA-JPE", "hand"), ("DTW-VPE", "face")} <= {(cell["metric"], cell["part"]) for cell in cells}
    assert all(np.isfinite(list(cell["values"].values())).all() and cell["clips"] == 4 for cell in cells)
    named = [record for record in caplog.records if "has no eyelids and no expressions beyond 39" in record.message]
    assert len(named) == 1
    motion = read_motion(next((shop.root / "results" / "m3t" / "predictions").rglob("*.npz")))
    assert motion.expression.shape == (len(motion), 100) and motion.eyelids.shape == (len(motion), 2)
    assert motion.expression[:, 10:].any() and motion.rotations[:, 23:25].any()  # coefficients and eyes move


def test_the_exported_generator_signs_a_typed_sentence(shop):
    producer = SignProducer.from_pretrained(shop.root / "experiments" / "generator" / "m3t" / "generator")
    (motion,) = producer.generate(["the dog sleeps"], ["ASL"])
    assert motion.expression.shape[1] == 100 and motion.eyelids is not None and motion.fps == 24.0


def test_a_tokenizer_is_tested(shop):
    shop.run(test_entry, "tokenizer", f"RESULTS={shop.root}/rebuilt")
    cells = json.loads((shop.root / "rebuilt" / "m3t" / "table.json").read_text(encoding="utf-8"))["cells"]
    assert {("PA-MPVPE", "face"), ("codebook-use", "lhand"), ("MPJPE", "hand")} <= {
        (cell["metric"], cell["part"]) for cell in cells
    }
