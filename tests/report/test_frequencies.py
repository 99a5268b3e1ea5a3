"""Frequencies of codes: the numbers are those that were counted, and the picture shows a panel per stream."""

from __future__ import annotations

import json

import numpy as np
import torch
from PIL import Image

from soke.report.frequencies import frequency_files, plot_frequencies


def test_files_hold_the_counts_of_every_corpus(tmp_path):
    counts = {"csl": {"body": torch.tensor([1, 0, 3])}, "all corpora": {"body": torch.tensor([2, 0, 9])}}
    files = frequency_files(counts)
    for name, write in files.items():
        write(tmp_path / name)
    assert json.loads((tmp_path / "token_counts.json").read_text()) == {
        "csl": {"body": [1, 0, 3]}, "all corpora": {"body": [2, 0, 9]}
    }
    assert (tmp_path / "token_frequencies.png").stat().st_size > 5000


def test_pictures_of_two_tokenizers_have_one_scale(tmp_path):
    """Even use and one spike fill different shares of the panel."""
    filled = []
    for counts in ([5] * 64, [320] + [0] * 63):
        plot_frequencies({"face": counts}, "t", tmp_path / "p.png")
        picture = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).astype(int)
        filled.append(int((picture[..., 2] - picture[..., 0] > 60).sum()))  # the bars are blue
        shape = picture.shape
    assert filled[0] > 10 * filled[1] > 0 and shape[1] > 900


def test_codes_of_no_clip_are_drawn_as_unused(tmp_path):
    plot_frequencies({"face": [0, 0], "body": [1, 1]}, "t", tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()
