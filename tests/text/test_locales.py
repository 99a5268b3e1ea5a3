"""Which locale the texts of a sign language have."""

from __future__ import annotations

import pytest

from soke.errors import UserError
from soke.text.lemmas import lemma
from soke.text.locales import TEXT_LOCALE, canonical, completed
from soke.text.pseudo_glosses import pseudo_glosses
from soke.text.words import joined, level_of, text_tokens, words_of


def test_known_languages_are_a_constant():
    with pytest.raises(TypeError):
        TEXT_LOCALE["BSL"] = "en_XX"


def test_what_is_stated_goes_before_what_is_known():
    stated = {"BSL": "en_XX", "DGS": "fr_XX", "LIBRAS": "pt_XX"}
    assert completed(["CSL", "DGS", "BSL", "CSL"], stated) == {"CSL": "zh_CN", "DGS": "fr_XX", "BSL": "en_XX"}


def test_a_language_without_a_locale_is_refused_with_the_remedy():
    with pytest.raises(UserError, match=r'texts of BSL, LIBRAS are written: state it in `locales`, as \{"BSL": "en_XX"\}'):
        completed(["ASL", "BSL", "LIBRAS"], {})


def test_a_language_has_one_code_whatever_it_is_called():
    assert canonical("GSL") == "DGS" and canonical("DGS") == "DGS" and canonical("BSL") == "BSL"
    assert completed(["GSL", "DGS"], {}) == {"DGS": "de_DE"} == completed(["DGS"], {"GSL": "de_DE"})


# Of each of Prompt2Sign's languages: a sentence, its words, and a word with its lemma.
EIGHT = [
    ("ASL", "The dogs sleep!", "the dogs sleep", "dogs", "dog"),
    ("GSL", "Die Hunde schlafen.", "die hunde schlafen", "schlafen", "schlafen"),
    ("DSGS", "Die Häuser sind groß.", "die häuser sind groß", "sind", "sein"),
    ("LSF-CH", "Les chats mangent l'herbe.", "les chats mangent l herbe", "mangent", "manger"),
    ("LIS-CH", "I gatti mangiano.", "i gatti mangiano", "mangiano", "mangiare"),
    ("LSA", "Los niños comen pan.", "los niños comen pan", "comen", "comer"),
    ("KSL", "비가 옵니다.", "비가 옵니다", "옵니다", "옵니다"),  # no dictionary: words are their own lemmas
    ("TSL", "İyi IŞIK güzel, çocuklar.", "iyi ışık güzel çocuklar", "çocuklar", "çocuk"),
]


@pytest.mark.parametrize(("code", "text", "words", "word", "dictionary_form"), EIGHT, ids=[row[0] for row in EIGHT])
def test_texts_of_the_eight_languages(code, text, words, word, dictionary_form):
    locale = TEXT_LOCALE[canonical(code)]
    assert words_of(text, locale) == words.split()
    assert lemma(word, locale) == dictionary_form
    assert level_of([text]) == "word"  # BLEU counts words, in Korean and Turkish too: what stands between blanks
    tokens = text_tokens(text, "word")
    assert text_tokens(joined(tokens, "word"), "word") == tokens and pseudo_glosses(text, locale)
