"""Training of the generator: in training mode, on its own tokenizer's codes only; what is logged, when it generates."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from soke.data.clip import Clip
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.generator.module import GeneratorModule
from soke.generator.producer import SignProducer
from soke.generator.settings import Search
from soke.run.accumulation import WeightedAccumulation
from soke.run.settings import Optim
from soke.tokenizer.codes import Codes
from tests.generator.helpers import make_generator, settings_of_before
from tests.tokenizer.helpers import small_tokenizer


@pytest.fixture
def tokenizer():
    return small_tokenizer().eval()


def matching(tokenizer, **changes):
    return make_generator(streams=tokenizer.streams, tokenizer_hash=tokenizer.hash, **changes)


def test_a_loaded_generator_is_trained_with_dropout(tokenizer):
    generator = matching(tokenizer).eval()
    module = GeneratorModule(generator, tokenizer, Optim())
    assert all(m.training for m in module.modules())
    assert not any(name.startswith("_producer") for name in module.state_dict())


def test_another_tokenizer_is_refused(tokenizer):
    with pytest.raises(UserError, match=f"tokenizer 0123456789ab, but the tokenizer given is {tokenizer.hash}"):
        GeneratorModule(make_generator(), tokenizer, Optim())


def test_checkpoint_of_another_tokenizer_is_refused(tokenizer):
    module = GeneratorModule(matching(tokenizer), tokenizer, Optim())
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
        assert len(motion) % tokenizer.frames(1) == 0 and len(motion) > 0


@pytest.mark.parametrize(("decoding", "steps"), [("multi_head", 5), ("sequential", 5), ("parallel", 24)])
def test_motions_that_did_not_end_are_counted(tokenizer, decoding, steps):
    """Those of which no head, or of one row none, says end in the steps that there are."""
    generator, search = matching(tokenizer, decoding=decoding, max_steps=30), Search("sample", max_steps=steps)
    texts = [" ".join(words) for words in itertools.permutations(["snow", "rain", "sun", "tomorrow"])]
    ended = [(rows == generator.scheme.end).any(-1).any(-1).all() for rows in generator.outputs(texts, ["ASL"] * 24, search)]
    producer = SignProducer(generator, tokenizer)
    producer.generate(texts, ["ASL"] * 24, search)
    assert producer.counts == {"made": 24, "cut": 24 - sum(ended)} and 0 < sum(ended) < 24


def test_corpora_of_one_language_keep_their_rates(tokenizer, tmp_path):
    generator = matching(
        tokenizer, languages=["ASL", "DGS"], fps={"old": 15.0, "new": 24.0, "tv": 25.0},
        corpora={"old": "ASL", "new": "ASL", "tv": "DGS"},
    )
    SignProducer(generator, tokenizer).save_pretrained(tmp_path / "model")
    producer = SignProducer.from_pretrained(tmp_path / "model")
    sentences = [
        Clip("a", "new", "test", "ASL", "snow", tmp_path, 24.0),
        Clip("b", "old", "test", "ASL", "snow", tmp_path, 15.0),
        Clip("c", "another", "test", "DGS", "morgen", tmp_path, 50.0),
        Typed("rain", "ASL"),
        Typed("regen", "DGS"),
    ]
    assert [m.fps for m in producer.produce(sentences)] == [24.0, 15.0, 25.0, 15.0, 25.0]
    with pytest.raises(UserError, match="unknown sign language 'LSF'"):
        producer.produce([Typed("rain", "LSF")])


def test_a_generator_of_before_has_a_rate_per_language(tokenizer, tmp_path):
    producer = SignProducer(matching(tokenizer), tokenizer)
    producer.save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "generator.json"
    saved = settings_of_before(tmp_path / "model")
    del saved["spec"]["corpora"]
    file.write_text(json.dumps(saved))
    clip = Clip("a", "phoenix", "test", "DGS", "regen", tmp_path, 25.0)
    assert [m.fps for m in SignProducer.from_pretrained(tmp_path / "model").produce([clip, Typed("sun", "ASL")])] == [
        25.0, 24.0,
    ]


LENGTHS = [[5, 2, 9], [3], [4, 4]]  # of the clips of three batches


def batches(lengths: list[list[int]]) -> list[CodeBatch]:
    """Random codes of the small tokenizer."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for row in lengths:
        codes = torch.randint(0, 12, (len(row), max(row), 3), generator=generator)
        for clip, length in zip(codes, row):
            clip[length:] = -1
        texts = [f"rain and snow {length}" for length in row]
        made.append(CodeBatch(codes, torch.tensor(row), texts, ["ASL"] * len(row), [], []))
    return made


def make_module(
    tokenizer, dropout: bool = True, epochs: int = 1, translation: float = 0.0, decoding: str = "multi_head", **settings
) -> GeneratorModule:
    generator = matching(tokenizer, translation=translation, decoding=decoding)
    module = GeneratorModule(generator, tokenizer, Optim(lr=1e-3), **settings)
    if not dropout:
        for layer in module.generator.modules():
            for name in ("dropout", "attention_dropout", "activation_dropout"):
                if isinstance(getattr(layer, name, None), float):
                    setattr(layer, name, 0.0)
    return module


class Gradients(pl.Callback):
    """The gradient of every step of the optimiser."""

    def __init__(self):
        self.found: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.found.append({n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None})


def fit(module: GeneratorModule, train: list[CodeBatch], val: list[CodeBatch] = (), epochs: int = 1, **options):
    """The trainer after training."""
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )
    trainer.fit(module, *(DataLoader(list(part), batch_size=None) for part in (train, val)))
    return trainer


def assert_same_gradients(first: dict, second: dict) -> None:
    assert first.keys() == second.keys() and len(first) > 50
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-6, msg=name)


@torch.no_grad()
def slow_means(module: GeneratorModule, lengths: list[list[int]]) -> dict[str, float]:
    """Loss, accuracy and perplexity per part, one clip and one step after the other."""
    generator = module.generator.eval()
    found: dict[str, list[float]] = {}
    for batch in batches(lengths):
        for i, length in enumerate(batch.lengths.tolist()):
            output = generator(batch.texts[i : i + 1], ["ASL"], Codes.of([batch.codes[i, :length]]))
            for part in output.losses:
                found.setdefault(f"loss_{part}", []).extend([output.losses[part].item()] * (length + 1))
                found.setdefault(f"accuracy_{part}", []).extend([output.accuracy[part].item()] * (length + 1))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return means | {n.replace("loss", "perplexity"): math.exp(v) for n, v in means.items() if n.startswith("loss")}


def test_means_and_perplexity_of_an_epoch_are_over_its_steps(tokenizer):
    module = make_module(tokenizer, dropout=False, label_smoothing=0.3)
    module.optim = Optim(lr=0.0)  # so that training sees what validation sees
    logged = fit(module, batches(LENGTHS), batches(LENGTHS)).callback_metrics
    for name, value in slow_means(module, LENGTHS).items():
        assert logged[f"val/{name}"].item() == pytest.approx(value, rel=1e-4, abs=1e-6), name
        assert logged[f"train/{name}"].item() == pytest.approx(value, rel=1e-4, abs=1e-6), name
    parts = module.generator.spec.streams
    mean = sum(logged[f"val/loss_{part}"].item() for part in parts) / len(parts)
    assert logged["val/loss"].item() == pytest.approx(mean, rel=1e-5)
    assert logged["train/loss"] != pytest.approx(logged["val/loss"].item())  # only the former is smoothed
    assert not any("means" in name for name in module.state_dict())


def test_each_epoch_has_its_own_means(tokenizer):
    module = make_module(tokenizer, dropout=False)
    trainer = fit(module, batches(LENGTHS), batches(LENGTHS), epochs=2)
    for name, value in slow_means(module, LENGTHS).items():
        assert trainer.callback_metrics[f"val/{name}"].item() == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_label_smoothing_is_cross_entropy_against_a_softened_target(tokenizer):
    generator = matching(tokenizer)
    (batch,) = batches([[5, 2]])
    captured = {}
    generator.heads.register_forward_hook(lambda module, inputs, output: captured.update(output))
    arguments = (batch.texts, batch.languages, Codes(batch.codes, batch.lengths))
    output = generator(*arguments, label_smoothing=0.2)
    terms = []
    for index, (part, size) in enumerate(generator.spec.streams.items()):
        values = []
        for clip, length in enumerate(batch.lengths.tolist()):
            for step in range(length + 1):
                log_probability = captured[part][clip, step].log_softmax(-1)
                target = size if step == length else int(batch.codes[clip, step, index])
                wanted = torch.full((size + 1,), 0.2 / (size + 1))
                wanted[target] += 0.8
                values.append(-(wanted * log_probability).sum())
        terms.append(torch.stack(values).mean())
    torch.testing.assert_close(output.loss, torch.stack(terms).mean())
    plain = generator(*arguments)
    assert output.loss > plain.loss
    assert all(torch.equal(output.losses[part], plain.losses[part]) for part in plain.losses)


def test_two_half_batches_have_the_gradient_of_the_whole(tokenizer):
    (whole,) = batches([[6, 6, 6, 6]])
    halves = [
        CodeBatch(whole.codes[rows], whole.lengths[rows], whole.texts[rows], whole.languages[rows], [], [])
        for rows in (slice(0, 2), slice(2, 4))
    ]
    at_once, accumulated = Gradients(), Gradients()
    fit(make_module(tokenizer, dropout=False), [whole], callbacks=[at_once])
    fit(make_module(tokenizer, dropout=False), halves, callbacks=[accumulated], accumulate_grad_batches=2)
    assert len(at_once.found) == len(accumulated.found) == 1
    assert_same_gradients(at_once.found[0], accumulated.found[0])


@pytest.mark.parametrize(("translation", "decoding"), [(0.0, "multi_head"), (1.0, "multi_head"), (0.0, "parallel")])
def test_unequal_batches_are_weighed_by_what_they_say(tokenizer, translation, decoding):
    """Codes, or the tokens of texts: of three short texts with long motions, and of a long one."""
    (whole,) = batches([[9, 6, 7, 2]])
    whole.texts[:] = ["rain", "sun", "snow", "rain and snow and sun tomorrow and rain"]
    parts = [
        CodeBatch(whole.codes[rows], whole.lengths[rows], whole.texts[rows], whole.languages[rows], [], [])
        for rows in (slice(0, 3), slice(3, 4))
    ]
    at_once, accumulated = Gradients(), Gradients()
    for found, given, first in ((at_once, [whole], []), (accumulated, parts, [WeightedAccumulation(2)])):
        module = make_module(tokenizer, dropout=False, translation=translation, decoding=decoding)
        fit(module, given, callbacks=[*first, found], accumulate_grad_batches=len(given))
    assert_same_gradients(at_once.found[0], accumulated.found[0])


@pytest.mark.parametrize("dropout", [False, True])
def test_checkpointing_recomputes_to_the_same_gradients(tokenizer, dropout):
    """In training mode, and with dropout the same masks again."""
    found = []
    for checkpointing in (False, True):
        module = make_module(tokenizer, dropout, checkpointing=checkpointing)
        calls = []
        for layer in (*module.generator.mbart.encoder.layers, *module.generator.mbart.decoder.layers):
            layer.fc1.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        gradients = Gradients()
        torch.manual_seed(5)
        fit(module, batches([[5, 2, 9]]), callbacks=[gradients])
        assert len(calls) == (8 if checkpointing else 4)  # two layers in each half, run again
        found += gradients.found
    assert_same_gradients(*found)


def test_checkpointing_leaves_generation_as_it_is(tokenizer):
    plain, other = (make_module(tokenizer, checkpointing=on).generator for on in (False, True))
    for first, second in zip(plain.generate(["rain"], ["ASL"]), other.generate(["rain"], ["ASL"]), strict=True):
        assert torch.equal(first, second)


NO_CLIPS = CodeBatch(torch.zeros(0, 0, 0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), [], [], [], [])


@pytest.mark.parametrize("changes", [{}, {"translation": 0.5}, {"heads": "tied"}])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_batch_without_clips_gives_every_parameter_a_gradient_of_zero(tokenizer, changes, precision):
    """For which the other processes wait."""
    steps = Gradients()
    module = GeneratorModule(matching(tokenizer, **changes), tokenizer, Optim())
    module.on_train_epoch_end = lambda: None  # there is nothing to log
    fit(module, [NO_CLIPS], callbacks=[steps], precision=precision, gradient_clip_val=1.0)
    (found,) = steps.found
    assert found.keys() == {name for name, p in module.named_parameters() if p.requires_grad}
    assert not any(gradient.any() for gradient in found.values())


def test_validation_does_not_depend_on_the_precision_of_training(tokenizer):
    found = []
    for precision in ("32-true", "bf16-mixed"):
        trainer = pl.Trainer(
            accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, precision=precision
        )
        found += trainer.validate(make_module(tokenizer), DataLoader(batches(LENGTHS), batch_size=None), verbose=False)
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_mixed_precision_trains(tokenizer):
    module = make_module(tokenizer)
    before = {name: value.clone() for name, value in module.generator.named_parameters()}
    trainer = fit(module, batches(LENGTHS), batches(LENGTHS), precision="bf16-mixed")
    assert all(value.isfinite() for value in trainer.callback_metrics.values())
    assert all(value.dtype == torch.float32 for value in module.generator.parameters())
    assert any(not torch.equal(before[name], value) for name, value in module.generator.named_parameters())


class Scripted:
    """A score that counts its calls."""

    def __init__(self, module_epoch):
        self.module_epoch, self.epochs = module_epoch, []

    def compute(self, rank: int, world_size: int, device: torch.device) -> dict[str, torch.Tensor]:
        assert (rank, world_size, device.type) == (0, 1, "cpu")
        self.epochs.append(self.module_epoch() + 1)
        return {"DTW_JPE": torch.tensor(0.5, dtype=torch.float64)}


@pytest.mark.parametrize(("every", "epochs", "scored"), [(2, 5, [2, 4, 5]), (3, 6, [3, 6]), (10, 2, [2])])
def test_generation_is_scored_every_so_many_epochs_and_at_the_end(tokenizer, every, epochs, scored):
    score = Scripted(lambda: module.current_epoch)
    module = make_module(tokenizer, epochs=epochs, generation=score, generate_every=every)
    assert module.monitor == "val/DTW_JPE"
    trainer = fit(module, batches([[3]]), batches([[3]]), epochs=epochs)
    assert score.epochs == scored
    assert trainer.callback_metrics["val/DTW_JPE"] == 0.5


def test_an_epoch_without_validation_is_not_scored(tokenizer):
    score = Scripted(lambda: module.current_epoch)
    module = make_module(tokenizer, epochs=5, generation=score, generate_every=4)
    fit(module, batches([[3]]), batches([[3]]), epochs=5, check_val_every_n_epoch=2)
    assert score.epochs == [4]


def test_without_generation_there_is_nothing_to_choose_by(tokenizer):
    module = make_module(tokenizer)
    assert module.monitor is None
    logged = fit(module, batches([[3]]), batches([[3]])).callback_metrics
    assert not any("DTW" in name for name in logged)


@pytest.mark.parametrize(("texts", "languages"), [("rain", ["ASL"] * 4), (["rain"], "ASL"), (["rain", "sun"], ["ASL"])])
def test_texts_and_languages_come_in_pairs(tokenizer, texts, languages):
    producer = SignProducer(matching(tokenizer), tokenizer)
    with pytest.raises(UserError, match="give a list of texts, and a list of as many sign languages"):
        producer.generate(texts, languages)
    motion = tokenizer.decode_motion(torch.zeros(2, 3, dtype=torch.long), 24.0)
    with pytest.raises(UserError, match="give a list of motions, and a list of as many sign languages"):
        producer.translate(motion, ["ASL"] * len(motion))
