"""Clips of faces without a sentence, as of MEAD: they train a tokenizer's face, and nothing else."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from soke.data.clip import SPLITS, Clip
from soke.data.corpora.annotations import read_table
from soke.data.corpora.base import Listing, TableCorpus
from soke.storage import new_file

_FILE = "faces.csv"
_SHARES = (0.7, 0.15)  # of the identities, train and val; the rest is test (EMOTE's split of MEAD)


class FaceClips(TableCorpus):
    """`faces.csv` with the columns name and split, and `smplfx/{name}.npz`, as `prepare.import_faces` writes them.

    A clip's text is its name. At most 25 frames/s.
    """

    name = "faces"
    language, locale, has_sentences = "none", "en_XX", False
    fps = 25.0
    columns = ("name", "split")
    name_column = "name"

    def annotation_paths(self, split: str) -> list[Path]:
        return [self._existing([self.root / _FILE])]

    def _annotated(self, split: str) -> Listing:
        (path,) = self.annotation_paths(split)
        table = read_table(path, self.columns)
        table.rows[:] = [row for row in table.rows if row["split"] == split]
        if split != SPLITS[0]:
            table.malformed.clear()  # the lines that fit no split are reported once
        return self._listed(path, table, split)

    def _clip(self, row: dict[str, str], split: str) -> Clip:
        name = row["name"]
        return Clip(name, self.name, split, self.language, name, self.root / "poses" / name, self.fps)


def write_list(root: Path, people: Mapping[str, str]) -> None:
    """Writes `faces.csv`: of the people, 70 % train, 15 % val, 15 % test, in the order of their hashes, which depends on
    nothing else. people: name of a clip -> who is seen"""
    identities = sorted(set(people.values()), key=lambda i: hashlib.sha256(i.encode()).hexdigest())
    train, val = (round(len(identities) * share) for share in (_SHARES[0], sum(_SHARES)))
    split_of = {identity: SPLITS[(i >= train) + (i >= val)] for i, identity in enumerate(identities)}
    with new_file(root / _FILE) as temporary:
        lines = ["name,split", *(f"{name},{split_of[people[name]]}" for name in sorted(people))]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
