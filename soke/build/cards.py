"""What a run has recorded beside the model that it exported, for the model's card."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soke.build.stages import STAGES, Late
from soke.data.clip import SPLITS
from soke.data.storage.packed import PackedStore
from soke.data.synthetic.files import STAMP
from soke.errors import UserError
from soke.report.data_card import Counted
from soke.report.model_card import Described, TrainedOn, licences
from soke.report.results import read_results
from soke.run import changes
from soke.run.config import resolve
from soke.run.folders import CONFIG, PROVENANCE, recorded
from soke.saved import KINDS, kind_of
from soke.storage import folder_hash, read_json
from soke.tokenizer.saved import saved_hash

log = logging.getLogger(__name__)
_AGAIN = "train or test again, or remove it"


def models_in(folder: Path) -> dict[str, Path]:
    """The saved model that a folder is, as "", or the models of a run's corpora, by their place in it.
    Raises UserError for a folder that is neither."""
    if kind_of(folder) in KINDS:
        return {"": folder}
    one_of_each = sorted(path for stage in ("translation", "retrieval") for path in folder.glob(f"*/{stage}"))
    places = [path for path in one_of_each if kind_of(path) in KINDS]
    found = {path.relative_to(folder).as_posix(): path for path in places}
    if not found:
        inside = [str(path) for path in sorted(folder.glob("*")) if path.is_dir() and kind_of(path) in KINDS]
        raise UserError(
            f"no model in {folder}: name "
            + (" or ".join(inside) or "the folder that a training has exported, as experiments/generator/soke/generator")
        )
    return found


def check_whole(folder: Path) -> None:
    """Loads the model once. Raises UserError for one that cannot be."""
    Late(kind_of(folder).loads).resolve().from_pretrained(folder)


def described(folder: Path, name: str = "", results: Sequence[Path] = ()) -> Described:
    """A saved model with what the folder above it, of its run, and the results of its tests say.

    name:    see `Described`
    results: folders of tests; those of the run's own name count besides, where they are of this very model
    Raises UserError for results of other models, and for records that cannot be read.
    """
    run, hashed = folder.resolve().parent, folder_hash(folder)
    saved = changes.recorded(run / CONFIG) if (run / CONFIG).is_file() else {}
    stage, provenance = STAGES.get(saved.get("TRAIN.STAGE")), recorded(run, PROVENANCE, _AGAIN)
    if stage is None:  # it is the file of something else
        return Described(folder, name, results=_scores(results, (), hashed))
    corpora = _corpora(run, saved)
    settings = {
        key: Path(value).name if str(value).startswith(("/", "~")) else value  # where it lay is this machine's affair
        for key, value in changes.that_trained(saved, stage.trained_by).items()
        if not key.startswith("PARTS") or ".quantizer" in key  # the others are the layout
    }
    if saved.get("TRAIN.INIT"):
        settings["TRAIN.INIT"] = _called(saved["TRAIN.INIT"])
    facts = {key: provenance[key] for key in ("layout_hash", "statistics_hash", "epochs") if key in provenance}
    facts |= {f"version of {package}": number for package, number in recorded(run, "versions", _AGAIN).items()}
    own = resolve(saved["RESULTS"]) / saved["NAME"]
    scores = _scores(results, (own, own.parent, own / "m2t"), hashed)
    return Described(folder, name, corpora, settings, facts, scores, _made_of(folder, saved))


def _corpora(run: Path, saved: Mapping[str, Any]) -> list[TrainedOn]:
    """Those that a run was trained on. saved: its configuration"""
    named = [key.split(".")[2] for key in saved if key.startswith("DATASET.CORPORA.") and key.endswith(".ROOT")]
    data = recorded(run, "data", _AGAIN) or {corpus: {"languages": (), "clips": {}} for corpus in named}
    return [_trained_on(corpus, facts, saved) for corpus, facts in data.items()]


def _made_of(folder: Path, saved: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What went into a saved model besides the data of its run: into the model that it began from, and into the tokenizer
    in its folder; as `Described.made_of`. saved: the run's configuration"""
    found, tokenizer = _before(saved), folder / "tokenizer"
    if tokenizer.is_dir():
        place = resolve(saved.get("TOKENIZER.PATH", ""))
        there = place if (place / "config.json").is_file() and saved_hash(place) == saved_hash(tokenizer) else None
        found += _into(there, f"tokenizer {_called(saved.get('TOKENIZER.PATH', ''))}", "its tokenizer", ())
    return list(dict.fromkeys(found))


def _before(saved: Mapping[str, Any], seen: Sequence[Path] = ()) -> list[tuple[str, str, str]]:
    """The same of what a run began from, and of what that began from. seen: models of which this is told already"""
    if not saved.get("TRAIN.INIT"):
        return []
    named, stage = resolve(saved["TRAIN.INIT"]), saved["TRAIN.STAGE"]
    places = [named, *(path for path in sorted(named.glob(f"*/{stage}")) if f"DATASET.CORPORA.{path.parent.name}.ROOT" in saved)]
    there = next((path for path in places if kind_of(path) in KINDS), None)
    return [] if there in seen else _into(there, _called(saved["TRAIN.INIT"]), "the model that it began from", seen)


def _into(folder: Path | None, called: str, role: str, seen: Sequence[Path]) -> list[tuple[str, str, str]]:
    """Of one model, which is in a folder, or is not there any more."""
    run = None if folder is None else folder.resolve().parent
    saved = changes.recorded(run / CONFIG) if run is not None and (run / CONFIG).is_file() else {}
    if saved.get("TRAIN.STAGE") not in STAGES:  # it came from elsewhere
        return [(called, role, licences()["unknown"])]
    rows = [(f"{c.name} ({c.title})", f"{role} was trained on", c.terms) for c in _corpora(run, saved)]
    return rows + _before(saved, (*seen, folder))


def _called(place: str) -> str:
    """A model's place without what is this machine's affair."""
    return "/".join(Path(place).parts[-2:])


def _trained_on(name: str, facts: Mapping[str, Any], saved: Mapping[str, Any]) -> TrainedOn:
    key = f"DATASET.CORPORA.{name}"
    root = saved.get(f"{key}.ROOT") or saved.get("DATASET.LEXICON")
    title, terms, _ = terms_of(name, resolve(root) if root else None, bool(saved.get(f"{key}.READER")))
    return TrainedOn(name, facts["languages"], facts["clips"], title, terms)


def terms_of(corpus: str, root: Path | None, own: bool = False) -> tuple[str, str, bool]:
    """What a corpus is, on which terms it is given, and whether it is an invented one, which the folder tells that lies
    in or above its `root`. own: it has a reader of its own, and is not the known one of that name"""
    known = licences()
    if root is not None and any((place / STAMP).is_file() for place in (root, root.resolve().parent)):
        return *known["synthetic"], True
    if corpus in known["corpora"] and not own:
        return *known["corpora"][corpus], False
    return "a corpus of that name", known["unknown"], False


def counted(store: PackedStore) -> dict[str, Counted]:
    """What a packed store holds, for its data card: split -> its numbers."""
    found = {}
    for split in filter(store.has, SPLITS):
        clips = store.clips(split)
        frames = [store.place(clip).frames for clip in clips]
        found[split] = Counted(
            len(clips), sum(frames), sum(count / clip.fps for count, clip in zip(frames, clips)) / 3600,
            sorted({clip.language for clip in clips}), sorted({clip.fps for clip in clips}),
            len({clip.signer for clip in clips} - {None}),
        )
    return found


def _scores(named: Sequence[Path], own: Sequence[Path], hashed: str) -> list[dict[str, Any]]:
    """Of the model with this hash, the contents of the table.json in these folders. Raises UserError for a named folder
    without scores of it."""
    found = []
    for folder in dict.fromkeys((*own, *named)):
        path = folder / "table.json"
        if not path.is_file() and folder not in named:
            continue
        read_results(folder)  # which says what is wrong with it
        content = read_json(path, _AGAIN)
        models = content.get("conditions", {}).get("models", {})
        of = [key for key, model in models.items() if model.get("hash") == hashed]
        if of:
            mine = [cell for cell in content["cells"] if cell["corpus"] in of]  # of one corpus's model
            found.append({**content, "cells": mine or content["cells"]})
        elif folder in named:
            raise UserError(f"{path} holds the scores of another model than {hashed}: test this one, or name its results")
        else:
            log.warning("%s holds the scores of another model than is exported now: the card goes without", path)
    return found
