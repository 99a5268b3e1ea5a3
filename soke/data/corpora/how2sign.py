"""How2Sign (American sign language, Duarte et al. 2021), realigned, in the layout that SOKE publishes."""
from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

from soke.data.clip import Clip
from soke.data.corpora.annotations import read_table
from soke.data.corpora.base import Listing, TableCorpus, parsed_fps, parsed_number

_log = logging.getLogger(__name__)
_FPS_IF_ABSENT = 25.0
_TOO_LONG = 30.0  # seconds
_LONG = f"of {_TOO_LONG:g} s or more"

# Clips whose poses the authors of SOKE found unusable (a list in its released code).
_BAD = frozenset(
    f"{clip}-rgb_front"
    for clip in """
    0DU7wWLK-QU_0-8 0ICZi26jdaQ_28-5 0vNfEYst_tQ_11-8 13X0vEMNm7M_8-5 14weIYQswlE_23-8 1B56XMJ-j1Q_13-8 1P0oKY4FNyI_0-8
    1dpRaxOTfZs_0-8 1ei1kVTw23A_29-8 1spCnuBmWYk_0-8 2-vXO7MMLJc_0-5 21PbS6wnHtY_0-5 3tyfxL2wO-M_0-8 BpYDl3AO4B8_0-1
    CH7AviIr0-0_14-8 CJ8RyW9pzKU_6-8 D0T7ho08Q3o_25-2 Db5SUQvNsHc_18-1 Eh697LCFjTw_0-3 F-p1IdedNbg_23-8 aUBQCNegrYc_13-1
    cvn7htBA8Xc_9-8 czBrBQgZIuc_19-5 dbSAB8F8GYc_11-9 doMosV-zfCI_7-2 dvBdWGLzayI_10-8 eBrlZcccILg_26-3 39FN42e41r0_17-1
    a4Nxq0QV_WA_9-3 fzrJBu2qsM8_11-8 g3Cc_1-V31U_12-3
    """.split()
)


class How2Sign(TableCorpus):
    """`{split}/re_aligned/how2sign_realigned_{split}_preprocessed_fps.csv`, `{split}/poses/{name}/{name}_{i}_3D.pkl`.

    That table may be separated by tabs or commas, lack the column fps (25 is then taken, with a warning) and have the
    plain name `how2sign_realigned_{split}.csv`. Times are seconds. Clips of 30 s or more and 31 unusable ones are
    dropped; clips of more than 24 frames/s are brought down to 24.
    """

    name = "how2sign"
    language = "ASL"
    fps = 24.0
    columns = ("SENTENCE_NAME", "SENTENCE", "START_REALIGNED", "END_REALIGNED")
    likely_causes = {
        **TableCorpus.likely_causes,
        _LONG: "START_REALIGNED and END_REALIGNED are read as seconds; are they milliseconds or frame numbers?",
    }
    name_column = "SENTENCE_NAME"

    def annotation_paths(self, split: str) -> list[Path]:
        folder = self.root / split / "re_aligned"
        name = f"how2sign_realigned_{split}"
        return [self._existing(folder / file for file in (f"{name}_preprocessed_fps.csv", f"{name}.csv"))]

    def _annotated(self, split: str) -> Listing:
        (path,) = self.annotation_paths(split)
        table = read_table(path, self.columns)
        if "fps" not in table.columns:
            _warn_of_absent_rates(path)
        return self._listed(path, table, split)

    def _clip(self, row: dict[str, str], split: str) -> Clip | str:
        name = row["SENTENCE_NAME"]
        start, end = (parsed_number(row, column) for column in ("START_REALIGNED", "END_REALIGNED"))
        if end <= start:
            raise ValueError(f"START_REALIGNED {start:g} and END_REALIGNED {end:g}: it ends before it begins")
        fps = parsed_fps(row) if "fps" in row else _FPS_IF_ABSENT
        if name in _BAD:
            return "known to be unusable"
        if end - start >= _TOO_LONG:
            return _LONG
        frames = self.root / split / "poses" / name
        return Clip(name, self.name, split, self.language, row["SENTENCE"].strip(), frames, fps, seconds=end - start)


@lru_cache(maxsize=None)  # once per table
def _warn_of_absent_rates(path: Path) -> None:
    _log.warning("%s has no column fps: %g frames/s is taken for all clips", path, _FPS_IF_ABSENT)
