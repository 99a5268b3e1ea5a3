"""Sign recognizers, new and trained, and the features that they read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, cast

from soke.build import agreement, devices
from soke.build.body import body_model
from soke.build.data import corpora_of, limits_of, training_share
from soke.build.starting import init_folder, tell
from soke.build.tokenizer import export_folder_of, named_tokenizer
from soke.data.labels import LabelledCorpus
from soke.errors import UserError
from soke.recognition.features import Extraction, FeatureFile
from soke.recognition.recognizer import SignRecognizer
from soke.run.changes import described
from soke.run.config import Config, resolve
from soke.run.processes import World

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.evaluation.outcome import Evaluation
    from soke.recognition.data import RecognitionData
    from soke.recognition.module import RecognitionModule


def data(config: Config, folder: Path) -> RecognitionData:
    """Features of the training and the validation clips; clips that are left out are listed in `folder`."""
    from soke.recognition.data import RecognitionData

    corpus, extraction, r = _corpus(config), _extraction(config), config.recognition
    train = extraction.features_of(corpus, "train")
    val = extraction.features_of(corpus, "val") if corpus.clips("val") else None
    return RecognitionData(
        corpus, train, val, r.seen(extraction.tokenizer.parts), val_share=r.val_share,
        batch_size=config.train.batch_size, eval_batch_size=config.eval.batch_size, workers=config.train.num_workers,
        seed=config.seed, group_by_length=config.dataset.group_by_length, folder=folder, share=training_share(config),
    )


def training_module(config: Config, data: RecognitionData) -> RecognitionModule:
    from soke.recognition.model import SignClassifier
    from soke.recognition.module import RecognitionModule

    facts = data.train.features.facts
    classifier = SignClassifier(*data.train.statistics(), len(data.signs), config.recognition.classifier)
    made_with = {
        **{key: facts[key] for key in ("tokenizer", "window", "limits")}, "corpus": data.corpus.name,
        "training_clips": len(data.train), "validation_clips": len(data.val), "validation": data.rule,
        "window_keeps": data.train.features.kept if facts["window"] is not None else "",
    }
    recognizer = SignRecognizer(classifier, data.signs, data.parts, made_with)
    folder = init_folder(config)
    if folder is not None:
        begin(recognizer, folder)
    return RecognitionModule(recognizer, config.train.optim, config.train.label_smoothing)


def begin(recognizer: SignRecognizer, folder: Path) -> None:
    """Gives it the weights of the one in a folder, and says what begins anew. Raises UserError for one that reads the
    states of another tokenizer."""
    trained = SignRecognizer.from_pretrained(folder)
    theirs, ours = trained.made_with["tokenizer"], recognizer.made_with["tokenizer"]
    if theirs != ours:
        raise UserError(
            f"TRAIN.INIT: the sign recognizer in {folder} reads the states of tokenizer {theirs}, this run those of {ours}: "
            "name one that was trained with this tokenizer, or set TOKENIZER.PATH to its own"
        )
    unlike = {
        key: (trained.made_with.get(key), recognizer.made_with.get(key)) for key in ("corpus", "window", "limits")
        if trained.made_with.get(key) != recognizer.made_with.get(key)
    }
    more = [f"its clips differ (trained -> asked), {described(unlike)}"] * bool(unlike)
    tell(recognizer.take(trained).within("classifier."), folder, recognizer, *more)


def trained_recognizer(config: Config) -> SignRecognizer:
    """The exported recognizer of this run."""
    folder = export_folder_of(config)
    recognizer = SignRecognizer.from_pretrained(folder)
    agreement.check_recognizer(config, recognizer, folder)
    return recognizer


def conditions(config: Config) -> dict[str, object]:
    """What the numbers depend on besides the recognizer and the clips."""
    return {"recognizer": SignRecognizer.from_pretrained(export_folder_of(config)).provenance()}


def scores(recognizer: SignRecognizer, config: Config, world: World) -> Evaluation:
    from soke.recognition.data import labels_of
    from soke.recognition.scoring import recognition

    corpus, extraction, split = _corpus(config), _extraction(config), config.test.split
    rule = recognizer.made_with["validation"]
    stored = "train" if rule and split == "val" else split  # where validation clips were taken out of train
    facts = extraction.facts(corpus, stored)
    for key in ("tokenizer", "window", "limits"):
        if recognizer.made_with[key] != facts[key]:
            raise UserError(
                f"the sign recognizer in {export_folder_of(config)} was trained on features of another {key} (trained "
                f"-> asked), {recognizer.made_with[key]} -> {facts[key]}: test it with what it was trained with, or "
                "train one"
            )
    features = _by_first(world, lambda: extraction.features_of(corpus, stored))
    return recognition(
        recognizer, features, labels_of(corpus, split, rule), corpus.name, split, batch_size=config.test.batch_size,
        skipped=corpus.skipped(stored), world=world, device=devices.device_of(config),
    )


def _corpus(config: Config) -> LabelledCorpus:
    """The corpus of isolated signs. Raises UserError for one of sentences."""
    (corpus,) = corpora_of(config)
    if not hasattr(corpus, "labels"):
        raise UserError(
            f"DATASET.CORPORA.{corpus.name} has no labels of isolated signs: recognition needs a corpus such as "
            "nmfs_csl, or a reader of yours with a method labels(split)"
        )
    return cast(LabelledCorpus, corpus)


def _extraction(config: Config) -> Extraction:
    return Extraction(
        named_tokenizer(config, "cpu"), body_model(config, "cpu"), config.recognition.window, limits_of(config),
        resolve(config.recognition.features), config.eval.batch_size, config.train.num_workers, config.dataset.strict,
        devices.device_of(config),
    )


def _by_first(world: World, make: Callable[[], FeatureFile]) -> FeatureFile:
    """What the first process makes and keeps, and the others then find. Raises UserError in all of them."""
    fault, made = "", None
    if world.rank == 0:
        try:
            made = make()
        except UserError as error:
            fault = str(error)
    fault = "".join(world.gathered([fault]))
    if fault:
        raise UserError(fault)
    return made if made is not None else make()
