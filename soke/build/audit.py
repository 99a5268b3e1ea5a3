"""Audits of metrics: on which rows of which corpora, and by which models."""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from soke.body.layout import MotionLayout
from soke.body.motion import JointMotion, Motion
from soke.build.baselines import floors_of
from soke.build.body import layout_of
from soke.build.data import corpora_of, statistics_of
from soke.build.embedding import with_embeddings
from soke.build.stages import stage_of
from soke.build.testing import evaluation_setting, oracles_of
from soke.build.tokenizer import coder_of
from soke.build.translation import readers_of
from soke.data.clip import Clip
from soke.evaluation.audit.audit import Audit, audited
from soke.evaluation.audit.rows import AS_SIGNED, SECOND, audited_rows, chosen, even_spans
from soke.evaluation.audit.values import Values, together, values_of
from soke.evaluation.baselines.mean_pose import MEAN_POSE
from soke.evaluation.outcome import Evaluation
from soke.evaluation.protocols import Producer
from soke.evaluation.references import References, Setting, read_references
from soke.evaluation.rows import SHUFFLED, of_other_clips, score_rows
from soke.evaluation.settings import BASELINES, OF_LEXICON
from soke.report.tables import ResultTable
from soke.run.config import Config, resolve
from soke.tokenizer.reconstruction import Reconstruction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _System:
    """The configuration's model, as far as it is trained: `trained` is None where there is none, and only what it would see
    is known; it then stands for the baselines as the producer that they are floors of."""

    trained: Producer | None
    layout: MotionLayout
    conditions: Mapping[str, str]
    mean: Mapping[str, Tensor]
    name: str = "no system"

    def produce(self, sentences: Sequence[Clip]) -> list[Motion]:
        raise NotImplementedError


def audit(config: Config, clips: int) -> Audit:
    """Of every metric that the house has for the configuration's corpora, on so many clips of each. Raises UserError as
    tests do."""
    system = _system(config)
    tokenizer = getattr(system.trained, "tokenizer", None)
    setting = evaluation_setting(config, readers=readers_of, coder=coder_of(config) or tokenizer)
    setting = replace(with_embeddings(setting, config), oracles=oracles_of(config, setting.corpora))
    found, systems, notes = [], {}, []
    for corpus in setting.corpora:
        references = chosen(read_references(corpus, system.layout, setting), clips, setting.test.batch_size)
        rows = audited_rows(references, partial(_spans, setting), partial(_again, config, setting))
        others = _systems(config, system, references, setting, notes)
        systems |= dict.fromkeys([SECOND, *others])
        rows |= others
        log.info("%s: %d rows of %d clips", corpus.name, len(rows), len(references.clips))
        evaluation = Evaluation(ResultTable("Audit", split=setting.split))
        score_rows(references, rows, system.conditions, setting, evaluation)
        notes += [note for note in evaluation.table.notes if note not in notes]
        found.append(values_of(evaluation, corpus.name, list(rows)))
        if corpus.name not in setting.oracles:
            notes.append(f"{corpus.name}: its signs are not known: pieces of half a second stand for them")
    return _of_all(found, list(systems), system, notes)


def _of_all(found: Sequence[Values], systems: Sequence[str], system: _System, notes: Sequence[str]) -> Audit:
    trained = system.trained
    made = [] if trained is None else [Reconstruction.name, trained.name, SHUFFLED.format(trained.name)]
    return audited(together(found), systems, [AS_SIGNED, *made, MEAN_POSE], notes)


def _system(config: Config) -> _System:
    stage, layout = stage_of(config), layout_of(config)
    absent = [folder for folder in stage.exports(config).values() if not folder.is_dir()]
    if stage.producer is not None and not absent:
        producer = stage.producer(config)
        model = getattr(producer, "tokenizer", None) or producer.regressor
        return _System(producer, producer.layout, producer.conditions, model.statistics.mean)
    why = f"there is no trained model in {absent[0]}" if absent else f"a model of stage {config.train.stage} signs nothing"
    log.warning("%s: baselines are the only systems of this audit", why)
    mean = statistics_of(config, layout, corpora_of(config)).mean
    return _System(None, layout, {"layout": layout.hash}, mean)


def _systems(
    config: Config, system: _System, references: References, setting: Setting, notes: list[str]
) -> dict[str, list[Motion | JointMotion]]:
    """Row -> motions: the trained system, shuffled and through its tokenizer, and all baselines."""
    rows: dict[str, list[Motion | JointMotion]] = {}
    if system.trained is not None:
        name = system.trained.name
        rows[name] = references.produced_by(system.trained, "generate")
        rows[SHUFFLED.format(name)] = of_other_clips(references, rows[name], setting.world)
        if hasattr(system.trained, "tokenizer"):
            best = Reconstruction(system.trained.tokenizer, references)
            rows[best.name] = references.produced_by(best, "reconstruct")
    lexicon = config.dataset.lexicon is not None and resolve(config.dataset.lexicon).is_dir()
    names = [name for name in BASELINES if lexicon or name not in OF_LEXICON]
    for floor in floors_of(config, names, system.trained or system, system.mean):
        producer = floor(references)
        if isinstance(producer, str):
            notes.append(f"{references.corpus.name}: {producer}")
        else:
            rows[producer.name] = references.produced_by(producer)
    return rows


def _spans(setting: Setting, clip: Clip, motion: Motion | JointMotion) -> list[slice]:
    oracle = setting.oracles.get(clip.corpus)
    if oracle is None or oracle.signed(clip.name) is None:
        return even_spans(motion)
    return oracle.known.spans(clip.name, len(motion))


def _again(config: Config, setting: Setting, clip: Clip, motion: Motion | JointMotion) -> Motion | JointMotion | None:
    oracle = setting.oracles.get(clip.corpus)
    if oracle is None or oracle.signed(clip.name) is None:
        return None
    return oracle.known.again(clip.name, motion.fps, config.dataset.frames)
