"""The translation model: masked normalisation, layers against torch's, losses against torch's, padding, caching."""
from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from soke.errors import UserError
from soke.settings import TransformerSettings
from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.transformer import DecoderLayer, EncoderLayer, sinusoids
from soke.translation.model import MaskedBatchNorm
from tests.translation.helpers import FEATURES, random_clips, random_model

LENGTHS = [7, 12, 9]
TEXT = torch.tensor([[2, 4, 5, 6, 3], [2, 7, 3, 1, 1], [2, 8, 8, 3, 1]])
GLOSSES = torch.tensor([[3, 4, 4], [5, 2, 2], [6, 3, 2]])
COUNTS = torch.tensor([3, 1, 2])


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return pad_sequence(random_clips(LENGTHS), batch_first=True), torch.tensor(LENGTHS)


def test_masked_normalisation_is_that_of_the_valid_frames_alone():
    torch.manual_seed(0)
    masked, plain = MaskedBatchNorm(5), nn.BatchNorm1d(5)
    for _ in range(3):
        x = torch.randn(3, 6, 5) * 2 + 1
        mask = torch.arange(6) < torch.tensor([6, 2, 4])[:, None]
        found = masked(x.masked_fill(~mask[..., None], 1e6), mask)
        torch.testing.assert_close(found[mask], plain(torch.cat([x[0], x[1, :2], x[2, :4]])))
        assert not found[~mask].any()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(masked.state_dict()[name], value)
    torch.testing.assert_close(masked.eval()(x, mask)[mask], plain.eval()(x[mask]))


def copied(ours, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


@torch.no_grad()
def test_an_infinite_batch_leaves_the_running_statistics_as_they_are():
    """But for the features that are finite; the batch's own result is not hidden."""
    norm, other = MaskedBatchNorm(3), MaskedBatchNorm(3)
    x, mask = torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)
    other(x, mask)
    x[1, 2, 0] = torch.inf
    assert not norm(x, mask)[..., 0].isfinite().any()
    assert norm.running_mean[0] == 0 and norm.running_var[0] == 1
    torch.testing.assert_close(norm.running_mean[1:], other.running_mean[1:])
    torch.testing.assert_close(norm.running_var[1:], other.running_var[1:])
    x = torch.randn(2, 5, 3, requires_grad=True)
    with torch.enable_grad():
        norm(norm(x, mask), mask).pow(3).sum().backward()  # used twice before the gradient is asked for
    assert x.grad.isfinite().all()


@torch.no_grad()
def test_layers_are_torch_s():
    torch.manual_seed(0)
    settings = TransformerSettings(width=16, layers=1, heads=4, feedforward=24, dropout=0.0)
    options = dict(dropout=0.0, layer_norm_eps=1e-6, batch_first=True, norm_first=True)
    encoder, decoder = EncoderLayer(settings), DecoderLayer(settings)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        parameter.normal_(std=0.3)
    reference = nn.TransformerEncoderLayer(16, 4, 24, **options), nn.TransformerDecoderLayer(16, 4, 24, **options)
    for ours, theirs, norms in zip((encoder, decoder), reference, ([], [("norm2", "cross_norm")])):
        copied(ours.attention, theirs.self_attn)
        last = "norm3" if norms else "norm2"
        for name, own in [("norm1", "attention_norm"), *norms, (last, "feedforward_norm")]:
            getattr(theirs, name).load_state_dict(getattr(ours, own).state_dict())
        theirs.linear1.load_state_dict(ours.feedforward[0].state_dict())
        theirs.linear2.load_state_dict(ours.feedforward[3].state_dict())
    copied(decoder.cross_attention, reference[1].multihead_attn)

    x, states = torch.randn(2, 6, 16), torch.randn(2, 9, 16)
    mask = torch.arange(6) < torch.tensor([6, 4])[:, None]
    torch.testing.assert_close(
        encoder(x, mask[:, None, None])[mask], reference[0].train()(x, src_key_padding_mask=~mask)[mask]
    )
    memory_mask = torch.arange(9) < torch.tensor([3, 9])[:, None]
    found, _ = decoder(x, decoder.cross_attention.keys_values(states), memory_mask[:, None, None], None)
    causal = nn.Transformer.generate_square_subsequent_mask(6)
    torch.testing.assert_close(
        found, reference[1](x, states, tgt_mask=causal, memory_key_padding_mask=~memory_mask), atol=1e-5, rtol=1e-5
    )


def test_positions_are_sines_and_cosines_in_turn():
    found = sinusoids(torch.tensor([0, 1, 250]), 6)
    for row, position in zip(found, (0, 1, 250)):
        angles = torch.tensor([position / 10000 ** (i / 6) for i in (0, 2, 4)])
        torch.testing.assert_close(row[::2], angles.sin(), atol=1e-4, rtol=0)
        torch.testing.assert_close(row[1::2], angles.cos(), atol=1e-4, rtol=0)


@torch.no_grad()
def test_padding_and_company_change_nothing(model, batch):
    features, lengths = batch
    longer = torch.cat([features, features.new_full((3, 5, FEATURES), 50.0)], dim=1)
    memory, padded = model.encode(features, lengths), model.encode(longer, lengths)
    logits, _ = model.decode(TEXT, memory)
    more_text, _ = model.decode(torch.cat([TEXT, TEXT.new_full((3, 2), TextVocabulary.PADDING)], 1), padded)
    torch.testing.assert_close(more_text[:, : TEXT.shape[1]], logits, atol=1e-5, rtol=1e-5)
    for i, clip in enumerate(random_clips(LENGTHS)):
        alone = model.encode(clip[None], torch.tensor([len(clip)]))
        torch.testing.assert_close(alone.states[0], memory.states[i, : len(clip)], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.states[0], padded.states[i, : len(clip)], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.decode(TEXT[i : i + 1], alone)[0][0], logits[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_no_loss(batch, training):
    model = random_model(dropout=0.0).train(training)
    features, lengths = batch
    garbage = torch.cat([features, features.new_full((3, 4, FEATURES), 9.0)], dim=1)
    found = [model(x, lengths, TEXT, GLOSSES, COUNTS) for x in (features, garbage)]
    torch.testing.assert_close(found[0].text, found[1].text)
    torch.testing.assert_close(found[0].ctc, found[1].ctc)


def test_losses_are_torch_s_of_each_clip(model, batch):
    features, lengths = batch
    output = model(features, lengths, TEXT, GLOSSES, COUNTS, label_smoothing=0.1)
    text, ctc = [], []
    for i, clip in enumerate(random_clips(LENGTHS)):
        memory = model.encode(clip[None], lengths[i : i + 1])
        said = TEXT[i][TEXT[i] != TextVocabulary.PADDING]
        logits, _ = model.decode(said[None, :-1], memory)
        text.append(nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.1)(logits[0], said[1:]))
        scores = model.gloss_head(memory.states).log_softmax(-1).transpose(0, 1)
        loss = nn.CTCLoss(blank=0, zero_infinity=True)
        ctc.append(loss(scores, GLOSSES[i : i + 1, : COUNTS[i]], lengths[i : i + 1], COUNTS[i : i + 1]))
    torch.testing.assert_close(output.text, torch.stack(text).mean())
    torch.testing.assert_close(output.ctc, torch.stack(ctc).mean())


def test_clips_without_glosses_do_not_count(model, batch):
    features, lengths = batch
    some, none = (model(features, lengths, TEXT, GLOSSES, torch.tensor(n)).ctc for n in ([3, -1, 2], [-1] * 3))
    kept = [0, 2]
    expected = model(features[kept], lengths[kept], TEXT[kept], GLOSSES[kept], COUNTS[kept]).ctc
    torch.testing.assert_close(some, expected)
    assert none == 0
    no_text = torch.zeros(3, 0, dtype=torch.int64)
    assert model(features, lengths, TEXT, no_text, torch.tensor([0, -1, 0])).ctc > 0  # all blanks


def test_more_glosses_than_frames_are_no_infinite_loss(model, batch):
    features, lengths = batch
    glosses = torch.full((3, 30), GlossVocabulary.PADDING + 1)
    output = model(features, lengths, TEXT, glosses, torch.tensor([30, 1, 1]))
    assert output.ctc.isfinite()


def test_a_model_without_glosses(batch):
    model = random_model(glosses=0)
    output = model(*batch, TEXT, GLOSSES, torch.full((3,), -1))
    assert output.ctc is None and output.gloss_scores is None
    assert not any("gloss" in name for name in model.state_dict())


def test_decoding_token_by_token_with_several_sequences_per_clip(model, batch):
    memory = model.encode(*batch)
    tokens = torch.randint(4, 9, (6, 5), generator=torch.Generator().manual_seed(3))  # two for each clip
    past, rows = None, []
    for step in range(5):
        logits, past = model.decode(tokens[:, step : step + 1], memory, past)
        rows.append(logits[:, 0])
    for first in range(2):
        together, _ = model.decode(tokens[first::2], memory)
        torch.testing.assert_close(torch.stack(rows, 1)[first::2], together, atol=1e-5, rtol=1e-5)


def test_features_are_normalised_and_a_still_one_does_not_explode():
    mean, std = torch.randn(FEATURES), torch.zeros(FEATURES)
    model = type(random_model())(mean, std, 9, 0, TransformerSettings(8, 1, 2, 8, 0.0)).eval()
    at_mean = model.encode(mean.expand(1, 4, -1), torch.tensor([4])).states
    nearly = model.encode(mean.expand(1, 4, -1) + 1e-7, torch.tensor([4])).states
    torch.testing.assert_close(at_mean, nearly, atol=1e-2, rtol=0)


def test_weights_begin_as_xavier_s_and_biases_at_zero():
    model = type(random_model())(torch.zeros(6), torch.ones(6), 50, 7, TransformerSettings(64, 2, 4, 32, 0.1))
    for name, value in model.state_dict().items():
        if name.endswith("bias"):
            assert not value.any(), name
        elif value.ndim == 2:
            limit = (6 / sum(value.shape)) ** 0.5
            assert value.abs().max() <= limit and value.std().item() == pytest.approx(limit / 3**0.5, rel=0.15), name
    assert not model.text_embedding.weight[TextVocabulary.PADDING].any()
    assert model.text_head.bias is None


@pytest.mark.parametrize("width", [9, 10])
def test_widths_that_do_not_fit_the_heads_are_refused(width):
    with pytest.raises(UserError, match=r"`width` must be even and a multiple of `heads` \(4\), not"):
        TransformerSettings(width, 1, 4, 8, 0.0)
