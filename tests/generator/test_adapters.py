"""Adapters: beside frozen weights they learn, generation hears them, and what is exported is a plain generator."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from soke.errors import UserError
from soke.generator.files import trained_mbart, untrained_mbart
from soke.generator.initial import begin_from, untrained
from soke.generator.model import SignGenerator
from soke.generator.module import GeneratorModule
from soke.run.config import load_config
from soke.run.parameters import freeze, groups_of
from soke.run.settings import Lora, Optim
from soke.tokenizer.codes import Codes
from tests.generator.helpers import CODEBOOKS, make_generator, make_spec

TEXTS, LANGUAGES = ["rain tomorrow", "sun", "snow and rain"], ["ASL", "DGS", "ASL"]


def batch() -> tuple[list[str], list[str], Codes]:
    draw = torch.Generator().manual_seed(1)
    codes = [torch.stack([torch.randint(0, n, (k,), generator=draw) for n in CODEBOOKS.values()], 1) for k in (5, 3, 4)]
    return TEXTS, LANGUAGES, Codes.of(codes, "cpu")


@pytest.fixture
def adapted() -> SignGenerator:
    adapters = pytest.importorskip("soke.generator.adapters")
    pytest.importorskip("peft")
    generator = make_generator(5)
    adapters.add_adapters(generator, Lora(rank=2, alpha=8.0, targets=["q_proj", "v_proj", "fc1"]))
    return generator


def learn(generator: SignGenerator, steps: int = 3) -> None:
    generator.train()
    optimizer = torch.optim.AdamW(groups_of(generator, Optim()), lr=0.02, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        generator(*batch()).loss.backward()
        optimizer.step()
    generator.eval()


def generated(generator: SignGenerator) -> list[list[list[int]]]:
    return [codes.tolist() for codes in generator.generate(TEXTS, LANGUAGES)]


def test_new_adapters_change_nothing(adapted):
    plain = make_generator(5)
    assert torch.equal(adapted(*batch()).loss, plain(*batch()).loss) and generated(adapted) == generated(plain)


def test_adapters_table_and_heads_learn_and_the_rest_of_mbart_stays_to_the_bit(adapted):
    before = {name: value.clone() for name, value in adapted.named_parameters()}
    learn(adapted)
    changed = {name for name, value in adapted.named_parameters() if not torch.equal(value, before[name])}
    adapters = {name for name in before if "lora_" in name}
    assert len(adapters) == 2 * (2 * 3 + 2 * 5)  # A and B of two layers of the encoder, two of the decoder
    assert changed == adapters | {"mbart.shared.weight"} | {name for name in before if name.startswith("heads.")}
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in adapters} == {"q_proj", "v_proj", "fc1"}


def test_merged_it_does_what_it_did_and_is_plain(adapted, tmp_path):
    from soke.generator.adapters import merged

    learn(adapted)
    loss, said = adapted(*batch()).loss, generated(adapted)
    state = {name: value.clone() for name, value in adapted.state_dict().items()}
    with merged(adapted):
        adapted.save_pretrained(tmp_path / "plain")
        assert adapted.state_dict().keys() == make_generator(5).state_dict().keys()
    assert state.keys() == adapted.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in adapted.state_dict().items())
    loaded = SignGenerator.from_pretrained(tmp_path / "plain")
    torch.testing.assert_close(loaded(*batch()).loss, loss)
    assert generated(loaded) == said
    weights = dict(make_generator(5).named_parameters()), dict(loaded.named_parameters())
    other = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert any("fc1.weight" in name for name in other) and not any("k_proj" in n or "norm" in n for n in other)


def test_generation_hears_adapters(adapted):
    """Step by step and for one sentence alone, where the matrix products are our own."""
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(generator=torch.Generator().manual_seed(0))
    assert generated(adapted) != generated(make_generator(5))
    together = generated(adapted)
    assert [adapted.generate([t], [language])[0].tolist() for t, language in zip(TEXTS, LANGUAGES)] == together


def test_the_module_exports_it_plain_and_another_training_begins_from_it(adapted, tmp_path, monkeypatch):
    learn(adapted)

    class Tokenizer:
        hash = adapted.spec.tokenizer_hash

        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir()

    module = GeneratorModule(adapted, Tokenizer(), Optim())
    loss = adapted.eval()(*batch()).loss
    module.export(tmp_path / "export")
    monkeypatch.setitem(sys.modules, "peft", None)  # it need not be there
    new = untrained(tmp_path / "export", adapted.spec, adapted.source.lexicon.recordings)
    assert begin_from(new, tmp_path / "export") == []
    torch.testing.assert_close(new.eval()(*batch()).loss, loss)


@pytest.mark.parametrize(("pattern", "error"), [("mbart.*", "TRAIN.FREEZE keeps all adapters"), ("mbart.encoder.*", None)])
def test_adapters_that_are_all_frozen_are_an_error(adapted, pattern, error):
    freeze(adapted, [pattern])
    module = GeneratorModule(adapted, SimpleNamespace(hash=adapted.spec.tokenizer_hash), Optim())
    module._trainer = SimpleNamespace(max_epochs=2)
    with pytest.raises(UserError, match=error) if error else nullcontext():
        module.configure_optimizers()


def test_what_cannot_be_adapted_is_named(monkeypatch):
    from soke.generator.adapters import add_adapters

    with pytest.raises(UserError, match=r"no linear layer of mBART is called q_prj, but fc1, .*did you mean q_proj\?"):
        pytest.importorskip("peft")
        add_adapters(make_generator(5), Lora(targets=["q_prj"]))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match="TRAIN.LORA needs peft: `pip install peft`"):
        add_adapters(make_generator(5), Lora())
    for overrides, fault in (
        (["TRAIN.LORA={RANK: 0}"], "TRAIN.LORA.RANK must be at least 1"),
        (["TRAIN.LORA={TARGETS: []}"], "TRAIN.LORA.TARGETS must name linear layers"),
        (["TRAIN.STAGE=tokenizer", "TRAIN.LORA={RANK: 4}"], "TRAIN.LORA has no effect on a model of stage tokenizer: set it to null"),
        (["TRAIN.STAGE=translation", "TRAIN.CHECKPOINTING=true"], "TRAIN.CHECKPOINTING has no effect .* set it to false"),
        (["TRAIN.STAGE=regressor", "TRAIN.LABEL_SMOOTHING=0.1"], "TRAIN.LABEL_SMOOTHING has no effect .* set it to 0$"),
        (["TRAIN.STAGE=translation", "LOGGER.PICTURES=2"], "LOGGER.PICTURES has no effect .* stage translation: set it to 0"),
        (["GENERATOR.LAYERDROP=1.0"], "GENERATOR.LAYERDROP must be at least 0 and below 1, or null"),
    ):
        with pytest.raises(UserError, match=fault):
            load_config("configs/soke.yaml", overrides=overrides)
    assert load_config("configs/soke.yaml", overrides=["TRAIN.LORA={RANK: 4}"]).train.lora == Lora(rank=4)


DROPOUTS = {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.15, "layerdrop": 0.4}


def test_dropouts_are_mbart_s_and_are_kept_in_the_export(tmp_path):
    generator = make_generator(5)
    generator.mbart.save_pretrained(tmp_path / "mbart")
    generator.source.text_tokenizer.save_pretrained(tmp_path / "mbart")
    spec = make_spec(languages=["ASL", "DGS"], fps={"ASL": 24.0, "DGS": 25.0}, max_steps=12, **DROPOUTS)
    made = SignGenerator.from_mbart(tmp_path / "mbart", spec, {"ASL": {}, "DGS": {}})
    layer = made.mbart.decoder.layers[0]
    assert (layer.dropout, layer.activation_dropout, layer.self_attn.dropout) == (0.3, 0.15, 0.2)
    assert made.mbart.encoder.layerdrop == made.mbart.decoder.layerdrop == 0.4
    made.save_pretrained(tmp_path / "export")
    config = SignGenerator.from_pretrained(tmp_path / "export").mbart.config
    names = ("dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop", "decoder_layerdrop")
    assert [getattr(config, name) for name in names] == [0.3, 0.2, 0.15, 0.4, 0.4]
    kept = untrained(tmp_path / "export", make_generator(5).spec, {"ASL": {}, "DGS": {}}).mbart.config  # null: INIT's
    assert [getattr(kept, name) for name in names] == [0.3, 0.2, 0.15, 0.4, 0.4]
    assert untrained_mbart(tmp_path / "mbart").config.dropout == trained_mbart(tmp_path / "mbart").config.dropout == 0.1


def test_layers_that_are_left_out_have_a_gradient_of_zero(tmp_path):
    """For which DDP waits."""
    generator = make_generator(5)
    for half in (generator.mbart.encoder, generator.mbart.decoder):
        half.layerdrop = 0.999
    generator.mbart.config.decoder_layerdrop = 0.999

    class Tokenizer:
        hash = generator.spec.tokenizer_hash

    module = GeneratorModule(generator, Tokenizer(), Optim())
    module._drawn = lambda: lambda batch, stage: module.generator(batch.texts, batch.languages, batch.codes).loss
    texts, languages, codes = batch()
    given = SimpleNamespace(texts=texts, languages=languages, codes=codes, lengths=codes.lengths)
    module.training_step(given, 0).backward()
    without = [n for n, p in generator.named_parameters() if p.grad is None]
    assert without == [] and not generator.mbart.decoder.layers[0].fc1.weight.grad.any()
