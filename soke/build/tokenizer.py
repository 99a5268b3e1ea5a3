"""Tokenizers, new and trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from soke.build import agreement, devices
from soke.build.body import body_model, layout_of
from soke.build.data import statistics_of
from soke.data.clip import Corpus
from soke.errors import UserError
from soke.run import folders
from soke.run.config import Config, model_folder
from soke.run.processes import World
from soke.tokenizer.tokenizer import SignTokenizer

if TYPE_CHECKING:  # what trains and what scores is imported by those who do
    from soke.data.datamodule import SignDataModule
    from soke.evaluation.outcome import Evaluation
    from soke.tokenizer.module import TokenizerModule


def own_tokenizer(config: Config, device: str | None = None) -> SignTokenizer:
    """The exported tokenizer of this run. device: None: where single-process work runs"""
    return _trained(config, export_folder_of(config), device)


def named_tokenizer(config: Config, device: str | None = None) -> SignTokenizer:
    """The tokenizer that TOKENIZER.PATH names (UserError where it names none). device: as of `own_tokenizer`"""
    if not config.tokenizer.path:
        raise UserError("TOKENIZER.PATH is empty: set it to the folder of a trained tokenizer")
    return _trained(config, model_folder(config.tokenizer.path), device)


def _trained(config: Config, folder: Path, device: str | None) -> SignTokenizer:
    tokenizer = SignTokenizer.from_pretrained(folder)
    agreement.check_tokenizer(config, layout_of(config), tokenizer, folder)
    return tokenizer.to(device or devices.device_of(config))


def export_folder_of(config: Config) -> Path:
    """Folder of the trained model that is to be tested or shown."""
    return model_folder(config.test.checkpoint) if config.test.checkpoint else folders.export_folder(config)


def exports(config: Config) -> dict[str, Path]:
    return {config.train.stage: export_folder_of(config)}


def new_tokenizer(config: Config, corpora: list[Corpus]) -> SignTokenizer:
    parts = layout_of(config)
    found = statistics_of(config, parts, corpora, partial=True)
    return SignTokenizer(parts, found.mean, found.std, config.tokenizer.autoencoders(config.parts), found.form)


def training_module(config: Config, data: SignDataModule) -> TokenizerModule:
    from soke.tokenizer.module import TokenizerModule

    return TokenizerModule(
        new_tokenizer(config, data.corpora), body_model(config, "cpu"), config.loss, config.train.optim,
        config.eval.best,
    )


def scores(tokenizer: SignTokenizer, config: Config, world: World) -> Evaluation:
    from soke.build.testing import evaluation_setting
    from soke.tokenizer.reconstruction import reconstruction

    return reconstruction(tokenizer, evaluation_setting(config, world))
