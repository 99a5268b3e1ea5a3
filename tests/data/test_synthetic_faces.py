"""Faces of the synthetic signers: mouth shapes, grammar, blinks and gaze, and what ten coefficients keep of them."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from soke.body.joints import JOINT_GROUPS, SMPLX_JOINTS, joint_indices
from soke.body.motion import Motion
from soke.data.synthetic.corpora import SIZES, TAIL, plan_corpora
from soke.data.synthetic.faces import FacePlan, draw_habits, fitted_face, model_face, with_face
from soke.data.synthetic.facial_actions import load_facial_actions
from soke.data.synthetic.grammar import Marks, marks_of
from soke.data.synthetic.isolated import ISOLATED_SIZES, edits, plan_isolated
from soke.data.synthetic.language import InventedSentence, write_sentences
from soke.data.synthetic.motion import NEUTRAL, Signer, cite, perform
from soke.data.synthetic.mouthings import MouthShapes, mouth, place_shapes
from soke.data.synthetic.phenomena import kept_shares
from soke.data.synthetic.recordings import FaceRecorder
from soke.data.synthetic.signs import invent_signs
from soke.data.synthetic.visemes import VISEMES, mouthing
from soke.data.synthetic.vocabularies import LANGUAGES
from soke.errors import UserError

SEED = 7
NECK, HEAD, JAW = joint_indices(["neck", "head", "jaw"])
EYES = joint_indices(JOINT_GROUPS["eyes"])
FACE_JOINTS = [NECK, HEAD, JAW, *EYES]
languages = pytest.mark.parametrize("spoken", LANGUAGES, ids=lambda spoken: spoken.language)


@pytest.fixture(scope="module")
def actions():
    return load_facial_actions()


@pytest.fixture(scope="module")
def corpora():
    return plan_corpora("tiny", SEED)


@pytest.fixture(scope="module")
def recorder(corpora):
    return FaceRecorder(corpora, SEED)


@pytest.fixture(scope="module")
def forms(corpora):
    return [corpora[0].signs[word][0] for word in ("today", "dog", "sleeps")]


@pytest.fixture(scope="module")
def isolated():
    return plan_isolated("demo", SEED, invent_signs(LANGUAGES[1].with_tail(TAIL["demo"]), SEED))


def strengths_of(motion, actions):
    """[T, A] facial actions behind the expression, whose map has an inverse."""
    known = len(actions.names)
    return motion.expression[:, :known] @ torch.linalg.inv(actions.to_expression[:, :known])


def faced(forms, actions, marks=Marks(), signer=NEUTRAL, habits=None, seed=0, looks=(), accents=(), words=None):
    performance = perform(forms, signer, 25.0, torch.Generator().manual_seed(seed))
    count = len(forms)
    plan = FacePlan(
        tuple(mouthing(word, "ASL") for word in words or ("today", "dog", "sleeps")[:count]), marks,
        tuple(looks) or (False,) * count, tuple(accents) or ({},) * count,
    )
    motion, blinks = with_face(
        performance, plan, habits or model_face(actions), actions, torch.Generator().manual_seed(seed)
    )
    return performance, motion, blinks


# ------------------------------------------------------------------------------------------------ ten coefficients


def test_ten_coefficients_are_those_of_a_fit_to_the_faces_vertices(actions, body):
    """The slow way: vertices of the whole body at rest, fitted by least squares."""
    rng = torch.Generator().manual_seed(0)
    strengths = 0.5 * torch.rand(4, len(actions.names), generator=rng)
    lids = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.3, 0.3]])
    expression = actions.expression(strengths)

    def face(coefficients):
        motion = Motion(torch.zeros(len(coefficients), 55, 3), coefficients, torch.zeros(10), 25.0)
        return body.surface(motion)[:, body.face_vertices].flatten(1).double().numpy()

    blink = actions.strengths({"eyeBlinkLeft": 1})[None], actions.strengths({"eyeBlinkRight": 1})[None]
    rest = face(torch.zeros(1, 100))
    shown = face(expression) - rest
    shown += lids.numpy() @ np.concatenate([face(actions.expression(side)) - rest for side in blink])
    directions = face(torch.eye(100)[:10]) - rest
    wanted, *_ = np.linalg.lstsq(directions.T, shown.T, rcond=None)
    np.testing.assert_allclose(actions.fitted(expression, lids), wanted.T, atol=2e-3)
    lost = ((shown.T - directions.T @ wanted) ** 2).sum(0) / (shown**2).sum(1)
    np.testing.assert_allclose(actions.kept(expression, lids), 1 - lost, atol=2e-3)


def test_ten_coefficients_hold_smiles_and_lose_brows_and_lips(actions):
    def kept(**strengths):
        return float(actions.kept(actions.expression(actions.strengths(strengths))[None], torch.zeros(1, 2)))

    assert kept(mouthSmile=1) > 0.95 and kept(mouthPucker=1) > 0.9
    assert kept(browInnerUp=1) < 0.1 and kept(browOuterUp=1) < 0.1 and kept(mouthRollLower=1) < 0.5
    shares = kept_shares(actions)
    assert set(shares) == set(VISEMES) and all(0.3 < share < 1 for share in shares.values())
    assert shares["fv"] < 0.6 < 0.9 < shares["i"]


def test_actions_have_names_and_sides(actions):
    both = actions.strengths({"mouthSmile": 0.5, "mouthLeft": 0.2})
    assert {actions.names[i]: float(both[i]) for i in both.nonzero().flatten()} == {
        "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5, "mouthLeft": pytest.approx(0.2),
    }
    with pytest.raises(KeyError, match="no facial action mouthOpen"):
        actions.strengths({"mouthOpen": 1})


def test_missing_files_of_the_stand_in_are_named(tmp_path):
    with pytest.raises(UserError, match="standin_extra.npz is missing.*prepare.stand_in_body"):
        load_facial_actions(tmp_path)


# ------------------------------------------------------------------------------------------------ mouthings


@pytest.mark.parametrize(
    ("word", "language", "shapes"),
    [
        ("bread", "ASL", "pbm r i td"), ("school", "ASL", "sz sh u td"), ("apple", "ASL", "a pbm td"),
        ("schnee", "DGS", "sh td e"), ("wärme", "DGS", "fv e kg pbm e"), ("heute", "DGS", "kg o ü td e"),
        ("苹果", "CSL", "pbm i kg u o"), ("老师", "CSL", "td a o sh"), ("学校", "CSL", "sz ü i a o"),
    ],
)
def test_mouthings_follow_the_spelling(word, language, shapes):
    assert mouthing(word, language) == tuple(shapes.split())


def test_long_words_lose_their_least_salient_shapes():
    # k, t, both r and both e go; p and m then are one
    assert mouthing("supermarket", "ASL") == ("sz", "u", "pbm", "a")


def test_unknown_letters_are_named():
    with pytest.raises(ValueError, match="'7' of 'r7'"):
        mouthing("r7", "ASL")


@languages
def test_every_word_has_a_mouthing_and_most_have_one_of_their_own(spoken):
    found = {word: mouthing(word, spoken.language) for word in spoken.vocabulary}
    assert all(1 <= len(shapes) <= 5 and set(shapes) <= set(VISEMES) for shapes in found.values())
    # the rest are homophenes as in any language: pear and bear, polen and pollen
    assert len(set(found.values())) > 0.93 * len(found)
    for first, second in spoken.face_pairs:
        assert edits(found[first], found[second]) >= 2


def test_edits_count_what_differs():
    assert edits(("a", "u"), ("a", "u")) == 0 and edits((), ("a", "u")) == 2
    assert edits(("pbm", "a", "td"), ("a", "td")) == 1 and edits(("a", "u", "a"), ("u", "a", "u")) == 2


def test_the_mouth_is_a_weighted_mean_of_the_shapes(actions):
    """The slow way: moment by moment, shape by shape."""
    shapes = MouthShapes(("pbm", "a", "u"), torch.tensor([0.2, 0.32, 0.5]), torch.tensor([0.1, 0.12, 0.15]),
                         torch.tensor([1.0, 0.8, 1.1]))
    time = torch.linspace(0, 0.7, 15)
    habits = 1 + 0.3 * torch.randn(len(VISEMES), len(actions.names), generator=torch.Generator().manual_seed(0))
    found, jaw = mouth(shapes, time, actions, habits)
    for t, strengths, opened in zip(time.tolist(), found, jaw):
        total, wanted, wanted_jaw = 0.05, torch.zeros(len(actions.names)), 0.0
        for i, name in enumerate(shapes.names):
            away = (t - float(shapes.at[i])) / (0.36 * float(shapes.seconds[i]))
            weight = (2.0 if name == "pbm" else 1.0) * math.exp(-away * away / 2)
            total += weight
            own = habits[list(VISEMES).index(name)] * actions.strengths(VISEMES[name].actions)
            wanted += weight * float(shapes.strength[i]) * own
            wanted_jaw += weight * float(shapes.strength[i]) * VISEMES[name].jaw
        torch.testing.assert_close(strengths, wanted / total, atol=1e-5, rtol=1e-4)
        assert float(opened) == pytest.approx(wanted_jaw / total, abs=1e-5)


def test_shapes_are_reached_colour_each_other_and_leave_the_mouth_at_rest(actions):
    strokes = torch.tensor([[0.3, 0.7], [1.5, 1.9]])

    def at_the_middle(*shapes):
        placed = place_shapes([shapes, ("u", "td", "i")], strokes)
        strengths, _ = mouth(placed, placed.at, actions)
        return placed, strengths

    placed, strengths = at_the_middle("pbm", "a", "td")
    targets = torch.stack([actions.strengths(VISEMES[name].actions) for name in placed.names])
    reached = (strengths * targets).sum(1) / targets.square().sum(1)
    assert (reached > 0.75).all()
    assert float(placed.at[0]) > 0.2 and float(placed.at[2]) < 0.8 and (placed.at.diff() > 0).all()
    _, others = at_the_middle("sh", "a", "u")
    assert 0.02 < float((strengths[1] - others[1]).norm()) < 0.5 * float(targets[1].norm())
    still, jaw = mouth(placed, torch.tensor([0.0, 1.15, 2.4]), actions)
    assert float(still.abs().max()) < 0.05 and float(jaw.max()) < 0.02


def test_the_same_word_looks_the_same_up_to_noise_and_another_does_not(isolated):
    """Test clips of confusing signs are recognised by the mean mouth of each word; hands are the same."""
    recorder = FaceRecorder((isolated,), SEED)
    grouped = [sign for sign in isolated.signs if sign.group in ("group00", "group08")]
    seen = {"train": {}, "test": {}}
    for take in isolated.takes:
        if take.split in seen and take.sign in grouped:
            motion = recorder.record(isolated, take).smplfx
            ((start, end),) = isolated.performance(take).strokes.tolist()
            moments = (torch.linspace(start - 0.05, end + 0.05, 8) * 30).round().long().clamp(0, len(motion) - 1)
            seen[take.split].setdefault(take.sign.word, []).append(motion.expression[moments].flatten())
    means = {word: torch.stack(clips).mean(0) for word, clips in seen["train"].items()}
    group = {sign.word: sign.group for sign in grouped}
    right = [
        min((w for w in means if group[w] == group[word]), key=lambda w: float((clip - means[w]).norm())) == word
        for word, clips in seen["test"].items() for clip in clips
    ]
    assert len(right) == 4 * len(grouped) == 4 * 5 and np.mean(right) > 0.75


# ------------------------------------------------------------------------------------------------ grammar


def test_marks_of_sentences():
    english, chinese, german = LANGUAGES

    def marks(spoken, template, *words):
        return marks_of(InventedSentence("", words, template), spoken)

    assert marks(english, 1, "today", "school", "dog", "sleeps") == Marks(topics=((0, 1),), boundaries=(1, 3))
    assert marks(english, 0, "today", "school", "dog", "sleeps") == Marks(questions=((0, 3),), boundaries=(3,))
    assert marks(english, 6, "today", "book", "dog", "wants") == Marks(
        questions=((0, 3),), negations=((0, 3),), boundaries=(3,)
    )
    assert marks(chinese, 1, "学生", "公园", "休息", "今天") == Marks(
        topics=((0, 0),), negations=((1, 3),), boundaries=(0, 3)
    )
    # the adjective's clause is not negated
    assert marks(german, 5, "norden", "wind", "stark", "verschwindet") == Marks(
        topics=((0, 0),), negations=((3, 3),), boundaries=(0, 2, 3)
    )


@languages
def test_marks_follow_from_the_text(spoken):
    for template, clauses in zip(spoken.templates, spoken.clauses, strict=True):
        assert tuple(token for token in clauses.split() if token not in "|/?") == spoken.slots(template)
    verbs = {*spoken.words["iverb"], *spoken.words["tverb"]}
    assert set(spoken.negative) <= verbs - {word for pair in spoken.face_pairs for word in pair}
    marks, seen = {}, {"topics": 0, "questions": 0, "negations": 0}
    sentences = write_sentences(spoken, SIZES["demo"], "a")["train"]
    for sentence in sentences:
        found = marks_of(sentence, spoken)
        assert marks.setdefault(sentence.text, found) == found
        assert found.boundaries[-1] == len(sentence.words) - 1
        for name in seen:
            seen[name] += bool(getattr(found, name))
    assert all(0.1 < count / len(sentences) < 0.5 for count in seen.values())


def test_questions_raise_the_brows_and_bring_the_head_forward(forms, actions):
    run = ((1, 2),)
    plain, asked, topic = (
        faced(forms, actions, marks) for marks in (Marks(), Marks(questions=run), Marks(topics=run))
    )
    performance = plain[0]
    time = torch.arange(len(performance)) / 25
    inside = (time > performance.strokes[1, 0] + 0.1) & (time < performance.strokes[2, 1] - 0.1)
    before = time < performance.strokes[0, 1] - 0.1
    for _, motion, _ in (asked, topic):
        brows = strengths_of(motion, actions)[:, actions.names.index("browInnerUp")]
        assert (brows[inside] > 0.85).all() and (brows[before].abs() < 0.05).all()
    down = {name: m.rotations[:, HEAD, 0] - plain[1].rotations[:, HEAD, 0] for name, (_, m, _) in
            {"asked": asked, "topic": topic}.items()}
    assert (down["asked"][inside] > 0.04).all() and (down["topic"][inside] < -0.03).all()
    assert (down["asked"][before].abs() < 0.01).all()


def test_negation_shakes_the_head_and_lowers_the_brows_but_not_of_a_question(forms, actions):
    run = ((0, 2),)
    plain, negated = faced(forms, actions), faced(forms, actions, Marks(negations=run))
    both = faced(forms, actions, Marks(negations=run, questions=run))
    for performance, motion, _ in (negated, both):
        left = (motion.rotations - plain[1].rotations)[:, HEAD, 1]
        assert left.max() > 0.04 and left.min() < -0.04
        assert int((left[1:].sign() != left[:-1].sign()).sum()) >= 2  # to and fro
    brow = {name: actions.names.index(name) for name in ("browDownLeft", "browInnerUp")}
    assert strengths_of(negated[1], actions)[:, brow["browDownLeft"]].max() > 0.9
    asked = strengths_of(both[1], actions)
    assert asked[:, brow["browDownLeft"]].max() < 0.1 and asked[:, brow["browInnerUp"]].max() > 0.9


# ------------------------------------------------------------------------------------------------ blinks and gaze


def test_lids_close_at_boundaries_alone(forms, actions):
    performance, motion, blinks = faced(forms, actions, Marks(boundaries=(0, 1)))
    assert len(blinks) == 2
    time = torch.arange(len(motion)) / 25
    for blink, sign in zip(blinks, (0, 1)):
        assert abs(blink - float(performance.strokes[sign, 1])) < 0.1
        closed = (time > blink) & (time < blink + 0.2)
        assert motion.eyelids[closed].max() > 0.97
    apart = torch.stack([(time < blink) | (time > blink + 0.3) for blink in blinks]).all(0)
    assert motion.eyelids[apart].max() < 0.3 and motion.eyelids.min() >= 0 and motion.eyelids.max() <= 1


def test_eyes_stay_on_the_addressee_or_follow_the_hand(forms, actions):
    performance, ahead, _ = faced(forms, actions, Marks(negations=((0, 2),)))
    _, looking, _ = faced(forms, actions, Marks(), looks=(False, True, False))
    assert torch.equal(ahead.rotations[:, EYES[0]], ahead.rotations[:, EYES[1]])  # parallel

    def gaze(motion):
        turn = roma.rotvec_to_rotmat(motion.rotations[:, [NECK, HEAD, EYES[0]]])
        return (turn[:, 0] @ turn[:, 1] @ turn[:, 2])[..., 2]

    off = torch.acos(gaze(ahead)[:, 2].clamp(-1, 1))
    assert off.max() < 0.06  # the head turns, the eyes do not
    time = torch.arange(len(looking)) / 25
    inside = (time > performance.strokes[1, 0] + 0.06) & (time < performance.strokes[1, 1] - 0.06)
    hand = performance.posture["wrist"][:, 0] - torch.tensor([0.0, 0.339, 0.124])
    hand = torch.nn.functional.normalize(hand, dim=-1)
    found = gaze(looking)
    assert inside.any() and ((found * hand).sum(1) > found @ torch.tensor([0.0, 0.0, 1.0]) * hand[:, 2])[inside].all()
    assert found[inside][:, 1].max() < -0.2  # down, where the hands are
    assert torch.acos(found[time < performance.strokes[0, 1] - 0.1, 2].clamp(-1, 1)).max() < 0.06


# ------------------------------------------------------------------------------------------------ whole faces


def test_hands_arms_and_timing_are_those_without_a_face(corpora, recorder):
    rest = [i for i in range(len(SMPLX_JOINTS)) if i not in FACE_JOINTS]
    for corpus in corpora:
        left_handed = next(take for take in corpus.takes if corpus.signers[take.signer].left_handed)
        for take in (*corpus.takes[:3], left_handed):
            plain, recorded = corpus.perform(take), recorder.record(corpus, take)
            for motion in (recorded.smplfx, recorded.soke):
                assert torch.equal(motion.rotations[:, rest], plain.rotations[:, rest])
                assert torch.equal(motion.betas, plain.betas) and motion.fps == plain.fps
            assert (recorded.smplfx.expression.shape, recorded.soke.expression.shape) == (
                (len(plain), 100), (len(plain), 10)
            )


def test_sokes_frames_are_a_fit_of_the_same_face(corpora, recorder):
    recorded = recorder.record(corpora[0], corpora[0].takes[0])
    whole, fit = recorded.smplfx, recorded.soke
    others = [i for i in range(len(SMPLX_JOINTS)) if i not in EYES]
    assert torch.equal(fit.rotations[:, others], whole.rotations[:, others]) and not fit.rotations[:, EYES].any()
    assert torch.equal(fit.expression, recorder.actions.fitted(whole.expression, whole.eyelids))
    assert fit.eyelids is None and fit.head_shape is None and whole.head_shape.shape == (300,)
    assert (fit.expression - whole.expression[:, :10]).abs().max() > 0.1  # no mere cutting off
    assert whole.rotations[:, EYES].any()
    assert torch.equal(fitted_face(whole, recorder.actions).expression, fit.expression)


def test_values_are_plausible(corpora, recorder):
    for corpus in corpora:
        motions = [recorder.record(corpus, take).smplfx for take in corpus.takes]
        jaw = torch.cat([m.rotations[:, JAW] for m in motions])
        assert jaw.min() >= 0 and 0.15 < jaw[:, 0].max() < 0.5 and not jaw[:, 1:].any()
        lids = torch.cat([m.eyelids for m in motions])
        assert lids.min() >= 0 and lids.max() <= 1 and 0.02 < (lids > 0.9).float().mean() < 0.25
        expression = torch.cat([m.expression for m in motions])
        assert expression.abs().max() < 8 and 0.2 < expression[:, :39].std(dim=0).mean() < 2
        assert not expression[:, 39:].any()  # directions that the stand-in does not have
        assert torch.cat([m.rotations[:, EYES] for m in motions]).abs().max() < 0.6
        assert torch.cat([m.rotations[:, HEAD] for m in motions]).abs().max() < 0.5
        assert max(float(m.head_shape.abs().max()) for m in motions) < 2


def test_signers_have_faces_of_their_own_and_streams_of_their_own(corpora, actions):
    corpus = corpora[0]
    take = corpus.takes[0]
    one, same, other = (FaceRecorder(corpora, seed).record(corpus, take).smplfx for seed in (SEED, SEED, SEED + 1))
    assert torch.equal(one.expression, same.expression) and torch.equal(one.eyelids, same.eyelids)
    assert not torch.equal(one.head_shape, other.head_shape) and not torch.equal(one.expression, other.expression)
    first, second = draw_habits(2, actions, torch.Generator().manual_seed(0))
    assert not torch.equal(first.head_shape, second.head_shape) and not first.head_shape[10:].any()
    anew = replace(take, seed=take.seed + 1)
    frames = min(len(one), len(FaceRecorder(corpora, SEED).record(corpus, anew).smplfx))
    assert frames > 20  # another performance of the same sentence


def test_a_left_handed_signer_looks_and_blinks_on_the_other_side(forms, actions):
    signer = Signer("x", torch.zeros(10), noise=0.0)
    marks = Marks(negations=((0, 2),), boundaries=(2,))
    _, right, _ = faced(forms, actions, marks, signer, looks=(True, True, False))
    _, left, _ = faced(forms, actions, marks, replace(signer, left_handed=True), looks=(True, True, False))
    assert torch.allclose(left.mirrored().rotations, right.rotations, atol=1e-6)
    assert torch.equal(left.expression, right.expression) and torch.equal(left.eyelids, right.eyelids.flip(-1))


def test_the_lexicons_model_has_no_noise(forms, actions):
    plan = FacePlan((mouthing("dog", "ASL"),), Marks(), (False,), ({},))
    one, other = (
        with_face(cite(forms[1], 24.0), plan, model_face(actions), actions, torch.Generator().manual_seed(seed))
        for seed in (0, 1)
    )
    assert torch.equal(one[0].expression, other[0].expression) and one[1] == () and not one[0].head_shape.any()


# ------------------------------------------------------------------------------------------------ isolated signs


def test_confusing_signs_share_their_hands_and_differ_in_the_mouth(isolated, actions):
    groups = {}
    for sign in isolated.signs:
        groups.setdefault(sign.group, []).append(sign)
    normal = groups.pop("")
    assert sorted(map(len, groups.values())) == [2] * 8 + [3] * 8 and len(normal) == ISOLATED_SIZES["demo"].normal
    assert [s.label for s in isolated.signs] == list(range(70))
    assert [s.subset for s in isolated.signs] == ["confusing"] * 40 + ["normal"] * 30
    assert len({s.word for s in isolated.signs}) == 70
    with_brows = 0
    for members in groups.values():
        shapes = [mouthing(sign.word, "CSL") for sign in members]
        assert all(edits(a, b) >= 2 for i, a in enumerate(shapes) for b in shapes[:i])
        takes = [next(t for t in isolated.takes if t.sign is sign) for sign in members]
        same = [replace(take, seed=takes[0].seed, signer=1, rest=0.3) for take in takes]
        hands = [isolated.performance(take).motion().rotations for take in same]
        assert all(torch.equal(hand, hands[0]) for hand in hands)
        recorder = FaceRecorder((isolated,), SEED) if members is groups["group00"] else None
        if recorder:
            one, other = (recorder.record(isolated, take).smplfx for take in same[:2])
            apart = [i for i in range(55) if i not in FACE_JOINTS[2:]]
            assert torch.equal(one.rotations[:, apart], other.rotations[:, apart])
            assert (one.expression - other.expression).norm(dim=1).max() > 1
        with_brows += any(sign.brows for sign in members)
    assert 2 <= with_brows <= 9
    assert not {id(s.form) for s in normal} & {id(s.form) for members in groups.values() for s in members}


def test_clips_of_isolated_signs(isolated):
    counts = ISOLATED_SIZES["demo"].clips
    for sign in isolated.signs[:3]:
        takes = [take for take in isolated.takes if take.sign is sign]
        assert {split: sum(t.split == split for t in takes) for split in counts} == counts
        assert len({take.signer for take in takes if take.split == "train"}) == 10
    assert len({take.name for take in isolated.takes}) == len(isolated.takes) == 70 * sum(counts.values())
    performance = isolated.performance(isolated.takes[0])
    assert 0.3 < float(performance.strokes[0, 0]) < len(performance) / 30 - float(performance.strokes[0, 1]) + 0.4
