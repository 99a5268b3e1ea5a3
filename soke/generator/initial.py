"""A new generator that begins from the weights of a trained one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from soke.errors import UserError
from soke.generator.files import MBART, WEIGHTS, read_settings
from soke.generator.model import SignGenerator
from soke.generator.schemes import SCHEMES
from soke.generator.sign_vocabulary import SignVocabulary
from soke.generator.spec import GeneratorSpec
from soke.generator.text_tokenizer import load_text_tokenizer


@torch.no_grad()
def begin_from(generator: SignGenerator, folder: Path) -> list[str]:
    """Gives a generator the weights in the folder of a trained one that fit: those of the same name and shape, and of the
    embedding table the rows of the same tokens, whatever their numbers are.

    Returns the names of the weights, and of the rows, that keep what they had. Raises UserError for a generator that
    speaks the codes of another tokenizer, whose text tokenizer is another, or whose mBART has another width, and where
    there is none.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    spec, _, _ = read_settings(folder)
    _check(generator, spec, folder)
    theirs, ours = load_file(folder / WEIGHTS), generator.state_dict()
    table = generator.mbart.shared.weight
    covered: set[int] = set()
    left = []
    for name, value in theirs.items():
        own = ours.get(name)
        if own is None:
            continue
        if own.data_ptr() == table.data_ptr():
            if own.shape[1] != value.shape[1]:
                raise UserError(
                    f"the generator in {folder} is of width {value.shape[1]}, this one of {own.shape[1]}: set "
                    "GENERATOR.MBART to a model of the size that it was trained with"
                )
            left += _copy_rows(generator, spec, own, value)
        elif own.shape == value.shape:
            own.copy_(value)
        else:
            continue
        covered.add(own.data_ptr())
    return left + [name for name, own in generator.named_parameters() if own.data_ptr() not in covered]


def _check(generator: SignGenerator, spec: GeneratorSpec, folder: Path) -> None:
    wanted = generator.spec.tokenizer_hash
    if spec.tokenizer_hash != wanted:
        raise UserError(
            f"the generator in {folder} speaks the codes of tokenizer {spec.tokenizer_hash}, this run those of "
            f"{wanted}: name one that was trained with this tokenizer, or set TOKENIZER.PATH to its own"
        )
    if load_text_tokenizer(folder / MBART).get_vocab() != generator.source.text_tokenizer.get_vocab():
        raise UserError(
            f"the generator in {folder} reads text in other tokens than {generator.spec.settings.mbart}: set "
            "GENERATOR.MBART to the mBART that it was trained from"
        )


def _copy_rows(generator: SignGenerator, spec: GeneratorSpec, own: Tensor, value: Tensor) -> list[str]:
    """Copies the rows [*, D] of text tokens, codes and languages that both have; returns which languages are new."""
    ours, streams = generator.vocabulary, list(spec.streams.values())
    by_part = spec.settings.prompts == "language_and_part"
    prompts = len(streams) if by_part else SCHEMES[spec.settings.decoding](streams).rows
    theirs = SignVocabulary(ours.text_size, spec.languages, spec.streams, prompts)
    own[: ours.text_size] = value[: ours.text_size]
    own[int(ours.first_codes[0]) :] = value[int(theirs.first_codes[0]) :]
    same = [name for name in ours.languages if name in theirs.languages and prompts == ours.prompts]
    for language in same:
        own[ours.language_ids(language)] = value[theirs.language_ids(language)]
    return [f"the tokens of {name}" for name in ours.languages if name not in same]
