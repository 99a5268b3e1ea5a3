"""SignGenerator: mBART from text to the codes of every part, with a head per part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

import torch
from torch import Tensor, nn

from soke import __version__
from soke.errors import UserError
from soke.generator.retrieval import Lexicon
from soke.generator.schemes import ABSENT, IGNORE, SCHEMES, Steps
from soke.generator.source import SourceEncoder, load_pieces
from soke.generator.vocabulary import SignVocabulary
from soke.storage import new_folder


@dataclass(frozen=True)
class GeneratorOutput:
    """Teacher-forced result of a batch.

    loss:      [] mean of the parts' cross-entropies
    losses:    part -> [] cross-entropy per asked step, in nats
    accuracy:  part -> [] share of asked steps at which the likeliest code is the right one
    """

    loss: Tensor
    losses: dict[str, Tensor]
    accuracy: dict[str, Tensor]


@dataclass(frozen=True)
class GeneratorSpec:
    """What rebuilds a generator besides its weights; plain types only.

    languages:      sign languages
    codebooks:      part -> number of codes
    tokenizer_hash: of the SignTokenizer whose codes it speaks
    fps:            sign language -> frames per second of its motions
    decoding:       name in SCHEMES
    fusion:         part -> weight in the decoder's input; None: equal
    max_steps:      longest output in decoder steps
    max_pieces:     longest text in pieces
    retrieval_words, retrieval_steps, retrieval_match: see Lexicon
    """

    languages: list[str]
    codebooks: dict[str, int]
    tokenizer_hash: str
    fps: dict[str, float]
    decoding: str = "multi_head"
    fusion: dict[str, float] | None = None
    max_steps: int = 100
    max_pieces: int = 256
    retrieval_words: int = 3
    retrieval_steps: int = 10
    retrieval_match: str = "token"


class SignGenerator(nn.Module):
    """mbart: a transformers MBartModel, whose embedding table is extended by languages and codes in place
    pieces: its text tokenizer
    signs:  sign language -> word -> codes [K, P] of isolated signs
    """

    def __init__(self, spec: GeneratorSpec, mbart: nn.Module, pieces, signs: Mapping[str, Mapping[str, Tensor]]):
        super().__init__()
        self.spec, self.mbart = spec, mbart
        self.vocabulary = SignVocabulary(len(pieces), spec.languages, spec.codebooks)
        if mbart.shared.num_embeddings != self.vocabulary.size:
            # cc25's table has a few rows more than its tokenizer has pieces; they are not used
            mbart.resize_token_embeddings(self.vocabulary.size, mean_resizing=False)
        self._signs = signs
        lexicon = Lexicon(signs, spec.retrieval_words, spec.retrieval_steps, spec.retrieval_match)
        self.source = SourceEncoder(pieces, self.vocabulary, lexicon, spec.max_pieces)
        self.scheme = SCHEMES[spec.decoding](list(spec.codebooks.values()))
        width = mbart.config.d_model
        self.heads = nn.ModuleDict({part: nn.Linear(width, size + 1) for part, size in spec.codebooks.items()})
        weights = torch.tensor([1.0 if spec.fusion is None else spec.fusion[part] for part in spec.codebooks])
        self.register_buffer("fusion", weights, persistent=False)  # [P]
        positions = mbart.config.max_position_embeddings
        if spec.max_steps > positions:
            raise UserError(f"GENERATOR.MAX_STEPS is {spec.max_steps}, but this mBART has only {positions} positions")

    @property
    def device(self) -> torch.device:
        return self.fusion.device

    def _sources(self, texts: Sequence[str], languages: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Encoder states [B, L, D] and their mask [B, L]."""
        ids, mask = (tensor.to(self.device) for tensor in self.source.batch(texts, languages))
        if ids.shape[1] > self.mbart.config.max_position_embeddings:
            raise UserError(
                f"a source of {ids.shape[1]} tokens exceeds this mBART's {self.mbart.config.max_position_embeddings} "
                "positions: lower GENERATOR.MAX_SOURCE or GENERATOR.RETRIEVAL.STEPS"
            )
        return self.mbart.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask

    def _inputs(self, codes: Tensor) -> Tensor:
        """Codes [B, S, P] with ABSENT -> fused embeddings [B, S, D]: the weighted mean of the parts that are there."""
        there = codes != ABSENT
        weights = self.fusion * there
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)  # [B, S, P]
        embedded = self.mbart.shared(self.vocabulary.code_ids(codes.clamp_min(0)))  # [B, S, P, D]
        return (weights[..., None] * embedded).sum(2)

    def _start(self, languages: Sequence[str]) -> Tensor:
        """[B, 1, D] the embedded language token that step 0 reads."""
        ids = torch.tensor([[self.vocabulary.language_id(language)] for language in languages], device=self.device)
        return self.mbart.shared(ids)

    def forward(
        self, texts: Sequence[str], languages: Sequence[str], codes: Tensor, lengths: Tensor
    ) -> GeneratorOutput:
        """Teacher forcing. codes [B, K, P], padded with anything beyond lengths [B]."""
        states, mask = self._sources(texts, languages)
        steps: Steps = self.scheme.build(codes, lengths)
        inputs = torch.cat([self._start(languages), self._inputs(steps.inputs[:, 1:])], dim=1)
        hidden = self.mbart.decoder(
            inputs_embeds=inputs, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
        losses, accuracy = {}, {}
        for index, (part, head) in enumerate(self.heads.items()):
            target = steps.targets[..., index]
            logits = head(hidden)
            losses[part] = nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), target.flatten(), ignore_index=IGNORE
            )
            asked = target != IGNORE
            accuracy[part] = ((logits.argmax(-1) == target) & asked).sum() / asked.sum()
        return GeneratorOutput(torch.stack(list(losses.values())).mean(), losses, accuracy)

    @torch.no_grad()
    def generate(self, texts: Sequence[str], languages: Sequence[str]) -> list[Tensor]:
        """Greedy. The codes [K, P] of each sentence, 1 <= K; a sample ends by itself when any of its heads says end.

        The result for a sentence does not depend on the others. Raises UserError for an empty sentence or an
        unknown language. Runs in evaluation mode, whatever the module's mode is.
        """
        training = self.training
        self.eval()
        try:
            return self._generate(texts, languages)
        finally:
            self.train(training)

    def _generate(self, texts: Sequence[str], languages: Sequence[str]) -> list[Tensor]:
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache

        if not texts:
            return []
        states, mask = self._sources(texts, languages)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        end = self.scheme.end.to(self.device)
        said = torch.full((len(texts), self.spec.max_steps, len(end)), ABSENT, device=self.device)
        alive = torch.arange(len(texts), device=self.device)
        steps = torch.full((len(texts),), self.spec.max_steps, device=self.device)
        inputs = self._start(languages)
        for step in range(self.spec.max_steps):
            hidden = self.mbart.decoder(
                inputs_embeds=inputs, encoder_hidden_states=states, encoder_attention_mask=mask,
                past_key_values=cache, use_cache=True,
            ).last_hidden_state[:, -1]  # fmt: skip
            asked = self.scheme.asked(step).to(self.device)
            logits = [head(hidden) for head in self.heads.values()]
            if step == 0:  # every sentence has at least one sign
                logits = [row[:, :-1] for row in logits]
            choice = torch.stack([row.argmax(-1) for row in logits], dim=1)  # [alive, P]
            choice = torch.where(asked, choice, ABSENT)
            said[alive, step] = choice
            ended = (choice == end).any(dim=1)
            if ended.any():
                steps[alive[ended]] = step + 1
                keep = (~ended).nonzero().squeeze(1)
                if not len(keep):
                    break
                alive, states, mask, choice = alive[keep], states[keep], mask[keep], choice[keep]
                cache.batch_select_indices(keep)
            inputs = self._inputs(choice[:, None])
        return [self.scheme.revert(row[:count]) for row, count in zip(said, steps.tolist())]

    def save_pretrained(self, folder: Path) -> None:
        """Writes weights, settings, text tokenizer and lexicon; the folder appears whole or not at all."""
        from safetensors.torch import save_model

        with new_folder(folder) as target:
            save_model(self, str(target / "model.safetensors"))
            self.mbart.config.save_pretrained(target / "mbart")
            self.source.pieces.save_pretrained(target / "mbart")
            signs = {
                language: {word: codes.tolist() for word, codes in entries.items()}
                for language, entries in self._signs.items()
            }
            (target / "lexicon.json").write_text(json.dumps(signs, ensure_ascii=False), encoding="utf-8")
            settings = {"version": __version__, "spec": self.spec.__dict__}
            (target / "generator.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path) -> SignGenerator:
        """Raises UserError when the folder holds no generator."""
        from safetensors.torch import load_model
        from transformers import MBartConfig, MBartModel

        folder = Path(folder)
        if not (folder / "generator.json").is_file():
            raise UserError(
                f"no generator in {folder}: train one with `python -m train --cfg configs/soke.yaml --nodebug`"
            )
        spec = GeneratorSpec(**json.loads((folder / "generator.json").read_text(encoding="utf-8"))["spec"])
        lexicon = json.loads((folder / "lexicon.json").read_text(encoding="utf-8"))
        signs = {language: {w: torch.tensor(c) for w, c in entries.items()} for language, entries in lexicon.items()}
        mbart = MBartModel(MBartConfig.from_pretrained(folder / "mbart"))
        generator = cls(spec, mbart, load_pieces(folder / "mbart"), signs)
        load_model(generator, str(folder / "model.safetensors"))
        return generator.eval()

    @classmethod
    def from_mbart(cls, folder: Path, spec: GeneratorSpec, signs: Mapping[str, Mapping[str, Tensor]]) -> SignGenerator:
        """A generator to be trained, from a folder in mBART's format. Raises UserError when files are missing."""
        from safetensors import SafetensorError
        from transformers import MBartModel, logging

        pieces = load_pieces(folder)
        logging.set_verbosity_error()  # it reports at length that a model without a text head has no text head
        try:
            mbart, report = MBartModel.from_pretrained(str(folder), local_files_only=True, output_loading_info=True)
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"the model weights in {folder} cannot be read: {str(error).splitlines()[0]}") from None
        missing = report["missing_keys"]
        if missing:
            raise UserError(f"{folder} lacks {len(missing)} of mBART's weights, {min(missing)} among them")
        return cls(spec, mbart, pieces, signs)
