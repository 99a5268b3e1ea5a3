"""The oracle reads what the synthetic signers sign, without an error, and from a still body nothing."""
from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from prepare import to_skeletons
from soke.body.joints import SKELETON_50
from soke.body.skeletonise import skeleton_50
from soke.build import testing
from soke.build.data import corpora_of
from soke.build.testing import oracles_of
from soke.data.clip import SPLITS, Clip
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.corpora.skels import SkelsCorpus
from soke.data.synthetic.corpora import Take, plan_corpus
from soke.data.synthetic.files import as_json
from soke.data.synthetic.known import KnownCorpus, known_corpus, origin_of
from soke.data.synthetic.skeleton_writer import stand_in, write_skeletons
from soke.data.synthetic.vocabularies import ENGLISH
from soke.data.synthetic.writer import VERSION, write_corpora
from soke.errors import UserError
from soke.evaluation.oracle.decoding import cheapest_signs
from soke.evaluation.oracle.reader import Oracle, SignErrorRate
from soke.evaluation.protocols import Reader
from soke.evaluation.rows import generation
from soke.metrics.text_scores import WER
from soke.run.config import load_config
from tests.data.writing import LAYOUT
from tests.evaluation.helpers import Corpus, MeanPose, setting


def named(split: str, number: int, take: int, signer: int) -> tuple[str, float]:
    return f"{split}-{number}-{take}", 24.0


@pytest.fixture(scope="module")
def known() -> KnownCorpus:
    """Sixteen sentences of a small language, one of them by the left-handed signer."""
    planned = plan_corpus(ENGLISH.with_tail(0), {"train": 10, "val": 3, "test": 3}, 5, named, pool=2000)
    return KnownCorpus(planned, {"size": "own", "seed": 5})


@pytest.fixture(scope="module")
def oracle(known) -> Oracle:
    return Oracle(known)


def rate(oracle: Oracle, motions: dict) -> float:
    metric = SignErrorRate(oracle.hash)
    for clip, motion in motions.items():
        metric.update_tokens(clip, *oracle.compared(motion, clip))
    (score,) = metric.scores()
    return score.values["percent"]


@pytest.mark.parametrize("positions", [False, True])
def test_every_sign_is_read_from_every_signer(known, oracle, positions):
    """Left-handed ones, both variants, signs that differ in the face alone; and from who signs it a second time."""
    form = partial(skeleton_50, stand_in()) if positions else lambda motion: motion
    takes = known.planned.takes
    assert any(known.planned.signers[take.signer].left_handed for take in takes)
    assert {"happy", "tired"} & {word for take in takes for word in take.sentence.words}
    assert rate(oracle, {take.name: form(known.planned.perform(take)) for take in takes}) == 0
    again = {take.name: form(known.again(take.name, 30.0, "soke")) for take in takes}
    assert rate(oracle, again) == 0 and all(motion.fps == 30 for motion in again.values())


def test_a_still_body_signs_nothing(known, oracle):
    motions = {take.name: known.planned.perform(take) for take in known.planned.takes}
    mean = torch.cat([motion.rotations for motion in motions.values()]).mean(0)
    still = {name: replace(m, rotations=mean.expand(len(m), -1, -1)) for name, m in motions.items()}
    assert rate(oracle, still) == 100 and oracle.translate(list(still.values())[:1]) == [""]
    assert oracle.signs([motion.frames(slice(0, 0)) for motion in motions.values()][:1]) == [[]]


def signed(known: KnownCorpus, take: Take, words: tuple[str, ...]):
    sentence = replace(take.sentence, words=words)
    return known.planned.perform(replace(take, sentence=sentence, choices=(0,) * len(words)))


def test_every_error_counts_once(known, oracle):
    """A sign replaced, left out, put in; two that change places are two."""
    take = next(t for t in known.planned.takes if len(t.sentence.words) == 4 and "dog" not in t.sentence.words)
    a, b, c, d = take.sentence.words
    for words, errors in (
        ((a, "dog", c, d), 1), ((a, c, d), 1), ((a, b, "dog", c, d), 1), ((b, a, c, d), 2), ((a, b, c, d), 0),
    ):
        motion = signed(known, take, words)
        assert oracle.signs([motion]) == [list(words)]
        found, wanted = oracle.compared(motion, take.name)
        metric = WER(level="word")
        metric.update_tokens(take.name, found, wanted)
        assert metric.scores()[0].values["percent"] == 25 * errors, words


def test_faces_tell_signs_of_the_same_hands_apart(known, oracle):
    """In joint positions they are one sign."""
    take = next(t for t in known.planned.takes if not known.planned.signers[t.signer].left_handed)
    motion = signed(known, take, ("tired",))
    assert oracle.signs([motion]) == [["tired"]]
    blank = replace(signed(known, take, ("happy",)), expression=motion.expression, rotations=motion.rotations)
    assert oracle.signs([blank]) == [["tired"]]
    own = next(t.name for t in known.planned.takes if {"happy", "tired"} & set(t.sentence.words))
    found, wanted = oracle.compared(skeleton_50(stand_in(), motion), own)
    assert found == ["happy"] and "tired" not in wanted and "happy" in wanted


def test_the_oracle_is_a_reader(known, oracle):
    reader: Reader = oracle
    assert reader.language == "ASL" and len(reader.hash) == 12 == len(Oracle(known).hash)
    assert Oracle(replace(known, parameters={"size": "own", "seed": 6})).hash != reader.hash
    with pytest.raises(KeyError):
        oracle.compared(known.planned.perform(known.planned.takes[0]), "another")


def test_a_corpus_without_a_plan_is_not_known(tmp_path):
    assert known_corpus(tmp_path / "How2Sign") is None
    stamp = {"version": 3, "size": "tiny", "seed": 7, "complete": True}
    (tmp_path / "corpora.json").write_bytes(as_json(stamp))
    assert known_corpus(tmp_path / "Own") is None
    (tmp_path / "corpora.json").write_bytes(as_json({**stamp, "version": 2}))
    with pytest.raises(UserError, match="How2Sign was written by version 2 of the synthetic corpora"):
        known_corpus(tmp_path / "How2Sign")


def test_positions_that_are_made_of_a_corpus_are_known(known, tmp_path, monkeypatch):
    """By what stands beside them, of whatever name their folder is."""
    monkeypatch.setattr("soke.data.synthetic.known._planned", lambda *parameters: {"Phoenix_2014T": known.planned})
    stamp = {"version": VERSION, "size": "tiny", "seed": 7, "complete": True}
    (tmp_path / "corpora.json").write_bytes(as_json(stamp))
    assert origin_of(tmp_path / "Own") is None
    origin = origin_of(tmp_path / "Phoenix_2014T")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "skeletons.json").write_bytes(as_json({"body": "stand-in", "synthetic": {"mine": origin}}))
    assert known_corpus(tmp_path / "made" / "other") is None
    made, take = known_corpus(tmp_path / "made" / "mine"), known.planned.takes[0]
    assert made.of_positions and made.signed(take.name) == take.sentence.words
    assert made.again(take.name, 25.0, "soke").joints == SKELETON_50


@pytest.mark.slow  # the corpora that are written are planned as the one above
@pytest.mark.parametrize("kind", ["rotations", "faces", "positions", "made positions"])
def test_written_corpora_are_known_by_their_stamp(tmp_path, kind):
    root = tmp_path / "data"
    if kind == "positions":
        write_skeletons(root, "tiny", 3)
        given = {"name": "lsf", "language": "LSF-CH", "fps": 25.0}
        corpora = [SkelsCorpus(root / "LSF-CH", **given)]
    else:
        write_corpora(root, "tiny", 3, face=kind == "faces")
        corpora = [How2Sign(root / "How2Sign"), CSLDaily(root / "CSL-Daily"), Phoenix14T(root / "Phoenix_2014T")]
    if kind == "made positions":
        roots = [f"DATASET.CORPORA.{corpus.name}.ROOT={corpus.root}" for corpus in corpora]
        to_skeletons.main(["--cfg", "configs/demo/soke.yaml", "--out", str(tmp_path / "made"), "--workers", "0", *roots])
        corpora = corpora_of(load_config(str(tmp_path / "made" / "data.yaml"), overrides=["NAME=made"]))
    for corpus in corpora:
        oracle = Oracle(known_corpus(corpus.root))
        clips = [clip for split in SPLITS for clip in corpus.clips(split)]
        assert rate(oracle, {clip.name: corpus.load(clip) for clip in clips}) == 0
        assert rate(oracle, {clip.name: oracle.known.again(clip.name, corpus.fps, "soke") for clip in clips}) == 0


def naive(costs: np.ndarray, bounds: np.ndarray, between: float, begin: float, pace: int) -> tuple[float, list[tuple[int, int, int]]]:
    """Every way through the frames, the cheapest kept for each place: (form, moment) or None."""
    ways = {None: (0.0, [])}
    for frame in costs:
        t, after = len(next(iter(ways.values()))[1]), {}

        def reach(place, cost, way):
            if place not in after or cost < after[place][0]:
                after[place] = cost, way

        for place, (cost, way) in ways.items():
            done = place is None or place[1] == bounds[place[0] + 1] - bounds[place[0]] - 1
            if done:
                reach(None, cost + between, [*way, None])
                for form, first in enumerate(bounds[:-1]):
                    reach((form, 0, t), cost + begin + frame[first], [*way, (form, t)])
            if place is not None:
                form, moment, since = place
                for step in range(pace + 1):
                    n = bounds[form] + moment + step
                    if n < bounds[form + 1]:
                        reach((form, moment + step, since), cost + frame[n], [*way, (form, since)])
        ways = after
    ends = [w for p, w in ways.items() if p is None or p[1] == bounds[p[0] + 1] - bounds[p[0]] - 1]
    cost, way = min(ends, key=lambda end: end[0])
    starts = [(i, sign) for i, sign in enumerate(way) if sign is not None and sign[1] == i]
    spans = [(form, i, max(j for j, s in enumerate(way) if s == (form, since))) for i, (form, since) in starts]
    return cost, spans


@pytest.mark.parametrize("seed", range(8))
def test_the_cheapest_signs_are_found(seed):
    """Against all ways, in plain Python."""
    random = np.random.default_rng(seed)
    bounds = np.cumsum([0, *random.integers(1, 5, size=3)])
    costs = random.random((random.integers(0, 9), bounds[-1]))
    cost, forms, spans = cheapest_signs(costs, bounds, 0.35, 0.1, 1 + seed % 3)
    expected, signs = naive(costs, bounds, 0.35, 0.1, 1 + seed % 3)
    assert cost == pytest.approx(expected)
    assert [(f, *s) for f, s in zip(forms.tolist(), spans.tolist())] == signs
    assert all(a[1] < b[0] for a, b in pairwise(spans.tolist()))


class Signed(Corpus):
    """Some of the planned sentences."""

    def __init__(self, known: KnownCorpus):
        super().__init__(3)
        self.planned = known.planned
        self.takes = {take.name: take for take in known.planned.takes if take.split == "test"}

    def clips(self, split):
        return [Clip(n, "own", split, "ASL", t.sentence.text, Path("nowhere"), 24.0) for n, t in self.takes.items()]

    def load(self, clip):
        return self.planned.perform(self.takes[clip.name])


def test_sign_errors_are_a_column_of_the_table(known, oracle, body):
    """Of the signers none; of who signs two of three sentences, those that the third has."""
    corpus, lost = Signed(known), next(t for t in known.planned.takes if t.split == "test")

    class System(MeanPose):
        name = "system"

        def produce(self, sentences):
            return [self.motion if s.name == lost.name else LAYOUT.covered(corpus.load(s)) for s in sentences]

    evaluation = generation(System(LAYOUT), setting(body, [corpus], limits=(8, 400), oracles={"own": oracle}))
    rates = {c.row: c.score for c in evaluation.table.cells if c.metric == ("sign error rate", "")}
    signs = {take.name: len(take.sentence.words) for take in corpus.takes.values()}
    assert rates["ground truth"].values["percent"] == 0 and not rates["ground truth"].higher_is_better
    assert rates["system"].values["percent"] == pytest.approx(100 * signs[lost.name] / sum(signs.values()))
    assert rates["system, shuffled"].values["percent"] > 60 and rates["system"].signature.judge == oracle.hash
    of_clips = {c["clip"]: c["sign error rate percent"] for c in evaluation.clips if c["row"] == "system"}
    assert of_clips == {name: 100.0 * (name == lost.name) for name in signs}


def test_clips_that_an_oracle_does_not_know_leave_the_other_scores(known, oracle, body):
    class Unknown(Oracle):
        def signed(self, clip):
            return None

    evaluation = generation(MeanPose(LAYOUT), setting(body, [Corpus(2)], oracles={"own": Unknown(known)}))
    assert "sign error rate" not in {c.metric[0] for c in evaluation.table.cells} and evaluation.table.cells
    assert {name for _, name, kind in evaluation.unscored if kind == "signs"} == {"c0", "c1"}


@pytest.mark.parametrize("file, joint", [("configs/demo/soke.yaml", "left_index1"), ("configs/demo/signllm.yaml", "left_hand_index1")])
def test_an_oracle_needs_arms_and_hands(known, monkeypatch, file, joint):
    """Of corpora whose signs are known."""
    config = load_config(file)
    config = replace(config, parts=[part for part in config.parts if "hand" not in part.name])
    monkeypatch.setattr(testing, "known_corpus", lambda root: known if root == Path("known") else None)
    assert oracles_of(config, [SimpleNamespace(name="a", root=Path("other"))]) == {}
    with pytest.raises(UserError, match=f"METRIC.ORACLE=true reads arms and hands, and no part of PARTS sees {joint}"):
        oracles_of(config, [SimpleNamespace(name="a", root=Path("known"))])
