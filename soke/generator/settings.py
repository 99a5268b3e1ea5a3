"""Settings of generators, of what they retrieve, of how codes are searched for and of learning by reward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from soke.settings import Settings, near

Method = Literal["greedy", "sample", "beam"]
DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "layerdrop")  # of mBART
REWARDS = ("dtw", "codes", "bleu", "length", "smoothness")  # see soke/generator/policy/rewards.py


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

    def longest(self, most: int) -> int:
        """Codes per part after which a sentence that has not ended is cut; one that ends by itself has fewer.

        most: of the model
        """
        return min(self.max_steps or most, most)

    def problems(self) -> list[str]:
        found = self.below(0, "top_k") + self.below(1, "beams", "min_steps")
        if self.method not in get_args(Method):
            found.append(f"`method` is {self.method}, but must be one of {', '.join(get_args(Method))}")
        if not 0 < self.temperature < math.inf:
            found.append(f"`temperature` must be a number above 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            found.append(f"`top_p` must be above 0 and at most 1, not {self.top_p}")
        if not math.isfinite(self.length_penalty):
            found.append(f"`length_penalty` must be a finite number, not {self.length_penalty}")
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
class Policy(Settings):
    """Learning by reward: the generator is a policy whose action at each decoder step is the codes of all heads, or the
    end, and whose reward is that of the motion it signs.

    objective: reinforce: the reward above its running mean (Williams 1992); scst: above that of the greedy output
               (Rennie et al. 2017); grpo: above that of the other samples of the sentence (DeepSeekMath); dpo: the
               best of a sentence's samples preferred to its worst (Rafailov et al. 2023)
    """

    objective: Literal["reinforce", "scst", "grpo", "dpo"]
    share: float
    samples: int
    sentences: int
    updates: int
    clip: float
    kl: float
    beta: float
    decay: float
    temperature: float
    top_k: int
    top_p: float
    rewards: dict[str, float]
    reader: str
    patience: int

    def problems(self) -> list[str]:
        found = self.no_share("share", "decay") + self.below(0, "sentences", "top_k", "patience", "kl")
        compares = self.objective in ("grpo", "dpo")
        found += self.below(2 if compares else 1, "samples") + self.below(1, "updates")
        if not self.clip > 0:
            found.append(f"`clip` must be above 0, not {self.clip}")
        if not 0 < self.beta < math.inf:
            found.append(f"`beta` must be a number above 0, not {self.beta}")
        if self.updates > 1 and not compares:
            found.append(
                f"`updates` must be 1 for `objective`={self.objective}, whose samples must be of the weights that learn "
                "from them; grpo and dpo may use them again"
            )
        if not 0 < self.temperature < math.inf:
            found.append(f"`temperature` must be a number above 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            found.append(f"`top_p` must be above 0 and at most 1, not {self.top_p}")
        for name, weight in self.rewards.items():
            if name not in REWARDS:
                found.append(f"`rewards.{name}` is none of {', '.join(REWARDS)}{near(name, REWARDS)}")
            if not 0 <= weight < math.inf:
                found.append(f"`rewards.{name}` must be a weight of at least 0, not {weight}")
        if self.share and not any(self.rewards.values()):
            found.append(f"`rewards` must give one of {', '.join(REWARDS)} a weight above 0")
        return found

    def training_problems(self, config: Any) -> list[str]:
        if not self.share:
            return []
        found = []
        if not config.train.init:
            found.append("POLICY.SHARE needs TRAIN.INIT, the folder of the trained generator that learns by reward")
        if self.share + config.generator.translation > 1:
            found.append(
                f"POLICY.SHARE ({self.share}) and GENERATOR.TRANSLATION ({config.generator.translation}) are more than "
                "all batches together"
            )
        if config.train.strategy == "fsdp":
            found.append(
                "POLICY.SHARE needs TRAIN.STRATEGY=ddp or deepspeed: to sign its samples, every process needs the whole "
                "generator"
            )
        if self.updates > 1 and config.train.accumulate > 1:
            found.append("POLICY.UPDATES above 1 needs TRAIN.ACCUMULATE=1: a batch of samples is used in several steps")
        if self.rewards.get("bleu") and not self.reader:
            found.append("POLICY.REWARDS.bleu needs POLICY.READER, the folder of models that read motion back")
        if self.rewards.get("bleu") and self.reader == config.metric.back_translation:
            found.append(
                "POLICY.READER is METRIC.BACK_TRANSLATION, by which the generator is tested: name the folder of other "
                "models, trained with another SEED"
            )
        return found

    @property
    def weights(self) -> dict[str, float]:
        """The rewards that count, by name."""
        return {name: weight for name, weight in self.rewards.items() if weight}

    def search(self, seed: int) -> Search:
        """How samples are drawn."""
        return Search("sample", self.temperature, self.top_k, self.top_p, seed)


@dataclass(frozen=True)
class Generator(Settings):
    heeds: ClassVar[tuple[str, ...]] = (
        "TRAIN.LORA", "TRAIN.CHECKPOINTING", "TRAIN.LABEL_SMOOTHING", "LOGGER.PICTURES", "POLICY.SHARE", "TEST.BASELINES",
        "TEST.WEIGHTS", "TEST.COMPILE", "TEST.SEARCH.*", "DATASET.CORPORA.*.WEIGHT",
    )
    augmented_by: ClassVar[tuple[str, ...]] = ("drop_step",)
    divides: ClassVar[bool] = True

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
    dropout: float | None = None  # of mBART in training, as the three below; models of earlier versions do not have them
    attention_dropout: float | None = None
    activation_dropout: float | None = None
    layerdrop: float | None = None

    def problems(self) -> list[str]:
        found = self.no_share("translation") + self.below(1, "max_steps", "max_source")
        for name in DROPOUTS:
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                found.append(f"`{name}` must be at least 0 and below 1, or null, not {value}")
        return found

    @property
    def dropouts(self) -> dict[str, float]:
        """Those that are not mBART's own, under the names of its configuration."""
        given = {name: getattr(self, name) for name in DROPOUTS[:-1]}
        given |= dict.fromkeys(("encoder_layerdrop", "decoder_layerdrop"), self.layerdrop)
        return {name: value for name, value in given.items() if value is not None}

    def training_problems(self, config: Any) -> list[str]:
        found, retrieval = config.tokenizer.misfit(config.parts), self.retrieval
        if self.fusion is not None and not found:
            names, weights = config.tokenizer.streams(config.parts), self.fusion.values()
            whole = set(self.fusion) == set(names) and all(weight >= 0 for weight in weights)
            if not (whole and 0 < sum(weights) < math.inf):
                found.append(f"GENERATOR.FUSION must give each of {', '.join(names)} a weight of at least 0, not all 0")
            elif not all(weights) and self.decoding != "multi_head":
                found.append(
                    f"GENERATOR.FUSION must give each of {', '.join(names)} a weight above 0 with GENERATOR.DECODING="
                    f"{self.decoding}, whose steps read one of them each and would read nothing"
                )
        signs = config.dataset.lexicon is not None or retrieval.word_codes
        if retrieval.words and retrieval.keywords and not signs:
            found.append(
                "GENERATOR.RETRIEVAL.KEYWORDS needs signs: set DATASET.LEXICON or GENERATOR.RETRIEVAL.WORD_CODES"
            )
        return found + config.eval.generation_problems() + config.policy.training_problems(config)
