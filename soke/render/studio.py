"""Showing: motions as pictures, videos and other files, dressed and captioned."""
from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Callable, Sequence

from soke.body.fitted import SMPLX_EXPRESSION, with_fitted_expression
from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.data.clip import Corpus
from soke.data.dataset import MotionDataset, MotionSample
from soke.errors import UserError
from soke.evaluation.protocols import Producer, Sentence, Typed
from soke.render.backends import require_backend
from soke.render.exports import USUAL, Shown, file_name, require_format, write

_NAMED = 40  # characters of a sentence that name its files


class Studio:
    """Writes motions of one body into a folder.

    size:    pixels of each figure's picture
    backend: auto, vtk or software
    face:    whether a close-up of the face is shown with each figure
    formats: of `soke.render.exports.FORMATS`
    frames:  of a poster, see `Shown`

    Raises UserError for a format that is unknown, not the body's, or needs a package that is not installed, for a
    backend that cannot draw, and for the face of a body that has none.
    """

    def __init__(
        self, body: Posed, folder: Path, size: int = 512, backend: str = "auto", face: bool = False,
        formats: Sequence[str] = USUAL, frames: Sequence[int] = (),
    ):
        self.formats, self.frames = dict.fromkeys(formats), frames
        require_backend(backend)
        for format in self.formats:
            require_format(format, body)
        if frames and "poster" not in self.formats:
            raise UserError("--frames chooses those of a poster: add poster to --format, or leave it out")
        self.body, self.folder, self.size, self.backend, self.face = body, Path(folder), size, backend, face
        if face and body.head is None:
            raise UserError(
                f"a body of joints alone ({body.label}) has no face that a close-up could show: leave out --face"
            )

    def draw(self, name: str, motions: dict[str, Motion | JointMotion], caption: str) -> list[Path]:
        """<name> in every format, with one labelled figure per motion; returns the paths."""
        shown = Shown(self.body, motions, caption, self.face, self.size, self.backend, self.frames)
        return [path for format in self.formats for path in write(format, self.folder / file_name(name), shown)]

    def references(self, motion: Motion | JointMotion) -> dict[str, Motion | JointMotion]:
        """The reference under its label and, where faces are shown and it has more expression than SMPL-X's fits, what
        such a fit would leave of it."""
        shown = {"reference": motion}
        if self.face and motion.expression.shape[1] > SMPLX_EXPRESSION:
            label = f"reference in SMPL-X, {SMPLX_EXPRESSION} expression coefficients"
            shown[label] = with_fitted_expression(self.body, motion)
        return shown


def sentence(
    studio: Studio, producer: Producer, text: str, language: str, explain: Callable[[Sentence], str] | None = None
) -> list[Path]:
    """Signs a typed sentence. Raises UserError for an empty text or an unknown language.

    explain: what is to be printed of a sentence
    """
    typed = Typed(text, language)
    if explain is not None:
        print(explain(typed))
    (motion,) = producer.produce([typed])
    rest = f"_{hashlib.sha256(text.encode()).hexdigest()[:6]}" if len(text) > _NAMED else ""  # others begin like it
    return studio.draw(f"{language}_{text[:_NAMED]}{rest}", {producer.name: motion}, text)


def clips(
    studio: Studio, producer: Producer, corpora: Sequence[Corpus], split: str, corpus_name: str | None, count: int,
    explain: Callable[[Sentence], str] | None = None,
) -> list[Path]:
    """References and generated figure side by side for the first `count` readable clips of a corpus's split.

    explain: what is to be printed of a sentence
    """
    chosen = [corpus for corpus in corpora if corpus_name in (None, corpus.name)]
    if not chosen:
        raise UserError(
            f"the configuration has no corpus {corpus_name}: it has {', '.join(corpus.name for corpus in corpora)}"
        )
    dataset = MotionDataset([chosen[0]], split, producer.layout, 1, sys.maxsize, 1)  # neither stretched nor squeezed
    samples, skipped = [], None
    for index in range(len(dataset)):
        sample = dataset[index]
        if isinstance(sample, MotionSample):
            samples.append(sample)
        else:
            skipped = skipped or sample
        if len(samples) == count:
            break
    if not samples:
        raise UserError(f"not one clip of split {split} of {chosen[0].name} can be shown; {skipped}: {skipped.reason}")
    if explain is not None:
        for sample in samples:
            print(f"{sample.clip.text}\n{explain(sample.clip)}")
    paths = []
    for sample, motion in zip(samples, producer.produce([sample.clip for sample in samples])):
        reference = producer.layout.covered(sample.motion).resampled(motion.fps)
        motions = {**studio.references(reference), producer.name: motion}
        paths += studio.draw(f"{sample.clip.corpus}_{sample.clip.name}", motions, sample.clip.text)
    return paths
