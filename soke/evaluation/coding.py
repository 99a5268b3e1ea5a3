"""Scores of the codes of motions, of whatever tokenizer they are, and whoever made the motions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Collection, Mapping, Sequence

from torch import Tensor
from tqdm import tqdm

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.body.skeleton import hand_of
from soke.errors import UserError
from soke.evaluation.outcome import Evaluation
from soke.evaluation.predictions import TrackReader, clip_files
from soke.evaluation.protocols import Coder
from soke.evaluation.references import References
from soke.evaluation.scored import Scored, common_rate, reason_of, unpaired
from soke.metrics.clips import Scorecard
from soke.metrics.sibleu import SiBLEU
from soke.run.processes import World


def score_codes(
    references: References, rows: Mapping[str, Sequence[Motion]], scored: Collection[str], coder: Coder,
    evaluation: Evaluation, world: World,
) -> None:
    """Adds SiBLEU of every row to the table and to the clips, where a reference has codes; motions are encoded at the corpus's
    frame rate.

    scored: this process's clips whose motions have scores, of every row
    """
    corpus, fps = references.corpus.name, float(references.corpus.fps)
    chosen = [clip.name in scored for clip in references.clips]

    def encode(motions: Sequence[Motion | None]) -> list[Tensor | None]:
        known = [motion.resampled(fps) for motion in motions if motion is not None]
        found = iter(coder.encode_motions(known))
        return [None if motion is None else next(found).cpu() for motion in motions]

    def codes_of(motions: Sequence[Motion]) -> list[Tensor | None]:
        known = [motion if good else None for motion, good in zip(motions, chosen)]
        return references.by_block(encode, known, "encode")

    entries = {(entry["row"], entry["clip"]): entry for entry in evaluation.clips if entry["corpus"] == corpus}
    given = codes_of(references.motions)
    for clip, wanted in zip(references.clips, given):
        if wanted is not None and not len(wanted):
            reason = "its reference is shorter than a step of the tokenizer whose codes SiBLEU counts"
            evaluation.unscored[corpus, clip.name, "codes"] = reason
    if not any(world.gathered([wanted is not None and len(wanted) > 0 for wanted in given])):
        return
    for row, motions in rows.items():
        metric = SiBLEU(_sizes(coder), _hands(coder.layout), coder.hash, fps=fps)
        for clip, made, wanted in zip(references.clips, codes_of(motions), given):
            if wanted is not None and len(wanted):
                metric.update(clip.name, made, wanted)
        scores = Scorecard([metric])
        for score in scores.scores():
            evaluation.table.add(row, corpus, score, references.total)
        for name, values in scores.per_clip().items():
            entries[row, name] |= values


def score_given_codes(reader: TrackReader, pred: Path, ref: Path | None, coder: Coder) -> Scored:
    """SiBLEU of a folder of predictions against a folder of references, each at its own frame rate; a clip that cannot be
    scored stops no other. Raises UserError as `clip_files` does.

    ref: None: the predictions' files hold the references too
    """
    preds = clip_files(pred)
    refs = preds if ref is None else clip_files(ref)
    unscored = unpaired(preds, refs)
    rates, forms, metric = {}, set(), SiBLEU(_sizes(coder), _hands(coder.layout), coder.hash)
    for name in tqdm([name for name in refs if name in preds], desc="encode", unit="clip"):
        try:
            made, wanted, taken_for = reader.motions(preds[name], refs[name])
            if abs(made.fps - wanted.fps) > 1e-3 * wanted.fps:
                raise ValueError(f"it has {made.fps:g} frames/s, the reference {wanted.fps:g}")
            metric.update(name, *coder.encode_motions([made, wanted]))
        except (UserError, ValueError) as error:
            unscored[name] = reason_of(name, str(error))
            continue
        rates[name], forms = wanted.fps, forms | taken_for
    if not rates:
        return Scored([], {}, unscored, len(refs))
    fps, notes = common_rate(list(rates.values()))
    conditions = {"fps": fps, "inputs": "+".join(sorted(forms))}
    scores = [replace(score, signature=replace(score.signature, **conditions)) for score in metric.scores()]
    clips = {name: dict(values) for name, values in Scorecard([metric]).per_clip().items()}
    return Scored(scores, clips, unscored, len(refs), notes)


def _sizes(coder: Coder) -> dict[str, list[int]]:
    """Part -> number of codes of each of its streams."""
    sizes: dict[str, list[int]] = {}
    for stream, size in coder.streams.items():
        sizes.setdefault(stream if stream in coder.layout.names else stream.rpartition(".")[0], []).append(size)
    return sizes


def _hands(layout: MotionLayout) -> list[str]:
    """The parts that are joints of one hand each, left and right."""
    sides = {part.name: {hand_of(joint) for joint in part.rotated_joints} for part in layout.parts}
    return [name for name, of_part in sides.items() if of_part in ({"left_hand"}, {"right_hand"})]
