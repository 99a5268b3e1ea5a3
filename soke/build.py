"""The only place where configuration becomes objects."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import logging
import warnings
from functools import partial
from pathlib import Path
from typing import Callable, Sequence

import pytorch_lightning as pl
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from soke import __version__, agreement, runs
from soke.body.layout import MotionLayout, PartSpec
from soke.body.model import BodyModel, load_body_model
from soke.body.motion import Motion
from soke.config import Config, CorpusConfig, resolve
from soke.data.clip import TEXT_LOCALE, Corpus
from soke.data.codes import REMEDY, CodeStore
from soke.data.csl_daily import CSLDaily
from soke.data.datamodule import SignDataModule
from soke.data.dataset import MotionDataset
from soke.data.fingerprints import Watch, annotation_hashes
from soke.data.how2sign import How2Sign
from soke.data.keywords import check_keywords, read_keyword_lists
from soke.data.lexicon import Lexicon, SentenceClips, annotated_clips, german_glosses
from soke.data.nmfs_csl import NMFsCSL
from soke.data.packed import file_hash
from soke.data.phoenix14t import Phoenix14T
from soke.data.recordings import published_recordings, read_recordings, without_held_out
from soke.data.statistics import Statistics, data_hashes, load_or_compute_statistics, published_statistics
from soke.data.words import level_of
from soke.errors import UserError
from soke.evaluate import Setting, Shares
from soke.generator.model import GeneratorSpec, SignGenerator
from soke.generator.module import GeneratorModule
from soke.generator.producer import SignProducer
from soke.generator.retrieval import Keywords, Signs
from soke.generator.search import Search
from soke.generator.validation import GenerationScore, spread_samples
from soke.storage import folder_hash
from soke.tokenizer.module import LossWeights, TokenizerModule
from soke.tokenizer.tokenizer import AutoencoderSettings, SignTokenizer
from soke.training import BatchSeed, BestCheckpoint, FiniteWeights, OptimSettings, StepLog
from soke.translation import BackTranslator
from soke.translation.model import TranslatorSettings
from soke.translation.module import PlateauSettings, SearchRange, TranslationLosses, TranslationModule

log = logging.getLogger(__name__)
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # it greets with tips
warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated")  # inside Lightning
warnings.filterwarnings("ignore", "The number of training batches")  # short epochs are no mistake
warnings.filterwarnings("ignore", "Checkpoint directory")  # nor is a run that continues
warnings.filterwarnings("ignore", "It is recommended to use `self.log")  # what is logged is of all processes already

CORPORA = {"how2sign": How2Sign, "csl": CSLDaily, "phoenix": Phoenix14T, "nmfs_csl": NMFsCSL}
_BAR_BATCHES = 10  # between two looks of the progress bar at the loss, for which the device is waited for


def layout(config: Config) -> MotionLayout:
    try:
        return MotionLayout([PartSpec(**{**dataclasses.asdict(p), "joints": tuple(p.joints)}) for p in config.PARTS])
    except (ValueError, KeyError) as error:
        raise UserError(f"PARTS: {error.args[0]}") from None


def body_model(config: Config, device: str | None = None) -> BodyModel:
    """device: None: where single-process work runs"""
    betas = torch.tensor(config.BODY.BETAS) if config.BODY.BETAS else None
    body = load_body_model(resolve(config.BODY.ROOT), config.BODY.FLAT_HAND_MEAN, betas)
    return body.to(device or _device(config))


def corpora(config: Config) -> list[Corpus]:
    """Raises UserError for a reader that cannot be imported or is no corpus, and as the readers do."""
    return [corpus(name, settings) for name, settings in config.DATASET.CORPORA.items()]


def corpus(name: str, settings: CorpusConfig) -> Corpus:
    reader = _imported(f"DATASET.CORPORA.{name}.READER", settings.READER) if settings.READER else CORPORA[name]
    where = {"packed": resolve(settings.PACKED)} if settings.PACKED else {}
    corpus = reader(resolve(settings.ROOT), **where)
    members = ("name", "language", "fps", "clips", "skipped", "load")
    absent = [member for member in members if not hasattr(corpus, member)]
    if absent:
        raise UserError(f"DATASET.CORPORA.{name}.READER: {settings.READER} is no corpus, it lacks {', '.join(absent)}")
    if corpus.name != name:
        raise UserError(f"DATASET.CORPORA.{name}: its reader calls it {corpus.name}; use that name")
    TEXT_LOCALE.setdefault(corpus.language, getattr(corpus, "locale", "en_XX"))
    return corpus


def _imported(key: str, path: str) -> Callable[..., Corpus]:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}: {path} cannot be imported ({error}); write package.module.Class") from error


def lexicon(config: Config, corpora: Sequence[Corpus] = (), languages: Sequence[str] | None = None) -> Lexicon | None:
    """The isolated signs, if there are any; see `Lexicon` for the rest."""
    d = config.DATASET
    return None if d.LEXICON is None else Lexicon(resolve(d.LEXICON), corpora=corpora, languages=languages)


def training_corpora(config: Config) -> list[Corpus]:
    """What this stage is trained on: the corpora, and a tokenizer perhaps on the lexicon's signs of their languages.

    Raises UserError for signs that are to be trained on, but are not there.
    """
    chosen = corpora(config)
    if config.TRAIN.STAGE != "tokenizer" or not config.DATASET.TRAIN_ON_LEXICON:
        return chosen
    signs = lexicon(config, chosen, [corpus.language for corpus in chosen])
    if signs is None:
        raise UserError(
            "DATASET.LEXICON is null: name the folder of the isolated signs, or set DATASET.TRAIN_ON_LEXICON=false"
        )
    return [*chosen, signs]


def code_store(config: Config) -> CodeStore:
    return CodeStore(resolve(config.DATASET.CODE_PATH))


def data_module(config: Config, folder: Path) -> SignDataModule:
    """Codes for the generator's stage, motions for the others; skipped clips are listed in `folder`."""
    kind = "codes" if config.TRAIN.STAGE == "generator" else "motion"
    d, downsample = config.DATASET, config.TOKENIZER.DOWNSAMPLE
    return SignDataModule(
        training_corpora(config), layout(config), kind, code_store(config), batch_size=config.TRAIN.BATCH_SIZE,
        eval_batch_size=config.EVAL.BATCH_SIZE, workers=config.TRAIN.NUM_WORKERS, folder=folder,
        min_frames=d.MIN_FRAMES, max_frames=d.MAX_FRAMES, multiple=downsample, min_steps=d.MIN_FRAMES // downsample,
        max_steps=d.MAX_FRAMES // downsample, strict=d.STRICT, cache_frames=d.CACHE_FRAMES, seed=config.SEED,
        batch_length=config.TRAIN.BATCH_FRAMES // (downsample if kind == "codes" else 1),
        group_by_length=d.GROUP_BY_LENGTH, weights={name: corpus.WEIGHT for name, corpus in d.CORPORA.items()},
    )  # fmt: skip


def training_module(config: Config, data: SignDataModule) -> TokenizerModule | GeneratorModule | TranslationModule:
    """On the CPU; what trains or scores moves to the device that the trainer gives each process."""
    if config.TRAIN.STAGE == "translation":
        return _translation_module(config, data)
    o = config.TRAIN.OPTIM
    optim = OptimSettings(config.TRAIN.END_EPOCH, o.LR, tuple(o.BETAS), o.WEIGHT_DECAY, o.ETA_MIN, o.WARMUP_EPOCHS)
    if config.TRAIN.STAGE == "tokenizer":
        loss = config.LOSS
        weights = LossWeights(loss.FEATURE, loss.COMMITMENT, loss.VELOCITY, loss.REDUCTION)
        return TokenizerModule(_new_tokenizer(config, data.corpora), body_model(config, "cpu"), weights, optim)
    tokenizer = trained_tokenizer(config, "cpu")
    generator, score = _new_generator(config, tokenizer, data), None
    if config.EVAL.GENERATE_EVERY:
        samples, skipped = spread_samples(_val_motions(config, data), config.EVAL.GENERATE_CLIPS)
        data.record(skipped)
        producer = SignProducer(generator, tokenizer, batch_size=config.EVAL.BATCH_SIZE)
        score = GenerationScore(producer, body_model(config, "cpu"), samples, config.METRIC.DTW)
    return GeneratorModule(
        generator, tokenizer, optim, config.TRAIN.LABEL_SMOOTHING, config.TRAIN.CHECKPOINTING, score,
        config.EVAL.GENERATE_EVERY,
    )  # fmt: skip


def _val_motions(config: Config, data: SignDataModule) -> MotionDataset:
    """What generated motion is compared with. Raises UserError when it is not on this machine."""
    try:
        return data.dataset("val", "motion")
    except UserError as error:
        raise UserError(
            f"EVAL.GENERATE_EVERY={config.EVAL.GENERATE_EVERY} compares generated motion with the poses of the val "
            f"split, but {error}; with EVAL.GENERATE_EVERY=0 codes are enough"
        ) from error


def _translation_module(config: Config, data: SignDataModule) -> TranslationModule:
    t, o, parts = config.TRANSLATION, config.TRAIN.OPTIM, layout(config)
    (corpus,) = data.corpora
    clips = data.dataset("train", "motion").clips
    translator = BackTranslator.untrained(
        clips, parts, _statistics(config, parts, data.corpora),
        TranslatorSettings(t.WIDTH, t.LAYERS, t.HEADS, t.FEEDFORWARD, t.DROPOUT),
        level_of((clip.text for clip in clips), t.LEVEL), t.PSEUDO_GLOSSES, t.MAX_TOKENS,
        annotation_hashes(corpus),
    )  # fmt: skip
    optim = PlateauSettings(o.LR, tuple(o.BETAS), o.WEIGHT_DECAY, t.DECAY, t.PATIENCE, o.ETA_MIN)
    losses = TranslationLosses(t.GLOSS_WEIGHT, t.TEXT_WEIGHT, config.TRAIN.LABEL_SMOOTHING)
    searches = SearchRange(tuple(t.BEAMS), tuple(t.LENGTH_PENALTIES))
    return TranslationModule(translator, data.dataset("val", "motion"), optim, losses, searches)


def trained_tokenizer(config: Config, device: str | None = None) -> SignTokenizer:
    """The exported tokenizer of this run's stage, or the one that a generator's run names.

    device: None: where single-process work runs
    """
    if config.TRAIN.STAGE == "tokenizer":
        folder = _exported(config)
    elif config.TOKENIZER.PATH:
        folder = resolve(config.TOKENIZER.PATH)
    else:
        raise UserError("TOKENIZER.PATH is empty: set it to the folder of a trained tokenizer")
    tokenizer = SignTokenizer.from_pretrained(folder)
    agreement.check_tokenizer(config, layout(config), tokenizer, folder)
    return tokenizer.to(device or _device(config))


def _exported(config: Config) -> Path:
    """Folder of the trained model that is to be tested or shown."""
    return resolve(config.TEST.CHECKPOINT) if config.TEST.CHECKPOINT else runs.export_folder(config)


def producer(config: Config) -> SignProducer:
    """The exported generator of this run, with its tokenizer."""
    if config.TRAIN.STAGE != "generator":
        raise UserError(f"{config.NAME} trains a tokenizer, which signs nothing: choose a generator's configuration")
    t, folder = config.TEST, _exported(config)
    producer = SignProducer.from_pretrained(
        folder, _device(config), config.GENERATOR.RETRIEVAL.SIMILAR, batch_size=t.BATCH_SIZE,
        search=search(config),
    )  # fmt: skip
    agreement.check_generator(config, layout(config), producer.generator, producer.tokenizer, folder)
    producer.generator.for_inference(t.WEIGHTS, t.COMPILE)
    return producer


def search(config: Config) -> Search:
    return Search(**{key.lower(): value for key, value in dataclasses.asdict(config.TEST.SEARCH).items()})


def shares(config: Config) -> tuple[Config, Shares]:
    """Starts a process per chosen device for a test, and says which one this is: the configuration is then that of this
    process alone."""
    accelerator, devices = _accelerator(config)
    settings = {"accelerator": accelerator, "devices": devices, "num_nodes": config.NUM_NODES}
    fabric = Fabric(**settings)
    if fabric.world_size > 1:  # what is exchanged is small and lies on the CPU
        fabric = Fabric(**settings, strategy=DDPStrategy(process_group_backend="gloo"))
        fabric.launch()
    if fabric.device.type == "cuda":
        config = dataclasses.replace(config, DEVICE=[fabric.device.index])
    return config, Shares(fabric.global_rank, fabric.world_size)


def evaluation_setting(config: Config, shares: Shares = Shares()) -> Setting:
    chosen = corpora(config)
    return Setting(
        chosen, config.TEST.SPLIT, body_model(config), _limits(config), config.TOKENIZER.DOWNSAMPLE,
        config.DATASET.STRICT, config.METRIC.DTW, config.METRIC.LEVEL, _judges(config, chosen), shares,
        config.TEST.BATCH_SIZE,
    )  # fmt: skip


def conditions(config: Config, task: str) -> dict[str, object]:
    """What the numbers of a test depend on besides clips and metrics, in plain types: the tested models, and how they
    were asked.

    task: of a generator, t2m or m2t
    """
    stage, t = config.TRAIN.STAGE, config.TEST
    if stage == "translation":
        models = {name: _of_corpus(_back_translation(config), name) for name in config.DATASET.CORPORA}
    else:
        models = {stage: _exported(config)}
    found: dict[str, object] = {
        "models": {name: {"folder": str(folder), "hash": folder_hash(folder)} for name, folder in models.items()},
        "batch_size": t.BATCH_SIZE, "code_version": __version__,
    }  # fmt: skip
    if stage == "generator":
        found |= {"task": task, "weights": t.WEIGHTS, "retrieval_similar": config.GENERATOR.RETRIEVAL.SIMILAR}
    if stage == "generator" and task == "t2m":
        found["search"] = dataclasses.asdict(search(config))
    return found


def _judges(config: Config, corpora: Sequence[Corpus]) -> dict[str, BackTranslator]:
    """Corpus -> the back-translation model that reads what a generator makes, where there is one."""
    if config.TRAIN.STAGE != "generator" or not config.METRIC.BACK_TRANSLATION:
        return {}
    judges = {}
    for corpus in corpora:
        folder = _of_corpus(resolve(config.METRIC.BACK_TRANSLATION), corpus.name)
        if not folder.is_dir():
            log.warning(
                "no back-translation of %s: there is no model in %s; train it with `python -m train --cfg "
                "configs/back_translation.yaml --nodebug`, or set METRIC.BACK_TRANSLATION", corpus.name, folder,
            )  # fmt: skip
            continue
        judges[corpus.name] = _back_translator(config, folder, corpus)
    return judges


def _back_translator(config: Config, folder: Path, corpus: Corpus) -> BackTranslator:
    """The model in `folder`, for the motions of a corpus. Raises UserError when it reads another sign language, or
    parts of the body that this configuration's layout leaves at rest; warns when it was trained on other data."""
    translator = BackTranslator.from_pretrained(folder, _device(config))
    if translator.language != corpus.language:
        raise UserError(
            f"the back-translation model in {folder} reads {translator.language}, but {corpus.name} is "
            f"{corpus.language}; train one on {corpus.name}"
        )
    unseen = translator.layout.covered - layout(config).covered
    if unseen:
        raise UserError(
            f"the back-translation model in {folder} reads {', '.join(sorted(unseen))}, which PARTS leaves out; train "
            "one with these PARTS"
        )
    reason = translator.other_data(corpus.name, annotation_hashes(corpus))
    if reason:
        log.warning("the back-translation model in %s %s: train one on this %s", folder, reason, corpus.name)
    return translator


def translators(config: Config) -> dict[str, Callable[[Sequence[Motion]], list[str]]]:
    """Corpus -> motions to texts: by the generator, or by back-translation models of this run."""
    if config.TRAIN.STAGE == "generator":
        producer_ = producer(config)

        def translate(motions: Sequence[Motion], language: str) -> list[str]:
            return producer_.translate(motions, [language] * len(motions))

        return {corpus.name: partial(translate, language=corpus.language) for corpus in corpora(config)}
    return {corpus.name: _translator(config, corpus).translate for corpus in corpora(config)}


def _translator(config: Config, corpus: Corpus) -> BackTranslator:
    """The back-translation model of this run."""
    folder = _of_corpus(_back_translation(config), corpus.name)
    translator = _back_translator(config, folder, corpus)
    agreement.check_translator(config, layout(config), translator, folder)
    return translator


def _back_translation(config: Config) -> Path:
    """Folder of the back-translation models that are to be tested."""
    return resolve(config.TEST.CHECKPOINT) if config.TEST.CHECKPOINT else config.run_folder


def _of_corpus(folder: Path, corpus: str) -> Path:
    """Where the back-translation model of a corpus lies in the folder of all."""
    return folder / corpus / "translation"


def extraction_setting(config: Config) -> dict[str, object]:
    """Arguments of `extract_codes` besides the tokenizer."""
    chosen = corpora(config)
    return dict(
        corpora=chosen, lexicon=lexicon(config, chosen), store=code_store(config), limits=_limits(config),
        batch_size=config.EVAL.BATCH_SIZE, workers=config.TRAIN.NUM_WORKERS, strict=config.DATASET.STRICT,
        rule=config.GENERATOR.RETRIEVAL.RECORDING,
    )  # fmt: skip


def trainer(run: runs.Run, module: TokenizerModule | GeneratorModule | TranslationModule) -> pl.Trainer:
    config = run.config
    continued = len(list(run.folder.glob("csv*")))  # a logger would delete the lines of the run that it continues
    loggers = [CSVLogger(run.folder, name="", version=f"csv.{continued}" if continued else "csv")]
    if config.LOGGER.TENSORBOARD:
        loggers.append(TensorBoardLogger(run.folder, name="", version="tensorboard"))
    last = ModelCheckpoint(
        run.checkpoints, filename=Path(runs.LAST).stem, monitor=None, every_n_epochs=1, save_on_train_epoch_end=True,
        enable_version_counter=False,
    )  # fmt: skip
    if config.LOGGER.WANDB:
        loggers.append(_wandb(run))
    callbacks = [
        BatchSeed(config.SEED), FiniteWeights(), StepLog(config.LOGGER.EVERY_STEPS), last,
        TQDMProgressBar(refresh_rate=_BAR_BATCHES),
    ]  # fmt: skip
    if module.monitor is not None:
        callbacks.append(BestCheckpoint(run.checkpoints, Path(runs.BEST).stem, module.monitor, module.monitor_mode))
    accelerator, devices = _accelerator(config)
    batches = dict.fromkeys(("limit_train_batches", "limit_val_batches"), runs.TRIAL_BATCHES) if run.debug else {}
    return pl.Trainer(
        accelerator=accelerator, devices=devices, num_nodes=config.NUM_NODES, precision=config.TRAIN.PRECISION,
        max_epochs=config.TRAIN.END_EPOCH, gradient_clip_val=config.TRAIN.GRAD_CLIP or None,
        accumulate_grad_batches=config.TRAIN.ACCUMULATE,
        check_val_every_n_epoch=min(config.EVAL.EVERY_EPOCHS, config.TRAIN.END_EPOCH),
        logger=loggers, callbacks=callbacks, log_every_n_steps=config.LOGGER.EVERY_STEPS,
        num_sanity_val_steps=0, enable_model_summary=False, use_distributed_sampler=False, **batches,
    )  # fmt: skip


def _wandb(run: runs.Run) -> WandbLogger:
    try:
        return WandbLogger(run.config.NAME, run.folder, project="soke", config=dataclasses.asdict(run.config))
    except ImportError as error:
        raise UserError("LOGGER.WANDB=true needs wandb: `pip install wandb`, or set it to false") from error


def _new_tokenizer(config: Config, corpora: list[Corpus]) -> SignTokenizer:
    parts, t = layout(config), config.TOKENIZER
    statistics = _statistics(config, parts, corpora)
    settings = {
        part: AutoencoderSettings(size, t.CODE_DIM, t.WIDTH, t.DEPTH, t.DILATION_GROWTH, t.DOWNSAMPLE, t.EMA_DECAY)
        for part, size in t.CODES.items()
    }
    return SignTokenizer(parts, statistics.mean, statistics.std, settings)


def _statistics(config: Config, parts: MotionLayout, corpora: list[Corpus]) -> Statistics:
    """The file that the configuration names, or computed from the corpora's training splits and kept in the run's
    folder. The lexicon's signs do not count: sentences are what is signed and scored."""
    named = resolve(config.DATASET.STATISTICS) if config.DATASET.STATISTICS else None
    if named is not None and named.suffix == ".pt":
        return published_statistics(named, named.with_name("std.pt"), parts)
    sentences = [corpus for corpus in corpora if not isinstance(corpus, Lexicon)]
    dataset = MotionDataset(
        sentences, "train", parts, *_limits(config), config.TOKENIZER.DOWNSAMPLE, config.DATASET.STRICT
    )
    if named is not None and named.exists():
        statistics = Statistics.load(named, parts)
        if not statistics.fits(*data_hashes(dataset)):
            log.warning("%s, which DATASET.STATISTICS names, was computed from other data than this run's", named)
        return statistics
    dataset.require_readable()
    return load_or_compute_statistics(named or config.run_folder / runs.STATISTICS, dataset, config.TRAIN.NUM_WORKERS)


def _new_generator(config: Config, tokenizer: SignTokenizer, data: SignDataModule) -> SignGenerator:
    store, g, chosen = data.code_store, config.GENERATOR, data.corpora
    store.check(tokenizer.hash, chosen, _limits(config))
    languages = {corpus.name: corpus.language for corpus in chosen}
    fps = {corpus.name: store.provenance.fps[corpus.name] for corpus in chosen}
    signs = _signs(config, tokenizer, store, chosen)
    keywords = _keywords(config, chosen, signs) if signs else {}
    spec = GeneratorSpec(
        languages=list(dict.fromkeys(languages.values())), codebooks=tokenizer.codebook_sizes,
        tokenizer_hash=tokenizer.hash, fps=fps, corpora=languages,
        decoding=g.DECODING, fusion=g.FUSION, tied_heads=g.HEADS == "tied", max_steps=g.MAX_STEPS,
        max_pieces=g.MAX_SOURCE, retrieval_words=g.RETRIEVAL.WORDS, retrieval_steps=g.RETRIEVAL.STEPS,
        retrieval_match=g.RETRIEVAL.MATCH, retrieval_similar=g.RETRIEVAL.SIMILAR, retrieval_form=g.RETRIEVAL.FORM,
        retrieval_drop=g.RETRIEVAL.DROP, translation=g.TRANSLATION, retrieval_recording=g.RETRIEVAL.RECORDING,
        retrieval_keywords=_named(g.RETRIEVAL.KEYWORDS) if keywords else "",
        retrieval_word_codes=_named(g.RETRIEVAL.WORD_CODES) if signs else "",
        data=store.digest(data.dataset("train", "codes").clips),
    )  # fmt: skip
    return SignGenerator.from_mbart(resolve(g.MBART), spec, signs, keywords)


def _signs(config: Config, tokenizer: SignTokenizer, store: CodeStore, corpora: Sequence[Corpus]) -> Signs:
    """The recordings that sentences may retrieve; none without retrieval."""
    retrieval = config.GENERATOR.RETRIEVAL
    if not retrieval.WORDS or (config.DATASET.LEXICON is None and not retrieval.WORD_CODES):
        return {}
    if retrieval.WORD_CODES:
        german = german_glosses(corpora)
        if not german and retrieval.MATCH == "token":
            raise UserError(
                "GENERATOR.RETRIEVAL.WORD_CODES does not say which of its words are German, glosses do: add phoenix to "
                "DATASET.CORPORA, or set GENERATOR.RETRIEVAL.MATCH=soke_substring, for which all are of one language"
            )
        log.warning(
            "the codes in %s are those of SOKE's public tokenizer, which nothing in the file tells: this run's "
            "tokenizer %s must be the one that prepare.import_soke makes of it", retrieval.WORD_CODES, tokenizer.hash,
        )  # fmt: skip
        return published_recordings(resolve(retrieval.WORD_CODES), tokenizer.codebook_sizes, german)
    files = {corpus.language: store.word_file(corpus.language) for corpus in corpora}
    recordings = lexicon(config, corpora) if resolve(config.DATASET.LEXICON).is_dir() else None
    reason = store.words_misfit(recordings, files, _limits(config), Watch())
    if reason:
        raise UserError(f"the tables of words (word2code_*.json) in {store.path} do not fit: {reason}; {REMEDY}")
    tables = {name: read_recordings(path, tokenizer.parts) for name, path in files.items() if path.is_file()}
    if not tables:
        raise UserError(f"{store.path} holds no codes of the lexicon's signs (word2code_*.json); {REMEDY}")
    if any(r.source for words in tables.values() for recordings in words.values() for r in recordings):
        sentences = SentenceClips(corpora)
        return {name: without_held_out(words, name, sentences) for name, words in tables.items()}
    return tables


def _keywords(config: Config, corpora: Sequence[Corpus], signs: Signs) -> Keywords:
    """The lists that GENERATOR.RETRIEVAL.KEYWORDS names, if it does."""
    if not config.GENERATOR.RETRIEVAL.KEYWORDS:
        return {}
    folder = resolve(config.GENERATOR.RETRIEVAL.KEYWORDS)
    lists, words = read_keyword_lists(folder), {word for entries in signs.values() for word in entries}
    for split, of_split in lists.items():
        clips = [clip for corpus in corpora for clip in annotated_clips(corpus, split)]
        check_keywords(folder / f"name2kws_{split}.json", of_split, clips, words)
    return lists


def _named(path: str) -> str:
    """Name and hash of a file, or of a folder's lists of keywords, for a model's record; "" for no path."""
    if not path:
        return ""
    found = resolve(path)
    files = sorted(found.glob("name2kws_*.json")) if found.is_dir() else [found]
    return f"{found.name} {hashlib.sha256(''.join(map(file_hash, files)).encode()).hexdigest()[:12]}"


def _limits(config: Config) -> tuple[int, int]:
    return config.DATASET.MIN_FRAMES, config.DATASET.MAX_FRAMES


def _device(config: Config) -> str:
    """Where single-process work runs: the first chosen GPU, if there is one."""
    if config.ACCELERATOR == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{config.DEVICE[0]}" if isinstance(config.DEVICE, list) and config.DEVICE else "cuda"


def _accelerator(config: Config) -> tuple[str, list[int] | int | str]:
    """Lightning's accelerator and devices; on the CPU a list of ids means one process."""
    on_gpu = config.ACCELERATOR not in ("auto", "cpu") or (config.ACCELERATOR == "auto" and torch.cuda.is_available())
    if not on_gpu and isinstance(config.DEVICE, list):
        return "cpu", 1
    return config.ACCELERATOR, config.DEVICE
