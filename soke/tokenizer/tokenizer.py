"""SignTokenizer: motion features to codes and back, one autoencoder per distinct part of the body."""
from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import soke
from soke.body.layout import MotionLayout
from soke.body.motion import Motion
from soke.data.dataset import PADDING_CODE
from soke.data.sampling import SortedBatches
from soke.data.statistics import STD_FLOOR, Statistics
from soke.errors import UserError
from soke.storage import new_folder
from soke.tokenizer.autoencoder import ConvDecoder, ConvEncoder
from soke.tokenizer.quantizer import EmaQuantizer, Quantized, Quantizer

log = logging.getLogger(__name__)

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/deto.yaml --nodebug`"


@dataclass(frozen=True)
class AutoencoderSettings:
    """One part's autoencoder; the defaults are SOKE's. Raises ValueError when `downsample` is no power of two.

    num_codes:       size of the codebook
    code_dim:        size of a code's vector
    width:           channels of the convolutions
    depth:           residual blocks per stage
    dilation_growth: ratio of the dilations of neighbouring blocks
    downsample:      frames per code
    decay:           of the codebook's moving averages, per training batch
    """

    num_codes: int
    code_dim: int = 512
    width: int = 512
    depth: int = 3
    dilation_growth: int = 3
    downsample: int = 4
    decay: float = 0.99

    def __post_init__(self) -> None:
        if self.downsample < 1 or self.downsample & (self.downsample - 1):
            raise ValueError(f"downsample must be a power of two, not {self.downsample}")


@contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions without TF32, with which a GPU finds other codes than a CPU now and then."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@dataclass(frozen=True)
class ValidSteps:
    """Which steps of a padded batch belong to its clips.

    valid:     [B, K] bool
    beginning: number of steps that every clip has
    """

    valid: Tensor
    beginning: int

    @property
    def mask(self) -> Tensor | None:
        """`valid`, or None when every step is."""
        return None if self.beginning == self.valid.shape[1] else self.valid

    def tail(self, per_step: int = 1) -> Tensor | None:
        """The mask of an encoder or decoder with so many frames per step: [B, 1, S] beyond what every clip has."""
        if self.mask is None:
            return None
        return self.valid[:, None, self.beginning :].repeat_interleave(per_step, dim=2).float()

    def repeated(self, times: int) -> ValidSteps:
        """The same batch `times` over."""
        return ValidSteps(self.valid.repeat(times, 1), self.beginning)


class PartAutoencoder(nn.Module):
    """Statistics, encoder, quantizer and decoder of one part; features are normalised inside.

    mean, std: [D]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, settings: AutoencoderSettings):
        super().__init__()
        shape = {
            "features": len(mean),
            "code_dim": settings.code_dim,
            "width": settings.width,
            "stages": settings.downsample.bit_length() - 1,
            "depth": settings.depth,
            "dilation_growth": settings.dilation_growth,
        }
        self.register_buffer("mean", mean.detach().float().clone())
        self.register_buffer("std", std.detach().float().clamp(min=STD_FLOOR))
        self.encoder = ConvEncoder(**shape)
        self.quantizer: Quantizer = EmaQuantizer(settings.num_codes, settings.code_dim, settings.decay)
        self.decoder = ConvDecoder(**shape)

    def normalise(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std

    def encode(self, features: Tensor, steps: ValidSteps) -> Tensor:
        """Raw [B, T, D] -> codes [B, K]."""
        return self.quantizer.encode(self._latents(self.normalise(features), steps))

    def decode(self, codes: Tensor, steps: ValidSteps) -> Tensor:
        """Codes [B, K] -> raw [B, T, D]."""
        return self._frames(self.quantizer.decode(codes), steps) * self.std + self.mean

    def forward(self, normalised: Tensor, steps: ValidSteps) -> tuple[Tensor, Quantized]:
        """Normalised [B, T, D] -> normalised reconstruction [B, T, D], and what the quantizer did."""
        quantized = self.quantizer(self._latents(normalised, steps), steps.mask)
        return self._frames(quantized.quantized, steps), quantized

    def _latents(self, normalised: Tensor, steps: ValidSteps) -> Tensor:
        """[B, T, D] -> [B, code_dim, K]."""
        per_step = normalised.shape[1] // steps.valid.shape[1]
        return self.encoder(normalised.transpose(1, 2), steps.tail(per_step))

    def _frames(self, latents: Tensor, steps: ValidSteps) -> Tensor:
        """[B, code_dim, K] -> [B, T, D]."""
        return self.decoder(latents, steps.tail()).transpose(1, 2)


@dataclass
class TokenizerOutput:
    """One training pass. T is floored to a multiple of the downsampling factor, K = T / downsample.

    target:         {part: [B, T, D]} normalised features
    reconstruction: {part: [B, T, D]} what became of them
    codes:          [B, K, P] long, -1 at padding
    frames:         [B, T] bool, True where a frame is valid
    commitment:     {distinct part: []}
    """

    target: dict[str, Tensor]
    reconstruction: dict[str, Tensor]
    codes: Tensor
    frames: Tensor
    commitment: dict[str, Tensor]


class SignTokenizer(nn.Module):
    """Features in, features out; T frames of P parts become K = T // downsample steps of P codes (SOKE, section 3.1).

    layout:    the parts; a part that mirrors another shares its autoencoder and statistics
    mean, std: {part: [D]} of the training features, for every distinct part; std is floored
    settings:  {distinct part: settings}, with one downsampling factor

    Raises ValueError when these do not fit each other.
    """

    def __init__(
        self,
        layout: MotionLayout,
        mean: Mapping[str, Tensor],
        std: Mapping[str, Tensor],
        settings: Mapping[str, AutoencoderSettings],
    ):
        super().__init__()
        self.layout = layout
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
        self._hashed: tuple[list[tuple[int, int]], str] = ([], "")

    @property
    def parts(self) -> tuple[str, ...]:
        return self.layout.names

    @property
    def downsample(self) -> int:
        """Frames per step."""
        return next(iter(self.settings.values())).downsample

    @property
    def codebook_sizes(self) -> dict[str, int]:
        """Part -> number of codes."""
        return {part: self.settings[distinct].num_codes for part, distinct in self.layout.distinct.items()}

    @property
    def device(self) -> torch.device:
        return next(self.buffers()).device

    @property
    def statistics_hash(self) -> str:
        """12 hex digits, those of the `Statistics` that normalise the features."""
        used = {part: self.autoencoders[distinct] for part, distinct in self.layout.distinct.items()}
        mean, std = ({part: getattr(a, kind) for part, a in used.items()} for kind in ("mean", "std"))
        return Statistics(mean, std, self.layout.hash).hash

    @property
    def conditions(self) -> dict[str, str]:
        """What scores of its motions depend on, for their signatures."""
        return {"layout": self.layout.hash, "statistics": self.statistics_hash}

    @property
    def hash(self) -> str:
        """12 hex digits that change with anything that changes codes or motions: layout, statistics, sizes, weights."""
        state = self.state_dict()
        # Every batch of motions asks for it: hashed again only when a tensor was written to or replaced.
        current = [(tensor.data_ptr(), tensor._version) for tensor in state.values()]
        if self._hashed[0] != current:
            digest = hashlib.sha256(json.dumps([self.layout.hash, self._settings()], sort_keys=True).encode())
            for name, tensor in sorted(state.items()):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            self._hashed = current, digest.hexdigest()[:12]
        return self._hashed[1]

    def provenance(self) -> dict[str, str | int | float]:
        """What weights must agree with to be loaded into this tokenizer: entry -> value, all plain."""
        return {
            "layout_hash": self.layout.hash,
            "statistics_hash": self.statistics_hash,
            **{f"{key} of {part}": v for part, settings in self._settings().items() for key, v in settings.items()},
        }

    def forward(
        self, features: Mapping[str, Tensor], lengths: Tensor, frames: Sequence[int] | None = None
    ) -> TokenizerOutput:
        """One pass for training; in training mode it also moves the codebooks.

        features: {part: [B, T, D]} raw; lengths: [B] frames; frames: the same numbers, where they are known without
        waiting for a GPU. Raises ValueError for shapes that do not fit.
        """
        features, steps = self._prepare(features, lengths, frames)
        target, reconstruction, codes, commitment = {}, {}, {}, {}
        for distinct, parts in self._sharing().items():
            autoencoder = self.autoencoders[distinct]
            normalised = autoencoder.normalise(torch.cat([features[p] for p in parts]))
            rebuilt, quantized = autoencoder(normalised, steps.repeated(len(parts)))
            target.update(zip(parts, normalised.chunk(len(parts))))
            reconstruction.update(zip(parts, rebuilt.chunk(len(parts))))
            codes.update(zip(parts, quantized.codes.chunk(len(parts))))
            commitment[distinct] = quantized.commitment
        valid = steps.valid.repeat_interleave(self.downsample, dim=1)
        return TokenizerOutput(target, reconstruction, self._stacked(codes, steps), valid, commitment)

    @torch.no_grad()
    @whole_float32()
    def encode(self, features: Mapping[str, Tensor], lengths: Tensor) -> Tensor:
        """{part: [B, T, D]} raw, lengths [B] in frames -> codes [B, T // downsample, P] long, -1 beyond a clip's steps.

        A clip of L frames has L // downsample steps. Raises ValueError for shapes that do not fit.
        """
        features, steps = self._prepare(features, lengths)
        if not steps.valid.numel():
            return torch.full((*steps.valid.shape, len(self.parts)), PADDING_CODE, device=steps.valid.device)
        codes = {}
        for distinct, parts in self._sharing().items():
            stacked = torch.cat([features[part] for part in parts])
            found = self.autoencoders[distinct].encode(stacked, steps.repeated(len(parts)))
            codes.update(zip(parts, found.chunk(len(parts))))
        return self._stacked(codes, steps)

    @torch.no_grad()
    @whole_float32()
    def decode(self, codes: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Codes [B, K, P], lengths [B] in steps -> {part: [B, K * downsample, D]} raw; padding frames are the mean.

        Raises ValueError for codes that the codebooks do not have, and for shapes that do not fit.
        """
        batch, total, parts = codes.shape
        if parts != len(self.parts):
            raise ValueError(f"codes must be [B, K, {len(self.parts)}], not {list(codes.shape)}")
        steps = _valid_steps(lengths, lengths.tolist(), batch, total, codes.device)
        sizes = torch.tensor(list(self.codebook_sizes.values()), device=codes.device)
        if ((codes < 0) | (codes >= sizes))[steps.valid].any():
            raise ValueError(f"a code lies outside its codebook; the sizes are {self.codebook_sizes}")
        if not total:
            return {part: self.autoencoders[d].mean.expand(batch, 0, -1) for part, d in self.layout.distinct.items()}
        by_part = dict(zip(self.parts, codes.masked_fill(~steps.valid[..., None], 0).unbind(2)))
        features = {}
        for distinct, sharing in self._sharing().items():
            stacked = torch.cat([by_part[part] for part in sharing])
            rebuilt = self.autoencoders[distinct].decode(stacked, steps.repeated(len(sharing)))
            features.update(zip(sharing, rebuilt.chunk(len(sharing))))
        return features

    def encode_motion(self, motion: Motion) -> Tensor:
        """Motion of T frames -> codes [T // downsample, P]."""
        return self.encode_motions([motion])[0]

    def encode_motions(self, motions: Sequence[Motion], batch_size: int = 32) -> list[Tensor]:
        """The codes [T_i // downsample, P] of each motion; those of similar length make a batch."""
        codes: dict[int, Tensor] = {}
        for rows in SortedBatches([len(motion) for motion in motions], batch_size):
            singles = [self.layout.features(motions[i]) for i in rows]
            features = {
                part: pad_sequence([single[part] for single in singles], batch_first=True).to(self.device)
                for part in self.parts
            }
            frames = [len(motions[i]) for i in rows]
            batch = self.encode(features, torch.tensor(frames))
            codes.update((i, row[: n // self.downsample]) for i, row, n in zip(rows, batch, frames))
        return [codes[i] for i in range(len(motions))]

    def decode_motion(self, codes: Tensor, fps: float, betas: Tensor | None = None) -> Motion:
        """Codes [K, P] -> Motion of K * downsample frames."""
        return self.decode_motions([codes], [fps], betas)[0]

    def decode_motions(
        self, codes: Sequence[Tensor], fps: Sequence[float], betas: Tensor | Sequence[Tensor] | None = None,
        batch_size: int = 32,
    ) -> list[Motion]:
        """One motion for each [K_i, P] of `codes`; those of similar length make a batch; no codes give no frames.

        betas: [10] body shape of all of them or of each, zero when None.
        """
        motions: dict[int, Motion] = {}
        for rows in SortedBatches([len(c) for c in codes], batch_size):
            steps = [len(codes[i]) for i in rows]
            padded = pad_sequence([codes[i].to(self.device) for i in rows], batch_first=True)
            features = self.decode(padded, torch.tensor(steps))
            for row, (i, n) in enumerate(zip(rows, steps)):
                single = {part: values[row, : n * self.downsample] for part, values in features.items()}
                shape = betas if betas is None or isinstance(betas, Tensor) else betas[i]
                motions[i] = self.layout.motion(single, fps[i], shape)
        made_by = f"tokenizer {self.hash}"
        return [replace(motions[i], made_by=made_by) for i in range(len(codes))]

    def reconstruct(self, motions: Sequence[Motion], batch_size: int = 32) -> list[Motion]:
        """What becomes of each motion, with its own frame rate and body shape; T // downsample * downsample frames."""
        codes = self.encode_motions(motions, batch_size)
        return self.decode_motions(codes, [m.fps for m in motions], [m.betas for m in motions], batch_size)

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration; the folder appears whole or not at all."""
        config = {
            "code_version": soke.__version__,
            **self._hashes(),
            "layout": self.layout.to_list(),
            "settings": self._settings(),
        }
        with new_folder(folder) as target:
            weights = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
            save_file(weights, target / WEIGHTS_FILE)
            (target / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> SignTokenizer:
        """The tokenizer that `save_pretrained` wrote, in evaluation mode on the CPU.

        Raises UserError when the files are missing, damaged or do not belong together.
        """
        folder = Path(folder)
        if not (folder / CONFIG_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
            raise UserError(f"no tokenizer in {folder} ({CONFIG_FILE} and {WEIGHTS_FILE}): {HOW_TO_TRAIN}")
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            layout = MotionLayout.from_list(config["layout"])
            settings = {name: AutoencoderSettings(**s) for name, s in config["settings"].items()}
            blank = {name: torch.zeros(layout.sizes[name]) for name in settings}
            tokenizer = cls(layout, blank, blank, settings).eval()
            tokenizer.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]  # torch lists every weight that does not fit
            raise UserError(f"the tokenizer in {folder} cannot be read ({reason}): {HOW_TO_TRAIN}") from error
        version = config.get("code_version")
        if version != soke.__version__:
            log.warning("%s was written by version %s, this is %s", folder, version, soke.__version__)
        check_provenance(config, tokenizer._hashes(), str(folder))
        return tokenizer

    def _hashes(self) -> dict[str, str]:
        return {"layout_hash": self.layout.hash, "statistics_hash": self.statistics_hash, "hash": self.hash}

    def _settings(self) -> dict[str, dict]:
        return {name: asdict(settings) for name, settings in self.settings.items()}

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
        numbers = [n // self.downsample for n in (lengths.tolist() if frames is None else frames)]
        steps = _valid_steps(lengths // self.downsample, numbers, batch, total // self.downsample, first.device)
        cut = {part: features[part][:, : steps.valid.shape[1] * self.downsample] for part in self.parts}
        return cut, steps

    def _stacked(self, codes: Mapping[str, Tensor], steps: ValidSteps) -> Tensor:
        """{part: [B, K]} -> [B, K, P] with -1 at padding."""
        padding = ~steps.valid[..., None]
        return torch.stack([codes[part] for part in self.parts], dim=2).masked_fill(padding, PADDING_CODE)


def saved_hash(folder: Path) -> str | None:
    """The hash of the tokenizer that is saved in a folder; None where none is, or none that says it."""
    try:
        return json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get("hash")
    except (OSError, ValueError, AttributeError):
        return None


def check_provenance(found: Mapping, expected: Mapping, source: str) -> None:
    """Raises UserError that names both values of the first entry of `expected` in which `found` differs."""
    for key, value in expected.items():
        if found.get(key) != value:
            raise UserError(
                f"{source} does not fit: its {key.replace('_', ' ')} is {found.get(key)}, here it is {value}; "
                f"use the layout, statistics and settings it was trained with, or {HOW_TO_TRAIN}"
            )


def _valid_steps(lengths: Tensor, numbers: Sequence[int], batch: int, total: int, device: torch.device) -> ValidSteps:
    """lengths [B] and the same `numbers`, in steps. Raises ValueError when they do not fit [batch, total]."""
    if lengths.shape != (batch,) or len(numbers) != batch or max(numbers, default=0) > total:
        raise ValueError(f"lengths must be [{batch}] and at most the padded length, got {list(numbers)}")
    valid = torch.arange(total, device=device) < lengths.to(device)[:, None]
    return ValidSteps(valid, min(numbers, default=total))
