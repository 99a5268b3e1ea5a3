"""BackTranslator: motion to spoken-language text, by a model that was trained on the motion of signers."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soke import __version__
from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.clip import OF_SIGNERS, Clip, one_language
from soke.data.statistics import Statistics
from soke.data.storage.formats import SOKE_FRAMES
from soke.errors import UserError
from soke.model_files import read, write
from soke.run import processes
from soke.settings import TransformerSettings
from soke.sharing import Shared
from soke.starting import Begun, take
from soke.text.locales import ENGLISH, TEXT_LOCALE, canonical
from soke.text.words import Level, joined
from soke.translation.beam_search import beam_search
from soke.translation.model import SignTranslationModel
from soke.translation.targets import Targets

CONFIG_FILE, KIND = "translator.json", "back-translation model"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/back_translation.yaml --nodebug`"


class BackTranslator(Shared):
    """Translates motions, so that generated motion can be scored by its text (Saunders et al. 2020, M3T, SOKE).

    model:      features of all parts in the layout's order, side by side, to text
    layout:     which features
    targets:    what it writes
    language:   sign language
    provenance: what it was trained on, in plain types
    beams, alpha, max_tokens: of the search, see `beam_search` and `Hypotheses.best`
    """

    def __init__(
        self, model: SignTranslationModel, layout: MotionLayout, targets: Targets, language: str,
        provenance: dict[str, Any], beams: int = 1, alpha: float = 0.0, max_tokens: int = 100,
    ):
        self.model, self.layout, self.targets, self.language = model, layout, targets, language
        self.provenance, self.beams, self.alpha, self.max_tokens = dict(provenance), beams, alpha, max_tokens

    @classmethod
    def untrained(
        cls, clips: Sequence[Clip], layout: MotionLayout, statistics: Statistics, settings: TransformerSettings,
        locale: str, level: Level, pseudo_glosses: bool = False, max_tokens: int = 100,
        annotations: Mapping[str, str] = {}, trained: BackTranslator | None = None,
    ) -> BackTranslator:
        """With random weights and the vocabularies of these training clips.

        statistics:     of their features
        locale:         of their texts
        level:          how their texts are cut into tokens
        pseudo_glosses: whether clips without glosses get those that their text implies
        annotations:    annotation file of the clips -> its hash
        trained:        another one, of the same layout, whose vocabularies it has too where the sign language is the same

        Raises UserError for no clips, and for clips of several sign languages; ValueError for statistics of another
        layout.
        """
        if statistics.layout != layout.hash:
            raise ValueError(f"the statistics are of the layout {statistics.layout}, not of {layout.hash}")
        language = one_language(clips, KIND)
        targets, lineage = Targets.of(clips, locale, level, pseudo_glosses), {}
        if trained is not None:
            lineage = {"begun_from": trained.lineage}
            targets = targets.following(trained.targets) if trained.language == language else targets
        mean, std = (torch.cat([values[part] for part in layout.names]) for values in (statistics.mean, statistics.std))
        model = SignTranslationModel(mean, std, len(targets.texts), len(targets.glosses or ()), settings)
        provenance = {
            "trained_on": OF_SIGNERS,
            "corpora": sorted({clip.corpus for clip in clips}),
            "language": language,
            "training_clips": len(clips),
            "annotations": dict(annotations),
            "layout_hash": layout.hash,
            "statistics_hash": statistics.hash,
            "form_of_frames": statistics.form,
            "targets_hash": _hash(targets.to_dict()),
            "code_version": __version__,
            **lineage,
        }
        return cls(model, layout, targets, language, provenance, max_tokens=max_tokens)

    @property
    def device(self) -> torch.device:
        return self.model.mean.device

    @property
    def form(self) -> str:
        """Name of the format of the frames that it was trained on; models of earlier versions know no other."""
        return self.provenance.get("form_of_frames", SOKE_FRAMES.name)

    @property
    def hash(self) -> str:
        """12 hex digits that change with the weights and with anything else that changes a translation."""
        return _hash(self._config(), self.model.state_dict())

    @property
    def weights_hash(self) -> str:
        """12 hex digits of the weights alone, whatever the search is."""
        return _hash({}, self.model.state_dict())

    @property
    def statistics(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Mean and standard deviation that its features are normalised by, {part: [D]}."""
        sizes = list(self.layout.sizes.values())
        mean, std = (
            dict(zip(self.layout.names, values.split(sizes))) for values in (self.model.mean, self.model.std)
        )
        return mean, std

    @property
    def lineage(self) -> list[str]:
        """`weights_hash` of it, and of those that its training began from."""
        return [self.weights_hash, *self.provenance.get("begun_from", [])]

    def take(self, trained: BackTranslator) -> Begun:
        """Gives it the weights of a trained one of the same layout, so far as they fit: of words and glosses those that
        both have. Statistics stay."""
        texts = self.targets.texts.shared(trained.targets.texts)
        rows = {"text_embedding.weight": texts, "text_head.weight": texts}
        if self.targets.glosses is not None and trained.targets.glosses is not None:
            glosses = self.targets.glosses.shared(trained.targets.glosses)
            rows |= {"gloss_head.weight": glosses, "gloss_head.bias": glosses}
        return take(self.model, trained.model.state_dict(), rows, keeps=("mean", "std"))

    def features(self, motion: Motion | JointMotion) -> Tensor:
        """Motion of T frames -> [T, F] raw. Raises UserError when it lacks what a part of the layout needs."""
        try:
            return torch.cat(list(self.layout.features(motion).values()), dim=1)
        except ValueError as error:
            raise UserError(
                f"the back-translation model cannot read this motion: {error}; {HOW_TO_TRAIN} on motion of this kind"
            ) from error

    def translate(self, motions: Sequence[Motion | JointMotion], batch_size: int = 32) -> list[str]:
        """One sentence per motion, in batches of similar length; "" for a motion of no frames."""
        features = [self.features(motion) for motion in motions]
        (found,) = self._tokens(features, self.beams, [self.alpha], batch_size)
        return [joined(tokens, self.targets.level) for tokens in found]

    def choose_search(
        self, features: Sequence[Tensor], references: Sequence[Sequence[str]], beams: Sequence[int],
        alphas: Sequence[float], batch_size: int = 32,
    ) -> float:
        """Takes the number of beams and the alpha with the highest BLEU-4, which it returns; the first among equals.

        Every process must call it, with its share of the clips; all choose by the clips of all.

        features:   [T, F] of each validation clip
        references: their tokens
        """
        found = {}
        for count in beams:
            for alpha, tokens in zip(alphas, self._tokens(features, count, alphas, batch_size)):
                found[count, alpha] = processes.items_of_all(tokens)
        references = processes.items_of_all(references)
        scores = {pair: _bleu4(tokens, references) for pair, tokens in found.items()}
        self.beams, self.alpha = max(scores, key=scores.get)
        return scores[self.beams, self.alpha]

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration; the folder appears whole or not at all."""
        config = {**self._config(), "locale": self.targets.locale, "provenance": self.provenance, "hash": self.hash}
        write(folder, CONFIG_FILE, config, self.model.state_dict())

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: torch.device | str = "cpu") -> BackTranslator:
        """The translator that `save_pretrained` wrote.

        folder: or its name on the hub, as `soke.hub.model_folder` takes it
        Raises UserError when the files are missing, damaged or do not belong together.
        """
        def build(config: Mapping[str, Any], weights: dict[str, Tensor], path: Path) -> BackTranslator:
            layout = MotionLayout.from_list(config["layout"])
            targets = Targets.from_dict(config["targets"], _locale(config, path))
            blank, settings = torch.zeros(sum(layout.sizes.values())), TransformerSettings(**config["settings"])
            model = SignTranslationModel(blank, blank, len(targets.texts), len(targets.glosses or ()), settings)
            model.load_state_dict(weights)
            search = {name: config[name] for name in ("beams", "alpha", "max_tokens")}
            language = canonical(config["language"])
            return cls(model.eval().to(device), layout, targets, language, config["provenance"], **search)

        return read(folder, KIND, CONFIG_FILE, HOW_TO_TRAIN, build)

    @torch.no_grad()
    def _tokens(
        self, features: Sequence[Tensor], beams: int, alphas: Sequence[float], batch_size: int
    ) -> list[list[list[str]]]:
        """For every alpha, the tokens of every motion, from one search; none of a motion of no frames."""
        training = self.model.training
        self.model.eval()
        order = sorted((i for i, frames in enumerate(features) if len(frames)), key=lambda i: len(features[i]))
        found: list[list[list[str]]] = [[[] for _ in features] for _ in alphas]
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            lengths = torch.tensor([len(features[i]) for i in rows], device=self.device)
            batch = pad_sequence([features[i].to(self.device) for i in rows], batch_first=True)
            hypotheses = beam_search(self.model, self.model.encode(batch, lengths), beams, self.max_tokens)
            for by_motion, alpha in zip(found, alphas):
                for row, ids in zip(rows, hypotheses.best(alpha)):
                    by_motion[row] = self.targets.texts.tokens_of(ids)
        self.model.train(training)
        return found

    def _config(self) -> dict[str, Any]:
        """All that the weights need to become translations."""
        return {
            "language": self.language,
            "layout": self.layout.to_list(),
            "settings": {field.name: getattr(self.model.settings, field.name) for field in fields(TransformerSettings)},
            "beams": self.beams,
            "alpha": self.alpha,
            "max_tokens": self.max_tokens,
            "targets": self.targets.to_dict(),
        }


def _locale(config: Mapping[str, Any], path: Path) -> str:
    """Raises UserError where `config` has none, as those of older models, and nor has `TEXT_LOCALE`."""
    locale = config.get("locale") or TEXT_LOCALE.get(canonical(config["language"]))
    if locale is None:
        raise UserError(
            f"{path}: it is not known in which language the texts of {config['language']} are written: add its "
            f'"locale", "{ENGLISH}" for English'
        )
    return locale


def _bleu4(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """As soke.metrics.text_scores.BLEU has it, but of tokens, and of this process alone."""
    import sacrebleu

    found, right = ([" ".join(tokens) for tokens in sentences] for sentences in (hypotheses, references))
    return sacrebleu.corpus_bleu(
        found, [right], tokenize="none", smooth_method="none", force=True, use_effective_order=True
    ).score


def _hash(config: dict[str, Any], weights: dict[str, Tensor] | None = None) -> str:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, value in sorted((weights or {}).items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
