"""TRAIN.INIT from the command line: what fits of a trained model is taken to the bit, the rest begins anew and is named."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import train
from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.build.stages import stage_of
from soke.errors import UserError
from soke.regressor.source import language_token
from soke.run.config import load_config
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.skels_writing import write_split

SIZES = {"train": 4, "val": 2, "test": 1}
READERS = "tests.prepare.test_add_language"  # AslSkels, DgsSkels and LsaSkels
YAML = {
    "tokenizer": "BASE: [configs/skels/tokenizer.yaml]\nTOKENIZER: {CODE_DIM: 8, WIDTH: 8, DEPTH: 1}\n"
                 "PARTS: {" + ", ".join(f"{part}: {{quantizer: {{codes: 16}}}}" for part in ("body", "lhand", "rhand")) + "}\n",
    "regressor": "BASE: [configs/progressive_transformer.yaml, configs/parts/skeleton_50.yaml]\n"
                 "REGRESSOR: {WIDTH: 16, HEADS: 2, FEEDFORWARD: 32, FUTURE: 2, GROUPS: per_language}\n",
    "translation": "BASE: [configs/skels/back_translation.yaml]\n"
                   "TRANSLATION: {WIDTH: 16, HEADS: 2, FEEDFORWARD: 32, BEAMS: [1], LENGTH_PENALTIES: [0]}\n",
}
COMMON = """
ACCELERATOR: cpu
DEVICE: 1
TRAIN: {BATCH_SIZE: 4, NUM_WORKERS: 0, END_EPOCH: 1, OPTIM: {SCHEDULE: constant, LR: 1.0e-3}}
EVAL: {EVERY_EPOCHS: 1, GENERATE_EVERY: 0}
LOGGER: {TENSORBOARD: false}
"""
CORPORA = "DATASET: {CORPORA: {how2sign: null, csl: null, phoenix: null, skels: null}, MIN_FRAMES: 8, LEXICON: null}\n"


def write(folder: Path, shift: float, sizes: dict[str, int] = SIZES) -> None:
    draw = torch.Generator().manual_seed(0)
    for split, count in sizes.items():
        motions = [JointMotion(shift + torch.randn(16, 50, 3, generator=draw), SKELETON_50, 25.0) for _ in range(count)]
        write_split(folder, split, motions)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Three corpora, and a trained model of each stage: of asl the tokenizer and the back-translation, of asl and dgs the
    regressor."""
    root = tmp_path_factory.mktemp("starting")
    for number, name in enumerate(("asl", "dgs", "lsa")):
        write(root / name, 0.1 * number, {**SIZES, "train": 4 + number})
    for stage, text in YAML.items():
        (root / f"{stage}.yaml").write_text(text + COMMON + CORPORA)
    train.main(command(root, "tokenizer", "first", ["asl"]))
    train.main(command(root, "regressor", "first", ["asl", "dgs"]))
    train.main(command(root, "translation", "first", ["asl"]))
    return root


def overrides(root: Path, name: str, corpora: list[str], *more: str) -> list[str]:
    readers = {c: json.dumps({"ROOT": str(root / c), "READER": f"{READERS}.{c.capitalize()}Skels"}) for c in corpora}
    return [f"NAME={name}", f"FOLDER={root}/runs", *(f"DATASET.CORPORA.{c}={r}" for c, r in readers.items()), *more]


def command(root: Path, stage: str, name: str, corpora: list[str], *more: str) -> list[str]:
    return ["--cfg", str(root / f"{stage}.yaml"), "--nodebug", *overrides(root, name, corpora, *more)]


def export(root: Path, stage: str, name: str = "first", *below: str) -> Path:
    return root.joinpath("runs", stage, name, *below, stage)


def module(root: Path, stage: str, name: str, corpora: list[str], *more: str) -> Any:
    """What train.py would train, before it does."""
    config = load_config(root / f"{stage}.yaml", overrides=overrides(root, name, corpora, *more))
    row = stage_of(config)
    (config,) = row.models(config)
    return row.module(config, row.data(config, root / "data" / name))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.relative_to(folder).parent}/{key}": value
        for path in sorted(folder.rglob("*.safetensors")) for key, value in load_file(path).items()
    }


@pytest.mark.parametrize(("stage", "corpora", "below"), [
    ("tokenizer", ["asl"], ()), ("regressor", ["asl", "dgs"], ()), ("translation", ["asl"], ("asl",)),
])
def test_without_training_it_is_the_trained_model(root, stage, corpora, below, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = export(root, stage, "first", *below)
    init = folder if stage != "translation" else root / "runs" / "translation" / "first"
    made = module(root, stage, f"same-{stage}", corpora, f"TRAIN.INIT={init}")
    made.trained.eval()
    told = [record for record in caplog.records if record.message.startswith("TRAIN.INIT: of the model in")]
    (record,) = told
    assert record.levelno == logging.INFO and "begin anew" not in record.message
    kind = {"tokenizer": "tokenizer", "regressor": "regressor", "translation": "translator"}[stage]
    getattr(made, kind).save_pretrained(tmp_path / "again")
    before, after = weights(folder), weights(tmp_path / "again")
    assert before.keys() == after.keys() and len(before) > 10
    for name, value in before.items():
        assert torch.equal(value, after[name]), name


def test_a_tokenizer_is_fine_tuned_on_other_data_with_its_own_statistics(root, caplog):
    folder = export(root, "tokenizer")
    train.main(command(root, "tokenizer", "fine", ["dgs"], f"TRAIN.INIT={folder}"))
    before, after = SignTokenizer.from_pretrained(folder), SignTokenizer.from_pretrained(export(root, "tokenizer", "fine"))
    assert after.statistics.hash == before.statistics.hash and after.hash != before.hash
    assert after.begun == {part: [before.part_hash(part)] for part in before.settings}
    assert after.keeps_meaning(before) == list(before.streams)
    assert SignTokenizer.from_pretrained(folder).begun == {}
    named = root / "runs" / "tokenizer" / "fine" / "statistics.json"  # of dgs, which lies 0.1 beside
    made = module(root, "tokenizer", "asked", ["dgs"], f"TRAIN.INIT={folder}", f"DATASET.STATISTICS={named}")
    assert "mean and standard deviation are those of DATASET.STATISTICS" in caplog.text
    own = torch.tensor(json.loads(named.read_text())["mean"]["body"])
    assert torch.equal(made.tokenizer.autoencoders["body"].mean, own)
    assert not torch.allclose(before.autoencoders["body"].mean, own, atol=0.01)


def test_parts_and_codebooks_that_are_other_begin_anew_by_name(root, caplog):
    folder = export(root, "tokenizer")
    before = SignTokenizer.from_pretrained(folder)
    made = module(
        root, "tokenizer", "other", ["asl"], f"TRAIN.INIT={folder}", "PARTS.lhand.quantizer.codes=32",
        "PARTS.rhand.name=hand",
    ).tokenizer
    message = next(r.message for r in caplog.records if r.message.startswith("TRAIN.INIT: of the model"))
    assert "the part hand begins anew: it has no such part" in message
    assert "autoencoders.lhand.quantizer.codebook ([16, 8] there, [32, 8] here)" in message
    assert "72 of 114 weights are taken, 42 begin anew: " in message and "autoencoders.hand.* (38)" in message
    ours, theirs = made.state_dict(), before.state_dict()
    kept = [n for n in ours if n.startswith("autoencoders.body.") or n.startswith("autoencoders.lhand.encoder")]
    assert len(kept) > 20 and all(torch.equal(ours[name], theirs[name]) for name in kept)
    assert int(ours["autoencoders.lhand.quantizer.updates"]) == 0  # the first batch fills it
    assert list(made.begun) == ["body"] and made.keeps_meaning(before) == ["body"]
    assert "autoencoders.lhand.quantizer.codebook" in made.fresh
    with pytest.raises(UserError, match="no part of the tokenizer in .* is one of PARTS: a .it has no such part"):
        module(root, "tokenizer", "none", ["asl"], f"TRAIN.INIT={folder}",
               "PARTS=[{name: a, joints: [skeleton_body], rotation: position, quantizer: {kind: ema, codes: 4}}]")


def test_what_is_frozen_is_exported_to_the_bit_and_the_rest_has_learnt(root):
    folder = export(root, "tokenizer")
    train.main(command(
        root, "tokenizer", "frozen", ["dgs"], f"TRAIN.INIT={folder}", "TRAIN.FREEZE=[autoencoders.body.*, '*.encoder.*']",
        "TRAIN.OPTIM.WEIGHT_DECAY=0.1",
    ))
    before, after = (weights(export(root, "tokenizer", name)) for name in ("first", "frozen"))
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    frozen = {name for name in before if ".body." in name or ".encoder." in name or name.endswith(("mean", "std"))}
    assert changed == before.keys() - frozen


def test_a_regressor_goes_on_with_a_language_adds_another_and_leaves_the_third(root, caplog):
    folder = export(root, "regressor")
    train.main(command(root, "regressor", "both", ["dgs", "lsa"], f"TRAIN.INIT={folder}"))
    assert "sign languages that are added: LSA" in caplog.text
    before, after = weights(folder), weights(export(root, "regressor", "both"))
    assert all(torch.equal(value, after[name]) for name, value in before.items() if name.startswith("groups/ASL"))
    assert torch.equal(before["./mean"], after["./mean"]) and torch.equal(before["./std"], after["./std"])
    learnt = "groups/DGS/network.frame_head.weight"
    assert not torch.equal(before[learnt], after[learnt])
    assert (before[learnt] - after[learnt]).abs().max() < 0.01  # from where it was
    assert any(name.startswith("groups/LSA/") for name in after)


@pytest.mark.parametrize(("corpora", "more", "fault"), [
    (["dgs"], ["TRAIN.INIT_LANGUAGE=ASL"], "no language is added that could start from ASL"),
    (["dgs"], ["REGRESSOR.GROUPS=shared"], "has a group for each of ASL, DGS: set REGRESSOR.GROUPS=per_language"),
    (["dgs"], ["DATASET.STATISTICS={root}/runs/regressor/third/statistics.json"],
     "its groups of ASL would sign other motions"),
])
def test_what_contradicts_the_trained_regressor_is_named(root, corpora, more, fault):
    module(root, "regressor", "third", ["dgs"])  # writes the statistics of dgs
    with pytest.raises(UserError, match=fault):
        module(root, "regressor", "wrong", corpora, f"TRAIN.INIT={export(root, 'regressor')}",
               *(item.replace("{root}", str(root)) for item in more))


def test_new_words_come_behind_the_others_of_a_group(root, caplog):
    """In one group of all, a language joins that group, which reads from now on which one is meant."""
    train.main(command(root, "regressor", "shared", ["asl"], "REGRESSOR.GROUPS=shared"))
    folder = export(root, "regressor", "shared")
    made = module(root, "regressor", "joined", ["dgs"], f"TRAIN.INIT={folder}", "REGRESSOR.GROUPS=shared").regressor
    (group,) = made.groups.values()
    assert group.spec.languages == ["ASL", "DGS"] and group.spec.corpora == {"asl": "ASL", "dgs": "DGS"}
    before = weights(folder)["groups/all/network.token_embedding.weight"]
    table = group.network.token_embedding.weight
    assert torch.equal(table[: len(before)], before)
    new_words = group.spec.tokens[len(before) - len(group.vocabulary.SPECIALS) :]
    assert new_words == [language_token("ASL"), language_token("DGS"), "4"]  # dgs has one sentence more
    new = len(table) - len(before)
    assert new > 0 and f"groups.all.network.token_embedding.weight ({new} of its {len(table)} rows)" in caplog.text
    assert "sign languages that are added: DGS" in caplog.text


def test_a_back_translation_takes_the_words_that_both_have(root, caplog):
    folder = root / "runs" / "translation" / "first"
    made = module(root, "translation", "other", ["dgs"], f"TRAIN.INIT={folder / 'asl' / 'translation'}").translator
    assert "it reads ASL, dgs is DGS: words that both have are taken" in caplog.text
    theirs = weights(folder / "asl" / "translation")
    ours, words = made.model.state_dict(), made.targets.texts
    saved = json.loads((folder / "asl" / "translation" / "translator.json").read_text(encoding="utf-8"))
    rows, of = words.shared(type(words)(saved["targets"]["texts"]))
    assert torch.equal(ours["text_embedding.weight"][rows], theirs["./text_embedding.weight"][of]) and len(rows) > 6
    assert torch.equal(ours["frame_embedding.weight"], theirs["./frame_embedding.weight"])
    assert torch.equal(ours["mean"], theirs["./mean"])
    assert len(made.provenance["begun_from"]) == 1 and made.lineage[1:] == made.provenance["begun_from"]
    with pytest.raises(UserError, match="no back-translation model in .*: there is none of dgs in .*first/dgs/translation eith"):
        module(root, "translation", "wrong", ["dgs"], f"TRAIN.INIT={folder}")
    with pytest.raises(UserError, match="no back-translation model in .*/first/asl .*: name .*/first/asl/translation"):
        module(root, "translation", "wrong", ["dgs"], f"TRAIN.INIT={folder / 'asl'}")
    with pytest.raises(UserError, match="holds a model of another kind, regressor, and no back-translation model"):
        module(root, "translation", "wrong", ["dgs"], f"TRAIN.INIT={export(root, 'regressor')}")


def test_other_parts_are_named(root):
    whole = "PARTS=[{name: body, joints: [skeleton_body], rotation: position, quantizer: {kind: ema, codes: 4}}]"
    folder = root / "runs" / "translation" / "first"
    with pytest.raises(UserError, match=r"sees other parts than PARTS has: lhand .PARTS has no such part., rhand"):
        module(root, "translation", "parts", ["asl"], f"TRAIN.INIT={folder}", whole)


def test_init_language_is_refused_where_it_would_do_nothing(root):
    for stage in ("tokenizer", "translation"):
        with pytest.raises(UserError, match=f"to a model of stage {stage} no sign language is added"):
            load_config(root / f"{stage}.yaml", overrides=["TRAIN.INIT=x", "TRAIN.INIT_LANGUAGE=DGS"])


def test_a_run_goes_on_from_the_model_that_it_began_from_and_from_no_other(root, tmp_path):
    """The folder that TRAIN.INIT names may move; another model in its place is refused."""
    init, moved = tmp_path / "init", tmp_path / "moved"
    shutil.copytree(export(root, "tokenizer"), init)
    arguments = command(root, "tokenizer", "origin", ["asl"], f"TRAIN.INIT={init}", "TRAIN.RESUME=auto")
    train.main(arguments)
    init.rename(moved)
    train.main([*arguments, f"TRAIN.INIT={moved}", "TRAIN.END_EPOCH=2"])
    shutil.copytree(export(root, "tokenizer", "origin"), init)
    with pytest.raises(UserError, match="TRAIN.RESUME: .*last.ckpt is of a training that began from another model than lies in"):
        train.main([*arguments, "TRAIN.END_EPOCH=3"])
