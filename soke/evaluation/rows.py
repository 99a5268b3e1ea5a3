"""Tests: which rows the table of one has, and how each is made."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.data.clip import Corpus
from soke.evaluation.coding import score_codes
from soke.evaluation.columns import OF_MOTIONS, OF_TEXTS
from soke.evaluation.oracle.scoring import score_signs
from soke.evaluation.outcome import Evaluation
from soke.evaluation.protocols import Producer
from soke.evaluation.references import GROUND_TRUTH, References, Setting, read_references
from soke.evaluation.retrieval import score_retrieval
from soke.evaluation.scoring import score_motions, score_texts
from soke.report.tables import ResultTable
from soke.run.processes import World

log = logging.getLogger(__name__)

SHUFFLED = "{}, shuffled"


def generation(
    producer: Producer, setting: Setting, ceiling: Callable[[Producer], Producer] | None = None,
    floors: Sequence[Callable[[References], Producer | str]] = (),
) -> Evaluation:
    """Scores of produced motion; beside it the same motions shuffled between sentences, a floor that any use of the
    text must beat, and, where there are such, the producer's ceiling and floors of its own. A corpus's reader reads
    all of them, and the references.

    ceiling: makes of the signers, as a producer, the best that this producer could be, such as a tokenizer's
             reconstruction of what was signed
    floors:  each makes, as `ceiling` does, what the producer must beat, such as a mean pose; or says why there is none
             of this corpus, in the same words in all processes

    Raises UserError when no clip of a corpus can be read or scored.
    """
    table = ResultTable(f"Text to motion, {setting.split} split", [GROUND_TRUTH], setting.split)
    evaluation, shuffled = Evaluation(table, OF_MOTIONS), SHUFFLED.format(producer.name)
    for corpus in setting.corpora:
        references = read_references(corpus, producer.layout, setting)
        evaluation.skipped += references.skipped
        log.info("generating %d sentences of %s", len(references.clips), corpus.name)
        produced, upper, lower = references.produced_by(producer, "generate", setting.unfinished), {}, {}
        if ceiling is not None:
            best = _comparable(ceiling(references), producer)
            table.first, upper = (GROUND_TRUTH, best.name), {best.name: references.produced_by(best, "reconstruct")}
        for floor in floors:
            least = floor(references)
            if isinstance(least, str):
                table.notes.append(f"{corpus.name}: {least}")
                continue
            lower[_comparable(least, producer).name] = references.produced_by(least)
            table.notes += _counted(least, corpus, setting.world)
        rows = {producer.name: produced, shuffled: of_other_clips(references, produced, setting.world), **upper, **lower}
        score_rows(references, rows, producer.conditions, setting, evaluation, {shuffled: producer.name})
        evaluation.keep(references.clips, produced)
    return evaluation


def score_rows(
    references: References, rows: Mapping[str, Sequence[Motion]], conditions: Mapping[str, str], setting: Setting,
    evaluation: Evaluation, shuffled: Mapping[str, str] = {},
) -> None:
    """Adds every score of the rows' motions that the setting asks for to the table and to the clips, and of the
    references what is read from them. Raises as `generation` does.

    conditions: of the rows' producer
    shuffled:   row whose motions are another's, shuffled between the clips -> that one: it is not read a second time
    """
    corpus = references.corpus
    scored = score_motions(references, rows, conditions, setting, evaluation)
    if setting.coder is not None:
        score_codes(references, rows, scored, setting.coder, evaluation, setting.world)
    retriever = _of_language(corpus, setting.retrievers, "retrieval model")
    if retriever is not None:
        score_retrieval(references, rows, retriever, setting, evaluation, scored)
    read = {GROUND_TRUTH: references.motions, **{row: of_row for row, of_row in rows.items() if row not in shuffled}}
    oracle = _of_language(corpus, setting.oracles, "oracle")
    if oracle is not None:
        score_signs(references, {**read, **{row: rows[row] for row in shuffled}}, oracle, evaluation, setting.world)
    reader = _of_language(corpus, setting.readers, "reader")
    if reader is not None:
        texts = {
            row: references.translated_by(f"reader {reader.hash}", reader.translate, motions, "read", setting.unfinished)
            for row, motions in read.items()
        }
        for row, of in shuffled.items():
            texts[row] = of_other_clips(references, texts[of], setting.world)
        score_texts(references, texts, reader.hash, setting, evaluation)


def translation(
    translators: Mapping[str, Callable[[Sequence[Motion]], list[str]]], name: str, layout: MotionLayout,
    setting: Setting,
) -> Evaluation:
    """Texts that a translator makes of the references, and the same texts shuffled between the clips.

    translators: corpus -> motions to texts, such as a reader's `translate`
    name:        of the row
    layout:      what of a motion is translated

    Raises UserError when no clip of a corpus can be read or scored.
    """
    table = ResultTable(f"Motion to text, {setting.split} split", split=setting.split)
    evaluation = Evaluation(table, OF_TEXTS)
    for corpus in setting.corpora:
        references = read_references(corpus, layout, setting)
        evaluation.skipped += references.skipped
        log.info("translating %d clips of %s", len(references.clips), corpus.name)
        texts = references.translated_by(
            name, translators[corpus.name], references.motions, "translate", setting.unfinished
        )
        rows = {name: texts, SHUFFLED.format(name): of_other_clips(references, texts, setting.world)}
        score_texts(references, rows, None, setting, evaluation)
    return evaluation


def derangement(texts: Sequence[str]) -> list[int]:
    """For every position another one with another text, each used once where the texts allow it; always the same.

    A single text, or one that fills more than half of the list, keeps what cannot be moved.
    """
    ranks = dict(zip(dict.fromkeys(texts), np.random.default_rng(0).permutation(len(set(texts))).tolist()))
    order = sorted(range(len(texts)), key=lambda i: (ranks[texts[i]], i))  # equal texts stand together,
    most = max(Counter(texts).values(), default=0)  # so a shift by the largest group parts them all
    moved = [0] * len(texts)
    for position, index in enumerate(order):
        moved[index] = order[(position + most) % len(order)]
    return moved


def of_other_clips(references: References, made: Sequence[Any], world: World) -> list[Any]:
    """What was made for other clips of the corpus, of whichever process."""
    everything = world.gathered(list(zip(references.places, (clip.text for clip in references.clips), made)))
    everything.sort(key=lambda entry: entry[0])
    moved = derangement([text for _, text, _ in everything])
    partner = {place: everything[other][2] for (place, _, _), other in zip(everything, moved)}
    return [partner[place] for place in references.places]


def _comparable(bound: Producer, producer: Producer) -> Producer:
    """Raises ValueError for a ceiling or floor whose scores could not stand beside the producer's."""
    if bound.conditions != producer.conditions or bound.name == producer.name:
        raise ValueError(
            f"{bound.name} {dict(bound.conditions)} is no bound of {producer.name} {dict(producer.conditions)}: "
            "it must have another name, and the same layout and statistics"
        )
    return bound


def _counted(producer: Producer, corpus: Corpus, world: World) -> list[str]:
    """A note of what a producer has counted, in all processes together."""
    counts: Counter[str] = Counter()
    for of_one in world.gathered([getattr(producer, "counts", Counter())]):
        counts.update(of_one)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return [f"{corpus.name}, {producer.name}: {told}"] if told else []


def _of_language(corpus: Corpus, models: Mapping[str, Any], kind: str) -> Any:
    """The corpus's model, if there is one. Raises ValueError for one of another sign language."""
    model = models.get(corpus.name)
    if model is not None and model.language != corpus.language:
        raise ValueError(f"the {kind} of {corpus.name}, which is {corpus.language}, reads {model.language}")
    return model
