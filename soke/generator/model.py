"""SignGenerator: mBART from text to the codes of every stream, with a head each; and back, from codes to text."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from soke.data.clip import Clip
from soke.generator.decoder import StepDecoder, compiles, rows_of
from soke.generator.files import (
    MBART,
    WEIGHTS,
    load_weights,
    read_settings,
    trained_mbart,
    untrained_mbart,
    write_settings,
)
from soke.generator.heads import Heads
from soke.generator.motion_to_text import TextHead, TextOutput, written_texts
from soke.generator.retrieval import Keywords, Retriever, Signs
from soke.generator.schemes import ABSENT, IGNORE, SCHEMES, Steps
from soke.generator.search import decision, going_on
from soke.generator.settings import Search
from soke.generator.sign_vocabulary import SignVocabulary
from soke.generator.source import SourceEncoder
from soke.generator.spec import GeneratorSpec
from soke.generator.text_tokenizer import TextTokenizer, load_text_tokenizer
from soke.settings import SettingsError
from soke.storage import new_folder
from soke.tokenizer.codes import Codes

_LOOK_EVERY = 8  # steps between looks at who is done, on devices that would have to wait for the answer


@dataclass(frozen=True)
class GeneratorOutput:
    """Teacher-forced result of a batch.

    trained:   [S] cross-entropies of the streams that are learnt from, smoothed
    counts:    [S] active steps, of which these are means
    losses:    stream -> [] cross-entropy per active step, in nats
    accuracy:  stream -> [] share of active steps at which the likeliest code is the right one
    """

    trained: Tensor
    counts: Tensor
    losses: dict[str, Tensor]
    accuracy: dict[str, Tensor]

    @property
    def loss(self) -> Tensor:
        """[] mean of the streams' cross-entropies."""
        return self.trained.mean()


class SignGenerator(nn.Module):
    """mbart:           a transformers MBartModel, whose embedding table is extended by languages and codes in place
    text_tokenizer:  its text tokenizer
    signs, keywords: see `Retriever`
    """

    def __init__(
        self, spec: GeneratorSpec, mbart: nn.Module, text_tokenizer: TextTokenizer, signs: Signs,
        keywords: Keywords | None = None,
    ):
        super().__init__()
        self.spec, self.mbart, self.compile = spec, mbart, False
        sizes = list(spec.streams.values())
        settings = spec.settings
        self.scheme = SCHEMES[settings.decoding](sizes)
        prompts = len(sizes) if settings.prompts == "language_and_part" else self.scheme.rows
        self.vocabulary = SignVocabulary(len(text_tokenizer), spec.languages, spec.streams, prompts)
        if mbart.shared.num_embeddings != self.vocabulary.size:
            # cc25's table has a few rows more than its tokenizer has tokens; they are not used
            mbart.resize_token_embeddings(self.vocabulary.size, mean_resizing=False)
        text = self.vocabulary.text_size
        self.tables = {"mbart.shared.weight": {"text": text, "signs": self.vocabulary.size - text}}
        self.register_buffer("first_codes", self.vocabulary.first_codes, persistent=False)
        lexicon = Retriever(signs, settings.retrieval, keywords, streams=spec.streams, locales=spec.locales)
        self.source = SourceEncoder(
            text_tokenizer, self.vocabulary, lexicon, spec.locales, settings.max_source, settings.retrieval.form
        )
        tied = None
        if settings.heads == "tied":
            end = torch.tensor([text_tokenizer.eos_token_id])
            tied = [
                torch.cat([torch.arange(first, first + size), end])
                for first, size in zip(self.vocabulary.first_codes.tolist(), sizes)
            ]
        self.heads = Heads(spec.streams, mbart.config.d_model, tied)
        own = settings.text_head == "separate" and settings.translation > 0
        self.text_head = TextHead(mbart.shared.weight[: len(text_tokenizer)], own)
        weights = torch.tensor([1.0 if settings.fusion is None else settings.fusion[name] for name in spec.streams])
        self.register_buffer("fusion", weights, persistent=False)  # [S]
        self.register_buffer("read", self.scheme.active.any(0), persistent=False)  # [R, S] streams of each row
        steps, positions = settings.max_steps * self.scheme.period, mbart.config.max_position_embeddings
        if steps > positions:
            raise SettingsError(settings, [
                f"`max_steps` is {settings.max_steps}, which takes {steps} steps of the decoder, but this mBART has "
                f"only {positions} positions"
            ])

    @property
    def device(self) -> torch.device:
        return self.fusion.device

    def for_inference(self, weights: str = "float32", compile: bool = False) -> SignGenerator:
        """Makes this generator faster and no longer trainable.

        weights: float32 or bfloat16, half the bytes that each step reads
        compile: run decoder steps through torch.compile, with CUDA graphs on GPUs, where a first step of it succeeds
        """
        self.eval().requires_grad_(False).to(getattr(torch, weights))
        self.compile = compile and compiles(self.mbart.decoder)
        return self

    def _sources(
        self, texts: Sequence[str], languages: Sequence[str], clips: Sequence[Clip | None] | None = None,
        drop: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Encoder states [B, L, D] and their mask [B, L]."""
        source = self.source.batch(texts, languages, clips, drop)
        ids, mask, codes = (tensor.to(self.device) for tensor in (source.ids, source.mask, source.codes))
        self._check_length(ids, "a source", "lower `max_source` or `retrieval.steps`")
        inputs = self.mbart.shared(ids)
        if self.spec.settings.retrieval.form == "fused":
            inputs = torch.where((codes != ABSENT).any(-1, keepdim=True), self._inputs(codes), inputs)
        return self.mbart.encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state, mask

    def _motion_sources(self, codes: Codes, languages: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Encoder states [B, K + 2, D] of motions and their mask [B, K + 2]: a position per time step, in which the
        streams are fused as the decoder reads them, then end and language token, or those of all streams, fused."""
        lengths, values = codes.lengths.to(self.device), pad(codes.values.to(self.device), (0, 0, 0, 2))
        self._check_length(values, "a motion", "cut it into sentences, or train on shorter ones")
        end, prompts = self.source.text_tokenizer.eos_token_id, self._prompts(languages)
        after = torch.arange(values.shape[1], device=self.device) - lengths[:, None]
        fused = self._inputs(values.masked_fill((after >= 0)[..., None], ABSENT))
        tokens = torch.stack([torch.full_like(prompts[:, 0], end), prompts[:, 0]], 1)
        ending = self.mbart.shared(tokens.gather(1, after.clamp(0, 1)))
        if self.spec.settings.prompts == "language_and_part":
            language = self._fused(prompts, torch.ones_like(prompts, dtype=torch.bool))
            ending = torch.where((after == 1)[..., None], language[:, None], ending)
        mask = (after < 2).long()
        inputs = torch.where((after < 0)[..., None], fused, ending)
        return self.mbart.encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state, mask

    def _check_length(self, rows: Tensor, what: str, remedy: str) -> None:
        """Raises SettingsError for rows [B, L, ...] of more than mBART's positions."""
        length, positions = rows.shape[1], self.mbart.config.max_position_embeddings
        if length > positions:
            raise SettingsError(self.spec.settings, [
                f"{what} of {length} tokens exceeds this mBART's {positions} positions: {remedy}"
            ])

    def _inputs(self, codes: Tensor) -> Tensor:
        """Codes [..., S] with ABSENT -> fused embeddings [..., D]."""
        return self._fused(codes.clamp_min(0) + self.first_codes, codes != ABSENT)

    def _fused(self, ids: Tensor, there: Tensor) -> Tensor:
        """Ids [..., S] -> the weighted mean [..., D] of the embeddings of the streams that are there [..., S]."""
        weights = self.fusion * there
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)  # [..., S]
        return (weights[..., None] * self.mbart.shared(ids)).sum(-2)

    def _prompts(self, languages: Sequence[str]) -> Tensor:
        """[B, N] language tokens, see `SignVocabulary`."""
        ids = [self.vocabulary.language_ids(language) for language in languages]
        return torch.tensor(ids, device=self.device)

    def _start(self, languages: Sequence[str]) -> Tensor:
        """[B, R, D] what step 0 of each row reads: its language token, or those of its streams, fused (M3T)."""
        prompts = self._prompts(languages)
        if self.spec.settings.prompts == "language_and_part":
            return self._fused(prompts[:, None], self.read)
        return self.mbart.shared(prompts)

    def forward(
        self, texts: Sequence[str], languages: Sequence[str], codes: Codes, label_smoothing: float = 0.0,
        clips: Sequence[Clip | None] | None = None,
    ) -> GeneratorOutput:
        """Teacher forcing.

        codes:           of the texts' motions, padded with anything
        label_smoothing: share of the target's probability that `loss` spreads over all codes of the stream
        clips:           as `generate` takes them
        """
        steps: Steps = self.scheme.build(codes.values, codes.lengths)
        hidden = self.hidden(texts, languages, steps.inputs, clips).flatten(0, 1)  # [B * R, S, D]
        losses, smoothed, accuracy, counts = {}, [], {}, []
        for index, (stream, logits) in enumerate(self.heads(hidden, self.mbart.shared.weight).items()):
            logits, target = logits.flatten(0, -2), steps.targets[..., index].flatten()
            active = target != IGNORE  # to choose these rows would wait for the device
            counts.append(active.sum())
            losses[stream] = nn.functional.cross_entropy(logits, target, ignore_index=IGNORE)
            smoothed.append(
                nn.functional.cross_entropy(logits, target, ignore_index=IGNORE, label_smoothing=label_smoothing)
                if label_smoothing else losses[stream]
            )
            accuracy[stream] = (logits.argmax(-1) == target).sum() / counts[-1]
        return GeneratorOutput(torch.stack(smoothed), torch.stack(counts), losses, accuracy)

    def hidden(
        self, texts: Sequence[str], languages: Sequence[str], inputs: Tensor,
        clips: Sequence[Clip | None] | None = None,
    ) -> Tensor:
        """The decoder's states [N, R, S, D] when it reads given codes.

        inputs: [N, R, S, P] codes, or ABSENT, as of `Steps`; N / B rows for each of the B sentences, one after the other
        clips:  as `generate` takes them
        """
        drop = self.spec.settings.retrieval.drop if self.training else 0.0
        self._check_length(inputs[:, 0], "a motion's row of codes", "train on shorter motions")
        states, mask = self._sources(texts, languages, clips, drop)
        rows, each = self.scheme.rows, len(inputs) // len(texts)
        start = self._start(languages).repeat_interleave(each, 0)[:, :, None]
        embedded = torch.cat([start, self._inputs(inputs[:, :, 1:])], dim=2)
        states, mask = (of_source.repeat_interleave(each * rows, 0) for of_source in (states, mask))
        return self.mbart.decoder(
            inputs_embeds=embedded.flatten(0, 1), encoder_hidden_states=states, encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state.unflatten(0, (-1, rows))

    @torch.no_grad()
    def generate(
        self, texts: Sequence[str], languages: Sequence[str], search: Search = Search(),
        clips: Sequence[Clip | None] | None = None,
    ) -> list[Tensor]:
        """The codes [K, S] of each sentence, 1 <= K; a sample ends by itself when any of its heads says end.

        clips: whose sentences they are, for the signs that are retrieved, see `Retriever`; None: nobody's

        The result for a sentence does not depend on the others. Raises UserError for a sentence that is empty or all
        unknown to the text tokenizer, an unknown language, or lengths that contradict each other. Runs in evaluation
        mode, whatever the module's mode is.
        """
        return [self.scheme.revert(rows) for rows in self.outputs(texts, languages, search, clips)]

    @torch.no_grad()
    def outputs(
        self, texts: Sequence[str], languages: Sequence[str], search: Search = Search(),
        clips: Sequence[Clip | None] | None = None, samples: int = 1,
    ) -> list[Tensor]:
        """What the heads output for each sentence, [R, S, P] as `DecodingScheme.revert` takes it; else as `generate`.

        samples: how many there are for each sentence, one after the other, the seed of each one more than that before
        """
        if not texts:
            return []
        with evaluating(self):
            return self._searched(texts, languages, search, clips, samples)

    def _searched(
        self, texts: Sequence[str], languages: Sequence[str], search: Search, clips: Sequence[Clip | None] | None,
        samples: int,
    ) -> list[Tensor]:
        longest = search.longest(self.spec.settings.max_steps)
        search = replace(search, max_steps=longest)
        total = longest * self.scheme.period
        states, mask = (of.repeat_interleave(samples, 0) for of in self._sources(texts, languages, clips))
        sentences = [(search.seed + i, *pair) for pair in zip(texts, languages) for i in range(samples)]
        matrix = self.heads.matrix(self.mbart.shared.weight)
        width = self.heads.columns.shape[1]
        state = decision(search, self.scheme, sentences, width, total, self.device)
        decoder = StepDecoder(self.mbart.decoder, states, mask, state.group, total, self.compile)
        starts = self._start(languages).repeat_interleave(samples, 0)
        inputs = starts.repeat_interleave(search.hypotheses, 1).flatten(0, 1)  # [N, D]
        output: list[Tensor] = [torch.empty(0)] * len(sentences)
        alive = list(range(len(sentences)))  # which sentence each sample of the decoder is
        look = 1 if self.device.type == "cpu" else _LOOK_EVERY
        for step in range(1, total + 1):
            codes, parents = state.advance(self.heads.padded(decoder.step(inputs), matrix), step - 1)
            if parents is not None:
                decoder.reorder(parents)
            if step % look == 0 or step == total:
                done = [True] * len(alive) if step == total else state.done.tolist()
                keep = going_on(done, whole_powers=self.compile)
                if len(keep) < len(alive):
                    results = state.results(step)
                    for index in set(range(len(alive))).difference(keep):
                        output[alive[index]] = results[index]
                    alive = [alive[index] for index in keep]
                    if not alive:
                        break
                    chosen = torch.tensor(keep, device=self.device)
                    decoder.select(chosen)
                    state.keep(chosen)
                    codes = rows_of(codes, chosen, state.group)
            inputs = self._inputs(codes)
        return output

    def idle(self) -> Tensor:
        """[] zero, with gradients of zero for mBART, all of whose layers have computed."""
        state, mask = self.mbart.shared.weight[None, :1], torch.ones(1, 1, device=self.device)
        states = self.mbart.encoder(inputs_embeds=state, attention_mask=mask).last_hidden_state
        output = self.mbart.decoder(inputs_embeds=state, encoder_hidden_states=states, use_cache=False)
        return 0.0 * output.last_hidden_state.sum()

    def translation(self, codes: Codes, texts: Sequence[str], languages: Sequence[str]) -> TextOutput:
        """Teacher forcing from motion to text, M3T's auxiliary objective (section 3.3), of codes padded with anything.

        Raises UserError as `forward` does, and for a motion longer than mBART's positions.
        """
        states, mask = self._motion_sources(codes, languages)
        rows = self.source.targets(texts, languages).to(self.device)
        inputs, targets = rows[:, :-1], rows[:, 1:]
        self._check_length(inputs, "a text", "lower `max_source`")
        hidden = self.mbart.decoder(
            inputs_embeds=self.mbart.shared(inputs.clamp_min(0)), encoder_hidden_states=states,
            encoder_attention_mask=mask, use_cache=False,
        ).last_hidden_state  # [B, L, D]
        active = targets != IGNORE
        logits = self.text_head(hidden[active], self.mbart.shared.weight)
        target = targets[active]
        accuracy = (logits.argmax(-1) == target).float().mean()
        return TextOutput(nn.functional.cross_entropy(logits, target), accuracy, len(target))

    @torch.no_grad()
    def translate(
        self, codes: Sequence[Tensor], languages: Sequence[str], beams: int = 1, length_penalty: float = 1.0,
        max_tokens: int = 100,
    ) -> list[str]:
        """The sentence that each motion, codes [K, S], says; "" where K is 0.

        The result for a motion does not depend on the others. Raises UserError for a generator that was not trained to
        translate, an unknown language, and a motion longer than mBART's positions; ValueError for codes that the
        codebooks do not have, and for a search for nothing. Runs in evaluation mode, whatever the module's mode is.

        beams:          hypotheses kept per sentence, 1: greedy
        length_penalty: log-probabilities of hypotheses are divided by their length to this power
        max_tokens:     longest sentence in tokens of the text tokenizer
        """
        if not self.spec.settings.translation:
            raise SettingsError(self.spec.settings, [
                "this generator was not trained to translate: train one with `translation`=0.5"
            ])
        if not codes:
            return []
        padded = Codes.of(codes, self.device)
        given = torch.cat(padded.clips())
        if ((given < 0) | (given >= self.scheme.end.to(self.device))).any():
            raise ValueError(f"a code lies outside its codebook; the sizes are {self.spec.streams}")
        starts = [self.source.locale_id(language) for _, language in zip(codes, languages, strict=True)]
        with evaluating(self):
            states, mask = self._motion_sources(padded, languages)
            texts = written_texts(
                self.mbart, self.text_head.matrix(self.mbart.shared.weight), self.source.text_tokenizer, states, mask,
                starts, beams, length_penalty, max_tokens,
            )
        return [text if len(motion) else "" for text, motion in zip(texts, codes)]

    def save_pretrained(self, folder: Path) -> None:
        """Writes weights, settings, text tokenizer, lexicon (of each word all recordings, the one that is retrieved
        first) and lists of keywords; the folder appears whole or not at all."""
        from safetensors.torch import save_model

        with new_folder(folder) as target:
            save_model(self, str(target / WEIGHTS))
            self.mbart.config.save_pretrained(target / MBART)
            self.source.text_tokenizer.save_pretrained(target / MBART)
            lexicon = self.source.lexicon
            write_settings(target, self.spec, lexicon.recordings, lexicon.keywords)

    @classmethod
    def from_pretrained(cls, folder: Path, similar: float | None = None) -> SignGenerator:
        """similar: in place of the retrieval's `similar` that it was trained with. Raises UserError when the folder
        holds no generator, or what is in it does not belong together."""
        folder = Path(folder)
        spec, signs, keywords = read_settings(folder)
        if similar is not None:
            spec = spec.with_similar(similar)
        generator = cls(spec, untrained_mbart(folder / MBART), load_text_tokenizer(folder / MBART), signs, keywords)
        load_weights(generator, folder)
        return generator.eval()

    @classmethod
    def from_mbart(
        cls, folder: Path, spec: GeneratorSpec, signs: Signs, keywords: Keywords | None = None
    ) -> SignGenerator:
        """A generator to be trained, from a folder in mBART's format. Raises UserError when files are missing."""
        text_tokenizer = load_text_tokenizer(folder)
        return cls(spec, trained_mbart(folder, spec.settings.dropouts), text_tokenizer, signs, keywords)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, until the mode is again what it was."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
