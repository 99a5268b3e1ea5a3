"""SignProducer: a generator and its tokenizer as the `Producer` that tests and pictures take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Sequence

from torch import Tensor

from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.data.clip import Clip
from soke.errors import UserError
from soke.evaluation.protocols import Explained, RetrievedSign, Sentence
from soke.generator.model import SignGenerator
from soke.generator.retrieval import described, explained
from soke.generator.settings import Search
from soke.hub import model_folder
from soke.sharing import Shared
from soke.storage import new_folder
from soke.text.locales import canonical
from soke.tokenizer.tokenizer import SignTokenizer


class SignProducer(Shared):
    """A generator and the tokenizer whose codes it speaks. Raises UserError when they do not belong together.

    batch_size: sentences generated together
    search:     how codes are searched for, where `generate` is given no other search

    counts:     of motions that it has `made`, and those of them that were `cut`, which did not end by themselves
    """

    def __init__(
        self, generator: SignGenerator, tokenizer: SignTokenizer, name: str = "generated", batch_size: int = 32,
        search: Search = Search(),
    ):
        if generator.spec.tokenizer_hash != tokenizer.hash:
            raise UserError(
                f"the generator speaks the codes of tokenizer {generator.spec.tokenizer_hash}, but the tokenizer given "
                f"is {tokenizer.hash}: give it the one that it was trained with, or train the generator again"
            )
        self.generator, self.tokenizer, self.name = generator, tokenizer, name
        self.batch_size, self.search = batch_size, search
        self.counts = Counter(made=0, cut=0)

    @property
    def layout(self) -> MotionLayout:
        return self.tokenizer.layout

    @property
    def conditions(self) -> dict[str, str]:
        return self.tokenizer.conditions

    def batched(self, batch_size: int) -> SignProducer:
        """The same one, which works on so many sentences together."""
        return SignProducer(self.generator, self.tokenizer, self.name, batch_size, self.search)

    def produce(self, sentences: Sequence[Sentence]) -> list[Motion]:
        """One motion per sentence, on the CPU; batches of sentences whose sources are of similar length."""
        clips = [_clip_of(sentence) for sentence in sentences]
        return self.generate([s.text for s in sentences], [s.language for s in sentences], clips=clips)

    def generate(
        self, texts: Sequence[str], languages: Sequence[str], search: Search | None = None,
        clips: Sequence[Clip | None] | None = None,
    ) -> list[Motion]:
        """One motion per text, in their order; clips as `SignGenerator.generate` takes them, and raises UserError."""
        _require_pairs("texts", texts, languages)
        languages, of = list(map(canonical, languages)), [None] * len(texts) if clips is None else clips
        lengths = [self.generator.source.length(*sentence) for sentence in zip(texts, languages, of, strict=True)]
        motions: dict[int, Motion] = {}
        search = search or self.search
        longest = search.longest(self.generator.spec.settings.max_steps)
        self.on_one_device()
        for rows in self._batches(lengths):
            codes = self.generator.generate(
                [texts[i] for i in rows], [languages[i] for i in rows], search, [of[i] for i in rows]
            )
            self.counts.update(made=len(rows), cut=sum(len(own) == longest for own in codes))
            made = self.decoded(codes, [languages[i] for i in rows], [of[i] for i in rows])
            motions.update(zip(rows, (motion.to("cpu") for motion in made)))
        return [motions[i] for i in range(len(texts))]

    def decoded(
        self, codes: Sequence[Tensor], languages: Sequence[str], clips: Sequence[Clip | None]
    ) -> list[Motion]:
        """The motion of each [K, S] of codes, at the rate of its clip's corpus, where the tokenizer is."""
        rate = self.generator.spec.rate
        fps = [rate(*of, clip.corpus if clip else None) for *of, clip in zip(languages, clips, strict=True)]
        return self.tokenizer.decode_motions(codes, fps)

    def translate(self, motions: Sequence[Motion], languages: Sequence[str], beams: int = 1) -> list[str]:
        """The sentence that each motion says, in their order; "" for a motion of fewer frames than make a code.

        A motion is read at its own frame rate, as the codes of the training were made: the generator has learnt motions
        of the rates in `spec.fps`, and such as were recorded at lower ones. Raises UserError as
        `SignGenerator.translate` does.
        """
        _require_pairs("motions", motions, languages)
        pairs, texts = list(zip(motions, map(canonical, languages), strict=True)), {}
        self.on_one_device()
        for rows in self._batches([len(motion) for motion in motions]):
            codes = self.tokenizer.encode_motions([pairs[i][0] for i in rows], self.batch_size)
            texts.update(zip(rows, self.generator.translate(codes, [pairs[i][1] for i in rows], beams)))
        return [texts[i] for i in range(len(pairs))]

    def on_one_device(self) -> None:
        """The tokenizer goes where the generator is, which a training has moved."""
        if self.tokenizer.device != self.generator.device:
            self.tokenizer.to(self.generator.device)

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices of what is worked on together, which is of similar length."""
        order = sorted(range(len(lengths)), key=lambda i: lengths[i])
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def lang_gloss(self, sentence: Sentence) -> str:
        """Raises UserError, for codes are generated without."""
        raise UserError("a generator of codes writes no LangGloss: only configs/signllm_prompt2langgloss.yaml does")

    def retrieved(self, sentence: Sentence) -> str:
        """What was found in the lexicon for a sentence, a line per sign."""
        return explained(self.generator.source.lexicon, sentence.text, sentence.language, _clip_of(sentence))

    def explain(self, sentence: Sentence) -> Explained:
        """What `produce` makes of a sentence, and of what. Raises UserError as `produce` does."""
        clip, lexicon = _clip_of(sentence), self.generator.source.lexicon
        text, language = sentence.text, canonical(sentence.language)
        self.on_one_device()
        codes = self.generator.generate([text], [language], self.search, [clip])
        (motion,) = self.decoded(codes, [language], [clip])
        signs = tuple(
            RetrievedSign(match.word, described(lexicon, match, clip), lexicon.codes(match, clip).cpu())
            for match in (lexicon.matches(text, language, clip) if lexicon.words else ())
        )
        note = "" if signs else self.retrieved(sentence)
        seconds = self.tokenizer.frames(1) / motion.fps
        return Explained(motion.to("cpu"), tuple(self.tokenizer.streams), codes[0].cpu(), seconds, signs, note)

    def save_pretrained(self, folder: Path) -> None:
        """Generator and tokenizer in one folder, which appears whole or not at all."""
        with new_folder(folder) as target:
            self.generator.save_pretrained(target)
            self.tokenizer.save_pretrained(target / "tokenizer")

    @classmethod
    def from_pretrained(
        cls, folder: Path | str, device: str = "cpu", similar: float | None = None, **settings
    ) -> SignProducer:
        """What `save_pretrained` wrote. Raises UserError when the folder holds no generator.

        folder:  or its name on the hub, as `soke.hub.model_folder` takes it
        similar: see `SignGenerator.from_pretrained`; settings: of the constructor
        """
        folder = model_folder(folder)
        generator = SignGenerator.from_pretrained(folder, similar).to(device)
        tokenizer = SignTokenizer.from_pretrained(folder / "tokenizer").to(device)
        return cls(generator, tokenizer, **settings)


def _require_pairs(what: str, items: Sequence, languages: Sequence[str]) -> None:
    """Raises UserError for one in place of a list, and for more of these than of those."""
    if isinstance(items, (str, Motion)) or isinstance(languages, str) or len(items) != len(languages):
        raise UserError(f"give a list of {what}, and a list of as many sign languages, one for each of them")


def _clip_of(sentence: Sentence) -> Clip | None:
    """The corpus's clip whose sentence it is; None for any other sentence."""
    return sentence if isinstance(sentence, Clip) else None
