"""Labelled features: which clips train, which validate, and their batches."""
from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from soke.data.clip import SkippedClip
from soke.data.corpora.share import TrainingShare
from soke.data.datamodule import DATA, ResumableLoader
from soke.data.labels import LabelledCorpus, SignLabel
from soke.data.sampling import GroupedBatches, SortedBatches
from soke.errors import UserError
from soke.recognition.features import FeatureFile
from soke.storage import new_file, write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledClip:
    """name: of a clip; sign: index of its sign, from 0; states: [K, P, S]."""

    name: str
    sign: int
    states: Tensor


@dataclass
class SignBatch:
    """B clips.

    states:  [B, K, P, S], zero from a clip's length on
    lengths: [B] steps, int64
    signs:   [B] indices, int64
    names:   B names
    """

    states: Tensor
    lengths: Tensor
    signs: Tensor
    names: list[str]
    unit: ClassVar[str] = "steps"  # of `lengths`

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SignBatch:
        moved = {k: getattr(self, k).to(device, non_blocking=non_blocking) for k in ("states", "lengths", "signs")}
        return replace(self, **moved)

    def pin_memory(self) -> SignBatch:
        return replace(self, **{k: getattr(self, k).pin_memory() for k in ("states", "lengths", "signs")})


def collate_signs(clips: Sequence[LabelledClip]) -> SignBatch:
    """Of at least no clip."""
    return SignBatch(
        pad_sequence([clip.states for clip in clips], batch_first=True) if clips else torch.zeros(0, 0, 0, 0),
        torch.tensor([len(clip.states) for clip in clips], dtype=torch.int64),
        torch.tensor([clip.sign for clip in clips], dtype=torch.int64),
        [clip.name for clip in clips],
    )


class SignDataset(Dataset):
    """Item i is the `LabelledClip` of the i-th of `names`.

    features: of these clips and perhaps others
    signs:    name -> index of its sign
    parts:    those that are seen
    """

    def __init__(self, features: FeatureFile, signs: Mapping[str, int], parts: Sequence[str]):
        self.features, self.signs, self.names = features, dict(signs), list(signs)
        self._parts = torch.tensor([features.parts.index(part) for part in parts])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> LabelledClip:
        name = self.names[index]
        return LabelledClip(name, self.signs[name], self.features.read(name)[:, self._parts])

    @property
    def lengths(self) -> np.ndarray:
        """[N] steps."""
        return np.array([self.features.places[name].steps for name in self.names], dtype=np.int64)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [P, S] over all steps of all clips."""
        count, total, squares = 0, 0.0, 0.0
        for i in range(len(self)):
            states = self[i].states.double()
            count, total, squares = count + len(states), total + states.sum(0), squares + states.square().sum(0)
        mean = total / count
        return mean.float(), (squares / count - mean.square()).clamp_min(0).sqrt().float()


def held_out(labels: Mapping[str, SignLabel], share: float, seed: int) -> set[str]:
    """Names of the clips that are taken out of training to validate: of every sign `share` of its clips, rounded, but
    at least one where it has two and never all; which ones depends on seed and names alone."""
    chosen: set[str] = set()
    for names in _by_sign(labels):
        count = min(max(round(share * len(names)), 1), len(names) - 1)
        chosen.update(sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())[:count])
    return chosen


def labels_of(corpus: LabelledCorpus, split: str, rule: Mapping[str, float]) -> dict[str, SignLabel]:
    """The labels of the clips of a split, where `rule` has taken validation clips out of train, see
    `RecognitionData.rule`."""
    if not rule or split == "test":
        return corpus.labels(split)
    labels = corpus.labels("train")
    out = held_out(labels, rule["share"], int(rule["seed"]))
    return {name: label for name, label in labels.items() if (name in out) == (split == "val")}


def _left(labels: dict[str, SignLabel], share: TrainingShare, corpus: str) -> dict[str, SignLabel]:
    """Those of the training clips that `share` leaves of every sign."""
    chosen = set().union(*(share.chosen(corpus, names) for names in _by_sign(labels)))
    if len(chosen) < len(labels):
        log.info("training has %d of the %d clips of %s, of every sign some", len(chosen), len(labels), corpus)
    return {name: label for name, label in labels.items() if name in chosen}


def _by_sign(labels: Mapping[str, SignLabel]) -> list[list[str]]:
    names: dict[int, list[str]] = {}
    for name, label in labels.items():
        names.setdefault(label.number, []).append(name)
    return list(names.values())


def signs_of(labels: Collection[SignLabel]) -> list[SignLabel]:
    """The signs that occur, by their numbers. Raises UserError for fewer than two, and for a number that stands for
    two signs."""
    found: dict[int, SignLabel] = {}
    for label in labels:
        if found.setdefault(label.number, label) != label:
            raise UserError(f"the label {label.number} stands for {found[label.number]} and for {label}")
    if len(found) < 2:
        raise UserError(f"the training clips show {len(found)} sign; recognition needs two at least")
    return [found[number] for number in sorted(found)]


def known(
    labels: Mapping[str, SignLabel], signs: Sequence[SignLabel], corpus: str, split: str
) -> tuple[dict[str, int], list[SkippedClip]]:
    """Name -> index of its sign, and the clips whose sign is none of `signs`. Raises UserError when all are such, and
    for a label that stands for another sign here than there."""
    index = {sign.number: i for i, sign in enumerate(signs)}
    for name, label in labels.items():
        if label.number in index and signs[index[label.number]] != label:
            raise UserError(
                f"clip {name} of {corpus} {split} has the label {label.number} of {label}, but in training that was "
                f"{signs[index[label.number]]}: labels of different lists do not belong together"
            )
    chosen = {name: index[label.number] for name, label in labels.items() if label.number in index}
    if not chosen:
        raise UserError(f"no clip of {corpus} {split} shows a sign that is trained on; check the labels of its lists")
    strange = [
        SkippedClip(corpus, name, f"its sign, class {label.number}, is not trained on", split)
        for name, label in labels.items() if name not in chosen
    ]
    return chosen, strange


class RecognitionData(pl.LightningDataModule):
    """Training and validation batches of labelled features, of clips of similar length.

    corpus:     of isolated signs
    train, val: the features of these splits; val None: validation clips are taken out of train, see `held_out`
    parts:      those that are seen
    folder:     run folder, where `skipped_clips.txt` and `data.json`, see `facts`, are written
    share:      of the training clips of every sign that training has, once validation has its own

    rule:       the share of train that validates, and the seed that it depends on; empty: the corpus has a val split
    """

    def __init__(
        self, corpus: LabelledCorpus, train: FeatureFile, val: FeatureFile | None, parts: Sequence[str], *,
        val_share: float, batch_size: int, eval_batch_size: int, workers: int = 0, seed: int = 0,
        group_by_length: bool = True, folder: Path | None = None, share: TrainingShare = TrainingShare(),
    ):
        super().__init__()
        self.corpus, self.parts, self.seed, self.workers = corpus, tuple(parts), seed, workers
        self.batch_size, self.eval_batch_size, self.group_by_length = batch_size, eval_batch_size, group_by_length
        self.rule: dict[str, float] = {}
        if val is None:
            self.rule, val = {"share": val_share, "seed": seed}, train
            log.info(
                "%s has no val split: %g of every sign's training clips validate, by seed %d", corpus.name, val_share,
                seed,
            )
        self.skipped = [clip for split in self._stored for clip in corpus.skipped(split)]
        labels, own = _left(self._labels(train, "train"), share, corpus.name), self._labels(val, "val")
        self.signs = signs_of(list(labels.values()))
        chosen, _ = known(labels, self.signs, corpus.name, "train")
        self.train = SignDataset(train, chosen, self.parts)
        chosen, strange = known(own, self.signs, corpus.name, "val")
        self.val = SignDataset(val, chosen, self.parts)
        self.skipped += strange
        self._tell(folder)
        if folder is not None:
            write_json(Path(folder) / DATA, self.facts())

    def facts(self) -> dict[str, dict[str, Any]]:
        """As of `SignDataModule`."""
        clips = {"train": len(self.train), "val": len(self.val)}
        return {self.corpus.name: {"languages": [self.corpus.language], "clips": clips}}

    @property
    def _stored(self) -> tuple[str, ...]:
        return ("train",) if self.rule else ("train", "val")

    def _labels(self, features: FeatureFile, split: str) -> dict[str, SignLabel]:
        """Of the clips whose parts are seen; the others are noted."""
        labels, usable = labels_of(self.corpus, split, self.rule), {}
        for name, label in labels.items():
            fault = features.fault(name, self.parts)
            if fault is None:
                usable[name] = label
            else:
                self.skipped.append(SkippedClip(self.corpus.name, name, fault, split))
        return usable

    def _tell(self, folder: Path | None) -> None:
        """Of classes without training clips, of those with one, and of what is left out."""
        numbers = {sign.number for sign in self.signs}
        absent = sorted(set(range(max(numbers))) - numbers)
        if absent:
            log.warning("%d of the classes 0 to %d have no training clips, the first: %d", len(absent), max(numbers),
                        absent[0])
        few = sum(count < 2 for count in Counter(self.train.signs.values()).values())
        if few:
            log.warning("%d of %d signs have a single training clip", few, len(self.signs))
        if self.skipped:
            first = self.skipped[0]
            log.warning("%d clips are left out; the first, %s: %s", len(self.skipped), first, first.reason)
        if folder is not None and self.skipped:
            with new_file(Path(folder) / "skipped_clips.txt") as path:
                path.write_text("".join(clip.line for clip in self.skipped), encoding="utf-8")

    def train_dataloader(self) -> DataLoader:
        processes, rank = self._place
        lengths = self.train.lengths if self.group_by_length else np.full(len(self.train), self.train.lengths.max())
        batches = GroupedBatches(lengths, self.batch_size, seed=self.seed, processes=processes, rank=rank)
        return ResumableLoader(self.train, batch_sampler=batches, trainer=self.trainer, **self._options)

    def val_dataloader(self) -> DataLoader:
        batches = SortedBatches(self.val.lengths, self.eval_batch_size, *self._place)
        return DataLoader(self.val, batch_sampler=batches, **self._options)

    @property
    def _place(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    @property
    def _options(self) -> dict[str, object]:
        return {
            "num_workers": self.workers, "collate_fn": collate_signs, "pin_memory": torch.cuda.is_available(),
            "persistent_workers": self.workers > 0,
        }
