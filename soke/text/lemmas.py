"""Lemmas: the dictionary forms of words, under which they are looked up."""

from __future__ import annotations

from functools import lru_cache

# Languages whose words simplemma reduces to lemmas, by locale.
_LEMMAS = {"en_XX": "en", "de_DE": "de", "fr_XX": "fr", "it_IT": "it", "es_XX": "es", "tr_TR": "tr"}
_CLITICS = ("'s", "'ll", "'ve", "'re", "'d", "'m")  # English; what they stand for is looked up for no sign
_NEGATION = "n't"
_BEFORE_NEGATION = {"ca": "can", "wo": "will", "sha": "shall", "ai": "be"}  # can't, won't, shan't, ain't


@lru_cache(maxsize=100_000)
def lookup_forms(token: str, locale: str) -> tuple[str, ...]:
    """What a word may be looked up as: its lemma; in German the noun's, which is capitalised, too; English cannot for
    can not and the other way round."""
    lemmas = [lemma(token, locale)]
    if locale == "de_DE":
        lemmas.append(lemma(token.capitalize(), locale))
    if lemmas[0] == "can not":
        lemmas.append("cannot")
    return tuple(dict.fromkeys(lemmas))


def lemma(token: str, locale: str) -> str:
    """The lower-cased lemma of a word; the word itself where its language has no dictionary.

    That of an English contraction is its verb's and not (don't: do not), or its first word's (we'll: we).
    """
    if locale == "en_XX":
        token = without_clitics(token, locale)
        if token == "cannot":
            return "can not"
        if token.endswith(_NEGATION) and token != _NEGATION:
            verb = token.removesuffix(_NEGATION)
            return f"{_dictionary_form(_BEFORE_NEGATION.get(verb, verb), 'en')} not"
    return _dictionary_form(token, _LEMMAS[locale]) if locale in _LEMMAS else token


@lru_cache(maxsize=100_000)
def _dictionary_form(token: str, language: str) -> str:
    import simplemma

    return simplemma.lemmatize(token, lang=language).lower()


def without_clitics(token: str, locale: str) -> str:
    """An English word without 's, 'll and the like at its end; any other word as it is."""
    if locale != "en_XX":
        return token
    while (bare := next((token.removesuffix(c) for c in _CLITICS if token.endswith(c)), "")):
        token = bare
    return token
