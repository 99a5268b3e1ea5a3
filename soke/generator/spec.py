"""GeneratorSpec: what rebuilds a generator besides its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GeneratorSpec:
    """What rebuilds a generator besides its weights; plain types only.

    languages:      sign languages
    codebooks:      part -> number of codes
    tokenizer_hash: of the SignTokenizer whose codes it speaks
    fps:            corpus -> frames per second of its motions
    decoding:       name in SCHEMES
    fusion:         part -> weight in the decoder's input; None: equal
    tied_heads:     heads are rows of the embedding table, see `Heads`
    max_steps:      longest output in codes per part
    max_pieces:     longest text in tokens of the text tokenizer
    retrieval_words, retrieval_steps, retrieval_match, retrieval_similar, retrieval_recording: see `Retriever`
    retrieval_keywords: name and hash of the lists of keywords that the corpora's sentences take; empty: they have none
    retrieval_word_codes: name and hash of the published table that the signs are from; empty: they are the lexicon's
    retrieval_form: name in FORMS
    retrieval_drop: probability with which training leaves out a retrieved sign
    translation:    share of the training batches that learn sign to text (M3T, section 3.3); 0: it cannot translate
    corpora:        corpus -> its sign language; None: `fps` is of sign languages
    data:           hash of the sentences and codes that it was trained on
    """

    languages: list[str]
    codebooks: dict[str, int]
    tokenizer_hash: str
    fps: dict[str, float]
    decoding: str = "multi_head"
    fusion: dict[str, float] | None = None
    tied_heads: bool = False
    max_steps: int = 100
    max_pieces: int = 256
    retrieval_words: int = 3
    retrieval_steps: int = 10
    retrieval_match: str = "token"
    retrieval_similar: float = 0.0
    retrieval_recording: str = "first"
    retrieval_keywords: str = ""
    retrieval_word_codes: str = ""
    retrieval_form: str = "interleaved"
    retrieval_drop: float = 0.0
    translation: float = 0.0
    corpora: dict[str, str] | None = None
    data: str = ""

    def rate(self, language: str, corpus: str | None = None) -> float:
        """Frames per second of motions of a corpus; without one that it was trained on, of the language's first."""
        languages = self.corpora or {}
        of_language = {name: fps for name, fps in self.fps.items() if languages.get(name, name) == language}
        return of_language.get(corpus, next(iter(of_language.values())))
