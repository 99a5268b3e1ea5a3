"""Settings of trainings, of their validation and of tests."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from soke.evaluation.settings import BASELINES
from soke.generator.settings import Search
from soke.settings import Settings, near

# Each with the section of its name; their rows are in soke/build/stages.py.
STAGES = (
    "tokenizer", "generator", "regressor", "translation", "recognition", "retrieval", "motion_autoencoder",
)


@dataclass(frozen=True)
class Optim(Settings):
    """Optimiser and schedule of the learning rate; the defaults are SOKE's.

    kind:          adamw, or adam, whose weight decay is an L2 penalty
    schedule:      after the warm-up, cosine: from `lr` to `eta_min` at the end of the training; linear: the same in a
                   straight line; inverse_sqrt: lr * sqrt((W + 1) / (s + 1)) in step or epoch s (from 0) after a warm-up
                   of W; constant: `lr`; plateau: times `factor` after more than `patience` validations without a
                   better score, and training ends when the rate is down to `eta_min`
    factors:       pattern of names of weights -> their learning rate as a share of `lr`; the last that matches counts
    every:         what the rate changes after: an epoch, or a step of the optimiser
    warmup_epochs: of `every`=epoch: the rate rises linearly, epoch e (from 0) having lr * (e + 1) / (warmup_epochs + 1)
    warmup_steps:  the same of `every`=step
    """

    kind: Literal["adamw", "adam"] = "adamw"
    lr: float = 2e-4
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    weight_decay: float = 0.0
    schedule: Literal["cosine", "linear", "inverse_sqrt", "plateau", "constant"] = "cosine"
    every: Literal["epoch", "step"] = "epoch"
    eta_min: float = 1e-6
    warmup_epochs: int = 0
    warmup_steps: int = 0
    patience: int = 8
    factor: float = 0.7
    factors: dict[str, float] = field(default_factory=dict)

    @property
    def warmup(self) -> int:
        """In what the schedule counts."""
        return self.warmup_steps if self.every == "step" else self.warmup_epochs

    @property
    def ends(self) -> bool:
        """Whether the rates depend on the length of the training."""
        return self.schedule in ("cosine", "linear")

    def problems(self) -> list[str]:
        found = self.below(0, "patience", "warmup_steps")
        found += [
            f"`{name}` must be a number of at least 0, not {value}"
            for name in ("lr", "eta_min", "weight_decay") if not 0 <= (value := getattr(self, name)) < math.inf
        ]
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            found.append(f"`betas` must be two numbers of at least 0 and below 1, not {self.betas}")
        for pattern, factor in self.factors.items():
            if not 0 < factor < math.inf:
                found.append(f"`factors` must be above 0, not {factor} for {pattern}; TRAIN.FREEZE keeps weights as they are")
        if not 0 < self.factor < 1:
            found.append(f"`factor` must be between 0 and 1, not {self.factor}")
        if self.schedule == "plateau":
            follows = "for `schedule`=plateau, which follows the score of validations"
            found += [f"`warmup_epochs` must be 0 {follows}"] * bool(self.warmup_epochs)
            found += [f"`every` must be epoch {follows}"] * (self.every == "step")
        other = "warmup_epochs" if self.every == "step" else "warmup_steps"
        if getattr(self, other):
            found.append(f"`{other}` must be 0 where `every` is {self.every}: `warmup_{self.every}s` holds then")
        elif self.schedule == "inverse_sqrt" and not self.warmup:
            found.append(f"`schedule`=inverse_sqrt falls by the length of its warm-up: set `warmup_{self.every}s`")
        if self.schedule not in ("constant", "inverse_sqrt") and self.eta_min > self.lr > 0:
            found.append(f"`eta_min` must be at most `lr`, to which the rate falls, not {self.eta_min} over {self.lr}")
        return found


@dataclass(frozen=True)
class Save(Settings):
    """Checkpoints of a training, beside the best one.

    every_epochs: between two times that last.ckpt is written; 0: only when the training ends
    every_steps:  of the optimiser, in the middle of epochs too; 0: never
    keep:         how many of them are kept besides, the newest; 0: none, -1: all
    optimizer:    which have the optimiser's state, without which no training goes on: all; last: last.ckpt, not those
                  that are kept; none
    """

    every_epochs: int = 1
    every_steps: int = 0
    keep: int = 0
    optimizer: Literal["all", "last", "none"] = "all"

    def problems(self) -> list[str]:
        return self.below(0, "every_epochs", "every_steps") + self.below(-1, "keep")


@dataclass(frozen=True)
class Lora(Settings):
    """Low-rank adapters (Hu et al. 2021): beside each target W stands (alpha / rank) B A, which alone is trained of it.

    targets: names of linear layers, or ends of their dotted names
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["q_proj", "v_proj"])

    def problems(self) -> list[str]:
        found = self.below(1, "rank")
        if not 0 < self.alpha < math.inf:
            found.append(f"`alpha` must be a number above 0, not {self.alpha}")
        if not 0 <= self.dropout < 1:
            found.append(f"`dropout` must be at least 0 and below 1, not {self.dropout}")
        if not self.targets:
            found.append("`targets` must name linear layers; without any nothing is adapted")
        return found


@dataclass(frozen=True)
class Train(Settings):
    stage: str
    batch_size: int
    batch_frames: int
    num_workers: int
    end_epoch: int
    strategy: Literal["ddp", "fsdp", "deepspeed"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    tf32: bool
    compile: bool
    grad_clip: float
    average: float
    accumulate: int
    checkpointing: bool
    label_smoothing: float
    init: str
    init_language: str
    freeze: list[str]
    lora: Lora | None
    resume: str
    extend: bool
    save: Save
    optim: Optim

    def problems(self) -> list[str]:
        found = self.below(1, "batch_size", "end_epoch", "accumulate") + self.below(0, "num_workers", "batch_frames")
        if self.stage not in STAGES:
            found.append(f"`stage` is {self.stage!r}, but must be one of {', '.join(STAGES)}{near(self.stage, STAGES)}")
        if not self.optim.lr:
            found.append("`optim.lr` must be above 0, for with 0 nothing learns; `freeze` keeps weights as they are")
        if not self.grad_clip >= 0:
            found.append(f"`grad_clip` must be a gradient norm, or 0 for no clipping, not {self.grad_clip}")
        if not 0 <= self.average < 1:
            found.append(f"`average` must be a decay below 1, 0.999 for instance, or 0 for no average, not {self.average}")
        if not 0 <= self.label_smoothing < 1:
            found.append(f"`label_smoothing` must be at least 0 and below 1, not {self.label_smoothing}")
        if self.init_language and not self.init:
            found.append(
                f"`init_language` is {self.init_language}, of whose model nothing is said: name its folder in `init`"
            )
        if self.strategy != "ddp" and self.precision == "16-mixed":
            found.append(f"`strategy`={self.strategy} needs `precision`=32-true or bf16-mixed, not 16-mixed")
        if self.strategy == "fsdp":
            found += self._undivided()
        if self.extend and not self.optim.ends:
            found.append(
                f"`extend` is for `optim.schedule`=cosine or linear: with {self.optim.schedule} the learning rate does "
                "not depend on `end_epoch`, which may change without it"
            )
        return found

    def _undivided(self) -> list[str]:
        """What cannot be had of a model that is divided among processes."""
        found = []
        if self.average:
            found.append("`average` needs `strategy`=ddp or deepspeed: each process would average a part of the weights")
        if self.lora is not None:
            found.append("`lora` needs `strategy`=ddp or deepspeed: what its few weights need is not worth being divided")
        return found


_BETTER = {  # of scores of validations: which end is the better one
    "max": ("*BLEU*", "*accuracy*", "top-*", "reward*", "*exact", "codebook_percent*", "R@*", "rsum"),
    "min": (
        "loss*", "*_loss*", "*error*", "feature", "velocity", "squared", "counter", "text", "ctc", "kl", "WER", "*JPE*",
        "*MPVPE*", "median_rank",
    ),
}


@dataclass(frozen=True)
class Eval(Settings):
    batch_size: int
    every_epochs: int
    best: Literal["whole", "per_part"]
    generate_every: int
    generate_clips: int
    monitor: str
    direction: Literal["auto", "min", "max"]
    patience: int

    @property
    def better(self) -> str:
        """Min or max of `monitor`; "" where that is not known."""
        if self.direction != "auto":
            return self.direction
        name = self.monitor.removeprefix("val/")
        return next((way for way, patterns in _BETTER.items() if any(fnmatchcase(name, p) for p in patterns)), "")

    def problems(self) -> list[str]:
        found = self.below(1, "generate_clips", "batch_size", "every_epochs") + self.below(0, "patience")
        if self.monitor and not self.monitor.startswith("val/"):
            found.append(f"`monitor` must be a score of validations, val/<name>, or empty, not {self.monitor}")
        elif self.monitor and not self.better:
            found.append(f"`direction` must say whether `monitor`={self.monitor} is better when low or high: min or max")
        elif self.direction != "auto" and not self.monitor:
            found.append(f"`direction`={self.direction} is of `monitor`, which is empty: name the score, or set it to auto")
        return found

    def generation_problems(self) -> list[str]:
        """What is wrong with it for a model that is validated by what it generates, a sentence each, with keys."""
        every, generate = self.every_epochs, self.generate_every
        if every < 1 or (generate >= 0 and generate % every == 0):
            return []
        return [f"EVAL.GENERATE_EVERY must be a multiple of EVAL.EVERY_EPOCHS ({every}), or 0 for never, not {generate}"]


@dataclass(frozen=True)
class Test(Settings):
    batch_size: int
    split: Literal["train", "val", "test"]
    checkpoint: str
    save_predictions: bool
    weights: Literal["float32", "bfloat16"]
    compile: bool
    search: Search
    baselines: list[str]

    def problems(self) -> list[str]:
        unknown = [
            f"`baselines` must be of {', '.join(BASELINES)}, not {name}{near(name, BASELINES)}"
            for name in self.baselines if name not in BASELINES
        ]
        return self.below(1, "batch_size") + unknown


@dataclass(frozen=True)
class Logger(Settings):
    tensorboard: bool
    wandb: bool
    mlflow: bool
    every_steps: int
    pictures: int

    def problems(self) -> list[str]:
        return self.below(1, "every_steps") + self.below(0, "pictures")
