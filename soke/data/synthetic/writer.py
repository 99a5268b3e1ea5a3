"""The synthetic corpora on disk, in the layouts of How2Sign, CSL-Daily and Phoenix-2014T, with a lexicon of signs.

    How2Sign/{split}/re_aligned/how2sign_realigned_{split}_preprocessed_fps.csv
    How2Sign/{split}/poses/{name}/{name}_{i}_3D.pkl
    CSL-Daily/csl_clean.{split}, mean.pt, std.pt, poses/{name}/{i:06}.pkl
    Phoenix_2014T/phoenix14t.{train,dev,test}, {split}/{name}/images{i:04}.pkl
    lexicon/lexicon.csv, poses/{name}/{i:06}.pkl
    NMFs-CSL/nmfs_csl.csv, poses/{name}/{i:06}.pkl                        with faces alone
    {each of these}/smplfx/{name}.npz                                     with faces alone
    phenomena.json       what was put into the corpora on purpose, per language and per clip
    corpora.json         the parameters, and whether all is written
"""
from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from soke.body.motion import Motion
from soke.data.storage.frames import FRAME_SIZE, frame_dicts, frames_from_motion
from soke.data.storage.smplfx_clips import write_clip
from soke.data.synthetic.annotations import annotation_files, isolated_table, lexicon_table
from soke.data.synthetic.corpora import FOLDERS, SIZES, Source, SyntheticCorpus, plan_corpora, plan_lexicon
from soke.data.synthetic.facial_actions import load_facial_actions
from soke.data.synthetic.files import as_json, claim, finish, write
from soke.data.synthetic.isolated import plan_isolated
from soke.data.synthetic.phenomena import faces_of, phenomena_of
from soke.data.synthetic.recordings import FaceRecorder, Recorded, Recorder
from soke.errors import UserError

VERSION = 3  # to be raised whenever the same parameters give other files
FACE_VERSION = 1  # likewise, of what is written with faces


def write_corpora(
    root: Path, size: str, seed: int, progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
    workers: int = 0, face: bool = False,
) -> bool:
    """Write everything under `root`; an interrupted run is continued and ends with the same files, as does one with
    another number of workers.

    progress: wraps the sequence of (all) clips, of which the number is given
    workers:  processes that make clips; 0: this one does
    face:     the same signing with faces: each clip in SMPL-FX, too, and a corpus of signs that differ in the face
    Returns whether anything had to be written. Raises UserError for an unknown size, and when `root` holds other
    things.
    """
    if size not in SIZES:
        raise UserError(f"Unknown size {size!r} of the synthetic corpora: choose one of {', '.join(SIZES)}.")
    parameters = {"version": VERSION, "size": size, "seed": seed, **({"face": FACE_VERSION} if face else {})}
    if claim(root, parameters):
        return False
    corpora = plan_corpora(size, seed)
    lexicon = plan_lexicon(corpora)
    (chinese,) = (corpus for corpus in corpora if corpus.spoken.language == "CSL")
    isolated = (plan_isolated(size, seed, chinese.signs),) if face else ()
    sources: tuple[Source, ...] = (*corpora, lexicon, *isolated)
    recorder = FaceRecorder(sources, seed) if face else Recorder()
    made = _write_clips(root, sources, recorder, progress, workers)

    for corpus in corpora:
        for name, content in annotation_files(corpus, made.lengths[corpus.folder]).items():
            write(root / corpus.folder / name, content)
    _write_statistics(root / FOLDERS["CSL"], made.moments / made.training_frames)
    write(root / lexicon.folder / "lexicon.csv", lexicon_table(lexicon.takes))
    described = phenomena_of({corpus.folder: corpus for corpus in corpora})
    for corpus in isolated:
        write(root / corpus.folder / "nmfs_csl.csv", isolated_table(corpus))
        described |= faces_of(corpora, corpus, made.blinks, load_facial_actions())
    write(root / "phenomena.json", as_json(described))
    finish(root, parameters)
    return True


@dataclass
class _Made:
    """lengths: folder of a source -> clip -> frames; blinks: likewise, s; moments [2, 179]: sums of the numbers of
    training frames and of their squares; training_frames: their number."""

    lengths: dict[str, dict[str, int]]
    blinks: dict[str, dict[str, tuple[float, ...]]]
    moments: np.ndarray
    training_frames: int = 0


def _write_clips(
    root: Path, sources: Sequence[Source], recorder: Recorder, progress: Callable[[Iterable, int], Iterable],
    workers: int,
) -> _Made:
    items = [(source, take) for source in sources for take in source.takes]
    loader = DataLoader(
        _Clips(root, items, recorder), batch_size=None, num_workers=workers, collate_fn=_as_it_is,
    )
    made = _Made({s.folder: {} for s in sources}, {s.folder: {} for s in sources}, np.zeros((2, FRAME_SIZE)))
    # in the order of the clips, however many make them: sums of floats depend on it
    for (count, sums, blinks), (source, take) in zip(progress(loader, len(items)), items):
        made.lengths[source.folder][take.name] = count
        made.blinks[source.folder][take.name] = blinks
        if sums is not None:
            made.moments += sums
            made.training_frames += count
    return made


class _Clips(Dataset):
    """Writes a clip or sign when it is read; gives the number of its frames, of training clips the sums [2, 179] of the
    frames' numbers and of their squares, and when it blinks."""

    def __init__(self, root: Path, items: Sequence[tuple[Source, Any]], recorder: Recorder):
        self.root, self.items, self.recorder = root, items, recorder

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[int, np.ndarray | None, tuple[float, ...]]:
        source, take = self.items[index]
        recorded = self.recorder.record(source, take)
        sums = None
        if isinstance(source, SyntheticCorpus) and take.split == "train":
            frames = frames_from_motion(recorded.soke).astype(np.float64)
            sums = np.stack([frames.sum(0), (frames**2).sum(0)])
        _write_clip(self.root / source.folder, *source.frames(take), take.name, recorded)
        return len(recorded.soke), sums, recorded.blinks


def _write_clip(folder: Path, frames: str, pattern: str, name: str, recorded: Recorded) -> None:
    """What is there already is kept: it was written in whole."""
    _write_frames(folder / frames, pattern, recorded.soke)
    smplfx = folder / "smplfx" / f"{name}.npz"
    if recorded.smplfx is not None and not smplfx.is_file():
        smplfx.parent.mkdir(parents=True, exist_ok=True)
        write_clip(smplfx, recorded.smplfx)


def _as_it_is(item: tuple) -> tuple:
    return item


def _write_frames(folder: Path, pattern: str, motion: Motion) -> None:
    """All frames or none: they are written beside their folder, which then is renamed. Complete folders are kept."""
    if folder.is_dir():
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    prefix = str(partial) + os.sep
    for i, frame in enumerate(frame_dicts(motion)):
        with open(prefix + pattern.format(i), "wb") as file:
            file.write(pickle.dumps(frame, protocol=4))
    partial.rename(folder)


def _write_statistics(folder: Path, moments: np.ndarray) -> None:
    """mean.pt and std.pt [179] of the frames of all training clips, as the public data keep them."""
    mean, square = moments
    for name, values in (("mean", mean), ("std", np.sqrt(np.maximum(square - mean**2, 0)))):
        buffer = io.BytesIO()
        torch.save(torch.from_numpy(values).float(), buffer)
        write(folder / f"{name}.pt", buffer.getvalue())
