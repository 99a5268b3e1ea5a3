"""SignTokenizer: motion features to codes and back, one autoencoder per distinct part of the body."""
from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import soke
from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.data.dataset import PADDING_CODE
from soke.data.sampling import SortedBatches
from soke.data.statistics import Statistics
from soke.data.storage.formats import SOKE_FRAMES
from soke.errors import UserError
from soke.hashing import StateHash
from soke.hub import model_folder
from soke.run.precision import whole_float32
from soke.saved import FORMAT, check_format, require
from soke.settings import SettingsError
from soke.sharing import Shared
from soke.storage import new_folder
from soke.tokenizer.codes import Codes
from soke.tokenizer.output import TokenizerOutput
from soke.tokenizer.part import PartAutoencoder, ValidSteps, of_clips, spread_out
from soke.tokenizer.saved import CONFIG_FILE, HOW_TO_TRAIN, WEIGHTS_FILE, check_provenance
from soke.tokenizer.settings import AutoencoderSettings, Networks, streams_of

log = logging.getLogger(__name__)
_FORM = "form_of_frames"  # in what is saved


class SignTokenizer(Shared, nn.Module):
    """Features in, features out; T frames of P parts become K = T // downsample steps of S codes (SOKE, section 3.1).

    Every part gives as many of the S streams as its quantizer has. Nobody else needs to know how many frames make a
    step, or of which part a stream is.

    layout:    the parts; a part that mirrors another shares its autoencoder, quantizer and statistics
    mean, std: {part: [D]} of the training features, for every distinct part; std is floored
    settings:  {distinct part: settings}, with one downsampling factor
    form:      name of the format of the frames that it is for: the coefficients of another mean something else

    epochs:    {distinct part: the epoch of its training, from 0, that its weights are of}, as far as it is known
    begun:     {distinct part: hashes of the parts of earlier tokenizers that its training began from, the last one first}

    Raises ValueError when these do not fit each other.
    """

    def __init__(
        self,
        layout: MotionLayout,
        mean: Mapping[str, Tensor],
        std: Mapping[str, Tensor],
        settings: Mapping[str, AutoencoderSettings],
        form: str = SOKE_FRAMES.name,
    ):
        super().__init__()
        self.layout, self.form = layout, form
        distinct = list(dict.fromkeys(layout.distinct.values()))
        if set(settings) != set(distinct):
            raise ValueError(f"settings are for {sorted(settings)}, the layout's own parts are {sorted(distinct)}")
        if len({s.downsample for s in settings.values()}) != 1:
            raise ValueError("all parts need the same downsample: their codes share one time step")
        for name in distinct:
            for kind, statistic in (("mean", mean), ("std", std)):
                if name not in statistic or statistic[name].shape != (layout.sizes[name],):
                    raise ValueError(f"part {name} needs a {kind} of {layout.sizes[name]} features")
        self.settings = {name: settings[name] for name in distinct}
        self.autoencoders = nn.ModuleDict({n: PartAutoencoder(mean[n], std[n], settings[n]) for n in distinct})
        self.epochs: dict[str, int] = {}
        self.begun: dict[str, list[str]] = {}
        self._hash = StateHash()

    @property
    def parts(self) -> tuple[str, ...]:
        return self.layout.names

    @property
    def streams(self) -> dict[str, int]:
        """Name of each of the S streams -> number of codes. A part's only stream is called as the part is."""
        return streams_of({part: self.settings[own].quantizer for part, own in self.layout.distinct.items()})

    @property
    def grids(self) -> dict[str, tuple[int, ...]]:
        """Name of each stream -> numbers of levels, the first of which changes fastest, if its codes are combinations
        of such; else ()."""
        grids = [grid for own in self.layout.distinct.values() for grid in self.settings[own].quantizer.grids]
        return dict(zip(self.streams, grids, strict=True))

    def steps(self, frames: Any) -> Any:
        """Whole token steps of so many frames, a number or a tensor of numbers."""
        return self._networks.steps(frames)

    def frames(self, steps: Any) -> Any:
        """Frames of so many token steps, a number or a tensor of numbers."""
        return self._networks.frames(steps)

    @property
    def _networks(self) -> Networks:
        """What all parts have in common, among it the frames per step."""
        return next(iter(self.settings.values()))

    @property
    def device(self) -> torch.device:
        return next(self.buffers()).device

    @property
    def statistics(self) -> Statistics:
        """Mean and standard deviation by which the features are normalised."""
        used = {part: self.autoencoders[distinct] for part, distinct in self.layout.distinct.items()}
        mean, std = ({part: getattr(a, kind) for part, a in used.items()} for kind in ("mean", "std"))
        return Statistics(mean, std, self.layout.hash)

    @property
    def conditions(self) -> dict[str, str]:
        """What scores of its motions depend on, for their signatures."""
        return {"layout": self.layout.hash, "statistics": self.statistics.hash}

    @property
    def hash(self) -> str:
        """12 hex digits that change with anything that changes codes or motions: layout, statistics, sizes, weights."""
        # Every batch of motions asks for it.
        return self._hash([self.layout.hash, self._settings(), *self._form.values()], self.state_dict())

    def part_hash(self, part: str) -> str:
        """12 hex digits that change with anything that changes what the codes of a distinct part mean."""
        state = self.autoencoders[part].state_dict()
        return StateHash()([self.settings[part].to_dict(), self.layout.to_list()[self.parts.index(part)]], state)

    def keeps_meaning(self, other: SignTokenizer) -> list[str]:
        """The streams whose codes mean what they mean in another tokenizer, from which perhaps this one's training began."""
        own = self.layout.distinct
        same = {
            part for part in self.settings
            if part in other.settings and other.part_hash(part) in (self.part_hash(part), *self.begun.get(part, ()))
        }
        kept = [part for part, of in own.items() if of in same and other.layout.distinct.get(part) == of]
        return list(streams_of({part: self.settings[own[part]].quantizer for part in kept}))

    def provenance(self) -> dict[str, str | int | float]:
        """What weights must agree with to be loaded into this tokenizer: entry -> value, all plain."""
        return {
            "layout_hash": self.layout.hash,
            "statistics_hash": self.statistics.hash,
            **self._form,
            **{f"{key} of {part}": v for part, settings in self._settings().items() for key, v in settings.items()},
        }

    def forward(
        self, features: Mapping[str, Tensor], lengths: Tensor, frames: Sequence[int] | None = None,
        rows: Mapping[str, Tensor] | None = None,
    ) -> TokenizerOutput:
        """One pass for training; in training mode it also moves the codebooks.

        features: {part: [B, T, D]} raw
        lengths:  [B] frames
        frames:   the same numbers, where they are known without waiting for a GPU
        rows:     {part: [B'] numbers of the clips that have it}, nothing is computed for the others; None: all have all

        Raises ValueError for shapes that do not fit.
        """
        features, steps = self._prepare(features, lengths, frames)
        target, reconstruction, codes, commitment, codebook = {}, {}, {}, {}, {}
        for distinct, parts in self._sharing().items():
            autoencoder = self.autoencoders[distinct]
            stacked, counts, own = of_clips(parts, features, steps, rows)
            normalised = autoencoder.normalise(stacked)
            rebuilt, quantized = autoencoder(normalised, own)
            target.update(zip(parts, normalised.split(counts)))
            reconstruction.update(zip(parts, rebuilt.split(counts)))
            codes.update(zip(parts, quantized.codes.split(counts)))
            commitment[distinct], codebook[distinct] = quantized.commitment, quantized.loss
        valid = steps.valid.repeat_interleave(self.frames(1), dim=1)
        masks = {part: valid if rows is None else valid[rows[part]] for part in self.parts}
        if rows is not None:
            codes = {part: spread_out(values, rows[part], len(valid)) for part, values in codes.items()}
        stacked = self._stacked(codes, steps)
        return TokenizerOutput(target, reconstruction, stacked, valid, masks, commitment, codebook)

    @whole_float32()
    def latents(self, features: Mapping[str, Tensor], lengths: Tensor) -> dict[str, Tensor]:
        """{part: [B, T, D]} raw, lengths [B] in frames -> {part: [B, K, code_dim]} what is to be quantized, zero beyond
        a clip's steps. Raises ValueError for shapes that do not fit."""
        return self._by_steps(features, lengths)

    @whole_float32()
    def hidden(self, features: Mapping[str, Tensor], lengths: Tensor) -> dict[str, Tensor]:
        """As `latents`, one layer earlier: {part: [B, K, width]} the encoder's states, from which its last convolution
        makes the latents (what M3T's recognition reads, appendix D.3)."""
        return self._by_steps(features, lengths, hidden=True)

    @torch.no_grad()
    @whole_float32()
    def encode(self, features: Mapping[str, Tensor], lengths: Tensor) -> Codes:
        """{part: [B, T, D]} raw, lengths [B] in frames -> codes of the whole steps in them.

        Raises ValueError for shapes that do not fit.
        """
        features, steps = self._prepare(features, lengths)
        codes = {}
        for distinct, parts in self._sharing().items():
            latents = self._latents(distinct, parts, features, steps)
            codes.update(zip(parts, self.autoencoders[distinct].quantizer.encode(latents).chunk(len(parts))))
        return self._stacked(codes, steps)

    @torch.no_grad()
    @whole_float32()
    def decode(self, codes: Codes) -> dict[str, Tensor]:
        """Codes of K steps -> {part: [B, frames(K), D]} raw; padding frames are the mean.

        Raises ValueError for codes that the streams do not have, and for shapes that do not fit.
        """
        values, lengths, streams = codes.values, codes.lengths, self.streams
        batch, total, found = values.shape
        if found != len(streams):
            raise ValueError(f"codes must be [B, K, {len(streams)}], not {list(values.shape)}")
        steps = ValidSteps.of(lengths, lengths.tolist(), batch, total, values.device)
        sizes = torch.tensor(list(streams.values()), device=values.device)
        if ((values < 0) | (values >= sizes))[steps.valid].any():
            raise ValueError(f"a code lies outside its codebook; the sizes are {streams}")
        if not total:
            return {part: self.autoencoders[d].mean.expand(batch, 0, -1) for part, d in self.layout.distinct.items()}
        by_part = self._by_part(values.masked_fill(~steps.valid[..., None], 0))
        features = {}
        for distinct, sharing in self._sharing().items():
            stacked = torch.cat([by_part[part] for part in sharing])
            rebuilt = self.autoencoders[distinct].decode(stacked, steps.repeated(len(sharing)))
            features.update(zip(sharing, rebuilt.chunk(len(sharing))))
        return features

    def encode_motion(self, motion: Motion) -> Tensor:
        """Motion of T frames -> codes [steps(T), S]."""
        return self.encode_motions([motion])[0]

    def encode_motions(self, motions: Sequence[Motion], batch_size: int = 32) -> list[Tensor]:
        """The codes [steps(T_i), S] of each motion; those of similar length make a batch. Raises ValueError for NaN or infinity."""
        codes: dict[int, Tensor] = {}
        for rows in SortedBatches([len(motion) for motion in motions], batch_size):
            singles = [self.layout.features(motions[i]) for i in rows]
            if not all(values.isfinite().all() for single in singles for values in single.values()):
                raise ValueError("a motion of which codes shall be made holds NaN or infinity")
            features = {
                part: pad_sequence([single[part] for single in singles], batch_first=True).to(self.device)
                for part in self.parts
            }
            codes.update(zip(rows, self.encode(features, torch.tensor([len(motions[i]) for i in rows])).clips()))
        return [codes[i] for i in range(len(motions))]

    def decode_motion(self, codes: Tensor, fps: float, betas: Tensor | None = None) -> Motion:
        """Codes [K, S] -> Motion of frames(K) frames."""
        return self.decode_motions([codes], [fps], betas)[0]

    def decode_motions(
        self, codes: Sequence[Tensor], fps: Sequence[float], betas: Tensor | Sequence[Tensor] | None = None,
        batch_size: int = 32, head_shapes: Sequence[Tensor | None] | None = None,
    ) -> list[Motion]:
        """One motion for each [K_i, S] of `codes`; those of similar length make a batch; no codes give no frames.

        betas:       [10] body shape of all of them or of each, zero when None
        head_shapes: [300] shape of the head of each, where it is known
        """
        motions: dict[int, Motion] = {}
        for rows in SortedBatches([len(c) for c in codes], batch_size):
            features = self.decode(Codes.of([codes[i] for i in rows], self.device))
            for row, i in enumerate(rows):
                single = {part: values[row, : self.frames(len(codes[i]))] for part, values in features.items()}
                shape = betas if betas is None or isinstance(betas, Tensor) else betas[i]
                head = None if head_shapes is None else head_shapes[i]
                motions[i] = self.layout.motion(single, fps[i], shape, head_shape=head)
        made_by = f"tokenizer {self.hash}"
        return [replace(motions[i], made_by=made_by) for i in range(len(codes))]

    def decode_like(
        self, codes: Sequence[Tensor], motions: Sequence[Motion | JointMotion], batch_size: int = 32
    ) -> list[Motion]:
        """As `decode_motions`, with the frame rate and the shapes of the motion that each of `codes` was made of."""
        return self.decode_motions(
            codes, [m.fps for m in motions], [m.betas for m in motions], batch_size, [m.head_shape for m in motions]
        )

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration; the folder appears whole or not at all."""
        config = {
            "code_version": soke.__version__,
            "format": FORMAT,
            **self._hashes(),
            **self._form,
            "layout": self.layout.to_list(),
            "settings": self._settings(),
            "epochs": self.epochs,
            **({"begun": self.begun} if self.begun else {}),
        }
        with new_folder(folder) as target:
            weights = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
            save_file(weights, target / WEIGHTS_FILE)
            (target / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> SignTokenizer:
        """The tokenizer that `save_pretrained` wrote, in evaluation mode on the CPU.

        folder: or its name on the hub, as `soke.hub.model_folder` takes it
        Raises UserError when the files are missing, damaged or do not belong together.
        """
        folder = model_folder(folder)
        require(folder, "tokenizer", (CONFIG_FILE, WEIGHTS_FILE), HOW_TO_TRAIN)
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            check_format(config, folder / CONFIG_FILE)
            layout = MotionLayout.from_list(config["layout"])
            settings = {name: AutoencoderSettings.from_dict(s) for name, s in config["settings"].items()}
            blank = {name: torch.zeros(layout.sizes[name]) for name in settings}
            tokenizer = cls(layout, blank, blank, settings, config.get(_FORM, SOKE_FRAMES.name)).eval()
            tokenizer.load_state_dict(load_file(folder / WEIGHTS_FILE))
            tokenizer.epochs, tokenizer.begun = dict(config.get("epochs", {})), dict(config.get("begun", {}))
        except (
            AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError, SettingsError,
        ) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]  # torch lists every weight that does not fit
            raise UserError(f"the tokenizer in {folder} cannot be read ({reason}): {HOW_TO_TRAIN}") from error
        version = config.get("code_version")
        if version != soke.__version__:
            log.warning("%s was written by version %s, this is %s", folder, version, soke.__version__)
        check_provenance(config, tokenizer._hashes(), str(folder))
        return tokenizer

    def _hashes(self) -> dict[str, str]:
        return {"layout_hash": self.layout.hash, "statistics_hash": self.statistics.hash, "hash": self.hash}

    @property
    def _form(self) -> dict[str, str]:
        """Empty for SOKE's frames, so that hashes stay what they were when there was no other format."""
        return {} if self.form == SOKE_FRAMES.name else {_FORM: self.form}

    def _settings(self) -> dict[str, dict]:
        return {name: settings.to_dict() for name, settings in self.settings.items()}

    def _sharing(self) -> dict[str, list[str]]:
        """Distinct part -> the parts that use its autoencoder, in one batch."""
        sharing: dict[str, list[str]] = {}
        for part, distinct in self.layout.distinct.items():
            sharing.setdefault(distinct, []).append(part)
        return sharing

    def _prepare(
        self, features: Mapping[str, Tensor], lengths: Tensor, frames: Sequence[int] | None = None
    ) -> tuple[dict[str, Tensor], ValidSteps]:
        """Features cut to whole steps, and the valid steps."""
        first = features[self.parts[0]]
        batch, total = first.shape[:2]
        for part, size in self.layout.sizes.items():
            if features[part].shape != (batch, total, size):
                raise ValueError(f"part {part} must be [{batch}, {total}, {size}], not {list(features[part].shape)}")
        numbers = [self.steps(n) for n in (lengths.tolist() if frames is None else frames)]
        steps = ValidSteps.of(self.steps(lengths), numbers, batch, self.steps(total), first.device)
        cut = {part: features[part][:, : self.frames(steps.valid.shape[1])] for part in self.parts}
        return cut, steps

    def _by_steps(
        self, features: Mapping[str, Tensor], lengths: Tensor, hidden: bool = False
    ) -> dict[str, Tensor]:
        """{part: [B, K, code_dim]}, or hidden states {part: [B, K, width]}."""
        features, steps = self._prepare(features, lengths)
        found = {}
        for distinct, parts in self._sharing().items():
            stacked = self._latents(distinct, parts, features, steps, hidden).transpose(1, 2)
            found.update(zip(parts, stacked.chunk(len(parts))))
        return {part: found[part] for part in self.parts}

    def _latents(
        self, distinct: str, parts: Sequence[str], features: Mapping[str, Tensor], steps: ValidSteps,
        hidden: bool = False,
    ) -> Tensor:
        """[B * len(parts), code_dim, K] of the parts that share an autoencoder; hidden states: [..., width, K]."""
        stacked = torch.cat([features[part] for part in parts])
        settings, autoencoder = self.settings[distinct], self.autoencoders[distinct]
        if not steps.valid.numel():
            return stacked.new_zeros(len(stacked), settings.width if hidden else settings.code_dim, steps.valid.shape[1])
        return (autoencoder.hidden if hidden else autoencoder.latents)(stacked, steps.repeated(len(parts)))

    def _by_part(self, values: Tensor) -> dict[str, Tensor]:
        """[B, K, S] -> {part: [B, K, L]}."""
        counts = [len(self.settings[distinct].quantizer.sizes) for distinct in self.layout.distinct.values()]
        return dict(zip(self.parts, values.split(counts, dim=2)))

    def _stacked(self, codes: Mapping[str, Tensor], steps: ValidSteps) -> Codes:
        """{part: [B, K, L]} -> codes, with -1 at padding."""
        padding = ~steps.valid[..., None]
        values = torch.cat([codes[part] for part in self.parts], dim=2).masked_fill(padding, PADDING_CODE)
        return Codes(values, steps.valid.sum(1))
