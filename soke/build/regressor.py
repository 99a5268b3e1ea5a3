"""Regressors, new and trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from soke.body.motion import JointMotion, Motion
from soke.build import agreement, devices
from soke.build.body import layout_of
from soke.build.data import corpora_of, limits_of, statistics_of
from soke.build.starting import init_folder, kept_statistics, tell
from soke.build.tokenizer import coder_of, export_folder_of
from soke.build.validation import generation_score
from soke.data.clip import Clip, locales_of
from soke.data.lengths import fitted_indices
from soke.data.rates import warn_of_rates
from soke.errors import UserError
from soke.regressor.group import GroupSpec, new_group, specs_of
from soke.regressor.growth import learning
from soke.regressor.producer import RegressorProducer
from soke.regressor.regressor import PoseRegressor
from soke.run.config import Config, keyed, resolve
from soke.run.processes import World
from soke.text.locales import canonical
from soke.text.prompts import Prompts

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.data.datamodule import SignDataModule
    from soke.data.dataset import MotionSample
    from soke.evaluation.outcome import Evaluation
    from soke.evaluation.unfinished import Unfinished
    from soke.regressor.module import RegressorModule


def trained_producer(config: Config) -> RegressorProducer:
    """The exported regressor of this run, with the timing that REGRESSOR.TIMING names."""
    folder, r = export_folder_of(config), config.regressor
    regressor = PoseRegressor.from_pretrained(folder, devices.device_of(config))
    agreement.check_regressor(config, layout_of(config), regressor, folder)
    _check_prompts(config, regressor, folder)
    references = _signed(config) if r.timing == "oracle" else None
    return RegressorProducer(regressor, config.test.batch_size, r.max_frames, references)


def _signed(config: Config) -> Callable[[Clip], Motion | JointMotion]:
    """Clip -> what its signer signed, of the length that is scored."""
    corpora = {corpus.name: corpus for corpus in corpora_of(config)}

    def motion_of(clip: Clip) -> Motion | JointMotion:
        motion = corpora[clip.corpus].load(clip)
        return motion.frames(fitted_indices(len(motion), *limits_of(config), config.tokenizer.frames(1)))

    return motion_of


def new_regressor(config: Config, data: SignDataModule) -> PoseRegressor:
    """With random weights, and the vocabularies of the training clips; or the one that TRAIN.INIT names, whose groups of
    the corpora's sign languages go on, and which has new ones for those that it has not learnt. Raises UserError for clips
    that lack what is to be read of them, and for a TRAIN.INIT that does not fit."""
    if config.train.init:
        return _grown(config, data)
    parts, specs = layout_of(config), _specs(config, data)
    found = statistics_of(config, parts, data.corpora)
    features = sum(parts.sizes.values())
    groups = {name: new_group(spec, features) for name, spec in specs.items()}
    return PoseRegressor(parts, found.mean, found.std, groups, found.form)


def _specs(config: Config, data: SignDataModule) -> dict[str, GroupSpec]:
    clips, settings = data.dataset("train", "motion").clips, replace(config.regressor, prompt_folder="")
    fps = {corpus.name: float(corpus.fps) for corpus in data.corpora}
    prompts = _prompts(config, (corpus.language for corpus in data.corpora))
    with keyed():
        return specs_of(settings, clips, locales_of(data.corpora), fps, prompts)


def _grown(config: Config, data: SignDataModule) -> PoseRegressor:
    """The motions are normalised by the model's statistics, on which depends what all of its groups sign; the log tells
    where they are far from each other. Raises UserError where DATASET.STATISTICS asks for others while groups stay."""
    folder, start, parts = init_folder(config), config.train.init_language, layout_of(config)
    model = PoseRegressor.from_pretrained(folder)
    agreement.check_features(config, parts, model, folder)
    with keyed():
        grown, begun = learning(model, _specs(config, data), canonical(start) if start else None)
    theirs, ours = model.statistics, statistics_of(config, parts, data.corpora)
    kept = kept_statistics(config, ours, theirs.mean, theirs.std, folder)
    frozen = [language for group in grown.groups.values() if group.frozen for language in group.spec.languages]
    if kept.hash != theirs.hash and frozen:
        raise UserError(
            f"DATASET.STATISTICS names others than those that the model in {folder} was trained with, by which its groups of "
            f"{', '.join(frozen)} would sign other motions: leave it empty"
        )
    grown = PoseRegressor(parts, kept.mean, kept.std, dict(grown.groups), theirs.form)
    new = [language for language in grown.languages if language not in model.languages]
    tell(begun, folder, grown, *[f"sign languages that are added: {', '.join(new)}"] * bool(new))
    return grown


def _prompts(config: Config, languages: Iterable[str]) -> Prompts | None:
    """The templates that training takes; None where no prompts are read."""
    folder = config.regressor.prompt_folder
    if config.regressor.source != "prompt":
        return None
    with keyed():
        return Prompts.read(languages, resolve(folder) if folder else None, config.seed)


def _check_prompts(config: Config, regressor: PoseRegressor, folder: Path) -> None:
    """Raises UserError where REGRESSOR.PROMPT_FOLDER holds other templates than those that the groups of the corpora
    keep, so far as they read prompts."""
    for group in regressor.groups_of(config.dataset.corpora) if config.regressor.prompt_folder else ():
        kept, found = group.spec.prompts, _prompts(config, group.spec.languages)
        if kept is not None and (found is None or kept.templates != found.templates):
            raise UserError(
                f"the model in {folder} was trained with other prompt templates than those in "
                f"{config.regressor.prompt_folder}, and keeps its own: leave REGRESSOR.PROMPT_FOLDER empty, or train a "
                "model with them"
            )


def training_module(config: Config, data: SignDataModule) -> RegressorModule:
    from soke.regressor.module import RegressorModule
    from soke.regressor.objectives import Objectives

    regressor, r = new_regressor(config, data), config.regressor

    def producer(samples: Sequence[MotionSample]) -> RegressorProducer:
        signed = {(sample.clip.corpus, sample.clip.name): sample.motion for sample in samples}
        oracle = (lambda clip: signed[clip.corpus, clip.name]) if r.timing == "oracle" else None
        return RegressorProducer(regressor, config.eval.batch_size, r.max_frames, oracle, warns=False)

    score = generation_score(config, data, producer)
    for group in regressor.groups.values():
        if not group.frozen:
            warn_of_rates(group.spec.fps, group.spec.corpora)
    objectives = Objectives(r.objectives, config.priority)
    return RegressorModule(regressor, config.train.optim, objectives, score, config.eval.generate_every)


def scores(
    producer: RegressorProducer, config: Config, world: World, unfinished: Unfinished | None = None
) -> Evaluation:
    """Of text to motion, with a mean pose as a floor, whatever other baselines there are."""
    from soke.build.baselines import floors_of
    from soke.build.embedding import with_embeddings
    from soke.build.testing import evaluation_setting, note_counted
    from soke.build.translation import readers_of
    from soke.evaluation.rows import generation

    names = dict.fromkeys(["mean_pose", *config.test.baselines])
    floors = floors_of(config, list(names), producer, producer.regressor.statistics.mean)
    setting = evaluation_setting(config, world, readers_of, unfinished, coder_of(config))
    setting = with_embeddings(setting, config)
    evaluation = generation(producer, setting, floors=floors)
    notes = {
        "cut": f"the counter of {{cut}} of {{made}} motions did not end; they are cut after {producer.max_frames} frames",
        "unknown": "of {unknown} of {made} sentences the regressor knows no word: what it signs of them does not depend on them",
    }
    for name, note in notes.items():
        note_counted(evaluation, producer.counts, world, name, note)
    return evaluation


def conditions(config: Config) -> dict[str, object]:
    """Of text to motion."""
    return {"task": "t2m", "timing": config.regressor.timing, "max_frames": config.regressor.max_frames}


def time(producer: RegressorProducer, config: Config, folder: Path) -> None:
    from soke.evaluation import timing

    timing.report(producer.batched, corpora_of(config), config.test.split, folder, devices.device_of(config))
