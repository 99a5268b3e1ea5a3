"""The packed store: the frames of a corpus in a few memory-mapped files, with an index that explains itself.

    index.parquet            one row per annotated clip; written last, so that a store is complete or not in use
    shards/{split}-{i}.npy   float32 [frames, D], the stored frames of up to 256 clips, one after the other
    shards/{split}-{i}.parquet  the rows of that shard; it comes after the frames and says that they are complete
    lexicon.csv              of a lexicon, a copy of its annotation: which signs are cut from what; older stores lack it

A store may be moved to another disk, and needs nothing else. Where the frame files of a clip are still in their place,
the folder that its row names relative to the corpus's root, they must be those that were packed; so must the folders
of annotated clips that had no or too few frame files.
"""
from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from soke.data.clip import Clip, ClipError, SkippedClip
from soke.data.fingerprints import Fingerprint
from soke.data.storage.formats import Stored
from soke.errors import UserError
from soke.storage import file_hash, new_file

VERSION = 1
CLIPS_PER_SHARD = 256
REMEDY = "run `python -m prepare.pack_poses` again"
_INDEX = "index.parquet"
_META = b"soke"
_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("split", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("gloss", pa.string()),
        ("signer", pa.string()),
        ("fps", pa.float64()),  # of the stored frames
        ("frames", pa.int64()),
        ("duration", pa.float64()),  # seconds
        ("missing", pa.int64()),  # frame numbers that are left out between the first and the last
        ("content", pa.string()),  # hash of the frames
        ("made_by", pa.string()),  # the model that made the motion, null for a signer and in older stores
        ("shard", pa.string()),
        ("start", pa.int64()),  # first row in the shard
        ("fault", pa.string()),  # why the clip cannot be used; it then has no frames
        ("folder", pa.string()),  # of its frame files, relative to the corpus's root
        ("ends", pa.string()),  # fingerprint of those files, see `Fingerprint`
        ("files", pa.string()),
        ("shape", pa.list_(pa.float32())),  # what a format has once per clip, null in others and in older stores
        ("lacking", pa.list_(pa.string())),  # what was not observed, null for nothing
    ]
)


@dataclass(frozen=True)
class Place:
    """Where a clip's frames are: rows start .. start + frames of a shard; all else as in the index."""

    shard: str
    start: int
    frames: int
    missing: int
    made_by: str = ""
    shape: tuple[float, ...] | None = None
    lacking: frozenset[str] = frozenset()


class PackedStore:
    """A complete store, for random access by any number of processes.

    corpus:  name of the packed corpus
    sources: annotation file, relative to the corpus's root -> its SHA-256
    content: hash over all clips' names and frames
    form:    name of the format of the frames

    Raises UserError for an index that cannot be read or was written by another version.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        table, meta = _read_rows(self.folder / _INDEX)
        self.corpus: str = meta["corpus"]
        self.sources: dict[str, str] = meta["sources"]
        self.content: str = meta["content"]
        self._width: int = meta["width"]
        self.form: str = meta.get("form", "soke")  # stores of earlier versions know no other
        self._dropped: dict[str, dict[str, int]] = meta["dropped"]
        self._listed: dict[str, tuple[list[Clip], list[SkippedClip]]] = {split: ([], []) for split in self._dropped}
        self._places: dict[tuple[str, str], Place] = {}
        self._origins: dict[str, list[tuple[str, str, Fingerprint]]] = {split: [] for split in self._dropped}
        self._fingerprints: dict[tuple[str, str], Fingerprint] = {}
        for split, lacking in meta.get("lacking", {}).items():  # stores of earlier versions do not know
            self._origins[split] += [(name, folder, Fingerprint(ends)) for name, folder, ends in lacking]
        for row in table.to_pylist():
            clips, skipped = self._listed[row["split"]]
            packed = Fingerprint(row.get("ends") or "", row.get("files"), row["content"])
            if packed.ends:  # stores of earlier versions do not know
                self._origins[row["split"]].append((row["name"], row["folder"], packed))
            if row["fault"] is not None:
                skipped.append(SkippedClip(self.corpus, row["name"], row["fault"]))
                continue
            shard = self.folder / "shards" / f"{row['shard']}.npy"
            fields = {key: row[key] for key in ("name", "split", "language", "text", "fps", "gloss", "signer")}
            clips.append(Clip(corpus=self.corpus, frames=shard, **fields))
            self._places[row["split"], row["name"]] = _place(row)
            self._fingerprints[row["split"], row["name"]] = packed
        self._maps: dict[str, tuple[mmap.mmap, int, int]] = {}

    @classmethod
    def find(cls, folder: Path | str) -> PackedStore | None:
        """The store in `folder`, None when there is no complete one."""
        return cls(folder) if (Path(folder) / _INDEX).is_file() else None

    def has(self, split: str) -> bool:
        return split in self._listed

    def clips(self, split: str) -> list[Clip]:
        """The usable clips of a split that the store has, in annotation order; their `frames` is the shard."""
        return self._listed[split][0]

    def skipped(self, split: str) -> list[SkippedClip]:
        """The clips that could not be used when the store was packed, and why."""
        return self._listed[split][1]

    def dropped(self, split: str) -> Counter[str]:
        """Number of clips per rule of the corpus that excludes them."""
        return Counter(self._dropped[split])

    def origins(self, split: str) -> list[tuple[str, str, Fingerprint]]:
        """Name, folder of the frame files relative to the corpus's root, and their fingerprint, of the split's clips;
        of those too that could not be read, and of those that lacked frame files, with an empty fingerprint where there
        were none."""
        return self._origins[split]

    def fingerprint(self, clip: Clip) -> Fingerprint:
        """Of the clip's frames. Raises ClipError as `place` does."""
        self.place(clip)
        return self._fingerprints[clip.split, clip.name]

    def place(self, clip: Clip) -> Place:
        """Raises ClipError for a clip that is not in the store."""
        try:
            return self._places[clip.split, clip.name]
        except KeyError:
            raise ClipError(f"clip {clip.name}: {self.folder} does not hold it; {REMEDY}") from None

    def read(self, clip: Clip) -> Stored:
        """The clip's stored frames, a copy. Raises ClipError when the shard is gone or cut off."""
        place = self.place(clip)
        data, offset, size = self._map(place.shard, clip)
        row = 4 * self._width
        begin, end = offset + place.start * row, offset + (place.start + place.frames) * row
        if end > size:
            raise ClipError(f"clip {clip.name}: {clip.frames} is cut off; {REMEDY}")
        values = np.frombuffer(data, np.float32, place.frames * self._width, begin).reshape(-1, self._width).copy()
        # The pages stay in the system's cache, but no longer count as this process's memory.
        page = begin - begin % mmap.PAGESIZE
        if hasattr(data, "madvise"):
            data.madvise(mmap.MADV_DONTNEED, page, end - page)
        shape = None if place.shape is None else np.array(place.shape, np.float32)
        return Stored(values, place.missing, place.made_by, shape, place.lacking)

    def read_unchanged(self, clip: Clip) -> Stored:
        """As `read`, slower. Raises ClipError also when the frames are not the numbers that were packed, as after a copy that
        broke off."""
        stored, packed = self.read(clip), self.fingerprint(clip).content
        if packed is not None and _content(stored.values, stored) != packed:
            raise ClipError(
                f"clip {clip.name}: {clip.frames} does not hold the numbers that were packed; copy it again, or remove it and "
                f"{REMEDY}"
            )
        return stored

    def annotation(self, name: str) -> Path | None:
        """The copy of an annotation file that `keep_annotation` made; None where there is none of what was packed."""
        path = self.folder / name
        return path if path.is_file() and file_hash(path) == self.sources.get(name) else None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_maps": {}}

    def _map(self, shard: str, clip: Clip) -> tuple[mmap.mmap, int, int]:
        """A shard mapped into memory once per process, the offset of its first number, its size in bytes."""
        if shard not in self._maps:
            try:
                with open(clip.frames, "rb") as file:
                    np.lib.format.read_magic(file)
                    shape, _, kind = np.lib.format.read_array_header_1_0(file)
                    if kind != np.float32 or shape[1:] != (self._width,):
                        raise ValueError(f"it holds {kind} {list(shape)}")
                    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    self._maps[shard] = data, file.tell(), len(data)
            except (OSError, ValueError, IndexError) as error:
                raise ClipError(f"clip {clip.name}: {clip.frames} cannot be read: {error}; {REMEDY}") from error
        return self._maps[shard]


@dataclass(frozen=True)
class Shard:
    """One shard to be packed: its name, its clips, or what was skipped, and by the clips' names the folders of their
    frame files relative to the corpus's root with the files' fingerprints."""

    name: str
    split: str
    items: Sequence[Clip | SkippedClip]
    origins: Mapping[str, tuple[str, Fingerprint]]

    @property
    def fingerprint(self) -> str:
        """Changes with anything that the annotation says of the clips, and with their frame files."""
        facts = [
            [item.name, item.language, item.text, item.gloss, item.signer, item.fps, item.seconds]
            + ([item.segment] if item.segment else [])
            if isinstance(item, Clip) else [item.name]
            for item in self.items
        ]
        files = [[name, folder, found.files] for name, (folder, found) in self.origins.items()]
        return hashlib.sha256(json.dumps([VERSION, self.split, facts, files]).encode()).hexdigest()


def plan_shards(
    split: str, clips: Sequence[Clip], skipped: Sequence[SkippedClip],
    origins: Mapping[str, tuple[str, Fingerprint]] = {},
) -> list[Shard]:
    """The shards of a split, `CLIPS_PER_SHARD` clips each, and one without frames that lists what was skipped.

    origins: see `Shard`
    """
    shards = []
    for i, start in enumerate(range(0, len(clips), CLIPS_PER_SHARD)):
        chosen = clips[start : start + CLIPS_PER_SHARD]
        known = {clip.name: origins[clip.name] for clip in chosen if clip.name in origins}
        shards.append(Shard(f"{split}-{i:05}", split, chosen, known))
    return [*shards, Shard(f"{split}-skipped", split, skipped, {})] if skipped else shards


def is_packed(folder: Path, shard: Shard) -> bool:
    """Whether the shard is there, whole, made of the same annotations, and without clips that could not be read."""
    try:
        table, meta = _read_rows(_rows_file(folder, shard.name))
        packed = meta["fingerprint"] == shard.fingerprint and table.column("fault").null_count == len(table)
        return packed and _frames_file(folder, shard.name).stat().st_size == meta["bytes"]
    except (UserError, OSError):
        return False


def pack_shard(folder: Path, shard: Shard, read: Callable[[Clip], Stored], width: int) -> int:
    """Write a shard, its frames first, then its rows. Returns its number of frames.

    read: clip -> its frames [T, width]; raises ClipError for a clip that cannot be used
    """
    rows, pieces, start = [], [np.empty((0, width), np.float32)], 0
    for item in shard.items:
        row: dict[str, Any] = {"name": item.name, "split": shard.split, "shard": shard.name, "start": start}
        row |= {"frames": 0, "duration": 0.0, "missing": 0}
        if item.name in shard.origins:
            origin, found = shard.origins[item.name]
            row |= {"folder": origin, "ends": found.ends, "files": found.files}
        if isinstance(item, Clip):
            row |= {key: getattr(item, key) for key in ("language", "text", "gloss", "signer", "fps")}
            try:
                stored = read(item)
            except ClipError as error:
                row["fault"] = str(error)
            else:
                frames = np.ascontiguousarray(stored.values, np.float32)
                row |= {"frames": len(frames), "duration": len(frames) / item.fps, "missing": stored.missing}
                row |= {"made_by": stored.made_by or None, "lacking": sorted(stored.lacking) or None}
                row |= {"shape": stored.shape, "content": _content(frames, stored)}
                pieces.append(frames)
                start += len(frames)
        else:
            row["fault"] = item.reason
        rows.append(row)
    target = _frames_file(folder, shard.name)
    with new_file(target) as temporary:
        np.save(temporary, np.concatenate(pieces), allow_pickle=False)
    meta = {"fingerprint": shard.fingerprint, "bytes": target.stat().st_size}
    _write_rows(_rows_file(folder, shard.name), pa.Table.from_pylist(rows, schema=_SCHEMA), meta)
    return start


def complete_store(
    folder: Path, corpus: str, shards: Iterable[Shard], width: int, sources: Mapping[str, str],
    dropped: Mapping[str, Mapping[str, int]], lacking: Mapping[str, Sequence[tuple[str, str, Fingerprint]]] = {},
    form: str = "soke",
) -> PackedStore:
    """Write the index of a store whose shards are all packed, and remove shards that no longer belong to it.

    form:    name of the format of the frames
    lacking: split -> as `PackedStore.origins`, of the annotated clips that are not in a shard for want of frame files
    """
    names = [shard.name for shard in shards]
    tables = [_read_rows(_rows_file(folder, name))[0] for name in names]
    table = pa.concat_tables([_SCHEMA.empty_table(), *tables], promote_options="default")
    rows = table.select(["split", "name", "frames", "content"]).to_pylist()
    content = hashlib.sha256(json.dumps([list(row.values()) for row in rows]).encode()).hexdigest()
    meta = {"corpus": corpus, "form": form, "width": width, "sources": dict(sources), "content": content}
    meta["dropped"] = {split: dict(rules) for split, rules in dropped.items()}
    meta["lacking"] = {split: [(name, at, found.ends) for name, at, found in clips] for split, clips in lacking.items()}
    for path in (folder / "shards").glob("*"):
        if path.stem not in names:
            path.unlink()
    _write_rows(folder / _INDEX, table, meta)
    return PackedStore(folder)


def keep_annotation(folder: Path, path: Path) -> None:
    """Copies an annotation file into a store, which then can tell all that the file says."""
    with new_file(folder / path.name) as temporary:
        shutil.copyfile(path, temporary)


def retire_index(folder: Path) -> None:
    """Take a store out of use before its shards change."""
    index = folder / _INDEX
    if index.exists():
        index.unlink()


def _place(row: Mapping[str, Any]) -> Place:
    shape, lacking = row.get("shape"), row.get("lacking") or ()
    return Place(
        row["shard"], row["start"], row["frames"], row["missing"], row.get("made_by") or "",
        None if shape is None else tuple(shape), frozenset(lacking),
    )


def _content(frames: np.ndarray, stored: Stored) -> str:
    """Hash of the frames, and of what else there is of a clip in formats that have more."""
    found = hashlib.blake2b(frames, digest_size=16)
    if stored.shape is not None:
        found.update(np.ascontiguousarray(stored.shape, np.float32))
    found.update(",".join(sorted(stored.lacking)).encode())
    return found.hexdigest()


def _frames_file(folder: Path, shard: str) -> Path:
    return folder / "shards" / f"{shard}.npy"


def _rows_file(folder: Path, shard: str) -> Path:
    return folder / "shards" / f"{shard}.parquet"


def _write_rows(path: Path, table: pa.Table, meta: Mapping[str, Any]) -> None:
    described = table.replace_schema_metadata({_META: json.dumps({"version": VERSION, **meta})})
    with new_file(path) as temporary:
        pq.write_table(described, temporary)


def _read_rows(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Rows and metadata. Raises UserError that names the file."""
    try:
        # not memory-mapped: a table must not keep its file open in every worker
        table = pq.read_table(path, memory_map=False)
        meta = json.loads(table.schema.metadata[_META])
        version = meta["version"]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no index of packed poses ({error}); {REMEDY}") from error
    if version != VERSION:
        raise UserError(f"{path} was written in version {version} of its format, this is {VERSION}; {REMEDY}")
    return table, meta
