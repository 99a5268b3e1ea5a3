"""The recordings of a lexicon's words as codes: their table on disk, and which one of a word is retrieved."""
from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soke.data.clip import Clip
from soke.data.codes import REMEDY
from soke.data.corpora.lexicon import SentenceClips
from soke.data.word_codes import parsed_codes, read_published_word_codes
from soke.errors import UserError
from soke.storage import read_json, write_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording of a word.

    name:   of the recording in lexicon.csv
    codes:  [K, S]
    source: the clip that it was cut from: corpus/name, or the folder that lexicon.csv names; None: it is no segment
    """

    name: str
    codes: Tensor
    source: str | None = None

    def is_cut_from(self, clip: Clip) -> bool:
        if self.source is None:
            return False
        source, name = (unicodedata.normalize("NFC", text) for text in (self.source, clip.name))
        return f"/{source}".endswith(f"/{name}")


def edit_distances(codes: Sequence[Tensor]) -> Tensor:
    """[N, N] int64, the least cost of making one of N sequences [K_i, S] of codes another, times S.

    A step that is put in or left out costs 1; one that is replaced costs the share of its streams that differ.
    """
    first, second = torch.triu_indices(len(codes), len(codes), offset=1)
    lengths = torch.tensor([len(c) for c in codes])
    padded = pad_sequence(list(codes), batch_first=True)
    a, b = padded[first], padded[second]
    gap, steps = padded.shape[2], padded.shape[1]
    along = gap * torch.arange(steps + 1)
    rows = [along.expand(len(first), -1)]
    for i in range(steps):  # row i + 1 of the table of costs, [pairs, K + 1]
        replaced = rows[-1][:, :-1] + (a[:, i, None] != b).sum(2)
        left_out = rows[-1] + gap
        least = torch.cat([left_out[:, :1], torch.minimum(left_out[:, 1:], replaced)], dim=1)
        rows.append((least - along).cummin(1).values + along)  # then whatever of b is put in
    cost = torch.stack(rows)[lengths[first], torch.arange(len(first)), lengths[second]]
    distances = torch.zeros(len(codes), len(codes), dtype=torch.int64)
    distances[first, second] = distances[second, first] = cost
    return distances


# Rule -> cost of each recording of a word; the cheapest is retrieved.
RULES: dict[str, Callable[[Sequence[Tensor]], Sequence[int]]] = {
    "first": lambda codes: [0] * len(codes),
    "longest": lambda codes: [-len(c) for c in codes],
    "shortest": lambda codes: [len(c) for c in codes],
    "medoid": lambda codes: edit_distances(codes).sum(1).tolist(),
}


def ranked(recordings: Sequence[Recording], rule: str) -> list[Recording]:
    """The recordings of a word, the one to be retrieved first; among equals as they are given.

    rule: first, as they are given; longest or shortest, in codes; or medoid: smallest mean of `edit_distances` to the
          others
    """
    costs = RULES[rule]([recording.codes for recording in recordings])
    return [recordings[i] for i in sorted(range(len(recordings)), key=lambda i: costs[i])]


def write_recordings(path: Path, words: Mapping[str, Sequence[Recording]], streams: Sequence[str], rule: str) -> None:
    """Store {word: recordings}, and for each word the name of the one that `rule` chooses."""
    table = {
        word: {
            "chosen": ranked(recordings, rule)[0].name,
            "recordings": [
                {"name": r.name, "source": r.source, "codes": dict(zip(streams, r.codes.t().tolist(), strict=True))}
                for r in recordings
            ],
        } for word, recordings in words.items()
    }
    write_json(path, table)


def read_recordings(path: Path, streams: Sequence[str]) -> dict[str, list[Recording]]:
    """{word: recordings}, S in the order of `streams`; the inverse of `write_recordings`.

    Raises UserError that names the file, and the word whose recordings are malformed.
    """
    words = {}
    for word, entry in read_json(path, REMEDY).items():
        try:
            words[word] = [_recording(fields, streams) for fields in entry["recordings"]]
            if not words[word]:
                raise ValueError("has no recording")
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}: word {word!r} has no list of recordings; {REMEDY}") from error
        except ValueError as error:
            raise UserError(f"{path}: word {word!r} {error}; {REMEDY}") from error
    return words


def without_held_out(
    words: Mapping[str, Sequence[Recording]], language: str, sentences: SentenceClips
) -> dict[str, list[Recording]]:
    """The recordings of a sign language's words but for those cut from clips of val or test, with a warning; words of
    which none is left are left out."""
    kept: dict[str, list[Recording]] = {}
    refused = []
    for word, recordings in words.items():
        for recording in recordings:
            found = None if recording.source is None else sentences.find(recording.source, language)
            if found is None or found.split == "train":
                kept.setdefault(word, []).append(recording)
            else:
                refused.append(f"{recording.name}, cut from {found.corpus}/{found.name} of split {found.split}")
    if refused:
        _log.warning("%d signs of %s are not used; the first: %s", len(refused), language, refused[0])
    return kept


_OF_SOKE = (
    "set `word_codes` to SOKE's word2code.json and `tokenizer.path` to its public tokenizer, which "
    "`python -m prepare.import_soke` imports; or leave `word_codes` empty for the signs of `lexicon`"
)


def published_recordings(
    path: Path, streams: Mapping[str, int], german: Collection[str]
) -> dict[str, dict[str, list[Recording]]]:
    """{language: {word: its one recording}} of SOKE's word2code.json, which names neither recordings nor tokenizer.

    streams: name -> number of codes; german: see `read_published_word_codes`

    Raises UserError as `read_word_codes` does, and for a code that no codebook has.
    """
    words = read_published_word_codes(path, list(streams), german, _OF_SOKE)
    sizes = torch.tensor(list(streams.values()))
    for word, codes in (item for entries in words.values() for item in entries.items()):
        if (codes < 0).any() or (codes >= sizes).any():
            raise UserError(f"{path}: word {word!r} has codes that the tokenizer's codebooks lack; {_OF_SOKE}")
    return {
        language: {word: [Recording(f"of {path.name}", codes)] for word, codes in entries.items()}
        for language, entries in words.items()
    }


def _recording(fields: Mapping, streams: Sequence[str]) -> Recording:
    return Recording(str(fields["name"]), parsed_codes(fields["codes"], streams), fields["source"])
