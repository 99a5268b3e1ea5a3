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
from soke.starting import shown
from soke.storage import folder_hash
from soke.tokenizer.tokenizer import SignTokenizer
from soke.translation import BackTranslator

if TYPE_CHECKING:
    from soke.data.datamodule import SignDataModule
    from soke.data.dataset import MotionDataset
    from soke.evaluation.protocols import Reader
    from soke.generator.policy.module import PolicyModule

log = logging.getLogger(__name__)


def begin(generator: SignGenerator, config: Config, tokenizer: SignTokenizer | None = None) -> None:
    """Gives the generator the weights of the one that TRAIN.INIT names. A log says what of it does not fit; for learning
    by reward, which is measured against where it began, that is an error (UserError).

    tokenizer: whose codes it speaks, with which that of TRAIN.INIT is compared where it is another; None: it is the same
    """
    folder = model_folder(config.train.init)
    spec = read_settings(folder)[0]
    streams = None
    if tokenizer is not None and spec.tokenizer_hash != tokenizer.hash:
        streams = tokenizer.keeps_meaning(SignTokenizer.from_pretrained(folder / "tokenizer"))
    left = begin_from(generator, folder, streams)
    other = agreement.of_begun(generator.spec.settings, spec.settings)
    found = [f"settings differ (trained -> asked), {described(other)}"] * bool(other)
    if streams is not None:
        found.append(
            f"the tokenizer is another, {spec.tokenizer_hash} -> {tokenizer.hash}, in which the codes of "
            f"{', '.join(streams) or 'no stream'} mean what they meant"
        )
    if left:
        found.append(f"{len(left)} weights begin anew, because it has none that fit: {shown(left)}")
    table = ["mbart.shared.weight"] * any(name.startswith("the ") for name in left)
    generator.fresh = (*table, *(name for name in left if not name.startswith("the ")))
    if found and config.policy.share:
        raise UserError(
            f"TRAIN.INIT: the generator in {folder} is not the one that would learn by reward: {'; '.join(found)}; leave "
            "the settings as it was trained, or train one with these first"
        )
    for sentence in found:
        log.warning("TRAIN.INIT: of the generator in %s, %s", folder, sentence)
    if not found:
        log.info("TRAIN.INIT: all weights are those of the generator in %s", folder)


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
            _refuse_examiner(found[corpus.name].lineage, BackTranslator.from_pretrained(tester), corpus.name)
    return found


def examiners(spec: GeneratorSpec) -> Callable[[Config, Sequence[Corpus]], Mapping[str, Reader]]:
    """`readers_of` for a generator; raises UserError for models that have rewarded it."""

    def checked(config: Config, corpora: Sequence[Corpus]) -> Mapping[str, Reader]:
        found = readers_of(config, corpora)
        for corpus, reader in found.items():
            _refuse_examiner(spec.readers, reader, corpus)
        return found

    return checked


def _refuse_examiner(rewarded: Sequence[str], tester: BackTranslator, corpus: str) -> None:
    """rewarded: hashes of the weights of models that have rewarded, and of those that these began from"""
    if set(rewarded) & set(tester.lineage):
        raise UserError(
            f"the back-translation model of {corpus} in METRIC.BACK_TRANSLATION is the one that rewards the generator in "
            "training, or was trained from it, or both from another (POLICY.READER): its scores would be those of a test "
            "whose answers were known; train another one, with another SEED and NAME, for one of the two"
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
