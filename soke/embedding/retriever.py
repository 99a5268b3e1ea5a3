"""TextMotionRetriever: a trained retrieval model with its features and words, as it is saved, loaded and used to score."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soke import __version__, model_files
from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.clip import OF_SIGNERS, Clip, one_language
from soke.data.statistics import Statistics
from soke.embedding.files import read
from soke.embedding.model import RetrievalModel
from soke.embedding.settings import EncoderSettings, Retrieval
from soke.errors import UserError
from soke.hashing import StateHash
from soke.sharing import Shared
from soke.starting import Begun, take
from soke.text.locales import canonical
from soke.text.vocabulary import TextVocabulary
from soke.text.words import Level, text_tokens

CONFIG_FILE, KIND = "retriever.json", "retrieval model"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/retrieval.yaml --nodebug`"


class TextMotionRetriever(Shared):
    """Embeds motions and sentences of one sign language, so that those that belong together are near each other.

    model:      features of all parts in the layout's order, side by side; tokens
    layout:     which features
    level:      how sentences are cut into tokens
    texts:      vocabulary of the tokens
    language:   sign language
    fps:        frames per second of its corpus; motions of other rates are brought to it
    provenance: what it was trained on, in plain types
    """

    def __init__(
        self, model: RetrievalModel, layout: MotionLayout, level: Level, texts: TextVocabulary, language: str, fps: float,
        provenance: dict[str, Any],
    ):
        self.model, self.layout, self.level, self.texts = model, layout, level, texts
        self.language, self.fps, self.provenance = language, fps, dict(provenance)
        self._hash = StateHash()

    @classmethod
    def untrained(
        cls, clips: Sequence[Clip], layout: MotionLayout, statistics: Statistics, settings: Retrieval, level: Level,
        fps: float, annotations: Mapping[str, str] = {}, trained: TextMotionRetriever | None = None,
    ) -> TextMotionRetriever:
        """With random weights and the vocabulary of these training clips.

        statistics:  of their features
        annotations: annotation file of the clips -> its hash
        trained:     another one, of the same layout, whose words it has too where the sign language is the same

        Raises UserError for no clips, and for clips of several sign languages; ValueError for statistics of another
        layout.
        """
        if statistics.layout != layout.hash:
            raise ValueError(f"the statistics are of the layout {statistics.layout}, not of {layout.hash}")
        language = one_language(clips, KIND)
        texts = TextVocabulary.of(text_tokens(clip.text, level) for clip in clips)
        if trained is not None and (trained.language, trained.level) == (language, level):
            texts = trained.texts.with_new(texts.tokens)
        mean, std = (torch.cat([values[part] for part in layout.names]) for values in (statistics.mean, statistics.std))
        model = RetrievalModel(mean, std, len(texts), settings, settings.temperature)
        provenance = {
            "trained_on": OF_SIGNERS, "corpora": sorted({clip.corpus for clip in clips}), "language": language,
            "training_clips": len(clips), "annotations": dict(annotations), "layout_hash": layout.hash,
            "statistics_hash": statistics.hash, "form_of_frames": statistics.form, "code_version": __version__,
            **({} if trained is None else {"begun_from": trained.lineage}),
        }
        return cls(model, layout, level, texts, language, fps, provenance)

    @property
    def device(self) -> torch.device:
        return self.model.mean.device

    @property
    def form(self) -> str:
        """Name of the format of the frames that it was trained on."""
        return self.provenance["form_of_frames"]

    @property
    def hash(self) -> str:
        """12 hex digits that change with the weights and with anything else that changes an embedding."""
        return self._hash(self._config(), self.model.state_dict())

    @property
    def lineage(self) -> list[str]:
        """`hash` of it, and of those that its training began from."""
        return [self.hash, *self.provenance.get("begun_from", [])]

    @property
    def statistics(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Mean and standard deviation that its features are normalised by, {part: [D]}."""
        sizes = list(self.layout.sizes.values())
        return tuple(dict(zip(self.layout.names, v.split(sizes))) for v in (self.model.mean, self.model.std))

    def take(self, trained: TextMotionRetriever) -> Begun:
        """Gives it the weights of a trained one of the same layout, so far as they fit: of words those that both have.
        Statistics stay."""
        rows = {"text_embedding.weight": self.texts.shared(trained.texts)}
        return take(self.model, trained.model.state_dict(), rows, keeps=("mean", "std"))

    def ids(self, text: str) -> list[int]:
        """Of a sentence's tokens; a sentence without any is one unknown word."""
        return self.texts.ids(text_tokens(text, self.level)) or [self.texts.UNKNOWN]

    def features(self, motion: Motion | JointMotion) -> Tensor:
        """Motion of T frames -> [T', F] raw, at `fps`. Raises UserError when it lacks what a part of the layout needs."""
        try:
            return torch.cat(list(self.layout.features(motion.resampled(self.fps)).values()), dim=1)
        except ValueError as error:
            raise UserError(
                f"the retrieval model cannot read this motion: {error}; {HOW_TO_TRAIN} on motion of this kind"
            ) from error

    def embed_motions(self, motions: Sequence[Motion | JointMotion], batch_size: int = 32) -> Tensor:
        """[N, D] of length 1, on the CPU, in batches of similar length. Raises UserError for a motion without frames."""
        features = [self.features(motion) for motion in motions]
        if not all(map(len, features)):
            raise UserError("a motion without frames has no place among others: leave it out")
        return self._embedded(features, self.model.embed_motions, batch_size, lengths=True)

    def embed_texts(self, texts: Sequence[str], batch_size: int = 32) -> Tensor:
        """[N, D] of length 1, on the CPU. Raises UserError for an empty text."""
        for text in texts:
            if not text.strip():
                raise UserError("a text is empty: there is nothing to be found by it")
        ids = [torch.tensor(self.ids(text)) for text in texts]
        return self._embedded(ids, self.model.embed_texts, batch_size)

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration; the folder appears whole or not at all."""
        fps = dict.fromkeys(self.provenance["corpora"], self.fps)
        config = {**self._config(), "fps": fps, "provenance": self.provenance, "hash": self.hash}
        model_files.write(folder, CONFIG_FILE, config, self.model.state_dict())

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: torch.device | str = "cpu") -> TextMotionRetriever:
        """The model that `save_pretrained` wrote. Raises UserError as `soke.embedding.files.read` does.

        folder: or its name on the hub
        """
        def build(config: Mapping[str, Any], weights: dict[str, Tensor]) -> TextMotionRetriever:
            layout, texts = MotionLayout.from_list(config["layout"]), TextVocabulary(config["texts"])
            settings, blank = EncoderSettings(**config["settings"]), torch.zeros(sum(layout.sizes.values()))
            model = RetrievalModel(blank, blank, len(texts), settings)
            model.load_state_dict(weights)
            (fps,), language = set(config["fps"].values()), canonical(config["language"])
            return cls(model.eval().to(device), layout, config["level"], texts, language, fps, config["provenance"])

        return read(folder, KIND, CONFIG_FILE, HOW_TO_TRAIN, build)

    @torch.no_grad()
    def _embedded(self, items: Sequence[Tensor], embed: Any, batch_size: int, lengths: bool = False) -> Tensor:
        training = self.model.training
        self.model.eval()
        order = sorted(range(len(items)), key=lambda i: len(items[i]))
        found = torch.zeros(len(items), self.model.settings.dimension)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            padding = 0.0 if lengths else TextVocabulary.PADDING
            batch = pad_sequence([items[i] for i in rows], True, padding).to(self.device)
            more = [torch.tensor([len(items[i]) for i in rows], device=self.device)] if lengths else []
            found[rows] = embed(batch, *more).cpu()
        self.model.train(training)
        return found

    def _config(self) -> dict[str, Any]:
        """All that the weights need to become embeddings."""
        return {
            "language": self.language, "fps": self.fps, "layout": self.layout.to_list(), "level": self.level,
            "settings": {field.name: getattr(self.model.settings, field.name) for field in fields(EncoderSettings)},
            "texts": list(self.texts.tokens),
        }
