"""The files of a generator's folder, and of an mBART's."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from soke import __version__
from soke.data.recordings import Recording
from soke.errors import UserError
from soke.generator.retrieval import Keywords, Signs
from soke.generator.spec import GeneratorSpec
from soke.hashing import StateHash
from soke.saved import FORMAT, check_format, require
from soke.settings import SettingsError
from soke.storage import file_hash, read_json

WEIGHTS, MBART = "model.safetensors", "mbart"
_SETTINGS, _LEXICON, _KEYWORDS = "generator.json", "lexicon.json", "keywords.json"
_COPY = "copy or fetch it again"
_HOW_TO_TRAIN = "train one with `python -m train --cfg configs/soke.yaml --nodebug`"


def write_settings(folder: Path, spec: GeneratorSpec, signs: Signs, keywords: Keywords) -> None:
    """The last files of a generator's folder: their table holds hashes of all that are there, and one of itself."""
    plain = {
        language: {word: [_plain(recording) for recording in recordings] for word, recordings in entries.items()}
        for language, entries in signs.items()
    }
    for name, content in ((_LEXICON, plain), (_KEYWORDS, keywords)):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    files = {path.relative_to(folder).as_posix(): file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    settings = {"version": __version__, "format": FORMAT, "spec": spec.to_plain(), "files": files}
    settings["hash"] = _hash(settings)
    (folder / _SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")


def read_settings(folder: Path) -> tuple[GeneratorSpec, Signs, Keywords]:
    """What `write_settings` wrote. Raises UserError when the folder holds no generator, or one of an unknown form, and
    when a file is missing, damaged, or was changed since; the weights are not looked at."""
    require(folder, "generator", (_SETTINGS,), _HOW_TO_TRAIN)
    saved: dict[str, Any] = {}
    try:
        saved = _content(folder / _SETTINGS)
        check_format(saved, folder / _SETTINGS)
        spec = GeneratorSpec.from_plain(saved["spec"])
    except UserError as error:  # it was saved before generators kept their locales
        where = "" if str(error).startswith(str(folder)) else f"{folder / _SETTINGS}: "
        raise UserError(f"{where}{error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, SettingsError) as error:
        version = saved.get("version", "unknown") if isinstance(saved, dict) else "unknown"
        raise UserError(
            f"{folder / _SETTINGS} cannot be read by version {__version__} ({type(error).__name__}: {error}): it is "
            f"damaged, or of another version (it names {version}), which reads it; or train the generator again"
        ) from error
    _check(saved, folder, weights=False)
    older = not (folder / _KEYWORDS).is_file()  # which have none
    keywords = {} if older else read_json(folder / _KEYWORDS, _COPY)
    try:
        signs = {
            language: {word: _recordings(plain) for word, plain in entries.items()}
            for language, entries in read_json(folder / _LEXICON, _COPY).items()
        }
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{folder / _LEXICON} is not the lexicon of a generator ({reason}): {_COPY}") from error
    return spec, signs, keywords


def _check(saved: Mapping[str, Any], folder: Path, weights: bool) -> None:
    """Raises UserError for a table that was changed, and for a file named in it that is missing or is another one.

    saved:   what the table holds; that of older generators names no files
    weights: whether those are looked at, or all else
    """
    if saved.get("hash") != _hash(saved) and not {"hash", "files"}.isdisjoint(saved):
        raise UserError(
            f"{folder / _SETTINGS} was changed after the generator was saved: {_COPY}, for what it says is how the "
            "weights were trained"
        )
    for name, value in saved.get("files", {}).items():
        if weights != (name == WEIGHTS):
            continue
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} does not exist; {_COPY}")
        if file_hash(folder / name) != value:
            raise UserError(f"{folder / name} was changed after the generator was saved, or is another's: {_COPY}")


def load_weights(generator: nn.Module, folder: Path) -> None:
    """Raises UserError for a file that is missing, damaged or changed, or of another generator."""
    from safetensors.torch import load_model

    with _readable(folder / WEIGHTS):
        _check(_content(folder / _SETTINGS), folder, weights=True)
        load_model(generator, str(folder / WEIGHTS))


def saved_weights(folder: Path) -> dict[str, Tensor]:
    """Name -> weight. Raises UserError for a file that is missing, damaged or changed."""
    from safetensors.torch import load_file

    with _readable(folder / WEIGHTS):
        _check(_content(folder / _SETTINGS), folder, weights=True)
        return load_file(folder / WEIGHTS)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]  # torch lists every weight that does not fit
        raise UserError(f"{path} cannot be read ({reason}): {_COPY}") from error


def untrained_mbart(folder: Path, dropouts: Mapping[str, float] | None = None) -> nn.Module:
    """A transformers MBartModel of the size that the folder's config.json states. dropouts: as of `trained_mbart`"""
    from transformers import MBartModel

    return MBartModel(_mbart_config(folder, dropouts))


def trained_mbart(folder: Path, dropouts: Mapping[str, float] | None = None) -> nn.Module:
    """The transformers MBartModel of a folder in mBART's format, in float32. Where there are safetensors, nothing else is
    read.

    dropouts: entries of its configuration that are others than in the folder

    Raises UserError when weights are missing or cannot be read.
    """
    from safetensors import SafetensorError
    from transformers import MBartModel, logging

    if (folder / "adapter_config.json").is_file():  # whose model transformers would fetch from wherever it says
        raise UserError(f"{folder} holds an adapter besides: merge it into the model, and remove adapter_config.json")
    logging.set_verbosity_error()  # it reports at length that a model without a text head has no text head
    try:
        mbart, report = MBartModel.from_pretrained(
            str(folder), config=_mbart_config(folder, dropouts), local_files_only=True, output_loading_info=True,
            dtype=torch.float32, use_safetensors=any(folder.glob("*.safetensors")) or None,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"the model weights in {folder} cannot be read: {str(error).splitlines()[0]}") from None
    missing = report["missing_keys"]
    if missing:
        raise UserError(f"{folder} lacks {len(missing)} of mBART's weights, {min(missing)} among them")
    return mbart


def _mbart_config(folder: Path, dropouts: Mapping[str, float] | None = None) -> Any:
    """Raises UserError for one that is damaged, or names code by which the model is to be computed: kernels of the hub,
    which transformers would fetch and run."""
    from transformers import MBartConfig

    path = folder / "config.json"
    remedy = "write it again with `save_pretrained`, or download it again"
    content = read_json(path, remedy)
    named = [key for key, value in content.items() if key.endswith("_implementation") and "/" in str(value)]
    if named:
        raise UserError(f"{path} names code to be run, {named[0]}={content[named[0]]!r}: remove the key; {remedy}")
    try:
        return MBartConfig.from_dict({**content, **(dropouts or {})})
    except Exception as error:  # of any wrong value
        raise UserError(f"{path} is no configuration of an mBART ({str(error).splitlines()[0]}); {remedy}") from error


def _hash(saved: Mapping[str, Any]) -> str:
    return StateHash()([saved.get("spec"), saved.get("files")], {})


def _content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _plain(recording: Recording) -> dict[str, Any]:
    return {"name": recording.name, "source": recording.source, "codes": recording.codes.tolist()}


def _recordings(plain: Sequence) -> list[Recording]:
    """The inverse of `_plain` for a word's recordings; older generators have one without a name, as its codes alone."""
    if not isinstance(plain[0], dict):
        return [Recording("unknown", torch.tensor(plain))]
    return [Recording(r["name"], torch.tensor(r["codes"]), r["source"]) for r in plain]
