"""Lightning data module: several corpora mixed, as motions or as codes, and the record of skipped clips."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from soke.body.layout import MotionLayout
from soke.data.augmentation import AugmentedCodes, AugmentedMotions
from soke.data.clip import ClipError, Corpus, SkippedClip
from soke.data.codes import CodeStore
from soke.data.dataset import CodeBatch, CodesDataset, MotionBatch, MotionDataset, collate_codes, collate_motions
from soke.data.lengths import measured
from soke.data.sampling import GroupedBatches, SortedBatches, fitted_lengths
from soke.data.settings import Augment
from soke.errors import UserError
from soke.storage import new_file, write_json

DATA = "data.json"  # of a run folder: what its training and validation have had
_log = logging.getLogger(__name__)


class ResumableLoader(DataLoader):
    """A loader of `GroupedBatches` whose state Lightning keeps in its checkpoints.

    What counts is the batches that `trainer` has trained on; workers are some ahead of it.
    """

    def __init__(self, *args: Any, trainer: pl.Trainer | None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._trainer = trainer
        if trainer is not None:  # a run that continues: its workers begin before Lightning tells the epoch
            self.batch_sampler.set_epoch(trainer.fit_loop.epoch_progress.current.processed)

    def state_dict(self) -> dict[str, int]:
        epoch, seen = self.batch_sampler.epoch, self._trainer.fit_loop.epoch_loop.batch_progress.current.processed
        if seen >= self._trainer.num_training_batches:
            epoch, seen = epoch + 1, 0
        return {"epoch": epoch, "batches_seen": seen}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.batch_sampler.set_epoch(state["epoch"])
        self.batch_sampler.start = state["batches_seen"]


class SignDataModule(pl.LightningDataModule):
    """Loaders over all corpora together; a corpus counts by its number of clips, in training times its weight.

    Batches hold clips of similar length. A corpus whose clips have no known length (see `Corpus`) counts them as the
    longest, and the log says so. The trainer must not have its own way of
    sharing clips among processes (use_distributed_sampler=False).

    kind:         what train and validation batches hold, `MotionBatch` or `CodeBatch`; test batches hold motions
    code_store:   where the codes are, for kind codes
    batch_size, eval_batch_size: clips per batch and device, in training and elsewhere
    batch_length: in place of batch_size: frames (of kind codes: token steps) per batch and device, with padding; 0: off
    group_by_length: False: training batches are random, others in order
    weights:      corpus -> how often its clips are drawn in training, in relation to those of others; default 1
    workers:      worker processes per loader
    folder:       run folder, where `skipped_clips.txt` is written (corpus/name TAB split TAB reason), and after training
                  `data.json`, see `facts`; None: nowhere
    min_frames, max_frames, multiple: length rules of motions
    min_steps, max_steps: length rules of codes
    strict:       a bad clip ends the run
    cache_frames: see `MotionDataset`; a budget per worker process
    partial:      see `MotionDataset`
    seed:         of the order of training clips, which depends on seed and epoch alone; a run that is resumed, in the
                  middle of an epoch too, sees the clips that it would have seen without the interruption
    augment:      how training batches are augmented, in all runs with this seed alike; all else, and `dataset`, never are
    """

    def __init__(
        self,
        corpora: Sequence[Corpus],
        layout: MotionLayout,
        kind: Literal["motion", "codes"] = "motion",
        code_store: CodeStore | None = None,
        batch_size: int = 32,
        eval_batch_size: int = 32,
        workers: int = 0,
        folder: Path | None = None,
        min_frames: int = 40,
        max_frames: int = 400,
        multiple: int = 4,
        min_steps: int = 10,
        max_steps: int = 100,
        strict: bool = False,
        cache_frames: int = 0,
        seed: int = 1234,
        batch_length: int = 0,
        group_by_length: bool = True,
        weights: Mapping[str, float] | None = None,
        partial: bool = False,
        augment: Augment | None = None,
    ):
        super().__init__()
        if kind not in ("motion", "codes"):
            raise UserError(f"kind of data must be motion or codes, not {kind}")
        if kind == "codes" and code_store is None:
            raise UserError("data of kind codes need a `code_store`")
        self.corpora = list(corpora)
        self.layout = layout
        self.kind = kind
        self.code_store = code_store
        self.batch_sizes = {"train": batch_size, "val": eval_batch_size, "test": eval_batch_size}
        self.workers = workers
        self.folder = folder
        self.frame_limits = {"min_frames": min_frames, "max_frames": max_frames, "multiple": multiple}
        self.step_limits = {"min_steps": min_steps, "max_steps": max_steps}
        self.strict = strict
        self.cache_frames, self.partial = cache_frames, partial
        self.seed = seed
        self.augment = augment
        self.batch_length = batch_length
        self.group_by_length = group_by_length
        self.weights = dict(weights or {})
        self.skipped: dict[tuple[str, str], SkippedClip] = {}  # by corpus/name and split
        self._reported = 0
        self._datasets: dict[tuple[str, str], MotionDataset | CodesDataset] = {}

    def dataset(self, split: str, kind: Literal["motion", "codes"]) -> MotionDataset | CodesDataset:
        """The data set of one split, made once. Raises UserError as it does."""
        if (split, kind) not in self._datasets:
            # not strict: an error in a worker process would come out as a traceback; `record` raises it instead
            if kind == "motion":
                made = MotionDataset(
                    self.corpora, split, self.layout, **self.frame_limits, cache_frames=self.cache_frames,
                    partial=self.partial,
                )
                made.require_readable()
            else:
                made = CodesDataset(self.corpora, split, self.code_store, **self.step_limits)
            self.record(made.skipped)
            self._datasets[split, kind] = made
        return self._datasets[split, kind]

    def loader(self, split: str, kind: Literal["motion", "codes"], shuffle: bool = False) -> DataLoader:
        """Batches of one split. Who iterates it without a Trainer passes each batch's `skipped` to `record`."""
        dataset = self.dataset(split, kind)
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        options = {
            "num_workers": self.workers,
            "collate_fn": collate_motions if kind == "motion" else collate_codes,
            "pin_memory": torch.cuda.is_available(),
            "persistent_workers": self.workers > 0,
        }
        if not shuffle:
            in_order = SortedBatches(self._lengths(dataset), self.batch_sizes[split], world, rank)
            return DataLoader(dataset, batch_sampler=in_order, **options)
        weights = [self.weights.get(clip.corpus, 1.0) for clip in dataset.clips]
        augmented = self._augmented(dataset)
        batches = GroupedBatches(
            self._lengths(dataset, augmented is not dataset), self.batch_sizes[split], batch_length=self.batch_length,
            weights=weights, seed=self.seed, processes=world, rank=rank, placed=augmented is not dataset,
        )
        for weight in batches.never:
            names = ", ".join(sorted({clip.corpus for clip, of in zip(dataset.clips, weights) if of == weight}))
            raise UserError(
                f"DATASET.CORPORA.*.WEIGHT: beside the others' weights, {weight:g} is so small that none of an epoch's "
                f"{len(dataset)} clips is of {names}: raise it, or leave the corpus out"
            )
        return ResumableLoader(augmented, batch_sampler=batches, trainer=self.trainer, **options)

    def _augmented(self, dataset: MotionDataset | CodesDataset) -> Dataset:
        """The data set itself where nothing is to be done."""
        kind, settings = (
            (AugmentedCodes, Augment.OF_CODES) if isinstance(dataset, CodesDataset)
            else (AugmentedMotions, Augment.OF_MOTIONS)
        )
        used = self.augment is not None and self.augment.used.intersection(settings)
        return kind(dataset, self.augment, self.seed) if used else dataset

    def _lengths(self, dataset: MotionDataset | CodesDataset, augmented: bool = False) -> np.ndarray:
        """[N] by which clips are grouped; they need not be right for clips that will turn out to be unreadable.

        augmented: at their longest
        """
        longest = dataset.limits[1]
        if not self.group_by_length:
            return np.full(len(dataset), longest)
        if isinstance(dataset, CodesDataset):
            measures = dict.fromkeys(dataset.corpora, dataset.code_store.length)
        else:
            measures = {name: getattr(corpus, "length", None) for name, corpus in dataset.corpora.items()}
        unknown = ", ".join(name for name, measure in measures.items() if measure is None)
        if unknown and dataset.split == "train":  # once is enough
            _log.warning("clips of %s are not grouped by length: their reader has no method length(clip)", unknown)
        lengths = [measured(measures[clip.corpus], clip, longest) for clip in dataset.clips]
        stretched = np.ceil(np.array(lengths) * self.augment.stretch).astype(int) if augmented else np.array(lengths)
        return fitted_lengths(stretched, *dataset.limits)

    def train_dataloader(self) -> DataLoader:
        return self.loader("train", self.kind, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader("val", self.kind)

    def test_dataloader(self) -> DataLoader:
        return self.loader("test", "motion")

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if isinstance(batch, (MotionBatch, CodeBatch)):
            self.record(batch.skipped)
        return batch

    def facts(self) -> dict[str, dict[str, Any]]:
        """Corpus -> its sign languages, and how many clips of its splits training and validation have had."""
        found: dict[str, dict[str, Any]] = {c.name: {"languages": [], "clips": {}} for c in self.corpora}
        for (split, kind), dataset in self._datasets.items():
            for (name, language), count in Counter((c.corpus, c.language) for c in dataset.clips).items():
                of = found[name]
                of["languages"] = sorted({*of["languages"], language})
                if kind == self.kind:
                    of["clips"][split] = of["clips"].get(split, 0) + count
        return found

    def record(self, skipped: Iterable[SkippedClip]) -> None:
        """Note clips that were left out, each once, in `skipped` and in the run folder. Raises ClipError if strict."""
        new = {key: clip for clip in skipped if (key := (str(clip), clip.split)) not in self.skipped}
        if not new:
            return
        if self.strict:
            clip = next(iter(new.values()))
            raise ClipError(f"{clip} cannot be used: {clip.reason}; with `strict`=false it would be skipped")
        self.skipped.update(new)
        if self.folder is not None:
            with new_file(self._record_file()) as temporary:
                temporary.write_text("".join(clip.line for clip in self.skipped.values()), encoding="utf-8")

    def teardown(self, stage: str) -> None:
        if stage == "fit" and self.folder is not None and (self.trainer is None or self.trainer.is_global_zero):
            write_json(Path(self.folder) / DATA, self.facts())
        if len(self.skipped) > self._reported:
            self._reported = len(self.skipped)
            where = f"; {self._record_file()} lists them" if self.folder is not None else ""
            _log.warning("%d clips were skipped%s", len(self.skipped), where)

    def _record_file(self) -> Path:
        rank = self.trainer.global_rank if self.trainer else 0
        return Path(self.folder) / ("skipped_clips.txt" if rank == 0 else f"skipped_clips.rank{rank}.txt")
