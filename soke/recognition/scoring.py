"""The test of a sign recognizer: top-1 and top-5 over all, confusing and normal signs, and what was taken for what."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch

from soke.data.clip import SkippedClip
from soke.data.labels import CONFUSING, NORMAL, SignLabel
from soke.data.sampling import SortedBatches
from soke.evaluation.outcome import Evaluation
from soke.metrics.recognition import ALL, TOP, RecognitionScores, best_by_group, ranks
from soke.recognition.data import LabelledClip, SignDataset, collate_signs, known
from soke.recognition.features import FeatureFile
from soke.recognition.recognizer import SignRecognizer
from soke.report.tables import ResultTable
from soke.run.processes import World

ROW = "recognition"
_SUMMARY = [[(f"top-{k}", part) for part in (ALL, CONFUSING, NORMAL)] for k in TOP] + [[("group", CONFUSING)]]


def recognition(
    recognizer: SignRecognizer, features: FeatureFile, labels: Mapping[str, SignLabel], corpus: str, split: str, *,
    batch_size: int, skipped: Sequence[SkippedClip] = (), world: World = World(), device: str = "cpu",
) -> Evaluation:
    """Scores of the clips of a split; those whose sign is not trained on, or whose parts are not seen, are listed and
    not scored, and the table says of how many clips the scores are.

    labels:  of the clips that are to be scored
    skipped: clips without a label, which could not be used

    Raises UserError when no clip shows a sign that the recognizer knows.
    """
    faults = {name: fault for name in labels if (fault := features.fault(name, recognizer.parts)) is not None}
    seen = {name: label for name, label in labels.items() if name not in faults}
    chosen, strange = known(seen, recognizer.signs, corpus, split)
    table = ResultTable(f"Recognition of isolated signs, {split} split", split=split)
    evaluation = Evaluation(table, _SUMMARY)
    if world.rank == 0:
        evaluation.skipped = [*skipped, *(SkippedClip(corpus, name, fault, split) for name, fault in faults.items())]
        evaluation.unscored = {(corpus, clip.name, ROW): clip.reason for clip in strange}
    data = SignDataset(features, chosen, recognizer.parts)
    signs, groups = recognizer.signs, _groups(recognizer)
    scores = RecognitionScores(
        len(signs), {signs[sign].subset for sign in chosen.values()},
        any(signs[sign].subset == CONFUSING and signs[sign].group for sign in chosen.values()),
    )
    recognizer.eval().to(device)
    clips = []
    for rows in world.own(list(SortedBatches(data.lengths, batch_size))):
        for item, ordered, rank, sure in _recognised(recognizer, [data[i] for i in rows], device):
            own, first = signs[item.sign], signs[ordered[0]]
            scores.update(item.name, rank, own.subset, first.group == own.group if own.group else None)
            clips.append({
                "corpus": corpus, "clip": item.name, "row": ROW, "steps": len(item.states), "label": own.number,
                "word": own.word, "subset": own.subset, "group": own.group, "rank": rank, "probability": f"{sure:.4f}",
                **{f"top {i + 1}": signs[sign].number for i, sign in enumerate(ordered)},
            })
    for score in scores.scores():
        total = sum(score.signature.part in (ALL, label.subset) for label in labels.values())
        table.add(ROW, corpus, score, total)
    per_clip = scores.per_clip()
    evaluation.clips = [clip | per_clip[clip["clip"]] for clip in clips]
    table.notes += _notes(recognizer, features, chosen, groups)
    return evaluation


@torch.no_grad()
def _recognised(
    recognizer: SignRecognizer, items: list[LabelledClip], device: str
) -> list[tuple[LabelledClip, list[int], int, float]]:
    """Of every clip the likeliest signs, the rank of its own, and the probability of the likeliest."""
    batch = collate_signs(items).to(device)
    scores = recognizer(batch.states, batch.lengths).float().cpu()
    order = scores.sort(dim=1, descending=True, stable=True).indices[:, : max(TOP)].tolist()
    placed = ranks(scores.numpy(), batch.signs.cpu().numpy()).tolist()
    return list(zip(items, order, placed, scores.softmax(1).amax(1).tolist()))


def _groups(recognizer: SignRecognizer) -> Counter[str]:
    """Group -> number of signs in it."""
    return Counter(sign.group for sign in recognizer.signs if sign.group)


def _notes(
    recognizer: SignRecognizer, features: FeatureFile, chosen: Mapping[str, int], groups: Counter[str]
) -> list[str]:
    count = len(recognizer.signs)
    chance = " and ".join(f"{100 * min(k, count) / count:.2f} % (top-{k})" for k in TOP)
    notes = [f"{count} signs by {', '.join(recognizer.parts)}: chance is right in {chance}"]
    if features.facts["window"] is not None:
        notes.append(f"the active window keeps {features.kept}")
    signs = [recognizer.signs[sign] for sign in chosen.values()]
    sizes = [groups[sign.group] for sign in signs if sign.subset == CONFUSING and sign.group]
    if sizes:
        notes.append(f"of confusing signs, who knows the group alone is right in {best_by_group(sizes):.1f} % (top-1)")
    return notes
