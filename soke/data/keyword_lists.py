"""Lists of keywords per clip, in the files that SOKE publishes: name2kws_{split}.json."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from soke.data.clip import SPLITS, Clip
from soke.errors import UserError
from soke.storage import read_json, write_json
from soke.text.spelling import spelled

_log = logging.getLogger(__name__)
_REMEDY = "make it with `python -m prepare.keywords`"


def write_keywords(path: Path, keywords: Mapping[str, Sequence[str]]) -> None:
    """Write {clip name: words} in the published form of name2kws_{split}.json."""
    write_json(path, {name: list(words) for name, words in keywords.items()})


def read_keywords(path: Path) -> dict[str, list[str]]:
    """{clip name: words, the longest first}. Raises UserError that names the file, and the clip without a list."""
    content = read_json(path, _REMEDY)
    for name, words in content.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UserError(f"{path}: clip {name} has no list of words; {_REMEDY}")
    return {name: list(map(spelled, words)) for name, words in content.items()}


def read_keyword_lists(folder: Path) -> dict[str, dict[str, list[str]]]:
    """{split: {clip name: words}} of name2kws_{train,val,test}.json. Raises UserError as `read_keywords` does,
    and when a file is missing."""
    paths = {split: folder / f"name2kws_{split}.json" for split in SPLITS}
    for path in paths.values():
        if not path.is_file():
            raise UserError(
                f"{path} does not exist: set `keywords` to the folder of SOKE's lists, or make them "
                "with `python -m prepare.keywords`"
            )
    return {split: read_keywords(path) for split, path in paths.items()}


def check_keywords(
    path: Path, lists: Mapping[str, Sequence[str]], clips: Sequence[Clip], signs: Collection[str]
) -> None:
    """Logs how many clips have no list, and how many words of the lists have no sign.

    path: the file of the lists, for the messages; signs: words that have a sign

    Raises UserError when the lists are of none of the clips, when clips of two corpora share one, and when none of
    their words has a sign.
    """
    corpora: dict[str, str] = {}
    for clip in clips:
        if corpora.setdefault(clip.name, clip.corpus) != clip.corpus and clip.name in lists:
            raise UserError(
                f"{path} has one list for {clip.name}, which is a clip of {corpora[clip.name]} and of {clip.corpus}: "
                "leave one of the corpora out, or set `keywords` to nothing"
            )
    without = [clip for clip in clips if clip.name not in lists]
    if clips and len(without) == len(clips):
        raise UserError(
            f"{path} has a list for none of the {len(clips)} clips, {clips[0].name} the first of them: set "
            "`keywords` to lists of these corpora, or make them with `python -m prepare.keywords`"
        )
    words = dict.fromkeys(word for clip in clips for word in lists.get(clip.name, ()))
    unknown = [word for word in words if word not in signs]
    if words and len(unknown) == len(words):
        raise UserError(
            f"{path} names no word of the lexicon, which lacks {unknown[0]!r} and all others: set "
            "`keywords` to lists of this lexicon's words"
        )
    if without:
        _log.warning(
            "%s has no list for %d of %d clips, %s the first of them: their words are looked for in "
            "their sentences", path, len(without), len(clips), without[0].name,
        )
    if unknown:
        _log.warning(
            "%d of the %d words that %s names have no sign in the lexicon, %r the first of them: they are left out",
            len(unknown), len(words), path, unknown[0],
        )
