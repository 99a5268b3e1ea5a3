"""A small model of every kind that travels, and what it outputs: for who has made it, and for who has fetched it."""
from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import torch

from soke.embedding import MotionAutoencoder, TextMotionRetriever
from soke.evaluation.protocols import Typed
from soke.generator.producer import SignProducer
from soke.recognition.recognizer import SignRecognizer
from soke.regressor.regressor import PoseRegressor
from soke.tokenizer.tokenizer import SignTokenizer
from soke.translation.translator import BackTranslator
from tests.embedding.helpers import BODY, autoencoder, moving, retriever
from tests.embedding.helpers import samples as pairs
from tests.generator.helpers import make_generator
from tests.recognition.helpers import SIGNS
from tests.recognition.test_model import classifier
from tests.regressor.helpers import SENTENCES, regressor
from tests.tokenizer.helpers import random_features, small_tokenizer
from tests.translation.helpers import samples, translator


def make_producer() -> SignProducer:
    tokenizer = small_tokenizer(num_codes={"body": 7, "lhand": 11, "rhand": 5})
    return SignProducer(make_generator(tokenizer_hash=tokenizer.hash), tokenizer)


MAKERS: dict[str, Callable[[], Any]] = {
    "tokenizer": small_tokenizer, "generator": make_producer,
    "regressor": lambda: regressor(groups="per_language"), "reader": lambda: translator(samples()),
    "recognizer": lambda: SignRecognizer(classifier(), SIGNS, ("body", "rhand", "face"), {"tokenizer": "0123"}),
    "retriever": lambda: retriever(pairs(6)), "motion_autoencoder": autoencoder,
}
CLASSES = {
    "tokenizer": SignTokenizer, "generator": SignProducer, "regressor": PoseRegressor, "reader": BackTranslator,
    "recognizer": SignRecognizer, "retriever": TextMotionRetriever, "motion_autoencoder": MotionAutoencoder,
}


def _of_tokenizer(model: SignTokenizer) -> list[Any]:
    features, lengths = random_features([13, 24])
    codes = model.encode(features, lengths)
    return [model.hash, codes.values, *model.decode(codes).values()]


def _of_generator(model: SignProducer) -> list[Any]:
    made = model.generate(["rain tomorrow", "morgen regen"], ["ASL", "DGS"])
    return [model.tokenizer.hash, *(tensor for motion in made for tensor in (motion.rotations, motion.expression))]


def _of_regressor(model: PoseRegressor) -> list[Any]:
    made = model.generate([Typed(*sentence) for sentence in SENTENCES], 6)
    return [model.hash, *(tensor for features in made.features for tensor in features.values())]


def _of_reader(model: BackTranslator) -> list[Any]:
    return [model.hash, *model.translate([item.motion for item in samples()])]


def _of_recognizer(model: SignRecognizer) -> list[Any]:
    states = torch.randn(2, 5, 3, 24, generator=torch.Generator().manual_seed(3))
    return [json.dumps(model.provenance(), sort_keys=True), model(states, torch.tensor([5, 3]))]


def _of_retriever(model: TextMotionRetriever) -> list[Any]:
    items = pairs(6)
    return [model.hash, model.embed_motions([i.motion for i in items]), model.embed_texts([i.clip.text for i in items])]


def _of_autoencoder(model: MotionAutoencoder) -> list[Any]:
    return [model.hash, torch.from_numpy(model.encode(model.chunks(BODY, moving(1, 33).motion)))]


_OUTPUTS: dict[str, Callable[[Any], list[Any]]] = {
    "tokenizer": _of_tokenizer, "generator": _of_generator, "regressor": _of_regressor, "reader": _of_reader,
    "recognizer": _of_recognizer, "retriever": _of_retriever, "motion_autoencoder": _of_autoencoder,
}


@torch.no_grad()
def fingerprint(kind: str, model: Any) -> str:
    """Changes with any bit of what the model outputs, and with its hash."""
    torch.set_num_threads(1)
    digest = hashlib.sha256()
    for value in _OUTPUTS[kind](model):
        digest.update(value.contiguous().numpy().tobytes() if isinstance(value, torch.Tensor) else value.encode())
    return digest.hexdigest()


def main(names: dict[str, str]) -> None:
    """Prints the fingerprint of each kind's model, which is fetched by its name."""
    print(json.dumps({kind: fingerprint(kind, CLASSES[kind].from_pretrained(name)) for kind, name in names.items()}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
