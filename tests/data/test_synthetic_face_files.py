"""The synthetic corpora with faces on disk: both forms of poses from one performance."""
from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from prepare.synthetic_corpora import main
from soke.body.joints import JOINT_GROUPS
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.nmfs_csl import NMFsCSL
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.storage.formats import SMPLFX_CLIPS, SOKE_FRAMES
from soke.data.synthetic import corpora as planning
from soke.data.synthetic import isolated as isolating
from soke.data.synthetic import writer
from soke.data.synthetic.corpora import SignBook, plan_corpora, plan_lexicon
from soke.data.synthetic.files import STAMP
from soke.data.synthetic.isolated import IsolatedSize, plan_isolated
from soke.data.synthetic.recordings import FaceRecorder
from soke.data.synthetic.visemes import VISEMES
from soke.data.synthetic.writer import write_corpora
from soke.errors import UserError
from tests.data.test_synthetic import stopped_after, tree

SEED = 7


def few_signs(corpora):
    takes = plan_lexicon(corpora).takes
    return SignBook((takes[0], takes[-1]))


@pytest.fixture(scope="module", autouse=True)
def small():
    """A few clips per split, two signs in the lexicon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(planning.SIZES, "tiny", {"train": 3, "val": 1, "test": 1})
        patch.setitem(
            isolating.ISOLATED_SIZES, "tiny", IsolatedSize((1, 0), 1, {"train": 2, "val": 1, "test": 1})
        )
        patch.setattr(writer, "plan_lexicon", few_signs)
        patch.setattr(writer, "plan_corpora", cache(plan_corpora))
        yield


@pytest.fixture(scope="module")
def plans(small):
    corpora = writer.plan_corpora("tiny", SEED)
    return {p.folder: p for p in (*corpora, few_signs(corpora), plan_isolated("tiny", SEED, corpora[1].signs))}


@pytest.fixture(scope="module")
def faced(small, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpora") / "face"
    assert write_corpora(root, "tiny", SEED, face=True)
    return root


READERS = {
    "How2Sign": How2Sign, "CSL-Daily": CSLDaily, "Phoenix_2014T": Phoenix14T, "NMFs-CSL": NMFsCSL, "lexicon": Lexicon,
}


@pytest.mark.parametrize("folder", READERS)
def test_both_forms_of_poses_hold_the_same_performance(faced, plans, folder):
    recorder = FaceRecorder(tuple(plans.values()), SEED)
    source = plans[folder]
    takes = {take.name: take for take in source.takes}
    motions = []
    for form in (SOKE_FRAMES, SMPLFX_CLIPS):
        reader = READERS[folder](faced / folder, form=form)
        clips = reader.clips("train")
        assert not reader.skipped("train")
        assert len(clips) == sum(getattr(take, "split", "train") == "train" for take in source.takes)
        # How2Sign's reader thins out what is above 24 frames/s
        clip = next(clip for clip in clips if folder != "How2Sign" or takes[clip.name].fps == 24)
        motions.append(reader.load(clip))
    take = takes[clip.name if clip.name in takes else clip.frames.stem]
    recorded = recorder.record(source, take)
    for loaded, made in zip(motions, (recorded.soke, recorded.smplfx)):
        assert torch.equal(loaded.rotations, made.rotations) and torch.equal(loaded.expression, made.expression)
        assert torch.equal(loaded.betas, made.betas) and loaded.fps == made.fps
        assert loaded.lacking == made.lacking == frozenset(JOINT_GROUPS["eyes"] if made is recorded.soke else ())
    assert torch.equal(motions[1].eyelids, recorded.smplfx.eyelids)
    assert torch.equal(motions[1].head_shape, recorded.smplfx.head_shape)


def test_every_clip_has_its_file(faced, plans):
    files = {path.relative_to(faced) for path in faced.rglob("*.npz")}
    assert files == {
        Path(folder, "smplfx", f"{take.name}.npz") for folder, plan in plans.items() for take in plan.takes
    }


def test_texts_are_those_without_a_face(faced, tmp_path):
    assert write_corpora(tmp_path / "plain", "tiny", SEED)
    plain, own = tree(tmp_path / "plain"), tree(faced)
    assert not [name for name in plain if name.endswith(".npz") or name.startswith("NMFs-CSL")]
    tables = [name for name in plain if not name.endswith((".pkl", ".pt")) and name not in (STAMP, "phenomena.json")]
    assert len(tables) == 10 and all(plain[name] == own[name] for name in tables)
    poses = [name for name in plain if name.endswith(".pkl")]
    assert {name for name in own if name.endswith(".pkl") and not name.startswith("NMFs-CSL")} == set(poses)
    assert all(plain[name] != own[name] for name in poses if "poses/ASL" in name)  # other faces


@pytest.mark.slow
def test_workers_and_interruptions_do_not_matter(faced, tmp_path, plans):
    root = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        write_corpora(root, "tiny", SEED, progress=stopped_after(0.5), face=True)
    assert not json.loads((root / STAMP).read_text())["complete"]
    first = plans["How2Sign"].takes[0]
    (root / "How2Sign" / "smplfx" / f"{first.name}.npz").unlink()  # killed between both forms of a clip
    assert write_corpora(root, "tiny", SEED, workers=2, face=True)
    assert tree(root) == tree(faced)
    assert not write_corpora(root, "tiny", SEED, face=True)


def test_what_is_in_the_faces_is_written_down(faced, plans):
    written = json.loads((faced / "phenomena.json").read_text(encoding="utf-8"))
    assert set(written["mouth_shapes"]) == set(VISEMES)
    assert all(0 < shape["kept_by_ten_coefficients"] < 1 for shape in written["mouth_shapes"].values())
    for language, folder in (("ASL", "How2Sign"), ("CSL", "CSL-Daily"), ("DGS", "Phoenix_2014T")):
        assert set(written["faces"][language]) == {take.name for take in plans[folder].takes}
        for take in plans[folder].takes:
            face = written["faces"][language][take.name]
            assert len(face["mouthings"]) == len(take.sentence.words) and len(face["blinks"]) >= 1
            assert all(set(shapes) <= set(VISEMES) for shapes in face["mouthings"])
            negative = set(take.sentence.words) & set(plans[folder].spoken.negative)
            assert bool(face["negations"]) == bool(negative)
            assert all(set(run) & negative for run in face["negations"])
            assert bool(face["questions"]) == plans[folder].spoken.clauses[take.sentence.template].endswith("?")
    isolated = written["isolated"]
    assert {clip["group"] for clip in isolated.values()} == {"group00", ""}
    assert all(clip["mouthing"] and isinstance(clip["brows"], dict) for clip in isolated.values())


def test_labels_of_the_isolated_signs(faced, plans):
    corpus = NMFsCSL(faced / "NMFs-CSL")
    labels = {sign.label: sign for sign in plans["NMFs-CSL"].signs}
    for split, count in (("train", 6), ("test", 3)):
        found = corpus.labels(split)
        assert len(found) == count and not corpus.skipped(split)
        assert {label.number for label in found.values()} == set(labels)
        assert all((label.word, label.subset) == (labels[label.number].word, labels[label.number].subset)
                   for label in found.values())


def test_the_command_says_what_ten_coefficients_keep(faced, capsys):
    main(["--out", str(faced), "--size", "tiny", "--seed", str(SEED), "--face"])
    printed = capsys.readouterr().out
    assert "there already" in printed and "fv 52%" in printed and "i 99%" in printed
    with pytest.raises(SystemExit, match="remove that folder"):
        main(["--out", str(faced), "--size", "tiny", "--seed", str(SEED)])


def test_a_plain_folder_is_not_given_faces(tmp_path):
    stamp = {"version": writer.VERSION, "size": "tiny", "seed": SEED, "complete": True}
    (tmp_path / STAMP).write_text(json.dumps(stamp))
    with pytest.raises(UserError, match="choose another one with --out"):
        write_corpora(tmp_path, "tiny", SEED, face=True)
