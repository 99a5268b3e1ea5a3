"""NMFs-CSL (Hu et al. 2021): isolated Chinese signs, many of which differ in nothing but the face."""
from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from soke.data.clip import Clip, SkippedClip
from soke.data.corpora.annotations import Table, read_table
from soke.data.corpora.base import Listing, TableCorpus
from soke.data.corpora.nmfs_csl_lists import LIST_FILES, read_list
from soke.data.labels import SUBSETS, SignLabel
from soke.errors import UserError

OWN_TABLE = "nmfs_csl.csv"


class NMFsCSL(TableCorpus):
    """The public lists, or `nmfs_csl.csv` where there is one; frames are in `poses/{name}/*.pkl`.

    Public: `traintestlist/trainlist01.txt` and `testlist01.txt`, or the csv files that are derived from them, see
    `read_list`; a name is <class>/<clip>, and a clip's text the number of its class, for the lists have no words.
    Our own table has the columns name, split, label, word, subset (and signer, group): one row per clip, label a number
    from 0, the same for every clip of a word; subset normal (457 words) or confusing (610); group the same for signs
    that share their hands. A clip's text is then its word. 30 frames/s.

    A clip that is trained on is not tested on: names of the test split are left out of the training split.
    """

    name = "nmfs_csl"
    language = "CSL"
    fps = 30.0
    columns = ("name", "split", "label", "word", "subset")
    name_column = "name"
    splits = ("train", "test")

    def annotation_paths(self, split: str) -> list[Path]:
        own = self.root / OWN_TABLE
        if own.is_file():
            return [own]
        if split not in LIST_FILES:  # the public lists have no such clips
            return []
        return [self._existing([*(self.root / name for name in LIST_FILES[split]), own])]

    def labels(self, split: str) -> dict[str, SignLabel]:
        """Clip name -> label, for the usable clips of a split."""
        found: dict[str, SignLabel] = {}
        for row in self._table(split).rows:
            with suppress(ValueError):  # of one name, the first row that makes sense is the clip's
                if row["split"] == split and (label := _label(row)).word:
                    found.setdefault(row["name"], label)
        return {clip.name: found[clip.name] for clip in self.clips(split)}

    def subset(self, split: str, subset: str) -> list[Clip]:
        """The clips of a split whose word is of `subset`. Raises ValueError for another name than `SUBSETS`."""
        if subset not in SUBSETS:
            raise ValueError(f"no subset {subset}; the subsets are {', '.join(SUBSETS)}")
        labels = self.labels(split)
        return [clip for clip in self.clips(split) if labels[clip.name].subset == subset]

    def _table(self, split: str) -> Table:
        """Of all splits where the table is our own, of one where it is public."""
        paths = self.annotation_paths(split)
        if not paths:
            return Table([], [], {})
        (path,) = paths
        return read_table(path, self.columns) if path.name == OWN_TABLE else read_list(path, split)

    def _annotated(self, split: str) -> Listing:
        table, listing = self._table(split), Listing()
        for path in self.annotation_paths(split):
            own = Table(table.columns, [row for row in table.rows if row["split"] == split], {})
            listing = self._listed(path, own, split)
            if split == "train" or path.name != OWN_TABLE:  # lines that fit no split of our table are reported once
                listing.skipped += [SkippedClip(self.name, f"{path.name} {k}", v) for k, v in table.malformed.items()]
            if split == "train":
                listing.skipped += [
                    SkippedClip(self.name, row["name"], f"its row in {path} has split {row['split']!r}")
                    for row in table.rows if row["split"] not in ("train", "val", "test")
                ]
        self._leave_out(listing, self._odd(table), "its label belongs to another word, subset or group, too")
        if split == "train":
            with suppress(UserError):  # there need not be a list of the test split
                tested = {row["name"] for row in self._table("test").rows if row["split"] == "test"}
                self._leave_out(listing, tested, "the test split has it, too")
        return listing

    def _leave_out(self, listing: Listing, names: set[str], reason: str) -> None:
        listing.skipped += [SkippedClip(self.name, c.name, reason) for c in listing.clips if c.name in names]
        listing.clips = [clip for clip in listing.clips if clip.name not in names]

    @staticmethod
    def _odd(table: Table) -> set[str]:
        """Names of the clips whose label stands for another word, subset or group in an earlier row."""
        first: dict[str, tuple[str, ...]] = {}
        odd = set()
        for row in table.rows:
            meaning = tuple(row.get(column, "") for column in ("word", "subset", "group"))
            if first.setdefault(row["label"].lstrip("0"), meaning) != meaning:
                odd.add(row["name"])
        return odd

    def _clip(self, row: dict[str, str], split: str) -> Clip:
        word = _label(row).word
        frames = self.root / "poses" / row["name"]
        return Clip(row["name"], self.name, split, self.language, word, frames, self.fps, word, row.get("signer"))


def _label(row: dict[str, str]) -> SignLabel:
    if not row["label"].isdecimal():
        raise ValueError(f"label {row['label']!r}, which is no whole number")
    if row["subset"] not in SUBSETS:
        raise ValueError(f"subset {row['subset']!r}, which is none of {', '.join(SUBSETS)}")
    return SignLabel(int(row["label"]), row["word"].strip(), row["subset"], row.get("group", "").strip())
