"""How often each code of a tokenizer occurs, as numbers and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, Mapping

import numpy as np
import torch

from soke.run import processes

_LOWEST, _HIGHEST = 0.01, 500  # of the picture's scale, in uniform shares: the same in every picture


def frequency_files(counts: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, Callable[[Path], None]]:
    """Name of each file -> what writes it: token_counts.json, {corpus: {stream: counts}}, and token_frequencies.png, of
    the last corpus. Every process must call it.

    counts: corpus -> stream -> [N] of this process
    """
    everywhere = {
        corpus: {stream: processes.sum_over_all(own.clone()).tolist() for stream, own in of_corpus.items()}
        for corpus, of_corpus in counts.items()
    }
    corpus, shown = list(everywhere.items())[-1]
    return {
        "token_counts.json": lambda path: path.write_text(json.dumps(everywhere) + "\n", encoding="utf-8") and None,
        "token_frequencies.png": lambda path: plot_frequencies(shown, corpus, path),
    }


def plot_frequencies(counts: Mapping[str, list[int]], title: str, path: Path) -> None:
    """A panel per stream: its codes, the most frequent first, each with its share of the tokens in relation to that of
    a codebook whose codes are equally frequent (1). The scales are the same in all pictures of codebooks of one size.

    counts: stream -> how often each code occurs
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 1.9 * len(counts)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"token frequencies, {title}")
    for axes, (stream, of_stream) in zip(figure.subplots(len(counts), squeeze=False)[:, 0], counts.items()):
        sorted_counts = np.sort(np.array(of_stream, dtype=float))[::-1]
        shares = sorted_counts / max(sorted_counts.mean(), 1e-12)
        used, size = int((shares > 0).sum()), len(shares)
        probability = shares[shares > 0] / size
        perplexity = np.exp(-(probability * np.log(probability)).sum())
        axes.bar(np.arange(size), np.maximum(shares, _LOWEST) - _LOWEST, 1.0, bottom=_LOWEST)
        axes.axhline(1.0, color="black", linewidth=0.8)
        axes.set(yscale="log", ylim=(_LOWEST, _HIGHEST), xlim=(-0.5, size - 0.5), ylabel="of a uniform share")
        axes.set_title(
            f"{stream}: {used} of {size} codes in use, perplexity {perplexity:.1f}, SD of the counts "
            f"{sorted_counts.std():.1f} ({shares.std():.2f} of their mean)", fontsize=9,
        )
    axes.set_xlabel("codes, the most frequent first")
    figure.savefig(path, dpi=110)
