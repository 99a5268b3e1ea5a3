"""A language is added to a trained model from the command line: the others stay as they are, and mistakes are named."""
from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

import train
from prepare import add_language
from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.build.regressor import trained_producer
from soke.data.corpora.skels import SkelsCorpus
from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.regressor.regressor import PoseRegressor
from soke.run.config import load_config
from tests.data.skels_writing import write_split

LANGUAGES = {"asl": "ASL", "dgs": "DGS", "lsa": "LSA"}
SIZES = {"train": 4, "val": 1, "test": 1}


class AslSkels(SkelsCorpus):
    name, language = "asl", "ASL"


class DgsSkels(SkelsCorpus):
    name, language = "dgs", "DGS"


class LsaSkels(SkelsCorpus):
    name, language = "lsa", "LSA"


def corpora(root: Path, *names: str) -> list[str]:
    readers = {name: f"{__name__}.{name.capitalize()}Skels" for name in names}
    return [f"DATASET.CORPORA.{name}={json.dumps({'ROOT': str(root / name), 'READER': r})}" for name, r in readers.items()]


def command(root: Path, name: str, *names: str) -> list[str]:
    return [
        "--cfg", str(root / "tiny.yaml"), "--nodebug", f"NAME={name}", f"FOLDER={root}/runs", *corpora(root, *names),
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Corpora of three languages, and a model of two of them, of one epoch."""
    root = tmp_path_factory.mktemp("languages")
    draw = torch.Generator().manual_seed(0)
    for name in LANGUAGES:
        for split, count in SIZES.items():
            motions = [JointMotion(torch.randn(12, 50, 3, generator=draw), SKELETON_50, 25.0) for _ in range(count)]
            write_split(root / name, split, motions)
    (root / "tiny.yaml").write_text(
        "BASE: [configs/progressive_transformer.yaml, configs/parts/skeleton_50.yaml]\nACCELERATOR: cpu\nDEVICE: 1\n"
        "TRAIN: {BATCH_SIZE: 4, NUM_WORKERS: 0, END_EPOCH: 1, OPTIM: {SCHEDULE: constant}}\n"
        "EVAL: {EVERY_EPOCHS: 1, GENERATE_EVERY: 0}\nLOGGER: {TENSORBOARD: false}\n"
        "DATASET: {CORPORA: {how2sign: null, csl: null, phoenix: null}, MIN_FRAMES: 8, LEXICON: null}\n"
        "REGRESSOR: {WIDTH: 16, HEADS: 2, FEEDFORWARD: 32, FUTURE: 2, GROUPS: per_language}\n"
    )
    train.main(command(root, "two", "asl", "dgs"))
    return root


def model_of(root: Path, name: str) -> Path:
    return root / "runs" / "regressor" / name / "regressor"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_language_is_added_and_the_others_are_as_they_were(root, capsys, caplog):
    caplog.set_level(logging.INFO)
    model = model_of(root, "two")
    before = files(model)
    add_language.main([*command(root, "three", "lsa"), "--model", str(model), "--from", "GSL"])
    assert "signs LSA besides; unchanged: ASL, DGS" in capsys.readouterr().out
    assert "the group LSA starts from that of DGS" in caplog.text
    assert files(model) == before
    grown = model_of(root, "three")
    for name in ("ASL", "DGS"):
        assert (grown / "groups" / name / "model.safetensors").read_bytes() == before[f"groups/{name}/model.safetensors"]
    two, three = (PoseRegressor.from_pretrained(folder) for folder in (model, grown))
    sentences = [Typed("satz 1 ja", "ASL"), Typed("ja satz", "DGS")]
    for one, other in zip(two.generate(sentences, 10).features, three.generate(sentences, 10).features):
        assert all(torch.equal(one[part], other[part]) for part in one)
    assert three.generate([Typed("satz 2", "LSA")], 10).features[0]["body"].isfinite().all()
    assert three.statistics.hash == two.statistics.hash
    record = json.loads((grown.parent / "provenance.json").read_text())
    assert record["frozen_groups"] == {name: two.groups[name].hash for name in ("ASL", "DGS")}
    config = load_config(grown.parent / "config.yaml")
    assert (config.train.init, config.train.init_language) == (str(model), "GSL")


@pytest.mark.parametrize(
    ("names", "more", "fault"),
    [
        (["dgs"], [], r"signs DGS already \(ASL, DGS\): leave the corpora of that language out"),
        (["lsa"], ["--from", "KSL"], "does not sign KSL: it has learnt ASL, DGS"),
        (["lsa"], ["--from", "ASL", "REGRESSOR.WIDTH=32"], "nothing of the group of ASL fits one of width 32, for it has 16"),
        (["lsa"], ["PARTS=[{name: all, joints: [skeleton_body], rotation: position}]"], "PARTS: body, lhand, rhand -> all"),
        (["lsa"], ["NAME=two"], "two already holds a run"),
        (["lsa"], ["REGRESSOR.GROUPS=shared"], "TRAIN.INIT adds a group for each sign language: set REGRESSOR.GROUPS"),
        (["lsa"], ["--model", "nowhere"], "no regressor in .*nowhere .regressor.json.: train one"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(root, names, more, fault):
    with pytest.raises(UserError, match=fault):
        add_language.main([*command(root, "faulty", *names), "--model", str(model_of(root, "two")), *more])
    assert not (model_of(root, "faulty").parent / "checkpoints").exists()


def test_a_language_with_settings_and_prompts_of_its_own_is_tested_alone_and_with_the_others(root):
    (root / "prompts").mkdir()
    (root / "prompts" / "prompts_LSA.txt").write_text("seña {} ahora\n")
    own = ["REGRESSOR.FUTURE=1", "REGRESSOR.SOURCE=prompt", f"REGRESSOR.PROMPT_FOLDER={root}/prompts"]
    add_language.main([*command(root, "asking", "lsa"), *own, "--model", str(model_of(root, "two"))])

    def config(*names: str, settings=(), name: str = "asking"):
        common = [f"NAME={name}", f"FOLDER={root}/runs", "TRAIN.STAGE=regressor"]
        return load_config(root / "tiny.yaml", overrides=[*common, *corpora(root, *names), *settings])

    for names in (["lsa"], ["asl", "dgs", "lsa"]):
        producer = trained_producer(config(*names, settings=own))
        assert len(producer.produce([Typed("satz 1", "LSA"), Typed("satz 1", "ASL")])) == 2
    trained_producer(config("asl", "dgs"))
    with pytest.raises(UserError, match=r"REGRESSOR.FUTURE: (1|2) -> 3"):
        trained_producer(config("asl", "dgs", "lsa", settings=["REGRESSOR.FUTURE=3"]))
    with pytest.raises(UserError, match="REGRESSOR.SOURCE: prompt -> text, REGRESSOR.FUTURE: 1 -> 2"):
        trained_producer(config("lsa"))
    (root / "prompts" / "prompts_LSA.txt").write_text("otra {}\n")
    with pytest.raises(UserError, match="trained with other prompt templates than those in"):
        trained_producer(config("lsa", settings=own))


def test_a_language_without_a_model_to_add_it_to_is_refused(root):
    with pytest.raises(UserError, match="TRAIN.INIT_LANGUAGE is DGS, of whose model nothing is said: name its folder in"):
        load_config(root / "tiny.yaml", overrides=[*corpora(root, "lsa"), "TRAIN.INIT_LANGUAGE=DGS"])
    with pytest.raises(UserError, match="TRAIN.INIT_LANGUAGE is DGS, but to a model of stage tokenizer no sign language"):
        load_config("configs/deto.yaml", overrides=["TRAIN.INIT=m", "TRAIN.INIT_LANGUAGE=DGS"])


def test_motions_of_another_unit_are_told(root, caplog):
    """The model's statistics normalise them, whatever they are."""
    draw = torch.Generator().manual_seed(0)
    for split, count in SIZES.items():
        motions = [JointMotion(50 + torch.randn(12, 50, 3, generator=draw), SKELETON_50, 25.0) for _ in range(count)]
        write_split(root / "far" / "lsa", split, motions)
    argv = [*command(root, "far", "asl"), "--model", str(model_of(root, "two"))]
    argv += ["DATASET.CORPORA.asl=null", *corpora(root / "far", "lsa")]
    add_language.main(argv)
    assert "150 of the 150 features lie more than 5 standard deviations from those that" in caplog.text
