"""Training of the generator: in training mode, on its own tokenizer's codes only."""
from __future__ import annotations

import pytest
import torch

from soke.errors import UserError
from soke.generator.module import GeneratorModule
from soke.generator.producer import SignProducer, Typed
from soke.training import OptimSettings

from ..tokenizer.helpers import small_tokenizer
from .conftest import make_generator


@pytest.fixture
def tokenizer():
    return small_tokenizer().eval()


def matching(tokenizer, **changes):
    return make_generator(codebooks=tokenizer.codebook_sizes, tokenizer_hash=tokenizer.hash, **changes)


def test_a_loaded_generator_is_trained_with_dropout(tokenizer):
    generator = matching(tokenizer).eval()
    module = GeneratorModule(generator, tokenizer, OptimSettings(epochs=1))
    assert all(m.training for m in module.modules())
    assert not any(name.startswith("_producer") for name in module.state_dict())


def test_another_tokenizer_is_refused(tokenizer):
    with pytest.raises(UserError, match=f"tokenizer 0123456789ab, but the tokenizer given is {tokenizer.hash}"):
        GeneratorModule(make_generator(), tokenizer, OptimSettings(epochs=1))


def test_checkpoint_of_another_tokenizer_is_refused(tokenizer):
    module = GeneratorModule(matching(tokenizer), tokenizer, OptimSettings(epochs=1))
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    checkpoint["soke"]["tokenizer_hash"] = "another"
    with pytest.raises(UserError, match=f"another, the run uses tokenizer {tokenizer.hash}"):
        module.on_load_checkpoint(checkpoint)


def test_producer_keeps_the_order_and_survives_saving(tokenizer, tmp_path):
    producer = SignProducer(matching(tokenizer), tokenizer, batch_size=2)
    sentences = [Typed("snow and rain tomorrow", "ASL"), Typed("sun", "ASL"), Typed("morgen regen", "DGS")]
    motions = producer.produce(sentences)
    assert [m.fps for m in motions] == [24.0, 24.0, 25.0]
    producer.save_pretrained(tmp_path / "model")
    loaded = SignProducer.from_pretrained(tmp_path / "model")
    for sentence, motion in zip(sentences, motions):
        (alone,) = loaded.produce([sentence])
        torch.testing.assert_close(alone.rotations, motion.rotations, atol=1e-5, rtol=0)
        assert len(motion) % tokenizer.downsample == 0 and len(motion) > 0
