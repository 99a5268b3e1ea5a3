"""GeneratorSpec: what rebuilds a generator besides its weights, as generator.json holds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Mapping

from soke.data.rates import rate_of
from soke.generator.settings import Generator, Retrieval
from soke.text.locales import canonical, completed

# What files written before the settings were saved whole may lack, and what was so then.
_ONCE = {
    "decoding": "multi_head", "tied_heads": False, "fusion": None, "max_steps": 100, "max_pieces": 256,
    "translation": 0.0, "retrieval_words": 3, "retrieval_steps": 10, "retrieval_match": "token",
    "retrieval_similar": 0.0, "retrieval_recording": "first", "retrieval_keywords": "", "retrieval_word_codes": "",
    "retrieval_form": "interleaved", "retrieval_drop": 0.0,
}
_ADDED = {"prompts": "language", "text_head": "tied"}  # since then, and what was so before


@dataclass(frozen=True)
class GeneratorSpec:
    """Plain types only.

    settings:       in place of paths, `mbart` is the name of the folder that training started from, and `keywords` and
                    `word_codes` of the retrieval are names and hashes of what was there; empty: nothing was
    languages:      sign languages
    streams:        name -> number of codes, in the order of the codes' last axis
    tokenizer_hash: of the SignTokenizer whose codes it speaks
    fps:            corpus -> frames per second of its motions
    corpora:        corpus -> its sign language; None: `fps` is of sign languages
    locales:        sign language -> locale of its sentences, see `completed` for those that it lacks
    data:           hash of the sentences and codes that it was trained on
    readers:        hashes of the weights of the back-translation models by whose reading it was rewarded
    """

    settings: Generator
    languages: list[str]
    streams: dict[str, int]
    tokenizer_hash: str
    fps: dict[str, float]
    corpora: dict[str, str] | None = None
    locales: dict[str, str] = field(default_factory=dict)
    data: str = ""
    readers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", list(map(canonical, self.languages)))
        if self.corpora is not None:
            object.__setattr__(self, "corpora", {name: canonical(language) for name, language in self.corpora.items()})
        object.__setattr__(self, "locales", completed(self.languages, self.locales))

    def rate(self, language: str, corpus: str | None = None) -> float:
        """Frames per second of motions of a corpus; without one that it was trained on, of the language's first."""
        return rate_of(self.fps, self.corpora or {}, language, corpus)

    def with_similar(self, similar: float) -> GeneratorSpec:
        """The same with another GENERATOR.RETRIEVAL.SIMILAR."""
        retrieval = replace(self.settings.retrieval, similar=similar)
        return replace(self, settings=replace(self.settings, retrieval=retrieval))

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> GeneratorSpec:
        """The inverse of `to_plain`, and of what was written before."""
        own = dict(plain)
        if "codebooks" in own:  # when every part had one stream
            own["streams"] = own.pop("codebooks")
        settings = own.pop("settings", None) or _settings_of_old(own)
        return cls(Generator(**{**_ADDED, **settings, "retrieval": Retrieval(**settings["retrieval"])}), **own)


def _settings_of_old(spec: dict[str, Any]) -> dict[str, Any]:
    """Takes the settings, which once stood beside each other, out of `spec`."""
    old = {name: spec.pop(name, value) for name, value in _ONCE.items()}
    retrieval = {
        name.removeprefix("retrieval_"): old.pop(name) for name in tuple(old) if name.startswith("retrieval_")
    }
    heads, max_source = "tied" if old.pop("tied_heads") else "separate", old.pop("max_pieces")
    return {**old, "mbart": "", "heads": heads, "max_source": max_source, "retrieval": retrieval}
