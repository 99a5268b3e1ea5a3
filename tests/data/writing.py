"""Small corpora in the published layouts, written by the tests."""
from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import torch

from soke.body import Motion, MotionLayout, PartSpec
from soke.body.joints import LEFT_HAND, RIGHT_HAND, UPPER_BODY
from soke.data.storage.frames import frame_dicts

LAYOUT = MotionLayout(
    [
        PartSpec("body", UPPER_BODY, jaw=True, expression=10),
        PartSpec("lhand", LEFT_HAND),
        PartSpec("rhand", RIGHT_HAND),
    ]
)
COLUMNS = ("VIDEO_ID", "VIDEO_NAME", "SENTENCE_ID", "SENTENCE_NAME", "START_REALIGNED", "END_REALIGNED", "SENTENCE")


class Payload:
    """Makes a folder when it is unpickled freely."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def random_motion(frames: int, seed: int = 0, fps: float = 25.0) -> Motion:
    """A motion that the public frame format can hold: eyes at rest, angles of any size."""
    draw = torch.Generator().manual_seed(seed)
    motion = Motion(
        torch.randn(frames, 55, 3, generator=draw),
        torch.randn(frames, 10, generator=draw),
        torch.randn(10, generator=draw),
        fps,
    )
    motion.rotations[:, 23:25] = 0
    return motion


def write_frames(folder: Path, motion: Motion, name: str = "{:06d}.pkl") -> None:
    folder.mkdir(parents=True)
    for i, frame in enumerate(frame_dicts(motion)):
        (folder / name.format(i)).write_bytes(pickle.dumps(frame))


def write_how2sign(root: Path, split: str, rows: list[tuple[str, float, float, str]], fps: float | None = None) -> Path:
    """The table of (name, start, end, sentence): with `fps` the comma form, without it the tab form."""
    folder = root / split / "re_aligned"
    folder.mkdir(parents=True)
    fields = [["v", "v", "s", name, str(start), str(end), sentence] for name, start, end, sentence in rows]
    if fps is None:
        path, lines = folder / f"how2sign_realigned_{split}.csv", ["\t".join(line) for line in [COLUMNS, *fields]]
    else:
        path = folder / f"how2sign_realigned_{split}_preprocessed_fps.csv"
        quoted = [[*line[:-1], '"' + line[-1].replace('"', '""') + '"', str(fps)] for line in fields]
        lines = [",".join(line) for line in [(*COLUMNS, "fps"), *quoted]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_how2sign_frames(root: Path, split: str, name: str, motion: Motion) -> None:
    write_frames(root / split / "poses" / name, motion, name + "_{}_3D.pkl")


def write_entries(path: Path, entries: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(pickle.dumps(entries)))


def write_phoenix(root: Path, lengths: dict[str, int]) -> None:
    """A dev split of clips named dev/<key> of so many frames."""
    entries = [
        {"name": f"dev/{name}", "signer": "Signer08", "gloss": "REGEN KOMMEN", "text": f"es regnet {name} .",
         "sign": torch.zeros(0), "num_frames": frames}
        for name, frames in lengths.items()
    ]
    write_entries(root / "phoenix14t.dev", entries)
    for i, (name, frames) in enumerate(lengths.items()):
        write_frames(root / "dev" / name, random_motion(frames, seed=i), "images{:04d}.pkl")
