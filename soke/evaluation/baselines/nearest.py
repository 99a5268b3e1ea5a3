"""The training clip whose sentence is nearest to the one that is to be signed."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.dataset import MotionDataset, MotionSample
from soke.errors import UserError
from soke.evaluation.protocols import Sentence
from soke.metrics.text_scores import CHRF_ORDER, chrf
from soke.text.spelling import spelled

NEAREST = "nearest training sentence"
_COUNTED = (
    "sentences", "sentences with several nearest ones, of which the first is taken",
    "times that the nearest one cannot be read, and the next is taken",
)


class NearestSentence:
    """A `Producer`: the signers' motion of the training sentence with the highest chrF against the one that is asked
    for; among equals the first of the corpus that can be read, never the clip itself.

    training:   of one corpus, so of one sign language
    conditions: of the producer that it is a floor of

    counts: `_COUNTED`
    """

    name = NEAREST

    def __init__(self, training: MotionDataset, layout: MotionLayout, conditions: Mapping[str, str]):
        self.training, self.layout, self.conditions = training, layout, dict(conditions)
        self.counts = Counter(dict.fromkeys(_COUNTED, 0))
        self._texts = TextSimilarity([clip.text for clip in training.clips])

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion | JointMotion]:
        """Raises UserError where no training clip can be read."""
        return [self._nearest(*each) for each in zip(sentences, self._texts.of([s.text for s in sentences]))]

    def _nearest(self, sentence: Sentence, scores: np.ndarray) -> Motion | JointMotion:
        own = [clip == sentence for clip in self.training.clips]  # not one of the same name in another split
        scores = np.where(own, -1.0, scores)
        self.counts.update(dict(zip(_COUNTED, (1, int((scores == scores.max()).sum() > 1)))))
        for index in np.argsort(-scores, kind="stable"):
            found = self.training[int(index)]
            if scores[index] >= 0 and isinstance(found, MotionSample):
                return self.layout.covered(found.motion)
            self.counts[_COUNTED[2]] += 1
        raise UserError(f"no training clip of {sentence.language} can be signed for {sentence.name}: check `corpora`")


class TextSimilarity:
    """chrF of sentences against each of N others, all at once: products of sparse matrices that hold, of every order, a
    column for each n-gram's first occurrence in a text, its second, and so on.

    texts: N hypotheses
    """

    def __init__(self, texts: Sequence[str]):
        self._columns: list[dict[tuple[str, int], int]] = [{} for _ in range(CHRF_ORDER)]
        grams = [_occurrences(text) for text in texts]
        for of_text in grams:
            for columns, occurrences in zip(self._columns, of_text):
                for occurrence in occurrences:
                    columns.setdefault(occurrence, len(columns))
        self._matrices = [self._matrix(grams, order).T.tocsc() for order in range(CHRF_ORDER)]
        self._counts = np.array([[len(of_order) for of_order in of_text] for of_text in grams]).reshape(-1, CHRF_ORDER)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """[M, N], 0 to 1, of M references."""
        grams = [_occurrences(text) for text in texts]
        wanted = np.array([[len(of_order) for of_order in of_text] for of_text in grams]).reshape(-1, 1, CHRF_ORDER)
        common = np.stack(
            [(self._matrix(grams, order) @ own).toarray() for order, own in enumerate(self._matrices)], axis=-1
        )
        return chrf(np.where(wanted > 0, self._counts, 0), wanted, common)

    def _matrix(self, grams: Sequence[Sequence[Sequence[tuple[str, int]]]], order: int) -> csr_matrix:
        """[texts, columns] of ones; occurrences that have no column are left out."""
        columns = self._columns[order]
        found = [[columns[o] for o in of_text[order] if o in columns] for of_text in grams]
        ends = np.cumsum([0, *map(len, found)])
        values = np.concatenate([*map(np.asarray, found), []]).astype(np.int64)
        return csr_matrix((np.ones(len(values), np.float32), values, ends), (len(grams), len(columns)))


def _occurrences(text: str) -> list[list[tuple[str, int]]]:
    """Of every order the n-grams of a text, in lower case and without blanks, each with how often it came before."""
    letters = "".join(spelled(text).lower().split())
    return [
        [(gram, i) for gram, count in Counter(
            letters[start : start + order] for start in range(len(letters) - order + 1)
        ).items() for i in range(count)]
        for order in range(1, CHRF_ORDER + 1)
    ]
