"""Locales: in which language the texts of a sign language are written, as mBART names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from soke.errors import UserError

# Sign language -> locale of the text that is translated into it: SOKE's three, then Prompt2Sign's. A corpus of another
# sign language says which locale its texts have, and every model keeps the locales that it was trained with.
TEXT_LOCALE = MappingProxyType({
    "ASL": "en_XX", "CSL": "zh_CN", "DGS": "de_DE",
    "DSGS": "de_DE", "LSF-CH": "fr_XX", "LIS-CH": "it_IT", "LSA": "es_XX", "KSL": "ko_KR", "TSL": "tr_TR",
})
ENGLISH = "en_XX"
# Other codes of sign languages -> those of `TEXT_LOCALE`: German Sign Language is GSL in Prompt2Sign.
ALIASES = MappingProxyType({"GSL": "DGS"})


def canonical(language: str) -> str:
    """The one code of a sign language, of whichever it is called by."""
    return ALIASES.get(language, language)


def completed(languages: Iterable[str], locales: Mapping[str, str]) -> dict[str, str]:
    """{sign language: locale}, from `TEXT_LOCALE` where `locales` does not have it. Raises UserError for a sign
    language that neither of them has."""
    languages = dict.fromkeys(map(canonical, languages))
    locales = {canonical(language): locale for language, locale in locales.items()}
    unknown = [language for language in languages if language not in locales and language not in TEXT_LOCALE]
    if unknown:
        raise UserError(
            f"it is not known in which language the texts of {', '.join(unknown)} are written: state it in `locales`, "
            f'as {{"{unknown[0]}": "{ENGLISH}"}} does for English'
        )
    return {language: locales.get(language) or TEXT_LOCALE[language] for language in languages}
