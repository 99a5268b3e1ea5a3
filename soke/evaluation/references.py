"""What a test is run on: the clips of a split, and what a layout keeps of their motions, in fixed blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Callable, Mapping, Sequence, TypeVar

from tqdm import tqdm

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.body.posed import Posed
from soke.data.clip import Clip, Corpus, SkippedClip
from soke.data.dataset import MotionDataset, MotionSample
from soke.data.settings import Dataset
from soke.errors import UserError
from soke.evaluation.oracle.reader import Oracle
from soke.evaluation.protocols import ChunkEncoder, Coder, Producer, Reader, Retriever, Sentence
from soke.evaluation.settings import Metric
from soke.evaluation.unfinished import Unfinished
from soke.run.processes import World
from soke.run.settings import Test

GROUND_TRUTH = "ground truth"
ALL_CORPORA = "all corpora"  # in the place of a corpus: scores of all of them together

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Setting:
    """What a test is run on.

    corpora:  of the clips
    body:     makes joints of motions; its name stands in every signature
    dataset:  shortest and longest reference in frames, and whether an unreadable clip is an error
    metric:   DTW and tokens of texts
    test:     the clips' split; as many of them as its batch size are worked on together, the same ones however many
              processes there are: what a model computes may depend, in the last digit, on what else is in its batch
    multiple: every reference's length is a multiple of it: of a tokenizer's frames per step, so that it can keep them
              all
    readers:  corpus -> what reads the motions that are made for it
    coder:    whose codes of the motions are compared; None: nobody's
    retrievers: corpus -> what tells how well the motions that are made for it fit their sentences
    oracles:  corpus -> what knows the signs of its clips, and reads those of motions
    frechet:  whose latents Fréchet distances are taken over; None: there are none
    unfinished: what this test has produced before it was broken off, and where it keeps what it produces; None: nowhere
    world:    the processes that test together, and which of them this is
    """

    corpora: Sequence[Corpus]
    body: Posed
    dataset: Dataset
    metric: Metric
    test: Test
    multiple: int = 1
    readers: Mapping[str, Reader] = field(default_factory=dict)
    world: World = World()
    unfinished: Unfinished | None = None
    coder: Coder | None = None
    retrievers: Mapping[str, Retriever] = field(default_factory=dict)
    frechet: ChunkEncoder | None = None
    oracles: Mapping[str, Oracle] = field(default_factory=dict)

    @property
    def split(self) -> str:
        return self.test.split


@dataclass(frozen=True)
class References:
    """This process's clips of a corpus, with what the layout keeps of their motions, block after block; and, as a
    `Producer`, the signers, who have signed every sentence as it should be.

    blocks:  which of the clips are one
    places:  position of each clip in the corpus's list
    total:   clips of the corpus, over all processes, unreadable ones included
    skipped: the unreadable ones that this process met
    """

    corpus: Corpus
    layout: MotionLayout
    blocks: list[slice]
    places: list[int]
    clips: list[Clip]
    motions: list[Motion]
    total: int
    skipped: list[SkippedClip]
    name: str = GROUND_TRUTH

    @property
    def conditions(self) -> dict[str, str]:
        return {"layout": self.layout.hash}

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion]:
        """What was signed. Raises KeyError for a sentence that is none of these clips."""
        return [self._signed[sentence.name] for sentence in sentences]

    @cached_property
    def _signed(self) -> dict[str, Motion]:
        return {clip.name: motion for clip, motion in zip(self.clips, self.motions)}

    def by_block(
        self, make: Callable[[Sequence[_Item]], Sequence[_Made]], items: Sequence[_Item], work: str
    ) -> list[_Made]:
        """What `make` makes of the items of each block, one item per clip, in the order of the clips.

        Raises ValueError when it makes more or fewer than it was given.
        """
        made: list[_Made] = []
        for block in tqdm(self.blocks, desc=f"{work} {self.corpus.name}", leave=False):
            made += make(items[block])
            if len(made) != block.stop:
                raise ValueError(
                    f"{work} {self.corpus.name}: {len(items[block])} clips gave {len(made) - block.start} results"
                )
        return made

    def produced_by(
        self, producer: Producer, work: str = "produce", unfinished: Unfinished | None = None
    ) -> list[Motion]:
        """The producer's motion for each of the clips.

        unfinished: what has been produced before, and where it is kept; None: nowhere
        """
        if unfinished is None:
            return self.by_block(producer.produce, self.clips, work)
        pairs = list(zip(self.clips, self.motions))
        return self.by_block(lambda block: unfinished.produced(producer, *zip(*block)), pairs, work)

    def translated_by(
        self, name: str, translate: Callable[[Sequence[Motion]], list[str]], motions: Sequence[Motion], work: str,
        unfinished: Unfinished | None = None,
    ) -> list[str]:
        """A translator's text for each of the motions, one per clip.

        name:       of the translator
        unfinished: as of `produced_by`
        """
        if unfinished is None:
            return self.by_block(translate, motions, work)
        pairs = list(zip(self.clips, motions, strict=True))
        return self.by_block(lambda block: unfinished.translated(name, translate, *zip(*block)), pairs, work)


def read_references(corpus: Corpus, layout: MotionLayout, setting: Setting) -> References:
    """Raises UserError when no clip of the corpus can be read."""
    of_data = setting.dataset
    dataset = MotionDataset(
        [corpus], setting.split, layout, of_data.min_frames, of_data.max_frames, setting.multiple, of_data.strict
    )
    skipped = list(dataset.skipped) if setting.world.rank == 0 else []
    blocks, places, clips, motions = [], [], [], []
    own = setting.world.own(_blocks([clip.text for clip in dataset.clips], setting.test.batch_size))
    for block in tqdm(own, desc=f"read {corpus.name}"):
        start = len(clips)
        for place in block:
            sample = dataset[place]
            if not isinstance(sample, MotionSample):
                skipped.append(sample)
                continue
            places.append(place)
            clips.append(sample.clip)
            motions.append(layout.covered(sample.motion))
        if len(clips) > start:
            blocks.append(slice(start, len(clips)))
    if not setting.world.gathered(places):
        raise UserError(f"no clip of split {setting.split} of {corpus.name} can be read: check `corpora`")
    return References(corpus, layout, blocks, places, clips, motions, len(dataset) + len(dataset.skipped), skipped)


def _blocks(texts: Sequence[str], size: int) -> list[list[int]]:
    """Positions of the texts in blocks of `size`, those of similar length together."""
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    return [order[start : start + size] for start in range(0, len(order), size)]
