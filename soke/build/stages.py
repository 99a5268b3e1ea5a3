"""Stages."""

from __future__ import annotations

from soke.build.body import body_model
from soke.build.data import val_motions
from soke.build.generator import new_generator
from soke.build.tokenizer import new_tokenizer, trained_tokenizer
from soke.build.translation import translation_module
from soke.data.datamodule import SignDataModule
from soke.evaluation.validation import GenerationScore, spread_samples
from soke.generator.module import GeneratorModule
from soke.generator.producer import SignProducer
from soke.run.config import Config
from soke.run.training import OptimSettings
from soke.tokenizer.module import LossWeights, TokenizerModule
from soke.translation.module import TranslationModule


def training_module(config: Config, data: SignDataModule) -> TokenizerModule | GeneratorModule | TranslationModule:
    """On the CPU; what trains or scores moves to the device that the trainer gives each process."""
    if config.train.stage == "translation":
        return translation_module(config, data)
    o = config.train.optim
    optim = OptimSettings(config.train.end_epoch, o.lr, tuple(o.betas), o.weight_decay, o.eta_min, o.warmup_epochs)
    if config.train.stage == "tokenizer":
        loss = config.loss
        weights = LossWeights(loss.feature, loss.commitment, loss.velocity, loss.reduction)
        return TokenizerModule(new_tokenizer(config, data.corpora), body_model(config, "cpu"), weights, optim)
    tokenizer = trained_tokenizer(config, "cpu")
    generator, score = new_generator(config, tokenizer, data), None
    if config.eval.generate_every:
        samples, skipped = spread_samples(val_motions(config, data), config.eval.generate_clips)
        data.record(skipped)
        producer = SignProducer(generator, tokenizer, batch_size=config.eval.batch_size)
        score = GenerationScore(producer, body_model(config, "cpu"), samples, config.metric.dtw)
    return GeneratorModule(
        generator, tokenizer, optim, config.train.label_smoothing, config.train.checkpointing, score,
        config.eval.generate_every,
    )
