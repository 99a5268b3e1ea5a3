"""Vocabularies: their order, their specials, and tokens that are in none of them; what is learnt of a clip."""
from __future__ import annotations

import json

import pytest

from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.translation.targets import Targets
from tests.translation.helpers import sample


def test_frequent_tokens_come_first_and_equals_alphabetically():
    vocabulary = TextVocabulary.of([["rain", "sun", "snow"], ["snow", "rain", "zoo"], ["snow", "ant"]])
    assert vocabulary.tokens == ("snow", "rain", "ant", "sun", "zoo")
    assert vocabulary.ids(["snow", "zoo"]) == [4, 8]
    assert len(vocabulary) == 9


@pytest.mark.parametrize("kind", [TextVocabulary, GlossVocabulary])
def test_ids_and_tokens_are_inverse(kind):
    vocabulary = kind.of([["b", "a"], ["c"]])
    tokens = ["c", "a", "b", "a"]
    assert vocabulary.tokens_of(vocabulary.ids(tokens)) == tokens
    assert vocabulary.ids([]) == []
    assert kind(vocabulary.tokens).ids(tokens) == vocabulary.ids(tokens)


def test_specials_are_where_their_names_say():
    text, gloss = TextVocabulary.of([["a"]]), GlossVocabulary.of([["A"]])
    assert text.tokens_of([text.UNKNOWN, text.PADDING, text.BEGIN, text.END]) == ["<unk>", "<pad>", "<s>", "</s>"]
    assert gloss.tokens_of([gloss.BLANK, gloss.UNKNOWN, gloss.PADDING]) == ["<si>", "<unk>", "<pad>"]
    assert gloss.BLANK == 0


def test_unknown_tokens_and_words_written_like_specials():
    vocabulary = TextVocabulary.of([["a", "</s>", "<pad>"]])
    assert vocabulary.tokens == ("a",)
    assert vocabulary.ids(["b", "</s>", "a"]) == [vocabulary.UNKNOWN, vocabulary.UNKNOWN, 4]


@pytest.mark.parametrize("tokens", [["a", "a"], ["<s>"]])
def test_tokens_that_could_not_be_told_apart_are_refused(tokens):
    with pytest.raises(ValueError, match="differ"):
        TextVocabulary(tokens)


def test_glosses_keep_their_case_and_texts_do_not():
    clip = sample("one", "Rain Tomorrow", "RAIN  Morgen").clip
    targets = Targets.of([clip], "en_XX", "word", pseudo=True)  # the corpus's own glosses are preferred
    assert targets.tokens_of(clip) == ["rain", "tomorrow"]
    assert targets.glosses_of(clip) == ["RAIN", "Morgen"]


def test_clips_without_glosses():
    clip = sample("one", "it is raining").clip
    without, pseudo = Targets.of([clip], "en_XX", "word", pseudo=False), Targets.of([clip], "en_XX", "word", pseudo=True)
    assert without.glosses is None and without.glosses_of(clip) is None
    assert pseudo.glosses_of(clip) == ["it", "rain"]
    mixed = Targets.of([clip, sample("two", "sun", "SUN").clip], "en_XX", "word", pseudo=False)
    assert mixed.glosses.tokens == ("SUN",) and mixed.glosses_of(clip) is None


@pytest.mark.parametrize("pseudo", [False, True])
def test_targets_survive_json(pseudo):
    targets = Targets.of([sample("one", "it is raining").clip], "en_XX", "char", pseudo)
    again = Targets.from_dict(json.loads(json.dumps(targets.to_dict())), "en_XX")
    assert again.to_dict() == targets.to_dict()
    assert again.texts.ids("rain") == targets.texts.ids("rain")
