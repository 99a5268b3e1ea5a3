"""The stages: what TRAIN.STAGE names is a row of this table, and nothing else asks for a stage's name.

A row's functions are imported when they are called, so that a command loads what its stage needs alone.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Callable, Mapping

from soke.body.settings import Part
from soke.errors import UserError
from soke.recognition.settings import Recognition
from soke.run.config import Config

_RECOGNITION = tuple(f"RECOGNITION.{f.name.upper()}*" for f in fields(Recognition) if f.name != "features")
_LAYOUT = tuple(f"PARTS*.{part.name}" for part in fields(Part))  # all of the parts, but how they are quantized

_GENERATION = (  # of the scores of generated motion by which an epoch is chosen
    "EVAL.GENERATE_CLIPS", "METRIC.DTW", "BODY.MODEL", "BODY.HEAD_PLACE", "BODY.FLAT_HAND_MEAN", "BODY.BETAS*",
    "BODY.SKELETON",
)


@dataclass(frozen=True)
class Late:
    """The function `package.module.name`, whose module is imported when it is called."""

    path: str

    def resolve(self) -> Callable[..., Any]:
        module, _, name = self.path.rpartition(".")
        return getattr(importlib.import_module(module), name)

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return self.resolve()(*arguments, **settings)


@dataclass(frozen=True)
class Task:
    """What test.py does with a trained model.

    load:       (config) -> the model
    score:      (model, config, world) -> Evaluation, the rows of the result table
    conditions: (config) -> what the numbers depend on besides models, clips and metrics, in plain types
    time:       (model, config, folder) -> None: times the production of motion; None: there is none to be timed
    below:      folder of the results, below <RESULTS>/<NAME>
    goes_on:    whether a test that was broken off goes on where it was: `score` is also given `unfinished`, see
                `soke.evaluation.unfinished`
    """

    load: Callable[[Config], Any]
    score: Callable[..., Any]
    conditions: Callable[[Config], dict[str, object]] = lambda config: {}
    time: Callable[..., None] | None = None
    below: tuple[str, ...] = ()
    goes_on: bool = False


@dataclass(frozen=True)
class Stage:
    """A kind of model, from its training to its test.

    data:       (config, folder) -> data module; clips that are skipped are listed in the folder
    module:     (config, data module) -> the Lightning module that is trained, on the CPU; TRAIN.FREEZE names weights of
                its `trained`; what trains or scores moves to the device that the trainer gives each process
    test:       what test.py does
    exports:    (config) -> the folders of the models that are tested, by their names
    trained_by: patterns of the keys without which a training would not have become what it is, among them whole
                sections; `soke.run.changes` knows which of a section's settings never matter
    model_keys: patterns of the keys that make it another model that is tested
    models:     (config) -> a configuration for each model that one command trains
    tasks:      what test.py --task names besides `test`
    tokenizer:  (config) -> the trained tokenizer whose codes the stage makes or learns; None: it has no codes
    producer:   (config) -> the trained model as a Producer, which signs sentences; None: it signs nothing
    """

    data: Callable[[Config, Path], Any]
    module: Callable[[Config, Any], Any]
    test: Task
    exports: Callable[[Config], dict[str, Path]]
    trained_by: tuple[str, ...]
    model_keys: tuple[str, ...]
    models: Callable[[Config], list[Config]] = lambda config: [config]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    tokenizer: Callable[[Config], Any] | None = None
    producer: Callable[[Config], Any] | None = None

    def task(self, name: str) -> Task:
        return self.tasks.get(name, self.test)


STAGES: dict[str, Stage] = {
    "tokenizer": Stage(
        data=Late("soke.build.data.tokenizer_data"),
        module=Late("soke.build.tokenizer.training_module"),
        test=Task(Late("soke.build.tokenizer.own_tokenizer"), Late("soke.build.tokenizer.scores")),
        exports=Late("soke.build.tokenizer.exports"),
        trained_by=("SEED", "TRAIN.*", "DATASET.*", "AUGMENT.*", "PARTS*", "TOKENIZER.*", "LOSS.*", "EVAL.BEST"),
        model_keys=("PARTS*", "TOKENIZER.*"),
        tokenizer=Late("soke.build.tokenizer.own_tokenizer"),
    ),
    "generator": Stage(
        data=Late("soke.build.data.code_data"),
        module=Late("soke.build.generator.training_module"),
        test=Task(
            Late("soke.build.generator.trained_producer"), Late("soke.build.generator.scores"),
            Late("soke.build.generator.conditions"), Late("soke.build.generator.time"), goes_on=True,
        ),
        tasks={
            "m2t": Task(
                Late("soke.build.generator.translators"), Late("soke.build.generator.translation_scores"),
                Late("soke.build.generator.translation_conditions"), below=("m2t",), goes_on=True,
            ),
        },
        exports=Late("soke.build.tokenizer.exports"),
        trained_by=(
            "SEED", "TRAIN.*", "DATASET.*", "AUGMENT.*", "PARTS*", "TOKENIZER.*", "GENERATOR.*", "POLICY.*",
            *_GENERATION,
        ),
        model_keys=("PARTS*", "TOKENIZER.*", "GENERATOR.*"),
        tokenizer=Late("soke.build.tokenizer.named_tokenizer"),
        producer=Late("soke.build.generator.trained_producer"),
    ),
    "regressor": Stage(
        data=Late("soke.build.data.motion_data"),
        module=Late("soke.build.regressor.training_module"),
        test=Task(
            Late("soke.build.regressor.trained_producer"), Late("soke.build.regressor.scores"),
            Late("soke.build.regressor.conditions"), Late("soke.build.regressor.time"), goes_on=True,
        ),
        exports=Late("soke.build.tokenizer.exports"),
        trained_by=(
            "SEED", "TRAIN.*", "DATASET.*", "AUGMENT.*", *_LAYOUT, "TOKENIZER.DOWNSAMPLE", "REGRESSOR.*",
            "PRIORITY.*", *_GENERATION,
        ),
        model_keys=(*_LAYOUT, "REGRESSOR.*"),
        producer=Late("soke.build.regressor.trained_producer"),
    ),
    "translation": Stage(
        data=Late("soke.build.data.motion_data"),
        module=Late("soke.build.translation.training_module"),
        test=Task(Late("soke.build.translation.translators"), Late("soke.build.translation.scores"), goes_on=True),
        exports=Late("soke.build.translation.exports"),
        trained_by=(
            "SEED", "TRAIN.*", "DATASET.*", "AUGMENT.*", *_LAYOUT, "TOKENIZER.DOWNSAMPLE", "TRANSLATION.*",
            "EVAL.EVERY_EPOCHS",
        ),
        model_keys=(*_LAYOUT, "TRANSLATION.*"),
        models=Late("soke.build.translation.models"),
    ),
    "recognition": Stage(
        data=Late("soke.build.recognition.data"),
        module=Late("soke.build.recognition.training_module"),
        test=Task(
            Late("soke.build.recognition.trained_recognizer"), Late("soke.build.recognition.scores"),
            Late("soke.build.recognition.conditions"),
        ),
        exports=Late("soke.build.tokenizer.exports"),
        trained_by=(
            "SEED", "TRAIN.*", "DATASET.*", "PARTS*", "TOKENIZER.*", "RECOGNITION.*", "EVAL.EVERY_EPOCHS",
            "BODY.MODEL", "BODY.BETAS*",
        ),
        model_keys=("PARTS*", "TOKENIZER.*", *_RECOGNITION),
    ),
    "retrieval": Stage(
        data=Late("soke.build.data.motion_data"),
        module=Late("soke.build.embedding.retrieval_module"),
        test=Task(Late("soke.build.embedding.trained_retrievers"), Late("soke.build.embedding.retrieval_scores")),
        exports=Late("soke.build.embedding.retrieval_exports"),
        trained_by=(
            "SEED", "TRAIN.*", "DATASET.*", "AUGMENT.*", *_LAYOUT, "TOKENIZER.DOWNSAMPLE", "RETRIEVAL.*",
            "EVAL.EVERY_EPOCHS",
        ),
        model_keys=(*_LAYOUT, "RETRIEVAL.*"),
        models=Late("soke.build.per_corpus.configs_of"),
    ),
    "motion_autoencoder": Stage(
        data=Late("soke.build.data.motion_data"),
        module=Late("soke.build.embedding.autoencoder_module"),
        test=Task(Late("soke.build.embedding.trained_autoencoder"), Late("soke.build.embedding.autoencoder_scores")),
        exports=Late("soke.build.tokenizer.exports"),
        trained_by=(
            "SEED", "TRAIN.*", "DATASET.*", *_LAYOUT, "TOKENIZER.DOWNSAMPLE", "MOTION_AUTOENCODER.*",
            "EVAL.EVERY_EPOCHS", "BODY.*",
        ),
        model_keys=(*_LAYOUT, "MOTION_AUTOENCODER.*"),
    ),
}


def stage_of(config: Config) -> Stage:
    return STAGES[config.train.stage]


def tokenizer_of(config: Config) -> Any:
    """The trained tokenizer. Raises UserError for a stage without codes."""
    return _made(config, stage_of(config).tokenizer, "has no codes: choose a tokenizer's or a generator's")


def producer_of(config: Config) -> Any:
    """The trained model that signs sentences. Raises UserError for a stage that signs nothing."""
    return _made(config, stage_of(config).producer, "signs nothing: choose a generator's or a regressor's")


def _made(config: Config, make: Callable[[Config], Any] | None, lack: str) -> Any:
    if make is None:
        stage = config.train.stage
        raise UserError(f"{config.name} trains a model of stage {stage}, which {lack} configuration")
    return make(config)
