"""Text to glosses, by counting: which glosses a word stands for, and which of two glosses comes first.

What training costs is a second or so, and what it learns can be looked at: it is the model of a baseline.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

_ROUNDS = 12  # of expectation and maximisation [A]
_SHARE = 0.5  # of a word's occurrences in which a gloss comes of it, from which on it always does [A]
_WEIGHT = 0.1  # of the squared ranks in what their fit minimises [A]
_NOTHING = "\0"  # the word of which glosses come that no word stands for


@dataclass(frozen=True)
class GlossPredictor:
    """Words of a sentence to its glosses.

    glosses: word -> the glosses that come of it; every word of the training sentences is there
    rank:    gloss -> how early it comes; of two glosses with ranks r and s the first comes first with the odds
             exp(r - s + o * follows), where o is 1 if its word comes first, -1 if the other's does, 0 if both are of one
    follows: how much glosses keep the order of words
    """

    glosses: dict[str, tuple[str, ...]]
    rank: dict[str, float]
    follows: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> GlossPredictor:
        """Trained on sentences' words and glosses: words and glosses are aligned by IBM's model 1 (Brown et al. 1993),
        ranks are fitted to the order of all pairs of a sentence's glosses (logistic regression, as Bradley and Terry).
        Raises ValueError without a gloss."""
        pairs = [(words, glosses) for words, glosses in pairs if glosses]
        if not pairs:
            raise ValueError("no sentence has glosses")
        aligned = _aligned(pairs)
        names = sorted({gloss for _, glosses in pairs for gloss in glosses})
        ranks, follows = _ranks([glosses for _, glosses in pairs], aligned, names)
        return cls(_emitted(pairs, aligned), dict(zip(names, ranks.tolist())), follows)

    def predict(self, words: Sequence[str]) -> list[str]:
        """The glosses of a sentence, in order; a word that training has not shown stands for itself."""
        found = [(gloss, at) for at, word in enumerate(words) for gloss in self.glosses.get(word, (word,))]
        rank = np.array([self.rank.get(gloss, 0.0) for gloss, _ in found])
        place = np.array([at for _, at in found])
        odds = rank[:, None] - rank + self.follows * np.sign(place - place[:, None])
        before = expit(odds).sum(axis=1)  # of how many others each is expected to come first, and of itself by half
        return [found[i][0] for i in np.argsort(-before, kind="stable")]


def _aligned(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[list[int]]:
    """For each gloss of each sentence the position of the word that it comes of, -1 for none."""
    words, glosses = _numbers([_NOTHING, *w] for w, _ in pairs), _numbers(g for _, g in pairs)
    # One row per candidate: the gloss's place among all, the word's in its sentence, and the two.
    counts = np.array([len(w) + 1 for w, _ in pairs])
    of_gloss = np.repeat(np.arange(len(pairs)), [len(g) for _, g in pairs])
    each = counts[of_gloss]
    gloss = np.repeat(np.arange(len(of_gloss)), each)
    place = np.arange(len(gloss)) - np.repeat(np.cumsum(each) - each, each)
    first = np.cumsum(counts) - counts
    word = words[first[of_gloss[gloss]] + place]
    kinds, kind = np.unique(word * (glosses.max() + 1) + glosses[gloss], return_inverse=True)
    of_word = kinds // (glosses.max() + 1)
    chance = np.ones(len(kinds))
    for _ in range(_ROUNDS):
        share = chance[kind]
        share = share / np.bincount(gloss, share)[gloss]
        chance = np.bincount(kind, share)
        chance = chance / np.bincount(of_word, chance)[of_word]
    order = np.lexsort((place, -chance[kind], gloss))
    best = order[np.cumsum(each) - each]  # of each gloss the likeliest word, the first among equals
    return [list(part) for part in np.split(place[best] - 1, np.cumsum([len(g) for _, g in pairs])[:-1])]


def _numbers(rows) -> np.ndarray:
    """A number for every different word of all rows, one row behind the other."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(word, len(known)) for row in rows for word in row])


def _emitted(
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]], aligned: Sequence[Sequence[int]]
) -> dict[str, tuple[str, ...]]:
    met: dict[str, int] = {}
    came: dict[str, dict[str, int]] = {}
    for (words, glosses), places in zip(pairs, aligned):
        for word in words:
            met[word] = met.get(word, 0) + 1
        for word, gloss in dict.fromkeys((words[at], gloss) for gloss, at in zip(glosses, places) if at >= 0):
            of_word = came.setdefault(word, {})
            of_word[gloss] = of_word.get(gloss, 0) + 1
    return {
        word: tuple(gloss for gloss, times in came.get(word, {}).items() if times >= _SHARE * count)
        for word, count in met.items()
    }


def _ranks(
    sentences: Sequence[Sequence[str]], aligned: Sequence[Sequence[int]], names: Sequence[str]
) -> tuple[np.ndarray, float]:
    number = {gloss: i for i, gloss in enumerate(names)}
    first, second, words = [], [], []
    for glosses, places in zip(sentences, aligned):
        ids, at = np.array([number[gloss] for gloss in glosses]), np.array(places)
        i, j = np.triu_indices(len(ids), 1)
        first.append(ids[i])
        second.append(ids[j])
        words.append(np.where((at[i] < 0) | (at[j] < 0), 0, np.sign(at[j] - at[i])))
    i, j, order = (np.concatenate(of_all) for of_all in (first, second, words))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        rank, follows = values[:-1], values[-1]
        odds = rank[i] - rank[j] + follows * order
        missing = expit(-odds)
        slope = np.bincount(j, missing, len(names)) - np.bincount(i, missing, len(names))
        total = np.logaddexp(0, -odds).sum() + _WEIGHT / 2 * (values**2).sum()
        return total, np.append(slope, -(missing * order).sum()) + _WEIGHT * values

    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B").x
    return found[:-1], float(found[-1])
