"""Spoken side of the synthetic corpora: words, templates and the order in which the content words are signed."""
from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from soke.data.clip import SPLITS

_WITHOUT_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_TRIES = 30  # draws for a sentence that was not used before
_RARE_SHARE = {"val": 0.2, "test": 0.4}  # share of sentences that hold a rare word
_TAIL_SHARE, _TAIL_DECAY = 0.77, 0.6  # share of training sentences with a word of the tail; exponent of Zipf's law
RARE_AT_MOST = 2  # training sentences


@dataclass(frozen=True)
class SpokenLanguage:
    """Vocabulary and grammar of one language. Every word stands in the text exactly as the lexicon writes it.

    language:   sign language, a key of `soke.text.locales.TEXT_LOCALE`
    words:      category -> content words that are used equally often
    templates:  sentences with a slot per category
    sign_order: categories in the order in which they are signed; what is not here is not signed
    variants:   words with two free variants of their sign
    tail:       category -> words of which each is rarer than the one before, see `tail_words`
    clauses:    for each template what face and head mark, as categories in the order in which they are signed: those
                before `|` are the topic, `/` parts two clauses, `?` ends a question; none where nobody has a face
    face_pairs: pairs of words of one category whose signs differ only in the face
    negative:   verbs whose clause the head negates
    phrases:    word -> words that fill its slot, where they are others than the word itself
    gloss_case: "upper" writes glosses as Phoenix-2014T does, in capitals without umlauts; "word" leaves the words
    capital:    sentences begin with a capital letter
    """

    language: str
    words: dict[str, tuple[str, ...]]
    templates: tuple[str, ...]
    sign_order: tuple[str, ...]
    variants: tuple[str, ...]
    tail: dict[str, tuple[str, ...]] = field(default_factory=dict)
    clauses: tuple[str, ...] = ()
    face_pairs: tuple[tuple[str, str], ...] = ()
    negative: tuple[str, ...] = ()
    phrases: dict[str, str] = field(default_factory=dict)
    gloss_case: Literal["word", "upper"] = "word"
    capital: bool = False

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return (*(word for words in self.words.values() for word in words), *self.tail_words)

    @property
    def tail_words(self) -> tuple[str, ...]:
        """From the most frequent to the rarest: the longer words are the rarer ones (Zipf's law of abbreviation)."""
        return tuple(sorted((word for words in self.tail.values() for word in words), key=lambda w: (len(w), w)))

    def with_tail(self, length: int) -> SpokenLanguage:
        """The same language with the first `length` words of the tail alone."""
        kept = set(self.tail_words[:length])
        return replace(self, tail={c: tuple(w for w in words if w in kept) for c, words in self.tail.items()})

    def tail_counts(self, sentences: int) -> dict[str, int]:
        """Word of the tail -> how many of so many training sentences hold it: at least one, falling with the rank."""
        weights = {word: rank**-_TAIL_DECAY for rank, word in enumerate(self.tail_words, start=1)}
        if not weights:
            return {}
        unit = _TAIL_SHARE * sentences / sum(weights.values())
        return {word: max(1, round(unit * weight)) for word, weight in weights.items()}

    def rare(self, sentences: int) -> tuple[str, ...]:
        """Words that at most two of so many training sentences hold."""
        return tuple(word for word, count in self.tail_counts(sentences).items() if count <= RARE_AT_MOST)

    def slots(self, template: str) -> tuple[str, ...]:
        """Categories that `template` asks for, in the order in which they are signed."""
        return tuple(category for category in self.sign_order if "{" + category + "}" in template)

    def write(self, template: str, chosen: dict[str, str]) -> str:
        """The sentence that `template` gives with these words, one per category."""
        text = template.format(**{category: self.phrases.get(word, word) for category, word in chosen.items()})
        return text[0].upper() + text[1:] if self.capital else text

    def gloss(self, words: tuple[str, ...]) -> str:
        gloss = " ".join(words)
        return gloss.translate(_WITHOUT_UMLAUTS).upper() if self.gloss_case == "upper" else gloss


@dataclass(frozen=True)
class InventedSentence:
    """text: spoken-language sentence; words: its content words in the order in which they are signed; template: number
    of the template that it fills."""

    text: str
    words: tuple[str, ...]
    template: int


def write_sentences(spoken: SpokenLanguage, counts: dict[str, int], seed: str) -> dict[str, list[InventedSentence]]:
    """Split -> `counts[split]` sentences. Words of a category are used equally often, those of the tail as
    `tail_counts` says; val and test hold only the rare ones of the tail, but more often. No content of test or val
    returns in another split, and none returns within a split as long as others can be found."""
    rng = random.Random(seed)
    taken: set[tuple[str, ...]] = set()
    sentences = {}
    for split in reversed(SPLITS):  # training last, so that it can keep clear of the others
        used: Counter[str] = Counter()
        own: set[tuple[str, ...]] = set()
        sentences[split] = []
        for word in _of_the_tail(spoken, split, counts, rng):
            sentence = _draw(spoken, word, used, taken, own, rng)
            own.add(sentence.words)
            used.update(sentence.words)
            sentences[split].append(sentence)
        taken |= own
    return sentences


def _of_the_tail(spoken: SpokenLanguage, split: str, counts: dict[str, int], rng: random.Random) -> list[str | None]:
    """For each sentence of a split the word of the tail that it must hold, or None."""
    if split == "train":
        words = [word for word, count in spoken.tail_counts(counts["train"]).items() for _ in range(count)]
    else:
        rare = spoken.rare(counts["train"])
        rare = rng.sample(rare, len(rare))
        wanted = max(1, round(_RARE_SHARE[split] * counts[split])) if rare else 0
        words = [rare[i % len(rare)] for i in range(wanted)]
    words = words[: counts[split]]
    plan = [*words, *[None] * (counts[split] - len(words))]
    rng.shuffle(plan)
    return plan


def _draw(
    spoken: SpokenLanguage, wanted: str | None, used: Counter[str], taken: set[tuple[str, ...]],
    own: set[tuple[str, ...]], rng: random.Random,
) -> InventedSentence:
    """A sentence of the least used words that holds `wanted` and else no word of the tail, whose content is not in
    `taken`, and preferably not in `own`."""
    fallback = None
    tries = 0
    while tries < _TRIES or fallback is None:
        tries += 1
        template = rng.choice(spoken.templates)
        chosen = {}
        for category in spoken.slots(template):
            if wanted in spoken.tail.get(category, ()):
                chosen[category] = wanted
                continue
            # After a few failures any word will do: the least used ones may all be spent.
            chosen[category] = min(spoken.words[category], key=lambda w: (used[w] if tries < 10 else 0, rng.random()))
        words = tuple(chosen.values())
        if (wanted is not None and wanted not in words) or words in taken:
            continue
        sentence = InventedSentence(spoken.write(template, chosen), words, spoken.templates.index(template))
        if words not in own:
            return sentence
        fallback = sentence
    return fallback
