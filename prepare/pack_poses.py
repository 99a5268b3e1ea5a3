"""Pack the pose frames of corpora: `python -m prepare.pack_poses --cfg configs/soke.yaml`.

Each corpus and lexicon of the configuration gets a store, `packed` in its root (`packed_smplfx` of DATASET.FRAMES
smplfx) or what its key PACKED names, which training then reads a hundred times faster than frame files. Interrupted, it
continues; run again, it packs what is new, what has changed or could not be read before. The frame files may then be
removed. Several machines that see the same folders pack together, as they train together: NUM_NODES=2 DEVICE=1.
"""
from __future__ import annotations

import argparse
import logging
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from soke.build.data import corpora_of, lexicon_of
from soke.build.devices import start_processes
from soke.data.clip import SPLITS, Clip
from soke.data.corpora.base import FrameFolderCorpus, frame_files_alone
from soke.data.fingerprints import Fingerprint, Watch
from soke.data.storage.packed import (
    PackedStore,
    Shard,
    complete_store,
    is_packed,
    keep_annotation,
    pack_shard,
    plan_shards,
    retire_index,
)
from soke.errors import UserError
from soke.run import cli
from soke.run.config import Config, load_config
from soke.run.processes import World
from soke.storage import file_hash

_log = logging.getLogger(__name__)


class _Shards(Dataset):
    """Item i is shard i, packed: its number of frames, or the UserError that stopped it."""

    def __init__(self, corpus: FrameFolderCorpus, folder: Path, shards: Sequence[Shard]):
        self.corpus, self.folder, self.shards = corpus, folder, shards

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> int | UserError:
        try:
            shard, corpus = self.shards[index], self.corpus
            return pack_shard(self.folder, shard, corpus.read_frames, corpus.form.width)
        except UserError as error:
            return error


@dataclass(frozen=True)
class _Plan:
    """What is to be packed, see `complete_store`; missing: the shards that are not there yet."""

    shards: list[Shard]
    missing: list[Shard]
    sources: dict[str, str]
    dropped: dict[str, Counter[str]]
    lacking: dict[str, list[tuple[str, str, Fingerprint]]]


def pack(corpus: FrameFolderCorpus, folder: Path, workers: int, world: World = World()) -> PackedStore:
    """Pack a corpus into `folder`; shards that are there already are kept where annotation and frame files are the
    same, splits without annotation are left out. A store whose frame files are all gone is left as it is.

    workers: of this process
    world:   the processes that pack together; every one of them must call it

    Raises UserError when there is nothing to pack, when some of a store's clips have no frame files any more, which
    packing would lose, and when a file cannot be written.
    """
    plan = world.of_first(lambda: _planned(corpus, folder))
    if plan is None:
        return PackedStore(folder)
    own, start = world.own(plan.missing), time.monotonic()
    frames = sum(world.of_each(lambda: _packed(corpus, folder, own, workers)))
    if plan.missing and world.rank == 0:
        seconds = time.monotonic() - start
        _log.info("%s: %d frames packed, %.0f frames/s", corpus.name, frames, frames / seconds)
    world.of_first(lambda: _complete(corpus, folder, plan))
    return PackedStore(folder)


def _planned(corpus: FrameFolderCorpus, folder: Path) -> _Plan | None:
    """None for a store that is left as it is; one that is to become another is taken out of use. Raises UserError as
    `pack` does."""
    shards: list[Shard] = []
    sources: dict[str, str] = {}
    dropped, lacking, absent = {}, {}, []
    watch, store = Watch.thorough(), _readable(folder)
    for split in SPLITS:
        try:
            listing = corpus.unpacked(split)
        except UserError as error:
            absent.append(f"{split} is left out: {error}")
            continue
        origins = {
            clip.name: (os.path.relpath(clip.frames, corpus.root), found)
            for clip in listing.clips if (found := watch.look(clip.frames)) is not None
        }
        shards += plan_shards(split, listing.clips, listing.skipped, origins)
        dropped[split], lacking[split] = listing.dropped, corpus.lacking_frames(split, watch)
        sources |= {
            path.relative_to(corpus.root).as_posix(): file_hash(path) for path in corpus.annotation_paths(split)
        }
    kept = {(shard.split, item.name) for shard in shards for item in shard.items if isinstance(item, Clip)}
    if store is not None and not kept:
        _log.info("%s: no frame files are there any more; %s is left as it is", corpus.name, folder)
        return None
    if not kept:
        raise UserError(f"corpus {corpus.name}: there are no clips to pack in {corpus.root}; {' '.join(absent)}")
    if store is not None:
        _refuse_loss(corpus, store, kept)
    for sentence in absent:
        _log.warning("%s", sentence)
    missing = [shard for shard in shards if not is_packed(folder, shard)]
    if missing:
        retire_index(folder)
    return _Plan(shards, missing, sources, dropped, lacking)


def _complete(corpus: FrameFolderCorpus, folder: Path, plan: _Plan) -> None:
    if corpus.kept is not None:
        keep_annotation(folder, corpus.root / corpus.kept)
    rest = plan.shards, corpus.form.width, plan.sources, plan.dropped, plan.lacking, corpus.form.name
    complete_store(folder, corpus.name, *rest)


def _packed(corpus: FrameFolderCorpus, folder: Path, shards: Sequence[Shard], workers: int) -> int:
    """Packs shards; returns their number of frames."""
    progress, frames = tqdm(total=sum(len(shard.items) for shard in shards), desc=f"pack {corpus.name}", unit="clip"), 0
    loader = DataLoader(_Shards(corpus, folder, shards), batch_size=None, num_workers=min(workers, len(shards)))
    with progress:
        for shard, packed in zip(shards, loader):
            if isinstance(packed, UserError):
                raise packed
            frames += packed
            progress.update(len(shard.items))
    return frames


def _readable(folder: Path) -> PackedStore | None:
    """The store in `folder`; None when there is none, or none that can be read."""
    try:
        return PackedStore.find(folder)
    except UserError:
        return None


def _refuse_loss(corpus: FrameFolderCorpus, store: PackedStore, kept: Collection[tuple[str, str]]) -> None:
    """Raises UserError when the store holds a clip that is still annotated, but whose frame files are gone."""
    for split in filter(store.has, SPLITS):
        lost = {clip.name for clip in store.clips(split) if (split, clip.name) not in kept}
        if lost:
            lost = [clip for clip in corpus.annotated(split) if clip.name in lost and not clip.frames.exists()]
        if lost:
            raise UserError(
                f"{store.folder} holds {len(lost)} clips of {corpus.name} {split} whose frame files are gone (the "
                f"first: {lost[0].name}, {lost[0].frames}), so packing again would lose them: put the files back, or "
                "set PACKED to another folder"
            )


def summary(store: PackedStore) -> str:
    """What a store holds, in one line."""
    splits = [split for split in SPLITS if store.has(split)]
    clips = [clip for split in splits for clip in store.clips(split)]
    places = [store.place(clip) for clip in clips]
    faulty = sum(len(store.skipped(split)) for split in splits)
    gaps = sum(place.missing > 0 for place in places)
    return (
        f"{store.corpus}: {len(clips)} clips, {sum(place.frames for place in places)} frames in {store.folder}, "
        f"content {store.content[:12]}; {faulty} clips could not be read, {gaps} lack frames in between"
    )


def _processes(config: Config) -> tuple[Config, World]:
    """Starts DEVICE processes on each of NUM_NODES machines, one where it is no number: GPUs have nothing to do here."""
    config = replace(config, accelerator="cpu", device=config.device if isinstance(config.device, int) else 1)
    return start_processes(config) if config.device * config.num_nodes > 1 else (config, World())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.pack_poses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="configuration that names the corpora")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--workers", type=cli.count, default=os.cpu_count(), help="processes; default: all cores")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    config, world = _processes(load_config(options.cfg, options.cfg_assets, options.overrides))
    workers = max(options.workers // config.device, 1) if options.workers else 0
    with frame_files_alone():
        corpora = corpora_of(config, without_sentences=True)
        lexicon = lexicon_of(config, known=[corpus.language for corpus in corpora])
    for corpus in [*corpora, *([] if lexicon is None else [lexicon])]:
        if isinstance(corpus, FrameFolderCorpus):
            store = pack(corpus, corpus.packed, workers, world)
            if world.rank == 0:
                print(summary(store))
        elif world.rank == 0:
            print(f"{corpus.name}: has no frame files; nothing to pack")


if __name__ == "__main__":
    cli.run(main)
