"""Training of the back-translation model: overfitting, what is logged, the learning rate, resuming, what it refuses."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from soke.data.clip import SkippedClip
from soke.data.dataset import MotionSample, collate_motions
from soke.errors import UserError
from soke.run.settings import Optim
from soke.translation import BackTranslator
from soke.translation.module import TranslationModule
from tests.translation.helpers import (
    SENTENCES,
    SETTINGS,
    TRAINING,
    bleu4,
    fit,
    loader,
    plateau,
    sample,
    samples,
    translator,
)

FEW = replace(TRAINING, beams=[1, 2], length_penalties=[0.0, 1.0])
QUICK = plateau(lr=5e-3)
PLAIN = replace(SETTINGS, dropout=0.0)


def make_module(items: list[MotionSample], optim: Optim = QUICK, **options) -> TranslationModule:
    """options: of the translator, of the training's settings, and label_smoothing"""
    made_of = {name: options.pop(name) for name in ("settings", "pseudo_glosses") if name in options}
    smoothing = options.pop("label_smoothing", 0.0)
    return TranslationModule(translator(items, **made_of), items, replace(FEW, **options), optim, smoothing)


@pytest.fixture(scope="module")
def trained() -> tuple[TranslationModule, pl.Trainer, list[MotionSample]]:
    items = samples()
    module = make_module(items, gloss_weight=5.0, settings=PLAIN)
    return module, fit(module, loader(items), loader(items, 3), epochs=50), items


def test_a_few_sentences_are_learnt_by_heart(trained):
    module, trainer, items = trained
    assert trainer.callback_metrics["val/BLEU-4"].item() == pytest.approx(100.0)
    assert trainer.callback_metrics["val/WER"] == 0
    assert module.translator.translate([item.motion for item in items]) == list(SENTENCES)
    assert (module.monitor, module.monitor_mode) == ("val/BLEU-4", "max")


def test_the_export_holds_the_weights_and_the_search(trained, tmp_path: Path):
    module, _, items = trained
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(weights)
    module.export(tmp_path / "model")
    loaded = BackTranslator.from_pretrained(tmp_path / "model")
    assert loaded.translate([item.motion for item in items]) == list(SENTENCES)
    assert (loaded.beams, loaded.alpha) == (1, 0.0)  # the first of those that say all four
    assert loaded.provenance["val_BLEU-4"] == pytest.approx(100.0)
    assert loaded.provenance["trained_on"] == "reference motion" and loaded.provenance["training_clips"] == 4
    assert loaded.hash == module.translator.hash


def validated(module: TranslationModule, items: list[MotionSample], **options) -> dict[str, float]:
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, **options,
    )
    return trainer.validate(module, loader(items, 3), verbose=False)[0]


def test_what_is_logged_is_of_the_whole_split(trained):
    """At a model that says something, but not all of it right."""
    items = samples()
    module = make_module(items, settings=PLAIN)
    fit(module, loader(items), loader(items), epochs=20)
    others = [*items[:3], sample("new", "it will rain here tonight", "IT WILL RAIN HERE TONIGHT UNHEARD")]
    logged = validated(module, others)
    model = module.translator.model.eval()
    terms: dict[str, list[float]] = {"text": [], "ctc": []}
    for item in others:
        batch = collate_motions([item])
        features = torch.cat(list(batch.features.values()), 2)
        with torch.no_grad():
            output = model(features, batch.lengths, *module._targets(batch))
        terms["text"].append(output.text.item())
        terms["ctc"].append(output.ctc.item())
    means = {name: sum(values) / len(values) for name, values in terms.items()}
    assert logged["val/text"] == pytest.approx(means["text"], rel=1e-4)
    assert logged["val/ctc"] == pytest.approx(means["ctc"], rel=1e-4)
    assert logged["val/loss"] == pytest.approx(means["text"] + means["ctc"], rel=1e-4)
    said = [text.split() for text in module.translator.translate([item.motion for item in others])]
    expected = bleu4(said, [item.clip.text.split() for item in others])
    assert 0 < expected < 100
    assert logged["val/BLEU-4"] == pytest.approx(expected, rel=1e-5)
    assert logged["val/WER"] > 0
    assert validated(module, others, precision="bf16-mixed") == pytest.approx(logged, rel=1e-6)
    twice = validated(module, [*others, others[3], others[3]])  # as when a distributed sampler fills up a batch
    assert all(twice[name] == logged[name] for name in ("val/BLEU-4", "val/WER")) and twice != logged


def test_weights_of_the_losses_and_smoothing_in_training_alone():
    items = samples()
    losses = dict(gloss_weight=0.5, text_weight=2.0, label_smoothing=0.3)
    module = make_module(items, plateau(lr=0.0), **losses, settings=PLAIN)
    for norm in (module.model.frame_norm, module.model.text_norm):
        norm.momentum = 1.0  # so that validation sees the batch that training saw
    logged = fit(module, loader(items), loader(items), epochs=2).callback_metrics
    for stage in ("train", "val"):
        expected = 0.5 * logged[f"{stage}/ctc"] + 2 * logged[f"{stage}/text"]
        assert logged[f"{stage}/loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert logged["train/ctc"].item() == pytest.approx(logged["val/ctc"].item(), rel=0.02)
    assert abs(logged["train/text"] - logged["val/text"]) > 0.1


def test_a_corpus_without_glosses_is_learnt_without_ctc_or_with_pseudo_glosses():
    for pseudo in (False, True):
        items = samples(glosses=False)
        logged = fit(make_module(items, pseudo_glosses=pseudo), loader(items), loader(items), epochs=1).callback_metrics
        assert ("train/ctc" in logged) == ("val/ctc" in logged) == ("val/WER" in logged) == pseudo
        if not pseudo:
            torch.testing.assert_close(logged["train/loss"], logged["train/text"])


def test_motion_that_a_model_made_is_refused():
    made = sample("copy", SENTENCES[0], made_by="tokenizer 0123456789ab")
    items = samples()
    message = "clip tiny/copy holds motion made by tokenizer 0123456789ab.*trained on reference motion alone"
    with pytest.raises(UserError, match=message):
        fit(make_module(items), loader([*items, made], 5), loader(items), epochs=1)
    with pytest.raises(UserError, match=message):
        fit(make_module(items), loader(items), loader([*items, made]), epochs=1)


def test_the_search_is_not_chosen_on_motion_that_a_model_made(tmp_path: Path):
    module = make_module(samples())
    module.validation = [sample("copy", SENTENCES[0], made_by="somebody")]
    with pytest.raises(UserError, match="tiny/copy holds motion made by somebody"):
        module.export(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_unreadable_clips_are_passed_over(tmp_path: Path):
    items, lost = samples(), SkippedClip("tiny", "lost", "gone")
    module = make_module(items)
    module.validation = [lost, *items]
    trainer = fit(module, loader([lost, *items, lost, lost], 2), loader([lost, lost, *items], 2), epochs=1)
    assert trainer.callback_metrics["train/loss"].isfinite()
    module.export(tmp_path / "model")
    with pytest.raises(UserError, match="no clip of the val split can be read"):
        fit(make_module(items), loader(items), loader([lost]), epochs=1)


def test_a_batch_of_unreadable_clips_gives_every_parameter_a_gradient_of_zero():
    """For which the other processes wait."""
    module = make_module(samples())
    module.training_step(collate_motions([SkippedClip("tiny", "lost", "gone")]), 0).backward()
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


def test_the_rate_falls_when_bleu_does_not_rise_and_training_ends_at_the_least_rate():
    items = samples()
    for every in (1, 2):
        optim = plateau(lr=1e-6, factor=0.1, patience=1, eta_min=2e-8)  # too slow to learn anything
        module = make_module(items, optim)
        trainer = fit(module, loader(items), loader(items), epochs=50, check_val_every_n_epoch=every)
        # the first sets the mark, every second after it makes the rate smaller: 1e-7, then 2e-8
        assert trainer.current_epoch == 5 * every
        assert trainer.optimizers[0].param_groups[0]["lr"] == optim.eta_min


def test_the_optimiser_is_adam_as_published():
    items = samples()
    (optimizer,) = fit(make_module(items, plateau()), loader(items), loader(items), epochs=1).optimizers
    group = optimizer.param_groups[0]
    assert type(optimizer) is torch.optim.Adam
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-3, (0.9, 0.998), 1e-3)
    assert sum(map(len, (g["params"] for g in optimizer.param_groups))) == len(list(make_module(items).parameters()))


def test_a_resumed_run_ends_as_one_without_interruption(tmp_path: Path):
    items = samples()
    optim = plateau(lr=1e-4, factor=0.5, patience=0)  # smaller after every validation but the first
    straight = make_module(items, optim, settings=PLAIN)
    whole = fit(straight, loader(items, 2), loader(items), epochs=4)
    checkpoint = ModelCheckpoint(tmp_path, filename="last", save_on_train_epoch_end=True)
    options = {"enable_checkpointing": True, "callbacks": [checkpoint]}
    fit(make_module(items, optim, settings=PLAIN), loader(items, 2), loader(items), epochs=2, **options)
    resumed = make_module(items, optim, settings=PLAIN)
    rest = fit(resumed, loader(items, 2), loader(items), epochs=4, resume=tmp_path / "last.ckpt")
    assert rest.callback_metrics["val/loss"] == whole.callback_metrics["val/loss"]
    assert rest.optimizers[0].param_groups[0]["lr"] == whole.optimizers[0].param_groups[0]["lr"] == 1e-4 / 8
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_other_data_is_refused():
    module = make_module(samples())
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    assert checkpoint["translator"]["trained_on"] == "reference motion"
    other = make_module([*samples(), sample("more", "an unheard word")])
    with pytest.raises(UserError, match="statistics hash|targets hash"):
        other.on_load_checkpoint(checkpoint)
    with pytest.raises(UserError, match="its language is None, the run's is ASL"):
        module.on_load_checkpoint({})


def test_mixed_precision_trains():
    items = samples()
    logged = fit(make_module(items), loader(items), loader(items), epochs=1, precision="bf16-mixed").callback_metrics
    assert all(value.isfinite() for value in logged.values())


def test_masked_frames_are_read_as_the_mean_pose():
    """Whatever is in them; and in frames that are not masked every number counts."""
    items = samples()
    module = make_module(items, settings=PLAIN)
    module.model.eval()
    masks = [torch.arange(len(item.motion)) % 5 < 2 for item in items]
    parts = module.translator.layout.sizes
    mean = dict(zip(parts, module.model.mean.split(list(parts.values()))))

    def loss(masked: bool, change: float = 0.0, mean_pose: bool = False) -> float:
        changed = [
            replace(
                item, masked=mask if masked else None,
                features={
                    part: torch.where(mask[:, None], mean[part] if mean_pose else values + change, values)
                    for part, values in item.features.items()
                },
            ) for item, mask in zip(items, masks)
        ]
        return module._step(collate_motions(changed), "train")[0].item()

    assert loss(True) == loss(True, change=3.0) == loss(False, mean_pose=True) != loss(False)
    assert loss(False, change=3.0) != loss(False)
