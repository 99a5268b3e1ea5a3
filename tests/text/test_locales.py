"""Which locale the texts of a sign language have."""

from __future__ import annotations

import pytest

from soke.errors import UserError
from soke.text.locales import TEXT_LOCALE, completed


def test_known_languages_are_a_constant():
    with pytest.raises(TypeError):
        TEXT_LOCALE["BSL"] = "en_XX"


def test_what_is_stated_goes_before_what_is_known():
    stated = {"BSL": "en_XX", "DGS": "fr_XX", "LIBRAS": "pt_XX"}
    assert completed(["CSL", "DGS", "BSL", "CSL"], stated) == {"CSL": "zh_CN", "DGS": "fr_XX", "BSL": "en_XX"}


def test_a_language_without_a_locale_is_refused_with_the_remedy():
    with pytest.raises(UserError, match=r'texts of BSL, LIBRAS are written: state it in `locales`, as \{"BSL": "en_XX"\}'):
        completed(["ASL", "BSL", "LIBRAS"], {})
