"""Stitching: the signs of a dictionary one after the other."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from soke.body.motion import JointMotion, Motion
from soke.evaluation.baselines.dictionary import Dictionary
from soke.evaluation.editing import joined
from soke.evaluation.protocols import Producer, Sentence

STITCHED, OF_GLOSSES, OF_PREDICTED = "stitched signs", "stitched signs, signers' glosses", "stitched signs, predicted glosses"
TRANSITION = 0.2  # s from one sign to the next [A]

Order = Callable[[Sentence], Sequence["str | None"]]  # the lexicon's words in the order in which they are signed


class Stitching:
    """A `Producer`: the dictionary's signs, at the speed at which they were recorded, each without the way from the
    waiting posture and back (the first begins with it, the last ends with it), with `TRANSITION` s between two.

    name:       of the row
    order:      sentence -> words of the dictionary, in order, and None for what it lacks
    conditions: of the producer that it is a floor of
    still:      signs in its place where a sentence has no sign at all

    counts: of `words`, of those that the lexicon lacks, of those whose sign cannot be used, of `sentences`, and of those
            without a sign
    """

    def __init__(
        self, name: str, dictionary: Dictionary, order: Order, conditions: Mapping[str, str], still: Producer
    ):
        self.name, self.dictionary, self.order, self.still = name, dictionary, order, still
        self.layout, self.conditions, self.counts = dictionary.layout, dict(conditions), Counter[str]()

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion | JointMotion]:
        return [self._signed(sentence) for sentence in sentences]

    def _signed(self, sentence: Sentence) -> Motion | JointMotion:
        words = self.order(sentence)
        signs = [self.dictionary.sign(word) for word in words if word is not None]
        found = [sign for sign in signs if sign is not None]
        self.counts.update({
            "words": len(words), "words that the lexicon lacks": len(words) - len(signs),
            "words whose sign cannot be used": len(signs) - len(found), "sentences": 1,
            "sentences without any sign, for which the mean pose stands": int(not found),
        })
        if not found:
            return self.still.produce([sentence])[0]
        last = len(found) - 1
        pieces = [
            sign.motion.frames(slice(sign.core.start if i else 0, sign.core.stop if i < last else len(sign.motion)))
            for i, sign in enumerate(found)
        ]
        return replace(joined(pieces, TRANSITION), made_by=self.name)
