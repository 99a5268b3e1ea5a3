"""The synthetic corpora: their languages, their signers, and their files as the real corpora's readers see them."""
from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter

import numpy as np
import pytest
import roma
import torch

from prepare.synthetic_corpora import main
from soke.body.joints import BODY, LEFT_HAND, RIGHT_HAND, joint_indices
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.how2sign import How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.storage.frames import frames_from_motion
from soke.data.synthetic import arms
from soke.data.synthetic.corpora import SIZES, TAIL, plan_corpora
from soke.data.synthetic.files import STAMP
from soke.data.synthetic.handshapes import HANDSHAPES, SLACK
from soke.data.synthetic.language import write_sentences
from soke.data.synthetic.motion import Signer, cite, perform
from soke.data.synthetic.signs import MANUAL, invent_signs, stroke
from soke.data.synthetic.vocabularies import LANGUAGES
from soke.data.synthetic.writer import write_corpora
from soke.errors import UserError
from soke.text.locales import TEXT_LOCALE
from soke.text.matching import TokenMatcher

SEED = 7
SPOKEN = [spoken.with_tail(TAIL["tiny"]) for spoken in LANGUAGES]
languages = pytest.mark.parametrize("spoken", LANGUAGES, ids=lambda spoken: spoken.language)


@pytest.fixture(scope="module")
def signs():
    return {spoken.language: invent_signs(spoken, SEED) for spoken in LANGUAGES}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora") / "tiny"
    assert write_corpora(root, "tiny", SEED)
    return root


@pytest.fixture(scope="module")
def plans():
    """Sign language -> its tiny corpus before it is written."""
    return {plan.spoken.language: plan for plan in plan_corpora("tiny", SEED)}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_processes_writes_the_same_bytes(tiny, tmp_path, workers):
    assert write_corpora(tmp_path / "others", "tiny", SEED, workers=workers)
    assert tree(tmp_path / "others") == tree(tiny)


def test_seeds_keep_giving_what_they_gave(tiny):
    """As at the time before the signers had faces. Texts and numbers of frames by their bytes, poses by their sums,
    which differ in the last digits between machines."""
    tables = sorted(path for path in tiny.rglob("*") if path.suffix in (".csv", ".json"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in tables)).hexdigest()
    assert digest == "4feca6e4f823ee04eb7a2caaff568140d3c09f29dac49aadef5021bb06f8f9d8"
    assert len(list(tiny.rglob("*.pkl"))) == 8917
    number = torch.arange(179)
    for name, total, weighted in (("mean", 2.0018, 514.3185), ("std", 35.8001, 4375.1032)):
        values = torch.load(tiny / "CSL-Daily" / f"{name}.pt", weights_only=True).double()
        assert float(values.sum()) == pytest.approx(total, abs=1e-3)
        assert float((values * number).sum()) == pytest.approx(weighted, rel=1e-5)


def tree(root):
    """Path -> digest of every file."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*")) if path.is_file()
    }


# ---------------------------------------------------------------------------------------------------- language


@languages
def test_sentences_of_a_demo_corpus(spoken):
    sentences = write_sentences(spoken, SIZES["demo"], "a")
    assert {split: len(found) for split, found in sentences.items()} == SIZES["demo"]
    contents = {split: {s.words for s in found} for split, found in sentences.items()}
    assert not contents["test"] & (contents["train"] | contents["val"]) and not contents["val"] & contents["train"]
    seen = Counter(word for s in sentences["train"] for word in s.words)
    tested = Counter(word for s in sentences["test"] for word in s.words)
    tail = spoken.tail_words
    assert {word: seen[word] for word in tail} == spoken.tail_counts(SIZES["demo"]["train"])
    assert all(seen[word] >= 60 for word in set(spoken.vocabulary) - set(tail))
    rare = set(spoken.rare(SIZES["demo"]["train"]))
    assert len(rare) > 100 and all(1 <= seen[word] <= 2 for word in rare)
    assert {word for word in tested if word in tail} <= rare
    assert sum(tested[word] for word in rare) == 0.4 * SIZES["demo"]["test"]
    for s in sentences["train"] + sentences["test"]:
        assert 3 <= len(s.words) <= 5 and all(word in s.text for word in s.words)
    reordered = [s for s in sentences["train"] if tuple(sorted(s.words, key=s.text.index)) != s.words]
    assert len(reordered) > 0.6 * len(sentences["train"])


@languages
def test_the_tail_falls_with_the_rank_and_can_be_cut(spoken):
    counts = list(spoken.tail_counts(1200).values())
    assert counts == sorted(counts, reverse=True) and counts[-1] >= 1 and counts[0] > 20
    assert max(map(len, spoken.tail_words[:20])) <= min(map(len, spoken.tail_words[-20:]))
    cut = spoken.with_tail(5)
    assert cut.tail_words == spoken.tail_words[:5] and cut.words == spoken.words
    assert spoken.with_tail(10_000) == spoken and spoken.with_tail(0).tail_words == ()


@languages
def test_every_word_of_a_sentence_is_found_in_the_lexicon(spoken):
    matcher = TokenMatcher({spoken.language: dict.fromkeys(spoken.vocabulary)}, TEXT_LOCALE)
    for sentence in write_sentences(spoken, {"train": 1200, "val": 0, "test": 0}, "a")["train"]:
        assert {match.word for match in matcher.find(sentence.text, spoken.language)} == set(sentence.words)


@languages
def test_phenomena_words_belong_to_the_vocabulary(spoken):
    paired = [word for pair in spoken.face_pairs for word in pair]
    assert {*spoken.tail_words, *spoken.variants, *paired, *spoken.phrases} <= set(spoken.vocabulary)
    assert len(set(spoken.vocabulary)) == len(spoken.vocabulary) >= 31 + max(TAIL.values()) - 2
    assert not set(paired) & {*spoken.variants, *spoken.tail_words} and len(spoken.face_pairs) == 2
    for first, second in spoken.face_pairs:  # nothing else in the sentence may tell them apart
        assert any(first in words and second in words for words in spoken.words.values())


def test_texts_are_written_as_their_corpora_write_them():
    english, chinese, german = (write_sentences(spoken, SIZES["tiny"], "a")["train"] for spoken in LANGUAGES)
    assert all(re.fullmatch("[a-z]+( [a-z]+)+", s.text) for s in english)
    assert all(s.text.endswith("。") and " " not in s.text for s in chinese)
    assert all(s.text == s.text.lower() and s.text.endswith(" .") for s in german)
    assert LANGUAGES[2].gloss(("küste", "mäßig")) == "KUESTE MAESSIG"


# ---------------------------------------------------------------------------------------------------- arms


def chain(rotations):
    """Wrist of the right arm by walking along the bones: the slow reference."""
    shoulder, elbow, _ = rotations
    bone = torch.tensor([-1.0, 0.0, 0.0])
    return arms.SHOULDER + arms.UPPER_ARM * shoulder @ bone + arms.FOREARM * shoulder @ elbow @ bone


def test_arm_reaches_its_target_with_the_elbow_below_it():
    rng = torch.Generator().manual_seed(0)
    wrist = torch.tensor([-0.1, 0.05, 0.28]) + 0.08 * (2 * torch.rand(50, 3, generator=rng) - 1)
    twist, swing = torch.randn(50, generator=rng), 0.3 * torch.randn(50, 2, generator=rng)
    rotations = arms.arm_rotations(wrist, torch.zeros(50), twist, swing)
    assert torch.allclose(rotations @ rotations.transpose(-1, -2), torch.eye(3).expand_as(rotations), atol=1e-5)
    for target, found in zip(wrist, rotations):
        assert torch.allclose(chain(found), target, atol=1e-5)
        elbow = arms.SHOULDER + arms.UPPER_ARM * found[0] @ torch.tensor([-1.0, 0.0, 0.0])
        assert elbow[1] < arms.SHOULDER[1]


def test_hand_points_where_it_should_or_says_how_far_it_is_off():
    rng = torch.Generator().manual_seed(1)
    wrist = torch.tensor([-0.15, 0.0, 0.28]) + 0.05 * torch.randn(400, 3, generator=rng)
    fingers, palm = torch.randn(2, 400, 3, generator=rng)
    swivel, twist, swing, error = arms.orient_hand(wrist, fingers, palm)
    assert twist.abs().max() <= arms.TWIST_LIMIT + 1e-6
    assert (swing >= arms.SWING_LOW - 1e-6).all() and (swing <= arms.SWING_HIGH + 1e-6).all()
    direction, normal = arms.hand_axes(arms.arm_rotations(wrist, swivel, twist, swing))
    exact = error < 1e-3
    assert 10 < exact.sum() < 400
    wanted = torch.nn.functional.normalize(fingers, dim=-1)
    assert torch.allclose(direction[exact], wanted[exact], atol=5e-3)
    across = palm - (palm * wanted).sum(-1, keepdim=True) * wanted
    assert torch.allclose(normal[exact], torch.nn.functional.normalize(across, dim=-1)[exact], atol=5e-3)
    off = torch.acos((direction * wanted).sum(-1).clamp(-1, 1))
    assert (off <= error + 1e-2).all()


# ---------------------------------------------------------------------------------------------------- signs


def test_handshapes_differ():
    gaps = torch.cdist(HANDSHAPES.flatten(1), HANDSHAPES.flatten(1)) + torch.eye(len(HANDSHAPES)) * 9
    assert len(HANDSHAPES) >= 12 and gaps.min() > 0.25


@languages
def test_every_word_has_a_sign_and_signs_differ(spoken, signs):
    forms = signs[spoken.language]
    assert set(forms) == set(spoken.vocabulary)
    assert all(len(forms[word]) == 1 + (word in spoken.variants) for word in forms)
    second = {pair[1] for pair in spoken.face_pairs}
    distinct = [form for word in forms if word not in second for form in forms[word]]
    phase = torch.linspace(0, 1, 5)
    wrists = torch.stack([stroke(f, phase)["wrist"].flatten() for f in distinct])
    fingers = torch.stack([stroke(f, phase)["fingers"].flatten() for f in distinct])
    gaps = (torch.cdist(wrists, wrists) * 4 + torch.cdist(fingers, fingers)).fill_diagonal_(9)
    assert gaps.min() > 1.5
    two_handed = [not torch.equal(f.start["fingers"][1], SLACK) for f in distinct]
    assert 0.35 < np.mean(two_handed) < 0.65


@languages
def test_face_pairs_share_their_hands_only(spoken, signs):
    for first, second in spoken.face_pairs:
        phase = torch.linspace(0, 1, 9)
        one, other = (stroke(signs[spoken.language][word][0], phase) for word in (first, second))
        assert all(torch.equal(one[key], other[key]) for key in MANUAL)
        assert (one["expression"] - other["expression"]).norm(dim=-1).min() > 2


@languages
def test_variants_differ_in_arms_and_in_hands(spoken, signs):
    for word in spoken.variants:
        one, other = (stroke(form, torch.linspace(0, 1, 9)) for form in signs[spoken.language][word])
        assert (one["wrist"] - other["wrist"]).norm(dim=-1).max() > 0.08
        assert (one["fingers"] - other["fingers"]).flatten(1).norm(dim=-1).max() > 1


def test_hands_stay_in_front_of_the_body(signs):
    for forms in (form for words in signs.values() for variants in words.values() for form in variants):
        wrist = stroke(forms, torch.linspace(0, 1, 7))["wrist"]
        assert (wrist[..., 2] > 0.05).all() and (wrist[..., 1] > -0.35).all()


# ---------------------------------------------------------------------------------------------------- performance


@pytest.fixture
def forms(signs):
    return [signs["ASL"][word][0] for word in ("today", "dog", "sleeps")]


def performed(forms, seed=0, **signer):
    return perform(forms, Signer("x", torch.zeros(10), **signer), 25.0, torch.Generator().manual_seed(seed)).motion()


def test_performance_is_smooth_and_begins_and_ends_at_rest(forms):
    motion = performed(forms, noise=0.0)
    assert motion.rotations.isfinite().all() and motion.expression.isfinite().all() and 30 < len(motion) < 90
    assert torch.allclose(motion.rotations[0], motion.rotations[-1], atol=1e-3)
    steps = roma.rotvec_geodesic_distance(motion.rotations[1:], motion.rotations[:-1])
    assert steps.max() < math.radians(55)
    assert not motion.rotations[:, joint_indices(BODY[:12])].any()  # pelvis, legs and spine


def test_noise_is_small_beside_the_signs(forms):
    clean = performed(forms, noise=0.0)
    noisy = performed(forms, noise=1.0)
    frames = min(len(clean), len(noisy))
    fingers = joint_indices(RIGHT_HAND)
    # Compared at the rest pose, where tempo does not matter.
    drift = (clean.rotations[0, fingers] - noisy.rotations[0, fingers]).norm(dim=-1)
    assert 0 < drift.max() < 0.12
    assert clean.rotations[:frames, fingers].std(dim=0).max() > 0.3


def test_tempo_and_amplitude_of_a_signer(forms):
    quick, slow = performed(forms, noise=0.0, tempo=1.15), performed(forms, noise=0.0, tempo=0.85)
    assert len(slow) == pytest.approx(len(quick) * 1.15 / 0.85, abs=2)
    phase = torch.linspace(0, 1, 21)
    small, large = (stroke(forms[1], phase, a)["wrist"][:, 0] for a in (0.8, 1.2))
    extents = [(path - path.mean(0)).norm(dim=-1).max() for path in (small, large)]
    assert extents[0] <= extents[1]


def test_left_handed_signer_mirrors_everything(forms):
    right, left = performed(forms), performed(forms, left_handed=True)
    assert torch.allclose(left.mirrored().rotations, right.rotations, atol=1e-6)
    moved = [joint_indices(hand) for hand in (LEFT_HAND, RIGHT_HAND)]
    assert torch.allclose(left.rotations[:, moved[0], 0], right.rotations[:, moved[1], 0], atol=1e-6)


def test_no_signs_no_performance():
    with pytest.raises(ValueError, match="at least one sign"):
        performed([])


@languages
def test_lexicon_clips_are_long_enough(spoken, signs):
    for form in (signs[spoken.language][word][0] for word in spoken.vocabulary):
        assert 40 <= len(cite(form, 24.0)) <= 60


def warped_distance(first, second):
    """DTW over the angles of the fingers, cell by cell."""
    first, second = (m.rotations[:, 25:].flatten(1).numpy() for m in (first, second))
    cost = np.linalg.norm(first[:, None] - second[None], axis=-1)
    total = np.full((len(first) + 1, len(second) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(first)):
        for j in range(len(second)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return total[-1, -1]


@languages
def test_signers_agree_far_more_than_sentences_do(spoken, plans):
    corpus = plans[spoken.language]
    same, different = [], []
    performances = []
    for take in corpus.takes[:5]:
        forms = [corpus.signs[word][choice] for word, choice in zip(take.sentence.words, take.choices)]
        performances.append([
            perform(forms, corpus.signers[i], 25.0, torch.Generator().manual_seed(i)).motion() for i in (1, 2)
        ])
    for i, (one, other) in enumerate(performances):
        same.append(warped_distance(one, other))
        different.append(warped_distance(one, performances[i - 1][1]))
    assert np.mean(same) < 0.35 * np.mean(different)


# ---------------------------------------------------------------------------------------------------- files


def corpora_of(root):
    return How2Sign(root / "How2Sign"), CSLDaily(root / "CSL-Daily"), Phoenix14T(root / "Phoenix_2014T")


def test_the_readers_of_the_real_corpora_read_them(tiny, plans):
    for corpus in corpora_of(tiny):
        plan = plans[corpus.language]
        for split, count in SIZES["tiny"].items():
            clips = corpus.clips(split)
            takes = [take for take in plan.takes if take.split == split]
            assert not corpus.skipped(split)
            assert [(c.name, c.text) for c in clips] == [(t.name, t.sentence.text) for t in takes]
            assert len(clips) == count
            if corpus.language != "ASL":
                assert [c.gloss for c in clips] == [plan.spoken.gloss(t.sentence.words) for t in takes]
        # How2Sign's reader thins out what is above 24 frames/s.
        take = next(t for t in plan.takes if t.split == "test" and (t.fps <= 24 or corpus.language != "ASL"))
        clip = next(c for c in corpus.clips(take.split) if c.name == take.name)
        loaded, made = corpus.load(clip), plan.perform(take)
        assert torch.equal(loaded.rotations, made.rotations) and torch.equal(loaded.expression, made.expression)
        assert torch.equal(loaded.betas, made.betas) and loaded.fps == take.fps


def test_how2sign_mixes_frame_rates(tiny):
    assert {clip.fps for clip in How2Sign(tiny / "How2Sign").clips("train")} == {24.0, 30.0}


def test_lexicon_holds_every_word(tiny):
    lexicon = Lexicon(tiny / "lexicon")
    clips = lexicon.clips("train")
    words = {spoken.language: set(spoken.vocabulary) for spoken in SPOKEN}
    assert {language: {c.text for c in clips if c.language == language} for language in words} == words
    assert not lexicon.skipped("train") and len(lexicon.load(clips[0])) >= 40


def test_statistics_are_those_of_the_training_frames(tiny, plans):
    frames = [
        frames_from_motion(plan.perform(take))
        for plan in plans.values() for take in plan.takes if take.split == "train"
    ]
    frames = np.concatenate(frames).astype(np.float64)
    mean, std = (torch.load(tiny / "CSL-Daily" / f"{name}.pt", weights_only=True) for name in ("mean", "std"))
    assert mean.shape == std.shape == (179,)
    np.testing.assert_allclose(mean, frames.mean(0), atol=1e-5)
    np.testing.assert_allclose(std, frames.std(0), atol=1e-4)


def test_phenomena_are_written_down(tiny, plans):
    phenomena = json.loads((tiny / "phenomena.json").read_text(encoding="utf-8"))
    left_handed = []
    for language, plan in plans.items():
        described, clips = phenomena["languages"][language], phenomena["clips"][language]
        assert described["rare_words"] == list(plan.rare)
        assert [tuple(pair) for pair in described["face_pairs"]] == list(plan.spoken.face_pairs)
        assert set(clips) == {take.name for take in plan.takes}
        for take in plan.takes:
            assert clips[take.name]["words"] == list(take.sentence.words)
            assert clips[take.name]["left_handed"] == plan.signers[take.signer].left_handed
            assert (clips[take.name]["signer"] in described["left_handed_signers"]) == clips[take.name]["left_handed"]
        left_handed += [clip["left_handed"] for clip in clips.values()]
        assert any(clip["rare_words"] for clip in clips.values() if clip["split"] == "test")
    assert 0 < np.mean(left_handed) < 0.08


def test_signers_and_words_of_a_demo_corpus():
    demo = plan_corpora("demo", SEED)
    for plan in demo:
        for split in SIZES["demo"]:
            flags = [plan.signers[take.signer].left_handed for take in plan.takes if take.split == split]
            assert 0 < np.mean(flags) < 0.08
        assert len({take.name for take in plan.takes}) == len(plan.takes)
        seen = Counter(word for take in plan.takes if take.split == "train" for word in take.sentence.words)
        assert plan.rare and all(1 <= seen[word] <= 2 for word in plan.rare)
    repeated = Counter(t.sentence for t in demo[1].takes if t.split == "train")
    assert max(repeated.values()) >= 2  # CSL-Daily: a sentence by several signers


def stopped_after(share):
    """A progress that is interrupted when so much is done."""

    def progress(items, total):
        for i, item in enumerate(items):
            if i == int(share * total):
                raise KeyboardInterrupt
            yield item

    return progress


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_files(tiny, plans, tmp_path):
    root = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        write_corpora(root, "tiny", SEED, progress=stopped_after(0.25))
    assert not json.loads((root / STAMP).read_text())["complete"]
    # As a process killed in the middle of a clip would leave it.
    half = root / "CSL-Daily" / "poses"
    victim = plans["CSL"].takes[0].name
    (half / victim).rename(half / f"{victim}.partial")
    assert write_corpora(root, "tiny", SEED)
    assert tree(root) == tree(tiny)


def test_a_complete_folder_is_left_alone(tiny, capsys):
    before = (tiny / STAMP).stat().st_mtime_ns
    main(["--out", str(tiny), "--size", "tiny", "--seed", str(SEED)])
    assert "there already" in capsys.readouterr().out and (tiny / STAMP).stat().st_mtime_ns == before


def test_other_parameters_and_foreign_folders_are_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="choose another one with --out"):
        write_corpora(tiny, "tiny", SEED + 1)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write_corpora(tmp_path, "tiny", SEED)
    with pytest.raises(UserError, match="huge.*tiny, demo, large"):
        write_corpora(tmp_path / "new", "huge", SEED)
    with pytest.raises(SystemExit, match="is not empty"):
        main(["--out", str(tmp_path), "--size", "tiny"])
