"""A new generator that begins from the weights of a trained one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from soke.errors import UserError
from soke.generator.files import MBART, read_settings, saved_weights, untrained_mbart
from soke.generator.model import SignGenerator
from soke.generator.retrieval import Keywords, Signs
from soke.generator.schemes import SCHEMES
from soke.generator.sign_vocabulary import SignVocabulary
from soke.generator.spec import GeneratorSpec
from soke.generator.text_tokenizer import load_text_tokenizer
from soke.tokenizer.codes import module_name

_HEADS = "heads.linear."


def untrained(folder: Path, spec: GeneratorSpec, signs: Signs, keywords: Keywords | None = None) -> SignGenerator:
    """A generator of random weights with the mBART, and the text tokenizer, of the trained one in a folder. Raises
    UserError where there is none."""
    read_settings(folder)
    mbart = untrained_mbart(folder / MBART, spec.settings.dropouts)
    return SignGenerator(spec, mbart, load_text_tokenizer(folder / MBART), signs, keywords)


@torch.no_grad()
def begin_from(generator: SignGenerator, folder: Path, streams: Collection[str] | None = None) -> list[str]:
    """Gives a generator the weights in the folder of a trained one that fit: those of the same name and shape, and of the
    embedding table the rows of the same tokens, whatever their numbers are.

    streams: those whose codes mean the same in the tokenizers of both; None: all, as there is but one tokenizer

    Returns the names of the weights, and of the rows, that keep what they had; a text head of its own starts as the text
    tokens' rows are. Raises UserError for a generator that speaks the codes of another tokenizer, if `streams` is None,
    whose text tokenizer is another, or whose mBART has another width, and where there is none.
    """
    folder = Path(folder)
    spec, _, _ = read_settings(folder)
    _check(generator, spec, folder, streams is None)
    same = [
        name for name, size in spec.streams.items()
        if generator.spec.streams.get(name) == size and (streams is None or name in streams)
    ]
    theirs, ours = saved_weights(folder), generator.state_dict()
    table = generator.mbart.shared.weight
    covered: set[int] = set()
    left = []
    for name, value in theirs.items():
        own = ours.get(name)
        if own is None or _is_of_other_streams(name, same):
            continue
        if own.data_ptr() == table.data_ptr():
            if own.shape[1] != value.shape[1]:
                raise UserError(
                    f"the generator in {folder} is of width {value.shape[1]}, this one of {own.shape[1]}: set "
                    "GENERATOR.MBART to a model of the size that it was trained with"
                )
            left += _copy_rows(generator, spec, own, value, same)
        elif own.shape == value.shape:
            own.copy_(value)
        else:
            continue
        covered.add(own.data_ptr())
    head = generator.text_head
    if head.weight is not None and head.weight.data_ptr() not in covered:
        head.weight.copy_(table[: head.size])
    return left + [name for name, own in generator.named_parameters() if own.data_ptr() not in covered]


def _is_of_other_streams(name: str, streams: Collection[str]) -> bool:
    """Whether a weight is of the head of none of these streams."""
    return name.startswith(_HEADS) and name.removeprefix(_HEADS).split(".")[0] not in map(module_name, streams)


def _check(generator: SignGenerator, spec: GeneratorSpec, folder: Path, one_tokenizer: bool) -> None:
    wanted = generator.spec.tokenizer_hash
    if one_tokenizer and spec.tokenizer_hash != wanted:
        raise UserError(
            f"the generator in {folder} speaks the codes of tokenizer {spec.tokenizer_hash}, this run those of "
            f"{wanted}: name one that was trained with this tokenizer, or set TOKENIZER.PATH to its own"
        )
    if load_text_tokenizer(folder / MBART).get_vocab() != generator.source.text_tokenizer.get_vocab():
        raise UserError(
            f"the generator in {folder} reads text in other tokens than {generator.spec.settings.mbart}: set "
            "GENERATOR.MBART to the mBART that it was trained from"
        )


def _copy_rows(
    generator: SignGenerator, spec: GeneratorSpec, own: Tensor, value: Tensor, codes: Collection[str]
) -> list[str]:
    """Copies the rows [*, D] of text tokens, of the codes of these streams and of the languages that both have, of each
    stream's where they have one for each; returns of which languages and codes some begin anew."""
    ours, streams = generator.vocabulary, list(spec.streams.values())
    by_part = spec.settings.prompts == "language_and_part"
    prompts = len(streams) if by_part else SCHEMES[spec.settings.decoding](streams).rows
    theirs = SignVocabulary(ours.text_size, spec.languages, spec.streams, prompts)
    own[: ours.text_size] = value[: ours.text_size]
    first, their_first = (dict(zip(v.streams, v.first_codes.tolist())) for v in (ours, theirs))
    for stream in codes:
        size = ours.streams[stream]
        own[first[stream] : first[stream] + size] = value[their_first[stream] : their_first[stream] + size]
    mine, of = (list(v.streams) if v.prompts > 1 else [""] for v in (ours, theirs))  # what a language's tokens are of
    both = [name for name in mine if name in of]
    for language in (name for name in ours.languages if name in theirs.languages):
        to, source = ours.language_ids(language), theirs.language_ids(language)
        for name in both:
            own[to[mine.index(name)]] = value[source[of.index(name)]]
    new = [f"the tokens of {name}" for name in ours.languages if name not in theirs.languages or both != mine]
    return new + [f"the codes of {name}" for name in ours.streams if name not in codes]
