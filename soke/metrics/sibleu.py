"""SiBLEU: which codes of the reference a motion has, whoever made it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from soke.metrics.clips import ClipMetric
from soke.metrics.signature import Signature

HAND = "hand"


class SiBLEU(ClipMetric):
    """Clipped unigram precision of a part's codes times BLEU's brevity penalty, in percent (MaDiS, evaluation): of all
    clips together, as BLEU counts. Prediction and reference are both motions that the same tokenizer encodes. A code is
    counted wherever it stands, as often as the reference has it; codes of a part's streams are different codes.
    Columns: the parts, and hand, the mean of both hands.

    parts:      name -> number of codes of each of its streams, in the codes' order
    hands:      the parts that are one hand each
    tokenizer:  its hash
    conditions: fps, layout and statistics of the signature
    """

    higher_is_better = True

    def __init__(
        self, parts: Mapping[str, Sequence[int]], hands: Sequence[str], tokenizer: str,
        **conditions: float | str | None,
    ) -> None:
        columns = [*parts, *[HAND] * (len(hands) == 2 and HAND not in parts)]
        signatures = [
            Signature("SiBLEU", column, units=("percent",), tokenizer=tokenizer, **conditions) for column in columns
        ]
        super().__init__(signatures, 3 * len(parts))
        self.sizes = [size for of_part in parts.values() for size in of_part]
        self._part_of = np.repeat(np.arange(len(parts)), [sum(of_part) for of_part in parts.values()])  # of each code
        means = [[part in hands for part in parts]] if len(columns) > len(parts) else []
        self._columns = np.concatenate([np.eye(len(parts)), np.array(means).reshape(-1, len(parts)) / 2])  # [C, P]

    def update(self, name: str, made: Tensor, given: Tensor) -> None:
        """Adds one clip: codes [K1, S] of its motion and [K2, S] of the reference.

        Raises ValueError that names the clip for a reference without codes, and for codes that there are not.
        """
        if not len(given):
            raise ValueError(f"clip {name} cannot be scored: its reference is shorter than a step of the tokenizer")
        counts = [self._counted(name, codes) for codes in (made, given)]
        by_part = [
            np.bincount(self._part_of, of, len(self._columns[0])) for of in (np.minimum(*counts), *counts)
        ]
        self._add(name, np.concatenate(by_part))

    def _counted(self, name: str, codes: Tensor) -> np.ndarray:
        """How often each code of each stream occurs, those of all streams in one row."""
        values, sizes = codes.cpu().numpy(), np.array(self.sizes)
        if values.shape != (len(values), len(sizes)) or (values < 0).any() or (values >= sizes).any():
            raise ValueError(f"clip {name} cannot be scored: its codes are none of {len(sizes)} streams of {self.sizes}")
        return np.bincount((values + np.cumsum(sizes) - sizes).ravel(), minlength=sizes.sum())

    def _values(self, sums: np.ndarray, clips: int) -> np.ndarray:
        common, made, given = np.split(sums, 3, axis=-1)
        shorter = np.exp(np.minimum(0, 1 - given / np.maximum(made, 1)))
        return 100 * (common / np.maximum(made, 1) * shorter) @ self._columns.T
