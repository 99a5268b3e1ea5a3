"""Spoken side of the synthetic corpora: words, templates and the order in which the content words are signed."""
from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from soke.data.clip import SPLITS

_WITHOUT_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_TRIES = 30  # draws for a sentence that was not used before
_RARE_SHARE = {"val": 0.2, "test": 0.4}  # share of sentences that hold a rare word


@dataclass(frozen=True)
class SpokenLanguage:
    """Vocabulary and grammar of one language. Every word stands in the text exactly as the lexicon writes it.

    language:   sign language, a key of `soke.data.clip.TEXT_LOCALE`
    words:      category -> content words
    rare:       words that training shows once or twice and the test shows often
    templates:  sentences with a slot per category
    sign_order: categories in the order in which they are signed; what is not here is not signed
    variants:   words with two free variants of their sign
    face_pairs: pairs of words of one category whose signs differ only in the face
    phrases:    word -> words that fill its slot, where they are more than the word itself
    gloss_case: "upper" writes glosses as Phoenix-2014T does, in capitals without umlauts; "word" leaves the words
    """

    language: str
    words: dict[str, tuple[str, ...]]
    rare: tuple[str, ...]
    templates: tuple[str, ...]
    sign_order: tuple[str, ...]
    variants: tuple[str, ...]
    face_pairs: tuple[tuple[str, str], ...]
    phrases: dict[str, str] = field(default_factory=dict)
    gloss_case: Literal["word", "upper"] = "word"

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return tuple(word for words in self.words.values() for word in words)

    def slots(self, template: str) -> tuple[str, ...]:
        """Categories that `template` asks for, in the order in which they are signed."""
        return tuple(category for category in self.sign_order if "{" + category + "}" in template)

    def gloss(self, words: tuple[str, ...]) -> str:
        gloss = " ".join(words)
        return gloss.translate(_WITHOUT_UMLAUTS).upper() if self.gloss_case == "upper" else gloss


@dataclass(frozen=True)
class Sentence:
    """text: spoken-language sentence; words: its content words in the order in which they are signed."""

    text: str
    words: tuple[str, ...]


ENGLISH = SpokenLanguage(
    language="ASL",
    words={
        "noun": ("dog", "cat", "teacher", "doctor", "child", "farmer", "bird", "pilot", "rabbit"),
        "adj": ("happy", "tired", "small", "hungry"),
        "obj": ("apple", "book", "letter", "bread", "key", "umbrella"),
        "iverb": ("sleeps", "works", "dances", "waits"),
        "tverb": ("buys", "finds", "wants", "carries"),
        "place": ("garden", "school", "city", "kitchen", "airport"),
        "time": ("today", "tomorrow", "tonight", "again"),
    },
    rare=("pilot", "rabbit", "key", "umbrella", "airport"),
    templates=(
        "the {noun} {iverb} in the {place} {time}",
        "in the {place} the {noun} {iverb} {time}",
        "the {adj} {noun} {tverb} the {obj} {time}",
        "the {noun} {tverb} the {obj} in the {place}",
        "the {noun} in the {place} is {adj} {time}",
        "the {adj} {noun} {iverb} in the {place}",
        "the {noun} {tverb} the {obj} {time}",
    ),
    sign_order=("time", "place", "obj", "noun", "adj", "iverb", "tverb"),
    variants=("teacher", "garden", "today"),
    face_pairs=(("happy", "tired"), ("buys", "finds")),
)

CHINESE = SpokenLanguage(
    language="CSL",
    words={
        "noun": ("老师", "学生", "医生", "妈妈", "孩子", "朋友", "小狗", "司机", "护士"),
        "adj": ("高兴", "疲倦", "忙碌", "健康"),
        "obj": ("苹果", "词典", "牛奶", "面包", "钥匙", "雨伞"),
        "iverb": ("睡觉", "休息", "工作", "跳舞"),
        "tverb": ("购买", "寻找", "喜欢", "需要"),
        "place": ("学校", "公园", "商店", "医院", "机场"),
        "time": ("今天", "明天", "早上", "晚上"),
    },
    rare=("司机", "护士", "钥匙", "雨伞", "机场"),
    templates=(
        "{time}{noun}在{place}{iverb}。",
        "{noun}{time}在{place}{iverb}。",
        "{time}{adj}的{noun}{tverb}{obj}。",
        "{noun}在{place}{tverb}{obj}。",
        "{place}的{noun}{time}很{adj}。",
        "{adj}的{noun}在{place}{iverb}。",
        "{noun}{time}{tverb}{obj}。",
    ),
    sign_order=("noun", "adj", "place", "obj", "iverb", "tverb", "time"),
    variants=("老师", "公园", "今天"),
    face_pairs=(("高兴", "疲倦"), ("购买", "寻找")),
)

_GERMAN_NOUNS = {
    "regen": "der", "schnee": "der", "wind": "der", "nebel": "der", "sonne": "die", "kaltluft": "die",
    "gewitter": "das", "föhn": "der", "tauwetter": "das",
}
_GERMAN_PLACES = {
    "norden": "im", "süden": "im", "küste": "an der", "alpen": "in den", "saarland": "im",
}
GERMAN = SpokenLanguage(
    language="DGS",
    words={
        "noun": tuple(_GERMAN_NOUNS),
        "adj": ("stark", "schwach", "kühl", "mäßig"),
        "obj": ("wärme", "kälte", "böen", "frost", "glätte", "hagel"),
        "iverb": ("kommt", "bleibt", "verschwindet", "wächst"),
        "tverb": ("bringt", "vertreibt", "verspricht", "verhindert"),
        "place": tuple(_GERMAN_PLACES),
        "time": ("heute", "morgen", "nachts", "später"),
    },
    rare=("föhn", "tauwetter", "glätte", "hagel", "saarland"),
    templates=(
        "{time} {iverb} {noun} {place} .",
        "{place} {iverb} {noun} {time} .",
        "{noun} ist {adj} und {tverb} {time} {obj} .",
        "{noun} {tverb} {place} {obj} .",
        "{noun} ist {time} {place} {adj} .",
        "{place} ist {noun} {adj} und {iverb} .",
        "{time} {tverb} {noun} {obj} .",
    ),
    sign_order=("time", "place", "noun", "adj", "obj", "iverb", "tverb"),
    variants=("wind", "norden", "heute"),
    face_pairs=(("stark", "schwach"), ("bringt", "vertreibt")),
    phrases={word: f"{article} {word}" for word, article in {**_GERMAN_NOUNS, **_GERMAN_PLACES}.items()},
    gloss_case="upper",
)

LANGUAGES = (ENGLISH, CHINESE, GERMAN)


def write_sentences(spoken: SpokenLanguage, counts: dict[str, int], seed: str) -> dict[str, list[Sentence]]:
    """Split -> `counts[split]` sentences. Words of a category are used equally often; no content of test or val
    returns in another split, and none returns within a split as long as others can be found."""
    rng = random.Random(seed)
    taken: set[tuple[str, ...]] = set()
    sentences = {}
    for split in reversed(SPLITS):  # training last, so that it can keep clear of the others
        rare = _rare_words(spoken, split, counts[split], rng)
        used: Counter[str] = Counter()
        own: set[tuple[str, ...]] = set()
        sentences[split] = []
        for word in rare:
            sentence = _draw(spoken, word, used, taken, own, rng)
            own.add(sentence.words)
            used.update(sentence.words)
            sentences[split].append(sentence)
        taken |= own
    return sentences


def _rare_words(spoken: SpokenLanguage, split: str, count: int, rng: random.Random) -> list[str | None]:
    """For each sentence of a split the rare word it must hold, or None."""
    if split == "train":
        words = [word for word in spoken.rare for _ in range(rng.randint(1, 2))]
    else:
        share = max(1, round(_RARE_SHARE[split] * count))
        words = [spoken.rare[i % len(spoken.rare)] for i in range(share)]
    words = words[:count]
    plan = [*words, *[None] * (count - len(words))]
    rng.shuffle(plan)
    return plan


def _draw(
    spoken: SpokenLanguage,
    rare: str | None,
    used: Counter[str],
    taken: set[tuple[str, ...]],
    own: set[tuple[str, ...]],
    rng: random.Random,
) -> Sentence:
    """A sentence whose content is not in `taken`, and preferably not in `own`, of the least used words."""
    fallback = None
    tries = 0
    while tries < _TRIES or fallback is None:
        tries += 1
        template = rng.choice(spoken.templates)
        chosen = {}
        for category in spoken.slots(template):
            if rare in spoken.words[category]:
                chosen[category] = rare
                continue
            common = [word for word in spoken.words[category] if word not in spoken.rare]
            # After a few failures any word will do: the least used ones may all be spent.
            chosen[category] = min(common, key=lambda w: (used[w] if tries < 10 else 0, rng.random()))
        words = tuple(chosen.values())
        if (rare is not None and rare not in words) or words in taken:
            continue
        phrases = {category: spoken.phrases.get(word, word) for category, word in chosen.items()}
        sentence = Sentence(template.format(**phrases), words)
        if words not in own:
            return sentence
        fallback = sentence
    return fallback
