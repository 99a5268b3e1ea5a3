"""A packed store as a folder of the Hugging Face `datasets` library, and back: parquet files that others read, too.

    README.md           the data card; its YAML says which files each split has
    data/{split}-{i}-of-{n}.parquet   a row per clip with its frames, `CLIPS_PER_FILE` clips each
    store.json          what a store knows besides: hashes of the files and of the annotation, clips that were left out
    lexicon.csv         of a lexicon, the store's copy: which signs are cut from what
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from soke.data.clip import SPLITS, Clip, SkippedClip
from soke.data.storage.formats import FORMATS, Stored
from soke.data.storage.packed import (
    CLIPS_PER_SHARD,
    PackedStore,
    Shard,
    complete_store,
    keep_annotation,
    pack_shard,
    retire_index,
)
from soke.errors import UserError
from soke.saved import within
from soke.storage import file_hash, new_folder, read_json, require_new, write_json

VERSION = 1
CLIPS_PER_FILE = 4096
_STORE, _CARD = "store.json", "README.md"
_TEXTS = ("name", "language", "text", "gloss", "signer")
_COPY = "copy or download it again"
LEFT_OUT = "it could not be used when the corpus was packed"


def _schema(width: int) -> pa.Schema:
    return pa.schema([
        *((name, pa.string()) for name in _TEXTS),
        ("fps", pa.float64()),  # of the frames
        ("num_frames", pa.int64()),
        ("missing", pa.int64()),  # frame numbers that are left out between the first and the last
        ("made_by", pa.string()),  # the model that made the motion, null for a signer
        ("lacking", pa.list_(pa.string())),  # what was not observed
        ("shape", pa.list_(pa.float32())),  # what a format has once per clip
        ("content", pa.string()),  # hash of the frames
        ("frames", pa.list_(pa.list_(pa.float32(), width))),  # [num_frames, width]
    ])


def write_dataset(
    store: PackedStore, folder: Path, card: str, progress: Callable[[Sequence], Iterable] = iter,
) -> None:
    """Writes a store as a folder that appears whole or not at all.

    card:     text of README.md
    progress: wraps the groups of clips that become a file each
    Raises UserError when the folder holds anything, and when a clip of the store cannot be read, or is no
    longer what was packed.
    """
    require_new(folder)
    facts = {
        "version": VERSION, "corpus": store.corpus, "form": store.form, "width": FORMATS[store.form].width,
        "content": _content(store), "sources": store.sources, "files": {}, "splits": {},
        "kept": [name for name in store.sources if store.annotation(name)],
    }
    with new_folder(folder) as target:
        (target / "data").mkdir()
        for name in facts["kept"]:
            keep_annotation(target, store.annotation(name))
        for split in filter(store.has, SPLITS):
            clips, left_out = store.clips(split), [clip.name for clip in store.skipped(split)]
            facts["splits"][split] = {"dropped": dict(store.dropped(split)), "left_out": left_out}
            parts = [clips[start : start + CLIPS_PER_FILE] for start in range(0, len(clips), CLIPS_PER_FILE)]
            for number, part in enumerate(progress(parts)):
                name = f"data/{split}-{number:05}-of-{len(parts):05}.parquet"
                _write(target / name, store, part, facts["width"])
                facts["files"][name] = {"split": split, "sha256": file_hash(target / name)}
        write_json(target / _STORE, facts)
        (target / _CARD).write_text(card, encoding="utf-8")


def _write(path: Path, store: PackedStore, clips: Sequence[Clip], width: int) -> None:
    """Clips to a file, in groups of rows as a shard has them; floats are stored as they are, bit for bit."""
    schema = _schema(width)
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_statistics=False) as writer:
        for start in range(0, len(clips), CLIPS_PER_SHARD):
            rows = [_row(store, clip) for clip in clips[start : start + CLIPS_PER_SHARD]]
            frames = [row.pop("frames") for row in rows]
            offsets = np.cumsum([0, *map(len, frames)]).astype(np.int32)
            flat = pa.array(np.concatenate(frames).reshape(-1), pa.float32())
            listed = pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(flat, width))
            table = pa.Table.from_pylist(rows, pa.schema(list(schema)[:-1]))
            writer.write_table(table.append_column(schema.field("frames"), listed.cast(schema.field("frames").type)))


def _row(store: PackedStore, clip: Clip) -> dict[str, Any]:
    stored = store.read_unchanged(clip)
    return {
        **{key: getattr(clip, key) for key in (*_TEXTS, "fps")}, "num_frames": len(stored.values),
        "missing": stored.missing, "made_by": stored.made_by or None, "lacking": sorted(stored.lacking) or None,
        "shape": None if stored.shape is None else stored.shape.tolist(), "content": store.fingerprint(clip).content,
        "frames": stored.values,
    }


def read_dataset(folder: Path, out: Path, progress: Callable[[Sequence], Iterable] = iter) -> PackedStore:
    """Makes a packed store of what `write_dataset` wrote; it needs no frame files, and no annotation.

    progress: wraps the names of a split's files as they are read
    Raises UserError that names the file which is missing, cut off, changed, or of another program, and when `out` holds
    a store.
    """
    if PackedStore.find(out) is not None:
        raise UserError(f"{out} holds a packed store already: choose another folder, or remove it")
    facts = _facts(folder)
    shards: list[Shard] = []
    for split, of_split in facts["splits"].items():
        for rows in _groups(folder, split, facts, progress):
            frames = {row["name"]: _stored(row) for row in rows}
            clips = [_clip(row, facts["corpus"], split, out) for row in rows]
            shards.append(Shard(f"{split}-{len(shards):05}", split, clips, {}))
            pack_shard(out, shards[-1], lambda clip: frames[clip.name], facts["width"])
        if of_split["left_out"]:
            skipped = [SkippedClip(facts["corpus"], name, LEFT_OUT) for name in of_split["left_out"]]
            shards.append(Shard(f"{split}-skipped", split, skipped, {}))
            pack_shard(out, shards[-1], dict().__getitem__, facts["width"])
    for name in facts["kept"]:
        keep_annotation(out, folder / name)
    dropped = {split: of_split["dropped"] for split, of_split in facts["splits"].items()}
    store = complete_store(out, facts["corpus"], shards, facts["width"], facts["sources"], dropped, form=facts["form"])
    if _content(store) != facts["content"]:
        retire_index(out)
        raise UserError(f"{folder} does not hold the clips and frames that its {_STORE} names; {_COPY}")
    return store


def _content(store: PackedStore) -> str:
    """Hash over what is said of the usable clips, and over their frames."""
    facts = [
        [split, *(getattr(clip, key) for key in (*_TEXTS, "fps")), store.fingerprint(clip).content]
        for split in filter(store.has, SPLITS) for clip in store.clips(split)
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _facts(folder: Path) -> dict[str, Any]:
    """What store.json says, with every file as it was written."""
    facts = read_json(folder / _STORE, f"{folder} is not, or not whole, what `prepare.dataset_folder write` writes")
    if facts.get("version") != VERSION:
        version = facts.get("version")
        raise UserError(f"{folder / _STORE} is of version {version} of its format, this is {VERSION}: take a newer program")
    try:
        if facts["form"] not in FORMATS or facts["width"] != FORMATS[facts["form"]].width:
            raise ValueError(f"frames {facts['form']} of {facts['width']} numbers are unknown")
        facts.setdefault("kept", [])  # folders of before have no such copies
        hashes = {within(folder / "data", n.removeprefix("data/")): of["sha256"] for n, of in facts["files"].items()}
        hashes |= {within(folder, name): facts["sources"][name] for name in facts["kept"]}
        for path, written in hashes.items():
            if not path.is_file() or file_hash(path) != written:
                raise UserError(f"{path} is missing, cut off, or not the file that {_STORE} names; {_COPY}")
        texts = [facts["corpus"], facts["content"], *(n for of in facts["splits"].values() for n in of["left_out"])]
        tables = [facts["sources"], *(of["dropped"] for of in facts["splits"].values())]
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(table, dict) for table in tables):
            raise TypeError("what should be texts and tables is not")
        known = {"splits": set(facts["splits"]), "files": {of["split"] for of in facts["files"].values()}}
        if not known["files"] <= known["splits"] <= set(SPLITS):
            raise ValueError(f"its splits are {', '.join(sorted(known['splits'] | known['files']))}")
        return facts
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / _STORE} is damaged ({type(error).__name__}: {error}); {_COPY}") from error


def _groups(
    folder: Path, split: str, facts: Mapping[str, Any], progress: Callable[[Sequence], Iterable]
) -> Iterator[list[dict[str, Any]]]:
    """The clips of a split, some at a time, `frames` as [T, width] float32. Raises UserError that names a file which is
    none of ours."""
    width = facts["width"]
    for name in progress([name for name, of in facts["files"].items() if of["split"] == split]):
        try:
            with pq.ParquetFile(folder / name) as file:
                if not file.schema_arrow.equals(_schema(width)):
                    raise ValueError("its columns are others")
                for group in range(file.num_row_groups):
                    yield _with_frames(file.read_row_group(group), width)
        except (OSError, pa.ArrowException, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{folder / name} is no file of packed poses ({reason}); {_COPY}") from error


def _with_frames(table: pa.Table, width: int) -> list[dict[str, Any]]:
    """Raises ValueError for a clip with another number of frames than it says."""
    frames = table.column("frames").combine_chunks()
    flat, ends = frames.flatten().flatten().to_numpy().reshape(-1, width), np.cumsum(frames.value_lengths().to_numpy())
    rows = table.drop_columns("frames").to_pylist()
    for row, start, end in zip(rows, [0, *ends[:-1]], ends):
        if end - start != row["num_frames"]:
            raise ValueError(f"clip {row['name']} has {end - start} frames, not {row['num_frames']}")
        row["frames"] = flat[start:end]
    return rows


def _clip(row: Mapping[str, Any], corpus: str, split: str, out: Path) -> Clip:
    return Clip(corpus=corpus, split=split, frames=out, **{key: row[key] for key in (*_TEXTS, "fps")})


def _stored(row: Mapping[str, Any]) -> Stored:
    shape = None if row["shape"] is None else np.array(row["shape"], np.float32)
    return Stored(row["frames"], row["missing"], row["made_by"] or "", shape, frozenset(row["lacking"] or ()))
