"""CSL-Daily (Chinese sign language, Zhou et al. 2021) in the layout that SOKE publishes."""
from __future__ import annotations

from soke.data.corpora.pickled_corpus import PickledCorpus


class CSLDaily(PickledCorpus):
    """`csl_clean.{train,val,test}` and `poses/{name}/*.pkl`, 30 frames/s.

    Where SOKE's `csl_clean` is missing, `csl-daily.{train,dev,test}` is read, a list in wide use with the same fields.
    """

    name = "csl"
    language = "CSL"
    fps = 30.0
    frames_folder = "poses"
    annotation_files = {
        "train": ("csl_clean.train", "csl-daily.train"),
        "val": ("csl_clean.val", "csl-daily.dev"),
        "test": ("csl_clean.test", "csl-daily.test"),
    }
