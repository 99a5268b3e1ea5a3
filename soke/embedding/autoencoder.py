"""MotionAutoencoder: a trained auto-encoder of chunks of joints, whose latents Fréchet distances are taken over."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soke import __version__, model_files
from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.body.posed import JointSet, Posed
from soke.data.clip import OF_SIGNERS
from soke.embedding.files import read
from soke.embedding.model import ChunkAutoencoder
from soke.embedding.settings import MotionAutoencoderSettings
from soke.hashing import StateHash
from soke.metrics.chunks import chunks_of, joints_of
from soke.metrics.joint_sets import Track
from soke.sharing import Shared
from soke.starting import Begun, take

CONFIG_FILE, KIND = "motion_autoencoder.json", "motion auto-encoder"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/motion_autoencoder.yaml --nodebug`"


@dataclass(frozen=True)
class Seen:
    """Which joints an auto-encoder sees, and what moves them.

    body:   label of the body model
    unit:   of its joints
    joints: point set -> its joints
    covers: joints that a layout does not leave at rest
    """

    body: str
    unit: str
    joints: dict[str, JointSet]
    covers: tuple[str, ...]

    @classmethod
    def of(cls, body: Posed, layout: MotionLayout) -> Seen:
        covers = layout.covers - {"expression", "eyelids"}
        return cls(body.label, body.unit, dict(body.point_sets), tuple(sorted(covers)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Seen:
        """What `asdict` gave, also after JSON has made lists of tuples."""
        joints = {n: JointSet(of["part"], of["total"], tuple(of["scored"])) for n, of in values["joints"].items()}
        return cls(values["body"], values["unit"], joints, tuple(values["covers"]))

    @property
    def count(self) -> int:
        """J scored joints."""
        return sum(len(of_set.scored) for of_set in self.joints.values())


class MotionAutoencoder(Shared):
    """Encodes chunks of motion.

    model:      of the coordinates of all scored joints, each relative to its set's root
    seen:       which joints
    provenance: what it was trained on, in plain types
    """

    def __init__(self, model: ChunkAutoencoder, seen: Seen, provenance: Mapping[str, Any]):
        self.model, self.seen, self.provenance = model, seen, dict(provenance)
        self._hash = StateHash()

    @classmethod
    def untrained(
        cls, seen: Seen, mean: Tensor, std: Tensor, settings: MotionAutoencoderSettings, data: Mapping[str, Any],
        trained: MotionAutoencoder | None = None,
    ) -> MotionAutoencoder:
        """With random weights.

        mean, std: [J * 3] of the training frames' coordinates
        data:      what it is to be trained on, for its provenance
        trained:   another one, from which its training begins
        """
        begun = {} if trained is None else {"begun_from": trained.lineage}
        provenance = {"trained_on": OF_SIGNERS, **data, "body": seen.body, "code_version": __version__, **begun}
        return cls(ChunkAutoencoder(mean, std, settings), seen, provenance)

    @property
    def settings(self) -> MotionAutoencoderSettings:
        return self.model.settings

    @property
    def chunk(self) -> int:
        """Frames that are one latent."""
        return self.settings.chunk

    @property
    def fps(self) -> float:
        """Frames per second of the chunks."""
        return self.settings.fps

    @property
    def form(self) -> str:
        """Name of the format of the frames that it was trained on."""
        return self.provenance["form_of_frames"]

    @property
    def hash(self) -> str:
        """12 hex digits that change with the weights and with anything else that changes a latent."""
        return self._hash(self._config(), self.model.state_dict())

    @property
    def lineage(self) -> list[str]:
        """`hash` of it, and of those that its training began from."""
        return [self.hash, *self.provenance.get("begun_from", [])]

    def take(self, trained: MotionAutoencoder) -> Begun:
        """Gives it the weights of a trained one, so far as they fit. Statistics stay."""
        return take(self.model, trained.model.state_dict(), keeps=("mean", "std"))

    def chunks(self, body: Posed, motion: Motion | JointMotion) -> Tensor:
        """[N, chunk, J * 3] of a motion, on the body's device; none of one that is shorter than a chunk."""
        track = Track(body.track(motion, list(self.seen.joints)), motion.fps)
        return chunks_of(joints_of(track, self.seen.joints, self.fps), self.chunk).flatten(2)

    @torch.no_grad()
    def encode(self, chunks: Tensor) -> np.ndarray:
        """[N, chunk, J, 3] or [N, chunk, J * 3] -> [N, D] float64, each as if it were alone but for the last digits"""
        training = self.model.training
        self.model.eval()
        latents = self.model.encode(chunks.flatten(2).to(self.model.mean)).double().cpu().numpy()
        self.model.train(training)
        return latents

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration; the folder appears whole or not at all."""
        config = {**self._config(), "provenance": self.provenance, "hash": self.hash}
        model_files.write(folder, CONFIG_FILE, config, self.model.state_dict())

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: torch.device | str = "cpu") -> MotionAutoencoder:
        """The model that `save_pretrained` wrote. Raises UserError as `soke.embedding.files.read` does.

        folder: or its name on the hub
        """
        def build(config: Mapping[str, Any], weights: dict[str, Tensor]) -> MotionAutoencoder:
            seen, settings = Seen.from_dict(config["seen"]), MotionAutoencoderSettings(**config["settings"])
            blank = torch.zeros(3 * seen.count)
            model = ChunkAutoencoder(blank, blank, settings)
            model.load_state_dict(weights)
            return cls(model.eval().to(device), seen, config["provenance"])

        return read(folder, KIND, CONFIG_FILE, HOW_TO_TRAIN, build)

    def _config(self) -> dict[str, Any]:
        """All that the weights need to become latents."""
        return {"seen": asdict(self.seen), "settings": asdict(self.settings)}
