"""Codes of whole corpora and of the lexicon's signs, written to a CodeStore."""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from soke import __version__
from soke.data.clip import SPLITS, Clip, Corpus, SkippedClip
from soke.data.codes import SKIPPED, CodeStore, Provenance, sign_digests
from soke.data.dataset import MotionBatch, MotionDataset, collate_motions
from soke.data.fingerprints import Fingerprint, Watch, fingerprint_of
from soke.data.lexicon import Lexicon
from soke.data.recordings import Recording, ranked, write_recordings
from soke.data.word_codes import write_published_word_codes
from soke.errors import UserError
from soke.tokenizer.tokenizer import SignTokenizer

log = logging.getLogger(__name__)


def extract_codes(
    tokenizer: SignTokenizer, corpora: Sequence[Corpus], lexicon: Lexicon | None, store: CodeStore, *,
    limits: tuple[int, int], batch_size: int, workers: int = 0, strict: bool = False, rule: str = "first",
) -> None:
    """Writes the codes of every clip of every split, and of the lexicon one table per sign language, with all
    recordings of every word, and SOKE's word2code.json, with the one that `rule` chooses, see `ranked`.

    What is there already is kept where it was made from the same frames, with the same tokenizer and settings, and made
    again where it was not. Codes of another tokenizer are removed first, those of corpora that are not named here too,
    so that a folder never holds codes of two. Unreadable clips are counted and named in the log, or an error when
    `strict`. Raises UserError for a folder of codes of unknown origin.
    """
    tokenizer.eval()
    _start(tokenizer, corpora, store, limits)
    skipped, watch = [], Watch.thorough()
    for corpus in corpora:
        for split in SPLITS:
            dataset = _dataset(corpus, split, tokenizer, limits, strict)
            dataset.require_readable()
            frames = {clip: fingerprint_of(corpus, clip, watch) for clip in dataset.clips}
            missing = _missing(dataset, frames, store)
            for batch in tqdm(_batches(dataset, missing, batch_size, workers), desc=f"codes of {corpus.name} {split}"):
                skipped += batch.skipped
                for clip, codes in zip(batch.clips, _encoded(tokenizer, batch)):
                    store.write(clip, codes, frames[clip])
    if lexicon is not None:
        skipped += _extract_lexicon(
            tokenizer, lexicon, {c.language for c in corpora}, store, limits, watch, batch_size, workers, strict, rule
        )
    store.list_skipped(skipped)
    if skipped:
        reasons = "; ".join(s.reason for s in skipped[:5])
        log.warning("%d clips have no codes, %s lists them: %s", len(skipped), store.path / SKIPPED, reasons)
    log.info("codes of tokenizer %s are in %s", tokenizer.hash, store.path)


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
            tokenizer=tokenizer.hash, layout=tokenizer.layout.hash, statistics=tokenizer.statistics_hash,
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


def _batches(dataset: MotionDataset, indices: Sequence[int], batch_size: int, workers: int) -> DataLoader:
    return DataLoader(Subset(dataset, indices), batch_size, num_workers=workers, collate_fn=collate_motions)


@torch.no_grad()
def _encoded(tokenizer: SignTokenizer, batch: MotionBatch) -> list[Tensor]:
    """The codes [K, S] of each clip of a batch, of which there may be none that could be read."""
    if not batch.clips:
        return []
    batch = batch.to(tokenizer.device)
    return tokenizer.encode(batch.features, batch.lengths).clips()


def _extract_lexicon(
    tokenizer: SignTokenizer, lexicon: Lexicon, languages: set[str], store: CodeStore, limits: tuple[int, int],
    watch: Watch, batch_size: int, workers: int, strict: bool, rule: str,
) -> list[SkippedClip]:
    signs = _dataset(lexicon, "train", tokenizer, limits, strict)
    named = sign_digests(lexicon)
    absent = [language for language in languages if language in named and not store.word_file(language).is_file()]
    reason = store.words_misfit(lexicon, languages, limits, watch)
    if absent and not reason:
        reason = f"that of {absent[0]} is gone"
    if not reason and store.provenance.rule != rule:
        reason = f"they choose recordings by the rule {store.provenance.rule}, here it is {rule}"
    if not reason:
        return []
    if store.provenance.words:
        log.warning("the tables of words are made again: %s", reason)
    store.clear_words()
    skipped = []
    words: dict[str, dict[str, list[Recording]]] = {}
    for batch in tqdm(_batches(signs, range(len(signs)), batch_size, workers), desc="codes of the lexicon"):
        skipped += batch.skipped
        for clip, codes in zip(batch.clips, _encoded(tokenizer, batch)):
            recording = Recording(clip.name, codes.cpu(), lexicon.source(clip))
            words.setdefault(clip.language, {}).setdefault(clip.text, []).append(recording)
    if not words:
        raise UserError("no sign of the lexicon can be read; check `lexicon`")
    chosen: dict[str, dict[str, Tensor]] = {}
    for language, entries in words.items():
        write_recordings(store.word_file(language), entries, list(tokenizer.streams), rule)
        chosen[language] = {word: ranked(recordings, rule)[0].codes for word, recordings in entries.items()}
    write_published_word_codes(store.path / "word2code.json", chosen, list(tokenizer.streams))
    for sign in lexicon.described("train").clips:
        store.note_sign(sign, fingerprint_of(lexicon, sign, watch))
    made = store.provenance
    digests = {language: value for language, value in named.items() if language in languages or language in words}
    store.write_provenance(replace(made, words=digests, rule=rule, limits=made.limits | {lexicon.name: limits}))
    return skipped
