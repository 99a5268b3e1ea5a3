"""A small corpus of SMPL-FX clips in the layout of Phoenix-2014T: 20 sentences with mouthings, brows, gaze and blinks."""
from __future__ import annotations

from pathlib import Path

from soke.data.storage.smplfx_clips import write_clip
from soke.data.synthetic.annotations import annotation_files
from soke.data.synthetic.corpora import plan_corpora
from soke.data.synthetic.recordings import FaceRecorder


def write_phoenix_with_faces(root: Path) -> None:
    """12, 4 and 4 clips; without SOKE's frames."""
    (corpus,) = (corpus for corpus in plan_corpora("tiny", 1234) if corpus.spoken.language == "DGS")
    recorder, counts = FaceRecorder([corpus], 1234), {}
    for take in corpus.takes:
        motion = recorder.record(corpus, take).smplfx
        file = root / "smplfx" / f"{take.name}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_clip(file, motion)
        counts[take.name] = len(motion)
    for name, content in annotation_files(corpus, counts).items():
        (root / name).write_bytes(content)
