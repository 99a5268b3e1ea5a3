"""M3T's generator: a prompt of each language and part, a namespace and a head of each part, the end by any of them."""
from __future__ import annotations

import pytest
import torch
from transformers import MBartConfig, MBartModel

from soke.generator.model import SignGenerator
from soke.generator.sign_vocabulary import SignVocabulary
from soke.run.config import load_config
from tests.generator.helpers import M3T, make_generator, make_spec

TEXTS, LANGUAGES = ["rain tomorrow", "sun", "morgen regen"], ["ASL", "ASL", "DGS"]
PART = list(M3T["streams"])


def test_languages_parts_and_codes_share_no_id():
    vocabulary = SignVocabulary(100, ["ASL", "DGS"], M3T["streams"], prompts=4)
    assert vocabulary.language_ids("ASL") == [100, 101, 102, 103]  # <ASL_B>, <ASL_LH>, <ASL_RH>, <ASL_F>
    assert vocabulary.language_ids("DGS") == [104, 105, 106, 107]
    own = [set((first + torch.arange(n)).tolist()) for first, n in zip(vocabulary.first_codes, M3T["streams"].values())]
    assert [min(ids) for ids in own] == [108, 115, 124, 133]  # hands of one tokenizer have codes of their own
    assert sum(map(len, own)) == len(set().union(*own)) == 38 and vocabulary.size == 146


def start(model: SignGenerator, language: str) -> torch.Tensor:
    """[R, D]"""
    return model._start([language])[0]


@torch.no_grad()
@pytest.mark.parametrize("decoding", ["multi_head", "sequential"])
def test_the_decoder_starts_from_the_equal_mean_of_the_parts_prompts(decoding):
    model = make_generator(0, decoding=decoding, **M3T)
    prompts = model.mbart.shared(torch.tensor(model.vocabulary.language_ids("DGS")))
    assert prompts.shape[0] == 4
    torch.testing.assert_close(start(model, "DGS"), prompts.mean(0)[None])
    weighted = make_generator(0, decoding=decoding, fusion={"body": 2.0, "lhand": 1.0, "rhand": 1.0, "face": 0.0}, **M3T)
    torch.testing.assert_close(start(weighted, "DGS")[0], prompts[0] / 2 + prompts[1] / 4 + prompts[2] / 4)


@torch.no_grad()
@pytest.mark.parametrize("decoding", ["multi_head", "sequential", "parallel"])
@pytest.mark.parametrize("part", range(4))
def test_each_prompt_is_heard_in_its_own_language_alone(decoding, part):
    model = make_generator(0, decoding=decoding, **M3T)
    before = {language: start(model, language) for language in ("ASL", "DGS")}
    model.mbart.shared.weight[model.vocabulary.language_ids("DGS")[part]] += 1
    changed = (start(model, "DGS") != before["DGS"]).all(1)
    assert changed.tolist() == ([row == part for row in range(4)] if decoding == "parallel" else [True])
    assert torch.equal(start(model, "ASL"), before["ASL"])


def test_parallel_rows_have_prompts_of_their_own_either_way():
    """SOKE's parallel decoding gives every row a language token: its one stream's."""
    models = [make_generator(1, decoding="parallel", **{**M3T, "prompts": p}) for p in ("language", M3T["prompts"])]
    for one, other in zip(*(model.generate(TEXTS, LANGUAGES) for model in models)):
        assert torch.equal(one, other)


@pytest.mark.parametrize("part", PART)
def test_generation_ends_when_any_part_says_end(part):
    model = make_generator(0, **M3T)
    for name in PART:
        with torch.no_grad():
            model.heads.linear[name].bias[-1] = 1e4 if name == part else -1e4
    assert [len(codes) for codes in model.generate(TEXTS, LANGUAGES)] == [1, 1, 1]  # the shortest output there is
    with torch.no_grad():
        model.heads.linear[part].bias[-1] = -1e4
    assert {len(codes) for codes in model.generate(TEXTS, LANGUAGES)} == {model.spec.settings.max_steps}


@torch.no_grad()
def test_a_text_head_of_its_own_starts_as_mbart_s_and_is_made_for_translation_alone():
    own, tied = (make_generator(0, translation=0.5, text_head=head, **M3T) for head in ("separate", "tied"))
    codes = own.generate(TEXTS, LANGUAGES)
    said = [model.translate(codes, LANGUAGES, max_tokens=8) for model in (own, tied)]
    assert said[0] == said[1] and any(said[0])
    own.text_head.bias[own.source.text_tokenizer.convert_tokens_to_ids("▁rain")] = 1e4
    assert own.translate(codes[:1], ["ASL"], max_tokens=3) == ["rain rain rain"]
    silent = make_generator(0, text_head="separate", **M3T)
    assert not any("text_head" in name for name in silent.state_dict())


class Pieces:
    """Of the published vocabulary, as far as a generator asks when it is made."""

    eos_token_id = 2
    all_special_ids = [eos_token_id]

    def __len__(self) -> int:
        return 19_012  # pieces of mbart-large-cc25 that the three corpora use


@pytest.mark.parametrize(("text_head", "millions"), [("separate", 396), ("tied", 376)])
def test_the_published_model_has_396_million_parameters(text_head, millions):
    """Appendix D.2: mBART-large, its embeddings with the motions' codes, five heads; a tied one would give too few."""
    config = load_config("configs/m3t.yaml")
    streams, settings = config.tokenizer.streams(config.parts), config.generator
    assert streams == {"body": 96, "lhand": 192, "rhand": 192, "face": 512} and settings.text_head == "separate"
    size = dict(
        d_model=1024, encoder_layers=12, decoder_layers=12, encoder_attention_heads=16, decoder_attention_heads=16,
        encoder_ffn_dim=4096, decoder_ffn_dim=4096, max_position_embeddings=1024,
    )
    spec = make_spec(
        streams=streams, languages=["ASL", "CSL", "DGS"], translation=settings.translation, prompts=settings.prompts,
        heads=settings.heads, text_head=text_head,
    )
    with torch.device("meta"):  # where it takes no memory
        mbart = MBartModel(MBartConfig(vocab_size=len(Pieces()), **size))
    model = SignGenerator(spec, mbart, Pieces(), {})
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6) == millions
