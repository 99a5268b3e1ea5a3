"""Annotation files of the synthetic corpora, as the public corpora have them; all as bytes."""
from __future__ import annotations

import csv
import gzip
import io
import pickle
from collections.abc import Sequence

import numpy as np

from soke.data.clip import SPLITS
from soke.data.synthetic.corpora import Entry, SyntheticCorpus, Take, phoenix_split
from soke.data.synthetic.isolated import IsolatedCorpus


def annotation_files(corpus: SyntheticCorpus, frame_counts: dict[str, int]) -> dict[str, bytes]:
    """Annotation file, relative to the corpus's folder -> its content. frame_counts: clip name -> number of frames."""
    language = corpus.spoken.language
    files = {}
    for split in SPLITS:
        takes = [take for take in corpus.takes if take.split == split]
        if language == "ASL":
            path = f"{split}/re_aligned/how2sign_realigned_{split}_preprocessed_fps.csv"
            files[path] = _how2sign_csv(takes, frame_counts)
            continue
        rows = []
        for take in takes:
            row = {
                "name": take.name,
                "signer": take.signer if language == "CSL" else corpus.signers[take.signer].name,
                "gloss": corpus.spoken.gloss(take.sentence.words),
                "text": take.sentence.text,
                "sign": np.zeros((1, 1) if language == "CSL" else 0, dtype=np.float32),
                "num_frames": frame_counts[take.name],
            }
            rows.append(row)
        name = f"csl_clean.{split}" if language == "CSL" else f"phoenix14t.{phoenix_split(split)}"
        files[name] = gzip.compress(pickle.dumps(rows, protocol=4), mtime=0)
    return files


def _how2sign_csv(takes: list[Take], frame_counts: dict[str, int]) -> bytes:
    columns = ("VIDEO_ID", "VIDEO_NAME", "SENTENCE_ID", "SENTENCE_NAME", "START_REALIGNED", "END_REALIGNED",
               "SENTENCE", "fps")
    rows = []
    ends: dict[str, float] = {}
    for take in takes:
        sentence_id, camera = take.name.split("-", 1)
        video = sentence_id.rsplit("_", 1)[0]
        start = ends.get(video, 0.0)
        end = ends[video] = start + frame_counts[take.name] / take.fps
        times = (f"{start:.2f}", f"{end:.2f}")
        rows.append([video, f"{video}-{camera}", sentence_id, take.name, *times, take.sentence.text, take.fps])
    return _csv(columns, rows)


def _csv(columns: Sequence[str], rows: list[list]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue().encode()


def lexicon_table(entries: Sequence[Entry]) -> bytes:
    """lexicon.csv."""
    columns = ("word", "language", "name", "fps")
    return _csv(columns, [[getattr(entry, column) for column in columns] for entry in entries])


def isolated_table(corpus: IsolatedCorpus) -> bytes:
    """nmfs_csl.csv."""
    columns = ("name", "split", "label", "word", "subset", "signer", "group")
    rows = []
    for take in corpus.takes:
        sign = take.sign
        signer = corpus.signers[take.signer].name
        rows.append([take.name, take.split, sign.label, sign.word, sign.subset, signer, sign.group])
    return _csv(columns, rows)
