"""Scores of how well motions fit their sentences, by a model that embeds both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from soke.body.motion import Motion
from soke.evaluation.outcome import Evaluation
from soke.evaluation.protocols import Retriever
from soke.evaluation.references import GROUND_TRUTH, References, Setting
from soke.metrics.retrieval_scores import RetrievalScores


def score_retrieval(
    references: References, rows: Mapping[str, Sequence[Motion]], retriever: Retriever, setting: Setting,
    evaluation: Evaluation, scored: Collection[str],
) -> None:
    """Adds similarity, R@k and median rank of every row, and of the references, to the table and to the clips: each row's
    motions against the sentences of all clips.

    scored: names of this process's clips whose motions can be scored in every row; the others are left out
    """
    corpus, world = references.corpus.name, setting.world
    chosen = [i for i, clip in enumerate(references.clips) if clip.name in scored and clip.text.strip()]
    for clip in references.clips:
        if not clip.text.strip():
            evaluation.unscored[corpus, clip.name, "retrieval"] = f"clip {clip.name} has no sentence to be found by"
    embedded = {
        row: _by_block(references, retriever.embed_motions, motions, chosen, f"embed {row}")
        for row, motions in {GROUND_TRUTH: references.motions, **rows}.items()
    }
    texts = _by_block(references, retriever.embed_texts, [clip.text for clip in references.clips], chosen, "embed texts")
    sound = np.isfinite(np.stack([values.sum(axis=1) for values in (texts, *embedded.values())])).all(axis=0)
    for n, i in enumerate(chosen):
        if not sound[n]:
            reason = f"clip {references.clips[i].name} has no embedding: what the retrieval model reads of it is no number"
            evaluation.unscored[corpus, references.clips[i].name, "retrieval"] = reason
    everyone = world.gathered([
        (references.places[i], world.rank, references.clips[i].name, references.clips[i].text, texts[n],
         {row: of_row[n] for row, of_row in embedded.items()})
        for n, i in enumerate(chosen) if sound[n]
    ])
    everyone.sort(key=lambda entry: entry[0])
    if not everyone:
        return
    _, ranks, names, sentences, all_texts, all_rows = zip(*everyone)
    own = [n for n, rank in enumerate(ranks) if rank == world.rank]
    all_texts, truth = np.stack(all_texts), np.stack([of_clip[GROUND_TRUTH] for of_clip in all_rows])
    entries = {(entry["row"], entry["clip"]): entry for entry in evaluation.clips if entry["corpus"] == corpus}
    for row in embedded:
        metrics = RetrievalScores(names, retriever.hash, setting.metric.pool)
        metrics.update(np.stack([of_clip[row] for of_clip in all_rows]), all_texts, truth, sentences, own)
        for score in metrics.scores():
            evaluation.table.add(row, corpus, score, references.total)
        for name, scores in metrics.per_clip().items():
            entry = entries.get((row, name))
            if entry is None:
                entry = entries[row, name] = {"corpus": corpus, "clip": name, "row": row}
                evaluation.clips.append(entry)
            entry |= scores
    if setting.split == "train":
        evaluation.table.notes.append(
            f"{corpus}: the retrieval model was trained on clips of split train, so it knows these sentences: its scores "
            "compare with those of no other split"
        )


def _by_block(
    references: References, embed: Callable[[list[Any]], Tensor], items: Sequence[Any], chosen: Sequence[int], work: str
) -> np.ndarray:
    """[N, D] of the chosen items, which are embedded block by block, so that no number depends on the processes."""
    wanted = set(chosen)

    def of_block(block: Sequence[int]) -> list[np.ndarray | None]:
        kept = [i for i in block if i in wanted]
        found = iter(embed([items[i] for i in kept]).numpy()) if kept else iter(())
        return [next(found) if i in wanted else None for i in block]

    made = references.by_block(of_block, range(len(items)), work)
    return np.stack([made[i] for i in chosen]) if chosen else np.zeros((0, 0))
