"""The plan of a study: what is compared, who sees what of it, and the words of its pages."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from soke.render.settings import Render
from soke.settings import Settings, near

GROUND_TRUTH, SHUFFLED = "ground truth", "shuffled"
ANCHORS = (GROUND_TRUTH, SHUFFLED)
LANGUAGES = ("en", "de", "zh")
PREFERENCES = ("overall", "face")
RATINGS = ("grammar", "phonology", "fluency", "fidelity")
CHECKED_RATING = "fidelity"
Texts = dict[str, str]  # language of the pages -> text


@dataclass(frozen=True)
class System(Settings):
    """results: folder of a test with TEST.SAVE_PREDICTIONS=true; row: of its clips.csv, with the scores of what it signed"""

    results: str
    row: str = "generated"


@dataclass(frozen=True)
class Detail(Settings):
    """What is asked of a participant before the first item; nobody has to answer it.

    name:    in the answers
    text:    the question
    options: value in the answers -> its text; empty: a short text is written
    """

    name: str
    text: Texts
    options: dict[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan(Settings):
    """One study; STUDY.md explains every field."""

    title: Texts
    consent: Texts
    systems: dict[str, System]
    clips: dict[str, int]
    pairs: list[list[str]] = field(default_factory=list)
    prefer: list[str] = field(default_factory=list)
    rate: list[str] = field(default_factory=list)
    comprehend: Literal["", "choose", "write"] = ""
    distractors: int = 3
    anchors: list[str] = field(default_factory=list)
    each: int = 0
    checks: int = 2
    misses: int = 0
    forms: int = 200
    seed: int = 1234
    languages: list[str] = field(default_factory=lambda: list(LANGUAGES))
    questions: dict[str, Texts] = field(default_factory=dict)
    about: list[Detail] = field(default_factory=list)
    render: Render = Render(512, "auto")

    @property
    def shown(self) -> list[str]:
        """Whose signing is rated and understood, one clip at a time."""
        return [*self.systems, *self.anchors]

    def problems(self) -> list[str]:
        found = self.below(0, "each", "checks", "misses") + self.below(1, "distractors")
        if self.forms < 2 or self.forms % 2:
            found.append(f"`forms` must be even, as every second form swaps the sides of the one before; not {self.forms}")
        found += [f"`clips.{name}` must be at least 1, not {count}" for name, count in self.clips.items() if count < 1]
        for key in ("systems", "clips", "languages"):
            if not getattr(self, key):
                found.append(f"`{key}` is empty")
        if not (self.prefer or self.rate or self.comprehend):
            found.append("nothing is asked: state `prefer`, `rate` or `comprehend`")
        return found + self._problems_of_names() + self._problems_of_checks() + self._problems_of_texts()

    def _problems_of_names(self) -> list[str]:
        found = [f"`systems` has {name}, which names an anchor" for name in self.systems if name in ANCHORS]
        found += [f"`anchors` has {name}, they are {', '.join(ANCHORS)}" for name in self.anchors if name not in ANCHORS]
        known = [*self.systems, *ANCHORS]
        for pair in self.pairs:
            unknown = [name for name in pair if name not in known]
            if unknown:
                found.append(f"`pairs` has {unknown[0]}, which is none of {', '.join(known)}{near(unknown[0], known)}")
            elif len(set(pair)) != 2 or len(pair) != 2:
                found.append(f"`pairs` has {pair}, but two of {', '.join(known)} make a pair")
        if len({frozenset(pair) for pair in self.pairs}) < len(self.pairs):
            found.append("`pairs` has a pair twice")
        if bool(self.pairs) != bool(self.prefer):
            found.append("`pairs` and `prefer` belong together: state both, or neither")
        for key in ("anchors", "prefer", "rate", "languages"):
            names = getattr(self, key)
            if len(set(names)) < len(names):
                found.append(f"`{key}` has one of them twice")
        return found

    def _problems_of_checks(self) -> list[str]:
        if not self.checks:
            return []
        if not self.prefer and CHECKED_RATING not in self.rate:
            return [f"`checks` need `prefer`, or {CHECKED_RATING} in `rate`: else state 0"]
        found = [] if self.misses < self.checks else ["`misses` must be below `checks`, or nobody could fail"]
        if self.checks > sum(self.clips.values()):
            found.append(f"`checks` are {self.checks}, more than there are clips")
        return found

    def _problems_of_texts(self) -> list[str]:
        found = [f"`languages` has {name}, they are {', '.join(LANGUAGES)}" for name in self.languages if name not in LANGUAGES]
        texts = {"title": self.title, "consent": self.consent}
        for name in [*self.prefer, *self.rate]:
            if name not in (*PREFERENCES, *RATINGS):
                texts[f"questions.{name}"] = self.questions.get(name, {})
        texts |= {f"questions.{name}": text for name, text in self.questions.items()}
        for detail in self.about:
            texts[f"about, {detail.name}"] = detail.text
            texts |= {f"about, {detail.name}, {value}": text for value, text in detail.options.items()}
        for key, text in texts.items():
            lacking = [language for language in self.languages if not text.get(language, "").strip()]
            if lacking:
                found.append(f"`{key}` has no text in {', '.join(lacking)}, of `languages`")
        unasked = [name for name in self.questions if name not in (*self.prefer, *self.rate)]
        found += [f"`questions.{name}` is neither in `prefer` nor in `rate`" for name in unasked]
        if len({detail.name for detail in self.about}) < len(self.about):
            found.append("`about` has a name twice")
        return found
