"""Tokenizers, new and trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soke.body.layout import MotionLayout
from soke.build import agreement, devices
from soke.build.body import body_model, layout_of
from soke.build.data import statistics_of
from soke.build.starting import check_form, init_folder, kept_statistics, tell, unlike_parts
from soke.data.clip import Corpus
from soke.errors import UserError
from soke.run import folders
from soke.run.config import Config, model_folder
from soke.run.processes import World
from soke.starting import take
from soke.tokenizer.quantizers.codebook import CodebookQuantizer
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


def coder_of(config: Config) -> SignTokenizer | None:
    """The tokenizer that METRIC.TOKENIZER names, if it names one. Raises UserError for one that sees what the
    configuration's motions do not have, or frames of another format."""
    if not config.metric.tokenizer:
        return None
    folder, seen = model_folder(config.metric.tokenizer), layout_of(config)
    tokenizer = SignTokenizer.from_pretrained(folder)
    check_form(config, tokenizer.form, folder, "METRIC.TOKENIZER")
    more = sorted(tokenizer.layout.covers - seen.covers)
    if tokenizer.layout.of_positions != seen.of_positions or more or _expressions(tokenizer.layout) > _expressions(seen):
        more = more or ["more expression coefficients"]
        others = f" and {len(more) - 1} others" * (len(more) > 1)
        raise UserError(
            f"METRIC.TOKENIZER: the tokenizer in {folder} sees {more[0]}{others}, which PARTS does not have: name one of "
            "such parts"
        )
    return tokenizer.to(devices.device_of(config))


def _expressions(layout: MotionLayout) -> int:
    return max(part.expression for part in layout.parts)


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
    """With random weights, or with those of the one that TRAIN.INIT names, as far as they fit. Raises UserError where none
    of its parts does."""
    parts, settings, folder = layout_of(config), config.tokenizer.autoencoders(config.parts), init_folder(config)
    found = statistics_of(config, parts, corpora, partial=True)
    if folder is None:
        return SignTokenizer(parts, found.mean, found.std, settings, found.form)
    trained = SignTokenizer.from_pretrained(folder)
    check_form(config, trained.form, folder)
    unlike = unlike_parts(parts, trained.layout)
    fitting = [part for part in settings if part in trained.settings and part not in unlike]
    if not fitting:
        raise UserError(
            f"TRAIN.INIT: no part of the tokenizer in {folder} is one of PARTS: "
            + ", ".join(f"{part} ({unlike[part]})" for part in settings)
        )
    mean, std = ({p: getattr(trained.autoencoders[p], kind) for p in fitting} for kind in ("mean", "std"))
    found = kept_statistics(config, found, mean, std, folder)
    tokenizer = SignTokenizer(parts, found.mean, found.std, settings, found.form)
    _take(tokenizer, trained, fitting, unlike, folder)
    return tokenizer


def _take(
    tokenizer: SignTokenizer, trained: SignTokenizer, fitting: Sequence[str], unlike: Mapping[str, str], folder: Path
) -> None:
    """Gives a tokenizer the weights of a trained one's fitting parts, and says what of it begins anew, or is unlike."""
    prefixes = tuple(f"autoencoders.{part}." for part in fitting)
    theirs = {name: value for name, value in trained.state_dict().items() if name.startswith(prefixes)}
    normal = [f"autoencoders.{part}.{kind}" for part in tokenizer.settings for kind in ("mean", "std")]
    begun = take(tokenizer, theirs, keeps=normal)
    for part in fitting:
        if not any(name.startswith(f"autoencoders.{part}.") for name in begun.anew):
            tokenizer.begun[part] = [trained.part_hash(part), *trained.begun.get(part, ())]
    begin_codebooks(tokenizer)
    differ = [f"the part {part} begins anew: {why}" for part, why in unlike.items() if part in tokenizer.settings]
    tell(begun, folder, tokenizer, *differ)


def begin_codebooks(tokenizer: SignTokenizer) -> None:
    """Lets a new training begin from the codebooks that are trained already."""
    for quantizer in tokenizer.modules():
        if isinstance(quantizer, CodebookQuantizer) and quantizer.updates:
            quantizer.go_on()


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
