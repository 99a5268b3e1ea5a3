"""The generator: cached equals uncached, one equals many, padding and company change nothing."""
from __future__ import annotations

import pytest
import torch

from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.schemes import ABSENT

from .conftest import CODEBOOKS, make_generator

TEXTS = ["rain tomorrow", "sun", "snow and rain come tomorrow to all of us", "morgen regen", "a", "xyz xyz xyz xyz"]
LANGUAGES = ["ASL", "ASL", "ASL", "DGS", "DGS", "ASL"]


@torch.no_grad()
def slow_generate(model: SignGenerator, text: str, language: str) -> torch.Tensor:
    """One sentence, no cache: the whole prefix through the decoder at every step."""
    ids = model.source.encode(text, language)[None]
    states = model.mbart.encoder(input_ids=ids).last_hidden_state
    codes: list[list[int]] = []
    while len(codes) < model.spec.max_steps:
        rows = [model._start([language])]
        for said in codes:
            parts = [model.mbart.shared(model.vocabulary.first_codes[p] + c) for p, c in enumerate(said)]
            rows.append(torch.stack(parts).mean(0)[None, None])
        hidden = model.mbart.decoder(
            inputs_embeds=torch.cat(rows, dim=1), encoder_hidden_states=states, use_cache=False
        ).last_hidden_state[0, -1]
        choice = []
        for part, size in CODEBOOKS.items():
            scores = model.heads[part](hidden)
            choice.append(int(scores[:size].argmax() if not codes else scores.argmax()))
        if any(c == size for c, size in zip(choice, CODEBOOKS.values())):
            break
        codes.append(choice)
    return torch.tensor(codes)


@pytest.mark.parametrize("seed", range(4))
def test_cached_batch_equals_uncached_single(seed):
    model = make_generator(seed)
    batch = model.generate(TEXTS, LANGUAGES)
    for text, language, codes in zip(TEXTS, LANGUAGES, batch):
        assert torch.equal(codes, slow_generate(model, text, language)), text


def test_samples_end_by_themselves():
    lengths = {len(codes) for seed in range(4) for codes in make_generator(seed).generate(TEXTS, LANGUAGES)}
    assert len(lengths) > 2 and min(lengths) >= 1


def test_order_and_company_do_not_matter(generator):
    together = generator.generate(TEXTS, LANGUAGES)
    backwards = generator.generate(TEXTS[::-1], LANGUAGES[::-1])[::-1]
    for first, second in zip(together, backwards):
        assert torch.equal(first, second)


def test_codes_are_legal(generator):
    sizes = torch.tensor(list(CODEBOOKS.values()))
    for codes in generator.generate(TEXTS, LANGUAGES):
        assert codes.shape[1] == 3 and len(codes) <= generator.spec.max_steps
        assert (codes >= 0).all() and (codes < sizes).all()


def test_loss_of_a_batch_is_that_of_its_samples(generator):
    """The batch's loss per head is the mean over all asked steps of its samples, alone and unpadded."""
    torch.manual_seed(0)
    lengths = [3, 5, 1]
    samples = [torch.stack([torch.randint(0, n, (k,)) for n in CODEBOOKS.values()], 1) for k in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True, padding_value=ABSENT)
    whole = generator(TEXTS[:3], LANGUAGES[:3], padded, torch.tensor(lengths))
    single = [
        generator([t], [g], codes[None], torch.tensor([k]))
        for t, g, codes, k in zip(TEXTS, LANGUAGES, samples, lengths)
    ]
    for part in CODEBOOKS:
        expected = sum(s.losses[part] * (k + 1) for s, k in zip(single, lengths)) / (sum(lengths) + 3)
        torch.testing.assert_close(whole.losses[part], expected)


def test_learns_a_sentence():
    model = make_generator(5).train()
    codes = torch.stack([torch.randint(0, n, (6,)) for n in CODEBOOKS.values()], 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(["rain"], ["ASL"], codes[None], torch.tensor([6])).loss.backward()
        optimizer.step()
    assert torch.equal(model.generate(["rain"], ["ASL"])[0], codes)
    assert model.training


def test_fusion_weights_decide_what_the_decoder_hears():
    only_body = make_generator(1, fusion={"body": 1.0, "lhand": 0.0, "rhand": 0.0})
    codes = torch.tensor([[[1, 2, 3]]])
    other = torch.tensor([[[1, 7, 0]]])
    torch.testing.assert_close(only_body._inputs(codes), only_body._inputs(other))
    equal = make_generator(1)
    assert not torch.allclose(equal._inputs(codes), equal._inputs(other))
    absent = torch.tensor([[[1, ABSENT, ABSENT]]])
    torch.testing.assert_close(equal._inputs(absent), only_body._inputs(codes))


def test_saved_generator_says_the_same(generator, tmp_path):
    generator.save_pretrained(tmp_path / "generator")
    loaded = SignGenerator.from_pretrained(tmp_path / "generator")
    assert loaded.spec == generator.spec
    for first, second in zip(generator.generate(TEXTS, LANGUAGES), loaded.generate(TEXTS, LANGUAGES)):
        assert torch.equal(first, second)
    assert [p.name for p in tmp_path.iterdir()] == ["generator"]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_sentence_is_refused(generator, text):
    with pytest.raises(UserError, match="empty"):
        generator.generate(["rain", text], ["ASL", "ASL"])


def test_unknown_language_is_refused(generator):
    with pytest.raises(UserError, match="'LSF'.*ASL, DGS"):
        generator.generate(["rain"], ["LSF"])


def test_no_sentences_no_codes(generator):
    assert generator.generate([], []) == []


def test_missing_generator_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        SignGenerator.from_pretrained(tmp_path / "nowhere")
