"""Corpora, lexicon, statistics, data modules, extraction of codes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Collection, Sequence

from soke.body.layout import MotionLayout
from soke.build.body import layout_of
from soke.build.readers import reader_of, stated, with_sentences
from soke.data.clip import Corpus, one_code
from soke.data.codes import CodeStore
from soke.data.corpora.base import FrameFolderCorpus
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.share import TrainingShare, TrainingSubset
from soke.data.dataset import MotionDataset
from soke.data.settings import Dataset
from soke.data.statistics import Statistics, data_hashes, load_or_compute_statistics, published_statistics
from soke.data.storage.formats import FORMATS, SOKE_FRAMES
from soke.errors import UserError
from soke.run import folders
from soke.run.config import Config, naming, resolve

if TYPE_CHECKING:  # Lightning is for training alone
    from soke.data.datamodule import SignDataModule

log = logging.getLogger(__name__)


def corpora_of(config: Config, without_sentences: bool = False) -> list[Corpus]:
    """Raises UserError for a reader that cannot be imported or is no corpus, and as the readers do.

    without_sentences: with those that train tokenizers alone
    """
    named = config.dataset.corpora
    return [corpus_of(name, config.dataset) for name in (named if without_sentences else with_sentences(named))]


def training_corpora(config: Config, without_sentences: bool = False) -> list[Corpus]:
    """`corpora_of` for who trains on them: with the training clips that DATASET.TRAIN_SHARE and TRAIN_CLIPS leave."""
    share, chosen = training_share(config), corpora_of(config, without_sentences)
    return chosen if share.all else [TrainingSubset(corpus, share) for corpus in chosen]


def training_share(config: Config) -> TrainingShare:
    return TrainingShare(config.dataset.train_share, config.dataset.train_clips, config.seed)


def corpus_of(name: str, dataset: Dataset) -> Corpus:
    """One of the corpora of the configuration; raises as `corpora_of` does."""
    settings = dataset.corpora[name]
    reader = reader_of(name, settings)
    where: dict[str, Any] = {"packed": resolve(settings.packed)} if settings.packed else {}
    where |= stated(name, settings)
    form = FORMATS[dataset.frames]
    if form is not SOKE_FRAMES and isinstance(reader, type) and issubclass(reader, FrameFolderCorpus):
        where["form"] = form  # others read what they read
    with naming({"root": f"DATASET.CORPORA.{name}.ROOT"}.get):
        corpus = reader(resolve(settings.root), **where)
    members = ("name", "language", "fps", "clips", "skipped", "load")
    absent = [member for member in members if not hasattr(corpus, member)]
    if absent:
        raise UserError(f"DATASET.CORPORA.{name}.READER: {settings.reader} is no corpus, it lacks {', '.join(absent)}")
    if corpus.name != name:
        raise UserError(f"DATASET.CORPORA.{name}: its reader calls it {corpus.name}; use that name")
    language = one_code(name, corpus.language, getattr(corpus, "locale", None))
    if language != corpus.language:
        corpus.language = language
    return corpus


def lexicon_of(config: Config, corpora: Sequence[Corpus] = (), **options: Collection[str]) -> Lexicon | None:
    """The isolated signs, if there are any; see `Lexicon` for the rest."""
    d = config.dataset
    if d.lexicon is None:
        return None
    with naming({"root": "DATASET.LEXICON"}.get):
        return Lexicon(resolve(d.lexicon), corpora=corpora, form=FORMATS[d.frames], **options)


def code_store(config: Config) -> CodeStore:
    return CodeStore(resolve(config.dataset.code_path))


def motion_data(config: Config, folder: Path) -> SignDataModule:
    """Motions of the corpora; clips that are skipped are listed in `folder`."""
    return _data_module(config, folder, training_corpora(config), "motion", config.train.batch_frames)


def tokenizer_data(config: Config, folder: Path) -> SignDataModule:
    """`motion_data`, with clips that lack parts, of which the others are trained; and with the lexicon's signs of the
    corpora's languages where DATASET.TRAIN_ON_LEXICON says so.

    Raises UserError for signs that are to be trained on, but are not there.
    """
    chosen = training_corpora(config, without_sentences=True)
    if config.dataset.train_on_lexicon:
        signs = lexicon_of(config, chosen, languages=[corpus.language for corpus in chosen])
        if signs is None:
            raise UserError(
                "DATASET.LEXICON is null: name the folder of the isolated signs, or set DATASET.TRAIN_ON_LEXICON=false"
            )
        chosen.append(signs)
    return _data_module(config, folder, chosen, "motion", config.train.batch_frames, partial=True)


def code_data(config: Config, folder: Path) -> SignDataModule:
    """Codes of the corpora; clips that are skipped are listed in `folder`."""
    longest = config.tokenizer.steps(config.train.batch_frames)
    return _data_module(config, folder, training_corpora(config), "codes", longest)


def _data_module(
    config: Config, folder: Path, corpora: list[Corpus], kind: str, longest: int, partial: bool = False
) -> SignDataModule:
    """longest: see `batch_length` of SignDataModule; partial: see there"""
    from soke.data.datamodule import SignDataModule

    d, steps = config.dataset, config.tokenizer.steps
    return SignDataModule(
        corpora, layout_of(config), kind, code_store(config), batch_size=config.train.batch_size,
        eval_batch_size=config.eval.batch_size, workers=config.train.num_workers, folder=folder,
        min_frames=d.min_frames, max_frames=d.max_frames, multiple=config.tokenizer.frames(1),
        min_steps=steps(d.min_frames), max_steps=steps(d.max_frames), strict=d.strict, cache_frames=d.cache_frames,
        seed=config.seed, batch_length=longest,
        group_by_length=d.group_by_length, weights={name: corpus.weight for name, corpus in d.corpora.items()},
        partial=partial, augment=config.augment,
    )


def val_motions(config: Config, data: SignDataModule) -> MotionDataset:
    """What generated motion is compared with. Raises UserError when it is not on this machine."""
    try:
        return data.dataset("val", "motion")
    except UserError as error:
        raise UserError(
            f"EVAL.GENERATE_EVERY={config.eval.generate_every} compares generated motion with the poses of the val "
            f"split, but {error}; with EVAL.GENERATE_EVERY=0 codes are enough"
        ) from error


def statistics_of(
    config: Config, parts: MotionLayout, corpora: list[Corpus], partial: bool = False
) -> Statistics:
    """The file that the configuration names, or computed from the corpora's training splits and kept in the run's
    folder. The lexicon's signs do not count: sentences are what is signed and scored.

    partial: see `MotionDataset`
    """
    form = config.dataset.frames
    named = resolve(config.dataset.statistics) if config.dataset.statistics else None
    if named is not None and named.suffix == ".pt":
        _require_form(SOKE_FRAMES.name, form, named)
        return published_statistics(named, named.with_name("std.pt"), parts)
    sentences = [corpus for corpus in corpora if not isinstance(corpus, Lexicon)]
    dataset = MotionDataset(
        sentences, "train", parts, *limits_of(config), config.tokenizer.frames(1), config.dataset.strict,
        partial=partial,
    )
    if named is not None and named.exists():
        statistics = Statistics.load(named, parts)
        _require_form(statistics.form, form, named)
        if not statistics.fits(*data_hashes(dataset)):
            log.warning("%s, which DATASET.STATISTICS names, was computed from other data than this run's", named)
        return statistics
    dataset.require_readable()
    file = named or config.run_folder / folders.STATISTICS
    return load_or_compute_statistics(file, dataset, config.train.num_workers, form)


def _require_form(found: str, asked: str, file: Path) -> None:
    if found != asked:
        raise UserError(
            f"the statistics in {file} are of the frames {found}, DATASET.FRAMES is {asked}: their coefficients do not "
            "mean the same; leave DATASET.STATISTICS empty to have them computed"
        )


def extraction_setting(config: Config) -> dict[str, object]:
    """Arguments of `extract_codes` besides the tokenizer."""
    chosen = corpora_of(config)
    return dict(
        corpora=chosen, lexicon=lexicon_of(config, chosen), store=code_store(config), limits=limits_of(config),
        batch_size=config.eval.batch_size, workers=config.train.num_workers, strict=config.dataset.strict,
        rule=config.generator.retrieval.recording,
    )


def limits_of(config: Config) -> tuple[int, int]:
    return config.dataset.min_frames, config.dataset.max_frames
