"""The plan file: what is wrong in it is named by its keys."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

import soke.viewer.study
from soke.errors import UserError
from soke.run.config import read_settings
from soke.settings import SettingsError
from soke.viewer.study.plan import Plan
from tests.viewer.study.making import EVERY, plan_of

PAGE = Path(soke.viewer.study.__file__).parent / "STUDY.md"


@pytest.mark.parametrize(
    "change, problem",
    [
        (dict(forms=3), "`forms` must be even"),
        (dict(forms=0), "`forms` must be even"),
        (dict(pairs=[["left out", "kept"]]), "`pairs` has kept, which is none of .* \\(did you mean kept in\\?\\)"),
        (dict(pairs=[["left out", "left out"]]), "but two of"),
        (dict(pairs=[["left out", "kept in"], ["kept in", "left out"]]), "a pair twice"),
        (dict(pairs=[]), "`pairs` and `prefer` belong together"),
        (dict(systems={}), "`systems` is empty"),
        (dict(clips={"own": 0}), "`clips.own` must be at least 1"),
        (dict(prefer=[], pairs=[], rate=[], comprehend="", checks=0), "nothing is asked"),
        (dict(prefer=[], pairs=[], rate=["grammar"]), "`checks` need `prefer`, or fidelity in `rate`"),
        (dict(checks=9), "more than there are clips"),
        (dict(checks=1, misses=1), "nobody could fail"),
        (dict(anchors=["mean pose"]), "`anchors` has mean pose"),
        (dict(languages=["en", "fr"]), "`languages` has fr"),
        (dict(consent={"en": "text"}), "`consent` has no text in de, zh"),
        (dict(rate=["grammar", "beauty"]), "`questions.beauty` has no text in en, de, zh"),
        (dict(questions={"beauty": EVERY}), "neither in `prefer` nor in `rate`"),
    ],
)
def test_mistakes_are_named(change, problem):
    with pytest.raises(SettingsError, match=problem):
        plan_of(**change)


def test_the_page_s_own_plan_can_be_read(tmp_path: Path):
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    plan = read_settings(file, Plan)
    assert plan.pairs and plan.comprehend and plan.about
    file.write_text(text.replace("PAIRS:", "PAIR:"), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape("unknown key PAIR (did you mean PAIRS?)")):
        read_settings(file, Plan)
    file.write_text(text.replace("FORMS: 200", "FORMS: 7"), encoding="utf-8")
    with pytest.raises(UserError, match="FORMS must be even"):
        read_settings(file, Plan)
