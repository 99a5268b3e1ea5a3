"""Scores of translations against a reference sentence: BLEU, chrF, ROUGE-L and word error rate, as torchmetrics."""
from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import sacrebleu

from soke.metrics.clips import ClipMetric, Scorecard
from soke.metrics.signature import Signature
from soke.text.spelling import WIDTHS, spelled
from soke.text.words import LEVELS, Level, text_tokens

BLEU_ORDERS = (1, 2, 3, 4)
CHRF_ORDER, CHRF_BETA = 6, 2
ROUGE_BETA = 1.2
ROUGE_EPSILON = 1e-12
INDEL_COST, SUBSTITUTION_COST = 3, 4


class TextMetric(ClipMetric):
    """Base of metrics that compare the tokens of a clip's translation with those of its reference.

    names:   of the columns; all are in percent
    size:    number of statistics that a clip adds
    level:   what the tokens are, see soke.text.words.text_tokens
    judge:   hash of the back-translation model that wrote the hypotheses, for the signature
    library: signature of the library that defines the metric

    Raises ValueError for an unknown level. Subclasses give `_statistics`.
    """

    higher_is_better = True

    def __init__(
        self, names: Sequence[str], size: int, level: Level, judge: str | None, library: str | None = None
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}, it must be one of {', '.join(LEVELS)}")
        signatures = [Signature(name, units=("percent",), level=level, library=library, judge=judge) for name in names]
        super().__init__(signatures, size)
        self.level = level

    def update(self, name: str, hypothesis: str, reference: str) -> None:
        """Adds one clip; letter case, full width and composition of characters do not count, nor blanks in Chinese and
        Japanese. A hypothesis may be empty.

        name:       the clip's name
        hypothesis: the translation that is scored
        reference:  the sentence it should be

        Raises ValueError that names the clip when the reference has no tokens.
        """
        written, wanted = (text_tokens(spelled(t).translate(WIDTHS), self.level) for t in (hypothesis, reference))
        self.update_tokens(name, written, wanted)

    def update_tokens(self, name: str, hypothesis: Sequence[str], reference: Sequence[str]) -> None:
        """Adds one clip whose tokens are given, such as glosses; raises as `update` does."""
        if not reference:
            raise ValueError(f"clip {name} cannot be scored: its reference has no tokens")
        self._add(name, self._statistics(list(hypothesis), list(reference)))

    def _statistics(self, hypothesis: list[str], reference: list[str]) -> np.ndarray:
        """What tokens add, [size]."""
        raise NotImplementedError


class BLEU(TextMetric):
    """Cumulative corpus BLEU-1 to BLEU-4 (Papineni et al. 2002) without smoothing, as in Sign Language Transformers.

    A precision of zero makes the score zero; orders that are longer than every hypothesis are left out. Counted by
    sacreBLEU, on tokens joined by blanks. Columns "BLEU-1" to "BLEU-4".

    level: what the tokens are
    judge: hash of the back-translation model
    """

    def __init__(self, *, level: Level, judge: str | None = None) -> None:
        scorer = sacrebleu.BLEU(
            lowercase=True, force=True, tokenize="none", smooth_method="none", effective_order=True,
            max_ngram_order=max(BLEU_ORDERS),
        )
        names = [f"BLEU-{order}" for order in BLEU_ORDERS]
        super().__init__(names, 2 + 2 * len(BLEU_ORDERS), level, judge, _signature_of(scorer))
        self._scorer = scorer

    def _statistics(self, hypothesis: list[str], reference: list[str]) -> np.ndarray:
        """Lengths of hypothesis and reference, matching n-grams [4], all n-grams of the hypothesis [4]."""
        score = self._scorer.sentence_score(" ".join(hypothesis), [" ".join(reference)])
        return np.array([score.sys_len, score.ref_len, *score.counts, *score.totals])

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        return np.apply_along_axis(_bleu, -1, sums)


class ChrF(TextMetric):
    """Corpus chrF: F-score with beta 2 of character n-grams up to order 6, blanks left out (Popović 2015).

    Precision and recall are means over the orders that hypotheses and references have, as in sacreBLEU. Column "chrF".

    level: what the tokens are; the score is the same at every level
    judge: hash of the back-translation model
    """

    def __init__(self, *, level: Level, judge: str | None = None) -> None:
        scorer = sacrebleu.CHRF(char_order=CHRF_ORDER, word_order=0, beta=CHRF_BETA, lowercase=True)
        super().__init__(["chrF"], 3 * CHRF_ORDER, level, judge, _signature_of(scorer))

    def _statistics(self, hypothesis: list[str], reference: list[str]) -> np.ndarray:
        """[18]: n-grams of the hypothesis, of the reference, and common ones, of order 1, then of order 2, ..."""
        counts = []
        for order in range(1, CHRF_ORDER + 1):
            written, wanted = (
                sacrebleu.extract_char_ngrams(" ".join(tokens), order) for tokens in (hypothesis, reference)
            )
            # Where the reference is too short for an order, sacreBLEU does not count the hypothesis's n-grams either.
            counts.append([written.total() if wanted else 0, wanted.total(), (written & wanted).total()])
        return np.array(counts).ravel()

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        written, wanted, common = np.moveaxis(sums.reshape(*sums.shape[:-1], CHRF_ORDER, 3), -1, 0)  # [..., 6] each
        return 100.0 * chrf(written, wanted, common)[..., None]


def chrf(written: np.ndarray, wanted: np.ndarray, common: np.ndarray) -> np.ndarray:
    """The F-scores [...], 0 to 1, of n-grams [..., 6] of hypotheses, of references, and common ones, by their order."""
    orders = np.maximum(((written > 0) & (wanted > 0)).sum(axis=-1), 1)
    precision = (common / np.maximum(written, 1)).sum(axis=-1) / orders
    recall = (common / np.maximum(wanted, 1)).sum(axis=-1) / orders
    weighted = CHRF_BETA**2 * precision + recall
    return (1 + CHRF_BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1.0)


class RougeL(TextMetric):
    """Mean over clips of the F-score of the longest common subsequence (Lin 2004), in the two variants in use.

    With P = LCS / length of the hypothesis and R = LCS / length of the reference, F = (1 + b²) P R / (R + b² P).
    Column "ROUGE-L" has b = 1.2 (MS-COCO's, Sign Language Transformers); column "ROUGE-L adaptive" has
    b = P / (R + 1e-12), and 1e-12 added to F's denominator (TwoStreamNetwork, SOKE).

    level: what the tokens are
    judge: hash of the back-translation model
    """

    def __init__(self, *, level: Level, judge: str | None = None) -> None:
        super().__init__(["ROUGE-L", "ROUGE-L adaptive"], 2, level, judge)

    def _statistics(self, hypothesis: list[str], reference: list[str]) -> np.ndarray:
        """Both variants' scores in percent."""
        common = _common_length(*_numbered(hypothesis, reference))
        if common == 0:
            return np.zeros(2)
        precision, recall = common / len(hypothesis), common / len(reference)
        betas = np.array([ROUGE_BETA, precision / (recall + ROUGE_EPSILON)])
        epsilons = np.array([0.0, ROUGE_EPSILON])
        return 100.0 * (1 + betas**2) * precision * recall / (recall + betas**2 * precision + epsilons)


class WER(TextMetric):
    """Word error rate over the corpus: substitutions, deletions and insertions per token of the references.

    They are counted on the cheapest alignment where a deletion or an insertion costs 3 and a substitution 4, and not
    on the one with the fewest errors, as in Sign Language Transformers; among equally cheap last steps of an alignment
    a substitution comes before an insertion, and that before a deletion. Column "WER".

    level: what the tokens are; "word" for glosses
    judge: hash of the model that wrote the hypotheses
    """

    higher_is_better = False

    def __init__(self, *, level: Level, judge: str | None = None) -> None:
        super().__init__(["WER"], 2, level, judge)

    def _statistics(self, hypothesis: list[str], reference: list[str]) -> np.ndarray:
        """Errors, and tokens of the reference."""
        _, errors = _cheapest_edits(*_numbered(hypothesis, reference), SUBSTITUTION_COST)
        return np.array([errors, len(reference)])

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        return 100.0 * sums[..., :1] / sums[..., 1:]


class TextScores(Scorecard):
    """Every score of the translations of one system on one corpus; args as of TextMetric."""

    metrics: list[TextMetric]

    def __init__(self, level: Level, judge: str | None = None) -> None:
        super().__init__([metric(level=level, judge=judge) for metric in (BLEU, ChrF, RougeL, WER)])

    def update(self, name: str, hypothesis: str, reference: str) -> None:
        """Scores one clip; one that cannot be scored is noted in `unscored`."""
        try:
            for metric in self.metrics:
                metric.update(name, hypothesis, reference)
        except ValueError as error:
            self.unscored[name] = str(error)


def _signature_of(scorer: sacrebleu.BLEU | sacrebleu.CHRF) -> str:
    """sacreBLEU's own signature, with its version."""
    scorer.sentence_score("", [""])  # only a scorer that has scored knows its number of references
    return f"sacrebleu {scorer.get_signature()}"


def _bleu(sums: np.ndarray) -> list[float]:
    """BLEU-1 to BLEU-4 in percent from sums [10] as of BLEU._statistics."""
    hypothesis, reference, *counts = (int(value) for value in sums)
    matching, total = counts[: len(BLEU_ORDERS)], counts[len(BLEU_ORDERS) :]
    return [
        sacrebleu.BLEU.compute_bleu(
            matching[:order], total[:order], hypothesis, reference, effective_order=True, max_ngram_order=order
        ).score
        for order in BLEU_ORDERS
    ]


def _numbered(hypothesis: list[str], reference: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays [H] and [R] of int64, equal where the tokens are equal."""
    numbers = {token: number for number, token in enumerate({*hypothesis, *reference})}
    h, r = (np.array([numbers[token] for token in tokens], dtype=np.int64) for tokens in (hypothesis, reference))
    return h, r


def _common_length(hypothesis: np.ndarray, reference: np.ndarray) -> int:
    """Length of the longest common subsequence of [H] and [R]."""
    # A substitution that is no cheaper than a deletion and an insertion leaves only what is not common to be paid for.
    cost, _ = _cheapest_edits(hypothesis, reference, 2 * INDEL_COST)
    return (hypothesis.size + reference.size - cost // INDEL_COST) // 2


@numba.njit(cache=True)
def _cheapest_edits(hypothesis: np.ndarray, reference: np.ndarray, substitution: int) -> tuple[int, int]:
    """Cost and number of edits on the cheapest alignment of [H] with [R]; ties as told in WER."""
    columns = hypothesis.size + 1
    costs = INDEL_COST * np.arange(columns)  # of the reference's tokens so far with each beginning of the hypothesis
    edits = np.arange(columns)
    for token in reference:
        diagonal_cost, diagonal_edits = costs[0], edits[0]
        costs[0] += INDEL_COST
        edits[0] += 1
        for j in range(1, columns):
            if token == hypothesis[j - 1]:
                cost, count = diagonal_cost, diagonal_edits
            else:
                cost, count = diagonal_cost + substitution, diagonal_edits + 1
                if costs[j - 1] + INDEL_COST < cost:
                    cost, count = costs[j - 1] + INDEL_COST, edits[j - 1] + 1
                if costs[j] + INDEL_COST < cost:
                    cost, count = costs[j] + INDEL_COST, edits[j] + 1
            diagonal_cost, diagonal_edits = costs[j], edits[j]
            costs[j], edits[j] = cost, count
    return costs[-1], edits[-1]
