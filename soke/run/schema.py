"""The whole configuration: its sections, which check themselves, and what of them contradicts each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soke.body.settings import Body
from soke.data.settings import Augment, Dataset
from soke.embedding.settings import MotionAutoencoderSettings, Retrieval
from soke.evaluation.settings import OF_LEXICON, Metric
from soke.generator.settings import Generator, Policy
from soke.recognition.settings import Recognition
from soke.regressor.settings import Priority, Regressor
from soke.render.settings import Render
from soke.run.settings import Eval, Logger, Test, Train
from soke.settings import Settings, near
from soke.tokenizer.settings import Loss, TokenizedPart, Tokenizer
from soke.translation.settings import Translation

ROOT = Path(__file__).resolve().parents[2]
_NOT_OF_ALL = (  # settings that mean nothing to most models, and what they are then
    ("TRAIN.LORA", "null"), ("TRAIN.CHECKPOINTING", "false"), ("TRAIN.LABEL_SMOOTHING", "0"), ("LOGGER.PICTURES", "0"),
    ("POLICY.SHARE", "0"),
)
_ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


@dataclass(frozen=True)
class Config(Settings):
    name: str
    seed: int
    accelerator: str
    device: list[int] | int | str
    num_nodes: int
    folder: str
    results: str
    train: Train
    eval: Eval
    test: Test
    dataset: Dataset
    augment: Augment
    body: Body
    parts: list[TokenizedPart]
    tokenizer: Tokenizer
    loss: Loss
    generator: Generator
    regressor: Regressor
    policy: Policy
    priority: Priority
    translation: Translation
    recognition: Recognition
    retrieval: Retrieval
    motion_autoencoder: MotionAutoencoderSettings
    metric: Metric
    logger: Logger
    render: Render

    def problems(self) -> list[str]:
        found = self.below(1, "num_nodes")
        if not 0 <= self.seed < 1 << 32:
            found.append(f"`seed` must be at least 0 and below 2^32, not {self.seed}")
        if not Path(self.name).name or ".." in Path(self.name).parts:
            found.append(f"`name` must be that of a folder to be made for the run, not {self.name!r}")
        if self.accelerator not in _ACCELERATORS:
            found.append(
                f"`accelerator` must be one of {', '.join(_ACCELERATORS)}, not {self.accelerator}"
                f"{near(self.accelerator, _ACCELERATORS)}"
            )
        if self.device != "auto" and not _are_devices(self.device):
            found.append(f"`device` must be a number of devices, a list of their ids from 0 on, or auto, not {self.device!r}")
        return found

    @property
    def run_folder(self) -> Path:
        """Where this stage's run writes: `FOLDER`/<stage>/<NAME>."""
        return resolve(self.folder) / self.train.stage / self.name


def _are_devices(device: list[int] | int | str) -> bool:
    if isinstance(device, list):
        return bool(device) and min(device) >= 0
    return device >= 1 if isinstance(device, int) else False


def resolve(path: str | Path) -> Path:
    """A path of a configuration: absolute, or relative to the repository, never to the caller's folder."""
    return ROOT / Path(path).expanduser()


def contradictions(config: Config) -> list[str]:
    """What sections say that no run could make sense of together, a sentence each."""
    found = []
    dataset, down = config.dataset, max(config.tokenizer.downsample, 1)
    if dataset.min_frames < down or dataset.min_frames % down or dataset.max_frames % down:
        found.append(f"DATASET.MIN_FRAMES and DATASET.MAX_FRAMES must be multiples of TOKENIZER.DOWNSAMPLE ({down})")
    frames = config.train.batch_frames
    if frames and frames < dataset.max_frames:
        found.append(
            f"TRAIN.BATCH_FRAMES must be 0, or hold the longest clip, DATASET.MAX_FRAMES ({dataset.max_frames}), not "
            f"{frames}"
        )
    if frames and not dataset.group_by_length:
        found.append("TRAIN.BATCH_FRAMES needs DATASET.GROUP_BY_LENGTH=true")
    warmup, epochs = config.train.optim.warmup_epochs, config.train.end_epoch
    if not 0 <= warmup < max(epochs, 1):
        found.append(
            f"TRAIN.OPTIM.WARMUP_EPOCHS must be at least 0 and below TRAIN.END_EPOCH ({epochs}), not {warmup}"
        )
    least, most = config.test.search.min_steps, config.generator.max_steps
    if least > most:
        found.append(
            f"TEST.SEARCH.MIN_STEPS is {least}, above the longest output of {most} steps, GENERATOR.MAX_STEPS"
        )
    stitched = [name for name in config.test.baselines if name in OF_LEXICON]
    if stitched and dataset.lexicon is None:
        found.append(f"TEST.BASELINES: {stitched[0]} takes signs from DATASET.LEXICON, which is null: name a lexicon")
    trained = getattr(config, config.train.stage, None)  # the section of the stage's name
    if config.train.init_language and not getattr(trained, "adds_languages", False):
        found.append(
            f"TRAIN.INIT_LANGUAGE is {config.train.init_language}, but to a model of stage {config.train.stage} no sign "
            "language is added that could start from another's weights: leave it empty"
        )
    used = (*dataset.corpora, *(["lexicon"] if dataset.train_on_lexicon else []))
    positions = any(part.of_positions for part in config.parts)
    found += config.augment.useless(config.train.stage, getattr(trained, "augmented_by", ()), used, positions)
    if config.train.strategy != "ddp" and not getattr(trained, "divides", False):
        found.append(
            f"TRAIN.STRATEGY is {config.train.strategy}, but a model of stage {config.train.stage} is not divided "
            "among processes, for most are small, and saving memory begins with TRAIN.BATCH_SIZE: set it to ddp"
        )
    for key, off in _NOT_OF_ALL:
        section, name = key.lower().split(".")
        if getattr(getattr(config, section), name) and key not in getattr(trained, "heeds", ()):
            found.append(f"{key} has no effect on a model of stage {config.train.stage}: set it to {off}")
    return found + (trained.training_problems(config) if isinstance(trained, Settings) else [])
