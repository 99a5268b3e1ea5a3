"""Learning by reward: what a generator that does so begins from, and what rewards it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

from soke.build import agreement
from soke.build.body import body_model
from soke.build.translation import back_translator, folder_of_corpus, readers_of
from soke.data.clip import Corpus
from soke.errors import UserError
from soke.generator.files import read_settings
from soke.generator.initial import begin_from
from soke.generator.model import SignGenerator
from soke.generator.producer import SignProducer
from soke.generator.spec import GeneratorSpec
from soke.run.changes import described
from soke.run.config import Config, model_folder
from soke.storage import folder_hash
from soke.tokenizer.tokenizer import SignTokenizer
from soke.translation import BackTranslator

if TYPE_CHECKING:
    from soke.data.datamodule import SignDataModule
    from soke.data.dataset import MotionDataset
    from soke.evaluation.protocols import Reader
    from soke.generator.policy.module import PolicyModule

log = logging.getLogger(__name__)


def begin(generator: SignGenerator, config: Config) -> None:
    """Gives the generator the weights of the one that TRAIN.INIT names. A log says what of it does not fit; for learning
    by reward, which is measured against where it began, that is an error (UserError)."""
    folder = model_folder(config.train.init)
    left = begin_from(generator, folder)
    other = agreement.of_begun(generator.spec.settings, read_settings(folder)[0].settings)
    found = [f"settings differ (trained -> asked), {described(other)}"] * bool(other)
    if left:
        listed = ", ".join(left[:5]) + ", …" * (len(left) > 5)
        found.append(f"{len(left)} weights begin anew, because it has none that fit: {listed}")
    if found and config.policy.share:
        raise UserError(
            f"TRAIN.INIT: the generator in {folder} is not the one that would learn by reward: {'; '.join(found)}; leave "
            "the settings as it was trained, or train one with these first"
        )
    for sentence in found:
        log.warning("TRAIN.INIT: of the generator in %s, %s", folder, sentence)


def readers(config: Config, corpora: Sequence[Corpus]) -> dict[str, BackTranslator]:
    """Corpus -> the model whose reading is rewarded, where it is. Raises UserError where one is missing, and for one that
    the generator is tested by: what it then would have learnt is to please its examiner."""
    if not config.policy.share or not config.policy.weights.get("bleu"):
        return {}
    found = {}
    for corpus in corpora:
        folder = folder_of_corpus(model_folder(config.policy.reader), corpus.name)
        if not folder.is_dir():
            raise UserError(
                f"POLICY.READER: there is no model in {folder}, whose reading is to be rewarded; train it with another "
                f"SEED and NAME than those of METRIC.BACK_TRANSLATION, or set POLICY.REWARDS.bleu=0"
            )
        found[corpus.name] = back_translator(config, folder, corpus, "cpu")
        tester = folder_of_corpus(model_folder(config.metric.back_translation), corpus.name)
        if config.metric.back_translation and tester.is_dir():
            _refuse_examiner(found[corpus.name].weights_hash, BackTranslator.from_pretrained(tester), corpus.name)
    return found


def examiners(spec: GeneratorSpec) -> Callable[[Config, Sequence[Corpus]], Mapping[str, Reader]]:
    """`readers_of` for a generator; raises UserError for models that have rewarded it."""

    def checked(config: Config, corpora: Sequence[Corpus]) -> Mapping[str, Reader]:
        found = readers_of(config, corpora)
        for corpus, reader in found.items():
            for rewarded in spec.readers:
                _refuse_examiner(rewarded, reader, corpus)
        return found

    return checked


def _refuse_examiner(rewarded: str, tester: BackTranslator, corpus: str) -> None:
    if tester.weights_hash == rewarded:
        raise UserError(
            f"the back-translation model of {corpus} in METRIC.BACK_TRANSLATION is the one that rewards the generator in "
            "training (POLICY.READER): its scores would be those of a test whose answers were known; train another one, "
            "with another SEED and NAME, for one of the two"
        )


def training_module(
    config: Config, data: SignDataModule, generator: SignGenerator, tokenizer: SignTokenizer,
    read_by: Mapping[str, BackTranslator], **settings: Any,
) -> PolicyModule:
    """settings: of `GeneratorModule`"""
    from soke.evaluation.validation import spread_samples
    from soke.generator.policy.learner import PolicyLearner
    from soke.generator.policy.module import PolicyModule
    from soke.generator.policy.rewards import Points, References

    datasets = {split: _motions(config, data, split) for split in ("train", "val")}
    samples, skipped = spread_samples(datasets["val"], config.eval.generate_clips)
    data.record(skipped)
    producer = SignProducer(generator, tokenizer, batch_size=config.eval.batch_size)
    points = Points(body_model(config, "cpu"))
    learner = PolicyLearner(
        config.policy, producer, References(datasets, producer, points), points, read_by,
        folder_hash(model_folder(config.train.init)), data.record,
    )
    return PolicyModule(
        generator, tokenizer, config.train.optim, learner=learner, clips=[sample.clip for sample in samples], **settings
    )


def _motions(config: Config, data: SignDataModule, split: str) -> MotionDataset:
    try:
        return data.dataset(split, "motion")
    except UserError as error:
        raise UserError(
            f"POLICY.SHARE={config.policy.share} rewards motion by the poses of the {split} split, but {error}; with "
            "POLICY.SHARE=0 codes are enough"
        ) from error
