"""SignRecognizer: a trained classifier with the signs that it knows, as it is saved and loaded."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import soke
from soke.data.fingerprints import digest
from soke.data.labels import SignLabel
from soke.errors import UserError
from soke.hub import model_folder
from soke.recognition.model import SignClassifier
from soke.recognition.settings import ClassifierSettings
from soke.saved import FORMAT, check_format, require
from soke.settings import SettingsError
from soke.sharing import Shared
from soke.starting import Begun, take
from soke.storage import new_folder

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "recognizer.json"
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
            "format": FORMAT,
            "settings": asdict(self.classifier.settings),
            "parts": list(self.parts),
            "made_with": self.made_with,
            "signs": [asdict(sign) for sign in self.signs],
        }
        with new_folder(folder) as target:
            save_file({n: v.cpu().contiguous() for n, v in self.classifier.state_dict().items()}, target / WEIGHTS_FILE)
            text = json.dumps(config, indent=2, ensure_ascii=False)
            (target / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> SignRecognizer:
        """What `save_pretrained` wrote, in evaluation mode on the CPU. Raises UserError when files are missing or
        damaged.

        folder: or its name on the hub, as `soke.hub.model_folder` takes it
        """
        folder = model_folder(folder)
        require(folder, "sign recognizer", (CONFIG_FILE, WEIGHTS_FILE), HOW_TO_TRAIN)
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            check_format(config, folder / CONFIG_FILE)
            settings = ClassifierSettings(**{f.name: config["settings"][f.name] for f in fields(ClassifierSettings)})
            signs = [SignLabel(**sign) for sign in config["signs"]]
            weights = load_file(folder / WEIGHTS_FILE)
            blank = torch.zeros_like(weights["mean"])
            classifier = SignClassifier(blank, blank, len(signs), settings)
            classifier.load_state_dict(weights)
            return cls(classifier, signs, config["parts"], config["made_with"]).eval()
        except (
            AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError, SettingsError,
        ) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(f"the sign recognizer in {folder} cannot be read ({reason}): {HOW_TO_TRAIN}") from error
