"""How fast training steps are through Lightning, of each stage: against AdamW that is not fused, and on a GPU in TF32,
bf16 and compiled; all in this run, of random data.

    python tests/benchmarks/bench_steps.py              at the demo's sizes
    python tests/benchmarks/bench_steps.py --published  at the published sizes; on a CPU with few clips a batch
    python tests/benchmarks/bench_steps.py --check      exits with 1 when fused steps are slower than the others
"""
from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]

from bench_generate import make_generator, texts  # noqa: E402

from soke.body.model import load_body_model  # noqa: E402
from soke.body.motion import Motion  # noqa: E402
from soke.build.body import layout_of  # noqa: E402
from soke.data.clip import Clip  # noqa: E402
from soke.data.dataset import CodeBatch, MotionBatch  # noqa: E402
from soke.data.labels import SignLabel  # noqa: E402
from soke.data.statistics import Statistics  # noqa: E402
from soke.embedding import MotionAutoencoder, TextMotionRetriever  # noqa: E402
from soke.embedding.autoencoder import Seen  # noqa: E402
from soke.embedding.autoencoder_module import MotionAutoencoderModule  # noqa: E402
from soke.embedding.module import RetrievalModule  # noqa: E402
from soke.generator.module import GeneratorModule  # noqa: E402
from soke.recognition.data import SignBatch  # noqa: E402
from soke.recognition.model import SignClassifier  # noqa: E402
from soke.recognition.module import RecognitionModule  # noqa: E402
from soke.recognition.recognizer import SignRecognizer  # noqa: E402
from soke.regressor.group import new_group, specs_of  # noqa: E402
from soke.regressor.module import RegressorModule  # noqa: E402
from soke.regressor.objectives import Objectives  # noqa: E402
from soke.regressor.regressor import PoseRegressor  # noqa: E402
from soke.run import optim  # noqa: E402
from soke.run.callbacks import FastSteps  # noqa: E402
from soke.run.config import load_config  # noqa: E402
from soke.run.settings import Optim  # noqa: E402
from soke.tokenizer.module import TokenizerModule  # noqa: E402
from soke.tokenizer.settings import Loss  # noqa: E402
from soke.tokenizer.tokenizer import SignTokenizer  # noqa: E402
from soke.translation import BackTranslator  # noqa: E402
from soke.translation.module import TranslationModule  # noqa: E402

FRAMES = 128  # of a clip
SLOWER = 0.95  # the least share of the other AdamW's speed: they differ by less than runs do
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Size(NamedTuple):
    warm: int  # training steps, which compile
    measured: int
    rounds: int


USUAL, FEW = Size(4, 12, 1 if DEVICE == "cuda" else 3), Size(1, 3, 2)  # few: on a CPU a step of mBART-large takes seconds
PLAIN = "float32, AdamW not fused"
KINDS = {  # what a row is called -> Lightning's precision, TF32, compiled
    PLAIN: ("32-true", False, False), "float32": ("32-true", False, False), "TF32": ("32-true", True, False),
    "bf16": ("bf16-mixed", True, False), "bf16, compiled": ("bf16-mixed", True, True),
}
STAGES = {  # clips of a published batch
    "tokenizer": 320, "generator": 32, "translation": 32, "regressor": 32, "recognition": 64, "retrieval": 128,
    "motion_autoencoder": 64,
}
SIGNS = 1067  # of NMFs-CSL


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
    """A fresh module with a batch for each training stage, at the published size or the demo's."""

    def __init__(self, published: bool):
        self.folder = "configs" if published else "configs/demo"
        self.published, self.size = published, FEW if published and DEVICE == "cpu" else USUAL
        config = load_config(f"{self.folder}/deto.yaml")
        self.layout, self.autoencoders = layout_of(config), config.tokenizer.autoencoders(config.parts)
        self.zero, self.one = (
            {part: torch.full((size,), value) for part, size in self.layout.sizes.items()} for value in (0.0, 1.0)
        )

    def tokenizer(self) -> SignTokenizer:
        return SignTokenizer(self.layout, self.zero, self.one, self.autoencoders)

    def clips(self, stage: str) -> int:
        """Of a batch."""
        return STAGES[stage] if self.published and DEVICE == "cuda" else 4 if self.published else 16

    def make(self, stage: str) -> tuple[pl.LightningModule, Any]:
        """The module and its batch."""
        count, settings = self.clips(stage), Optim()
        if stage == "tokenizer":
            body = load_body_model(ROOT / "deps" / "smpl_models")
            return TokenizerModule(self.tokenizer(), body, Loss(), settings), motion_batch(self.layout, count)
        if stage == "generator":
            tokenizer = self.tokenizer()
            generator = make_generator("multi_head", "cpu", not self.published, tokenizer.hash)
            return GeneratorModule(generator, tokenizer, settings), code_batch(generator, count)
        if stage == "regressor":
            config = load_config(f"{self.folder}/progressive_transformer.yaml")
            specs = specs_of(config.regressor, clips(64), {"ASL": "en"}, {"speed": 24.0})
            groups = {name: new_group(spec, sum(self.layout.sizes.values())) for name, spec in specs.items()}
            regressor = PoseRegressor(self.layout, self.zero, self.one, groups)
            module = RegressorModule(regressor, settings, Objectives(config.regressor.objectives, config.priority))
            return module, motion_batch(self.layout, count)
        if stage == "recognition":
            return self.recognition(count)
        statistics = Statistics(self.zero, self.one, self.layout.hash)
        if stage == "retrieval":
            r = load_config(f"{self.folder}/retrieval.yaml").retrieval
            retriever = TextMotionRetriever.untrained(clips(64), self.layout, statistics, r, "word", 24.0)
            return RetrievalModule(retriever, settings), motion_batch(self.layout, count)
        if stage == "motion_autoencoder":
            body = load_body_model(ROOT / "deps" / "smpl_models")
            seen, config = Seen.of(body, self.layout), load_config(f"{self.folder}/motion_autoencoder.yaml")
            mean, std = torch.zeros(3 * seen.count), torch.ones(3 * seen.count)
            autoencoder = MotionAutoencoder.untrained(seen, mean, std, config.motion_autoencoder, {})
            module = MotionAutoencoderModule(autoencoder, body, self.layout, settings, cache_frames=2 * count * FRAMES)
            return module, motion_batch(self.layout, count)
        config = load_config(f"{self.folder}/back_translation.yaml")
        translator = BackTranslator.untrained(
            clips(64), self.layout, statistics, config.translation, "en_XX", "word", True
        )
        return TranslationModule(translator, [], config.translation, settings), motion_batch(self.layout, count)


    def recognition(self, count: int) -> tuple[pl.LightningModule, Any]:
        """Of all parts' states, which are as wide as the encoders."""
        config, width = load_config(f"{self.folder}/recognition.yaml"), next(iter(self.autoencoders.values())).width
        shape, steps = (len(self.autoencoders), width), FRAMES // 4
        classifier = SignClassifier(torch.zeros(shape), torch.ones(shape), SIGNS, config.recognition.classifier)
        signs = [SignLabel(number, str(number)) for number in range(SIGNS)]
        recognizer = SignRecognizer(classifier, signs, list(self.autoencoders), {})
        states, lengths = torch.randn(count, steps, *shape), torch.full((count,), steps)
        batch = SignBatch(states, lengths, torch.randint(SIGNS, (count,)), ["clip"] * count)
        return RecognitionModule(recognizer, Optim()), batch


class Stopwatch(pl.Callback):
    """Seconds of the measured steps."""

    def __init__(self, size: Size):
        self.size = size

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        if index in (self.size.warm - 1, self.size.warm + self.size.measured - 1):
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            if index == self.size.warm - 1:
                self.begun = time.perf_counter()
            else:
                self.seconds = time.perf_counter() - self.begun


def clips_per_second(stages: Stages, stage: str, kind: str) -> tuple[float, float]:
    """Of training steps through Lightning, and the most memory in GB, of a GPU."""
    precision, tf32, compiled = KINDS[kind]
    adamw = optim.OPTIMIZERS["adamw"]
    if kind == PLAIN:
        optim.OPTIMIZERS["adamw"] = lambda *a, fused, **settings: adamw(*a, **settings)
    try:
        torch.manual_seed(0)
        module, batch = stages.make(stage)
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        watch = Stopwatch(stages.size)
        trainer = pl.Trainer(
            accelerator="auto", devices=1, precision=precision, max_epochs=1, logger=False,
            callbacks=[watch, FastSteps(tf32, compiled)], enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )
        batches = [batch] * (stages.size.warm + stages.size.measured)
        trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))
    finally:
        optim.OPTIMIZERS["adamw"] = adamw
    memory = torch.cuda.max_memory_allocated() / 1e9 if DEVICE == "cuda" else 0.0
    return stages.size.measured * stages.clips(stage) / watch.seconds, memory


def table(
    published: bool, kinds: list[str], stages: Iterable[str] = STAGES
) -> Iterator[tuple[str, str, float, float, float]]:
    """Stage, kind, clips per second, their ratio to the first kind's, and the most memory in GB; on a CPU the best of
    rounds in which the kinds take turns."""
    for stage in stages:
        sized = Stages(published)
        runs: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for kind in kinds * sized.size.rounds:
            runs[kind].append(clips_per_second(sized, stage, kind))
            torch._dynamo.reset()
            gc.collect()  # a trainer and its module hold each other: two of mBART-large's would fill the memory
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
        first = max(runs[kinds[0]])[0]
        for kind, found in runs.items():
            rate, memory = max(found)
            yield stage, kind, rate, rate / first, memory


def lines(published: bool, stages: Iterable[str] = STAGES) -> Iterator[str]:
    kinds = list(KINDS) if DEVICE == "cuda" else [PLAIN, "float32"]
    for stage, kind, rate, ratio, memory in table(published, kinds, stages):
        more = f", {memory:.1f} GB" if memory else ""
        yield f"train {stage:12s} {kind:26s} {rate:9.1f} clips/s   {ratio:5.2f}x {kinds[0]}{more}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    print(f"{torch.cuda.get_device_name() if DEVICE == 'cuda' else 'CPU'}, torch {torch.__version__}")
    if not options.check:
        for line in lines(options.published):
            print(line, flush=True)
        return 0
    rows = list(table(options.published, [PLAIN, "float32"]))
    slow = [(stage, ratio) for stage, kind, _, ratio, _ in rows if kind == "float32" and ratio < SLOWER]
    print("slower than before: " + ", ".join(f"{stage} ({ratio:.2f}x)" for stage, ratio in slow) if slow else "none is slower")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
