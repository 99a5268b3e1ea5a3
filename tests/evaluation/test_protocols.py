"""Whatever has a name, a layout, conditions and `produce` is tested, timed and validated, with or without a tokenizer."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from soke.data.dataset import MotionDataset
from soke.errors import UserError
from soke.evaluation import timing
from soke.evaluation.protocols import Typed
from soke.evaluation.references import GROUND_TRUTH, read_references
from soke.evaluation.rows import generation
from soke.evaluation.validation import GenerationScore, spread_samples
from soke.metrics.joint_sets import track_of
from soke.metrics.motion_scores import MotionScores
from soke.tokenizer.reconstruction import Reconstruction
from tests.evaluation.helpers import Corpus, LengthReader, MeanPose, setting
from tests.tokenizer.helpers import MIRRORED, SOKE, small_tokenizer


def scores_of(evaluation, row: str) -> dict:
    return {cell.metric: cell.score for cell in evaluation.table.cells if cell.row == row}


def test_a_mean_pose_is_tested(body):
    corpus, producer = Corpus(5), MeanPose(SOKE)
    evaluation = generation(producer, setting(body, [corpus], readers={"own": LengthReader()}))
    rows = list(dict.fromkeys(cell.row for cell in evaluation.table.cells))
    assert rows == ["mean pose", "mean pose, shuffled", GROUND_TRUTH]
    clips = corpus.clips("test")
    references = [SOKE.covered(corpus.load(clip)) for clip in clips]
    expected = MotionScores(face_vertices=len(body.face_vertices), fps=24.0, body=body.label, layout=SOKE.hash)
    expected.update(
        [clip.name for clip in clips], [track_of(body, producer.motion)] * 5, [track_of(body, m) for m in references]
    )
    found = scores_of(evaluation, "mean pose")
    for score in expected.scores():
        same = found[score.signature.name, score.signature.part or ""]
        assert same.values == pytest.approx(score.values) and same.signature == score.signature
        assert same.signature.statistics is None and same.signature.layout == SOKE.hash
    assert found["DTW-JPE", "avg"].values["m"] > 0.1
    # It signs all sentences alike, so nothing is lost by a shuffle.
    shuffled = scores_of(evaluation, "mean pose, shuffled")
    assert {metric: score.values for metric, score in shuffled.items()} == {m: s.values for m, s in found.items()}
    assert evaluation.predictions["own", "c3"] is producer.motion
    texts = {(c["row"], c["clip"]): c["translation"] for c in evaluation.clips}
    assert texts["mean pose", "c2"] == "rain 20" and texts[GROUND_TRUTH, "c2"] == "rain 17"
    assert found["BLEU-1", ""].signature.judge == LengthReader.hash


def test_references_keep_their_length_where_no_tokenizer_cuts_them(body):
    corpus = Corpus(3)
    whole = read_references(corpus, SOKE, setting(body, [corpus], batch_size=2))
    assert [len(motion) for motion in whole.motions] == [9, 17, 13]  # the shortest text first
    cut = read_references(corpus, SOKE, setting(body, [corpus], multiple=4))
    assert [len(motion) for motion in cut.motions] == [8, 16, 12]


def test_the_signers_are_a_producer(body):
    """Who signs what was signed makes no error, and is read as the ground truth is."""
    corpus = Corpus(4)
    chosen = setting(body, [corpus], readers={"own": LengthReader()})
    signers = replace(read_references(corpus, SOKE, chosen), name="signers")
    evaluation = generation(signers, chosen)
    scores, truth = scores_of(evaluation, "signers"), scores_of(evaluation, GROUND_TRUTH)
    assert all(scores[name, "avg"].values["m"] == 0 for name in ("DTW-JPE",))
    assert scores["DTW-PA-JPE", "avg"].values["m"] == pytest.approx(0, abs=1e-4)
    assert scores["length", ""].values["ratio"] == 1
    for metric, score in truth.items():
        assert scores[metric].values == score.values


def test_a_reconstruction_is_a_producer(body):
    """Alone it has the scores that it has as the ceiling of another system."""
    corpus, tokenizer = Corpus(5), small_tokenizer()
    chosen = setting(body, [corpus], multiple=4, batch_size=2)
    rebuilt = Reconstruction(tokenizer, read_references(corpus, SOKE, chosen))
    alone = scores_of(generation(rebuilt, chosen), rebuilt.name)
    system = MeanPose(SOKE)
    system.conditions = tokenizer.conditions
    beside = generation(system, chosen, partial(Reconstruction, tokenizer))
    assert beside.table.first == (GROUND_TRUTH, rebuilt.name)
    assert alone == scores_of(beside, rebuilt.name) and ("DTW-JPE", "avg") in alone
    used = {part: set() for part in tokenizer.parts}
    for clip in read_references(corpus, SOKE, chosen).motions:
        for part, codes in zip(tokenizer.parts, tokenizer.encode_motion(clip).T.tolist()):
            used[part] |= set(codes)
    assert {part: set(use.counts.nonzero().ravel().tolist()) for part, use in rebuilt.use.items()} == used


def test_what_could_not_be_compared_is_refused(body):
    corpus, tokenizer = Corpus(3), small_tokenizer()
    with pytest.raises(ValueError, match="tokenizer reconstruction .* is no bound of mean pose"):
        generation(MeanPose(SOKE), setting(body, [corpus], multiple=4), partial(Reconstruction, tokenizer))
    with pytest.raises(ValueError, match="another name"):
        generation(
            Reconstruction(tokenizer, read_references(corpus, SOKE, setting(body, [corpus], multiple=4))),
            setting(body, [corpus], multiple=4), partial(Reconstruction, tokenizer),
        )
    stranger = LengthReader()
    stranger.language = "DGS"
    with pytest.raises(ValueError, match="the reader of own, which is ASL, reads DGS"):
        generation(MeanPose(SOKE), setting(body, [corpus], readers={"own": stranger}))


def test_a_producer_that_leaves_out_a_sentence_is_refused(body):
    corpus, producer = Corpus(4), MeanPose(SOKE)
    produce = producer.produce
    producer.produce = lambda sentences: produce(sentences)[1:]
    with pytest.raises(ValueError, match="generate own: 4 clips gave 3 results"):
        generation(producer, setting(body, [corpus]))
    samples, _ = spread_samples(MotionDataset([corpus], "val", SOKE, 8, 40), 3)
    with pytest.raises(ValueError, match="shorter"):
        GenerationScore(producer, body, samples).compute()


def test_a_mean_pose_is_timed(tmp_path, monkeypatch):
    producers = {}

    def batched(size: int) -> MeanPose:
        return producers.setdefault(size, MeanPose(SOKE))

    timings = timing.count_time(batched, [Typed("rain", "ASL"), Typed("snow", "ASL")], batch_sizes=(1, 24))
    for size, videos, measured in zip((1, 24), (32, 48), timings):
        assert producers[size].batches == [size] * (videos // size + 1)  # one to warm up
        assert (measured.batch_size, measured.videos) == (size, videos)
        assert measured.frames_per_second == pytest.approx(MeanPose.frames * measured.videos_per_second)
    timing.report(batched, [Corpus(3)], "test", tmp_path, "cpu")
    saved = json.loads((tmp_path / "timing.json").read_text(encoding="utf-8"))
    assert [of_size["batch_size"] for of_size in saved["timings"]] == [1, 8, 64]


@pytest.mark.parametrize("layout", [SOKE, MIRRORED], ids=["SOKE's", "mirrored"])
def test_a_mean_pose_is_validated_as_it_is_tested(body, layout):
    corpus, producer = Corpus(5, (24.0, 20.0)), MeanPose(layout)
    tested = scores_of(generation(producer, setting(body, [corpus])), "mean pose")
    samples, skipped = spread_samples(MotionDataset([corpus], "test", layout, 8, 40, 1), 32)
    state = torch.get_rng_state()
    found = GenerationScore(producer, body, samples).compute()
    assert not skipped and torch.equal(torch.get_rng_state(), state)
    for key, metric in (("DTW_JPE_hand", ("DTW-JPE", "hand")), ("DTW_PA_JPE", ("DTW-PA-JPE", "avg"))):
        assert found[key].item() == pytest.approx(tested[metric].values["m"], rel=1e-5)


def test_a_corpus_that_cannot_be_read_is_named(body):
    class Torn(Corpus):
        def clips(self, split: str):
            return []

    with pytest.raises(UserError, match="own"):
        generation(MeanPose(SOKE), setting(body, [Torn(2)]))
