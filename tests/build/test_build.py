"""Every shipped configuration builds its models."""
from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch

from soke.build.body import body_model, layout_of
from soke.build.data import code_data, corpora_of, lexicon_of, motion_data, tokenizer_data
from soke.build.generator import _warn_of_cut
from soke.build.readers import CORPORA
from soke.build.stages import stage_of
from soke.build.testing import note_counted
from soke.data.settings import KNOWN_CORPORA
from soke.errors import UserError
from soke.evaluation.outcome import Evaluation
from soke.generator.schemes import SCHEMES
from soke.generator.settings import Generator, Search
from soke.report.tables import ResultTable
from soke.run.config import load_config, resolve
from soke.run.processes import World
from soke.text.words import level_of
from soke.tokenizer.tokenizer import SignTokenizer
from tests.run.test_config import RUNNABLE

# What is in a file's name -> features and codes of each part; the last is all others'.
_PARTS = {
    **dict.fromkeys(("s_motiongpt", "whole"), {"whole": (133, 512)}),
    "signllm_rotations": {"body": (30, 96), "lhand": (45, 192), "rhand": (45, 192)},
    **dict.fromkeys(("signllm", "skels"), {"body": (24, 96), "lhand": (63, 192), "rhand": (63, 192)}),
    "_ten.yaml": {"body": (60, 96), "lhand": (90, 192), "rhand": (90, 192), "face": (16, 512)},
    "m3t": {"body": (72, 96), "lhand": (90, 192), "rhand": (90, 192), "face": (108, 512)},
    "soke_face": {"body": (30, 96), "lhand": (45, 192), "rhand": (45, 192), "face": (13, 96)},
    "recognition": {"body": (72, 96), "lhand": (90, 192), "rhand": (90, 192), "face": (108, 512)},
    "": {"body": (43, 96), "lhand": (45, 192), "rhand": (45, 192)},
}


def make_tokenizer(file: str, overrides: Sequence[str] = (), device: str = "cpu") -> SignTokenizer:
    """device: meta takes no memory for its weights"""
    config = load_config(file, overrides=overrides)
    layout = layout_of(config)
    with torch.device(device):
        blank = {part: torch.zeros(size) for part, size in layout.sizes.items()}
        return SignTokenizer(layout, blank, blank, config.tokenizer.autoencoders(config.parts))


@pytest.mark.parametrize("file", [file for file in RUNNABLE if "back_translation" not in file])
def test_layout_and_tokenizer(file):
    tokenizer = make_tokenizer(file, device="meta")
    parts = next(parts for name, parts in _PARTS.items() if name in file)
    assert tokenizer.layout.sizes == {part: features for part, (features, _) in parts.items()}
    assert tokenizer.streams == {part: codes for part, (_, codes) in parts.items()}


def test_soke_s_parts_go_to_fsq_and_to_a_face_of_their_own_without_loss():
    plain, fsq, face = (load_config(f"configs/{name}.yaml") for name in (
        "soke", "ablation/soke_fsq", "ablation/soke_face",
    ))
    assert layout_of(fsq).hash == layout_of(plain).hash and layout_of(face).covers == layout_of(plain).covers
    quantizers = {name: part.quantizer for name, part in fsq.tokenizer.autoencoders(fsq.parts).items()}
    assert {name: (type(q).__name__, q.levels) for name, q in quantizers.items()} == {
        "body": ("Fsq", (8, 4, 3)), "lhand": ("Fsq", (8, 6, 4)), "rhand": ("Fsq", (8, 6, 4)),
    }
    assert fsq.tokenizer.code_dim == 3 and len({c.dataset.code_path for c in (plain, fsq, face)}) == 3
    for config in (fsq, face):
        assert (config.generator, config.train) == (plain.generator, plain.train)


def test_published_tokenizer_has_the_published_size():
    """18.76 million weights per part, the codebook and its averages not counted."""
    tokenizer = make_tokenizer("configs/deto.yaml")
    for autoencoder in tokenizer.autoencoders.values():
        assert sum(p.numel() for p in autoencoder.parameters()) == pytest.approx(18.76e6, rel=0.005)


def test_m3t_s_tokenizer_has_the_published_size():
    """Some 120 million weights per modality, of which the residual blocks' dilation and the hands' sharing are known."""
    tokenizer = make_tokenizer("configs/m3t_tokenizer.yaml", device="meta")
    counts = {part: sum(p.numel() for p in a.parameters()) / 1e6 for part, a in tokenizer.autoencoders.items()}
    assert counts == pytest.approx({"body": 119.0, "rhand": 119.1, "face": 119.2}, abs=0.05)
    dilations = [[b.spread.dilation[0] for b in s.residual.blocks] for s in tokenizer.autoencoders["face"].encoder.stages]
    assert dilations == [[243, 81, 27, 9, 3, 1]] * 2


def test_wrong_joints_are_named():
    with pytest.raises(UserError, match="PARTS: .*nek"):
        layout_of(load_config("configs/deto.yaml", overrides=["PARTS.body.joints=[nek]"]))


def test_the_configuration_chooses_the_body():
    for overrides, label, vertices in [
        ([], "stand-in", 10475), (["BODY.MODEL=smplfx"], "stand-in-fx", 10595),
        (["BODY.MODEL=smplfx", "BODY.TEETH=false", "BODY.HEAD_PLACE=mean", "BODY.BETAS=[]"],
         "stand-in-fx,own-betas,no-teeth,head-by-mean", 10475),
    ]:
        overrides = [*overrides, "BODY.ROOT=deps/smpl_models/stand_in", "BODY.FLAT_HAND_MEAN=false"]
        body = body_model(load_config("configs/deto.yaml", overrides=overrides), "cpu")
        assert (body.label, len(body.template)) == (label, vertices)


def test_every_choice_of_the_schema_exists():
    assert set(typing.get_args(typing.get_type_hints(Generator)["decoding"])) == set(SCHEMES)
    assert set(KNOWN_CORPORA) == set(CORPORA)


def test_default_search_is_greedy():
    assert load_config("configs/soke.yaml").test.search == Search()


def test_every_corpus_has_a_back_translation_model_of_the_published_size():
    config = load_config("configs/back_translation.yaml")
    each = stage_of(config).models(config)
    assert [c.name for c in each] == [f"back_translation/{name}" for name in ("how2sign", "csl", "phoenix")]
    assert [list(c.dataset.corpora) for c in each] == [["how2sign"], ["csl"], ["phoenix"]]
    t, o = config.translation, config.train.optim
    assert (t.width, t.layers, t.heads, t.feedforward, t.dropout) == (512, 3, 8, 2048, 0.1)
    assert (o.kind, o.lr, o.betas, o.weight_decay) == ("adam", 1e-3, [0.9, 0.998], 1e-3)
    assert (o.schedule, o.eta_min, o.patience, o.factor) == ("plateau", 1e-7, 8, 0.7)
    assert resolve(load_config("configs/soke.yaml").metric.back_translation) == config.run_folder
    soke = load_config("configs/soke.yaml")
    assert stage_of(soke).models(soke) == [soke]


def test_m3t_s_back_translation_is_the_published_one():
    """M3T, appendix D.4: all parts side by side, 360 numbers; batches of 256, of 128 for How2Sign; patience 10."""
    config = load_config("configs/m3t_back_translation.yaml")
    assert sum(layout_of(config).sizes.values()) == 360
    assert [c.train.batch_size for c in stage_of(config).models(config)] == [128, 256, 256]
    o = config.train.optim
    assert (o.kind, o.schedule, o.patience) == ("adam", "plateau", 10) and config.translation.pseudo_glosses
    assert level_of(["今天下雨"], config.translation.level) == "jieba" and level_of(["regen"]) == "word"
    with pytest.raises(UserError, match="TRANSLATION.BATCH_SIZES.csl must be at least 1, not 0"):
        load_config("configs/back_translation.yaml", overrides=["TRANSLATION.BATCH_SIZES={csl: 0}"])


def test_folders_that_are_missing_are_named_by_their_keys(tmp_path):
    config = load_config("configs/soke.yaml", overrides=[
        "DATASET.CORPORA.phoenix.ROOT=gone", "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null",
        f"DATASET.LEXICON={tmp_path}/gone",
    ])
    with pytest.raises(UserError, match="^corpus phoenix: .*; set DATASET.CORPORA.phoenix.ROOT to the folder that"):
        corpora_of(config)
    with pytest.raises(UserError, match="^corpus lexicon: .*; set DATASET.LEXICON to the folder that"):
        lexicon_of(config)


@pytest.mark.parametrize(
    ("make", "override"),
    [(motion_data, "AUGMENT.SPEED=0.1"), (tokenizer_data, "AUGMENT.MIRROR={csl: 0.5}"), (code_data, "AUGMENT.DROP_STEP=0.3")],
)
def test_data_modules_augment_as_the_configuration_says(make, override, tmp_path):
    corpora = f"DATASET.CORPORA={{csl: {{ROOT: '{tmp_path}'}}, how2sign: null, phoenix: null}}"
    file, alone = "soke" if make is code_data else "deto", ["DATASET.TRAIN_ON_LEXICON=false", "DATASET.LEXICON=null"]
    config = load_config(f"configs/{file}.yaml", overrides=[override, corpora, *alone])
    assert make(config, tmp_path).augment == config.augment and config.augment.used


def test_a_table_says_how_many_motions_of_all_processes_are_cut():
    evaluation = Evaluation(ResultTable("Text to motion"))
    two = SimpleNamespace(gathered=lambda items: [*items, 3])  # another process has 3 of either
    for counts, world in (({"made": 7, "cut": 0}, World()), ({"made": 7, "cut": 1}, two)):
        note_counted(evaluation, Counter(counts), world, "cut", "{cut} of {made} motions did not end")
    assert evaluation.table.notes == ["4 of 10 motions did not end"]


def test_training_clips_that_are_longer_than_any_output_are_counted(caplog):
    lengths = {"a": 12, "b": 13, "c": 250}
    dataset = SimpleNamespace(clips=list(lengths), limits=(10, 100))
    data = SimpleNamespace(dataset=lambda split, kind: dataset, code_store=SimpleNamespace(length=lengths.get))
    _warn_of_cut(data, 100)
    assert not caplog.text
    _warn_of_cut(data, 12)
    assert "2 of the 3 training clips have more codes per part than GENERATOR.MAX_STEPS=12" in caplog.text
    assert "the longest has 100" in caplog.text  # of 250, which DATASET.MAX_FRAMES squeezes
