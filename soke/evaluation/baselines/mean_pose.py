"""The mean pose: what is signed where nothing is."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.evaluation.protocols import Producer, Sentence

MEAN_POSE = "mean pose"


class MeanPose:
    """A `Producer`: the mean of all training frames, held as long as another one's motion lasts, such as the signers'.

    mean:       {part: [D]} raw features
    conditions: of the producer that it is a floor of
    source:     what makes the motions whose lengths, frame rates and shapes it takes
    """

    name = MEAN_POSE

    def __init__(
        self, mean: Mapping[str, Tensor], layout: MotionLayout, conditions: Mapping[str, str], source: Producer
    ):
        self.mean = {part: values.cpu() for part, values in mean.items()}
        self.layout, self.conditions, self.source = layout, dict(conditions), source

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion | JointMotion]:
        motions = self.source.produce(sentences)
        return [
            self.layout.motion(
                {part: values.expand(len(motion), -1) for part, values in self.mean.items()}, motion.fps, motion.betas,
                MEAN_POSE, motion.head_shape,
            )
            for motion in motions
        ]
