"""Features of clips for recognition: the states of frozen encoders over the active window, computed once and kept."""
from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from tqdm import tqdm

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.data.clip import ClipError, Corpus, SkippedClip
from soke.data.dataset import MotionBatch, MotionDataset, MotionSample, collate_motions
from soke.data.fingerprints import Fingerprint, Watch, digest, fingerprint_of
from soke.data.lengths import fitted_indices, measured
from soke.data.sampling import SortedBatches
from soke.errors import UserError
from soke.recognition.settings import Window
from soke.recognition.window import active_window, tracked_joints
from soke.storage import new_folder
from soke.tokenizer.tokenizer import SignTokenizer

log = logging.getLogger(__name__)

_VERSION = 1  # raised when the same facts give other features
_INDEX, _VALUES = "index.json", "states.f32"


@dataclass(frozen=True)
class Place:
    """Where a clip's states are, and what of the clip they are of.

    name:   the clip's
    offset: of its first step
    steps:  how many it has
    frames: of the whole clip
    kept:   of them, those in the active window
    lacks:  parts that nobody observed, whose states mean nothing
    """

    name: str
    offset: int
    steps: int
    frames: int
    kept: int
    lacks: list[str]


class FeatureFile:
    """The states of the clips of one split, in a folder that `features_of` has written.

    parts: P names
    size:  S states of a part and step
    """

    def __init__(self, folder: Path):
        self.folder = folder
        content = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        self.facts: dict[str, object] = content["facts"]
        self.parts, self.size = tuple(content["parts"]), int(content["size"])
        self.places = {values["name"]: Place(**values) for values in content["clips"]}
        self.prints = {
            name: None if values is None else Fingerprint(**values) for name, values in content["frames"].items()
        }
        self.faults: dict[str, str] = content["faults"]
        total = sum(place.steps for place in self.places.values())
        if (folder / _VALUES).stat().st_size != 4 * total * len(self.parts) * self.size:
            raise ValueError("its states are not those of its index")

    def read(self, name: str) -> Tensor:
        """[K, P, S] of a clip."""
        place, row = self.places[name], len(self.parts) * self.size
        values = np.fromfile(self.folder / _VALUES, "<f4", place.steps * row, offset=4 * place.offset * row)
        return torch.from_numpy(values.astype(np.float32, copy=False)).view(-1, len(self.parts), self.size)

    def fault(self, name: str, parts: Collection[str]) -> str | None:
        """Why a clip cannot be used by who sees these parts; None when it can."""
        if name not in self.places:
            return self.faults.get(name, "it has no features")
        unseen = [part for part in self.places[name].lacks if part in parts]
        return f"nobody observed what makes its {', '.join(unseen)}" if unseen else None

    @property
    def kept(self) -> str:
        """A sentence: how much of the clips the active window keeps."""
        places = self.places.values()
        kept, frames = (sum(getattr(place, key) for place in places) for key in ("kept", "frames"))
        whole = sum(place.kept == place.frames for place in places)
        return f"{100 * kept / max(frames, 1):.1f} % of the frames, {whole} of {len(places)} clips whole"


@dataclass(frozen=True)
class Extraction:
    """How features are made.

    folder:  where they are kept; it may be removed whenever nothing runs
    limits:  shortest and longest clip in frames, after its active window is cut out
    window:  None: the whole clip
    strict:  an unreadable clip is an error
    device:  where they are computed; tokenizer and body wait on the CPU, for mostly there is nothing to compute
    """

    tokenizer: SignTokenizer
    body: Posed
    window: Window | None
    limits: tuple[int, int]
    folder: Path
    batch_size: int = 32
    workers: int = 0
    strict: bool = False
    device: str = "cpu"

    def facts(self, corpus: Corpus, split: str) -> dict[str, object]:
        """What the numbers depend on besides the clips, in plain types."""
        return {
            "version": _VERSION, "corpus": corpus.name, "split": split, "fps": corpus.fps,
            "tokenizer": self.tokenizer.hash, "limits": list(self.limits),
            "window": None if self.window is None else {**asdict(self.window), "body": self.body.label},
        }

    def features_of(self, corpus: Corpus, split: str) -> FeatureFile:
        """The features of a split: kept ones, where they are of the same clips, frames, tokenizer and settings; else
        they are made. Raises UserError when no clip can be read, and as the corpus does."""
        facts = self.facts(corpus, split)
        folder = self.folder / corpus.name / f"{split}-{digest(facts)}"
        dataset = _WholeClips([corpus], split, self.tokenizer.layout)
        watch = Watch()
        prints = {clip.name: fingerprint_of(corpus, clip, watch) for clip in dataset.clips}
        kept = _read(folder, facts)
        if kept is None or not _fit(kept.prints, prints):
            if kept is not None:
                log.warning("the features of %s %s are made again: its clips have changed", corpus.name, split)
            dataset.require_readable()
            with torch.random.fork_rng():  # a loader draws: a first run would begin with other weights than one that finds them
                self._write(folder, facts, dataset, prints)
            kept = _read(folder, facts)
        if self.strict and kept.faults:
            raise ClipError(next(iter(kept.faults.values())))
        if self.window is not None:
            log.info("%s %s: the active window keeps %s", corpus.name, split, kept.kept)
        return kept

    def _write(
        self, folder: Path, facts: dict[str, object], dataset: _WholeClips, prints: dict[str, Fingerprint | None]
    ) -> None:
        tokenizer, faults = self.tokenizer.eval().to(self.device), {}
        self.body.to(self.device)
        with new_folder(folder) as target:
            with (target / _VALUES).open("wb") as file:
                places = list(self._places(dataset, file, faults))
            size = next(iter(tokenizer.settings.values())).width
            content = {
                "facts": facts, "parts": list(tokenizer.parts), "size": size, "clips": [asdict(p) for p in places],
                "frames": {name: None if found is None else asdict(found) for name, found in prints.items()},
                "faults": faults,
            }
            (target / _INDEX).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        tokenizer.to("cpu")
        self.body.to("cpu")

    def _places(self, dataset: _WholeClips, file: BinaryIO, faults: dict[str, str]) -> Iterator[Place]:
        """Writes the states of every clip, those of similar length in a batch."""
        (corpus,) = dataset.corpora.values()
        measure = getattr(corpus, "length", None)
        order = SortedBatches([measured(measure, clip, 1) for clip in dataset.clips], self.batch_size)
        loader = DataLoader(dataset, batch_sampler=order, num_workers=self.workers, collate_fn=collate_motions)
        offset = 0
        for batch in tqdm(loader, desc=f"features of {corpus.name} {dataset.split}"):
            faults |= {skipped.name: skipped.reason for skipped in batch.skipped}
            windows = [self._window(motion) for motion in batch.motions]
            observed = [self.tokenizer.layout.observed(motion) for motion in batch.motions]
            for i, states in enumerate(self._states(batch, windows, observed)):
                file.write(states.cpu().numpy().astype("<f4").tobytes())
                lacks = [part for part in self.tokenizer.parts if part not in observed[i]]
                kept = windows[i].stop - windows[i].start
                yield Place(batch.clips[i].name, offset, len(states), len(batch.motions[i]), kept, lacks)
                offset += len(states)

    def _window(self, motion: Motion | JointMotion) -> slice:
        if self.window is None:
            return slice(0, len(motion))
        return active_window(tracked_joints(self.body, motion), self.window)

    @torch.no_grad()
    def _states(
        self, batch: MotionBatch, windows: Sequence[slice], observed: Sequence[Sequence[str]]
    ) -> list[Tensor]:
        """[K, P, S] of each clip of a batch, in which there may be none. observed: the parts of each"""
        if not batch.clips:
            return []
        tokenizer = self.tokenizer
        try:
            singles = [tokenizer.layout.features(m, parts) for m, parts in zip(batch.motions, observed)]
        except ValueError as error:  # of the layout, so every clip of this corpus would fail
            name, layout = batch.clips[0].corpus, tokenizer.layout
            raise UserError(f"corpus {name} does not fit the layout {layout}: {error}") from error
        cuts = [
            torch.arange(w.start, w.stop)[fitted_indices(w.stop - w.start, *self.limits, tokenizer.frames(1))]
            for w in windows
        ]
        features = {}
        for part, size in tokenizer.layout.sizes.items():
            rows = [
                single[part][cut] if part in single else torch.zeros(len(cut), size)
                for single, cut in zip(singles, cuts)
            ]
            features[part] = pad_sequence(rows, batch_first=True).to(tokenizer.device)
        lengths = torch.tensor([len(cut) for cut in cuts])
        hidden = tokenizer.hidden(features, lengths)
        if len({states.shape[-1] for states in hidden.values()}) > 1:
            raise UserError("recognition needs encoders of one width, and the tokenizer's parts have several")
        stacked = torch.stack([hidden[part] for part in tokenizer.parts], dim=2)  # [B, K, P, S]
        return [row[: tokenizer.steps(len(cut))] for row, cut in zip(stacked, cuts)]


class _WholeClips(MotionDataset):
    """Items have the whole motions of clips, without features, or say why a clip cannot be read."""

    def __getitem__(self, index: int) -> MotionSample | SkippedClip:
        clip = self.clips[index]
        try:
            return MotionSample(clip, {}, self.corpora[clip.corpus].load(clip))
        except ClipError as error:
            return SkippedClip(clip.corpus, clip.name, str(error), self.split)


def _read(folder: Path, facts: dict[str, object]) -> FeatureFile | None:
    """What was kept, if it was made with these facts."""
    if not folder.is_dir():
        return None
    try:
        found = FeatureFile(folder)
    except (OSError, KeyError, TypeError, ValueError) as error:
        log.warning("the features in %s are damaged (%s) and are made again", folder, error)
        return None
    return found if found.facts == facts else None


def _fit(kept: Mapping[str, Fingerprint | None], now: Mapping[str, Fingerprint | None]) -> bool:
    """Whether features that were made of clips with the fingerprints `kept` are those of clips with those of `now`."""
    if list(kept) != list(now):
        return False
    return all(before is not None and now[name] is not None and before.fits(now[name]) for name, before in kept.items())
