"""Text metrics: hand-computed examples at every level, and the same numbers as sacreBLEU and slow references."""
from __future__ import annotations

import random
from functools import cache
from math import exp

import numpy as np
import pytest
import sacrebleu

from soke.metrics.clips import ClipMetric
from soke.metrics.text_scores import BLEU, WER, ChrF, RougeL

METRICS = [BLEU, ChrF, RougeL, WER]
LEVELS = ["word", "char", "jieba"]

CAT = ("the cat mat", "The cat sat on the mat")  # tokens 3 and 6, in common: the cat mat
# Letters 9 and 17. In common of order 1: all; 2: th he ec ca at at ma; 3: the hec eca cat mat; 4: thec heca ecat;
# 5: theca hecat; 6: thecat.
CAT_CHRF = (
    (9 / 9 + 7 / 8 + 5 / 7 + 3 / 6 + 2 / 5 + 1 / 4) / 6,
    (9 / 17 + 7 / 16 + 5 / 15 + 3 / 14 + 2 / 13 + 1 / 12) / 6,
)
RAIN = ("Es regnet nicht", "es regnet")  # tokens 3 and 2; letters 13 and 8, of which the reference is the beginning
WEATHER = ("今天天气不好", "今天天气很好")  # jieba: 今天天气 不好, and 今天天气 很 好


def f_score(precision: float, recall: float, beta: float) -> float:
    """In percent."""
    return 100 * (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def scored(kind: type[ClipMetric], level: str, *pairs: tuple[str, str]) -> ClipMetric:
    """A metric that has seen pairs of hypothesis and reference as clips "0", "1", ..."""
    metric = kind(level=level)
    for index, pair in enumerate(pairs):
        metric.update(str(index), *pair)
    return metric


def values(metric: ClipMetric) -> list[float]:
    """Of all columns, in percent."""
    return [score.values["percent"] for score in metric.scores()]


def random_pairs(count: int, seed: int, longest: int = 12) -> list[tuple[str, str]]:
    """References of few different words, and hypotheses in which some are left out or others; some are empty."""
    rng = random.Random(seed)
    words = ["es", "regnet", "im", "süden", "a", "."]
    pairs = []
    for _ in range(count):
        reference = rng.choices(words, k=rng.randint(1, longest))
        hypothesis = [rng.choice([word] * 6 + words) for word in reference if rng.random() < 0.9]
        pairs.append((" ".join(hypothesis), " ".join(reference)))
    return [*pairs, ("", "regnet es")]


@pytest.mark.parametrize(
    ("level", "pair", "expected"),
    [
        # 3 of 3 words, 1 of 2 pairs (the cat), 0 of 1 triples; brevity penalty exp(1 - 6/3)
        ("word", CAT, [exp(-1), exp(-1) * (1 / 2) ** (1 / 2), 0, 0]),
        ("jieba", CAT, [exp(-1), exp(-1) * (1 / 2) ** (1 / 2), 0, 0]),
        # n-grams in common as for CAT_CHRF; brevity penalty exp(1 - 17/9)
        (
            "char",
            CAT,
            [
                exp(-8 / 9),
                exp(-8 / 9) * (7 / 8) ** (1 / 2),
                exp(-8 / 9) * (7 / 8 * 5 / 7) ** (1 / 3),
                exp(-8 / 9) * (7 / 8 * 5 / 7 * 3 / 6) ** (1 / 4),
            ],
        ),
        # 2 of 3 words, 1 of 2 pairs, 0 of 1 triples; longer than the reference
        ("word", RAIN, [2 / 3, (2 / 3 * 1 / 2) ** (1 / 2), 0, 0]),
        ("jieba", RAIN, [2 / 3, (2 / 3 * 1 / 2) ** (1 / 2), 0, 0]),
        # g r in common with grau: 2 of 4 letters, 1 of 3 pairs, 0 of 2 triples
        ("char", ("Grün", "grau"), [2 / 4, (2 / 4 * 1 / 3) ** (1 / 2), 0, 0]),
        # one segment each
        ("word", WEATHER, [0, 0, 0, 0]),
        # 5 of 6, 3 of 5 (今天 天天 天气), 2 of 4 (今天天 天天气), 1 of 3 (今天天气)
        (
            "char",
            WEATHER,
            [
                5 / 6,
                (5 / 6 * 3 / 5) ** (1 / 2),
                (5 / 6 * 3 / 5 * 2 / 4) ** (1 / 3),
                (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4),
            ],
        ),
        # 1 of 2 segments, 0 of 1 pairs; brevity penalty exp(1 - 3/2)
        ("jieba", WEATHER, [exp(-1 / 2) / 2, 0, 0, 0]),
    ],
)
def test_bleu_by_hand(level: str, pair: tuple[str, str], expected: list[float]) -> None:
    assert values(scored(BLEU, level, pair)) == pytest.approx([100 * value for value in expected])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("pair", "precision", "recall"),
    [
        (CAT, *CAT_CHRF),
        # the whole reference is found: 9 - n of 14 - n n-grams of order n
        (RAIN, (8 / 13 + 7 / 12 + 6 / 11 + 5 / 10 + 4 / 9 + 3 / 8) / 6, 1),
        # orders 1 to 4 only
        (("Grün", "grau"), (2 / 4 + 1 / 3 + 0 + 0) / 4, (2 / 4 + 1 / 3 + 0 + 0) / 4),
        (WEATHER, (5 / 6 + 3 / 5 + 2 / 4 + 1 / 3 + 0 + 0) / 6, (5 / 6 + 3 / 5 + 2 / 4 + 1 / 3 + 0 + 0) / 6),
    ],
)
def test_chrf_by_hand_at_every_level(level: str, pair: tuple[str, str], precision: float, recall: float) -> None:
    assert values(scored(ChrF, level, pair)) == pytest.approx([f_score(precision, recall, 2)])


@pytest.mark.parametrize(
    ("level", "pair", "precision", "recall"),
    [
        ("word", CAT, 3 / 3, 3 / 6),
        ("jieba", CAT, 3 / 3, 3 / 6),
        ("char", CAT, 9 / 9, 9 / 17),
        ("word", RAIN, 2 / 3, 2 / 2),
        ("jieba", RAIN, 2 / 3, 2 / 2),
        ("char", RAIN, 8 / 13, 8 / 8),
        ("char", ("Grün", "grau"), 2 / 4, 2 / 4),
        ("char", WEATHER, 5 / 6, 5 / 6),
        ("jieba", WEATHER, 1 / 2, 1 / 3),
    ],
)
def test_rouge_by_hand(level: str, pair: tuple[str, str], precision: float, recall: float) -> None:
    expected = [f_score(precision, recall, 1.2), f_score(precision, recall, precision / recall)]
    assert values(scored(RougeL, level, pair)) == pytest.approx(expected)


def test_both_rouge_variants_in_numbers() -> None:
    # P = 1, R = 1/2. b = 1.2: 2.44 / 2 / (1/2 + 1.44) = 1.22 / 1.94. b = 2: 5 / 2 / (1/2 + 4) = 5/9.
    assert values(scored(RougeL, "word", CAT)) == pytest.approx([122 / 1.94, 500 / 9])


def test_rouge_is_a_mean_over_clips() -> None:
    expected = [(122 / 1.94 + 100) / 2, (500 / 9 + 100) / 2]
    assert values(scored(RougeL, "word", CAT, ("a", "a"))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("level", "pair", "errors", "tokens"),
    [
        ("word", CAT, 3, 6),  # sat on the deleted
        ("jieba", CAT, 3, 6),
        ("char", CAT, 8, 17),
        ("word", RAIN, 1, 2),  # nicht inserted
        ("jieba", RAIN, 1, 2),
        ("char", RAIN, 5, 8),
        ("char", ("Grün", "grau"), 2, 4),  # ü n for a u
        ("word", WEATHER, 1, 1),
        ("char", WEATHER, 1, 6),  # 不 for 很
        ("jieba", WEATHER, 2, 3),  # 不好 for 好, 很 deleted
        # Six errors that cost 18 (p q r deleted, s t u inserted), and not the five substitutions, which cost 20
        ("word", ("a b s t u", "p q r a b"), 6, 5),
        # Three substitutions and not two deletions and two insertions, both of which cost 12
        ("word", ("a z w", "x y a"), 3, 3),
    ],
)
def test_wer_by_hand(level: str, pair: tuple[str, str], errors: int, tokens: int) -> None:
    assert values(scored(WER, level, pair)) == pytest.approx([100 * errors / tokens])


def test_wer_is_a_ratio_over_the_corpus() -> None:
    assert values(scored(WER, "word", ("MORGEN REGEN", "MORGEN"), ("a", "a b c d"))) == [100 * 4 / 5]


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sentence", ["Am Tag regnet es im Süden .", "Good morning", "我今天很高兴。", "a"])
def test_identical_sentences(kind: type[ClipMetric], level: str, sentence: str) -> None:
    alone = values(scored(kind, level, (sentence, sentence.upper())))
    assert alone == pytest.approx([0 if kind is WER else 100] * len(alone))


@pytest.mark.parametrize("seed", range(3))
def test_bleu_is_sacrebleus_corpus_bleu(seed: int) -> None:
    pairs = random_pairs(30, seed)
    hypotheses, references = zip(*pairs)
    expected = [
        sacrebleu.BLEU(
            tokenize="none", smooth_method="none", force=True, effective_order=True, max_ngram_order=order
        ).corpus_score(hypotheses, [references])
        for order in (1, 2, 3, 4)
    ]
    assert values(scored(BLEU, "word", *pairs)) == pytest.approx([score.score for score in expected], rel=1e-12)
    assert 0 < expected[3].score == sacrebleu.corpus_bleu(
        hypotheses, [references], tokenize="none", smooth_method="none", force=True, use_effective_order=True
    ).score


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("longest", [2, 12])  # sentences too short for all orders, and others
def test_chrf_is_sacrebleus_corpus_chrf(seed: int, longest: int) -> None:
    pairs = random_pairs(30, seed, longest)
    hypotheses, references = zip(*pairs)
    for selected in (slice(None), slice(1)):
        expected = sacrebleu.corpus_chrf(hypotheses[selected], [references[selected]]).score
        assert values(scored(ChrF, "word", *pairs[selected])) == pytest.approx([expected], rel=1e-12)


def test_chrf_does_not_count_ngrams_that_the_reference_is_too_short_for() -> None:
    pairs = [("aaaa", "a"), ("ab", "ab")]
    expected = sacrebleu.corpus_chrf([h for h, _ in pairs], [[r for _, r in pairs]]).score
    # Order 1: 3 of 6 and 3 of 3; order 2: 1 of 1, the pairs of aaaa left out
    assert expected == pytest.approx(f_score((3 / 6 + 1) / 2, 1, 2))
    assert values(scored(ChrF, "word", *pairs)) == pytest.approx([expected])


def slow_common_length(a: list[str], b: list[str]) -> int:
    @cache
    def length(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return 0
        if a[i - 1] == b[j - 1]:
            return length(i - 1, j - 1) + 1
        return max(length(i - 1, j), length(i, j - 1))

    return length(len(a), len(b))


def slow_errors(hypothesis: list[str], reference: list[str]) -> int:
    """Cheapest last step first, of equally cheap ones: match or substitution, insertion, deletion."""

    @cache
    def best(h: int, r: int) -> tuple[int, int]:
        if h == r == 0:
            return 0, 0
        steps = []
        if h and r:
            cost, errors = best(h - 1, r - 1)
            wrong = hypothesis[h - 1] != reference[r - 1]
            steps.append((cost + 4 * wrong, errors + wrong))
        if h:
            steps.append((best(h - 1, r)[0] + 3, best(h - 1, r)[1] + 1))
        if r:
            steps.append((best(h, r - 1)[0] + 3, best(h, r - 1)[1] + 1))
        return min(steps, key=lambda step: step[0])

    return best(len(hypothesis), len(reference))[1]


def test_rouge_against_the_slow_reference() -> None:
    pairs = random_pairs(40, 5)
    per_clip = scored(RougeL, "word", *pairs).per_clip()
    for index, (hypothesis, reference) in enumerate(pairs):
        written, wanted = hypothesis.split(), reference.split()
        common = slow_common_length(written, wanted)
        expected = [0.0, 0.0]
        if common:
            precision, recall = common / len(written), common / len(wanted)
            expected = [f_score(precision, recall, 1.2), f_score(precision, recall, precision / recall)]
        assert per_clip[str(index)] == pytest.approx(expected)


def test_wer_against_the_slow_reference() -> None:
    pairs = random_pairs(40, 6)
    per_clip = scored(WER, "word", *pairs).per_clip()
    errors = [slow_errors(hypothesis.split(), reference.split()) for hypothesis, reference in pairs]
    lengths = [len(reference.split()) for _, reference in pairs]
    assert [per_clip[str(index)][0] for index in range(len(pairs))] == pytest.approx(100 * np.divide(errors, lengths))
    assert values(scored(WER, "word", *pairs)) == pytest.approx([100 * sum(errors) / sum(lengths)])


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("level", LEVELS)
def test_an_empty_hypothesis_is_scored(kind: type[ClipMetric], level: str) -> None:
    worst = 100 if kind is WER else 0
    alone = values(scored(kind, level, (" ", "今天很好 .")))
    assert alone == [worst] * len(alone)
    both = values(scored(kind, level, ("", "今天很好"), ("今天很好", "今天很好")))
    assert all(0 < value < 100 for value in both)


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("level", LEVELS)
def test_an_empty_reference_names_the_clip_and_leaves_no_trace(kind: type[ClipMetric], level: str) -> None:
    metric = kind(level=level)
    with pytest.raises(ValueError, match="clip S000020 cannot be scored: its reference has no tokens"):
        metric.update("S000020", "a", " \t")
    assert metric.per_clip() == {}


@pytest.mark.parametrize("kind", METRICS)
def test_an_unknown_level(kind: type[ClipMetric]) -> None:
    with pytest.raises(ValueError, match="level is 'bpe', it must be one of word, char, jieba"):
        kind(level="bpe")


@pytest.mark.parametrize("kind", METRICS)
def test_order_and_repetition_of_clips_do_not_matter(kind: type[ClipMetric]) -> None:
    pairs = random_pairs(11, 7)
    expected = scored(kind, "word", *pairs).scores()
    metric = kind(level="word")
    for index in [3, *reversed(range(12)), 0]:
        metric.update(str(index), *pairs[index])
    assert metric.scores() == expected
    assert [score.clips for score in expected] == [12] * len(expected)


@pytest.mark.parametrize("kind", METRICS)
def test_many_sums_at_once_are_as_one_by_one(kind: type[ClipMetric]) -> None:
    metric = scored(kind, "word", *random_pairs(5, 8))
    rows = metric._all()
    together = metric._values(rows.reshape(2, 3, -1), 1)
    assert together.shape == (2, 3, len(metric.signatures))
    assert np.array_equal(together.reshape(6, -1), [metric._values(row, 1) for row in rows])


@pytest.mark.parametrize("kind", METRICS)
def test_intervals_hold_the_values(kind: type[ClipMetric]) -> None:
    for score in scored(kind, "word", *random_pairs(40, 9)).scores():
        low, high = score.intervals["percent"]
        assert low < score.values["percent"] < high


@pytest.mark.parametrize(
    ("level", "hypothesis", "reference"),
    [
        ("jieba", "他今年四岁。", "他 今 年 四 岁 。"),
        ("char", "他今年四岁。", "他 今 年 四 岁 。"),
        ("jieba", "你好,小张!今年四岁?", "你好，小张！今年四岁？"),
        ("word", "u\u0308ber nacht regnet es .", "\u00fcber nacht regnet es ."),
        ("word", "you can't , he said", "You can\u2019t,he said"),
    ],
)
def test_a_perfect_translation_is_perfect_however_it_is_spelled(level: str, hypothesis: str, reference: str) -> None:
    for kind, best in ((BLEU, 100), (ChrF, 100), (RougeL, 100), (WER, 0)):
        found = values(scored(kind, level, (hypothesis, reference)))
        assert found == pytest.approx([best] * len(found))


def test_tokens_that_are_given_are_counted_as_they_are() -> None:
    metric = WER(level="word")
    metric.update_tokens("a", ["S+H", "IX:", "REGEN"], ["S+H", "IX:", "SCHNEE", "REGEN"])
    assert values(metric) == pytest.approx([100 / 4])
    with pytest.raises(ValueError, match="clip b cannot be scored"):
        metric.update_tokens("b", ["S+H"], [])


def test_signatures_name_level_judge_and_library() -> None:
    version = f"version:{sacrebleu.__version__}|v:1"
    lines = {kind: [str(s) for s in kind(level="char", judge="ab12").signatures] for kind in METRICS}
    assert lines == {
        BLEU: [
            f"BLEU-{order}|units:percent|level:char|judge:ab12|"
            f"lib:sacrebleu nrefs:1|case:lc|eff:yes|tok:none|smooth:none|{version}"
            for order in (1, 2, 3, 4)
        ],
        ChrF: [
            "chrF|units:percent|level:char|judge:ab12|"
            f"lib:sacrebleu nrefs:1|case:lc|eff:yes|nc:6|nw:0|space:no|{version}"
        ],
        RougeL: [
            "ROUGE-L|units:percent|level:char|judge:ab12|v:1",
            "ROUGE-L adaptive|units:percent|level:char|judge:ab12|v:1",
        ],
        WER: ["WER|units:percent|level:char|judge:ab12|v:1"],
    }


def test_columns_and_direction() -> None:
    assert list(scored(BLEU, "word", CAT).compute()) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    assert {kind: kind.higher_is_better for kind in METRICS} == {BLEU: True, ChrF: True, RougeL: True, WER: False}
