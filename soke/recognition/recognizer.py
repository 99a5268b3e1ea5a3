"""SignRecognizer: a trained classifier with the signs that it knows, as it is saved and loaded."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import soke
from soke.data.fingerprints import digest
from soke.data.labels import SignLabel
from soke.model_files import read, write
from soke.recognition.model import SignClassifier
from soke.recognition.settings import ClassifierSettings
from soke.sharing import Shared
from soke.starting import Begun, take

CONFIG_FILE = "recognizer.json"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/recognition.yaml --nodebug`"


class SignRecognizer(Shared, nn.Module):
    """Which sign a clip shows, from the states of a tokenizer's encoders.

    classifier: gives scores of the signs
    signs:      C labels, in the order of the scores
    parts:      the tokenizer's parts that it reads
    made_with:  what the states must be made with, and what it was trained on, in plain types; `tokenizer` is its hash
    """

    def __init__(
        self, classifier: SignClassifier, signs: Sequence[SignLabel], parts: Sequence[str], made_with: dict[str, Any]
    ):
        super().__init__()
        self.classifier, self.signs, self.parts, self.made_with = classifier, tuple(signs), tuple(parts), made_with
        self.index = {sign.number: i for i, sign in enumerate(self.signs)}

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """As of `SignClassifier`."""
        return self.classifier(states, lengths)

    def take(self, trained: SignRecognizer) -> Begun:
        """Gives it the weights of a trained one so far as they fit, with the statistics of the parts that both read; those
        of the signs that both know where these are of one corpus, as labels of others may mean other signs."""
        ours, theirs = self.classifier, trained.classifier
        same = self.made_with.get("corpus") == trained.made_with.get("corpus")
        known = [sign for sign in self.signs if same and sign in trained.signs]
        signs = [self.signs.index(sign) for sign in known], [trained.signs.index(sign) for sign in known]
        both = [part for part in self.parts if part in trained.parts]
        parts = [self.parts.index(part) for part in both], [trained.parts.index(part) for part in both]
        last = f"head.{len(ours.head) - 1}"
        rows = {f"{last}.{kind}": signs for kind in ("weight", "bias")} | dict.fromkeys(("mean", "std", "parts"), parts)
        return take(ours, theirs.state_dict(), rows)

    def provenance(self) -> dict[str, Any]:
        """What the model is made of, in plain types."""
        return {
            **self.made_with, "parts": list(self.parts), "signs": len(self.signs),
            "signs_hash": digest([asdict(sign) for sign in self.signs]),
        }

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration; the folder appears whole or not at all."""
        config = {
            "code_version": soke.__version__,
            "settings": asdict(self.classifier.settings),
            "parts": list(self.parts),
            "made_with": self.made_with,
            "signs": [asdict(sign) for sign in self.signs],
        }
        write(folder, CONFIG_FILE, config, self.classifier.state_dict())

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> SignRecognizer:
        """What `save_pretrained` wrote, in evaluation mode on the CPU. Raises UserError when files are missing or
        damaged.

        folder: or its name on the hub, as `soke.hub.model_folder` takes it
        """
        def build(config: Mapping[str, Any], weights: dict[str, Tensor], path: Path) -> SignRecognizer:
            settings = ClassifierSettings(**{f.name: config["settings"][f.name] for f in fields(ClassifierSettings)})
            signs, blank = [SignLabel(**sign) for sign in config["signs"]], torch.zeros_like(weights["mean"])
            classifier = SignClassifier(blank, blank, len(signs), settings)
            classifier.load_state_dict(weights)
            return cls(classifier, signs, config["parts"], config["made_with"]).eval()

        return read(folder, "sign recognizer", CONFIG_FILE, HOW_TO_TRAIN, build, hashed=False)
