"""How fast training and generation are on this GPU, at the published sizes; prints a table.

python tests/gpu/speed.py           what tests/gpu/check.sh runs
python tests/gpu/speed.py --small   small models, to try the script (on a CPU too)
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytorch_lightning as pl
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from bench_dtw import BODY_JOINTS, moving_points  # noqa: E402
from bench_generate import fast, floor, make_generator, texts, timed  # noqa: E402

from soke.body.model import load_body_model  # noqa: E402
from soke.body.motion import Motion  # noqa: E402
from soke.build.body import layout_of  # noqa: E402
from soke.data.clip import Clip  # noqa: E402
from soke.data.dataset import CodeBatch, MotionBatch  # noqa: E402
from soke.data.statistics import Statistics  # noqa: E402
from soke.generator.module import GeneratorModule  # noqa: E402
from soke.metrics.dtw import dtw_jpe_pairs  # noqa: E402
from soke.metrics.dtw_torch import dtw_jpe_batch  # noqa: E402
from soke.regressor.group import new_group, specs_of  # noqa: E402
from soke.regressor.module import RegressorModule  # noqa: E402
from soke.regressor.objectives import Objectives  # noqa: E402
from soke.regressor.regressor import PoseRegressor  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from soke.run.precision import FastSteps  # noqa: E402
from soke.run.settings import Optim  # noqa: E402
from soke.settings import TransformerSettings  # noqa: E402
from soke.tokenizer.module import TokenizerModule  # noqa: E402
from soke.tokenizer.settings import Loss  # noqa: E402
from soke.tokenizer.tokenizer import SignTokenizer  # noqa: E402
from soke.translation import BackTranslator  # noqa: E402
from soke.translation.module import TranslationModule  # noqa: E402

WARM, MEASURED = 6, 20  # training steps; the first compile
FRAMES, STEPS = 128, 50  # of a clip in training; of a generated video, in codes
BATCHES = (1, 8, 64, 256)
PAIRS = 256
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def clips(count: int) -> list[Clip]:
    return [
        Clip(f"clip{i}", "speed", "train", "ASL", text, Path("."), 24.0) for i, text in enumerate(texts(count))
    ]


def motion_batch(layout, count: int) -> MotionBatch:
    """Random features; the reader looks at the motions only to see who made them."""
    features = {part: torch.randn(count, FRAMES, size) for part, size in layout.sizes.items()}
    still = Motion(torch.zeros(FRAMES, 55, 3), torch.zeros(FRAMES, 10), torch.zeros(10), 24.0)
    lengths = torch.full((count,), FRAMES)
    return MotionBatch(features, lengths, clips(count), [still] * count, [24.0] * count, [])


def code_batch(generator, count: int) -> CodeBatch:
    steps = FRAMES // 4
    sizes = torch.tensor(list(generator.spec.streams.values()))
    codes = (torch.rand(count, steps, len(sizes)) * sizes).long()
    return CodeBatch(codes, torch.full((count,), steps), texts(count), ["ASL"] * count, clips(count), [])


class Stages:
    """A fresh module with a batch for each training stage, at the published size or a small one."""

    def __init__(self, small: bool):
        self.small = small
        narrow = ["TOKENIZER.CODE_DIM=32", "TOKENIZER.WIDTH=32"] if small else []
        config = load_config("configs/deto.yaml", overrides=narrow)
        self.layout, self.autoencoders = layout_of(config), config.tokenizer.autoencoders(config.parts)
        self.zero, self.one = (
            {part: torch.full((size,), value) for part, size in self.layout.sizes.items()} for value in (0.0, 1.0)
        )

    def tokenizer(self) -> SignTokenizer:
        return SignTokenizer(self.layout, self.zero, self.one, self.autoencoders)

    def make(self, name: str) -> tuple[pl.LightningModule, Any]:
        """The module and its batch."""
        optim = Optim()
        if name == "tokenizer":
            module = TokenizerModule(
                self.tokenizer(), load_body_model(ROOT / "deps" / "smpl_models"), Loss(), optim
            )
            return module, motion_batch(self.layout, 8 if self.small else 320)
        if name == "generator":
            tokenizer = self.tokenizer()
            generator = make_generator("multi_head", "cpu", self.small, tokenizer.hash)
            module = GeneratorModule(generator, tokenizer, optim)
            return module, code_batch(generator, 4 if self.small else 32)
        if name == "regressor":
            narrow = ["REGRESSOR.WIDTH=32", "REGRESSOR.FEEDFORWARD=32"] if self.small else []
            config = load_config("configs/progressive_transformer.yaml", overrides=narrow)
            specs = specs_of(config.regressor, clips(64), {"ASL": "en"}, {"speed": 24.0})
            groups = {name: new_group(spec, sum(self.layout.sizes.values())) for name, spec in specs.items()}
            regressor = PoseRegressor(self.layout, self.zero, self.one, groups)
            module = RegressorModule(regressor, optim, Objectives(config.regressor.objectives, config.priority))
            return module, motion_batch(self.layout, 4 if self.small else 32)
        settings = TransformerSettings(*((32, 1, 2, 32) if self.small else (512, 3, 8, 2048)), 0.1)
        statistics = Statistics(self.zero, self.one, self.layout.hash)
        translator = BackTranslator.untrained(clips(64), self.layout, statistics, settings, "en_XX", "word", True)
        module = TranslationModule(translator, [], load_config("configs/back_translation.yaml").translation, optim)
        return module, motion_batch(self.layout, 4 if self.small else 32)


class Stopwatch(pl.Callback):
    """Seconds of the measured steps."""

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        if index in (WARM - 1, WARM + MEASURED - 1):
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            if index == WARM - 1:
                self.begun = time.perf_counter()
            else:
                self.seconds = time.perf_counter() - self.begun


def steps_per_second(stages: Stages, name: str, precision: str, tf32: bool, compiled: bool) -> tuple[float, float]:
    """Training steps per second through Lightning, and the most memory in GB."""
    torch.manual_seed(0)
    module, batch = stages.make(name)
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    watch = Stopwatch()
    trainer = pl.Trainer(
        accelerator="auto", devices=1, precision=precision, max_epochs=1, logger=False,
        callbacks=[watch, FastSteps(tf32, compiled)],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader([batch] * (WARM + MEASURED), batch_size=None))
    memory = torch.cuda.max_memory_allocated() / 1e9 if DEVICE == "cuda" else 0.0
    return MEASURED / watch.seconds, memory


def training(stages: Stages) -> Iterator[tuple[str, ...]]:
    kinds = [
        ("float32", "32-true", False, False), ("TF32", "32-true", True, False), ("bf16", "bf16-mixed", True, False),
        ("bf16, compiled", "bf16-mixed", True, True),
    ]
    for name in ("tokenizer", "generator", "translation", "regressor"):
        first = None
        for label, *how in kinds if DEVICE == "cuda" else kinds[:1]:
            rate, memory = steps_per_second(stages, name, *how)
            first = first or rate
            yield f"train {name}", label, f"{rate:7.2f} steps/s", f"{rate / first:5.2f}x float32, {memory:.1f} GB"
            release()


def generation(small: bool) -> Iterator[tuple[str, ...]]:
    kinds = [("float32", False), ("bfloat16", False)] + [("bfloat16", True)] * (DEVICE == "cuda")
    for weights, compiled in kinds:
        model = make_generator("multi_head", DEVICE, small).for_inference(weights, compiled)
        least = floor(model, DEVICE)
        for batch in BATCHES:
            fast(model, texts(batch), STEPS if compiled else 5)  # warms up, compiles
            seconds, _ = timed(partial(fast, model, texts(batch), STEPS), DEVICE, 2)
            label = f"{weights}{', compiled' if compiled else ''}, batch {batch}"
            step = seconds / STEPS
            rate = f"{batch / seconds:.1f} videos/s, {step / least:.1f}x the floor of {least * 1e3:.2f} ms"
            yield "generate, a step", label, f"{step * 1e3:7.2f} ms", rate
        del model
        release()


def warping(pairs: int) -> Iterator[tuple[str, ...]]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(60, 181, (2, pairs))
    preds, refs = ([moving_points(rng, frames, BODY_JOINTS.total) for frames in side] for side in lengths)
    joints = np.array(BODY_JOINTS.scored)
    tracks = [[torch.from_numpy(track).to(DEVICE) for track in side] for side in (preds, refs)]
    for align in ("root", "procrustes"):
        dtw_jpe_pairs(preds[:2], refs[:2], align, joints)
        dtw_jpe_batch(tracks[0][:2], tracks[1][:2], align, joints)
        on_cpu, expected = timed(lambda: dtw_jpe_pairs(preds, refs, align, joints), "cpu")
        there, found = timed(lambda: dtw_jpe_batch(*tracks, align, joints), DEVICE)
        np.testing.assert_allclose([f.cost for f in found], [e.cost for e in expected], rtol=1e-9)
        yield f"DTW, {pairs} pairs", align, f"{there:7.2f} s", f"{on_cpu:.2f} s on the CPU's cores, the same costs"


def release() -> None:
    torch._dynamo.reset()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args(arguments).small
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}")
    parts: list[Callable[[], Iterator]] = [
        lambda: warping(4 if small else PAIRS), lambda: training(Stages(small)), lambda: generation(small)
    ]
    failed = 0
    for part in parts:
        try:
            for what, how, value, more in part():
                print(f"{what:18s} {how:28s} {value:>16s}   {more}", flush=True)
        except Exception as error:  # the other parts are still worth their time
            failed = 1
            print(f"FAILED: {type(error).__name__}: {error}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
