"""The shuffled floor pairs every sentence with another; a saved evaluation reads back."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soke.body import Motion
from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion
from soke.body.skeleton import Skeleton
from soke.data.clip import Clip, SkippedClip
from soke.data.lengths import fitted_indices
from soke.errors import UserError
from soke.evaluation.outcome import Evaluation
from soke.evaluation.references import ALL_CORPORA, GROUND_TRUTH
from soke.evaluation.rows import derangement, generation, translation
from soke.generator.producer import SignProducer
from soke.report.tables import ResultTable
from soke.run.processes import World
from soke.tokenizer.reconstruction import Reconstruction, reconstruction
from soke.tokenizer.settings import Fsq
from tests.data.writing import LAYOUT, random_motion
from tests.evaluation.helpers import Corpus, setting
from tests.generator.helpers import make_generator
from tests.tokenizer.helpers import small_tokenizer


@pytest.mark.parametrize(
    "texts",
    [list("abcdefg"), list("aabbcc"), list("aaabcd"), ["x", "y"], list("abacadabcd"), [str(i % 9) for i in range(99)]],
)
def test_every_sentence_gets_another_text(texts):
    moved = derangement(texts)
    assert sorted(moved) == list(range(len(texts)))
    assert all(texts[i] != texts[j] for i, j in enumerate(moved))


def test_what_cannot_be_moved_stays():
    assert derangement([]) == [] and derangement(["a"]) == [0]
    assert sorted(derangement(["a", "a", "a", "b"])) == [0, 1, 2, 3]


def test_neighbours_in_the_alphabet_are_not_partners():
    """Similar sentences begin alike; a floor made of near neighbours would be too high."""
    texts = [f"{i:04d}" for i in range(500)]
    distances = [abs(i - j) for i, j in enumerate(derangement(texts))]
    assert 120 < np.mean(distances) < 220  # 500 / 3 for random partners


def test_saved_evaluation(tmp_path):
    motion = Motion(torch.randn(5, 55, 3), torch.randn(5, 10), torch.zeros(10), 24.0)
    rows = [{"corpus": "phoenix", "clip": "test/a", "row": "generated", "DTW-JPE body m": 1.5}]
    Evaluation(ResultTable("t"), (), rows, {("phoenix", "test/a"): motion}).save(tmp_path / "out", predictions=True)
    with (tmp_path / "out" / "clips.csv").open(encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == [{k: str(v) for k, v in rows[0].items()}]
    stored = np.load(tmp_path / "out" / "predictions" / "phoenix" / "test" / "a.npz")
    assert np.array_equal(stored["rotations"], motion.rotations.numpy()) and stored["fps"] == 24.0
    assert not (tmp_path / "out" / "unscored_clips.txt").exists()


def test_predictions_say_who_made_them_and_unscored_clips_why(tmp_path):
    motion = Motion(torch.randn(5, 55, 3), torch.randn(5, 10), torch.zeros(10), 24.0, made_by="tokenizer 12ab")
    unscored = {("csl", "S1", "generated"): "clip S1 cannot be scored: no frames"}
    Evaluation(ResultTable("t"), (), [], {("csl", "S1"): motion}, [], unscored).save(tmp_path, predictions=True)
    assert np.load(tmp_path / "predictions" / "csl" / "S1.npz")["made_by"] == "tokenizer 12ab"
    listed = (tmp_path / "unscored_clips.txt").read_text(encoding="utf-8")
    assert listed == "csl/S1\tgenerated\tclip S1 cannot be scored: no frames\n"


def test_the_table_says_what_was_left_out():
    skipped = [SkippedClip("csl", "S2", "frame 3 is torn"), SkippedClip("csl", "S3", "empty")]
    unscored = {("csl", "S1", "generated"): "clip S1 cannot be scored: no frames"}
    notes = Evaluation(ResultTable("t"), (), [], {}, skipped, unscored).gather(World()).table.notes
    assert notes == [
        "2 clips could not be read; the first, csl/S2: frame 3 is torn",
        "1 clips have no scores of motion, or of text, in any row; the first, generated on csl: clip S1 cannot be "
        "scored: no frames",
    ]


class Echo:
    """A producer that signs what the signer has signed, at the corpus's rate; the clips in `broken` become NaN."""

    name = "generated"

    def __init__(self, corpus: Corpus, tokenizer, broken: tuple[str, ...] = ()):
        self.corpus, self.broken = corpus, broken
        self.layout, self.conditions = tokenizer.layout, tokenizer.conditions

    def produce(self, clips: list[Clip]) -> list[Motion]:
        motions = []
        for clip in clips:
            motion = self.corpus.load(clip)
            cut = motion.frames(slice((len(motion) % 4) // 2, (len(motion) % 4) // 2 + len(motion) // 4 * 4))
            motion = self.layout.covered(cut).resampled(self.corpus.fps)
            motions.append(motion if clip.name not in self.broken else replace(motion, betas=motion.betas * np.nan))
        return motions


def motion_cells(evaluation: Evaluation) -> list:
    return [cell for cell in evaluation.table.cells if cell.score.signature.body is not None]


def test_motions_of_all_rates_are_scored_at_that_of_the_corpus(body):
    corpus = Corpus(6, (24.0, 23.976, 20.0, 15.0, 60.0))
    tokenizer = small_tokenizer()
    evaluation = generation(Echo(corpus, tokenizer), setting(body, [corpus], 4), partial(Reconstruction, tokenizer))
    cells = motion_cells(evaluation)
    assert not evaluation.unscored and {cell.row for cell in cells} > {"generated", Reconstruction.name, GROUND_TRUTH}
    assert {cell.score.signature.fps for cell in cells} == {24.0} and {cell.score.clips for cell in cells} == {6}
    generated = {cell.metric: cell.score.values for cell in cells if cell.row == "generated"}
    assert generated["length", ""]["ratio"] == 1
    assert generated["DTW-JPE", "avg"]["mm"] == pytest.approx(0, abs=1e-2)
    of_tokenizer = motion_cells(reconstruction(tokenizer, setting(body, [corpus], 4)))
    assert {cell.score.clips for cell in of_tokenizer} == {6}


def test_use_of_codes_is_counted_in_every_corpus_and_in_all_of_them(body, tmp_path):
    """Against the codes themselves; of FSQ, which levels are used as well."""
    corpora = [Corpus(3), Corpus(5)]
    corpora[1].name = "other"
    tokenizer = small_tokenizer(quantizers={"body": Fsq(levels=(5, 3), bound="standard")})
    evaluation = reconstruction(tokenizer, setting(body, corpora, 4))
    evaluation.save(tmp_path)
    counts = json.loads((tmp_path / "token_counts.json").read_text())
    assert list(counts) == ["own", "other", ALL_CORPORA] and (tmp_path / "token_frequencies.png").is_file()
    codes = {}
    for corpus in corpora:
        motions = [m.frames(fitted_indices(len(m), 8, 40, 4)) for m in map(corpus.load, corpus.clips("test"))]
        codes[corpus.name] = torch.cat(tokenizer.encode_motions(motions))
    codes[ALL_CORPORA] = torch.cat(list(codes.values()))
    cells = {(cell.corpus, *cell.metric): cell for cell in evaluation.table.cells}
    for corpus, found in codes.items():
        for column, (stream, size) in zip(found.T, tokenizer.streams.items()):
            expected = np.bincount(column, minlength=size)
            assert counts[corpus][stream] == expected.tolist()
            used, spread = (cells[corpus, metric, stream].score for metric in ("codebook-use", "token-counts"))
            assert used.values["percent"] == pytest.approx(100 * (expected > 0).mean())
            assert spread.values["SD"] == pytest.approx(expected.std()) and not spread.higher_is_better
        third = np.bincount(found[:, 0] // 5, minlength=3)
        levels = cells[corpus, "level-use", "body dimension 2"].score.values
        assert levels["percent"] == pytest.approx(100 * (third > 0).mean())
    assert cells[ALL_CORPORA, "codebook-use", "body"].score.clips == 8
    assert ("own", "level-use", "lhand dimension 1") not in cells


def test_every_row_scores_the_same_clips(body, tmp_path):
    corpus = Corpus(6)
    tokenizer = small_tokenizer()
    producer = Echo(corpus, tokenizer, broken=("c3",))
    evaluation = generation(producer, setting(body, [corpus], 4), partial(Reconstruction, tokenizer))
    assert len(evaluation.unscored) == 2  # it, and the one that it was shuffled to
    assert {cell.score.clips for cell in motion_cells(evaluation)} == {4}
    assert {cell.total for cell in evaluation.table.cells} == {6}
    (why,) = (reason for (_, name, _), reason in evaluation.unscored.items() if name == "c3")
    assert why == "clip c3 cannot be scored: the prediction holds NaN or infinite positions, first in frame 0"
    everything = tuple(f"c{i}" for i in range(6))
    with pytest.raises(UserError, match="no clip of own can be scored; the first, generated: clip c0 cannot be scored"):
        generation(Echo(corpus, tokenizer, everything), setting(body, [corpus], 4))


class Alone(World):
    """One of several processes, which hears nothing of the others."""

    def gathered(self, items):
        return list(items)


def test_numbers_do_not_depend_on_who_computes_them(body):
    """The same batches, whatever the number of processes, so the very same numbers."""
    corpus, tokenizer = Corpus(5), small_tokenizer().eval()
    generator = make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash)
    producer = SignProducer(generator, tokenizer)
    batches: list[list[str]] = []
    produce = producer.produce
    producer.produce = lambda clips: batches.append([clip.name for clip in clips]) or produce(clips)

    def scores(world: World) -> dict[tuple, dict]:
        evaluation = generation(
            producer, setting(body, [corpus], 4, batch_size=2, world=world), partial(Reconstruction, tokenizer)
        )
        clips = [clip for clip in evaluation.clips if "shuffled" not in clip["row"]]
        return {(clip["row"], clip["clip"]): clip for clip in clips}

    alone = scores(World())
    assert [len(batch) for batch in batches] == [2, 2, 1] and len(alone) == 2 * 5
    expected, together, batches[:] = batches[:], {}, []
    for rank in range(2):
        together |= scores(Alone(rank, size=2))
    assert sorted(batches) == sorted(expected) and together == alone


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_have_all_clips_once(processes):
    own = [World(rank, processes).own(range(7)) for rank in range(processes)]
    assert sorted(sum(own, [])) == list(range(7))
    assert World().gathered([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("text", "level"), [("今日はいい天気です。", "char"), ("今天 天气 很 好。", "jieba"), ("A fine day.", "word")]
)
def test_texts_are_counted_by_their_script_not_by_the_sign_language(text, level):
    """A corpus of one's own, whose sign language nobody gave a locale."""
    clip = Clip("a", "own", "test", "XSL", text, Path("a"), 24.0)
    motion = random_motion(80, fps=24.0)
    corpus = SimpleNamespace(
        name="own", language="XSL", fps=24.0, clips=lambda split: [clip], skipped=lambda split: [],
        load=lambda clip: motion,
    )
    perfect = {"own": lambda motions: [clip.text for _ in motions]}
    evaluation = translation(perfect, "read", LAYOUT, setting(None, [corpus], limits=(40, 400)))
    assert {cell.score.signature.level for cell in evaluation.table.cells} == {level}
    assert all(row["ROUGE-L percent"] == pytest.approx(100) and row["WER percent"] == 0 for row in evaluation.clips)


class Skeletons(Corpus):
    """Random joint positions."""

    def load(self, clip: Clip) -> JointMotion:
        number = int(clip.name[1:])
        random = torch.Generator().manual_seed(number)
        return JointMotion(torch.randn(9 + number, 50, 3, generator=random).cumsum(0), SKELETON_50, 24.0)


class StillSkeleton:
    name, layout = "mean pose", MotionLayout([PartSpec("all", SKELETON_50, rotation="position")])
    conditions = {"layout": layout.hash}

    def produce(self, sentences):
        return [JointMotion(torch.zeros(12, 50, 3), SKELETON_50, 24.0)] * len(sentences)


@pytest.mark.parametrize("unit", ["unit", "m"])
def test_a_table_of_joint_positions_has_the_scores_of_the_field_and_says_its_unit(unit, capsys):
    evaluation = generation(StillSkeleton(), setting(Skeleton(SKELETON_50, unit), [Skeletons(4)]))
    generated = {cell.metric: cell.score for cell in evaluation.table.cells if cell.row == "mean pose"}
    assert {
        ("DTW-JPE", "body"), ("DTW-JPE", "hand"), ("PT-DTW", ""), ("DTW-MJE", ""), ("length", ""),
        ("velocity error", "body"), ("velocity error", "hand"),
    } <= set(generated)
    motions = [Skeletons(4).load(clip).positions.abs() for clip in Skeletons(4).clips("test")]
    # A still pose is warped onto 12 frames at least: of its L pairs every one costs what its reference frame does.
    least = np.mean([m.sum(dim=(1, 2)).mean() for m in motions])
    assert least <= generated["PT-DTW", ""].values[unit] < 1.5 * least
    note = "Lengths are in the corpora's own unit, here called unit (a thousandth: milliunit)"
    evaluation.table.print_summary(evaluation.summary)
    screen = " ".join(capsys.readouterr().out.split())
    for text in (screen, evaluation.table.text()):
        assert "PT-DTW" in text and "DTW-MJE" in text and text.count(note) == (unit == "unit")
