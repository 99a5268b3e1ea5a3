"""Generators, new and trained, and what they retrieve."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

from soke.body.motion import Motion
from soke.build import agreement, devices
from soke.build.body import layout_of
from soke.build.data import corpora_of, lexicon_of, limits_of
from soke.build.starting import init_folder
from soke.build.tokenizer import coder_of, export_folder_of, named_tokenizer
from soke.build.validation import generation_score
from soke.data.clip import Corpus, locales_of
from soke.data.codes import REMEDY, CodeStore
from soke.data.corpora.lexicon import SentenceClips, annotated_clips, german_glosses
from soke.data.fingerprints import Watch
from soke.data.keyword_lists import check_keywords, read_keyword_lists
from soke.data.lengths import measured
from soke.data.rates import warn_of_rates
from soke.data.recordings import published_recordings, read_recordings, without_held_out
from soke.errors import UserError
from soke.generator.files import read_settings
from soke.generator.initial import untrained
from soke.generator.model import SignGenerator
from soke.generator.producer import SignProducer
from soke.generator.retrieval import Keywords, Signs
from soke.generator.spec import GeneratorSpec
from soke.run.config import Config, keyed, model_folder, resolve
from soke.run.processes import World
from soke.storage import file_hash
from soke.tokenizer.tokenizer import SignTokenizer

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.data.datamodule import SignDataModule
    from soke.evaluation.outcome import Evaluation
    from soke.evaluation.unfinished import Unfinished
    from soke.generator.module import GeneratorModule

log = logging.getLogger(__name__)


def trained_producer(config: Config) -> SignProducer:
    """The exported generator of this run, with its tokenizer."""
    t, folder = config.test, export_folder_of(config)
    with keyed():
        producer = SignProducer.from_pretrained(
            folder, devices.device_of(config), config.generator.retrieval.similar, batch_size=t.batch_size,
            search=t.search,
        )
    agreement.check_generator(config, layout_of(config), producer.generator, producer.tokenizer, folder)
    producer.generator.for_inference(t.weights, t.compile)
    return producer


def translators(config: Config) -> dict[str, Callable[[Sequence[Motion]], list[str]]]:
    """Corpus -> motions to texts, by the generator."""
    producer = trained_producer(config)

    def translate(motions: Sequence[Motion], language: str) -> list[str]:
        return producer.translate(motions, [language] * len(motions))

    return {corpus.name: partial(translate, language=corpus.language) for corpus in corpora_of(config)}


def scores(
    producer: SignProducer, config: Config, world: World, unfinished: Unfinished | None = None
) -> Evaluation:
    """Of text to motion."""
    from soke.build.baselines import floors_of
    from soke.build.embedding import with_embeddings
    from soke.build.policy import examiners
    from soke.build.testing import evaluation_setting, note_counted
    from soke.evaluation.rows import generation
    from soke.tokenizer.reconstruction import Reconstruction

    coder = coder_of(config) or producer.tokenizer
    setting = evaluation_setting(config, world, examiners(producer.generator.spec), unfinished, coder)
    setting = with_embeddings(setting, config)
    floors = floors_of(config, config.test.baselines, producer, producer.tokenizer.statistics.mean)
    evaluation = generation(producer, setting, partial(Reconstruction, producer.tokenizer), floors)
    longest = producer.search.longest(producer.generator.spec.settings.max_steps)
    note = f"{{cut}} of {{made}} motions did not end; they are cut after {longest} codes per part"
    note_counted(evaluation, producer.counts, world, "cut", note)
    return evaluation


def translation_scores(
    translators: dict[str, Callable[[Sequence[Motion]], list[str]]], config: Config, world: World,
    unfinished: Unfinished | None = None,
) -> Evaluation:
    """Of motion to text."""
    from soke.build.testing import evaluation_setting
    from soke.evaluation.rows import translation

    setting = evaluation_setting(config, world, unfinished=unfinished)
    return translation(translators, "generator", layout_of(config), setting)


def conditions(config: Config) -> dict[str, object]:
    """Of text to motion."""
    return {**_conditions(config, "t2m"), "search": asdict(config.test.search)}


def translation_conditions(config: Config) -> dict[str, object]:
    """Of motion to text."""
    return _conditions(config, "m2t")


def _conditions(config: Config, task: str) -> dict[str, object]:
    similar = config.generator.retrieval.similar
    return {"task": task, "weights": config.test.weights, "retrieval_similar": similar}


def time(producer: SignProducer, config: Config, folder: Path) -> None:
    from soke.evaluation import timing

    timing.report(producer.batched, corpora_of(config), config.test.split, folder, devices.device_of(config))


def training_module(config: Config, data: SignDataModule) -> GeneratorModule:
    from soke.build import policy
    from soke.generator.adapters import add_adapters
    from soke.generator.module import GeneratorModule

    tokenizer, read_by = named_tokenizer(config, "cpu"), policy.readers(config, data.corpora)
    generator = new_generator(config, tokenizer, data, [of for reader in read_by.values() for of in reader.lineage])
    if config.train.init:
        policy.begin(generator, config, tokenizer)
    if config.train.lora is not None:
        add_adapters(generator, config.train.lora)
    score = generation_score(
        config, data, lambda samples: SignProducer(generator, tokenizer, batch_size=config.eval.batch_size)
    )
    settings = dict(
        label_smoothing=config.train.label_smoothing, checkpointing=config.train.checkpointing, generation=score,
        generate_every=config.eval.generate_every,
    )
    if config.policy.share:
        return policy.training_module(config, data, generator, tokenizer, read_by, **settings)
    return GeneratorModule(generator, tokenizer, config.train.optim, **settings)


def new_generator(
    config: Config, tokenizer: SignTokenizer, data: SignDataModule, readers: Sequence[str] = ()
) -> SignGenerator:
    """readers: hashes of the models whose reading is to reward it, besides those that have rewarded TRAIN.INIT"""
    store, g, chosen = data.code_store, config.generator, data.corpora
    store.check(tokenizer.hash, chosen, limits_of(config))
    _warn_of_cut(data, g.max_steps)
    languages = {corpus.name: corpus.language for corpus in chosen}
    fps = {corpus.name: store.provenance.fps[corpus.name] for corpus in chosen}
    warn_of_rates(fps, languages)
    signs = _signs(config, tokenizer, store, chosen)
    keywords = _keywords(config, chosen, signs) if signs else {}
    made_of = {
        "keywords": _named(g.retrieval.keywords) if keywords else "",
        "word_codes": _named(g.retrieval.word_codes) if signs else "",
    }
    folder = init_folder(config)
    begun = None if folder is None else read_settings(folder)[0]
    mbart = Path(g.mbart).name if begun is None else begun.settings.mbart
    settings = replace(g, mbart=mbart, retrieval=replace(g.retrieval, **made_of))
    spec = GeneratorSpec(
        settings, languages=list(dict.fromkeys(languages.values())), streams=tokenizer.streams,
        tokenizer_hash=tokenizer.hash, fps=fps, corpora=languages,
        locales=locales_of(chosen),
        data=store.digest(data.dataset("train", "codes").clips),
        readers=sorted({*(begun.readers if begun else []), *readers}),
    )
    with keyed():
        if folder is not None:
            return untrained(folder, spec, signs, keywords)
        generator = SignGenerator.from_mbart(model_folder(g.mbart), spec, signs, keywords)
    heads = (f"heads.{name}" for name, _ in generator.heads.named_parameters())
    generator.fresh = ("mbart.shared.weight", *heads)  # of the table the rows of languages and codes
    return generator


def _warn_of_cut(data: SignDataModule, steps: int) -> None:
    """Says how many training clips are longer than anything that the generator may output, in codes per part."""
    dataset = data.dataset("train", "codes")
    most = dataset.limits[1]
    if most <= steps:
        return
    lengths = [min(measured(data.code_store.length, clip, 0), most) for clip in dataset.clips]
    longer = sum(length > steps for length in lengths)
    if longer:
        log.warning(
            "%d of the %d training clips have more codes per part than GENERATOR.MAX_STEPS=%d, where all that is generated "
            "is cut; the longest has %d", longer, len(lengths), steps, max(lengths),
        )


def _signs(config: Config, tokenizer: SignTokenizer, store: CodeStore, corpora: Sequence[Corpus]) -> Signs:
    """The recordings that sentences may retrieve; none without retrieval."""
    retrieval = config.generator.retrieval
    if not retrieval.words or (config.dataset.lexicon is None and not retrieval.word_codes):
        return {}
    if retrieval.word_codes:
        german = german_glosses(corpora)
        if not german and retrieval.match == "token":
            raise UserError(
                "GENERATOR.RETRIEVAL.WORD_CODES does not say which of its words are German, glosses do: add phoenix to "
                "DATASET.CORPORA, or set GENERATOR.RETRIEVAL.MATCH=soke_substring, for which all are of one language"
            )
        log.warning(
            "the codes in %s are those of SOKE's public tokenizer, which nothing in the file tells: this run's "
            "tokenizer %s must be the one that prepare.import_soke makes of it", retrieval.word_codes, tokenizer.hash,
        )
        return published_recordings(resolve(retrieval.word_codes), tokenizer.streams, german)
    files = {corpus.language: store.word_file(corpus.language) for corpus in corpora}
    recordings = lexicon_of(config, corpora) if resolve(config.dataset.lexicon).is_dir() else None
    reason = store.words_misfit(recordings, files, limits_of(config), Watch())
    if reason:
        raise UserError(f"the tables of words (word2code_*.json) in {store.path} do not fit: {reason}; {REMEDY}")
    tables = {name: read_recordings(path, list(tokenizer.streams)) for name, path in files.items() if path.is_file()}
    if not tables:
        raise UserError(f"{store.path} holds no codes of the lexicon's signs (word2code_*.json); {REMEDY}")
    if any(r.source for words in tables.values() for recordings in words.values() for r in recordings):
        sentences = SentenceClips(corpora)
        return {name: without_held_out(words, name, sentences) for name, words in tables.items()}
    return tables


def _keywords(config: Config, corpora: Sequence[Corpus], signs: Signs) -> Keywords:
    """The lists that GENERATOR.RETRIEVAL.KEYWORDS names, if it does."""
    if not config.generator.retrieval.keywords:
        return {}
    folder = resolve(config.generator.retrieval.keywords)
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
