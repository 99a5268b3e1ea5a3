"""Settings of generators, of what they retrieve and of how codes are searched for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from soke.settings import Settings

Method = Literal["greedy", "sample", "beam"]


@dataclass(frozen=True)
class Search(Settings):
    """How codes are searched for. The defaults are those of a search that adds nothing to the model's likeliest codes.

    method:         greedy; sample: each stream's code is drawn; beam: the likeliest sequence of all streams together
    temperature:    of sampling; below 1 sharper
    top_k:          sampling draws from this many likeliest codes of each stream; 0: from all
    top_p:          sampling draws from the likeliest codes that together have this probability; 1: from all
    seed:           of sampling; a sentence's sample depends on it, its text and its language, not on its company
    beams:          hypotheses kept per sentence
    length_penalty: log-probabilities of hypotheses are divided by their length to this power; 0: not at all
    min_steps:      no end before so many token steps
    max_steps:      token steps at most; None: the model's
    no_repeat:      no sequence of so many time steps is said twice, all streams together; 0: it may be
    """

    method: Method = "greedy"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    beams: int = 4
    length_penalty: float = 1.0
    min_steps: int = 1
    max_steps: int | None = None
    no_repeat: int = 0

    def problems(self) -> list[str]:
        found = self.below(0, "top_k") + self.below(1, "beams", "min_steps")
        if self.method not in get_args(Method):
            found.append(f"`method` is {self.method}, but must be one of {', '.join(get_args(Method))}")
        if not self.temperature > 0:
            found.append(f"`temperature` must be above 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            found.append(f"`top_p` must be above 0 and at most 1, not {self.top_p}")
        if self.no_repeat == 1 or self.no_repeat < 0:
            found.append(f"`no_repeat` must be 0 or above 1, not {self.no_repeat}")
        if self.max_steps is not None and self.max_steps < self.min_steps:
            found.append(f"`min_steps` is {self.min_steps}, above the longest output of {self.max_steps} steps")
        return found

    @property
    def hypotheses(self) -> int:
        """Rows per row of the scheme."""
        return self.beams if self.method == "beam" else 1


@dataclass(frozen=True)
class Retrieval(Settings):
    """Signs of an external lexicon that are looked up for a sentence."""

    words: int
    steps: int
    match: Literal["token", "soke_substring"]
    similar: float
    recording: Literal["first", "longest", "shortest", "medoid"]
    keywords: str
    word_codes: str
    form: Literal["interleaved", "fused"]
    drop: float

    def problems(self) -> list[str]:
        found = self.below(0, "words") + self.below(1, "steps") + self.no_share("similar", "drop")
        if self.similar and self.match != "token":
            found.append(
                f"`similar`={self.similar} has no effect with `match`={self.match}: set `similar` to 0, or "
                "`match` to token"
            )
        return found


@dataclass(frozen=True)
class Generator(Settings):
    mbart: str
    decoding: Literal["multi_head", "sequential", "parallel"]
    prompts: Literal["language", "language_and_part"]
    heads: Literal["separate", "tied"]
    text_head: Literal["tied", "separate"]
    fusion: dict[str, float] | None
    max_steps: int
    max_source: int
    translation: float
    retrieval: Retrieval

    def problems(self) -> list[str]:
        return self.no_share("translation") + self.below(1, "max_steps", "max_source")

    def training_problems(self, config: Any) -> list[str]:
        found, retrieval = config.tokenizer.misfit(config.parts), self.retrieval
        if self.fusion is not None and not found:
            names, weights = config.tokenizer.streams(config.parts), self.fusion.values()
            whole = set(self.fusion) == set(names) and all(weight >= 0 for weight in weights)
            if not (whole and 0 < sum(weights) < math.inf):
                found.append(f"GENERATOR.FUSION must give each of {', '.join(names)} a weight of at least 0, not all 0")
        signs = config.dataset.lexicon is not None or retrieval.word_codes
        if retrieval.words and retrieval.keywords and not signs:
            found.append(
                "GENERATOR.RETRIEVAL.KEYWORDS needs signs: set DATASET.LEXICON or GENERATOR.RETRIEVAL.WORD_CODES"
            )
        return found + config.eval.generation_problems()
