"""The whole way on a simulated GPU: nothing mixes devices, scores are those of the CPU, and steps do not wait for it.

Run by test_simulated_gpu.py, in a process of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy

import test as test_entry
import train
from soke.body.model import load_body_model
from soke.build import devices, trainer
from soke.generator import Search, SignProducer
from soke.metrics.dtw_torch import dtw_jpe_batch
from soke.report.results import read_results
from soke.run.averaging import MovingAverage
from soke.run.callbacks import FiniteWeights
from soke.run.config import ROOT
from soke.run.training import EpochMeans
from soke.run.watching import StepLog
from tests.data.skels_writing import write_skels_corpus
from tests.embedding import test_stages as embedding_stages
from tests.recognition.test_stage import write_shop
from tests.simulated_gpu import DEVICE, Simulation, waits
from tests.test_chain import Workshop

SEARCHES = [Search(), Search("sample", top_k=5, top_p=0.9, seed=1), Search("beam", beams=3), Search(no_repeat=2)]
TEXTS, LANGUAGES = ["the dog sleeps in the garden today", "the cat buys the book again"], ["ASL", "ASL"]


class Accelerator(CPUAccelerator):
    """Lightning's, of which it asks nothing of the CPU but that it is there."""

    def setup_device(self, device):
        pass


class Waited(Callback):
    """How often each step of a training waits for the device, by the module's name."""

    steps: dict[str, list[int]] = {}

    def on_train_batch_start(self, trainer, module, batch, index):
        self._before = Counter(waits)

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        found = sum(count for name, count in (waits - self._before).items() if name != "upload")
        self.steps.setdefault(type(module).__name__, []).append(found)


def on_sim(*args, accelerator, devices, strategy="auto", callbacks=(), **settings) -> Trainer:
    return Trainer(*args, strategy=SingleDeviceStrategy(DEVICE, Accelerator()), callbacks=[Waited(), *callbacks], **settings)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Everything trained on the simulated GPU."""
    more = ("TRAIN.NUM_WORKERS=0", "TRAIN.END_EPOCH=1", "GENERATOR.MAX_STEPS=48")
    shop = Workshop(tmp_path_factory.mktemp("sim"), *more)
    shop.furnish()
    with pytest.MonkeyPatch.context() as patch, Simulation():
        patch.setattr(devices, "device_of", lambda config: str(DEVICE))
        patch.setattr(trainer.pl, "Trainer", on_sim)
        shop.train_all()
        shop.run(train, "progressive_transformer", "NAME=regressor", "REGRESSOR.WIDTH=16", "REGRESSOR.MAX_FRAMES=40")
    return shop


def producers(shop: Workshop) -> tuple[SignProducer, SignProducer]:
    """The generator on the CPU and on the simulated GPU."""
    folder = shop.folder("experiments", "generator", "toy", "generator")
    return SignProducer.from_pretrained(folder), SignProducer.from_pretrained(folder, str(DEVICE))


def test_devices_must_not_be_mixed():
    with Simulation():
        there = torch.ones(3, device=DEVICE)
        assert there.device == DEVICE and (there + 1).tolist() == [2, 2, 2] and (there * torch.tensor(2.0)).sum() == 6
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(3)
        with pytest.raises(TypeError):
            there.numpy()


def test_scores_are_those_of_the_cpu(shop, monkeypatch):
    def cells() -> list[dict]:
        shop.run(test_entry, "soke", "DATASET.CORPORA.csl=null", "DATASET.CORPORA.phoenix=null")
        return json.loads(shop.folder("results", "toy", "table.json").read_text(encoding="utf-8"))["cells"]

    on_cpu = cells()
    monkeypatch.setattr(devices, "device_of", lambda config: str(DEVICE))
    with Simulation():
        on_device = cells()
    assert len(on_cpu) == len(on_device) > 50
    for here, there in zip(on_cpu, on_device):
        assert [here[key] for key in ("metric", "part", "row")] == [there[key] for key in ("metric", "part", "row")]
        assert there["values"] == pytest.approx(here["values"], rel=1e-3, abs=1e-6)


def test_signs_are_recognised_as_on_the_cpu(tmp_path, monkeypatch):
    config = write_shop(tmp_path)
    with monkeypatch.context() as patch, Simulation():
        patch.setattr(devices, "device_of", lambda config: str(DEVICE))
        patch.setattr(trainer.pl, "Trainer", on_sim)
        train.main(["--cfg", str(config), "--nodebug", "TRAIN.END_EPOCH=2"])
        test_entry.main(["--cfg", str(config), "--out_dir", str(tmp_path / "there")])
    test_entry.main(["--cfg", str(config), "--out_dir", str(tmp_path / "here")])
    there, here = (read_results(tmp_path / name).cells for name in ("there", "here"))
    assert [cell.score for cell in there] == [cell.score for cell in here]


@pytest.mark.parametrize("stage", embedding_stages.FILES)
def test_models_that_score_motion_are_trained_and_score_as_on_the_cpu(tmp_path, monkeypatch, body, stage):
    write_skels_corpus(tmp_path / "data", body)
    embedding_stages.config_of(tmp_path, stage)
    arguments = ["--cfg", str(tmp_path / f"{stage}.yaml"), *embedding_stages.overrides(tmp_path, "TRAIN.END_EPOCH=3")]
    with monkeypatch.context() as patch, Simulation():
        patch.setattr(devices, "device_of", lambda config: str(DEVICE))
        patch.setattr(trainer.pl, "Trainer", on_sim)
        train.main([*arguments, "--nodebug"])
        test_entry.main([*arguments, "--out_dir", str(tmp_path / "there")])
    test_entry.main([*arguments, "--out_dir", str(tmp_path / "here")])
    there, here = (read_results(tmp_path / name).cells for name in ("there", "here"))
    assert len(here) == len(there) >= 4
    for ours, theirs in zip(here, there):
        assert theirs.score.values == pytest.approx(ours.score.values, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("search", SEARCHES, ids=["greedy", "sample", "beam", "no repeat"])
def test_codes_and_motions_are_those_of_the_cpu(shop, search):
    with Simulation():
        here, there = producers(shop)
        motions = [p.generate(TEXTS, LANGUAGES, search) for p in (here, there)]
    for ours, theirs in zip(*motions):
        assert not theirs.rotations.is_cuda and len(ours) == len(theirs)
        torch.testing.assert_close(theirs.rotations, ours.rotations)


def test_decoder_steps_do_not_wait_for_the_device(shop):
    """But every eighth, which asks what is done."""
    counts = []
    with Simulation():
        _, there = producers(shop)
        for steps in (16, 48):
            waits.clear()
            codes = there.generator.generate(TEXTS, LANGUAGES, Search(min_steps=steps, max_steps=steps))
            assert [len(rows) for rows in codes] == [steps, steps]
            counts.append(sum(waits.values()))
    assert counts[1] - counts[0] == (48 - 16) / 8


def test_a_tokenizer_that_is_told_the_lengths_does_not_ask_the_device(shop):
    with Simulation(), torch.no_grad():
        tokenizer = producers(shop)[1].tokenizer
        features = {part: torch.randn(3, 40, size).to(DEVICE) for part, size in tokenizer.layout.sizes.items()}
        for frames in ([40, 40, 40], [40, 12, 24]):
            lengths = torch.tensor(frames).to(DEVICE)
            waits.clear()
            output = tokenizer(features, lengths, frames)
            asked = {name: count for name, count in waits.items() if count and "nonzero" not in name}  # the quantizer's
            assert not asked and output.frames.held.sum(1).tolist() == frames


def test_training_steps_hardly_wait_for_the_device(shop):
    """Of each part a tokenizer asks which steps are padding, and how many latents its codebook may start from;
    transformers look whether mBART's masks are needed; batch normalisation leaves out padding."""
    most = {"TokenizerModule": 2 * 3, "GeneratorModule": 3, "TranslationModule": 2, "RegressorModule": 0}
    assert Waited.steps.keys() >= most.keys()
    for module, count in most.items():
        assert max(Waited.steps[module]) <= count, module


def test_training_steps_do_not_wait_for_what_is_logged_and_watched():
    means, watch = EpochMeans("train", ["loss", "text", "ctc"]), FiniteWeights()
    with Simulation():
        loss, steps = torch.tensor(2.0, device=DEVICE), torch.tensor(7, device=DEVICE)
        waits.clear()
        for _ in range(3):
            means.add({"loss": loss, "text": loss / 2}, steps)
            means.add({"ctc": loss + 1}, 4)
            watch.on_before_backward(None, None, loss)
        assert not sum(waits.values())
        log = SimpleNamespace(device=DEVICE, log_dict=lambda values: None)
        found = {name: mean.item() for name, mean in means.log(log).items()}
    assert found == {"loss": 2.0, "text": 1.0, "ctc": 3.0}


def test_training_steps_do_not_wait_for_the_average_and_for_the_clock():
    """But at the steps that are logged."""
    average, log, lines = MovingAverage(0.9, trial=True), StepLog(10), []
    logger = SimpleNamespace(log_metrics=lambda values, step: lines.append(values))
    trainer = SimpleNamespace(global_step=0, current_epoch=0, is_global_zero=True, world_size=1, loggers=[logger])
    with Simulation():
        module = torch.nn.Linear(3, 2).to(DEVICE)
        module.register_buffer("counter", torch.zeros((), dtype=torch.int64, device=DEVICE))
        module.device, optimizer = DEVICE, torch.optim.SGD(module.parameters(), lr=0.1)
        trainer.model, batch = module, SimpleNamespace(lengths=torch.tensor([3, 4]).to(DEVICE), unit="frames")
        for callback in (average, log):
            callback.on_train_start(trainer, module)
        waits.clear()
        for step in range(1, 11):
            for name in ("[Strategy]S.training_step", "[Strategy]S.backward"):
                with log.clock.profile(name):
                    pass
            log.on_before_optimizer_step(trainer, module, optimizer)
            trainer.global_step = step
            average.on_train_batch_end(trainer, module, None, batch, step)
            if step == 10:
                assert not sum(waits.values())
            log.on_train_batch_end(trainer, module, None, batch, step)
    assert len(lines) == 1 and lines[0]["train/frames_per_second"] > 0 and sum(waits.values()) > 0


def test_weights_are_hashed_once(shop):
    with Simulation():
        _, there = producers(shop)
        codes = there.generator.generate(TEXTS, LANGUAGES)
        waits.clear()
        there.tokenizer.decode_motions(codes, [25.0, 25.0])
        assert sum(waits.values()) < 20 < len(there.tokenizer.state_dict())


def test_a_posed_body_does_not_wait_for_every_joint(shop, body):
    motion = producers(shop)[0].generate(TEXTS[:1], LANGUAGES[:1])[0]
    expected = body.joints(motion)
    with Simulation():
        moved = load_body_model(ROOT / "deps" / "smpl_models", flat_hand_mean=True).to(DEVICE)
        motion = motion.to(DEVICE)
        moved.joints(motion)  # finds out once which vertices it needs
        waits.clear()
        joints = moved.joints(motion)
        assert sum(waits.values()) < 10
    torch.testing.assert_close(joints.held, expected)


@pytest.mark.parametrize("align", ["root", "procrustes"])
def test_warping_is_that_of_the_cpu(align):
    generator = torch.Generator().manual_seed(0)
    tracks = [torch.randn(frames, 21, 3, generator=generator) for frames in (13, 15, 20, 11)]
    expected = dtw_jpe_batch(tracks[::2], tracks[1::2], align)
    with Simulation():
        moved = [track.to(DEVICE) for track in tracks]
        found = dtw_jpe_batch(moved[::2], moved[1::2], align)
    assert [result.cost for result in found] == pytest.approx([result.cost for result in expected])
