"""What is known of a synthetic corpus on disk: the signs of every clip, their forms, and how somebody else signs them."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from soke.body.motion import JointMotion, Motion
from soke.body.skeletonise import skeleton_50
from soke.data.synthetic.corpora import FOLDERS, SyntheticCorpus, Take, plan_corpora, seed_number
from soke.data.synthetic.faces import FacePlan, fitted_face, model_face, with_face
from soke.data.synthetic.facial_actions import load_facial_actions
from soke.data.synthetic.files import STAMP
from soke.data.synthetic.grammar import Marks
from soke.data.synthetic.motion import NEUTRAL, perform
from soke.data.synthetic.recordings import FaceRecorder, Recorder
from soke.data.synthetic.skeleton_writer import SKELETON_VERSION, stand_in
from soke.data.synthetic.skeletons import SPOKEN, plan_skeletons
from soke.data.synthetic.visemes import mouthing
from soke.data.synthetic.writer import VERSION
from soke.errors import UserError

SKELETONS = "skeletons.json"  # beside folders of positions that are made of other corpora: of which, and how


@dataclass(frozen=True)
class ShownSign:
    """One form of a word's sign, made alone by nobody in particular, from the first frame of its stroke to the last."""

    word: str
    motion: Motion


@dataclass(frozen=True)
class KnownCorpus:
    """A corpus that was written from a plan.

    planned: its sentences, signs and signers
    parameters: of the corpora that it was written with, which decide everything
    """

    planned: SyntheticCorpus
    parameters: dict[str, int | str]

    @property
    def has_faces(self) -> bool:
        return "face" in self.parameters

    @property
    def of_positions(self) -> bool:
        """Whether the corpus holds joint positions."""
        return not {"skels", "positions"}.isdisjoint(self.parameters)

    def signed(self, clip: str) -> tuple[str, ...] | None:
        """The words whose signs a clip shows, in their order; None for a clip that was not planned."""
        take = self._takes.get(clip)
        return None if take is None else take.sentence.words

    def spans(self, clip: str, frames: int) -> list[slice]:
        """Which of so many frames of a clip each of its signs takes, in order. Raises KeyError for a clip that was not
        planned."""
        performance = self.planned.performance(self._takes[clip])
        strokes = performance.strokes * performance.fps * frames / len(performance)
        return [slice(start, end + 1) for start, end in strokes.round().long().tolist()]

    def again(self, clip: str, fps: float, frames: str) -> Motion | JointMotion:
        """The same sentence by another right-handed signer, who takes whichever variant of a sign. Raises KeyError for a
        clip that was not planned.

        frames: smplfx for a motion in SMPL-FX, of a corpus that has faces; soke for one as SOKE's frames hold it
        """
        take, signers = self._takes[clip], self.planned.signers
        rng = torch.Generator().manual_seed(seed_number(take.seed, "again"))
        others = [number for number in range(1, len(signers)) if number != take.signer]
        signer = others[int(torch.randint(len(others), (), generator=rng))]
        choices = tuple(
            int(torch.randint(len(self.planned.signs[word]), (), generator=rng)) for word in take.sentence.words
        )
        seed = seed_number(take.seed, "second performance")
        recorded = self._recorder.record(self.planned, replace(take, signer=signer, seed=seed, fps=fps, choices=choices))
        if self.of_positions:
            return skeleton_50(stand_in(), recorded.soke)
        return recorded.smplfx if frames == "smplfx" and recorded.smplfx is not None else recorded.soke

    def signs(self, fps: float, frames: str) -> Iterator[ShownSign]:
        """Every form of every sign. fps: of its frames; frames: as of `again`"""
        actions = load_facial_actions() if self.has_faces else None
        for word, forms in self.planned.signs.items():
            for form in forms:
                rng = torch.Generator()  # nobody's noise asks it for nothing
                performance = perform([form], NEUTRAL, fps, rng)
                motion = performance.motion()
                if actions is not None:
                    plan = FacePlan((mouthing(word, self.planned.spoken.language),), Marks(), (False,), ({},))
                    motion, _ = with_face(performance, plan, model_face(actions), actions, rng)
                    motion = motion if frames == "smplfx" else fitted_face(motion, actions)
                start, end = (performance.strokes[0] * fps).tolist()
                yield ShownSign(word, motion.frames(slice(round(start), round(end) + 1)))

    @cached_property
    def _takes(self) -> dict[str, Take]:
        return {take.name: take for take in self.planned.takes}

    @cached_property
    def _recorder(self) -> Recorder:
        seed = int(self.parameters["seed"])
        return FaceRecorder([self.planned], seed) if self.has_faces else Recorder()


def known_corpus(folder: Path) -> KnownCorpus | None:
    """What is known of the corpus in a folder, which may also be one of `prepare.to_skeletons` (`origin_of`); None where it is
    none of the synthetic ones. Raises UserError for one that another version of them has written."""
    folder = Path(folder)
    name, parameters = folder.name, _read(folder.parent / STAMP)
    if parameters is None:
        origin = (_read(folder.parent / SKELETONS) or {}).get("synthetic", {}).get(name)
        if origin is None:
            return None
        name, parameters = origin["folder"], {**origin["parameters"], "positions": True}
    skeletons = "skels" in parameters
    if name not in (SPOKEN if skeletons else FOLDERS.values()):
        return None
    written, version = (parameters["skels"], SKELETON_VERSION) if skeletons else (parameters["version"], VERSION)
    if written != version:
        raise UserError(
            f"{folder} was written by version {written} of the synthetic corpora, and what its clips show is known of "
            f"version {version}: write them again with `python -m prepare.synthetic_corpora`"
        )
    return KnownCorpus(_planned(skeletons, parameters["size"], parameters["seed"])[name], parameters)


def origin_of(folder: Path) -> dict[str, Any] | None:
    """Of a synthetic corpus of rotations, what `known_corpus` has to find in `SKELETONS`, under `synthetic` and the name of
    their folder, to know positions that are made of it; None of any other."""
    folder = Path(folder)
    parameters = _read(folder.parent / STAMP)
    if parameters is None or folder.name not in FOLDERS.values():
        return None
    return {"folder": folder.name, "parameters": parameters}


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


@cache
def _planned(skeletons: bool, size: str, seed: int) -> dict[str, SyntheticCorpus]:
    """Folder -> corpus."""
    if skeletons:
        return {corpus.code: corpus.planned for corpus in plan_skeletons(size, seed)}
    return {corpus.folder: corpus for corpus in plan_corpora(size, seed)}
