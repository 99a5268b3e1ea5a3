"""The classes that read corpora, by their names in a configuration."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Mapping

from soke.body.skeleton import UNKNOWN_UNIT
from soke.data.clip import Corpus
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.face_clips import FaceClips
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.joint_tables import JointTable, read_joint_table
from soke.data.corpora.lines import LinesCorpus
from soke.data.corpora.nmfs_csl import NMFsCSL
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.corpora.skels import SkelsCorpus
from soke.data.settings import CorpusSettings
from soke.errors import UserError
from soke.run.config import resolve
from soke.run.older import reader_today
from soke.settings import near
from soke.text.locales import ALIASES, TEXT_LOCALE, canonical

CORPORA = {"how2sign": How2Sign, "csl": CSLDaily, "phoenix": Phoenix14T, "nmfs_csl": NMFsCSL, "faces": FaceClips}


def reader_of(name: str, settings: CorpusSettings) -> Callable[..., Corpus]:
    """Raises UserError for a reader that cannot be imported."""
    if not settings.reader:
        return CORPORA[name]
    return _imported(f"DATASET.CORPORA.{name}.READER", reader_today(settings.reader))


def stated(name: str, settings: CorpusSettings) -> dict[str, Any]:
    """What the configuration states of a corpus, as arguments of its reader.

    Raises UserError for what this reader does not take, an unknown sign language, and a joint table that cannot be
    read.
    """
    reader, key = reader_of(name, settings), f"DATASET.CORPORA.{name}"
    if not _is(reader, LinesCorpus):
        for field in ("language", "locale", "fps", "joints"):
            if getattr(settings, field):
                raise UserError(
                    f"{key}.{field.upper()}: only readers of .skels files take it, and of this corpus the class says "
                    "it; leave the key out, or subclass the reader"
                )
        return {}
    language = canonical(settings.language)
    if language and not settings.locale and language not in TEXT_LOCALE:
        known = [*TEXT_LOCALE, *ALIASES]
        raise UserError(
            f"{key}.LANGUAGE: {settings.language} is none of {', '.join(known)}{near(settings.language, known)}; of "
            f"another sign language say also in which language its texts are, {key}.LOCALE, by mBART's name (en_XX)"
        )
    given = {"name": name, "language": settings.language, "locale": settings.locale, "fps": settings.fps}
    given = {argument: value for argument, value in given.items() if value}
    if settings.joints and not _is(reader, SkelsCorpus):
        raise UserError(f"{key}.JOINTS: {settings.reader} has joints of its own; leave the key out")
    return {**given, "joints": joint_table_of(settings)} if settings.joints else given


def joint_table_of(settings: CorpusSettings) -> JointTable:
    """Raises UserError as `read_joint_table`."""
    return read_joint_table(resolve(settings.joints))


def form_of(name: str, settings: CorpusSettings) -> tuple[str, str]:
    """Unit and upward direction of a corpus's positions."""
    if settings.joints:
        table = joint_table_of(settings)
        return table.unit, table.up
    reader = reader_of(name, settings)
    return getattr(reader, "unit", UNKNOWN_UNIT), getattr(reader, "up", "+y")


def _is(reader: object, kind: type) -> bool:
    return isinstance(reader, type) and issubclass(reader, kind)


def with_sentences(corpora: Mapping[str, CorpusSettings]) -> dict[str, CorpusSettings]:
    """Those whose clips are sentences, or signs: all but such as train tokenizers alone. Raises UserError where there is
    none left, and as `reader_of` does."""
    found = {name: s for name, s in corpora.items() if getattr(reader_of(name, s), "has_sentences", True)}
    if corpora and not found:
        raise UserError(
            f"the clips of {', '.join(corpora)} are no sentences: they train a tokenizer and nothing else; name a corpus of "
            "sentences in DATASET.CORPORA"
        )
    return found


def _imported(key: str, path: str) -> Callable[..., Corpus]:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}: {path} cannot be imported ({error}); write package.module.Class") from error
