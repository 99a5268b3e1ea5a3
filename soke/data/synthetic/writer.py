"""The synthetic corpora on disk, in the layouts of How2Sign, CSL-Daily and Phoenix-2014T, with a lexicon of signs.

    How2Sign/{split}/re_aligned/how2sign_realigned_{split}_preprocessed_fps.csv
    How2Sign/{split}/poses/{name}/{name}_{i}_3D.pkl
    CSL-Daily/csl_clean.{split}, mean.pt, std.pt, poses/{name}/{i:06}.pkl
    Phoenix_2014T/phoenix14t.{train,dev,test}, {split}/{name}/images{i:04}.pkl
    lexicon/lexicon.csv, poses/{name}/{i:06}.pkl
    phenomena.json       what was put into the corpora on purpose, per language and per clip
    corpora.json         the parameters, and whether all is written
"""
from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import os
import pickle
import random
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from soke.body.motion import Motion
from soke.data.clip import SPLITS
from soke.data.frames import FRAME_SIZE, frame_dicts, frames_from_motion
from soke.data.synthetic.language import InventedSentence, SpokenLanguage, write_sentences
from soke.data.synthetic.motion import Signer, cite, perform
from soke.data.synthetic.signs import SignForm, invent_signs
from soke.data.synthetic.vocabularies import LANGUAGES
from soke.errors import UserError
from soke.storage import new_file

VERSION = 3  # to be raised whenever the same parameters give other files
# Clips per language.
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"train": 12, "val": 4, "test": 4},
    "demo": {"train": 1200, "val": 30, "test": 40},
    "large": {"train": 3000, "val": 150, "test": 300},
}
TAIL = {"tiny": 5, "demo": 240, "large": 240}  # words that are rarer than the others, per language
STAMP = "corpora.json"
_FOLDERS = {"ASL": "How2Sign", "CSL": "CSL-Daily", "DGS": "Phoenix_2014T"}
_FPS = {"ASL": 24.0, "CSL": 30.0, "DGS": 25.0}
_HOW2SIGN_FPS = (24.0, 30.0)  # the public corpus mixes frame rates
_SIGNERS = 12
_LEFT_HANDED_SHARE = 0.06  # of the clips; the text cannot tell them, so they must stay few
_REPEATED = 0.08  # share of CSL-Daily's training sentences that a second signer performs


@dataclass(frozen=True)
class Take:
    """One clip to be performed. fps: of the stored frames; choices: which form of each word is made."""

    name: str
    split: str
    sentence: InventedSentence
    signer: int
    fps: float
    choices: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Entry:
    """One sign of the lexicon. name: of its folder of frames, ASCII; fps: of its frames."""

    word: str
    language: str
    name: str
    fps: float
    form: SignForm


@dataclass(frozen=True)
class SyntheticCorpus:
    """One language's corpus before it is written. rare: words that training shows at most twice."""

    spoken: SpokenLanguage
    rare: tuple[str, ...]
    signs: dict[str, tuple[SignForm, ...]]
    signers: tuple[Signer, ...]
    takes: tuple[Take, ...]

    def perform(self, take: Take) -> Motion:
        forms = [self.signs[word][choice] for word, choice in zip(take.sentence.words, take.choices)]
        rng = torch.Generator().manual_seed(take.seed)
        return perform(forms, self.signers[take.signer], take.fps, rng)


def plan_corpora(size: str, seed: int) -> tuple[SyntheticCorpus, ...]:
    """The corpora of all languages; everything follows from `size`, a key of `SIZES`, and `seed`."""
    return tuple(_plan(spoken.with_tail(TAIL[size]), SIZES[size], seed) for spoken in LANGUAGES)


def write_corpora(
    root: Path, size: str, seed: int, progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
    workers: int = 0,
) -> bool:
    """Write everything under `root`; an interrupted run is continued and ends with the same files, as does one with
    another number of workers.

    progress: wraps the sequence of (all) clips, of which the number is given
    workers:  processes that make clips; 0: this one does
    Returns whether anything had to be written. Raises UserError for an unknown size, and when `root` holds other
    things.
    """
    if size not in SIZES:
        raise UserError(f"Unknown size {size!r} of the synthetic corpora: choose one of {', '.join(SIZES)}.")
    if _claim(root, {"version": VERSION, "size": size, "seed": seed}):
        return False
    corpora = plan_corpora(size, seed)
    takes = [(corpus, take) for corpus in corpora for take in corpus.takes]
    entries = [entry for corpus in corpora for entry in _entries(corpus)]
    items = [*takes, *entries]
    made = DataLoader(_Frames(root, items), batch_size=None, num_workers=workers, collate_fn=_as_it_is)
    lengths: dict[str, dict[str, int]] = {corpus.spoken.language: {} for corpus in corpora}
    moments = np.zeros((2, FRAME_SIZE))
    training_frames = 0
    # in the order of the clips, however many make them: sums of floats depend on it
    for (count, sums), item in zip(progress(made, len(items)), items):
        if isinstance(item, Entry):
            continue
        corpus, take = item
        lengths[corpus.spoken.language][take.name] = count
        if sums is not None:
            moments += sums
            training_frames += count
    for corpus in corpora:
        _annotate(root, corpus, lengths[corpus.spoken.language])
    _write_statistics(root / _FOLDERS["CSL"], moments / training_frames)
    _write_lexicon(root / "lexicon" / "lexicon.csv", entries)
    _write(root / "phenomena.json", _json(_phenomena(corpora)))
    _write(root / STAMP, _json({"version": VERSION, "size": size, "seed": seed, "complete": True}))
    return True


class _Frames(Dataset):
    """Writes the frames of a clip or sign when it is read; gives their number, and of training clips the sums [2, 179]
    of the frames' numbers and of their squares."""

    def __init__(self, root: Path, items: Sequence[tuple[SyntheticCorpus, Take] | Entry]):
        self.root, self.items = root, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[int, np.ndarray | None]:
        item = self.items[index]
        if isinstance(item, Entry):
            motion = cite(item.form, item.fps)
            _write_frames(self.root / "lexicon" / "poses" / item.name, "{:06}.pkl", motion)
            return len(motion), None
        corpus, take = item
        motion, sums = corpus.perform(take), None
        if take.split == "train":
            frames = frames_from_motion(motion).astype(np.float64)
            sums = np.stack([frames.sum(0), (frames**2).sum(0)])
        _write_frames(*_place(self.root, corpus.spoken.language, take), motion)
        return len(motion), sums


def _as_it_is(item: tuple[int, np.ndarray | None]) -> tuple[int, np.ndarray | None]:
    return item


def _claim(root: Path, parameters: dict) -> bool:
    """Whether `root` is complete already; else it is marked as under construction."""
    stamp = root / STAMP
    if stamp.is_file():
        found = json.loads(stamp.read_text(encoding="utf-8"))
        complete = found.pop("complete")
        if found != parameters:
            raise UserError(
                f"{root} holds synthetic corpora made with {found}, not {parameters}: "
                "remove that folder or choose another one with --out."
            )
        return complete
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root} is not empty and holds no synthetic corpora: choose another folder with --out.")
    _write(stamp, _json({**parameters, "complete": False}))
    return False


def _plan(spoken: SpokenLanguage, counts: dict[str, int], seed: int) -> SyntheticCorpus:
    language = spoken.language
    rng = random.Random(f"{seed}-{language}")
    signers = _signers(spoken, seed)
    signs = invent_signs(spoken, _number(seed, language, "signs"))
    repeats = int(_REPEATED * counts["train"]) if language == "CSL" else 0
    different = {**counts, "train": counts["train"] - repeats}
    sentences, rare = write_sentences(spoken, different, f"{seed}-{language}-text"), spoken.rare(different["train"])
    takes: list[Take] = []
    number = 0
    for split in SPLITS:
        performances = [(number + i, 0, sentence) for i, sentence in enumerate(sentences[split])]
        number += len(performances)
        if split == "train":
            common = [(n, 1, s) for n, _, s in performances if not set(s.words) & set(rare)]
            performances += common[:repeats]
        few = int(_LEFT_HANDED_SHARE * len(performances)) or int(split == "train")
        left_handed = set(rng.sample(range(len(performances)), few))
        start = rng.randrange(_SIGNERS)
        for i, (n, take, sentence) in enumerate(performances):
            # Signer 0 is the left-handed one. A second take comes half a round later: another signer.
            turn = 1 + (start + n + take * (_SIGNERS // 2)) % (_SIGNERS - 1)
            signer = 0 if i in left_handed else turn
            name, fps = _name(language, split, n, take, signer)
            choices = tuple(rng.randrange(len(signs[word])) for word in sentence.words)
            takes.append(Take(name, split, sentence, signer, fps, choices, _number(seed, language, name)))
    return SyntheticCorpus(spoken, rare, signs, signers, tuple(takes))


def _number(*parts: object) -> int:
    """A seed from several things, the same on every machine."""
    return zlib.crc32("-".join(str(part) for part in parts).encode())


def _signers(spoken: SpokenLanguage, seed: int) -> tuple[Signer, ...]:
    rng = torch.Generator().manual_seed(_number(seed, spoken.language, "signers"))
    betas = 0.8 * torch.randn(_SIGNERS, 10, generator=rng).clamp(-2, 2)
    tempo = 1 + 0.10 * (2 * torch.rand(_SIGNERS, generator=rng) - 1)
    amplitude = 1 + 0.12 * (2 * torch.rand(_SIGNERS, generator=rng) - 1)
    return tuple(
        Signer(f"Signer{i:02}", betas[i], left_handed=i == 0, tempo=float(tempo[i]), amplitude=float(amplitude[i]))
        for i in range(_SIGNERS)
    )


def _name(language: str, split: str, number: int, take: int, signer: int) -> tuple[str, float]:
    """Name of a clip as its corpus would write it, and the frame rate of its frames."""
    if language == "ASL":
        video = number // 8
        return f"synthetic{video:04}_{number % 8}-{signer}-rgb_front", _HOW2SIGN_FPS[video % 2]
    if language == "CSL":
        return f"S{number:06}_P{signer:04}_T{take:02}", _FPS[language]
    day = datetime.date(2010, 1, 1) + datetime.timedelta(days=number // 4)
    # Not strftime: its names of months and days follow the user's locale.
    date = f"{day.day:02}{_MONTHS[day.month - 1]}_{day.year}_{_WEEKDAYS[day.weekday()]}"
    return f"{_phoenix_split(split)}/{date}_tagesschau-{number % 4 + 1}", _FPS[language]


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _phoenix_split(split: str) -> str:
    return "dev" if split == "val" else split


def _place(root: Path, language: str, take: Take) -> tuple[Path, str]:
    """Folder of a clip's frames, and the pattern of their names."""
    corpus = root / _FOLDERS[language]
    if language == "ASL":
        return corpus / take.split / "poses" / take.name, take.name + "_{}_3D.pkl"
    if language == "CSL":
        return corpus / "poses" / take.name, "{:06}.pkl"
    return corpus / take.name, "images{:04}.pkl"


def _entries(corpus: SyntheticCorpus) -> list[Entry]:
    """The lexicon of one language. A word with variants is shown in the first one."""
    language = corpus.spoken.language
    return [
        Entry(word, language, f"{language}_{i:04}", _FPS[language], corpus.signs[word][0])
        for i, word in enumerate(corpus.spoken.vocabulary)
    ]


def _write_frames(folder: Path, pattern: str, motion: Motion) -> None:
    """All frames or none: they are written beside their folder, which then is renamed. Complete folders are kept."""
    if folder.is_dir():
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    prefix = str(partial) + os.sep
    for i, frame in enumerate(frame_dicts(motion)):
        with open(prefix + pattern.format(i), "wb") as file:
            file.write(pickle.dumps(frame, protocol=4))
    partial.rename(folder)


def _annotate(root: Path, corpus: SyntheticCorpus, frame_counts: dict[str, int]) -> None:
    language = corpus.spoken.language
    folder = root / _FOLDERS[language]
    for split in SPLITS:
        takes = [take for take in corpus.takes if take.split == split]
        if language == "ASL":
            path = folder / split / "re_aligned" / f"how2sign_realigned_{split}_preprocessed_fps.csv"
            _write(path, _how2sign_csv(takes, frame_counts))
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
        name = f"csl_clean.{split}" if language == "CSL" else f"phoenix14t.{_phoenix_split(split)}"
        _write(folder / name, gzip.compress(pickle.dumps(rows, protocol=4), mtime=0))


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


def _write_statistics(folder: Path, moments: np.ndarray) -> None:
    """mean.pt and std.pt [179] of the frames of all training clips, as the public data keep them."""
    mean, square = moments
    for name, values in (("mean", mean), ("std", np.sqrt(np.maximum(square - mean**2, 0)))):
        buffer = io.BytesIO()
        torch.save(torch.from_numpy(values).float(), buffer)
        _write(folder / f"{name}.pt", buffer.getvalue())


def _write_lexicon(path: Path, entries: list[Entry]) -> None:
    columns = ("word", "language", "name", "fps")
    _write(path, _csv(columns, [[getattr(entry, column) for column in columns] for entry in entries]))


def _phenomena(corpora: tuple[SyntheticCorpus, ...]) -> dict:
    languages, clips = {}, {}
    for corpus in corpora:
        spoken = corpus.spoken
        languages[spoken.language] = {
            "corpus": _FOLDERS[spoken.language],
            "rare_words": list(corpus.rare),
            "variant_words": list(spoken.variants),
            "face_pairs": [list(pair) for pair in spoken.face_pairs],
            "left_handed_signers": [signer.name for signer in corpus.signers if signer.left_handed],
        }
        clips[spoken.language] = {take.name: _phenomena_of(take, corpus) for take in corpus.takes}
    return {"languages": languages, "clips": clips}


def _phenomena_of(take: Take, corpus: SyntheticCorpus) -> dict:
    words, spoken = take.sentence.words, corpus.spoken
    paired = {word for pair in spoken.face_pairs for word in pair}
    return {
        "split": take.split,
        "signer": corpus.signers[take.signer].name,
        "left_handed": corpus.signers[take.signer].left_handed,
        "words": list(words),  # in the order in which they are signed
        "rare_words": [word for word in words if word in corpus.rare],
        "variants": {word: choice for word, choice in zip(words, take.choices) if word in spoken.variants},
        "face_words": [word for word in words if word in paired],
    }


def _json(content: dict) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _write(path: Path, content: bytes) -> None:
    with new_file(path) as temporary:
        temporary.write_bytes(content)
