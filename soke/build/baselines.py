"""Baselines, as TEST.BASELINES names them."""
from __future__ import annotations

from functools import cached_property, partial
from typing import Callable, Mapping, Sequence

from torch import Tensor

from soke.body.joints import SKELETON_50
from soke.body.model import load_body_model
from soke.body.motion import JointMotion, Motion
from soke.body.skeletonise import skeleton_50
from soke.build.data import lexicon_of, limits_of, training_share
from soke.data.clip import Corpus, locale_of
from soke.data.corpora.share import TrainingSubset
from soke.data.dataset import MotionDataset
from soke.errors import UserError
from soke.evaluation.baselines.dictionary import Dictionary
from soke.evaluation.baselines.glossing import GlossPredictor
from soke.evaluation.baselines.mean_pose import MeanPose
from soke.evaluation.baselines.nearest import NearestSentence
from soke.evaluation.baselines.stitching import OF_GLOSSES, OF_PREDICTED, STITCHED, Order, Stitching
from soke.evaluation.protocols import Producer, Sentence
from soke.evaluation.references import References
from soke.run.config import Config, resolve
from soke.text.words import words_of

_NO_GLOSSES = "{} needs glosses, which its clips do not have: the row is left out"
_SAME_UNIT = (0.8, 1.25)  # m per m; how far apart the shoulders of a mean pose may be where they are 1 apart at rest


def floors_of(
    config: Config, names: Sequence[str], producer: Producer, mean: Mapping[str, Tensor]
) -> list[Callable[[References], Producer | str]]:
    """What `generation` takes as floors.

    names: of `soke.evaluation.settings.BASELINES`
    mean:  {part: [D]} of the training frames, raw features
    """

    def floor(name: str, signers: References) -> Producer | str:
        return _MAKERS[name](_Baselines(config, producer, mean, signers))

    return [partial(floor, name) for name in names]


class _Baselines:
    """Those of one corpus, each made when it is asked for."""

    def __init__(self, config: Config, producer: Producer, mean: Mapping[str, Tensor], signers: References):
        self.config, self.layout, self.conditions = config, producer.layout, producer.conditions
        self.mean, self.signers, self.corpus = mean, signers, signers.corpus

    @cached_property
    def mean_pose(self) -> MeanPose:
        return MeanPose(self.mean, self.layout, self.conditions, self.signers)

    def nearest_sentence(self) -> Producer:
        config = self.config
        training = MotionDataset(
            [self.training], "train", self.layout, *limits_of(config), config.tokenizer.frames(1), config.dataset.strict
        )
        return NearestSentence(training, self.layout, self.conditions)

    def stitching(self) -> Producer | str:
        return self._stitched(STITCHED, lambda signs: lambda sentence: signs.in_order(sentence.text))

    def gloss_stitching(self) -> Producer | str:
        if not any(clip.gloss for clip in self.corpus.clips(self.config.test.split)):
            return _NO_GLOSSES.format(OF_GLOSSES)
        return self._stitched(OF_GLOSSES, lambda signs: partial(_entries_of_glosses, signs))

    def predicted_stitching(self) -> Producer | str:
        pairs = [(self._words(clip), clip.gloss.split()) for clip in self.training.clips("train") if clip.gloss]
        if not pairs:
            return _NO_GLOSSES.format(OF_PREDICTED)
        model = GlossPredictor.of(pairs)
        return self._stitched(
            OF_PREDICTED,
            lambda signs: lambda sentence: list(map(signs.entry, model.predict(self._words(sentence)))),
        )

    @cached_property
    def training(self) -> Corpus:
        """With the training clips that the tested model had."""
        return TrainingSubset(self.corpus, training_share(self.config))

    def _words(self, sentence: Sentence) -> list[str]:
        return words_of(sentence.text, locale_of(self.corpus))

    def _stitched(self, name: str, order: Callable[[Dictionary], Order]) -> Producer | str:
        """Raises UserError where the lexicon cannot be read."""
        lexicon = lexicon_of(self.config, [self.corpus])
        if lexicon is None:
            raise UserError(f"{name} takes signs from DATASET.LEXICON, which is null: name a lexicon")
        posed = None
        if self.layout.of_positions:
            if reason := self._other_skeleton():
                return f"{name} is left out: {reason}"
            posed = self._posed
        signs = Dictionary(
            lexicon, self.corpus.language, float(self.corpus.fps), self.layout, locale_of(self.corpus), posed
        )
        if not len(signs):
            return f"{name} needs signs of {self.corpus.language}, of which the lexicon has none: the row is left out"
        return Stitching(name, signs, order(signs), self.conditions, self.mean_pose)

    def _posed(self, motion: Motion) -> JointMotion:
        return skeleton_50(self._body, motion)

    @cached_property
    def _body(self):
        settings = self.config.body
        return load_body_model(resolve(settings.root), settings.flat_hand_mean)

    def _other_skeleton(self) -> str:
        """Why the lexicon's rotations make no positions that could stand beside the corpus's; "" where they do."""
        if strange := [joint for part in self.layout.parts for joint in part.joints if joint not in SKELETON_50]:
            return f"the lexicon holds rotations, and {strange[0]} is none of the 50 joints that are made of them"
        mean = self.layout.motion({part: values[None].cpu() for part, values in self.mean.items()}, 1.0)
        left, right = (mean.positions[0, mean.joints.index(f"{side}_shoulder")] for side in ("left", "right"))
        width = float((left - right).norm())
        if not _SAME_UNIT[0] <= width <= _SAME_UNIT[1]:
            return f"the positions' shoulders are {width:.3g} apart, and 1 apart where a lexicon of rotations is posed"
        return ""


def _entries_of_glosses(signs: Dictionary, sentence: Sentence) -> list[str | None]:
    return list(map(signs.entry, (getattr(sentence, "gloss", None) or "").split()))


_MAKERS: dict[str, Callable[[_Baselines], Producer | str]] = {
    "mean_pose": lambda made: made.mean_pose,
    "nearest_sentence": _Baselines.nearest_sentence,
    "stitching": _Baselines.stitching,
    "gloss_stitching": _Baselines.gloss_stitching,
    "predicted_stitching": _Baselines.predicted_stitching,
}
