"""The sign classifier: its size, padding, the order of its tokens, saving."""
from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from soke.errors import UserError
from soke.model_files import WEIGHTS_FILE
from soke.recognition.model import SignClassifier
from soke.recognition.recognizer import CONFIG_FILE, SignRecognizer
from soke.run.config import load_config
from tests.recognition.helpers import SIGNS, SIZES


def classifier(states: int = 24, parts: int = 3, signs: int = 4, settings=SIZES) -> SignClassifier:
    torch.manual_seed(0)
    return SignClassifier(torch.randn(parts, states), torch.rand(parts, states) + 0.5, signs, settings).eval()


def test_the_published_sizes_have_26_million_weights():
    settings = load_config("configs/recognition.yaml").recognition.classifier
    assert (settings.width, settings.layers, settings.heads) == (1024, 3, 4)
    with torch.device("meta"):
        model = SignClassifier(torch.zeros(4, 1024), torch.zeros(4, 1024), 1067, settings)
    assert 25.5e6 < sum(p.numel() for p in model.parameters()) < 26.5e6


@pytest.mark.parametrize("states", [24, 32])  # projected to the width, and of the width
@torch.no_grad()
def test_a_clip_in_a_padded_batch_is_the_clip_alone(states):
    model, lengths = classifier(states), torch.tensor([7, 1, 4])
    batch = torch.randn(3, 9, 3, states)
    scores = model(batch, lengths)
    assert scores.shape == (3, 4)
    for row, length in enumerate(lengths.tolist()):
        alone = model(batch[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(scores[row], alone[0], atol=1e-5, rtol=1e-5)
    batch[1, 1:] = 1e4
    torch.testing.assert_close(model(batch, lengths), scores, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model(batch + 1, lengths), scores, atol=1e-3)  # its own steps do matter


@torch.no_grad()
def test_tokens_are_interleaved_by_step_and_marked_by_part():
    """What the encoder reads: step by step, all parts of each, normalised, with the part's own embedding."""
    model, seen = classifier(32), []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    states = torch.randn(1, 2, 3, 32)
    model(states, torch.tensor([2]))
    (tokens,) = seen
    assert tokens.shape == (1, 6, 32)
    step = tokens.view(2, 3, 32) - ((states[0] - model.mean) / model.std) - model.parts
    torch.testing.assert_close(step[:, 0], step[:, 1], atol=1e-5, rtol=1e-5)  # one position for all parts of a step
    assert not torch.allclose(step[0], step[1])


def test_shapes_that_do_not_fit_are_refused():
    model = classifier()
    for shape in ((1, 2, 4, 24), (1, 2, 3, 25), (2, 2, 3, 24)):
        with pytest.raises(ValueError, match=r"states must be \[B, K, 3, 24\]"):
            model(torch.zeros(shape), torch.tensor([2]))


def recognizer() -> SignRecognizer:
    return SignRecognizer(classifier(), SIGNS, ["lhand", "rhand", "face"], {"tokenizer": "abc", "window": None})


def test_saved_and_loaded(tmp_path):
    made = recognizer()
    made.save_pretrained(tmp_path / "model")
    loaded = SignRecognizer.from_pretrained(tmp_path / "model")
    states, lengths = torch.randn(2, 5, 3, 24), torch.tensor([5, 2])
    assert torch.equal(loaded(states, lengths), made(states, lengths)) and not loaded.training
    assert (loaded.signs, loaded.parts, loaded.made_with) == (made.signs, made.parts, made.made_with)
    assert loaded.provenance() == made.provenance()
    assert set(load_file(tmp_path / "model" / WEIGHTS_FILE)) == set(made.classifier.state_dict())


def test_damaged_files_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no sign recognizer in .*: train one with"):
        SignRecognizer.from_pretrained(tmp_path)
    recognizer().save_pretrained(tmp_path / "model")
    (tmp_path / "model" / CONFIG_FILE).write_text("{}")
    with pytest.raises(UserError, match="cannot be read .*KeyError"):
        SignRecognizer.from_pretrained(tmp_path / "model")
