"""The synthetic corpora of joint positions on disk, as Prompt2Sign has them.

    {code}/{train,dev,test}.{skels,text,gloss,files,prompt}    ASL GSL DSGS LSF-CH LIS-CH LSA KSL TSL
    phenomena.json       what was put into the corpora on purpose, per language and per clip
    corpora.json         the parameters, and whether all is written
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from soke.body.joints import SKELETON_50
from soke.body.model import MODEL_FILE, STAND_IN_NAME, BodyModel
from soke.body.motion import JointMotion
from soke.body.skeletonise import skeleton_50
from soke.data.clip import SPLITS, Clip
from soke.data.corpora.skels_writer import STEMS, SkelsWriter
from soke.data.synthetic.corpora import Take
from soke.data.synthetic.facial_actions import STAND_IN
from soke.data.synthetic.files import as_json, claim, finish, write
from soke.data.synthetic.phenomena import phenomena_of
from soke.data.synthetic.skeletons import SKELETON_SIZES, SPOKEN, SkeletonCorpus, plan_skeletons
from soke.errors import UserError
from soke.text.prompts import Prompts

SKELETON_VERSION = 1  # to be raised whenever the same parameters give other files


def write_skeletons(
    root: Path, size: str, seed: int, progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
    workers: int = 0,
) -> bool:
    """Write everything under `root`; an interrupted run goes on behind the last split that is complete, and ends with
    the same files, as does one with another number of workers.

    progress: wraps the sequence of the clips that are to be made, of which the number is given
    workers:  processes that make clips; 0: this one does
    Returns whether anything had to be written. Raises UserError for an unknown size, and when `root` holds other
    things.
    """
    if size not in SKELETON_SIZES:
        raise UserError(f"Unknown size {size!r} of the synthetic corpora: choose one of {', '.join(SKELETON_SIZES)}.")
    parameters = {"skels": SKELETON_VERSION, "size": size, "seed": seed}
    if claim(root, parameters):
        return False
    with _one_thread():
        corpora = plan_skeletons(size, seed)
        _write_clips(root, corpora, Prompts.read([each.language for each in SPOKEN.values()], seed=seed), progress, workers)
    write(root / "phenomena.json", as_json(phenomena_of({corpus.code: corpus.planned for corpus in corpora})))
    finish(root, parameters)
    return True


@contextmanager
def _one_thread() -> Iterator[None]:
    """As a process that makes clips has: sums of several threads differ in the last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _write_clips(
    root: Path, corpora: Sequence[SkeletonCorpus], prompts: Prompts,
    progress: Callable[[Iterable, int], Iterable], workers: int,
) -> None:
    """Those of the splits that are not there yet."""
    splits = [
        (corpus, split, [take for take in corpus.planned.takes if take.split == split])
        for corpus in corpora for split in SPLITS
        if not (root / corpus.code / f"{STEMS[split]}.skels").is_file()
    ]
    items = [(corpus, take) for corpus, _, takes in splits for take in takes]
    made = iter(progress(DataLoader(_Clips(items), batch_size=None, num_workers=workers), len(items)))
    for corpus, split, takes in splits:
        _write_split(root / corpus.code, corpus, split, takes, made, prompts)
    next(made, None)  # the end of the progress


def _write_split(
    folder: Path, corpus: SkeletonCorpus, split: str, takes: list[Take], made: Iterator[torch.Tensor], prompts: Prompts,
) -> None:
    spoken = corpus.planned.spoken
    with SkelsWriter(folder, split) as writer:
        for take in takes:
            text = take.sentence.text
            clip = Clip(
                take.name, corpus.code, split, spoken.language, text, folder, take.fps,
                spoken.gloss(take.sentence.words), prompt=prompts.of(take.name, text, spoken.language),
            )
            writer.add(clip, JointMotion(next(made), SKELETON_50, take.fps))


class _Clips(Dataset):
    """The positions [T, 50, 3] of clips."""

    def __init__(self, items: list[tuple[SkeletonCorpus, Take]]):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> torch.Tensor:
        corpus, take = self.items[index]
        return skeleton_50(stand_in(), corpus.planned.perform(take)).positions


@cache
def stand_in() -> BodyModel:
    """The stand-in, whatever body the user has; the synthetic signers' fingers are relative to flat hands."""
    return BodyModel(STAND_IN / MODEL_FILE, STAND_IN_NAME, flat_hand_mean=True)
