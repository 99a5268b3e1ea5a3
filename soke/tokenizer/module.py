"""Training of a SignTokenizer with Lightning: losses, optimiser, validation by reconstruction error."""
from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Literal

import torch
from torch import Tensor, nn

from soke.body.posed import Posed
from soke.errors import UserError
from soke.metrics.codebook import CodebookUse
from soke.metrics.motion_errors import MotionErrors
from soke.metrics.part_errors import PartErrors
from soke.run import processes
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.saving import Running
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss, scoring
from soke.tokenizer.codes import module_name
from soke.tokenizer.losses import reconstruction, velocity
from soke.tokenizer.output import TokenizerOutput
from soke.tokenizer.quantizers.codebook import CodebookQuantizer
from soke.tokenizer.saved import check_provenance
from soke.tokenizer.settings import Loss
from soke.tokenizer.tokenizer import SignTokenizer

if TYPE_CHECKING:
    from soke.data.dataset import MotionBatch

log = logging.getLogger(__name__)

_AUTOENCODERS = "tokenizer.autoencoders"  # the submodule


class TokenizerModule(TrainedModule):
    """Trains `tokenizer` on batches of motion; validates by what becomes of the joints and meshes.

    Logs for both stages <stage>/loss, feature, velocity (when weighted), means over frames, codebook_percent_<stream>
    and perplexity_<stream>; in training commitment_<part>; in validation, which is in float32, the names of
    `MotionErrors`, in mm. All of it is of all processes. Each part is trained and compared in the clips that have it;
    `MotionErrors` are those of clips that have all.

    best: what is exported: whole: the checkpoint with the lowest val/loss; per_part: of each part the weights with the
          lowest val/part_error_<part>, see `PartErrors` (M3T, appendix D.1: per modality, by the vertex error)

    epochs: submodule, or "" for all -> epoch of its training, from 0, that its weights are of; set before an export
    """

    section = "tokenizer"

    def __init__(
        self, tokenizer: SignTokenizer, body: Posed, loss: Loss, optim: Optim,
        best: Literal["whole", "per_part"] = "whole",
    ):
        super().__init__()
        self.tokenizer = tokenizer.train()  # Lightning would leave a loaded one in evaluation mode, its codebook fixed
        self.loss, self.optim = loss, optim
        hashes = {"layout": tokenizer.layout.hash, "statistics": tokenizer.statistics.hash}
        self.motion_errors = MotionErrors(body, **hashes)
        self.part_errors: PartErrors | None = None
        self.monitor: str | dict[str, str] = "val/loss"
        if best == "per_part":
            self.part_errors = PartErrors(body, tokenizer.layout, hashes["statistics"])
            self.monitor = {f"{_AUTOENCODERS}.{part}": f"val/part_error_{part}" for part in tokenizer.autoencoders}
        self.epochs: dict[str, int] = {}
        self._unsettled: set[str] = set()  # parts of whose codes this has been said
        names = ["loss", "feature", "velocity", *(f"commitment_{part}" for part in tokenizer.autoencoders)]
        of_parts = [f"{term}/{part}" for term in ("feature", "velocity") for part in tokenizer.parts]
        of_parts += [f"loss/{name}" for name in (*of_parts, *names[3:])]
        self.means = {"train": EpochMeans("train", names), "val": EpochMeans("val", names + of_parts)}
        self.codebook_use = nn.ModuleDict(
            {
                f"{stage}_stage": nn.ModuleDict(
                    {module_name(name): CodebookUse(size, name, **hashes) for name, size in tokenizer.streams.items()}
                )
                for stage in ("train", "val")
            }
        )

    @property
    def running(self) -> dict[str, Running]:
        return {**super().running, **self.codebook_use["train_stage"]}

    def training_step(self, batch: MotionBatch, batch_idx: int) -> Tensor:
        if not batch.clips:
            for part, autoencoder in self.tokenizer.autoencoders.items():  # as the other processes do with their clips
                autoencoder.quantizer(torch.zeros(0, self.tokenizer.settings[part].code_dim, 1, device=self.device))
            counts = [processes.mean_over_all(torch.zeros(n, device=self.device)) for n in self._counted]
            terms = ["loss", "feature", *["velocity"] * bool(self.loss.velocity)]
            terms += [f"commitment_{part}" for part in self.tokenizer.autoencoders]
            self.means["train"].add(dict.fromkeys(terms, torch.zeros((), device=self.device)), counts[1][0])
            return no_loss(self)
        output = self.tokenizer(batch.features, batch.lengths, batch.frames, batch.rows)
        loss = self._loss(output, "train", len(batch.lengths))
        self._count_codes(output, "train")
        return loss

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self._log_codebooks("train")
        self._warn_of_restarts()

    @in_float32
    def validation_step(self, batch: MotionBatch, batch_idx: int) -> None:
        if not batch.clips:
            return
        output, layout = self.tokenizer(batch.features, batch.lengths, batch.frames, batch.rows), self.tokenizer.layout
        self._loss(output, "val", len(batch.lengths))
        self._count_codes(output, "val")
        codes = [codes.clamp(min=0) for codes in output.codes.clips()]  # of parts that a clip lacks, any will do
        rebuilt = self.tokenizer.decode_like(codes, batch.motions, len(batch.clips))
        for clip, motion, reconstructed in zip(batch.clips, batch.motions, rebuilt, strict=True):
            observed = layout.observed(motion)
            reference = layout.covered(motion.frames(slice(len(reconstructed))), observed).to(self.device)
            whole = self.motion_errors if len(observed) == len(layout.parts) else None
            for errors in filter(None, (whole, self.part_errors)):
                with scoring():
                    errors.update(f"{clip.corpus}/{clip.name}", reconstructed, reference)

    def on_validation_epoch_end(self) -> None:
        self.means["val"].log(self)
        self._log_codebooks("val")
        with suppress(ValueError):  # no clip of the split has all parts
            self.log_dict({f"val/{name}": value for name, value in self.motion_errors.compute().items()})
        self.motion_errors.reset()
        if self.part_errors is not None:
            self.log_dict({f"val/part_error_{part}": value for part, value in self._of_parts(self.part_errors).items()})
            self.part_errors.reset()

    def size_of(self, batch: MotionBatch) -> Tensor:
        """Frames."""
        return batch.lengths.sum()

    @property
    def trained(self) -> nn.Module:
        return self.tokenizer

    def export(self, folder: Path) -> None:
        """Writes the tokenizer for `SignTokenizer.from_pretrained`; of several processes, the first does."""
        if self.global_rank == 0:
            of_all = self.epochs.get("")
            epochs = {p: self.epochs.get(f"{_AUTOENCODERS}.{p}", of_all) for p in self.tokenizer.autoencoders}
            self.tokenizer.epochs = {part: epoch for part, epoch in epochs.items() if epoch is not None}
            self.tokenizer.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        """What the run's model is made of, in plain types; with the body by which its parts' epochs are chosen."""
        body = {} if self.part_errors is None else {"body": self.part_errors.body.label}
        return {**self.tokenizer.provenance(), **body}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises UserError for a checkpoint of another layout, of other statistics or sizes, or of parts that were
        compared on another body."""
        check_provenance(checkpoint.get(self.section, {}), self.provenance(), "the tokenizer's checkpoint")

    def _of_parts(self, errors: PartErrors) -> dict[str, float]:
        """Raises UserError for a part that no clip of the split has."""
        try:
            return errors.compute()
        except ValueError as error:
            raise UserError(
                f"{error} in the val split, by which its epoch could be chosen: add a corpus that has it, or set "
                "`best`=whole"
            ) from None

    @property
    def _counted(self) -> list[int]:
        """How many numbers the processes add up in a training step's loss, one time after the other."""
        of_parts = 1 if self.loss.reduction == "all" else len(self.tokenizer.parts)
        return [of_parts, 1 + len(self.tokenizer.autoencoders)] + [of_parts] * bool(self.loss.velocity)

    def _loss(self, output: TokenizerOutput, stage: str, batch_size: int) -> Tensor:
        """The weighted sum of the terms; all of them count for the epoch's means. In training the mean of the processes'
        losses is the loss of one process that has the batches of all."""
        weights, mean = self.loss, processes.mean_over_all if stage == "train" else lambda counts: counts
        compared = output.reconstruction, output.target, output.masks, weights.kind, weights.reduction, mean
        logged = {"feature": reconstruction(*compared)}
        loss = weights.feature * logged["feature"]
        frames, shares = self._shares(output, mean)
        commitment, codebook = (
            {part: value * shares[part] for part, value in of.items()} for of in (output.commitment, output.codebook)
        )
        loss = loss + weights.commitment * sum(commitment.values())
        loss = loss + weights.codebook * sum(codebook.values())
        if weights.velocity:
            logged["velocity"] = velocity(*compared)
            loss = loss + weights.velocity * logged["velocity"]
        if stage == "train":
            logged.update({f"commitment_{part}": value for part, value in commitment.items()})
        if stage == "val" and weights.reduction == "per_part":
            self._count_parts(output)
        else:
            self.means[stage].add({**logged, "loss": loss}, frames)
        if stage == "train":
            self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=batch_size)
        return loss

    def _count_parts(self, output: TokenizerOutput) -> None:
        """Counts a validation batch's terms part by part, each a mean over the frames of the clips that have the part: the
        epoch's are those of one batch with all clips, whoever has which."""
        weights, means, frames = self.loss, self.means["val"], dict.fromkeys(output.commitment, 0)
        for part, mask in output.masks.items():
            compared = *({part: of[part]} for of in (output.reconstruction, output.target, output.masks)), weights.kind
            terms = {"feature": (reconstruction(*compared), mask)}
            if weights.velocity:
                terms["velocity"] = velocity(*compared), mask[:, 1:] & mask[:, :-1]
            for term, (value, counted) in terms.items():
                name, weighted = f"{term}/{part}", getattr(weights, term) * value
                means.add({name: value, f"loss/{name}": weighted}, counted.sum())
            distinct = self.tokenizer.layout.distinct[part]
            frames[distinct] = frames[distinct] + mask.sum()
        for part, pull in output.commitment.items():
            learnt = weights.commitment * pull + weights.codebook * output.codebook[part]
            means.add({f"loss/commitment_{part}": learnt}, frames[part])

    def _shares(
        self, output: TokenizerOutput, mean: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`mean` of the frames [], and how much of the mean of its own a distinct part has []."""
        frames = dict.fromkeys(self.tokenizer.autoencoders, 0)
        for part, distinct in self.tokenizer.layout.distinct.items():
            frames[distinct] = frames[distinct] + output.masks[part].sum()
        own = torch.stack([output.frames.sum(), *frames.values()])
        counts = mean(own)
        return counts[0], dict(zip(frames, own[1:] / counts[1:].clamp(min=1)))

    def _warn_of_restarts(self) -> None:
        """Says once of a part that most of its codes do not last, with batches too small for them or a codebook that has
        collapsed."""
        for part, autoencoder in self.tokenizer.autoencoders.items():
            books = [b for b in autoencoder.quantizer.modules() if isinstance(b, CodebookQuantizer) and b.training]
            restarting, codes = sum(book.restarting() for book in books), sum(book.num_codes for book in books)
            if 2 * restarting > codes and part not in self._unsettled:
                self._unsettled.add(part)
                if self.global_rank == 0:
                    log.warning(
                        "%d of the %d codes of %s start anew with every batch, as those do that are chosen less than once in "
                        "one: choose larger batches (TRAIN.BATCH_SIZE, which TRAIN.ACCUMULATE does not replace) or fewer codes",
                        restarting, codes, part,
                    )

    def _count_codes(self, output: TokenizerOutput, stage: str) -> None:
        for use, codes in zip(self.codebook_use[f"{stage}_stage"].values(), output.codes.values.unbind(2)):
            use.update(codes, codes >= 0)

    def _log_codebooks(self, stage: str) -> None:
        for stream, use in zip(self.tokenizer.streams, self.codebook_use[f"{stage}_stage"].values()):
            values = use.compute()
            self.log(f"{stage}/codebook_percent_{stream}", values["percent"].float())
            self.log(f"{stage}/perplexity_{stream}", values["codes"].float())
            use.reset()
