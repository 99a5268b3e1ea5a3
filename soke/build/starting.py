"""What a training begins from: the model that TRAIN.INIT names, its statistics, and what a log tells of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from soke.body.layout import MotionLayout
from soke.data.clip import Corpus
from soke.data.statistics import Statistics
from soke.errors import UserError
from soke.run import folders
from soke.run.config import Config, model_folder
from soke.saved import KINDS, kind_of, require
from soke.starting import Begun
from soke.storage import folder_hash

log = logging.getLogger(__name__)

INIT_HASH = "TRAIN.INIT hash"  # of a run's record
_FAR = 5  # standard deviations


def init_folder(config: Config) -> Path | None:
    """Folder of the trained model that the training begins from; None where it begins from none."""
    return model_folder(config.train.init) if config.train.init else None


def init_hash(config: Config) -> str:
    """Of the files of what TRAIN.INIT names now, of a folder of all models those of the run's corpora; "" where it names
    nothing, or what is not there."""
    named = init_folder(config)
    if named is None:
        return ""
    places = [named] if kind_of(named) else [named / corpus / config.train.stage for corpus in config.dataset.corpora]
    return " ".join(folder_hash(place) for place in places if place.is_dir())


def begun_from(run: folders.Run) -> dict[str, str]:
    """What a run records of the model that TRAIN.INIT names. Raises UserError where it goes on, but has begun from another
    one than lies there now."""
    now = init_hash(run.config)
    if run.resume_from is None:
        return {INIT_HASH: now} if now else {}
    began = Path(run.resume_from).parent.parent
    before = folders.recorded(began, folders.PROVENANCE, "choose another NAME and train anew").get(INIT_HASH)
    if before is not None and before != now:
        raise UserError(
            f"TRAIN.RESUME: {run.resume_from} is of a training that began from another model than lies in "
            f"{run.config.train.init} now: name the one that it began from in TRAIN.INIT, or choose another NAME and train anew"
        )
    return {} if before is None else {INIT_HASH: before}


def init_of_corpus(config: Config, corpus: Corpus, file: str) -> Path | None:
    """Folder of the model that a corpus's begins from: the corpus's own of a folder of all, or the one that TRAIN.INIT is.
    Raises UserError where there is none.

    file: which such a model's folder has
    """
    folder = init_folder(config)
    if folder is None or (folder / file).is_file():
        return folder
    own = folder / corpus.name / config.train.stage
    if not (own / file).is_file():
        kind = next(kind.name for kind in KINDS if kind.file == file)
        remedy = "name in TRAIN.INIT the folder of one, from which every corpus's begins, or of all"
        require(folder, kind, [file], f"there is none of {corpus.name} in {own} either; {remedy}")
    return own


def tell(begun: Begun, folder: Path, model: nn.Module, *more: str) -> None:
    """Logs what was taken, once, and keeps in `model.fresh` what begins anew; more: further sentences."""
    level = logging.WARNING if begun.anew or begun.unused or more else logging.INFO
    said = [str(begun)] if begun.names else []
    log.log(level, "TRAIN.INIT: of the model in %s, %s", folder, "; ".join([*said, *more]))
    model.fresh = tuple(begun.anew)


def check_form(config: Config, form: str, folder: Path, key: str = "TRAIN.INIT") -> None:
    """Raises UserError for a model, which a key names, of other frames than the configuration's."""
    if form != config.dataset.frames:
        raise UserError(
            f"{key}: the model in {folder} is for the frames {form}, DATASET.FRAMES is {config.dataset.frames}: name "
            "one for these"
        )


def unlike_parts(ours: MotionLayout, theirs: MotionLayout) -> dict[str, str]:
    """Name of each of our parts that the other layout has not, or not so -> in what they differ."""
    known = {spec["name"]: spec for spec in theirs.to_list()}
    found = {}
    for spec in ours.to_list():
        other = known.get(spec["name"])
        if other is None:
            found[spec["name"]] = "it has no such part"
        elif other != spec:
            keys = [key for key in spec if spec[key] != other[key]]
            found[spec["name"]] = f"its {' and '.join(keys)} differ{'s' * (len(keys) == 1)}"
    return found


def require_layout(ours: MotionLayout, theirs: MotionLayout, folder: Path) -> None:
    """Raises UserError that names the parts in which a model's layout is another."""
    if ours.hash == theirs.hash:
        return
    unlike = [f"{part} ({why})" for part, why in unlike_parts(ours, theirs).items()]
    absent = [f"{part} (PARTS has no such part)" for part in theirs.names if part not in ours.names]
    listed = ", ".join([*unlike, *absent]) or f"the order of the parts, {', '.join(theirs.names)}"
    raise UserError(
        f"TRAIN.INIT: the model in {folder} sees other parts than PARTS has: {listed}; set PARTS as it was trained"
    )


def kept_statistics(
    config: Config, ours: Statistics, mean: Mapping[str, Tensor], std: Mapping[str, Tensor], folder: Path
) -> Statistics:
    """Those of the trained model, which its weights are made for, and of parts that it has not seen ours; but ours, with a
    warning, where DATASET.STATISTICS names others. The log tells where the data are far from the model's.

    mean, std: {part: [D]} of the trained model
    """
    known = [part for part in ours.mean if part in mean]
    if config.dataset.statistics and any(
        not values[part].allclose(own[part], rtol=1e-4, atol=1e-6)
        for values, own in ((mean, ours.mean), (std, ours.std)) for part in known
    ):
        log.warning(
            "TRAIN.INIT: mean and standard deviation are those of DATASET.STATISTICS, not those that the model in %s was "
            "trained with", folder,
        )
        return ours
    warn_of_far(ours, mean, std, folder)
    return Statistics(
        {part: mean.get(part, own) for part, own in ours.mean.items()},
        {part: std.get(part, own) for part, own in ours.std.items()}, ours.layout, form=ours.form,
    )


def warn_of_far(ours: Statistics, mean: Mapping[str, Tensor], std: Mapping[str, Tensor], folder: Path) -> None:
    """Says where the training's features are far from those that a model's statistics, {part: [D]}, are of."""
    far = total = 0
    for part in (part for part in ours.mean if part in mean):
        beside = (ours.mean[part] - mean[part]).abs() > _FAR * std[part]
        far += int((beside | (ours.std[part] > _FAR * std[part])).sum())
        total += len(mean[part])
    if far:
        log.warning(
            "%d of the %d features lie more than %d standard deviations from those that %s was trained on, or vary as many "
            "times as much: are the motions in its unit, and of its skeleton?", far, total, _FAR, folder,
        )
