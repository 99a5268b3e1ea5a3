"""Prompts: templates, and which one a sentence has."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from soke.errors import UserError
from soke.run.config import ROOT
from soke.text.locales import TEXT_LOCALE
from soke.text.prompts import OWN_TEMPLATES, Prompts, read_templates
from soke.text.words import words_of

TEXT = "the dog sleeps today."


@pytest.mark.parametrize("language", TEXT_LOCALE)
def test_every_language_has_twenty_templates_of_its_own(language):
    templates = Prompts.read([language]).templates[language]
    assert len(set(templates)) == len(templates) >= 20
    assert all(line.count("{}") == 1 and len(line) > 4 for line in templates)


def test_swiss_german_has_no_sharp_s_and_korean_is_written_in_hangul():
    assert "ß" not in (OWN_TEMPLATES / "prompts_DSGS.txt").read_text("utf-8")
    assert all(any("가" <= letter <= "힣" for letter in line) for line in Prompts.read(["KSL"]).templates["KSL"])


def test_the_same_clip_with_the_same_seed_has_the_same_prompt_on_every_machine():
    prompts = Prompts({"ASL": [f"{i} {{}}" for i in range(10)]})
    assert [prompts.of(name, "x", "ASL") for name in "abcdef"] == ["2 x", "1 x", "9 x", "3 x", "0 x", "3 x"]
    assert Prompts(prompts.templates, 1).of("a", "x", "ASL") == "3 x"
    written = ["\u00fcber  Nacht", "u\u0308ber Nacht", " u\u0308ber\u00a0Nacht"]
    assert len({prompts.of("a", text, "ASL").split()[0] for text in written}) == 1, "however the sentence is spelled"


def test_every_template_is_drawn_and_epochs_draw_anew():
    prompts = Prompts.read(["ASL"])
    templates = prompts.templates["ASL"]
    drawn = Counter(prompts.of(str(i), "\0", "ASL").replace("\0", "{}") for i in range(2000))
    assert set(drawn) == set(templates) and max(drawn.values()) < 4 * 2000 / len(templates)
    by_epoch = [prompts.of("clip", TEXT, "ASL", epoch) for epoch in range(50)]
    assert len(set(by_epoch)) > 15 and by_epoch == [prompts.of("clip", TEXT, "ASL", epoch) for epoch in range(50)]
    assert all(TEXT in prompt for prompt in by_epoch)


def test_a_sentence_with_braces_is_put_in_as_it_is():
    assert Prompts({"ASL": ["sign {} {x}"]}).of("a", " a {} {0} ", "ASL") == "sign a {} {0} {x}"


def test_a_users_file_goes_before_ours_which_serve_the_other_languages(tmp_path):
    (tmp_path / "prompts_ASL.txt").write_text("\ufeffSign {}!\r\n\r\n  And {}?  \n", encoding="utf-8")
    (tmp_path / "prompts_BSL.txt").write_text("In BSL: {}", encoding="utf-8")
    prompts = Prompts.read(["BSL", "ASL", "DGS", "ASL"], tmp_path)
    assert prompts.templates == {
        "BSL": ["In BSL: {}"], "ASL": ["Sign {}!", "And {}?"], "DGS": Prompts.read(["DGS"]).templates["DGS"],
    }
    assert prompts.only(["BSL"]) == Prompts({"BSL": ["In BSL: {}"]})


def test_both_codes_of_german_sign_language_are_one(tmp_path):
    (tmp_path / "prompts_GSL.txt").write_text("Wie geht {}?", encoding="utf-8")
    prompts = Prompts.read(["GSL", "DGS"], tmp_path)
    assert prompts.templates == {"DGS": ["Wie geht {}?"]}
    assert prompts.of("a", "x", "GSL") == prompts.of("a", "x", "DGS") == "Wie geht x?"
    (tmp_path / "prompts_DGS.txt").write_text("Wie geht {}?", encoding="utf-8")
    with pytest.raises(UserError, match="prompts_DGS.txt and .*prompts_GSL.txt are both of DGS: keep one"):
        Prompts.read(["GSL"], tmp_path)


@pytest.mark.parametrize("line, count", [("How is it signed?", 0), ("{} and {}", 2)])
def test_a_template_without_exactly_one_slot_is_refused(tmp_path, line, count):
    file = tmp_path / "prompts_ASL.txt"
    file.write_text(f"Sign {{}}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"prompts_ASL.txt, line 3: the template .* has {count} times \{{\}}: write it"):
        Prompts.read(["ASL"], tmp_path)
    with pytest.raises(UserError, match=f"of ASL has {count} times"):
        Prompts({"ASL": [line]})


def test_languages_and_folders_without_templates_are_refused(tmp_path):
    with pytest.raises(UserError, match="no prompt templates for BSL, LIBRAS: write some into prompts_BSL.txt"):
        Prompts.read(["ASL", "BSL", "LIBRAS"])
    with pytest.raises(UserError, match="holds no prompt templates: it needs a file named prompts_ASL.txt"):
        Prompts.read(["ASL"], tmp_path / "absent")
    with pytest.raises(UserError, match="no prompt templates for DGS"):
        Prompts.read(["ASL"]).of("clip", TEXT, "DGS")
    (tmp_path / "prompts_ASL.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(UserError, match="prompts_ASL.txt holds no prompt templates: write one per line"):
        read_templates(tmp_path / "prompts_ASL.txt")
    with pytest.raises(UserError, match="no prompt templates for ASL"):
        Prompts({"ASL": []})


@pytest.mark.parametrize("written, meant", [("asl", "ASL"), ("LSF_CH", "LSF-CH"), ("gsl", "GSL")])
def test_a_file_of_a_code_written_otherwise_is_not_passed_over(tmp_path, written, meant):
    (tmp_path / f"prompts_{written}.txt").write_text("Sign {}", encoding="utf-8")
    with pytest.raises(UserError, match=f"prompts_{written}.txt is of no sign language {written}: name it prompts_{meant}.txt"):
        Prompts.read(["KSL"], tmp_path)


@pytest.mark.parametrize("text, language", [
    ("我们今天在学校学习手语。", "CSL"), ("It's raining, isn't it?", "ASL"), ("am freitag schnee .", "DGS"),
    ("오늘은 날씨가 좋아요.", "KSL"), ("Bugün İstanbul'da hava güzel.", "TSL"),
])
def test_a_template_leaves_the_words_of_a_sentence_as_they_are(text, language):
    locale = TEXT_LOCALE[language]
    for template in Prompts.read([language]).templates[language]:
        before, after = (words_of(piece, locale) for piece in template.split("{}"))
        assert words_of(template.replace("{}", text), locale) == [*before, *words_of(text, locale), *after]


def test_our_templates_are_found_from_any_working_directory(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); from soke.text.prompts import Prompts; Prompts.read(['KSL'])"
    subprocess.run([sys.executable, "-c", code, str(ROOT)], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["prompts_ASL.TXT", "Prompts_ASL.txt", "prompts_ASL .txt", "PROMPTS_asl.txt"])
def test_a_file_that_would_not_be_read_is_named(tmp_path, name):
    (tmp_path / name).write_text("Sign {}!", encoding="utf-8")
    with pytest.raises(UserError, match=r"name it prompts_ASL.txt"):
        Prompts.read(["ASL"], tmp_path)
