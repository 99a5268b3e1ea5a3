"""The classes that read corpora, by their names in a configuration."""

from __future__ import annotations

import importlib
from typing import Callable, Mapping

from soke.data.clip import Corpus
from soke.data.csl_daily import CSLDaily
from soke.data.face_clips import FaceClips
from soke.data.how2sign import How2Sign
from soke.data.nmfs_csl import NMFsCSL
from soke.data.phoenix14t import Phoenix14T
from soke.data.settings import CorpusSettings
from soke.errors import UserError

CORPORA = {"how2sign": How2Sign, "csl": CSLDaily, "phoenix": Phoenix14T, "nmfs_csl": NMFsCSL, "faces": FaceClips}


def reader_of(name: str, settings: CorpusSettings) -> Callable[..., Corpus]:
    """Raises UserError for a reader that cannot be imported."""
    return _imported(f"DATASET.CORPORA.{name}.READER", settings.reader) if settings.reader else CORPORA[name]


def with_sentences(corpora: Mapping[str, CorpusSettings]) -> dict[str, CorpusSettings]:
    """Those whose clips are sentences, or signs: all but such as train tokenizers alone. Raises as `reader_of` does."""
    return {name: s for name, s in corpora.items() if getattr(reader_of(name, s), "has_sentences", True)}


def _imported(key: str, path: str) -> Callable[..., Corpus]:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}: {path} cannot be imported ({error}); write package.module.Class") from error
