"""The synthetic corpora of joint positions: eight languages, as the reader of Prompt2Sign's files sees them."""
from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from prepare.synthetic_corpora import main
from soke.body.joints import SKELETON_50
from soke.body.skeletonise import skeleton_50
from soke.data.corpora.skels import SkelsCorpus
from soke.data.synthetic.language import write_sentences
from soke.data.synthetic.skeleton_writer import write_skeletons
from soke.data.synthetic.skeletons import SKELETON_SIZES, SPOKEN, plan_skeletons
from soke.data.synthetic.small_vocabularies import KOREAN, TURKISH, with_particle
from soke.errors import UserError
from soke.text.locales import TEXT_LOCALE
from tests.data.test_synthetic import stopped_after, tree

SEED = 7
CODES = ("ASL", "GSL", "DSGS", "LSF-CH", "LIS-CH", "LSA", "KSL", "TSL")
NEW = [spoken for code, spoken in SPOKEN.items() if code not in ("ASL", "GSL", "DSGS")]
new_languages = pytest.mark.parametrize("spoken", NEW, ids=lambda spoken: spoken.language)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("skeletons") / "tiny"
    assert write_skeletons(root, "tiny", SEED)
    return root


@pytest.fixture(scope="module")
def plans():
    return {corpus.code: corpus.planned for corpus in plan_skeletons("tiny", SEED)}


def test_the_languages_are_prompt2signs():
    assert tuple(SPOKEN) == CODES
    assert {spoken.language for spoken in SPOKEN.values()} <= set(TEXT_LOCALE)
    for sizes in SKELETON_SIZES.values():
        assert tuple(sizes) == CODES
    demo = {code: counts["train"] for code, counts in SKELETON_SIZES["demo"].items()}
    assert demo["LSA"] == min(demo.values()) == 100 and demo["ASL"] == max(demo.values()) == 600


@new_languages
def test_vocabularies_are_whole(spoken):
    words = spoken.vocabulary
    assert 30 <= len(words) == len(set(words)) <= 60 and not any(" " in word for word in words)
    assert set(spoken.phrases) <= set(words) and set(spoken.variants) <= set(words)
    slots = {category for template in spoken.templates for category in spoken.slots(template)}
    assert slots == set(spoken.words) == set(spoken.sign_order)


@pytest.mark.parametrize("code", CODES)
def test_sentences_of_a_demo_corpus_use_all_words_alike(code):
    spoken, counts = SPOKEN[code].with_tail(0), SKELETON_SIZES["demo"][code]
    sentences = write_sentences(spoken, counts, "a")
    assert {split: len(found) for split, found in sentences.items()} == counts
    contents = {split: {s.words for s in found} for split, found in sentences.items()}
    assert not contents["test"] & (contents["train"] | contents["val"]) and not contents["val"] & contents["train"]
    seen = Counter(word for sentence in sentences["train"] for word in sentence.words)
    assert set(seen) == set(spoken.vocabulary) and min(seen.values()) >= 5
    assert all(3 <= len(s.words) <= 5 for found in sentences.values() for s in found)


def test_korean_particles_follow_the_last_syllable():
    """이 and 을 after a consonant, 가 and 를 after a vowel."""
    assert [with_particle(word, "이", "가") for word in ("선생님", "의사", "집배원")] == ["선생님이", "의사가", "집배원이"]
    assert [with_particle(word, "을", "를") for word in ("책", "사과", "빵")] == ["책을", "사과를", "빵을"]
    chosen = {"time": "오늘", "noun": "의사", "adj": "슬프다", "obj": "빵", "tverb": "사다"}
    assert KOREAN.write(KOREAN.templates[2], chosen) == "오늘 슬픈 의사가 빵을 사요."


def test_turkish_suffixes_follow_the_vowels():
    """Vowel harmony, and the last consonant: accusatives end in i, ı, u or ü, locatives in de, da, te or ta."""
    harmony = {"e": "i", "i": "i", "a": "ı", "ı": "ı", "o": "u", "u": "u", "ö": "ü", "ü": "ü"}

    def vowel(word):
        return next(letter for letter in reversed(word) if letter in harmony)

    for word in TURKISH.words["obj"]:
        assert TURKISH.phrases[word][-1] == harmony[vowel(word)]
    for word in TURKISH.words["place"]:
        ending = ("t" if word[-1] in "fstkçşhp" else "d") + ("e" if vowel(word) in "eiöü" else "a")
        assert TURKISH.phrases[word] == word + ending
    for word in (*TURKISH.words["iverb"], *TURKISH.words["tverb"]):
        assert TURKISH.phrases[word].endswith("yor") and word.endswith(("mak", "mek"))
    chosen = {"time": "bugün", "noun": "kedi", "adj": "üzgün", "obj": "ekmek", "tverb": "almak"}
    assert TURKISH.write(TURKISH.templates[2], chosen) == "Bugün üzgün kedi ekmeği alıyor."


@pytest.mark.parametrize("code, template, chosen, text", [
    ("LSF-CH", 4, {"place": "école", "noun": "enfant", "adj": "calme", "time": "soir"},
     "À l'école, l'enfant est calme ce soir."),
    ("LIS-CH", 2, {"time": "oggi", "noun": "zio", "adj": "triste", "tverb": "volere", "obj": "torta"},
     "Oggi lo zio triste vuole la torta."),
    ("LSA", 4, {"place": "cocina", "noun": "abuela", "adj": "feliz", "time": "noche"},
     "En la cocina la abuela está feliz esta noche."),
])
def test_sentences_are_written_as_people_write(code, template, chosen, text):
    spoken = SPOKEN[code]
    assert spoken.write(spoken.templates[template], chosen) == text


def test_two_languages_sign_the_same_words_differently(plans):
    german, swiss = plans["GSL"], plans["DSGS"]
    assert german.spoken.words == swiss.spoken.words and german.spoken.language == "DGS"
    alike = [
        word for word, forms in german.signs.items()
        if torch.equal(forms[0].start["wrist"], swiss.signs[word][0].start["wrist"])
    ]
    assert len(german.signs) == 31 and not alike
    assert {t.sentence.text for t in german.takes} != {t.sentence.text for t in swiss.takes}


def test_the_reader_of_skels_files_reads_them(tiny, plans, body):
    for code in CODES:
        corpus = SkelsCorpus(tiny / code)
        for split, count in SKELETON_SIZES["tiny"][code].items():
            takes = [take for take in plans[code].takes if take.split == split]
            clips = corpus.clips(split)
            assert len(clips) == count and not corpus.skipped(split)
            assert [(c.name, c.text) for c in clips] == [(t.name, t.sentence.text) for t in takes]
            assert [c.gloss for c in clips] == [plans[code].spoken.gloss(t.sentence.words) for t in takes]
            assert all(c.text in c.prompt and c.prompt != c.text for c in clips)
        loaded = corpus.load(clips[0])
        made = skeleton_50(body, plans[code].perform(takes[0]))
        assert loaded.joints == SKELETON_50 and loaded.fps == takes[0].fps == 25.0 and not loaded.made_by
        assert torch.allclose(loaded.positions, made.positions, atol=2e-5)


def test_signers_stand_as_prompt2signs_do(tiny):
    """The neck at the origin, shoulders about 1 apart, y down; most sign with the right hand."""
    corpus = SkelsCorpus(tiny / "ASL")
    for clip in corpus.clips("test"):
        at = dict(zip(SKELETON_50, corpus.load(clip).positions.unbind(1)))
        assert at["neck"].abs().max() == 0
        width = (at["left_shoulder"] - at["right_shoulder"]).norm(dim=1)
        assert (width - 1).abs().max() < 0.1
        assert (at["nose"][:, 1] < 0).all() and (at["right_elbow"][:, 1] > 0).all()


def test_phenomena_are_written_down(tiny, plans):
    written = json.loads((tiny / "phenomena.json").read_text(encoding="utf-8"))
    assert [written["languages"][spoken.language]["corpus"] for spoken in SPOKEN.values()] == list(CODES)
    for plan in plans.values():
        clips = written["clips"][plan.spoken.language]
        assert {name: clip["words"] for name, clip in clips.items()} == {
            take.name: list(take.sentence.words) for take in plan.takes
        }


@pytest.mark.slow
def test_interruptions_and_processes_do_not_matter(tiny, tmp_path):
    root = tmp_path / "again"
    with pytest.raises(KeyboardInterrupt):
        write_skeletons(root, "tiny", SEED, progress=stopped_after(0.25))
    done = set(tree(root))
    assert "ASL/test.skels" in done and "DSGS/test.skels" not in done
    assert write_skeletons(root, "tiny", SEED, workers=2)
    assert tree(root) == tree(tiny)
    assert not write_skeletons(root, "tiny", SEED)


def test_the_command_keeps_what_is_complete_and_refuses_others(tiny, tmp_path, capsys):
    common = ["--out", str(tiny), "--size", "tiny", "--seed", str(SEED)]
    main([*common, "--skels"])
    assert "there already" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="choose another one with --out"):
        main(common)
    with pytest.raises(SystemExit):
        main([*common, "--skels", "--face"])
    with pytest.raises(UserError, match="huge.*tiny, demo, large"):
        write_skeletons(tmp_path / "new", "huge", SEED)
