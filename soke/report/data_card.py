"""Data cards: the README.md of a packed corpus that travels as a folder of parquet files."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soke.body.joints import NUM_JOINTS
from soke.data.storage.frames import FRAME_KEYS
from soke.data.storage.smplfx_clips import NUM_EXPRESSION
from soke.report.model_card import table
from soke.text.locales import TEXT_LOCALE

_FRAMES = {
    "soke": ", ".join(f"{key} {size}" for key, size in FRAME_KEYS.items())
            + ": SMPL-X's parameters, rotations as axis-angle in radians",
    "smplfx": f"rotations of SMPL-X's {NUM_JOINTS} joints as axis-angle in radians, {NUM_EXPRESSION} expression "
              "coefficients of FLAME, 2 eyelids; `shape` is the signer's: 10 coefficients of SMPL-X, then of FLAME's head",
}
_COLUMNS = [
    ("name", "of the clip, unique in its split"), ("language", "sign language"), ("text", "the sentence"),
    ("gloss", "sign glosses, where the corpus has them"), ("signer", "who signs, where the corpus tells"),
    ("fps", "frames per second"), ("num_frames", "number of frames"),
    ("missing", "frames that are left out between the first and the last"),
    ("made_by", "the model that made the motion; null: a signer"), ("lacking", "what was not observed"),
    ("shape", "what there is once per clip, in formats that have it"), ("content", "hash of the frames"),
]


@dataclass(frozen=True)
class Counted:
    """What a split holds: clips, frames, hours; the languages, frame rates and number of signers."""

    clips: int
    frames: int
    hours: float
    languages: Sequence[str]
    fps: Sequence[float]
    signers: int


def data_card(corpus: str, form: str, splits: Mapping[str, Counted], title: str, terms: str, licence: str = "") -> str:
    """The card, with the YAML by which `datasets.load_dataset` finds the splits.

    corpus:  its name here
    form:    of the frames, as DATASET.FRAMES
    title, terms: what it is, and on which terms it is given
    licence: by the hub's identifier; "": none is stated
    """
    from huggingface_hub import DatasetCardData

    languages = sorted({language for split in splits.values() for language in split.languages})
    data = DatasetCardData(
        language=sorted({TEXT_LOCALE[name].split("_")[0] for name in languages if name in TEXT_LOCALE}) or None,
        license=licence or None, pretty_name=f"{corpus} ({title})", tags=["sign-language", "motion", *languages],
        configs=[{"config_name": "default", "data_files": [
            {"split": split, "path": f"data/{split}-*.parquet"} for split, of in splits.items() if of.clips
        ]}],
    )
    rows = [
        (split, of.clips, of.frames, f"{of.hours:.2f}", ", ".join(of.languages), ", ".join(map("{:g}".format, of.fps)),
         of.signers)
        for split, of in splits.items()
    ]
    return "\n".join([
        "---", data.to_yaml().strip(), "---", f"# {corpus}: {title}", "",
        "Signed sentences as motion of a body, a row per clip.", "",
        *table(("split", "clips", "frames", "hours", "sign languages", "frames/s", "signers"), rows), "",
        "```python", "from datasets import load_dataset", "", 'data = load_dataset("FOLDER")', "```", "",
        "`python -m prepare.dataset_folder read --folder FOLDER --to ROOT/packed` makes a packed store of it.", "",
        "## Columns", "", *table(("column", "what it is"), [*_COLUMNS, ("frames", f"a list each: {_FRAMES[form]}")]), "",
        "## Terms", "", f"{title}: {terms}. What its owners state is what holds.", "",
        f"The licence of this folder: {licence or 'none is stated'}.",
    ]) + "\n"
