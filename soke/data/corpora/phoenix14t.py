"""RWTH-PHOENIX-Weather 2014T (German sign language, Camgoz et al. 2018) in the layout that SOKE publishes."""
from __future__ import annotations

from soke.data.corpora.pickled_corpus import PickledCorpus


class Phoenix14T(PickledCorpus):
    """`phoenix14t.{train,dev,test}` and `{name}/*.pkl`, 25 frames/s; a name begins with its split: `dev/11August-2`."""

    name = "phoenix"
    language = "DGS"
    fps = 25.0
    frames_folder = "."
    annotation_files = {"train": ("phoenix14t.train",), "val": ("phoenix14t.dev",), "test": ("phoenix14t.test",)}
