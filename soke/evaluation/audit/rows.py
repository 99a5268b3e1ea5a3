"""The rows that metrics are audited on: damaged motions, and who signs the same sentences a second time."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip
from soke.errors import UserError
from soke.evaluation.damage.kinds import GRADES, KINDS, OF_ROTATIONS, Donors, Material, damaged
from soke.evaluation.editing import frame_values
from soke.evaluation.references import References
from soke.evaluation.rows import derangement

AS_SIGNED, SECOND = "as signed", "second signer"
_PIECE, _APART = 0.5, 0.15  # s of what is taken for a sign where signs are not known, and between two [A]
_FROM = 8  # clips that another sign is taken from
FEWEST = 3  # clips of which damage can be made

Spans = Callable[[Clip, Motion], Sequence[slice]]
Again = Callable[[Clip, Motion], "Motion | JointMotion | None"]


def row_of(kind: str, grade: int) -> str:
    return f"{kind} {grade}"


def chosen(references: References, count: int, block: int) -> References:
    """At most so many of the clips, evenly from all. Raises UserError for too few of them."""
    found = len(references.clips)
    if found < FEWEST:
        raise UserError(f"{references.corpus.name} has {found} clips of this split that can be read, an audit needs {FEWEST}")
    count = min(count, found)
    kept = [i * found // count for i in range(count)]
    return replace(
        references, blocks=[slice(start, min(start + block, count)) for start in range(0, count, block)],
        places=[references.places[i] for i in kept], clips=[references.clips[i] for i in kept],
        motions=[references.motions[i] for i in kept], total=count,
    )


def even_spans(motion: Motion | JointMotion) -> list[slice]:
    """Pieces of a motion whose signs are not known, in the place of signs."""
    each, step = (max(round(seconds * motion.fps), 1) for seconds in (_PIECE, _PIECE + _APART))
    first = max(round(_APART * motion.fps), 1)
    starts = range(first, max(len(motion) - each, first + 1), step)
    return [slice(start, min(start + each, len(motion))) for start in starts]


def audited_rows(references: References, spans: Spans, again: Again) -> dict[str, list[Motion | JointMotion]]:
    """Every kind of damage that the references can take in every grade, the references themselves, and a second signer
    where there is one of every clip.

    spans: frames of a clip's signs
    again: the same sentence by somebody else; None where nobody is known
    """
    motions, layout = references.motions, references.layout
    materials = materials_of(references, spans)
    rows: dict[str, list[Motion | JointMotion]] = {AS_SIGNED: list(motions)}
    for kind in KINDS:
        if not (layout.of_positions and kind in OF_ROTATIONS):
            for grade in GRADES:
                made = [damaged(m, kind, grade, material) for m, material in zip(motions, materials)]
                rows[row_of(kind, grade)] = [layout.covered(motion) for motion in made]
    second = [again(clip, motion) for clip, motion in zip(references.clips, motions)]
    if all(motion is not None for motion in second):
        rows[SECOND] = [layout.covered(motion) for motion in second]
    return rows


def materials_of(references: References, spans: Spans) -> list[Material]:
    """What damage to each of the clips is done with: signs and sentences of the others."""
    motions, clips = references.motions, references.clips
    of_clips = [list(spans(clip, motion)) for clip, motion in zip(clips, motions)]
    signs = [[motion.frames(span) for span in of_one] for motion, of_one in zip(motions, of_clips)]
    means = {name: torch.cat([frame_values(m)[name] for m in motions]).mean(0, keepdim=True) for name in frame_values(motions[0])}
    other = derangement([clip.text for clip in clips])
    materials = []
    for i, motion in enumerate(motions):
        near = [(i + step) % len(clips) for step in range(1, min(_FROM, len(clips) - 1) + 1)]
        of_others = [j for j in near if clips[j].text != clips[i].text] or near
        donors = Donors([sign for j in of_others for sign in signs[j]])
        mean = replace(motion.frames(slice(0, 1)), **means)
        materials.append(Material(of_clips[i], mean, motions[other[i]].resampled(motion.fps), donors, seed=i))
    return materials
