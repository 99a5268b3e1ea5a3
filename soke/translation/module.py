"""Training of a back-translation model with Lightning: CTC and cross-entropy, chosen by the BLEU-4 of validation."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soke.data.clip import Clip, SkippedClip, require_signers
from soke.data.dataset import MotionBatch, MotionSample
from soke.metrics.text_scores import BLEU, WER
from soke.run import processes
from soke.run.module import TrainedModule
from soke.run.precision import in_float32
from soke.run.settings import Optim
from soke.run.training import EpochMeans, no_loss
from soke.text.vocabulary import GlossVocabulary, TextVocabulary
from soke.translation.beam_search import beam_search, spelled_glosses
from soke.translation.model import TranslationOutput
from soke.translation.settings import Translation
from soke.translation.translator import BackTranslator

log = logging.getLogger(__name__)

KIND = "back-translation model"


class TranslationModule(TrainedModule):
    """Trains `translator` on batches of the motion of signers; refuses any other (UserError).

    Logs for both stages <stage>/loss, text and, with glosses, ctc, means over clips; in validation the BLEU-4 of greedy
    translations and, with glosses, the WER in percent of the frames' likeliest ones. All of it is of all processes;
    validation is in float32.

    validation:      items of the validation split, on which `export` chooses the search, whatever process it runs in
    settings:        the weights of the losses, and the searches of which the best is kept
    label_smoothing: of the text's loss in training
    """

    monitor, monitor_mode = "val/BLEU-4", "max"
    section, agreeing = "translator", ("language", "layout_hash", "statistics_hash", "targets_hash")

    def __init__(
        self, translator: BackTranslator, validation: Sequence[MotionSample | SkippedClip],
        settings: Translation, optim: Optim, label_smoothing: float = 0.0,
    ):
        super().__init__()
        self.translator, self.model = translator, translator.model.train()
        self.validation, self.settings, self.optim = validation, settings, optim
        self.label_smoothing = label_smoothing
        self.bleu, self.wer = BLEU(level=translator.targets.level), WER(level="word")
        self.means = {stage: EpochMeans(stage, ("loss", "text", "ctc")) for stage in ("train", "val")}
        self._ids: dict[Clip, tuple[list[int], list[int] | None]] = {}
        self._fitted_on = torch.device("cpu")

    def training_step(self, batch: MotionBatch, batch_index: int) -> Tensor:
        if not batch.clips:  # all were unreadable
            processes.share(torch.zeros(2, device=self.device))
            return no_loss(self)
        loss, _ = self._step(batch, "train")
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(batch.clips))
        return loss

    def on_validation_epoch_start(self) -> None:
        processes.first_to_all(self.model.buffers())  # statistics of each one's own batches; the first's are kept

    @in_float32
    def validation_step(self, batch: MotionBatch, batch_index: int) -> None:
        if not batch.clips:
            return
        _, output = self._step(batch, "val")
        targets, max_tokens = self.translator.targets, self.translator.max_tokens
        sentences = beam_search(self.model, output.memory, 1, max_tokens).best(0.0)
        for clip, ids in zip(batch.clips, sentences):
            hypothesis, reference = targets.texts.tokens_of(ids), targets.tokens_of(clip)
            self.bleu.update_tokens(f"{clip.corpus}/{clip.name}", hypothesis, reference)
        if targets.glosses is None:
            return
        for clip, ids in zip(batch.clips, spelled_glosses(output.gloss_scores, batch.lengths)):
            reference = targets.glosses_of(clip)
            if reference:
                self.wer.update_tokens(f"{clip.corpus}/{clip.name}", targets.glosses.tokens_of(ids), reference)

    def on_validation_epoch_end(self) -> None:
        """Logs the scores. Raises UserError when no clip was read."""
        self.means["val"].log(self)
        bleu = self._computed(self.bleu)
        wer = None if self.translator.targets.glosses is None else self._computed(self.wer)
        self.log("val/BLEU-4", bleu)
        if wer is not None:
            self.log("val/WER", wer)

    def size_of(self, batch: MotionBatch) -> Tensor:
        """Clips."""
        return torch.tensor(len(batch.clips))

    @property
    def trained(self) -> nn.Module:
        return self.model

    def on_fit_end(self) -> None:
        self._fitted_on = self.device  # from which Lightning takes the weights away

    def export(self, folder: Path) -> None:
        """Chooses the search on the validation clips, and writes the model for `BackTranslator.from_pretrained`.

        Every process must call it, for they share the clips; the weights are those of the first, which also writes.
        """
        self.model.to(self._fitted_on)
        processes.first_to_all(self.model.state_dict().values())
        samples = [self.validation[i] for i in range(processes.rank(), len(self.validation), processes.count())]
        samples = [sample for sample in samples if isinstance(sample, MotionSample)]
        require_signers(((sample.clip, sample.motion) for sample in samples), KIND)
        parts = self.translator.layout.names
        features = [torch.cat([sample.features[part] for part in parts], dim=1) for sample in samples]
        references = [self.translator.targets.tokens_of(sample.clip) for sample in samples]
        score = self.translator.choose_search(features, references, self.settings.beams, self.settings.length_penalties)
        if self.global_rank == 0:
            log.info("%d beams, alpha %g: BLEU-4 %.2f on val", self.translator.beams, self.translator.alpha, score)
            self.translator.provenance["val_BLEU-4"] = score
            self.translator.save_pretrained(folder)

    def provenance(self) -> dict[str, Any]:
        return self.translator.provenance

    def _step(self, batch: MotionBatch, stage: str) -> tuple[Tensor, TranslationOutput]:
        """The weighted loss, which it counts with its terms, and what the model did."""
        require_signers(zip(batch.clips, batch.motions), KIND)
        features = torch.cat([batch.features[part] for part in self.translator.layout.names], dim=2)
        if batch.masked is not None:
            features = torch.where(batch.masked[..., None], self.model.mean, features)
        smoothing = self.label_smoothing if stage == "train" else 0.0
        targets = self._targets(batch)
        output = self.model(features, batch.lengths, *targets, smoothing)
        weights, terms = [self.settings.text_weight], {"text": output.text}
        if output.ctc is not None:
            weights, terms["ctc"] = [*weights, self.settings.gloss_weight], output.ctc
        loss = sum(weight * term for weight, term in zip(weights, terms.values()))
        self.means[stage].add({"loss": loss, **terms}, len(batch.clips))
        if stage == "train" and processes.count() > 1:
            shares = processes.share(torch.stack([torch.ones_like(targets[2]).sum(), (targets[2] >= 0).sum()]))
            loss = sum(weight * term * share for weight, term, share in zip(weights, terms.values(), shares))
        return loss, output

    @staticmethod
    def _computed(metric: BLEU | WER) -> Tensor | None:
        """Percent over the clips of all processes, None where no clip was scored; the next validation begins anew."""
        try:
            *_, last = metric.compute().values()
        except ValueError:
            return None
        finally:
            metric.reset()
        return last["percent"].float()

    def _targets(self, batch: MotionBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Ids of the sentences [B, L] and of the glosses [B, G], and the number of glosses [B], -1 where none."""
        device = batch.lengths.device
        texts, glosses = zip(*(self._clip_ids(clip) for clip in batch.clips))
        counts = torch.tensor([-1 if ids is None else len(ids) for ids in glosses], device=device)
        padded = _padded([ids or [] for ids in glosses], GlossVocabulary.PADDING)
        return _padded(texts, TextVocabulary.PADDING).to(device), padded.to(device), counts

    def _clip_ids(self, clip: Clip) -> tuple[list[int], list[int] | None]:
        if clip not in self._ids:  # segmentation and lemmas take longer than reading the clip
            targets = self.translator.targets
            text, glosses = targets.texts.ids(targets.tokens_of(clip)), targets.glosses_of(clip)
            ids = None if glosses is None else targets.glosses.ids(glosses)
            self._ids[clip] = [TextVocabulary.BEGIN, *text, TextVocabulary.END], ids
        return self._ids[clip]


def _padded(ids: Sequence[Sequence[int]], padding: int) -> Tensor:
    return pad_sequence([torch.tensor(row, dtype=torch.int64) for row in ids], True, padding)
