"""PoseRegressor: sentences to features of a layout, frame by frame, by one group of weights or by one per language."""
from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from soke import __version__
from soke.body.layout import MotionLayout
from soke.data.clip import Clip
from soke.data.statistics import STD_FLOOR, Statistics
from soke.data.storage.formats import SOKE_FRAMES
from soke.errors import UserError
from soke.evaluation.protocols import Sentence
from soke.hashing import StateHash
from soke.hub import model_folder
from soke.regressor.group import Group, RegressorOutput
from soke.regressor.settings import Regressor
from soke.regressor.unroll import Guide
from soke.saved import FORMAT, check_format, require, within
from soke.settings import SettingsError
from soke.sharing import Shared
from soke.storage import new_folder
from soke.text.locales import canonical

CONFIG_FILE, STATISTICS_FILE, GROUPS_FOLDER = "regressor.json", "statistics.safetensors", "groups"
HOW_TO_TRAIN = "train one with `python -m train --cfg configs/progressive_transformer.yaml --nodebug`"


@dataclass(frozen=True)
class Generated:
    """What was made of B sentences.

    features: of each {part: [T, D]}, raw
    ended:    whether its own counter has ended it
    """

    features: list[dict[str, Tensor]]
    ended: list[bool]


class PoseRegressor(Shared, nn.Module):
    """Sentences in, features out (Saunders et al. 2020; MLSF of SignLLM, with a group per language).

    layout:    the parts
    mean, std: {part: [D]} of the training features; std is floored
    groups:    name -> group, no two of one language
    form:      name of the format of the frames that it is for

    epoch:     of the training that is under way, from 0

    Raises ValueError when these do not fit each other.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, layout: MotionLayout, mean: Mapping[str, Tensor], std: Mapping[str, Tensor],
        groups: Mapping[str, Group], form: str = SOKE_FRAMES.name,
    ):
        super().__init__()
        self.layout, self.form, self.epoch = layout, form, 0
        for kind, values in (("mean", mean), ("std", std)):
            if {part: tuple(value.shape) for part, value in values.items()} != {p: (d,) for p, d in layout.sizes.items()}:
                raise ValueError(f"{kind} must hold the features of {layout}")
        self.register_buffer("mean", torch.cat([mean[part].detach().float() for part in layout.names]))
        self.register_buffer("std", torch.cat([std[part].detach().float() for part in layout.names]).clamp(STD_FLOOR))
        wrong = [name for name, group in groups.items() if len(group.deviation) != len(self.mean)]
        if wrong or not groups:
            raise ValueError(f"a group for {len(self.mean)} features is needed; of others are {wrong}")
        self.groups = nn.ModuleDict(groups)
        if len(set(self.languages)) != len(self.languages):
            raise ValueError(f"two groups are of one sign language; they are of {', '.join(sorted(self.languages))}")
        self._hash = StateHash()

    @property
    def settings(self) -> Regressor:
        """Of the first group that is not frozen, else of the first."""
        return next(iter(self._learning or self.groups.values())).settings

    @property
    def _learning(self) -> list[Group]:
        """The groups that are not frozen."""
        return [group for group in self.groups.values() if not group.frozen]

    @property
    def languages(self) -> list[str]:
        """The sign languages that it signs."""
        return [language for group in self.groups.values() for language in group.spec.languages]

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def terms(self) -> list[str]:
        """Names of the further losses that groups learn by."""
        return list(dict.fromkeys(name for group in self._learning for name in group.terms))

    @property
    def statistics(self) -> Statistics:
        mean, std = (self._by_part(values) for values in (self.mean, self.std))
        return Statistics(mean, std, self.layout.hash, form=self.form)

    @property
    def conditions(self) -> dict[str, str]:
        """What scores of its motions depend on, for their signatures."""
        return {"layout": self.layout.hash, "statistics": self.statistics.hash}

    @property
    def hash(self) -> str:
        """12 hex digits that change with anything that changes a motion: layout, statistics, groups and their weights."""
        return self._hash(self._facts(), self.state_dict())

    def group_of(self, language: str) -> str:
        """Name of the group of a sign language, under any of its codes. Raises UserError for one that no group has."""
        language = canonical(language)
        for name, group in self.groups.items():
            if language in group.spec.languages:
                return name
        raise UserError(f"the regressor does not sign {language}: it has learnt {', '.join(self.languages)}")

    def groups_of(self, corpora: Collection[str]) -> list[Group]:
        """The groups that were trained on any of these corpora; where none was, all."""
        groups = list(self.groups.values())
        return [group for group in groups if not group.spec.corpora.keys().isdisjoint(corpora)] or groups

    def rate(self, sentence: Sentence) -> float:
        """Frames per second of the motion of a sentence. Raises UserError for an unknown language."""
        spec = self.groups[self.group_of(sentence.language)].spec
        return spec.rate(sentence.language, getattr(sentence, "corpus", None))

    def knows_words_of(self, sentence: Sentence) -> bool:
        """Whether its language's group knows any word of it. Raises UserError for an unknown language, an empty text, and
        for glosses that are to be read and that it lacks."""
        return self.groups[self.group_of(sentence.language)].knows_words_of(sentence)

    def forward(
        self, sentences: Sequence[Sentence], features: Mapping[str, Tensor], lengths: Tensor,
        numbers: Sequence[int] | None = None,
    ) -> RegressorOutput:
        """Under teacher forcing; each clip by the group of its language.

        features: {part: [B, T, D]} raw
        lengths:  [B] frames, each at least one
        numbers:  the same, where they are known without waiting for a GPU

        Raises UserError for an unknown language.
        """
        frames, epoch = self._normalised(features), self.epoch if self.training else None
        numbers = lengths.tolist() if numbers is None else numbers
        outputs, order = [], []
        for name, rows in self._routes(sentences).items():
            index = torch.tensor(rows, device=lengths.device)
            own, longest = lengths[index], max(numbers[i] for i in rows)
            outputs.append(self.groups[name]([sentences[i] for i in rows], frames[index, :longest], own, epoch))
            order += rows
        back = torch.tensor(order, device=lengths.device).argsort()
        values = {
            key: torch.cat([getattr(output, key) for output in outputs])[back]
            for key in ("errors", "squared", "counter", "frames")
        }
        terms = {
            term: torch.cat([output.terms.get(term, torch.zeros_like(output.errors)) for output in outputs])[back]
            for term in self.terms
        }
        return RegressorOutput(**values, terms=terms)

    @torch.no_grad()
    def generate(
        self, sentences: Sequence[Sentence], max_frames: int, references: Sequence[Mapping[str, Tensor]] | None = None
    ) -> Generated:
        """The features of each sentence, in their order. In evaluation mode a sentence's do not depend on the others.

        max_frames: where a motion whose counter does not end it is cut
        references: {part: [T, D]} raw of each sentence, for oracle timing; None: free timing

        Raises UserError for an unknown language and for an empty text.
        """
        features: list[dict[str, Tensor]] = [{}] * len(sentences)
        ended = [False] * len(sentences)
        for name, rows in self._routes(sentences).items():
            guide = None if references is None else self._guide([references[i] for i in rows])
            made, ends = self.groups[name].generate([sentences[i] for i in rows], max_frames, guide)
            for row, frames, end in zip(rows, made, ends):
                features[row], ended[row] = self._by_part(frames * self.std + self.mean), end
        return Generated(features, ended)

    @property
    def writes(self) -> bool:
        """Whether groups learn to write LangGloss before poses are made."""
        return any(group.front is not None for group in self._learning)

    def own_lang_glosses(self, clips: Sequence[Clip]) -> list[list[str]]:
        """The tokens that should be written of clips, those too that no training clip has."""
        vocabularies = [self.groups[self.group_of(clip.language)].spec.glosses for clip in clips]
        return [g.written(clip.language, clip.text, clip.gloss) for g, clip in zip(vocabularies, clips)]

    @torch.no_grad()
    def lang_glosses(self, sentences: Sequence[Sentence]) -> list[list[str]]:
        """The tokens, `ASL_word`, that are written of each sentence before it is signed.

        Raises UserError for an empty text, an unknown language, and a regressor that writes none.
        """
        written: dict[int, list[str]] = {}
        for name, rows in self._routes(sentences).items():
            group = self.groups[name]
            ids = group.write([sentences[i] for i in rows]).ids
            written.update(zip(rows, map(group.spec.glosses.tokens_of, ids)))
        return [written[i] for i in range(len(sentences))]

    def _guide(self, references: Sequence[Mapping[str, Tensor]]) -> Guide:
        first = [self._normalised({p: values[:1].to(self.device) for p, values in r.items()}) for r in references]
        lengths = [len(next(iter(reference.values()))) for reference in references]
        return Guide(torch.cat(first), torch.tensor(lengths, device=self.device))

    def _routes(self, sentences: Sequence[Sentence]) -> dict[str, list[int]]:
        """Group -> numbers of its sentences."""
        routes: dict[str, list[int]] = {}
        for i, sentence in enumerate(sentences):
            routes.setdefault(self.group_of(sentence.language), []).append(i)
        return routes

    def _normalised(self, features: Mapping[str, Tensor]) -> Tensor:
        """{part: [..., D]} raw -> [..., F]"""
        return (torch.cat([features[part] for part in self.layout.names], dim=-1) - self.mean) / self.std

    def _by_part(self, values: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.layout.names, values.split(list(self.layout.sizes.values()), dim=-1)))

    def end_epoch(self) -> None:
        """See `Group.end_epoch`. Every process must call it."""
        for group in self.groups.values():
            group.end_epoch()

    def provenance(self) -> dict[str, Any]:
        """What weights must agree with to be loaded into this regressor, in plain types; with the hashes of the groups
        that are frozen."""
        return {
            "layout_hash": self.layout.hash, "statistics_hash": self.statistics.hash, "form_of_frames": self.form,
            "groups": {name: group.spec.to_plain() for name, group in self.groups.items()},
            "frozen_groups": {name: group.hash for name, group in self.groups.items() if group.frozen},
        }

    def save_pretrained(self, folder: Path | str) -> None:
        """Writes weights and configuration, each group in a folder of its own; the folder appears whole or not at all."""
        hashes = {"layout_hash": self.layout.hash, "statistics_hash": self.statistics.hash, "hash": self.hash}
        config = {"code_version": __version__, "format": FORMAT, **self._facts(), **hashes}
        with new_folder(Path(folder)) as target:
            save_file({"mean": self.mean.cpu().contiguous(), "std": self.std.cpu().contiguous()}, target / STATISTICS_FILE)
            for name, group in self.groups.items():
                own = target / GROUPS_FOLDER / name
                own.mkdir(parents=True)
                group.save(own)
            text = json.dumps(config, indent=2, ensure_ascii=False)
            (target / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: torch.device | str = "cpu") -> PoseRegressor:
        """The regressor that `save_pretrained` wrote, in evaluation mode.

        folder: or its name on the hub, as `soke.hub.model_folder` takes it
        Raises UserError when files are missing, damaged or do not belong together.
        """
        folder = model_folder(folder)
        require(folder, "regressor", (CONFIG_FILE,), HOW_TO_TRAIN)
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            check_format(config, folder / CONFIG_FILE)
            layout = MotionLayout.from_list(config["layout"])
            statistics = load_file(folder / STATISTICS_FILE)
            sizes = list(layout.sizes.values())
            mean, std = (dict(zip(layout.names, statistics[key].split(sizes))) for key in ("mean", "std"))
            groups = {name: Group.load(within(folder / GROUPS_FOLDER, name)) for name in config["groups"]}
            regressor = cls(layout, mean, std, groups, config["form_of_frames"]).to(device).eval()
        except (
            OSError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError, SettingsError
        ) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]  # torch lists every weight that does not fit
            raise UserError(f"the regressor in {folder} cannot be read ({reason}): {HOW_TO_TRAIN}") from error
        if regressor.hash != config.get("hash"):
            raise UserError(f"the files in {folder} do not belong together: {HOW_TO_TRAIN}")
        return regressor

    def _facts(self) -> dict[str, Any]:
        """All that the weights need to become motions."""
        return {
            "form_of_frames": self.form, "layout": self.layout.to_list(),
            "groups": {name: group.spec.to_plain() for name, group in self.groups.items()},
        }
