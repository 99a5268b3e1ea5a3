"""What stands below the figures: nothing that others wrote is more than text."""
from __future__ import annotations

import re
from xml.etree import ElementTree

import torch

from soke.body.motion import Motion
from soke.evaluation.protocols import Explained, RetrievedSign
from soke.viewer import details
from soke.viewer.choosing import Entry
from soke.viewer.signing import Signed

EVIL = '<img src=x onerror="alert(1)">&'
ENTRY = Entry(EVIL, EVIL, EVIL, "ASL", {EVIL: {"WER percent": 12.0, "DTW m": 0.5}}, {EVIL: EVIL}, EVIL)


def explained(note: str = "") -> Signed:
    codes = torch.tensor([[1, 5], [2, 6], [3, 7], [4, 8]])
    signs = (RetrievedSign("rain", "\"rains\" -> rain", codes[1:3]), RetrievedSign(EVIL, EVIL, codes[:2] + 40))
    motion = Motion.rest(16, 20.0)
    return Signed(motion, Explained(motion, ("body", "hand"), codes, 0.2, () if note else signs, note), note)


def test_texts_of_others_are_escaped():
    directions = {"DTW m": False, "WER percent": False}
    content = "".join([details.title(ENTRY), details.notices([EVIL]), details.scores(ENTRY, directions, "DTW m"),
                       details.how(EVIL, explained(), 0.1), details.how("", explained(EVIL), 9.0)])
    assert "<img" not in content and content.count("&lt;img") >= 8
    ElementTree.fromstring(f"<div>{content}</div>")  # well-formed


def test_the_score_that_is_sorted_by_stands_first():
    content = details.scores(ENTRY, {"WER percent": False, "DTW m": False, "BLEU percent": True}, "DTW m")
    assert content.index("DTW m ↓") < content.index("WER percent ↓") and "BLEU" not in content
    assert "0.500" in content and "12.0" in content


def test_it_says_where_a_retrieved_sign_ended_up_and_where_not():
    content = details.how("one", explained(), 0.3)
    assert "is found at 0.20–0.60 s, by 4 of its 4 codes" in content
    assert content.count("is not found among the codes") == 1
    rects = re.findall(r'<title>(\w+), step (\d): code (\d+)</title>', content)
    assert ("hand", "2", "7") in rects and len(rects) == 8
    assert "step" not in details.how("one", explained("nothing was looked up"), 0.0).split("<svg")[0]


def test_a_system_without_codes_says_what_it_found():
    signed = Signed(Motion.rest(3, 20.0), None, EVIL)
    assert details.how("one", signed, 0.0).count("&lt;img") == 1
