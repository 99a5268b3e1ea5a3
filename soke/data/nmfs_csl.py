"""NMFs-CSL (Hu et al. 2021): isolated Chinese signs, many of which differ in nothing but the face."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soke.data.annotations import Table, read_table
from soke.data.base import Listing, TableCorpus
from soke.data.clip import Clip, SkippedClip

SUBSETS = ("normal", "confusing")


@dataclass(frozen=True)
class SignLabel:
    """number: class, from 0; word; subset: confusing signs are told apart by the face alone, normal ones are not."""

    number: int
    word: str
    subset: str


class NMFsCSL(TableCorpus):
    """`nmfs_csl.csv` with the columns name, split, label, word, subset (and signer), and `poses/{name}/*.pkl`.

    The public annotation comes without poses, so this table is ours: one row per clip, label a number from 0, the same
    for every clip of a word; subset normal (457 words) or confusing (610). A clip's text is its word. 30 frames/s [A].
    """

    name = "nmfs_csl"
    language = "CSL"
    fps = 30.0
    columns = ("name", "split", "label", "word", "subset")
    name_column = "name"
    splits = ("train", "test")

    def annotation_paths(self, split: str) -> list[Path]:
        return [self._existing([self.root / "nmfs_csl.csv"])]

    def labels(self, split: str) -> dict[str, SignLabel]:
        """Clip name -> label, for the usable clips of a split."""
        rows = {row["name"]: row for row in self._table().rows if row["split"] == split}
        return {clip.name: _label(rows[clip.name]) for clip in self.clips(split)}

    def subset(self, split: str, subset: str) -> list[Clip]:
        """The clips of a split whose word is of `subset`. Raises ValueError for another name than `SUBSETS`."""
        if subset not in SUBSETS:
            raise ValueError(f"no subset {subset}; the subsets are {', '.join(SUBSETS)}")
        labels = self.labels(split)
        return [clip for clip in self.clips(split) if labels[clip.name].subset == subset]

    def _table(self) -> Table:
        (path,) = self.annotation_paths("train")
        return read_table(path, self.columns)

    def _annotated(self, split: str) -> Listing:
        (path,) = self.annotation_paths(split)
        table = self._table()
        words: dict[str, str] = {}  # label -> its word, over all splits
        listing = self._listed(path, Table(table.columns, [r for r in table.rows if r["split"] == split], {}), split)
        if split == "train":  # the lines that fit no split are reported once
            listing.skipped += [SkippedClip(self.name, f"{path.name} {k}", v) for k, v in table.malformed.items()]
            listing.skipped += [
                SkippedClip(self.name, row["name"], f"its row in {path} has split {row['split']!r}")
                for row in table.rows if row["split"] not in ("train", "val", "test")
            ]
        for row in table.rows:
            words.setdefault(row["label"], row["word"])
        odd = {row["name"] for row in table.rows if words[row["label"]] != row["word"]}
        listing.skipped += [
            SkippedClip(self.name, clip.name, "its label belongs to another word, too")
            for clip in listing.clips if clip.name in odd
        ]
        listing.clips = [clip for clip in listing.clips if clip.name not in odd]
        return listing

    def _clip(self, row: dict[str, str], split: str) -> Clip:
        word = _label(row).word
        frames = self.root / "poses" / row["name"]
        return Clip(row["name"], self.name, split, self.language, word, frames, self.fps, word, row.get("signer"))


def _label(row: dict[str, str]) -> SignLabel:
    if not row["label"].isdecimal():
        raise ValueError(f"label {row['label']!r}, which is no whole number")
    if row["subset"] not in SUBSETS:
        raise ValueError(f"subset {row['subset']!r}, which is none of {', '.join(SUBSETS)}")
    return SignLabel(int(row["label"]), row["word"].strip(), row["subset"])
