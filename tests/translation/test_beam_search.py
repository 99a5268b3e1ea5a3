"""Search: against enumeration and a slow loop, one clip and many, the length penalty, the glosses that frames spell."""
from __future__ import annotations

from itertools import groupby, product

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from soke.text.vocabulary import TextVocabulary
from soke.translation.beam_search import beam_search, spelled_glosses
from tests.translation.helpers import random_clips, random_model

LENGTHS = [5, 11, 3, 8]
BEGIN, END = TextVocabulary.BEGIN, TextVocabulary.END


def memory_of(model, clips):
    return model.encode(pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips]))


@torch.no_grad()
def log_probability(model, clip, words: tuple[int, ...], ends: bool) -> float:
    """Of a sentence, without the specials that cannot be said."""
    logits, _ = model.decode(torch.tensor([[BEGIN, *words]]), memory_of(model, [clip]))
    scores = logits[0, :, END:].log_softmax(-1)
    said = [*words, END] if ends else words
    return sum(scores[i, token - END].item() for i, token in enumerate(said))


def all_sentences(words: int, most: int) -> list[tuple[tuple[int, ...], bool]]:
    """Those that end, and at the limit those that go on; the latter have `most` words."""
    vocabulary = range(END + 1, END + 1 + words)
    ended = [(sentence, True) for n in range(most) for sentence in product(vocabulary, repeat=n)]
    return ended + [(sentence, False) for sentence in product(vocabulary, repeat=most)]


def slow_greedy(model, clip, most: int) -> list[int]:
    """Without a cache."""
    said: list[int] = []
    while len(said) < most:
        logits, _ = model.decode(torch.tensor([[BEGIN, *said]]), memory_of(model, [clip]))
        token = int(logits[0, -1, END:].argmax()) + END
        if token == END:
            break
        said.append(token)
    return said


@pytest.mark.parametrize("seed", [3, 4, 7])
def test_a_wide_beam_finds_the_best_of_all_sentences(seed):
    model, clips = random_model(texts=4 + 3, seed=seed), random_clips([5, 8], seed)
    found = beam_search(model, memory_of(model, clips), 40, 3)
    best = set()
    for row, clip in enumerate(clips):
        sentences = {(w, len(w) + ends): log_probability(model, clip, w, ends) for w, ends in all_sentences(3, 3)}
        for alpha in (-1.0, 0.0, 1.0, 5.0):
            power = max(alpha, 0.0)
            scores = {(w, n): score / ((5 + n) / 6) ** power for (w, n), score in sentences.items()}
            words, _ = max(scores, key=scores.get)
            assert found.best(alpha)[row] == list(words)
            top = (found.scores[row] / ((5 + found.lengths[row]) / 6) ** power).max().item()
            assert top == pytest.approx(max(scores.values()), abs=1e-4)
            best.add((row, words))
    assert len(best) > 2  # the penalty made a difference


def test_every_sentence_is_found_once_by_a_beam_that_holds_all():
    model = random_model(texts=4 + 2)
    (clip,) = random_clips([6])
    found = beam_search(model, memory_of(model, [clip]), 15, 3)
    real = found.scores[0].isfinite()
    tokens, lengths, scores = (values[0][real].tolist() for values in (found.tokens, found.lengths, found.scores))
    words = [tuple(token for token in row if token != TextVocabulary.PADDING) for row in tokens]
    said = dict(zip(zip(words, lengths), scores))
    expected = {(w, len(w) + ends): log_probability(model, clip, w, ends) for w, ends in all_sentences(2, 3)}
    assert said.keys() == expected.keys() and len(said) == real.sum()
    for sentence, score in expected.items():
        assert said[sentence] == pytest.approx(score, abs=1e-4)
    assert sum(torch.tensor(list(expected.values())).exp()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_one_beam_is_greedy_whatever_the_penalty(seed):
    model, clips = random_model(texts=12, seed=seed, scale=3.0), random_clips(LENGTHS, seed)
    found = beam_search(model, memory_of(model, clips), 1, 9)
    expected = [slow_greedy(model, clip, 9) for clip in clips]
    assert found.best(0.0) == found.best(4.0) == expected


def test_more_beams_find_what_is_at_least_as_likely():
    gains = []
    for seed in range(4):
        model, clips = random_model(texts=12, seed=seed, scale=3.0), random_clips(LENGTHS, seed)
        memory = memory_of(model, clips)
        greedy, wide = (beam_search(model, memory, beams, 6).scores.amax(1) for beams in (1, 8))
        gains.append(wide - greedy)
    assert torch.cat(gains).min() > -1e-5 and torch.cat(gains).max() > 1e-2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_clip_s_sentences_do_not_depend_on_its_company(beams):
    model, clips = random_model(texts=12, scale=3.0), random_clips(LENGTHS)
    together = beam_search(model, memory_of(model, clips), beams, 7)
    for row, clip in enumerate(clips):
        alone = beam_search(model, memory_of(model, [clip]), beams, 7)
        real = alone.scores[0].isfinite()
        assert torch.equal(real, together.scores[row].isfinite())
        torch.testing.assert_close(alone.scores[0][real], together.scores[row][real], atol=1e-4, rtol=0)
        assert torch.equal(alone.tokens[0][real], together.tokens[row][real])
        assert alone.best(1.0) == [together.best(1.0)[row]]


def test_a_higher_alpha_prefers_longer_sentences():
    found = beam_search(model := random_model(texts=6), memory_of(model, random_clips(LENGTHS)), 6, 8)
    lengths = [[len(words) for words in found.best(alpha)] for alpha in (0.0, 1.0, 5.0)]
    assert all(a <= b <= c for a, b, c in zip(*lengths))
    assert lengths[0] != lengths[2]
    assert found.best(-1.0) == found.best(0.0)


def test_no_special_is_said_and_no_sentence_is_too_long():
    model = random_model(texts=9)
    with torch.no_grad():
        model.text_head.weight[:END] = 100 * model.text_head.weight[:END].sign()
    for words in beam_search(model, memory_of(model, random_clips(LENGTHS)), 2, 5).best(1.0):
        assert len(words) <= 5 and all(word > END for word in words)


def test_frames_spell_their_glosses_without_repetitions_and_blanks():
    frames = [[0, 3, 3, 0, 3, 4, 4], [5, 5, 6, 0, 0, 0, 3], [0] * 7, [4] * 7]
    lengths = [7, 4, 7, 1]
    scores = torch.nn.functional.one_hot(torch.tensor(frames), 7).float().log()
    expected = [[g for g, _ in groupby(row[:length]) if g] for row, length in zip(frames, lengths)]
    assert spelled_glosses(scores, torch.tensor(lengths)) == expected == [[3, 3, 4], [5, 6], [], [4]]
