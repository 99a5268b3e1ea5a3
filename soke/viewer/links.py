"""Links: what a page shows, as the query of its address, and back.

viser's page takes its query apart and puts it together again without escaping it. Here ~ therefore stands for the %
of escaped characters: ~20 is a blank.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, fields
from urllib.parse import parse_qs, quote, urlencode


@dataclass(frozen=True)
class View:
    """What a page shows.

    source, corpus, clip: what is opened, by name; nothing where the clip is ""
    text, language, signed_by: a typed sentence, its sign language, and the system that signs it
    figures: labels of the figures that are shown; none: all
    second:  of the moment that is shown
    camera:  name of one of `soke.viewer.cameras`
    focus:   label of the figure that close cameras look at
    style:   mesh or sticks
    """

    source: str = ""
    corpus: str = ""
    clip: str = ""
    text: str = ""
    language: str = ""
    signed_by: str = ""
    figures: tuple[str, ...] = ()
    second: float = 0.0
    camera: str = ""
    focus: str = ""
    style: str = ""

    def query(self) -> str:
        """As it stands behind the ? of an address; only what differs from an empty page."""
        empty, values = View(), {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != getattr(empty, field.name):
                values[field.name] = f"{value:.4f}" if field.name == "second" else value
        return urlencode(values, doseq=True, safe="", quote_via=quote).replace("~", "%7E").replace("%", "~")

    @classmethod
    def of(cls, query: str) -> View:
        """The inverse of `query`. What nobody could have written is left out: others may have written the link."""
        found = parse_qs(query.removeprefix("?").replace("~", "%"), errors="replace")
        values: dict[str, object] = {
            field.name: found[field.name][-1] for field in fields(cls) if field.name in found
        }
        if "figures" in found:
            values["figures"] = tuple(found["figures"])
        values["second"] = _second(str(values.get("second", "")))
        return cls(**values)


def _second(text: str) -> float:
    try:
        second = float(text)
    except ValueError:
        return 0.0
    return second if math.isfinite(second) and second > 0 else 0.0
