"""Sign to text: what the encoder reads, what the decoder may write, learning, alternation with production."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from soke.body.motion import Motion
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.generator.module import GeneratorModule
from soke.generator.producer import SignProducer
from soke.generator.schemes import ABSENT, SCHEMES
from soke.run.callbacks import BatchSeed
from soke.run.config import keyed
from soke.run.settings import Optim
from soke.tokenizer.codes import Codes
from tests.generator.helpers import CODEBOOKS, M3T, make_generator, settings_of_before
from tests.tokenizer.helpers import small_tokenizer

TEXTS = ["rain, snow.", "sun tomorrow", "明天雨天", "morgen Regen, öfter", "regen"]
LANGUAGES = ["ASL", "ASL", "CSL", "DGS", "DGS"]
LENGTHS = [5, 3, 9, 1, 4]  # of their motions
SYSTEM = pytest.mark.parametrize("system", [{}, {**M3T, "text_head": "separate"}], ids=["SOKE", "M3T"])


def translator(seed: int = 0, **changes) -> SignGenerator:
    settings = dict(languages=["ASL", "CSL", "DGS"], fps={"ASL": 24.0, "CSL": 30.0, "DGS": 25.0}, translation=0.5)
    return make_generator(seed, **{**settings, **changes})


def random_motions(lengths: list[int] = LENGTHS, seed: int = 0, books: dict[str, int] = CODEBOOKS) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.stack([torch.randint(0, n, (k,), generator=random) for n in books.values()], 1) for k in lengths]


@pytest.fixture(scope="module")
def trained() -> tuple[SignGenerator, list[float]]:
    """A model that has learnt the pairs, and the losses on its way."""
    model, losses = translator(5).train(), []
    codes = Codes.of(random_motions())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        loss = model.translation(codes, TEXTS, LANGUAGES).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.eval(), losses


def slow_states(model: SignGenerator, motion: Tensor, language: str) -> Tensor:
    """Encoder states [1, K + 2, D] of one motion, read one time step after the other."""
    table, first = model.mbart.shared, model.vocabulary.first_codes
    read = [torch.stack([table(first[p] + code) for p, code in enumerate(step)]).mean(0) for step in motion]
    prompts = model.vocabulary.language_ids(language)
    own = prompts if model.spec.settings.prompts == "language_and_part" else prompts[:1]
    read += [table(torch.tensor(model.source.text_tokenizer.eos_token_id)), table(torch.tensor(own)).mean(0)]
    return model.mbart.encoder(inputs_embeds=torch.stack(read)[None]).last_hidden_state


def slow_scores(model: SignGenerator, states: Tensor, prefix: list[int]) -> Tensor:
    """Log-probabilities [V] of the text piece after a prefix, without a cache."""
    hidden = model.mbart.decoder(
        input_ids=torch.tensor([prefix]), encoder_hidden_states=states, use_cache=False
    ).last_hidden_state[0, -1]
    if model.spec.settings.text_head == "separate":
        scores = model.text_head.weight @ hidden + model.text_head.bias
    else:
        scores = model.mbart.shared.weight[: len(model.source.text_tokenizer)] @ hidden
    return scores.log_softmax(-1)


def locale_of(model: SignGenerator, language: str) -> int:
    return model.source.text_tokenizer.convert_tokens_to_ids({"ASL": "en_XX", "CSL": "zh_CN", "DGS": "de_DE"}[language])


def said_of(
    model: SignGenerator, motions: list[Tensor], languages: list[str], monkeypatch, **search
) -> list[list[int]]:
    """The pieces that `translate` writes for each motion, the end among them, before they become text."""
    text_tokenizer, caught = model.source.text_tokenizer, []
    with monkeypatch.context() as patch:
        decode = text_tokenizer.batch_decode
        patch.setattr(
            text_tokenizer, "batch_decode", lambda ids, **how: caught.extend(ids.tolist()) or decode(ids, **how)
        )
        model.translate(motions, languages, **search)
    for row, language in zip(caught, languages):
        assert row[0] == locale_of(model, language)
    end = text_tokenizer.eos_token_id
    return [row[1 : row.index(end) + 1] if end in row else row[1:] for row in caught]


@torch.no_grad()
@SYSTEM
@pytest.mark.parametrize("decoding", SCHEMES)
@pytest.mark.parametrize("padding", [ABSENT, 4, 999])
def test_loss_is_that_of_its_samples_one_piece_after_the_other(decoding, padding, system):
    model = translator(1, decoding=decoding, **system)
    motions = random_motions(books=model.spec.streams)
    losses, right = [], []
    for motion, text, language in zip(motions, TEXTS, LANGUAGES):
        states, prefix = slow_states(model, motion, language), [locale_of(model, language)]
        ids = model.source.text_tokenizer(text, add_special_tokens=False)["input_ids"]
        for piece in [*ids, model.source.text_tokenizer.eos_token_id]:
            scores = slow_scores(model, states, prefix)
            losses.append(-scores[piece])
            right.append(float(scores.argmax() == piece))
            prefix.append(piece)
    codes = Codes(pad_sequence(motions, batch_first=True, padding_value=padding), torch.tensor(LENGTHS))
    output = model.translation(codes, TEXTS, LANGUAGES)
    assert output.count == len(losses)
    torch.testing.assert_close(output.loss, torch.stack(losses).mean())
    assert output.accuracy.item() == pytest.approx(sum(right) / len(right))


def test_loss_falls_and_every_language_is_translated(trained):
    model, losses = trained
    assert losses[-1] < 0.2 < 2 < losses[0]
    assert model.translate(random_motions(), LANGUAGES) == TEXTS
    assert model.translate(random_motions(), LANGUAGES, beams=4) == TEXTS


def test_the_language_of_the_motion_decides_that_of_the_text(trained):
    model, _ = trained
    motion = random_motions()[0]
    assert len(set(model.translate([motion] * 3, ["ASL", "CSL", "DGS"]))) == 3


@torch.no_grad()
@SYSTEM
@pytest.mark.parametrize("seed", range(3))
def test_greedy_equals_the_uncached_single(seed, system, monkeypatch):
    model = translator(seed, **system)
    motions = random_motions(seed=seed, books=model.spec.streams)
    text_tokenizer = model.source.text_tokenizer
    barred = sorted(set(text_tokenizer.all_special_ids) - {text_tokenizer.eos_token_id})
    said = said_of(model, motions, LANGUAGES, monkeypatch, max_tokens=12)
    for motion, language, found in zip(motions, LANGUAGES, said):
        states, prefix = slow_states(model, motion, language), [locale_of(model, language)]
        while len(prefix) <= 12 and prefix[-1] != text_tokenizer.eos_token_id:
            scores = slow_scores(model, states, prefix)
            scores[barred] = -math.inf
            prefix.append(int(scores.argmax()))
        assert found == prefix[1:]


@SYSTEM
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_batch_equals_its_motions_one_by_one(seed, beams, system):
    model = translator(seed, **system)
    motions = random_motions(seed=seed, books=model.spec.streams)
    together = model.translate(motions, LANGUAGES, beams, max_tokens=20)
    for motion, language, text in zip(motions, LANGUAGES, together):
        assert model.translate([motion], [language], beams, max_tokens=20) == [text]
    assert model.translate(motions[::-1], LANGUAGES[::-1], beams, max_tokens=20) == together[::-1]


@torch.no_grad()
def score(model: SignGenerator, motion: Tensor, language: str, said: list[int], length_penalty: float) -> float:
    states, prefix, total = slow_states(model, motion, language), [locale_of(model, language)], 0.0
    for piece in said:
        total += slow_scores(model, states, prefix)[piece].item()
        prefix.append(piece)
    return total / len(said) ** length_penalty


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_beams_find_likelier_sentences(length_penalty, monkeypatch):
    for seed in range(3):
        model, motions = translator(seed), random_motions(seed=seed)
        settings = dict(max_tokens=6, length_penalty=length_penalty)
        greedy, beams = (said_of(model, motions, LANGUAGES, monkeypatch, beams=n, **settings) for n in (1, 6))
        assert greedy != beams
        for motion, language, one, many in zip(motions, LANGUAGES, greedy, beams):
            found = (score(model, motion, language, said, length_penalty) for said in (many, one))
            assert next(found) >= next(found) - 1e-4


@pytest.mark.parametrize("beams", [1, 4])
def test_only_pieces_of_text_are_written(beams, monkeypatch):
    """Whatever the model would rather say: codes, sign languages, locales, marks."""
    model = translator(2)
    text_tokenizer = model.source.text_tokenizer
    barred = {*text_tokenizer.all_special_ids, *range(len(text_tokenizer), model.vocabulary.size)}
    barred -= {text_tokenizer.eos_token_id}
    with torch.no_grad():
        model.mbart.shared.weight[sorted(barred)] *= 50
    motions = random_motions([4] * 40)
    said = said_of(model, motions, ["ASL", "DGS"] * 20, monkeypatch, beams=beams, max_tokens=15)
    assert all(not barred.intersection(row) and 0 < len(row) <= 15 for row in said)


def test_a_sentence_ends_where_it_must(trained, monkeypatch):
    model, _ = trained
    assert model.translate(random_motions()[1:2], ["ASL"], max_tokens=1) == ["sun"]
    endless = translator(0)
    with torch.no_grad():
        endless.mbart.shared.weight[endless.source.text_tokenizer.eos_token_id] = 0
    (said,) = said_of(endless, random_motions([3]), ["ASL"], monkeypatch, max_tokens=10_000)
    assert len(said) == endless.mbart.config.max_position_embeddings


def test_translating_leaves_the_model_as_it_is(trained):
    model, _ = trained
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = model.mbart.config.to_dict()
    model.train()
    try:
        assert model.translate(random_motions(), LANGUAGES) == TEXTS  # without dropout
        assert all(module.training for module in model.modules())
    finally:
        model.eval()
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert model.mbart.config.to_dict() == config


def test_saved_translator_says_the_same(trained, tmp_path):
    model, _ = trained
    model.save_pretrained(tmp_path / "generator")
    loaded = SignGenerator.from_pretrained(tmp_path / "generator")
    assert loaded.spec == model.spec and loaded.translate(random_motions(), LANGUAGES) == TEXTS
    assert loaded.for_inference("bfloat16").translate(random_motions(), LANGUAGES) == TEXTS

    path = tmp_path / "generator" / "generator.json"  # as it was before generators could translate
    settings = settings_of_before(tmp_path / "generator")
    del settings["spec"]["settings"]
    path.write_text(json.dumps(settings), encoding="utf-8")
    old = SignGenerator.from_pretrained(tmp_path / "generator")
    with pytest.raises(UserError, match="was not trained to translate.*`translation`=0.5"):
        old.translate(random_motions(), LANGUAGES)


def test_what_cannot_be_translated_is_said_at_once(trained):
    model, _ = trained
    with pytest.raises(UserError, match="'LSF'.*ASL, CSL, DGS"):
        model.translate(random_motions([3]), ["LSF"])
    with pytest.raises(UserError, match="a motion of 161 tokens exceeds this mBART's 160 positions: cut it"):
        model.translate(random_motions([159]), ["ASL"])
    for code in (-1, 11):
        with pytest.raises(ValueError, match="a code lies outside its codebook.*'lhand': 11"):
            model.translate([torch.tensor([[0, code, 0]])], ["ASL"])
    with pytest.raises(ValueError):
        model.translate(random_motions([3, 3]), ["ASL"])
    for nothing in ("beams", "max_tokens"):
        with pytest.raises(ValueError, match="`beams` and `max_tokens` must be at least 1"):
            model.translate(random_motions(), LANGUAGES, **{nothing: 0})
    assert model.translate([], []) == []


@pytest.mark.parametrize(
    ("text", "language", "fault"),
    [("rain", "LSF", "'LSF'"), (" ", "ASL", "empty"), ("x" * 170, "ASL", "a text of 172 tokens.*GENERATOR.MAX_SOURCE")],
)
def test_what_cannot_be_learnt_is_said_at_once(text, language, fault):
    with pytest.raises(UserError, match=fault), keyed():  # as the command line tells it
        translator().translation(Codes.of(random_motions([3])), [text], [language])


def test_no_codes_no_sentence(trained):
    model, _ = trained
    none = torch.zeros(0, 3, dtype=torch.long)
    assert model.translate([none, random_motions()[1]], ["ASL", "ASL"]) == ["", "sun tomorrow"]
    assert model.translate([none], ["DGS"]) == [""]


# --- training


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer().eval()


def matching(tokenizer, **changes) -> SignGenerator:
    return translator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash, **changes)


def batches(count: int) -> list[CodeBatch]:
    books, lengths = {"a": 12, "b": 20, "c": 20}, [4, 2]
    made = []
    for seed in range(count):
        codes = pad_sequence(random_motions(lengths, seed, books), batch_first=True, padding_value=-1)
        made.append(CodeBatch(codes, torch.tensor(lengths), TEXTS[1:3], LANGUAGES[1:3], [], []))
    return made


class Steps(pl.Callback):
    """Per training step the loss and the parameters without a gradient, for which DDP would wait."""

    def __init__(self):
        self.losses: list[float] = []
        self.without: list[str] = []

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
        self.losses.append(outputs["loss"].item())

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.without += [name for name, parameter in module.named_parameters() if parameter.grad is None]


def fit(
    module: GeneratorModule, train: list[CodeBatch], val: list[CodeBatch] = (), callbacks: list = (), epochs: int = 1
) -> dict[str, Tensor]:
    """What training has logged."""
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[BatchSeed(7), *callbacks],
    )
    trainer.fit(module, *(DataLoader(list(part), batch_size=None) for part in (train, val)))
    return trainer.callback_metrics


def make_module(tokenizer, share: float, lr: float = 1e-3, **changes) -> GeneratorModule:
    return GeneratorModule(matching(tokenizer, translation=share, **changes), tokenizer, Optim(lr=lr))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_training_is_the_obvious_loop(tokenizer, share):
    """With dropout: without a share of translation, nothing is drawn beyond what production draws."""
    module, plain = make_module(tokenizer, share), matching(tokenizer, translation=share).train()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, betas=module.optim.betas, weight_decay=0.0, fused=True)
    steps, losses = Steps(), []
    fit(module, batches(3), callbacks=[steps])
    for index, batch in enumerate(batches(3)):
        BatchSeed(7).on_train_batch_start(Place(), None, batch, index)
        codes = Codes(batch.codes, batch.lengths)
        optimizer.zero_grad()
        if share:
            torch.rand(())
            loss = plain.translation(codes, batch.texts, batch.languages).loss
        else:
            loss = plain(batch.texts, batch.languages, codes).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert steps.losses == losses and not steps.without
    for (name, ours), theirs in zip(module.generator.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


class Place:
    """What `BatchSeed` asks a trainer."""

    current_epoch = global_rank = 0


def test_a_share_of_translation_adds_no_parameters(tokenizer):
    without, half = (matching(tokenizer, translation=share).state_dict() for share in (0.0, 0.5))
    assert without.keys() == half.keys() and all(torch.equal(without[name], half[name]) for name in without)
    assert make_module(tokenizer, 0.0).state_dict().keys() == make_module(tokenizer, 0.5).state_dict().keys()


def objectives(module: GeneratorModule) -> list[str]:
    """Filled by training: what each batch trained."""
    found: list[str] = []
    generator = module.generator
    production, translation = generator.forward, generator.translation
    generator.forward = lambda *a, **k: found.append("production") or production(*a, **k)
    generator.translation = lambda *a: found.append("translation") or translation(*a)
    return found


def test_batches_are_shared_out_and_a_run_that_is_repeated_draws_the_same(tokenizer):
    drawn = []
    for _ in range(2):
        module = make_module(tokenizer, 0.3)
        drawn.append(objectives(module))
        fit(module, batches(30))
    assert drawn[0] == drawn[1] and len(drawn[0]) == 30
    assert 4 <= drawn[0].count("translation") <= 14


def test_all_processes_train_what_the_first_has_drawn(tokenizer, monkeypatch):
    for first, objective in ((0.4, "translation"), (0.6, "production")):
        module = make_module(tokenizer, 0.5)
        found = objectives(module)
        monkeypatch.setattr("pytorch_lightning.strategies.SingleDeviceStrategy.broadcast", lambda *_, x=first: x)
        fit(module, batches(2))
        assert found == [objective] * 2


@torch.no_grad()
def slow_means(module: GeneratorModule, data: list[CodeBatch]) -> dict[str, float]:
    """Loss and accuracy of the text, one clip after the other."""
    generator, loss, right, count = module.generator.eval(), 0.0, 0.0, 0
    for batch in data:
        for i, length in enumerate(batch.lengths.tolist()):
            codes = Codes.of([batch.codes[i, :length]])
            output = generator.translation(codes, batch.texts[i : i + 1], batch.languages[i : i + 1])
            loss, right = loss + output.loss.item() * output.count, right + output.accuracy.item() * output.count
            count += output.count
    return {"translation_loss": loss / count, "translation_accuracy": right / count}


def without_dropout(module: GeneratorModule) -> GeneratorModule:
    for layer in module.generator.modules():
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)
    return module


def test_means_of_an_epoch_are_over_its_pieces(tokenizer):
    module = without_dropout(make_module(tokenizer, 1.0, lr=0.0))
    logged = fit(module, batches(3), batches(2))
    for stage, count in (("train", 3), ("val", 2)):
        for name, value in slow_means(module, batches(count)).items():
            assert logged[f"{stage}/{name}"].item() == pytest.approx(value, rel=1e-4), (stage, name)


def test_validation_computes_both_and_training_reports_what_it_trained(tokenizer):
    for share, absent in ((1.0, "train/loss_body"), (1e-9, "train/translation_loss")):
        logged = fit(make_module(tokenizer, share), batches(2), batches(1))
        assert absent not in logged and all(value.isfinite() for value in logged.values())
        assert {"val/loss", "val/loss_body", "val/translation_loss", "val/translation_accuracy"} <= logged.keys()
    logged = fit(make_module(tokenizer, 0.5), batches(12), batches(1), epochs=2)
    assert {"train/loss", "train/loss_body", "train/translation_loss", "train/translation_accuracy"} <= logged.keys()
    logged = fit(make_module(tokenizer, 0.0), batches(2), batches(1))
    assert not any("translation" in name for name in logged)


@pytest.mark.parametrize("text_head", [pytest.param("tied", marks=pytest.mark.slow), "separate"])
def test_both_are_learnt_together_and_every_batch_has_gradients_of_all(tokenizer, text_head):
    module = without_dropout(make_module(tokenizer, 0.5, lr=1e-2, text_head=text_head))
    (batch,), steps = batches(1), Steps()
    fit(module, [batch] * 120, callbacks=[steps])
    assert not steps.without
    motions = [codes[:length] for codes, length in zip(batch.codes, batch.lengths)]
    assert module.generator.translate(motions, batch.languages) == batch.texts
    for said, codes in zip(module.generator.generate(batch.texts, batch.languages), motions, strict=True):
        assert torch.equal(said, codes)


# --- producer


def moving(frames: int, seed: int) -> Motion:
    motion = Motion.rest(frames, 25.0)
    motion.rotations[:, 12:] = 0.3 * torch.randn(frames, 43, 3, generator=torch.Generator().manual_seed(seed))
    return motion


FRAMES = (26, 9, 41, 8, 17)


@pytest.fixture(scope="module")
def producer(tokenizer) -> SignProducer:
    generator = matching(tokenizer)
    generator.translate = partial(generator.translate, max_tokens=8)  # it knows no end
    return SignProducer(generator, tokenizer, batch_size=2)


@pytest.mark.parametrize("beams", [1, 3])
def test_motions_become_the_sentences_of_their_codes_in_their_order(producer, beams):
    motions = [moving(frames, seed) for seed, frames in enumerate(FRAMES)]
    texts = producer.translate(motions, LANGUAGES, beams)
    assert len(set(texts)) > 2
    for motion, language, text in zip(motions, LANGUAGES, texts, strict=True):
        codes = producer.tokenizer.encode_motion(motion)
        assert producer.generator.translate([codes], [language], beams) == [text]


def test_a_motion_without_a_code_says_nothing(producer):
    few = producer.tokenizer.frames(1) - 1
    texts = producer.translate([moving(frames, 0) for frames in (0, few, few + 1)], ["ASL", "DGS", "ASL"])
    assert texts[:2] == ["", ""] and texts[2]
    assert producer.translate([moving(few, 0)], ["ASL"]) == [""]
    assert producer.translate([], []) == []


def test_a_producer_refuses_as_its_generator_does(producer, tokenizer):
    motion = moving(8, 0)
    with pytest.raises(UserError, match="'LSF'"):
        producer.translate([motion], ["LSF"])
    with pytest.raises(UserError, match="`translation`=0.5"):
        SignProducer(matching(tokenizer, translation=0.0), tokenizer).translate([motion], ["ASL"])
    with pytest.raises(UserError, match="give a list of motions, and a list of as many sign languages"):
        producer.translate([motion, motion], ["ASL"])
