"""What a tokenizer leaves of motions: the ceiling of a generator that speaks its codes, and a tokenizer's own test."""

from __future__ import annotations

from typing import Mapping, Sequence

from tqdm import tqdm

from soke.body.motion import Motion
from soke.evaluation.outcome import Evaluation
from soke.evaluation.protocols import Producer, Sentence
from soke.evaluation.references import ALL_CORPORA, References, Setting, read_references
from soke.evaluation.scoring import score_motions
from soke.metrics.clips import Score, hash_of_clips
from soke.metrics.codebook import CodebookUse, CodeCounts, LevelUse
from soke.metrics.motion_errors import MotionErrors
from soke.report.frequencies import frequency_files
from soke.report.tables import ResultTable
from soke.tokenizer.tokenizer import SignTokenizer

# Metric and part of the columns that a test ends with on the screen; all others are in the files.
_OF_ERRORS = (
    ("PA-MPJPE", "body"), ("PA-MPJPE", "hand"), ("PA-MPVPE", "all"), ("PA-MPVPE", "hand"), ("PA-MPVPE", "face"),
)


class Reconstruction:
    """A `Producer`: the motions of another one, such as the signers, through a tokenizer's codes and back.

    use: stream -> which of its codes were used
    """

    name = "tokenizer reconstruction"

    def __init__(self, tokenizer: SignTokenizer, source: Producer):
        self.tokenizer, self.source = tokenizer, source
        self.layout, self.conditions = tokenizer.layout, tokenizer.conditions
        streams = tokenizer.streams.items()
        self.use = {stream: CodebookUse(size, stream, **self.conditions) for stream, size in streams}

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion]:
        """With the frame rate and the shapes of the source's motions, in batches of similar length, on the CPU."""
        motions = self.source.produce(sentences)
        codes = self.tokenizer.encode_motions(motions)
        for of_motion in codes:
            for counter, column in zip(self.use.values(), of_motion.cpu().T, strict=True):
                counter.update(column)
        return [motion.to("cpu") for motion in self.tokenizer.decode_like(codes, motions)]


def reconstruction(tokenizer: SignTokenizer, setting: Setting) -> Evaluation:
    """DTW scores, joint and vertex errors frame by frame, and use of the codes, of each corpus and of all of them; and
    how often each code occurs, as numbers and as a picture.

    Raises UserError when no clip of a corpus can be read or scored.
    """
    table = ResultTable(f"Tokenizer, {setting.split} split", split=setting.split)
    evaluation = Evaluation(table, [_OF_ERRORS, [("codebook-use", stream) for stream in tokenizer.streams]])
    counted: dict[str, dict[str, CodebookUse]] = {}  # corpus -> stream
    total = 0
    for corpus in setting.corpora:
        references = read_references(corpus, tokenizer.layout, setting)
        evaluation.skipped += references.skipped
        producer = Reconstruction(tokenizer, references)
        rebuilt = references.produced_by(producer, "reconstruct")
        scored = score_motions(references, {producer.name: rebuilt}, producer.conditions, setting, evaluation)
        counted[corpus.name], names = producer.use, [clip.name for clip in references.clips]
        total += references.total
        used = _use(producer.use, tokenizer, names, setting)
        for score in [*_errors(references, rebuilt, scored, tokenizer, setting), *used]:
            table.add(producer.name, corpus.name, score, references.total)
        evaluation.keep(references.clips, rebuilt)
    if len(counted) > 1:
        counted[ALL_CORPORA] = _together(counted)
        names = ["/".join(key) for key in evaluation.predictions]
        for score in _use(counted[ALL_CORPORA], tokenizer, names, setting):
            table.add(Reconstruction.name, ALL_CORPORA, score, total)
    evaluation.files = frequency_files(
        {corpus: {stream: use.counts for stream, use in of.items()} for corpus, of in counted.items()}
    )
    return evaluation


def _errors(
    references: References, rebuilt: Sequence[Motion], scored: set[str], tokenizer: SignTokenizer, setting: Setting
) -> list[Score]:
    """Of the clips that have scores."""
    errors, device = MotionErrors(setting.body, **tokenizer.conditions), setting.body.device
    clips = tqdm(references.clips, desc=f"errors {references.corpus.name}")
    for clip, ours, motion in zip(clips, rebuilt, references.motions):
        if clip.name in scored:
            errors.update(clip.name, ours.to(device), motion.to(device))
    return errors.scores()


def _use(
    use: Mapping[str, CodebookUse], tokenizer: SignTokenizer, clips: Sequence[str], setting: Setting
) -> list[Score]:
    """Of every stream's codes: how many are in use, how evenly, and how the levels of which they are combinations are.

    clips: of this process, that they were counted in
    """
    names = setting.world.gathered(clips)
    scores = []
    for stream, counter in use.items():
        for metric in (counter, CodeCounts.of(counter), *LevelUse.of_dimensions(counter, tokenizer.grids[stream])):
            values = {unit: float(value) for unit, value in metric.compute().items()}
            scores.append(Score(metric.signature, values, {}, len(names), metric.higher_is_better, hash_of_clips(names)))
    return scores


def _together(counted: Mapping[str, Mapping[str, CodebookUse]]) -> dict[str, CodebookUse]:
    """Stream -> its codes in all corpora."""
    first, *others = counted.values()
    together = {stream: CodebookUse.of(use) for stream, use in first.items()}
    for of_corpus in others:
        for stream, use in of_corpus.items():
            together[stream].counts += use.counts
    return together
