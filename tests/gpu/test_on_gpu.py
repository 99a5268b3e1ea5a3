"""The whole way on a GPU, through the entry points: scores and codes are those of the CPU. Run by check.sh."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file

import get_motion_code
import test as test_entry
import train
from soke.body.model import load_body_model, load_smplfx
from soke.body.motion import Motion
from soke.generator import Search, SignProducer
from soke.report.results import read_results
from soke.run.config import ROOT
from soke.tokenizer.autoencoder import ConvEncoder
from tests.recognition.test_stage import write_shop
from tests.test_chain import Workshop
from tests.test_many_processes import logged

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]

SEARCHES = [Search(), Search("sample", top_k=5, top_p=0.9, seed=1), Search("beam", beams=3), Search(no_repeat=2)]
TEXTS, LANGUAGES = ["the dog sleeps in the garden today", "the cat buys the book again"], ["ASL", "ASL"]
ON_GPU = ("ACCELERATOR=gpu", "DEVICE=1", "TRAIN.NUM_WORKERS=2")
SMALL = ("REGRESSOR.WIDTH=16", "REGRESSOR.FEEDFORWARD=16", "REGRESSOR.MAX_FRAMES=40")
MLSF = (*SMALL, "REGRESSOR.GROUPS=per_language", "REGRESSOR.OBJECTIVES={mse: 0.4, plc: 0.3, rwr: 0.3}")
LANG_GLOSS = (
    *SMALL, "REGRESSOR.SOURCE=prompt", "REGRESSOR.LANG_GLOSS={LAYERS: 1, WEIGHT: 1.0, MAX_TOKENS: 8}",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Everything trained on the GPU."""
    shop = Workshop(tmp_path_factory.mktemp("gpu"), *ON_GPU)
    shop.furnish()
    shop.train_all()
    return shop


def producers(shop: Workshop) -> tuple[SignProducer, SignProducer]:
    """The generator on the CPU and on the GPU."""
    folder = shop.folder("experiments", "generator", "toy", "generator")
    return SignProducer.from_pretrained(folder), SignProducer.from_pretrained(folder, "cuda")


@pytest.mark.parametrize("system", ["soke", "progressive_transformer"])
def test_scores_are_those_of_the_cpu(shop, system):
    def cells(*more: str) -> list[dict]:
        shop.run(test_entry, system, f"NAME={name}", *(MLSF if name == "regressor" else ()), *more)
        return json.loads(shop.folder("results", name, "table.json").read_text(encoding="utf-8"))["cells"]

    name = "toy" if system == "soke" else "regressor"
    if name == "regressor":
        shop.run(train, system, f"NAME={name}", *MLSF)
    there, here = cells(), cells("ACCELERATOR=cpu")
    assert len(here) == len(there) > 100
    for ours, theirs in zip(here, there):
        assert [ours[key] for key in ("metric", "part", "row")] == [theirs[key] for key in ("metric", "part", "row")]
        assert theirs["values"] == pytest.approx(ours["values"], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("search", SEARCHES, ids=["greedy", "sample", "beam", "no repeat"])
def test_codes_are_those_of_the_cpu(shop, search):
    ours, theirs = (producer.generator.generate(TEXTS, LANGUAGES, search) for producer in producers(shop))
    for here, there in zip(ours, theirs):
        assert torch.equal(here, there.cpu())


def test_compiled_steps_give_the_same_codes(shop):
    """With CUDA graphs; finished samples leave the batch, so that several shapes are compiled."""
    texts, languages = TEXTS * 3, LANGUAGES * 3
    plain, compiled = (producers(shop)[1].generator.for_inference(compile=compile) for compile in (False, True))
    expected = plain.generate(texts, languages)
    for _ in range(2):  # recorded, then replayed
        for ours, theirs in zip(expected, compiled.generate(texts, languages), strict=True):
            assert torch.equal(ours, theirs)
    assert compiled.compile, "the compiler gave up, and the plain step was taken"


def test_motions_are_those_of_the_cpu(shop, body):
    here, there = producers(shop)
    (ours,), (theirs,) = here.generate(TEXTS[:1], ["ASL"]), there.generate(TEXTS[:1], ["ASL"])
    torch.testing.assert_close(theirs.rotations, ours.rotations, rtol=1e-4, atol=1e-4)
    moved = load_body_model(ROOT / "deps" / "smpl_models", flat_hand_mean=True).to("cuda")
    posed = moved.joints(ours.to("cuda")).cpu()
    torch.testing.assert_close(posed, body.joints(ours), rtol=1e-4, atol=1e-5)  # 0.01 mm


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("stage", ["deto", "soke", "back_translation", "progressive_transformer", "soke_grpo"])
def test_half_precision_trains(shop, stage, precision):
    more = {
        "progressive_transformer": LANG_GLOSS,
        "soke_grpo": (f"TRAIN.INIT={shop.folder('experiments', 'generator', 'toy', 'generator')}", "POLICY.SAMPLES=2"),
    }
    shop.run(train, stage, f"NAME={stage}-{precision}", f"TRAIN.PRECISION={precision}", *more.get(stage, ()))
    runs = shop.folder("experiments").glob(f"*/{stage}-{precision}")
    weights = [path for run in runs for path in run.rglob("*.safetensors")]
    assert weights, "nothing was exported"
    assert all(value.isfinite().all() for path in weights for value in load_file(path).values())


@pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs DeepSpeed")
@pytest.mark.parametrize("precision, tolerance", [("32-true", 1e-3), ("bf16-mixed", 1e-2)])
def test_deepspeed_trains_as_ddp(shop, precision, tolerance):
    """All GPUs together; and DDP goes on with what DeepSpeed has begun."""
    def run(name: str, *more: str) -> dict[tuple[str, str], float]:
        settings = [
            f"NAME={name}", f"TRAIN.PRECISION={precision}", "DEVICE=auto", "TRAIN.BATCH_SIZE=2", "TRAIN.ACCUMULATE=2",
            "TRAIN.GRAD_CLIP=0.5", "TRAIN.TF32=false", "TRAIN.OPTIM.SCHEDULE=constant", "LOGGER.EVERY_STEPS=1", *more,
        ]
        command = [sys.executable, "-m", "train", "--cfg", "configs/demo/soke.yaml", "--nodebug", *shop.overrides]
        subprocess.run([*command, *settings], cwd=ROOT, check=True)
        experiment = shop.folder("experiments", "generator", name)
        return logged(experiment) | logged(experiment, "grad_norm")

    name = f"deepspeed-{precision}"
    ours = run(f"ddp-{precision}")
    assert run(name, "TRAIN.STRATEGY=deepspeed") == pytest.approx(ours, rel=tolerance)
    run(name, "TRAIN.RESUME=auto", "TRAIN.END_EPOCH=3")
    assert shop.folder("experiments", "generator", name, "csv.1").is_dir()


def test_signs_are_recognised_as_on_the_cpu(tmp_path):
    config = str(write_shop(tmp_path))
    train.main(["--cfg", config, "--nodebug", *ON_GPU, "TRAIN.END_EPOCH=2"])
    tables = []
    for accelerator in ("gpu", "cpu"):
        test_entry.main(["--cfg", config, f"ACCELERATOR={accelerator}", "--out_dir", str(tmp_path / accelerator)])
        tables.append([(cell.metric, cell.score.values) for cell in read_results(tmp_path / accelerator).cells])
    for (metric, there), (same, here) in zip(*tables, strict=True):
        assert metric == same and there == pytest.approx(here, rel=1e-3, abs=1e-3)


def test_an_overflow_in_half_precision_is_survived(shop, monkeypatch, caplog):
    """One infinite latent: the scaler leaves the step out, and the codebook forgets the latent."""
    encode, calls = ConvEncoder.forward, []

    def overflowing(self, *arguments):
        latents = encode(self, *arguments).clone()
        calls.append(1)
        if len(calls) == 4:
            latents[0, 0, 0] = torch.inf
        return latents

    monkeypatch.setattr(ConvEncoder, "forward", overflowing)
    shop.run(train, "deto", "NAME=overflow", "TRAIN.PRECISION=16-mixed", "TRAIN.BATCH_SIZE=4")
    exported = shop.folder("experiments", "tokenizer", "overflow", "tokenizer", "model.safetensors")
    assert all(value.isfinite().all() for value in load_file(exported).values())
    assert "the codebooks are not trained on such latents" in caplog.text
    assert re.search(r"NaN or infinite in 1 of \d+ batches of epoch 0, first in batch 1 ", caplog.text)


def test_codes_written_on_the_gpu_are_those_of_the_cpu(shop):
    def codes() -> dict[str, bytes]:
        root = shop.folder("codes")
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.npy")}

    written = codes()
    for path in shop.folder("codes").rglob("*.npy"):
        path.unlink()
    shop.run(get_motion_code, "soke", "ACCELERATOR=cpu")
    again = codes()
    assert written.keys() == again.keys()
    same = sum(written[name] == again[name] for name in again)
    assert same >= 0.98 * len(again)  # rounding may move a latent over the border between two codes


def test_smplfx_is_that_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    rotations, expression, lids = (torch.randn(3, *shape, generator=generator) for shape in ((55, 3), (100,), (2,)))
    motion = Motion(0.3 * rotations, expression, torch.zeros(10), 25.0, lids, head_shape=torch.ones(300))
    here = load_smplfx(ROOT / "deps" / "smpl_models")
    expected, surface = here.track(motion, ["body", "face"]), here.surface(motion)
    there = here.to("cuda")
    torch.testing.assert_close(there.surface(motion).cpu(), surface, rtol=1e-4, atol=1e-5)
    for name, points in there.track(motion, ["body", "face"]).items():
        torch.testing.assert_close(points.cpu(), expected[name], rtol=1e-4, atol=1e-5)
