"""RegressorProducer: a regressor as the `Producer` that tests and pictures take."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip
from soke.errors import UserError
from soke.evaluation.protocols import Sentence
from soke.regressor.regressor import PoseRegressor
from soke.regressor.source import prompt_of

log = logging.getLogger(__name__)

FREE, ORACLE = "generated", "generated, oracle timing"


class RegressorProducer:
    """Signs with the regressor's own timing, or with that of references.

    batch_size: sentences generated together
    max_frames: longest motion of free timing
    references: clip -> its signer's motion, for oracle timing: its first frame, its counter and its frame rate are used;
                None: free timing
    warns:      whether the log says, once, that motions are cut because their counter does not end, and once that no word
                of a sentence is known

    counts:     of motions that it has `made`, and those of them that were `cut`, and that were made of `unknown` words alone
    """

    def __init__(
        self, regressor: PoseRegressor, batch_size: int = 32, max_frames: int = 400,
        references: Callable[[Clip], Motion | JointMotion] | None = None, warns: bool = True,
    ):
        self.regressor, self.batch_size, self.max_frames = regressor, batch_size, max_frames
        self.references, self.warns = references, warns
        self.counts = Counter(made=0, cut=0, unknown=0)

    @property
    def name(self) -> str:
        return FREE if self.references is None else ORACLE

    @property
    def layout(self) -> MotionLayout:
        return self.regressor.layout

    @property
    def conditions(self) -> Mapping[str, str]:
        return self.regressor.conditions

    def batched(self, batch_size: int) -> RegressorProducer:
        """The same one, which works on so many sentences together."""
        return RegressorProducer(self.regressor, batch_size, self.max_frames, self.references, self.warns)

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion | JointMotion]:
        """One motion per sentence, in their order, on the CPU; batches of texts of similar length.

        Raises UserError for an empty text, an unknown language, and with oracle timing for a sentence without a clip.
        """
        training, made_by = self.regressor.training, f"regressor {self.regressor.hash}"
        self.regressor.eval()
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i].text))
        motions: dict[int, Motion | JointMotion] = {}
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            motions.update(zip(rows, self._together([sentences[i] for i in rows], made_by)))
        self.regressor.train(training)
        return [motions[i] for i in range(len(sentences))]

    def retrieved(self, sentence: Sentence) -> str:
        """A regressor looks nothing up."""
        return ""

    def lang_gloss(self, sentence: Sentence) -> str:
        """What is written of a sentence before it is signed, and what is read of it before that where this is a prompt.
        Raises UserError as `PoseRegressor.lang_glosses` does."""
        training = self.regressor.training
        self.regressor.eval()
        (written,) = self.regressor.lang_glosses([sentence])
        self.regressor.train(training)
        spec = self.regressor.groups[self.regressor.group_of(sentence.language)].spec
        read = [] if spec.prompts is None else [prompt_of(sentence, spec.prompts)]
        return "\n".join([*read, " ".join(written)])

    def _together(self, sentences: Sequence[Sentence], made_by: str) -> list[Motion | JointMotion]:
        references = None if self.references is None else [self._reference(sentence) for sentence in sentences]
        features = None if references is None else [self.layout.features(motion) for motion in references]
        generated = self.regressor.generate(sentences, self.max_frames, features)
        self._count(sentences, generated.ended)
        rates = [self.regressor.rate(s) for s in sentences] if references is None else [m.fps for m in references]
        return [
            self.layout.motion(own, fps, made_by=made_by).to("cpu") for own, fps in zip(generated.features, rates)
        ]

    def _reference(self, sentence: Sentence) -> Motion | JointMotion:
        if not isinstance(sentence, Clip):
            raise UserError(
                f"oracle timing takes the counter of a clip's signer, and {sentence.name} is a sentence without a clip: "
                "set `regressor.timing`=free"
            )
        return self.references(sentence)

    def _count(self, sentences: Sequence[Sentence], ended: Sequence[bool]) -> None:
        unknown = [sentence for sentence in sentences if not self.regressor.knows_words_of(sentence)]
        if unknown and not self.counts["unknown"] and self.warns:
            log.warning(
                "the regressor knows no word of %d of %d sentences, the first of them %s, %r: what it signs of them does "
                "not depend on what they say", len(unknown), len(sentences), unknown[0].name, unknown[0].text,
            )
        cut = len(ended) - sum(ended)
        if cut and not self.counts["cut"] and self.warns:
            log.warning(
                "the counter of %d of %d motions has not ended after %d frames (`max_frames`), where they are "
                "cut", cut, len(ended), self.max_frames,
            )
        self.counts.update(made=len(ended), cut=cut, unknown=len(unknown))
