"""Links: what a page shows survives them, and what others write into them does no harm."""
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soke.viewer.links import View

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(TEXTS, TEXTS, TEXTS, st.lists(TEXTS.filter(bool), max_size=3), st.integers(0, 10**6))
def test_a_link_reopens_the_same(source, clip, text, figures, moment):
    view = View(source, "csl", clip, text, "CSL", "a", tuple(figures), moment / 10**4, "hands", "a", "sticks")
    query = view.query()
    assert View.of(query) == view and View.of("?" + query) == view
    assert re.fullmatch(r"[\w.~=&-]*", query, re.ASCII)  # viser's page does not escape it again


def test_an_empty_page_has_an_empty_link():
    assert View().query() == "" and View.of("") == View() and View.of("?") == View()


def test_a_link_can_be_read():
    view = View("results", "how2sign", "a/b", second=1.5, figures=("reference", "soke"), camera="face")
    expected = "source=results&corpus=how2sign&clip=a~2Fb&figures=reference&figures=soke&second=1.5000&camera=face"
    assert view.query() == expected


@pytest.mark.parametrize("second", ["nan", "inf", "-1", "x", "1e999", ""])
def test_no_moment_is_the_beginning(second):
    assert View.of(f"clip=a&second={second}&nothing=1&clip=b") == View(clip="b")
