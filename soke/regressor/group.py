"""Group: a vocabulary and the network that reads it, for one sign language or for several; what is trained, saved and
loaded by itself."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soke.data.clip import Clip
from soke.data.rates import rate_of
from soke.errors import UserError
from soke.evaluation.protocols import Sentence
from soke.hashing import StateHash
from soke.regressor.langgloss import LangGlossFront, Written
from soke.regressor.settings import LangGloss, Regressor
from soke.regressor.source import language_token, own_prompt, template_tokens, tokens_of
from soke.regressor.spread import ErrorSpread
from soke.regressor.transformer import ProgressiveTransformer
from soke.regressor.unroll import Guide, unroll
from soke.text.lang_glosses import LangGlosses
from soke.text.prompts import Prompts
from soke.text.vocabulary import TextVocabulary
from soke.transformer import Memory

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "group.json"
LANG_GLOSS = "lang_gloss"  # name of its loss
_DISTANCES = {"mse": torch.square, "l1": torch.abs}


@dataclass(frozen=True)
class GroupSpec:
    """What rebuilds a group besides its weights, in plain types.

    languages: sign languages
    locales:   sign language -> locale of its sentences
    fps:       corpus -> frames per second of its motions
    corpora:   corpus -> its sign language
    tokens:    of the vocabulary
    settings:  of the network and its training
    prompts:   for sentences without one; None: prompts are not read
    glosses:   what is written before poses are made; None: nothing is
    """

    languages: list[str]
    locales: dict[str, str]
    fps: dict[str, float]
    corpora: dict[str, str]
    tokens: list[str]
    settings: Regressor
    prompts: Prompts | None = None
    glosses: LangGlosses | None = None

    def rate(self, language: str, corpus: str | None) -> float:
        """Frames per second of motions of a corpus; without one that it was trained on, of the language's first."""
        return rate_of(self.fps, self.corpora, language, corpus)

    def source(self, sentence: Sentence, epoch: int | None = None) -> list[str]:
        """The tokens that are read of a sentence, the end among them. Raises UserError as `tokens_of` does.

        epoch: of the training, each of which has other prompts; None: in no training
        """
        named = [language_token(sentence.language)] if len(self.languages) > 1 else []
        locale = self.locales[sentence.language]
        return [*named, *tokens_of(sentence, self.settings.source, locale, self.prompts, epoch), _END]

    def with_tokens_of(self, clips: Iterable[Clip]) -> GroupSpec:
        """With the vocabularies of training clips, and of the templates that are put around them."""
        clips = list(clips)
        read = [self.source(clip) for clip in clips]
        if self.prompts is not None:
            for language in dict.fromkeys(clip.language for clip in clips if not own_prompt(clip)):
                read += template_tokens(self.prompts, language, self.locales[language])
        written = [(clip.language, clip.text, clip.gloss) for clip in clips]
        glosses = None if self.settings.lang_gloss is None else LangGlosses.of(written)
        return replace(self, tokens=list(TextVocabulary.of(read).tokens), glosses=glosses)

    def following(self, earlier: GroupSpec) -> GroupSpec:
        """With the sign languages, corpora and words of an earlier one, behind which new ones come."""
        glosses, languages = self.glosses, list(dict.fromkeys([*earlier.languages, *self.languages]))
        named = map(language_token, languages) if len(languages) > 1 else []
        if glosses is not None and earlier.glosses is not None:
            glosses = glosses.following(earlier.glosses)
        return replace(
            self, languages=languages, locales={**earlier.locales, **self.locales},
            fps={**earlier.fps, **self.fps}, corpora={**earlier.corpora, **self.corpora},
            tokens=list(TextVocabulary(earlier.tokens).with_new([*named, *self.tokens]).tokens),
            prompts=None if self.prompts is None else self.prompts.following(earlier.prompts), glosses=glosses,
        )

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> GroupSpec:
        settings = plain["settings"]
        kinds = {"prompts": Prompts, "glosses": LangGlosses}
        made = {key: kind(**plain[key]) for key, kind in kinds.items() if plain.get(key) is not None}
        written = settings.get("lang_gloss")
        made["settings"] = Regressor(**{**settings, "lang_gloss": None if written is None else LangGloss(**written)})
        return cls(**{**plain, **made})


_END = TextVocabulary.SPECIALS[TextVocabulary.END]


@dataclass
class Reading:
    """What a group has read of B sentences.

    memory: for the decoder
    terms:  name -> [B] losses of the reading itself, as much as they weigh
    """

    memory: Memory
    terms: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class RegressorOutput:
    """One pass of B clips under teacher forcing.

    errors:  [B] what is to become small: a mean over a clip's frames of the distance of features and counter
    squared: [B] the mean squared error of the features of each next frame, without a gradient
    counter: [B] the mean absolute error of the counter, without a gradient
    frames:  [B] of each clip
    terms:   name -> [B] further losses, see `Reading`
    """

    errors: Tensor
    squared: Tensor
    counter: Tensor
    frames: Tensor
    terms: dict[str, Tensor]


class Group(nn.Module):
    """Sentences to normalised features of F numbers.

    deviation: [F] standard deviation of each feature's error in the last epoch of training, 0 before the first ends
    """

    deviation: Tensor

    def __init__(self, spec: GroupSpec, features: int):
        super().__init__()
        self.spec, self.vocabulary = spec, TextVocabulary(spec.tokens)
        self.network = ProgressiveTransformer(len(self.vocabulary), features, spec.settings)
        self.register_buffer("deviation", torch.zeros(features))
        learnt = spec.settings.start == "learnt" and not spec.settings.just_counter
        self.start = nn.Parameter(torch.zeros(features)) if learnt else None
        self.spread = ErrorSpread()
        self._hash = StateHash()
        self.front = None if spec.glosses is None else LangGlossFront(spec.glosses, spec.settings)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the losses of its readings."""
        return () if self.front is None else (LANG_GLOSS,)

    @property
    def settings(self) -> Regressor:
        return self.spec.settings

    @property
    def hash(self) -> str:
        """12 hex digits that change with anything that changes what the group does."""
        return self._hash(self.spec.to_plain(), self.state_dict())

    @property
    def frozen(self) -> bool:
        """Whether training leaves it as it is."""
        return not any(parameter.requires_grad for parameter in self.parameters())

    def knows_words_of(self, sentence: Sentence) -> bool:
        """Whether any word of its text, or gloss where these are read, is in the vocabulary. Raises UserError as
        `tokens_of` does."""
        source = "gloss" if self.settings.source == "gloss" else "text"
        ids = self.vocabulary.ids(tokens_of(sentence, source, self.spec.locales[sentence.language]))
        return any(i != TextVocabulary.UNKNOWN for i in ids)

    def read(self, sentences: Sequence[Sentence], epoch: int | None = None) -> Reading:
        """In training: LangGloss, where it is written, is the sentences' own. Raises UserError for an empty text."""
        x, mask = self._embedded(sentences, epoch)
        if self.front is None:
            return Reading(self.network.encode_embedded(x, mask))
        written = self.front(x, mask, sentences)
        weighted = self.settings.lang_gloss.weight * written.losses
        return Reading(self.network.encode_embedded(written.states, written.mask), {LANG_GLOSS: weighted})

    def write(self, sentences: Sequence[Sentence]) -> Written:
        """LangGloss of sentences. Raises UserError for an empty text, and for a group that writes none."""
        if self.front is None:
            raise UserError("this regressor writes no LangGloss: train one with configs/signllm_prompt2langgloss.yaml")
        return self.front.write(*self._embedded(sentences), [sentence.language for sentence in sentences])

    def _embedded(self, sentences: Sequence[Sentence], epoch: int | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings of what is read [B, L, width], and where there is a token [B, L]."""
        rows = [torch.tensor(self.vocabulary.ids(self.spec.source(sentence, epoch))) for sentence in sentences]
        ids = pad_sequence(rows, batch_first=True, padding_value=TextVocabulary.PADDING).to(self.deviation.device)
        return self.network.embed(ids), ids != TextVocabulary.PADDING

    def forward(
        self, sentences: Sequence[Sentence], frames: Tensor, lengths: Tensor, epoch: int | None = None
    ) -> RegressorOutput:
        """Teacher forcing; in training with noise on the frames that are read.

        frames:  [B, T, F] normalised
        lengths: [B] frames, each at least one
        epoch:   of the training, see `GroupSpec.source`
        """
        reading, steps = self.read(sentences, epoch), frames.shape[1]
        counters = torch.arange(1, steps + 1, device=frames.device) / lengths[:, None]  # [B, T]
        outputs, _ = self.network.decode(self._inputs(frames, counters), reading.memory)
        valid = torch.arange(steps, device=frames.device) < lengths[:, None]
        future = self.settings.future
        predicted = outputs[..., :-1].unflatten(2, (future, -1)).float()  # [B, T, K, F]
        ahead = nn.functional.pad(frames, (0, 0, 0, future - 1)).unfold(1, future, 1).transpose(2, 3)
        there = nn.functional.pad(valid, (0, future - 1)).unfold(1, future, 1)  # [B, T, K]
        missed, off = predicted - ahead, outputs[..., -1].float() - counters
        if self.training:
            self.spread.add(missed[:, :, 0].detach(), valid)
        with torch.no_grad():
            squared = (missed[:, :, 0].square().mean(2) * valid).sum(1) / lengths
            counter = (off.abs() * valid).sum(1) / lengths
        return RegressorOutput(self._errors(missed, off, there), squared, counter, lengths, reading.terms)

    def _errors(self, missed: Tensor, off: Tensor, there: Tensor) -> Tensor:
        """missed [B, T, K, F] of the frames that are there [B, T, K], off [B, T] of the counter -> [B]"""
        distance, weight = _DISTANCES[self.settings.loss], self.settings.counter_weight
        valid = there[..., 0]
        of_frames = (distance(missed).sum(3) * there).sum((1, 2))
        of_counters = weight * (distance(off) * valid).sum(1)
        return (of_frames + of_counters) / (there.sum((1, 2)) * missed.shape[3] + weight * valid.sum(1))

    def _inputs(self, frames: Tensor, counters: Tensor) -> Tensor:
        """What each step reads: the frame before it [B, T, F + 1]."""
        before = frames[:, :-1]
        if self.training and self.settings.noise:
            before = before + self.settings.noise * self.deviation * torch.randn_like(before)
        first = self._start().to(frames).expand(len(frames), 1, -1)
        counters = nn.functional.pad(counters[:, :-1], (1, 0))
        if self.training and self.settings.counter_noise:
            speed = 1 + self.settings.counter_noise * torch.randn_like(counters[:, :1])
            counters = (counters * speed).clamp(0, 1)
        return torch.cat([torch.cat([first, before], dim=1), counters[..., None].to(frames)], dim=2)

    def generate(
        self, sentences: Sequence[Sentence], max_frames: int, guide: Guide | None = None
    ) -> tuple[list[Tensor], list[bool]]:
        """As `unroll`."""
        if self.front is None:
            memory = self.read(sentences).memory
        else:
            written = self.write(sentences)
            memory = self.network.encode_embedded(written.states, written.mask)
        return unroll(self.network, memory, self._start(), max_frames, guide)

    def _start(self) -> Tensor:
        return torch.zeros_like(self.deviation) if self.start is None else self.start

    def end_epoch(self) -> None:
        """What the epoch's errors were becomes the size of the next one's noise. Every process must call it."""
        deviation = self.spread.of_all(self.deviation)
        if deviation is not None:
            self.deviation.copy_(deviation)

    def save(self, folder: Path) -> None:
        """Writes the files of the group into an existing folder."""
        plain = {"features": len(self.deviation), **self.spec.to_plain()}
        (folder / CONFIG_FILE).write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        weights = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Group:
        """What `save` wrote. Raises the errors of missing or damaged files, which `PoseRegressor` explains."""
        plain = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        features = plain.pop("features")
        group = new_group(GroupSpec.from_plain(plain), features)
        group.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return group


def new_group(spec: GroupSpec, features: int) -> Group:
    """With random weights. features: F"""
    return Group(spec, features)


def specs_of(
    settings: Regressor, clips: Sequence[Clip], locales: Mapping[str, str], fps: Mapping[str, float],
    prompts: Prompts | None = None,
) -> dict[str, GroupSpec]:
    """Name of each group -> its spec, with the vocabulary of its training clips; see REGRESSOR.GROUPS.

    clips:   of training
    locales: sign language -> locale
    fps:     corpus -> frames per second
    prompts: for all the sign languages, where prompts are read

    Raises UserError as `tokens_of` does.
    """
    corpora = {clip.corpus: clip.language for clip in clips}
    languages = list(dict.fromkeys(corpora.values()))
    named = {SHARED: languages} if settings.groups == "shared" else {language: [language] for language in languages}
    return {
        name: GroupSpec(
            members, {language: locales[language] for language in members},
            {corpus: fps[corpus] for corpus, language in corpora.items() if language in members},
            {corpus: language for corpus, language in corpora.items() if language in members}, [], settings,
            None if prompts is None else prompts.only(members),
        ).with_tokens_of(clip for clip in clips if clip.language in members)
        for name, members in named.items()
    }


SHARED = "all"  # the group of all languages
