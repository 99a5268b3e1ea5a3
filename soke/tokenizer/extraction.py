"""Codes of whole corpora and of the lexicon's signs, written to a CodeStore."""
from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from soke import __version__
from soke.data.clip import SPLITS, Corpus, SkippedClip
from soke.data.codes import CodeStore, Provenance, write_published_word_codes
from soke.data.dataset import MotionBatch, MotionDataset, collate_motions
from soke.data.lexicon import Lexicon
from soke.data.recordings import Recording, ranked, write_recordings
from soke.errors import UserError
from soke.tokenizer.tokenizer import SignTokenizer

log = logging.getLogger(__name__)


def extract_codes(
    tokenizer: SignTokenizer, corpora: Sequence[Corpus], lexicon: Lexicon | None, store: CodeStore, *,
    limits: tuple[int, int], batch_size: int, workers: int = 0, strict: bool = False, rule: str = "first",
) -> None:  # fmt: skip
    """Writes the codes of every clip of every split, and of the lexicon one table per sign language, with all
    recordings of every word, and SOKE's word2code.json, with the one that `rule` chooses, see `ranked`.

    Codes of this tokenizer that are there already are kept; those of another are removed first, so that a folder never
    holds codes of two. Unreadable clips are counted and named in the log, or an error when `strict`.
    """
    tokenizer.eval()
    _start(tokenizer, corpora, store)
    skipped = []
    for corpus in corpora:
        for split in SPLITS:
            dataset = _dataset(corpus, split, tokenizer, limits, strict)
            dataset.require_readable()
            missing = [i for i, clip in enumerate(dataset.clips) if not store.has(clip)]
            for batch in tqdm(_batches(dataset, missing, batch_size, workers), desc=f"codes of {corpus.name} {split}"):
                skipped += batch.skipped
                for clip, codes in zip(batch.clips, _encoded(tokenizer, batch)):
                    store.write(clip, codes)
    if lexicon is not None:
        signs = _dataset(lexicon, "train", tokenizer, limits, strict)
        skipped += _extract_lexicon(tokenizer, lexicon, signs, store, batch_size, workers, rule)
    if skipped:
        log.warning("%d clips have no codes: %s", len(skipped), "; ".join(s.reason for s in skipped[:5]))
    log.info("codes of tokenizer %s are in %s", tokenizer.hash, store.path)


def _start(tokenizer: SignTokenizer, corpora: Sequence[Corpus], store: CodeStore) -> None:
    if store.has_provenance():
        if store.provenance.tokenizer == tokenizer.hash:
            return
        log.info("removing the codes of tokenizer %s from %s", store.provenance.tokenizer, store.path)
        for corpus in corpora:
            for split in SPLITS:
                for clip in corpus.clips(split):
                    store.remove(clip)
    sizes = tokenizer.codebook_sizes
    store.write_provenance(
        Provenance(
            tokenizer=tokenizer.hash, layout=tokenizer.layout.hash, statistics=tokenizer.statistics_hash,
            parts=tuple(sizes), codebook_sizes=tuple(sizes.values()), downsample=tokenizer.downsample,
            fps={corpus.name: corpus.fps for corpus in corpora}, code_version=__version__,
        )  # fmt: skip
    )


def _dataset(
    corpus: Corpus, split: str, tokenizer: SignTokenizer, limits: tuple[int, int], strict: bool
) -> MotionDataset:
    return MotionDataset([corpus], split, tokenizer.layout, *limits, multiple=tokenizer.downsample, strict=strict)


def _batches(dataset: MotionDataset, indices: Sequence[int], batch_size: int, workers: int) -> DataLoader:
    return DataLoader(Subset(dataset, indices), batch_size, num_workers=workers, collate_fn=collate_motions)


@torch.no_grad()
def _encoded(tokenizer: SignTokenizer, batch: MotionBatch) -> list[Tensor]:
    """The codes [K, P] of each clip of a batch."""
    batch = batch.to(tokenizer.device)
    codes = tokenizer.encode(batch.features, batch.lengths)
    return [row[: frames // tokenizer.downsample] for row, frames in zip(codes, batch.lengths.tolist())]


def _extract_lexicon(
    tokenizer: SignTokenizer, lexicon: Lexicon, signs: MotionDataset, store: CodeStore, batch_size: int, workers: int,
    rule: str,
) -> list[SkippedClip]:  # fmt: skip
    skipped = []
    words: dict[str, dict[str, list[Recording]]] = {}
    for batch in tqdm(_batches(signs, range(len(signs)), batch_size, workers), desc="codes of the lexicon"):
        skipped += batch.skipped
        for clip, codes in zip(batch.clips, _encoded(tokenizer, batch)):
            recording = Recording(clip.name, codes.cpu(), lexicon.source(clip))
            words.setdefault(clip.language, {}).setdefault(clip.text, []).append(recording)
    if not words:
        raise UserError("no sign of the lexicon can be read; check DATASET.LEXICON")
    chosen: dict[str, dict[str, Tensor]] = {}
    for language, entries in words.items():
        write_recordings(store.word_file(language), entries, tokenizer.parts, rule)
        chosen[language] = {word: ranked(recordings, rule)[0].codes for word, recordings in entries.items()}
    write_published_word_codes(store.path / "word2code.json", chosen, tokenizer.parts)
    return skipped
