"""Pseudo-glosses: the content words of a sentence, where a corpus has no glosses."""
from __future__ import annotations

from soke.text.lemmas import lemma
from soke.text.words import tagged_words, words_of

# First letters of jieba's tags: nouns with times, places and directions, verbs, adjectives with attributives and
# states, adverbs, pronouns, numerals, idioms, set phrases, abbreviations.
_CONTENT_TAGS = frozenset("ntsfvabzdrmilj")
_FOREIGN_TAG = "eng"
# Lemmas of the words that are no content: determiners, prepositions, auxiliaries, conjunctions, particles, and in
# English what is left of contractions.
_CLOSED_CLASSES = {
    "en_XX": frozenset(
        "a the this that some any each every no all both such another "
        "about above across after against along among around as at before behind below beneath beside between beyond "
        "by despite down during except for from in inside into of off on onto out over per since than through "
        "throughout till toward towards under until up upon via with within without "
        "be have do will would shall should can could may might must "
        "and or but nor if because while although though unless whether "
        "to not s t ll ve re d m don doesn didn isn aren wasn weren haven hasn hadn wouldn couldn shouldn ain".split()
    ),
    "de_DE": frozenset(
        "der ein kein dieser jener jeder alle mancher solcher "
        "ab am an ans auf aufs aus außer bei beim bis durch für fürs gegen gegenüber hinter im in ins mit nach neben "
        "ohne seit trotz um unter von vom vor während wegen zu zum zur zwischen über "
        "sein haben werden können müssen sollen wollen dürfen mögen "
        "und oder aber denn sondern dass daß weil wenn ob als wie sowie bzw beziehungsweise obwohl damit indem nachdem "
        "bevor sodass falls sobald entweder weder nicht".split()
    ),
}


def pseudo_glosses(text: str, locale: str) -> list[str]:
    """The lower-cased lemmas of a sentence's content words in its order (Sign2GPT, Wong et al. 2024).

    Nouns, verbs, adjectives, adverbs, pronouns and numerals: in Chinese those that jieba tags as such; in English and
    German what is no word of a closed class; in other languages every word.
    """
    if locale == "zh_CN":
        return [word.lower() for word, tag in tagged_words(text) if tag[0] in _CONTENT_TAGS or tag == _FOREIGN_TAG]
    closed = _CLOSED_CLASSES.get(locale, frozenset())
    glosses = (gloss for word in words_of(text, locale) for gloss in lemma(word, locale).split())
    return [gloss for gloss in glosses if gloss not in closed]
