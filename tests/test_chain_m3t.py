"""M3T goes the whole way as its configurations say, at toy size: SMPL-FX clips, tokenizer, codes, generator with
translation, back-translation, tests both ways."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import get_motion_code
import test as test_entry
import train
from prepare import ablation, plan_runs, small_mbart
from soke.body.motion import Motion
from soke.build.data import corpora_of
from soke.data.storage.saved import read_motion
from soke.generator.producer import SignProducer
from soke.run.config import ROOT, load_config
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.face_writing import write_phoenix_with_faces

ONE_CORPUS = ["DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null"]
TOY = [
    "TRAIN.NUM_WORKERS=0", "TRAIN.END_EPOCH=2", "TRAIN.BATCH_SIZE=4", "TRAIN.OPTIM.WARMUP_EPOCHS=0",
    "EVAL.EVERY_EPOCHS=1", "EVAL.GENERATE_EVERY=1", "EVAL.GENERATE_CLIPS=2", "LOGGER.TENSORBOARD=false",
    "ACCELERATOR=cpu", "BODY.FLAT_HAND_MEAN=true", "TOKENIZER.WIDTH=16", "TOKENIZER.DEPTH=1", "GENERATOR.MAX_STEPS=12",
    "TRANSLATION.WIDTH=16", "TRANSLATION.LAYERS=1", "TRANSLATION.HEADS=2", "TRANSLATION.FEEDFORWARD=16",
    "TRANSLATION.MAX_TOKENS=8", "TRANSLATION.BEAMS=[1]", "TRANSLATION.LENGTH_PENALTIES=[0]",
]


class Workshop:
    """A folder for data, runs and results of the shipped configurations."""

    def __init__(self, root: Path):
        self.root = root
        self.overrides = [
            *ONE_CORPUS, *TOY, f"DATASET.CORPORA.phoenix.ROOT={root}/data", f"DATASET.CODE_PATH={root}/codes",
            f"FOLDER={root}/experiments", f"RESULTS={root}/results", f"GENERATOR.MBART={root}/mbart",
        ]

    def run(self, program, config: str, *more: str) -> None:
        program.main(["--cfg", f"configs/{config}.yaml", "--nodebug", *self.overrides, *more])

    def tokenizer(self) -> SignTokenizer:
        return SignTokenizer.from_pretrained(self.root / "experiments" / "tokenizer" / "m3t_tokenizer" / "tokenizer")

    def producer(self) -> SignProducer:
        return SignProducer.from_pretrained(self.root / "experiments" / "generator" / "m3t" / "generator")

    def cells(self, *folder: str) -> list[dict]:
        table = self.root.joinpath("results", *folder, "table.json")
        return json.loads(table.read_text(encoding="utf-8"))["cells"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Everything up to and with the generator, the back-translation model and the test of text to motion."""
    shop = Workshop(tmp_path_factory.mktemp("m3t"))
    write_phoenix_with_faces(shop.root / "data")
    mbart = ["--out", str(shop.root / "mbart"), "--size", "tiny"]
    small_mbart.main(["--cfg", "configs/m3t.yaml", *mbart, *shop.overrides])
    shop.run(train, "m3t_tokenizer")
    shop.run(get_motion_code, "m3t")
    shop.run(train, "m3t")
    shop.run(train, "m3t_back_translation", "TRAIN.END_EPOCH=1")
    shop.run(test_entry, "m3t", "--count_time", "TEST.SAVE_PREDICTIONS=true")
    return shop


def test_each_part_is_exported_at_its_own_best(shop):
    run = shop.root / "experiments" / "tokenizer" / "m3t_tokenizer"
    with (run / "csv" / "metrics.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("val/part_error_face")]
    for part, epoch in shop.tokenizer().epochs.items():
        errors = {int(row["epoch"]): float(row[f"val/part_error_{part}"]) for row in rows}
        assert len(errors) == 2 and epoch == min(errors, key=errors.get)
    assert set(shop.tokenizer().epochs) == {"body", "rhand", "face"}


def test_the_layout_is_the_published_one(shop):
    assert shop.tokenizer().layout.sizes == {"body": 72, "lhand": 90, "rhand": 90, "face": 108}


def test_both_hands_speak_the_codes_of_one_autoencoder(shop):
    tokenizer = shop.tokenizer()
    (corpus,) = corpora_of(load_config("configs/m3t.yaml", overrides=shop.overrides))
    assert set(tokenizer.autoencoders) == {"body", "rhand", "face"}
    motion = corpus.load(corpus.clips("test")[0]).frames(slice(0, 40))
    codes, mirrored = tokenizer.encode_motion(motion), tokenizer.encode_motion(motion.mirrored())
    left, right = tokenizer.parts.index("lhand"), tokenizer.parts.index("rhand")
    assert torch.equal(codes[:, left], mirrored[:, right]) and torch.equal(codes[:, right], mirrored[:, left])

    def latents(motion: Motion) -> dict[str, torch.Tensor]:
        features = {part: values[None] for part, values in tokenizer.layout.features(motion).items()}
        return tokenizer.latents(features, torch.tensor([len(motion)]))

    own, other = latents(motion), latents(motion.mirrored())
    torch.testing.assert_close(own["lhand"], other["rhand"])
    torch.testing.assert_close(own["rhand"], other["lhand"])
    assert not torch.allclose(own["lhand"], own["rhand"], rtol=1e-3)


def test_codes_have_a_column_per_part(shop):
    files = list((shop.root / "codes" / "phoenix").rglob("*.npy"))
    assert len(files) == 20 and all(np.load(file).shape[2] == 4 for file in files)


def test_the_generator_has_a_prompt_and_a_head_of_each_part_and_translates(shop):
    generator = shop.producer().generator
    assert generator.spec.streams == {"body": 96, "lhand": 192, "rhand": 192, "face": 512}
    assert len(generator.vocabulary.language_ids("DGS")) == 4
    assert set(generator.heads.linear) == set(generator.spec.streams)
    assert generator.text_head.weight is not None and not generator.source.lexicon.recordings


def test_generated_motion_is_scored_on_smpl_fx_and_read_back(shop):
    cells = shop.cells("m3t")
    made = {"generated", "generated, shuffled", "tokenizer reconstruction"}
    assert {cell["row"] for cell in cells} == {"ground truth", *made}
    found = {(cell["row"], cell["metric"], cell["part"]): cell for cell in cells}
    for row in made:
        face = found[row, "DTW-VPE", "face"]["signature"]
        assert "-fx" in face["body"] and face["joints"].endswith("flame-face") and face["alignment"] == "root"
        assert {(row, "DTW-PA-JPE", "hand"), (row, "DTW-JPE", "body"), (row, "BLEU-4", None)} <= set(found)
    assert ("ground truth", "BLEU-4", None) in found
    assert all(np.isfinite(list(cell["values"].values())).all() and cell["clips"] == 4 for cell in cells)
    motion = read_motion(next((shop.root / "results" / "m3t" / "predictions").rglob("*.npz")))
    assert motion.expression.shape == (len(motion), 100) and motion.eyelids.shape == (len(motion), 2)
    assert motion.expression[:, 10:].any() and motion.rotations[:, 23:25].any()  # coefficients and eyes move


def test_back_translation_reads_360_numbers_per_frame(shop):
    file = shop.root / "experiments" / "translation" / "m3t_back_translation" / "phoenix" / "translation"
    settings = json.loads((file / "translator.json").read_text(encoding="utf-8"))
    config = load_config("configs/m3t_back_translation.yaml")
    assert settings["provenance"]["layout_hash"] == shop.tokenizer().layout.hash
    assert sum(shop.tokenizer().layout.sizes.values()) == 360 and config.train.batch_size == 256


def test_seconds_per_video_are_those_of_four_streams(shop):
    timing = json.loads((shop.root / "results" / "m3t" / "timing.json").read_text(encoding="utf-8"))
    assert [row["batch_size"] for row in timing["timings"]] == [1, 8, 64]
    assert all(row["mean"] > 0 for row in timing["timings"])


def test_the_generator_is_tested_from_motion_to_text(shop):
    shop.run(test_entry, "m3t", "--task=m2t")
    found = {(cell["row"], cell["metric"]): cell for cell in shop.cells("m3t", "m2t")}
    assert ("generator", "BLEU-4") in found and all(cell["clips"] == 4 for cell in found.values())


def test_the_exported_generator_signs_a_typed_sentence_and_reads_it(shop):
    producer = shop.producer()
    (motion,) = producer.generate(["am morgen kommt regen"], ["DGS"])
    assert motion.expression.shape[1] == 100 and motion.eyelids is not None and motion.fps == 25.0
    assert len(producer.translate([motion], ["DGS"])) == 1


def test_a_tokenizer_is_tested(shop):
    shop.run(test_entry, "m3t_tokenizer")
    assert {
        ("PA-MPVPE", "face"), ("codebook-use", "lhand"), ("MPJPE", "hand"), ("DTW-VPE", "face"),
        ("token-counts", "face"), ("level-use", "face dimension 3"),
    } <= {(cell["metric"], cell["part"]) for cell in shop.cells("m3t_tokenizer")}
    assert (shop.root / "results" / "m3t_tokenizer" / "token_frequencies.png").is_file()


@pytest.mark.slow
def test_an_ablation_compares_tokenizers(shop, monkeypatch):
    """The shipped plan of FSQ and VQ, on other data; its programs run in this process."""
    plan = OmegaConf.load(ROOT / "configs" / "ablation" / "demo_fsq_vq.yaml")
    plan.BASE, plan.SEEDS = "configs/m3t_tokenizer.yaml", [1]
    OmegaConf.save(plan, shop.root / "fsq_vq.yaml")
    programs = {"train": train, "test": test_entry}
    monkeypatch.setattr(plan_runs, "run", lambda command, **place: programs[command[0]].main(command[1:]))
    argv = ["--cfg", f"{shop.root}/fsq_vq.yaml", *shop.overrides, "TRAIN.END_EPOCH=1"]
    ablation.main(argv)
    folder = shop.root / "results" / "ablation-fsq_vq"
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    assert set(table) == set(plan.ROWS)
    for (run,) in table.values():
        assert set(run) == set(plan.SCORES) and all(0 < value < 5000 for value in run.values())
    assert "PA-MPVPE" in (folder / "table.txt").read_text(encoding="utf-8")
    monkeypatch.setattr(plan_runs, "run", lambda command, **place: pytest.fail("it is all there"))
    ablation.main(argv)
