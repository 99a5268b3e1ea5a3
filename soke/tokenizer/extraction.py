"""Codes of whole corpora and of the lexicon's signs, written to a CodeStore."""
from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from soke import __version__
from soke.data.clip import SPLITS, Clip, Corpus, SkippedClip
from soke.data.codes import SKIPPED, CodeStore, Provenance, sign_digests
from soke.data.corpora.lexicon import Lexicon
from soke.data.dataset import MotionBatch, MotionDataset, MotionSample, collate_motions
from soke.data.fingerprints import Fingerprint, Watch, fingerprint_of
from soke.data.lengths import measured
from soke.data.recordings import Recording, ranked, write_recordings
from soke.data.sampling import SortedBatches, fitted_lengths
from soke.data.word_codes import write_published_word_codes
from soke.errors import UserError
from soke.run.locking import locked
from soke.run.processes import World
from soke.tokenizer.tokenizer import SignTokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Work:
    """How clips are encoded: by what, in blocks of how many, read by how many worker processes, by which processes."""

    tokenizer: SignTokenizer
    batch_size: int
    workers: int
    world: World


def extract_codes(
    tokenizer: SignTokenizer, corpora: Sequence[Corpus], lexicon: Lexicon | None, store: CodeStore, *,
    limits: tuple[int, int], batch_size: int, workers: int = 0, strict: bool = False, rule: str = "first",
    world: World = World(),
) -> None:
    """Writes the codes of every clip of every split, and of the lexicon one table per sign language, with all
    recordings of every word, and SOKE's word2code.json, with the one that `rule` chooses, see `ranked`.

    What is there already is kept where it was made from the same frames, with the same tokenizer and settings, and made
    again where it was not. Codes of another tokenizer are removed first, those of corpora that are not named here too,
    so that a folder never holds codes of two. Unreadable clips are counted and named in the log, or an error when
    `strict`. Raises UserError for a folder of codes of unknown origin, and for one that another command writes to.

    Clips of similar length are encoded together, always the same ones: several processes, and one that goes on after an
    interruption, write what one process writes at once. What is there is noted by the first process alone, when it is.

    world: the processes that do it together; every one of them must call it
    """
    tokenizer.eval()
    work = _Work(tokenizer, batch_size, workers, world)
    with ExitStack() as alone:
        world.of_first(lambda: alone.enter_context(locked(store.path, "writing codes", "`code_path`")))
        world.of_first(lambda: _start(tokenizer, corpora, store, limits))
        skipped = _extract(corpora, lexicon, store, limits, strict, rule, work)
        if world.rank > 0:
            return
        store.list_skipped(skipped)
    if skipped:
        reasons = "; ".join(s.reason for s in skipped[:5])
        log.warning("%d clips have no codes, %s lists them: %s", len(skipped), store.path / SKIPPED, reasons)
    log.info("codes of tokenizer %s are in %s", tokenizer.hash, store.path)


def _extract(
    corpora: Sequence[Corpus], lexicon: Lexicon | None, store: CodeStore, limits: tuple[int, int], strict: bool,
    rule: str, work: _Work,
) -> list[SkippedClip]:
    """Writes what is missing. Returns the clips that have no codes."""
    skipped, watch = [], Watch.thorough()
    for corpus in corpora:
        for split in SPLITS:
            skipped += _extract_split(_dataset(corpus, split, work.tokenizer, limits, strict), store, watch, work)
    if lexicon is not None:
        skipped += _extract_lexicon(
            lexicon, {c.language for c in corpora}, store, limits, watch, strict, rule, work
        )
    return skipped


def _start(tokenizer: SignTokenizer, corpora: Sequence[Corpus], store: CodeStore, limits: tuple[int, int]) -> None:
    """Remove what was made with another tokenizer or other settings, then note those of today."""
    earlier = store.provenance if store.has_provenance() else None
    if earlier is None and not store.is_empty(corpus.name for corpus in corpora):
        raise UserError(
            f"{store.path} holds codes, but no provenance.json that says with which tokenizer they were made: set "
            "`code_path` to another folder, or remove this one"
        )
    if earlier is not None and earlier.tokenizer != tokenizer.hash:
        counts = {name: store.clear(name) for name in sorted({*earlier.fps, *(corpus.name for corpus in corpora)})}
        store.clear_words()
        log.warning(
            "the codes of tokenizer %s in %s are removed, this one is %s: %s; in another folder they would have "
            "stayed", earlier.tokenizer, store.path, tokenizer.hash,
            ", ".join(f"{count} of {name}" for name, count in counts.items()),
        )
        earlier = None
    for corpus in corpora if earlier is not None else ():
        reason = store.misfit(corpus.name, limits, corpus.fps) if corpus.name in earlier.fps else ""
        if reason:
            log.warning("the %d codes of %s are made again: %s", store.clear(corpus.name), corpus.name, reason)
    store.write_provenance(
        Provenance(
            tokenizer=tokenizer.hash, layout=tokenizer.layout.hash, statistics=tokenizer.statistics.hash,
            streams=tokenizer.streams, downsample=tokenizer.frames(1),
            fps=(earlier.fps if earlier else {}) | {corpus.name: corpus.fps for corpus in corpora},
            code_version=__version__,
            limits=(earlier.limits if earlier else {}) | {corpus.name: limits for corpus in corpora},
            words=earlier.words if earlier else {}, rule=earlier.rule if earlier else "",
        )
    )


def _missing(dataset: MotionDataset, frames: Mapping[Clip, Fingerprint | None], store: CodeStore) -> list[int]:
    """Indices of the clips that have no codes, or codes of other frames, which are removed."""
    changed = {clip for clip in dataset.clips if store.has(clip) and store.changed(clip, frames[clip])}
    if changed:
        log.warning(
            "%d clips of %s %s are encoded again, because their frames have changed, or the times of their files: %s",
            len(changed), next(iter(dataset.corpora)), dataset.split, ", ".join(sorted(c.name for c in changed)[:5]),
        )
    for clip in changed:
        store.remove(clip)
    return [i for i, clip in enumerate(dataset.clips) if not (store.is_noted(clip) and store.has(clip))]


def _dataset(
    corpus: Corpus, split: str, tokenizer: SignTokenizer, limits: tuple[int, int], strict: bool
) -> MotionDataset:
    return MotionDataset([corpus], split, tokenizer.layout, *limits, multiple=tokenizer.frames(1), strict=strict)


def _extract_split(dataset: MotionDataset, store: CodeStore, watch: Watch, work: _Work) -> list[SkippedClip]:
    """Writes the codes that one split of one corpus lacks. Returns the clips that have none."""
    (corpus,) = dataset.corpora.values()
    frames: dict[Clip, Fingerprint | None] = {}

    def planned() -> dict[int, str]:
        dataset.require_readable()
        frames.update((clip, fingerprint_of(corpus, clip, watch)) for clip in dataset.clips)
        return {i: store.new_name(dataset.clips[i]) for i in _missing(dataset, frames, store)}

    names, skipped = work.world.of_first(planned), []

    def written(index: int, codes: Tensor) -> str:
        return store.write_numbers(corpus.name, names[index], codes)

    for found, absent in _each_block(dataset, names, work, written, f"codes of {corpus.name} {dataset.split}"):
        skipped += absent
        for index, codes in found.items() if work.world.rank == 0 else ():
            store.note(dataset.clips[index], names[index], codes, frames[dataset.clips[index]])
    return skipped


class _Blocks(Dataset):
    """Item i: the clips of a block that can be read, and those of the missing ones that cannot. Nothing can be read where
    no missing one can: such a block need not be encoded."""

    def __init__(self, dataset: MotionDataset, blocks: Sequence[Sequence[int]], missing: Collection[int]):
        self.dataset, self.blocks, self.missing = dataset, blocks, missing

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, number: int) -> tuple[list[int], MotionBatch]:
        block = self.blocks[number]
        items = {i: self.dataset[i] for i in block if i in self.missing}
        skipped = [item for item in items.values() if isinstance(item, SkippedClip)]
        if len(skipped) < len(items):
            items |= {i: self.dataset[i] for i in block if i not in self.missing}
        samples = {i: items[i] for i in block if isinstance(items.get(i), MotionSample)}
        return list(samples), replace(collate_motions(list(samples.values())), skipped=skipped)


def _each_block(
    dataset: MotionDataset, missing: Collection[int], work: _Work, use: Callable[[int, Tensor], Any], title: str
) -> Iterator[tuple[dict[int, Any], list[SkippedClip]]]:
    """Of each block that has a missing clip, {clip: what `use` makes of its codes [K, S]} of these, and those of them that
    cannot be read. Every process must walk through all; each has encoded, and used, its share."""
    if not missing:
        return
    lengths = fitted_lengths(np.array([_length(dataset, clip) for clip in dataset.clips], dtype=int), *dataset.limits)
    blocks = [b for b in SortedBatches(lengths, work.batch_size) if any(i in missing for i in b)]
    own = _Blocks(dataset, work.world.own(blocks), missing)
    batches = iter(DataLoader(own, batch_size=None, num_workers=min(work.workers, len(own))))

    def next_one() -> tuple[dict[int, Any], list[SkippedClip]]:
        rows, batch = next(batches, ([], None))
        encoded = zip(rows, () if batch is None else _encoded(work.tokenizer, batch))
        return {i: use(i, codes) for i, codes in encoded if i in missing}, [] if batch is None else batch.skipped

    rounds = range(-(-len(blocks) // work.world.size))
    for _ in tqdm(rounds, desc=title, disable=work.world.rank > 0):
        yield from work.world.of_each(next_one)


def _length(dataset: MotionDataset, clip: Clip) -> int:
    """By which clips are put together; of a corpus that does not tell lengths, all are alike."""
    return measured(getattr(dataset.corpora[clip.corpus], "length", None), clip, dataset.limits[1])


@torch.no_grad()
def _encoded(tokenizer: SignTokenizer, batch: MotionBatch) -> list[Tensor]:
    """The codes [K, S] of each clip of a batch, of which there may be none that could be read."""
    if not batch.clips:
        return []
    batch = batch.to(tokenizer.device)
    return tokenizer.encode(batch.features, batch.lengths).clips()


def _extract_lexicon(
    lexicon: Lexicon, languages: set[str], store: CodeStore, limits: tuple[int, int], watch: Watch, strict: bool,
    rule: str, work: _Work,
) -> list[SkippedClip]:
    signs = _dataset(lexicon, "train", work.tokenizer, limits, strict)
    if not work.world.of_first(lambda: _words_are_stale(lexicon, languages, store, limits, watch, rule)):
        return []
    skipped, codes = [], {}
    for found, absent in _each_block(signs, range(len(signs)), work, lambda _, codes: codes.cpu(), "codes of the lexicon"):
        skipped += absent
        codes |= found
    if work.world.rank > 0:
        return skipped
    words: dict[str, dict[str, list[Recording]]] = {}
    for index, clip in enumerate(signs.clips):
        if index in codes:
            recording = Recording(clip.name, codes[index], lexicon.source(clip))
            words.setdefault(clip.language, {}).setdefault(clip.text, []).append(recording)
    if not words:
        raise UserError("no sign of the lexicon can be read; check `lexicon`")
    chosen: dict[str, dict[str, Tensor]] = {}
    streams = list(work.tokenizer.streams)
    for language, entries in words.items():
        write_recordings(store.word_file(language), entries, streams, rule)
        chosen[language] = {word: ranked(recordings, rule)[0].codes for word, recordings in entries.items()}
    write_published_word_codes(store.path / "word2code.json", chosen, streams)
    for sign in lexicon.described("train").clips:
        store.note_sign(sign, fingerprint_of(lexicon, sign, watch))
    made = store.provenance
    digests = {
        language: value for language, value in sign_digests(lexicon).items() if language in languages or language in words
    }
    store.write_provenance(replace(made, words=digests, rule=rule, limits=made.limits | {lexicon.name: limits}))
    return skipped


def _words_are_stale(
    lexicon: Lexicon, languages: set[str], store: CodeStore, limits: tuple[int, int], watch: Watch, rule: str
) -> bool:
    """Whether the tables of words must be made; those that are no longer right are removed."""
    named = sign_digests(lexicon)
    absent = [language for language in languages if language in named and not store.word_file(language).is_file()]
    reason = store.words_misfit(lexicon, languages, limits, watch)
    if absent and not reason:
        reason = f"that of {absent[0]} is gone"
    if not reason and store.provenance.rule != rule:
        reason = f"they choose recordings by the rule {store.provenance.rule}, here it is {rule}"
    if not reason:
        return False
    if store.provenance.words:
        log.warning("the tables of words are made again: %s", reason)
    store.clear_words()
    return True
