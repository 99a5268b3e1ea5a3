"""Training of the generator: cross-entropy per head, or of the text where it learns to translate; AdamW with a cosine
schedule, validation by generation."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn

from soke import __version__
from soke.data.dataset import CodeBatch
from soke.errors import UserError
from soke.evaluation.validation import GENERATED, GenerationScore
from soke.generator.adapters import merged, require_learning
from soke.generator.model import SignGenerator
from soke.generator.producer import SignProducer
from soke.run import processes, sharding
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss, scoring
from soke.tokenizer.codes import Codes
from soke.tokenizer.tokenizer import SignTokenizer


class GeneratorModule(TrainedModule):
    """Logs for both stages, under teacher forcing, the loss and per stream the cross-entropy in nats, accuracy and
    perplexity, means over the epoch's token steps; the same loss and accuracy of the text, where the generator's
    `translation` is a share of the batches (M3T, section 3.3); and what `generation` says of generated motion. All of
    it is of all processes; validation is in float32.

    label_smoothing: share of the target's probability that the training loss spreads over a stream's codes; what is
                     logged per stream, and the validation loss, are without it
    checkpointing:   mBART's activations are not kept but computed again in the backward pass
    generation:      the score by which the exported checkpoint is chosen. None: the last one is exported, because
                     cross-entropy grows again long before generated motion gets worse
    generate_every:  epochs between two scores; the last epoch, where it is validated, is scored too
    """

    def __init__(
        self, generator: SignGenerator, tokenizer: SignTokenizer, optim: Optim, label_smoothing: float = 0.0,
        checkpointing: bool = False, generation: GenerationScore | None = None, generate_every: int = 1,
    ):
        super().__init__()
        self.generator, self.optim = generator.train(), optim  # Lightning would leave a loaded model in evaluation mode
        self._producer = SignProducer(generator, tokenizer)  # no torch module: checkpoints leave the tokenizer out
        self.label_smoothing, self.generation, self.generate_every = label_smoothing, generation, generate_every
        self.monitor, self.monitor_mode = None if generation is None else "val/DTW_JPE", "min"
        if checkpointing:
            mbart = generator.mbart  # transformers has renamed it since 5.17
            enable = getattr(mbart, "activation_checkpointing_enable", None) or mbart.gradient_checkpointing_enable
            enable({"use_reentrant": False})  # the other kind needs inputs with gradients, and fails with DDP
        mbart = generator.mbart.config
        self._drops_layers = mbart.encoder_layerdrop > 0 or mbart.decoder_layerdrop > 0
        names = [f"{kind}_{stream}" for kind in ("loss", "accuracy") for stream in generator.spec.streams]
        names += ["loss", "translation_loss", "translation_accuracy"]
        self.means = {stage: EpochMeans(stage, names) for stage in ("train", "val")}
        self._weight = torch.zeros(())  # what the last training batch's loss is a mean of

    @property
    def later(self) -> tuple[str, ...]:
        """Scores that not every validation has."""
        return GENERATED if self.generation is not None else ()

    def configure_model(self) -> None:
        """Under FSDP divides the generator among the processes, mBART's layers one by one; a twin of it signs."""
        generator, strategy = self.generator, self.trainer.strategy
        if not isinstance(strategy, ModelParallelStrategy) or self._producer.generator is not generator:
            return
        if self._drops_layers:
            raise UserError(
                "GENERATOR.LAYERDROP leaves out other layers in each process, which TRAIN.STRATEGY=fsdp puts together from "
                "all: set it to 0, or TRAIN.STRATEGY to ddp"
            )
        layers = [*generator.mbart.encoder.layers, *generator.mbart.decoder.layers]
        twin = sharding.divide(generator, layers, ["translation", "idle"], strategy.root_device, [generator.source])
        self._producer.generator = twin
        if self.generation is not None:
            self.generation.producer.generator = twin

    @contextmanager
    def signing(self) -> Iterator[None]:
        """What produces motion has all weights until the block ends. Every process must call it."""
        with sharding.filled(self._producer.generator, self.generator):
            yield

    def on_fit_end(self) -> None:
        twin, divided = self._producer.generator, self.generator
        if twin is not divided:
            sharding.fill(twin, divided)
            self.generator = twin

    def training_step(self, batch: CodeBatch, batch_index: int) -> torch.Tensor:
        self._weight = (batch.lengths + 1).sum()  # with the end of each clip
        loss = self._drawn()(batch, "train")
        if self._drops_layers:
            loss = loss + no_loss(self.generator.mbart)  # DDP waits for the gradients of layers that were left out, too
        return loss

    @in_float32
    def validation_step(self, batch: CodeBatch, batch_index: int) -> None:
        self._step(batch, "val")
        if self.generator.spec.settings.translation:
            self._translation_step(batch, "val")

    @property
    def shares(self) -> dict[Callable[[CodeBatch, str], torch.Tensor], float]:
        """The objectives beside learning to sign -> their shares of the training batches."""
        return {self._translation_step: self.generator.spec.settings.translation}

    def _drawn(self) -> Callable[[CodeBatch, str], torch.Tensor]:
        """What a training batch learns; the same in all processes, whose batches are one step."""
        shares = {step: share for step, share in self.shares.items() if share}
        number = self.trainer.strategy.broadcast(torch.rand(()).item()) if shares else 1.0
        for step, share in shares.items():
            if number < share:
                return step
            number -= share
        return self._step

    def _step(self, batch: CodeBatch, stage: str) -> torch.Tensor:
        if not batch.texts:  # every clip of the batch was unreadable
            return self._idle(len(self.generator.spec.streams), stage)
        smoothing = self.label_smoothing if stage == "train" else 0.0
        output = self.generator(
            batch.texts, batch.languages, Codes(batch.codes, batch.lengths), smoothing, batch.clips or None
        )
        values = {"loss": output.loss}
        for stream in output.losses:
            values |= {f"loss_{stream}": output.losses[stream], f"accuracy_{stream}": output.accuracy[stream]}
        self.means[stage].add(values, (batch.lengths + 1).sum())  # and the end of each clip
        loss = output.loss
        if stage == "train":
            self.log("loss", output.loss.detach(), prog_bar=True, logger=False, batch_size=len(batch.texts))
            loss = (output.trained * processes.share(output.counts)).mean()
        return loss + no_loss(self.generator.text_head)  # see `_translation_step`

    def _translation_step(self, batch: CodeBatch, stage: str) -> torch.Tensor:
        if not batch.texts:
            return self._idle(1, stage)
        codes = Codes(batch.codes, batch.lengths)
        output = self.generator.translation(codes, batch.texts, batch.languages)
        values = {"translation_loss": output.loss, "translation_accuracy": output.accuracy}
        self.means[stage].add(values, output.count)
        loss = output.loss
        if stage == "train":
            loss = loss * processes.share(torch.full((), output.count, device=self.device))
            self._weight = torch.full((), output.count, device=self.device)
        # the processes wait for the gradient of every parameter, and the heads of the codes take no part in this loss
        return loss + no_loss(self.generator.heads)

    def _idle(self, counts: int, stage: str) -> torch.Tensor:
        """The loss of a batch without clips, while others count `counts` numbers of things of theirs. A generator that is
        divided computes with them, who need its part of the weights."""
        divided = self._producer.generator is not self.generator
        nothing = self.generator.idle() if divided else no_loss(self)
        if stage == "train":
            processes.share(torch.zeros(counts, device=self.device))
        return nothing + no_loss(self.generator.heads) + no_loss(self.generator.text_head) if divided else nothing

    def on_train_epoch_end(self) -> None:
        self._log_means("train")

    @in_float32
    def on_validation_epoch_end(self) -> None:
        self._log_means("val")
        self._score()

    def _score(self) -> None:
        """Logs the scores of generated motion, where it is time for them."""
        epoch = self.current_epoch + 1
        if self.generation is None or (epoch % self.generate_every and epoch != self.trainer.max_epochs):
            return
        with self.signing(), scoring():
            scores = self.generation.compute(self.global_rank, self.trainer.world_size, self.device)
        self.log_dict({f"val/{name}": value.float() for name, value in scores.items()})

    def _log_means(self, stage: str) -> None:
        for name, mean in self.means[stage].log(self).items():
            if name.startswith("loss_"):
                self.log(f"{stage}/perplexity_{name.removeprefix('loss_')}", mean.exp())

    def size_of(self, batch: CodeBatch) -> torch.Tensor:
        """Token steps, with the end of each clip; of a batch that was translated, the texts' tokens."""
        return self._weight

    @property
    def trained(self) -> nn.Module:
        return self.generator

    def configure_optimizers(self) -> dict[str, Any]:
        require_learning(self.generator)
        return super().configure_optimizers()

    def export(self, folder: Path) -> None:
        """Writes generator and tokenizer for `SignProducer.from_pretrained`; of several processes, the first does."""
        if self.global_rank == 0:
            with merged(self.generator):
                self._producer.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        """What the run's models are made of, in plain types."""
        tokenizer = self._producer.tokenizer
        return {
            **tokenizer.provenance(),
            "tokenizer hash": tokenizer.hash,
            **self.generator.spec.to_plain(),
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        spec = self.generator.spec
        checkpoint["soke"] = {"version": __version__, "tokenizer_hash": spec.tokenizer_hash, "data": spec.data}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises UserError for a checkpoint that was trained on the codes of another tokenizer, or on other data."""
        theirs = checkpoint.get("soke", {}).get("tokenizer_hash")
        ours = self.generator.spec.tokenizer_hash
        if theirs != ours:
            raise UserError(
                f"this checkpoint was trained on the codes of tokenizer {theirs}, the run uses tokenizer {ours}: "
                "start a new run, or go on with the tokenizer that it was trained with"
            )
        if checkpoint["soke"].get("data", self.generator.spec.data) != self.generator.spec.data:
            raise UserError(
                "the training sentences or their codes are others than those that this checkpoint was trained on: "
                "start a new run, or use the corpora and the codes of that one"
            )
