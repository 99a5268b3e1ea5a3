"""Tokenizers, new and trained."""

from __future__ import annotations

from pathlib import Path

from soke.build import agreement, devices
from soke.build.body import layout_of
from soke.build.data import statistics_of
from soke.data.clip import Corpus
from soke.errors import UserError
from soke.run import folders
from soke.run.config import Config, resolve
from soke.tokenizer.tokenizer import AutoencoderSettings, SignTokenizer


def trained_tokenizer(config: Config, device: str | None = None) -> SignTokenizer:
    """The exported tokenizer of this run's stage, or the one that a generator's run names.

    device: None: where single-process work runs
    """
    if config.train.stage == "tokenizer":
        folder = export_folder_of(config)
    elif config.tokenizer.path:
        folder = resolve(config.tokenizer.path)
    else:
        raise UserError("TOKENIZER.PATH is empty: set it to the folder of a trained tokenizer")
    tokenizer = SignTokenizer.from_pretrained(folder)
    agreement.check_tokenizer(config, layout_of(config), tokenizer, folder)
    return tokenizer.to(device or devices.device_of(config))


def export_folder_of(config: Config) -> Path:
    """Folder of the trained model that is to be tested or shown."""
    return resolve(config.test.checkpoint) if config.test.checkpoint else folders.export_folder(config)


def new_tokenizer(config: Config, corpora: list[Corpus]) -> SignTokenizer:
    parts, t = layout_of(config), config.tokenizer
    found = statistics_of(config, parts, corpora)
    settings = {
        part: AutoencoderSettings(size, t.code_dim, t.width, t.depth, t.dilation_growth, t.downsample, t.ema_decay)
        for part, size in t.codes.items()
    }
    return SignTokenizer(parts, found.mean, found.std, settings)
