"""A test that was broken off goes on with what it has not produced, to the numbers of one that was not."""
from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip
from soke.data.storage.saved import read_motions, write_motions
from soke.errors import UserError
from soke.evaluation.references import read_references
from soke.evaluation.rows import generation, translation
from soke.evaluation.unfinished import Unfinished
from soke.generator.producer import SignProducer
from soke.run.config import ROOT
from soke.run.processes import World
from soke.tokenizer.reconstruction import Reconstruction
from tests.data.writing import LAYOUT
from tests.evaluation.helpers import Corpus, LengthReader, setting
from tests.generator.helpers import make_generator
from tests.tokenizer.helpers import small_tokenizer


class Broken(Exception):
    pass


class Counted:
    """Another producer, which is killed when it has made so many batches, and counts the frames of what it makes."""

    def __init__(self, producer, breaks_at: int | None = None):
        self.producer, self.name, self.layout, self.conditions = producer, producer.name, producer.layout, producer.conditions
        self.breaks_at, self.made, self.counts = breaks_at, [], Counter(frames=0)

    def produce(self, clips):
        if len(self.made) == self.breaks_at:
            raise Broken
        self.made.append([clip.name for clip in clips])
        motions = self.producer.produce(clips)
        self.counts["frames"] += sum(map(len, motions))
        return motions


@pytest.fixture(scope="module")
def system() -> SignProducer:
    tokenizer = small_tokenizer().eval()
    return SignProducer(make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash), tokenizer)


def evaluated(body, producer: Counted, unfinished: Unfinished | None, size: int = 5, world: World = World(), **more):
    """Cells of the table and clips, to the last digit."""
    asked = setting(body, [Corpus(size)], 4, batch_size=2, readers={"own": LengthReader()}, world=world,
                    unfinished=unfinished, **more)
    found = generation(producer, asked, partial(Reconstruction, producer.producer.tokenizer))
    return [(c.corpus, c.row, c.score.signature, c.score.values) for c in found.table.cells], found.clips, found.table.notes


DEPENDS = {"model": "0123"}


@pytest.mark.parametrize("breaks_at", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_test_that_was_broken_off_ends_with_the_same_table(body, system, tmp_path, breaks_at, caplog, monkeypatch):
    whole, read = Counted(system), []
    monkeypatch.setattr(LengthReader, "translate", lambda self, motions: read.append(len(motions)) or [
        f"rain {len(motion)}" for motion in motions
    ])
    expected = evaluated(body, whole, None)
    assert len(read) == 3 * 3  # of signers, of what was produced, and of the ceiling
    assert [len(batch) for batch in whole.made] == [2, 2, 1]
    first, second = Counted(system, breaks_at), Counted(system)
    with pytest.raises(Broken):
        evaluated(body, first, Unfinished(tmp_path, DEPENDS))
    again = Unfinished(tmp_path, DEPENDS)
    again.begin()
    with caplog.at_level(logging.INFO):
        assert evaluated(body, second, again) == expected
    assert first.made + second.made == whole.made and second.counts == whole.counts
    assert ("goes on where it was broken off" in caplog.text) == (breaks_at > 0)
    assert len(read) == 2 * 3 * 3
    assert evaluated(body, Counted(system, 0), Unfinished(tmp_path, DEPENDS)) == expected  # all is there now
    assert len(read) == 2 * 3 * 3
    again.end()
    assert not list(tmp_path.glob("*"))


def produced(body, producer: Counted, unfinished: Unfinished, size: int = 5, **more) -> list[Motion]:
    corpus = Corpus(size)
    asked = setting(body, [corpus], 4, **{"batch_size": 2} | more)
    return read_references(corpus, LAYOUT, asked).produced_by(producer, unfinished=unfinished)


def test_what_other_circumstances_made_is_never_used(body, system, tmp_path):
    produced(body, Counted(system), Unfinished(tmp_path, DEPENDS))

    def made_again(unfinished: Unfinished, **more) -> list[list[str]]:
        producer = Counted(system)
        produced(body, producer, unfinished, **more)
        return producer.made

    assert made_again(Unfinished(tmp_path, DEPENDS)) == []
    assert len(made_again(Unfinished(tmp_path, {"model": "4567"}))) == 3
    assert len(made_again(Unfinished(tmp_path, DEPENDS), split="val")) == 3
    assert len(made_again(Unfinished(tmp_path, DEPENDS), limits=(8, 12))) == 3  # other references
    assert len(made_again(Unfinished(tmp_path, DEPENDS), batch_size=4)) == 1  # the last is alone, as it was
    assert made_again(Unfinished(tmp_path, DEPENDS), size=6) == [["c5", "c1"], ["c3", "c4"]]
    other = Counted(system)
    other.name = "other"
    produced(body, other, Unfinished(tmp_path, DEPENDS))
    assert len(other.made) == 3
    Unfinished(tmp_path, DEPENDS).begin()
    assert len(list(tmp_path.iterdir())) == 1  # what others left is gone
    assert len(made_again(Unfinished(tmp_path, {"model": "4567"}))) == 3


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:100], lambda data: data[:-50]])
def test_a_damaged_file_is_made_again(body, system, tmp_path, damage):
    expected = produced(body, Counted(system), Unfinished(tmp_path, DEPENDS))
    file = sorted(tmp_path.rglob("*.npz"))[0]
    file.write_bytes(damage(file.read_bytes()))
    producer = Counted(system)
    found = produced(body, producer, Unfinished(tmp_path, DEPENDS))
    assert len(producer.made) == 1
    assert all(torch.equal(motion.rotations, other.rotations) for motion, other in zip(found, expected, strict=True))


class Alone(World):
    """One of two processes, which hears nothing of the other."""

    def gathered(self, items):
        return list(items)


def test_one_process_goes_on_with_what_two_have_made(body, system, tmp_path):
    for rank in range(2):
        produced(body, Counted(system), Unfinished(tmp_path, DEPENDS), world=Alone(rank, 2))
    produced(body, Counted(system, 0), Unfinished(tmp_path, DEPENDS))


def test_texts_of_motions_are_kept_too(body, tmp_path):
    corpus, calls = Corpus(5), []

    def translate(motions):
        if len(calls) == 2:
            raise Broken
        calls.append(len(motions))
        return [f"rain {len(motion)} 雨" for motion in motions]

    def scores(function):
        asked = setting(body, [corpus], 4, batch_size=2, unfinished=Unfinished(tmp_path, DEPENDS))
        return translation({"own": function}, "reader", LAYOUT, asked)

    with pytest.raises(Broken):
        scores(translate)
    rest = []
    found = scores(lambda motions: rest.append(len(motions)) or [f"rain {len(motion)} 雨" for motion in motions])
    assert (calls, rest) == ([2, 2], [1])
    texts = {clip["clip"]: clip["translation"] for clip in found.clips if clip["row"] == "reader"}
    assert texts == {f"c{i}": f"rain {(9 + 4 * i) // 4 * 4} 雨" for i in range(5)}


def test_motions_come_back_to_the_last_bit(tmp_path):
    full = Motion(
        torch.randn(7, 55, 3), torch.randn(7, 100), torch.randn(10), 23.976, torch.rand(7, 2), "generator 12ab",
        torch.randn(300), frozenset({"jaw", "eyelids"}),
    )
    positions = JointMotion(torch.randn(5, 50, 3), SKELETON_50, 25.0, "regressor 34cd", frozenset({"chin"}))
    empty = Motion.rest(0, 24.0)
    write_motions(tmp_path / "a.npz", [full, empty, positions] * 5, {"made": 3, "cut": 0})
    found, counts = read_motions(tmp_path / "a.npz")
    assert counts == {"made": 3, "cut": 0} and len(found) == 15
    for motion, expected in zip(found, [full, empty, positions] * 5):
        assert type(motion) is type(expected)
        for name, value in vars(expected).items():
            other = getattr(motion, name)
            assert torch.equal(other, value) and other.dtype == value.dtype if torch.is_tensor(value) else other == value
    write_motions(tmp_path / "none.npz", [], {})
    assert read_motions(tmp_path / "none.npz") == ([], {})
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="b.npz is no saved motion"):
        read_motions(tmp_path / "b.npz")


def test_facts_of_a_clip_and_frames_of_its_signer_count(tmp_path):
    clip = Clip("a", "own", "test", "ASL", "rain", Path("x"), 24.0)
    motion = Motion.rest(8, 24.0)
    made = Unfinished(tmp_path, DEPENDS)
    calls = []

    def kept(clip: Clip, motion: Motion) -> bool:
        before = len(calls)
        made.translated("reader", lambda motions: calls.append(1) or ["x"], [clip], [motion])
        return len(calls) == before

    assert not kept(clip, motion) and kept(clip, motion) and kept(replace(clip, frames=Path("y")), motion)
    for other in ({"text": "sun"}, {"gloss": "RAIN"}, {"prompt": "how?"}, {"language": "BSL"}, {"fps": 25.0}, {"name": "b"}):
        assert not kept(replace(clip, **other), motion)
    shifted = replace(motion, rotations=motion.rotations + 1e-7)
    assert not kept(clip, shifted) and not kept(clip, replace(motion, fps=25.0))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.evaluation import test_unfinished as t
from soke.body.model import load_body_model
class Killed(t.Counted):
    def produce(self, clips):
        if len(self.made) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().produce(clips)
body = load_body_model(t.ROOT / "deps" / "smpl_models", flat_hand_mean=True)
tokenizer = t.small_tokenizer().eval()
system = t.SignProducer(t.make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash), tokenizer)
t.evaluated(body, Killed(system), t.Unfinished(Path(sys.argv[1]), t.DEPENDS))
"""


@pytest.mark.slow
def test_a_killed_process_leaves_what_it_has_made(body, system, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    producer, threads = Counted(system), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = evaluated(body, producer, Unfinished(tmp_path, DEPENDS))
        assert len(producer.made) == 1 and found == evaluated(body, Counted(system), None)
    finally:
        torch.set_num_threads(threads)
