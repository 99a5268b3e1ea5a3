"""Model cards: what stands in them is what the folder, the run and the results say."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from soke.body.layout import MotionLayout, PartSpec
from soke.build.cards import described
from soke.errors import UserError
from soke.generator.producer import SignProducer
from soke.metrics.clips import Score
from soke.metrics.signature import Signature
from soke.report.model_card import model_card, parameters_of
from soke.report.tables import ResultTable
from soke.run.config import load_config, to_yaml
from soke.storage import folder_hash, write_json
from tests.generator.helpers import make_generator
from tests.regressor.helpers import LAYOUT, regressor
from tests.tokenizer.helpers import small_tokenizer

SIGNATURE = Signature("DTW-JPE", "hand", "root", dtw="exact", units=("m", "mm"), fps=24.0, body="stand-in")


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run whose regressor has results; its data are synthetic, of How2Sign's name, and one's own."""
    folder = tmp_path / "regressor" / "toy"
    config = load_config("configs/progressive_transformer.yaml", overrides=[
        "NAME=toy", f"RESULTS={tmp_path}/results", "TRAIN.END_EPOCH=7", "SEED=11",
        f"DATASET.CORPORA.how2sign.ROOT={tmp_path}/data/H", f"DATASET.CORPORA.csl.ROOT={tmp_path}/CSL", f"DATASET.STATISTICS={tmp_path}/secret/mean.json",
    ])
    regressor().save_pretrained(folder / "regressor")
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    write_json(tmp_path / "data" / "corpora.json", {"complete": True})
    write_json(folder / "provenance.json", {"epochs": {"all": 5}})
    write_json(folder / "versions.json", {"torch": "9.9"})
    clips = {"how2sign": {"train": 31, "val": 7}, "csl": {"train": 12}, "mine": {"train": 3}}
    write_json(folder / "data.json", {name: {"languages": ["ASL"], "clips": counts} for name, counts in clips.items()})
    results(tmp_path / "results" / "toy", {"regressor": folder_hash(folder / "regressor")})
    return folder


def results(folder: Path, models: dict[str, str]) -> Path:
    table = ResultTable("Text to motion, test split", split="test")
    table.conditions = {"models": {name: {"folder": "/home/me/x", "hash": hashed} for name, hashed in models.items()}}
    for row, value in (("generated", 1.23456), ("mean pose", 2.5)):
        values, ranges = {"m": value, "mm": 20 * value}, {"m": (1.0, 3.0)}
        table.add(row, "how2sign", Score(SIGNATURE, values, ranges, 39, False, "c0"), 40)
        table.add(row, "csl", Score(replace(SIGNATURE, fps=30.0), {"m": 2 * value, "mm": 9.0}, {}, 4, False, "c1"))
    table.add("told", "csl", Score(replace(SIGNATURE, fps=30.0), {"m": 3.0, "mm": 8.0}, {}, 3, False, "c2"), 4)
    table.notes.append("1 clip was cut; clip a: /home/me/data/a.pkl is damaged")
    table.save(folder)
    return folder


def row_of(card: str, begins: str) -> list[str]:
    above = card.split("## Terms")[0]
    (line,) = [line for line in above.splitlines() if line.startswith(f"| {begins} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_card_of_a_run_holds_its_data_settings_and_scores(run):
    model = regressor()
    card = model_card([described(run / "regressor")], "me/signer", "cc-by-nc-4.0", "Signs *weather*.")
    matter = yaml.safe_load(card.split("---\n")[1])
    assert matter["language"] == ["de", "en"] and matter["license"] == "cc-by-nc-4.0" and "regressor" in matter["tags"]
    assert "# signer" in card and "Signs *weather*." in card and 'PoseRegressor.from_pretrained("me/signer")' in card
    assert row_of(card, "hash") == [model.hash] and row_of(card, "hash of the files") == [folder_hash(run / "regressor")]
    assert row_of(card, "hash of the statistics") == [model.statistics.hash]
    assert row_of(card, "hash of the layout") == [LAYOUT.hash] and row_of(card, "parts") == ["head, lhand, rhand"]
    count = sum(value.numel() for value in model.state_dict().values())
    assert parameters_of(run / "regressor") == count and row_of(card, "numbers in its weights") == [f"{count:,}"]
    assert row_of(card, "how2sign (an invented sign language)") == ["ASL", "31", "7"]
    assert row_of(card, "csl (CSL-Daily)")[1:] == ["12", "–"]
    assert row_of(card, "`TRAIN.END_EPOCH`") == ["`7`"] and row_of(card, "`SEED`") == ["`11`"]
    assert row_of(card, "epochs") == ["{'all': 5}"] and row_of(card, "version of torch") == ["9.9"]
    tables = card.split("### Scores: Text to motion, test split")[1].split("## Terms")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| DTW-JPE hand ↓ |")]
    assert [row.split(" | ")[1:] for row in rows] == [
        ["39 of 40", "m / mm", "1.235 / 24.7<br>1.000–3.000", "2.500 / 50.0<br>1.000–3.000 |"],
        ["see below each", "m / mm", "2.469 / 9.0<br>4 of 4", "5.000 / 9.0<br>4 of 4", "3.000 / 8.0<br>3 of 4 |"],
    ]
    assert f"`{SIGNATURE}`" in tables and "fps:30" in tables and "1 clip was cut; clip a: a.pkl is damaged" in tables
    assert "no signer, no recording" in card.split("## Terms")[1]
    assert "may not be passed on" in card and "SMPL-X" in card and "cc-by-nc-4.0" in card.split("## Terms")[1]
    assert str(run.parent.parent) not in card and "/home/me" not in card  # no place of the machine is told


def terms_of(card: str) -> set[tuple[str, ...]]:
    rows = [line for line in card.split("## Terms")[1].splitlines() if line.startswith("| ")]
    return {tuple(cell.strip() for cell in row.strip("|").split("|"))[:2] for row in rows[2:]}


def begun(folder: Path, corpora: list[str], *settings: str, of: str = "progressive_transformer") -> Path:
    """What a run leaves beside its model."""
    config = load_config(f"configs/{of}.yaml", overrides=[f"NAME={folder.name}", f"RESULTS={folder}/none", *settings])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    write_json(folder / "data.json", {name: {"languages": ["ASL"], "clips": {}} for name in corpora})
    return folder


def test_terms_are_also_those_of_what_it_began_from_and_of_its_tokenizer(tmp_path):
    """Of the whole row of trainings, as far as they are here; a model of elsewhere is named."""
    regressors, began = tmp_path / "regressor", "the model that it began from was trained on"
    runs = {"a": ("how2sign", "user/name@v1"), "b": ("csl", regressors / "a/regressor"), "c": ("mine", regressors / "b/regressor")}
    for name, (corpus, before) in runs.items():
        regressor().save_pretrained(begun(regressors / name, [corpus], f"TRAIN.INIT={before}") / "regressor")
    card = model_card([described(regressors / "c" / "regressor")], "me/signer")
    assert row_of(card, "`TRAIN.INIT`") == ['`"b/regressor"`'] and str(tmp_path) not in card
    assert terms_of(card) >= {
        ("mine (a corpus of that name)", "trained on"), ("csl (CSL-Daily)", began), ("how2sign (How2Sign)", began),
        ("user/name@v1", "the model that it began from"),
    }
    small = small_tokenizer()
    small.save_pretrained(begun(tmp_path / "tokenizer" / "t", ["csl"], of="deto") / "tokenizer")
    run = begun(tmp_path / "generator" / "g", ["how2sign"], f"TOKENIZER.PATH={tmp_path}/tokenizer/t/tokenizer", of="soke")
    generator = make_generator(streams=small.streams, tokenizer_hash=small.hash)
    SignProducer(generator, small).save_pretrained(run / "generator")
    card = model_card([described(run / "generator")], "me/signer")
    assert ("csl (CSL-Daily)", "its tokenizer was trained on") in terms_of(card)
    shutil.rmtree(tmp_path / "tokenizer" / "t" / "tokenizer")
    card = model_card([described(run / "generator")], "me/signer")
    assert ("tokenizer t/tokenizer", "its tokenizer") in terms_of(card)


def test_scores_of_another_model_do_not_get_into_the_card(run, tmp_path, caplog):
    results(tmp_path / "results" / "toy", {"regressor": "0123456789ab"})
    assert "Scores" not in model_card([described(run / "regressor")], "me/signer")
    assert "holds the scores of another model" in caplog.text
    with pytest.raises(UserError, match="table.json holds the scores of another model"):
        described(run / "regressor", results=[tmp_path / "results" / "toy"])
    with pytest.raises(UserError, match="holds no table.json"):
        described(run / "regressor", results=[tmp_path / "nowhere"])
    own = results(tmp_path / "others", {"csl": folder_hash(run / "regressor"), "how2sign": "0123456789ab"})
    card = model_card([described(run / "regressor", results=[own])], "me/signer")  # of one corpus's model, its rows alone
    assert "| csl | clips |" in card and "| how2sign | clips |" not in card


def test_without_a_run_the_card_says_so(tmp_path):
    regressor().save_pretrained(tmp_path / "model")
    card = model_card([described(tmp_path / "model")], "me/signer")
    assert "What it was trained on is not recorded" in card and "How it was trained is not recorded" in card
    assert "license" not in yaml.safe_load(card.split("---\n")[1]) and "the author has not stated one" in card


def test_of_positions_no_body_has_a_say(tmp_path):
    layout = MotionLayout([PartSpec("arm", ("skeleton_body",), rotation="position")])
    model = regressor()
    model.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "regressor.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "model" / "regressor.json", {**config, "layout": layout.to_list()})
    card = model_card([described(tmp_path / "model")], "me/signer")
    assert row_of(card, "form of the frames") == ["positions"] and "SMPL-X" not in card


def test_results_that_are_damaged_are_named(run, tmp_path):
    (tmp_path / "results" / "toy" / "table.json").write_text('{"cells": [{}]}')
    with pytest.raises(UserError, match="table.json is damaged or of another version"):
        described(run / "regressor")


def test_a_run_from_before_the_record_of_its_data_names_its_corpora(run):
    (run / "data.json").unlink()
    card = model_card([described(run / "regressor")], "me/signer")
    assert row_of(card, "phoenix (RWTH-PHOENIX-Weather 2014T)")[0] == ""
    (run / "versions.json").write_text(json.dumps([]))
    with pytest.raises(UserError, match="versions.json does not hold a table"):
        described(run / "regressor")
