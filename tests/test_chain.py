"""The whole way once, at toy size: corpora, tokenizer, codes, generator, test, pictures; and what bad input gets."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import get_motion_code
import test as test_entry
import train
import vis_mesh
from prepare import keywords, push_to_hub, small_mbart, synthetic_corpora
from soke.build.cards import described
from soke.build.data import corpora_of
from soke.build.generator import trained_producer
from soke.build.stages import stage_of
from soke.build.tokenizer import named_tokenizer
from soke.build.translation import readers_of
from soke.data.corpora.annotations import read_entries, read_table
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.storage.saved import read_motion
from soke.errors import UserError
from soke.evaluation.protocols import Typed
from soke.regressor.regressor import PoseRegressor
from soke.report.model_card import model_card
from soke.report.tables import Cell
from soke.run.config import ROOT, keyed, load_config
from soke.storage import folder_hash
from tests.data.writing import write_frames
from tests.locks import held
from tests.loopback_hub import hub, no_outside_address  # noqa: F401

CORPORA = {"how2sign": "How2Sign", "csl": "CSL-Daily", "phoenix": "Phoenix_2014T"}


class Workshop:
    """A folder of its own for data, runs and results, and the overrides that lead there; `more` of them at the end."""

    def __init__(self, root: Path, *more: str):
        self.root = root
        self.overrides = [
            *(f"DATASET.CORPORA.{name}.ROOT={root}/data/{folder}" for name, folder in CORPORA.items()),
            f"DATASET.LEXICON={root}/data/lexicon", f"DATASET.CODE_PATH={root}/codes", f"FOLDER={root}/experiments",
            f"RESULTS={root}/results", f"TOKENIZER.PATH={root}/experiments/tokenizer/toy/tokenizer",
            f"GENERATOR.MBART={root}/mbart", "NAME=toy", "TOKENIZER.WIDTH=16", "TOKENIZER.CODE_DIM=16",
            "TRAIN.END_EPOCH=2", "EVAL.EVERY_EPOCHS=1", "GENERATOR.MAX_STEPS=12", "RENDER.BACKEND=software",
            "RENDER.SIZE=64", "LOGGER.TENSORBOARD=false", "ACCELERATOR=cpu", "TRANSLATION.WIDTH=16",
            "TRANSLATION.FEEDFORWARD=16", f"METRIC.BACK_TRANSLATION={root}/experiments/translation/toy",
            *more,
        ]

    def run(self, program, config: str, *more: str) -> None:
        flags = [item for item in more if item.startswith("-")]
        rest = [item for item in more if not item.startswith("-")]
        with keyed():
            program.main(["--cfg", f"configs/demo/{config}.yaml", "--nodebug", *flags, *self.overrides, *rest])

    def folder(self, *steps: str) -> Path:
        return self.root.joinpath(*steps)

    def furnish(self) -> None:
        """Writes the corpora and the small mBART."""
        data = str(self.folder("data"))
        synthetic_corpora.main(["--out", data, "--size", "tiny"])
        small_mbart.main(["--corpora", data, "--out", str(self.folder("mbart")), "--size", "tiny"])

    def train_all(self) -> None:
        """Everything up to and with the generator and the back-translation models."""
        self.run(train, "deto")
        self.run(get_motion_code, "soke")
        self.run(train, "soke")
        self.run(train, "back_translation")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Everything up to and with the generator's training."""
    shop = Workshop(tmp_path_factory.mktemp("chain"))
    shop.furnish()
    shop.train_all()
    return shop


@pytest.mark.parametrize("stage", ["tokenizer", "generator"])
def test_run_folder_explains_itself(shop, stage):
    run = shop.folder("experiments", stage, "toy")
    assert load_config(run / "config.yaml").train.stage == stage
    assert {"torch", "soke"} <= set(json.loads((run / "versions.json").read_text()))
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["layout_hash"] and provenance["statistics_hash"]
    assert (run / "checkpoints" / "last.ckpt").is_file()
    with (run / "csv" / "metrics.csv").open() as stream:
        columns = csv.DictReader(stream).fieldnames
    assert {"train/loss", "val/loss"} <= set(columns)
    if stage == "tokenizer":
        expected = {"val/PA_MPVPE_all", "val/PA_MPJPE_hand", "val/MPJPE_body", "val/perplexity_body"}
        assert expected <= set(columns)


def test_every_clip_has_codes(shop):
    for split, corpus in (("train", "how2sign"), ("test", "csl"), ("dev", "phoenix")):
        assert list(shop.folder("codes", corpus).rglob("*.npy")), (split, corpus)
    codes = np.load(next(shop.folder("codes", "phoenix", "dev").glob("*.npy")))
    assert codes.ndim == 3 and codes.shape[0] == 1 and codes.shape[2] == 3
    words = json.loads(shop.folder("codes", "word2code_ASL.json").read_text(encoding="utf-8"))
    recordings = [recording for word in words.values() for recording in word["recordings"]]
    assert recordings and all(set(recording["codes"]) == {"body", "lhand", "rhand"} for recording in recordings)


def test_codes_are_kept_when_nothing_changed(shop):
    file = next(shop.folder("codes", "csl").glob("*.npy"))
    before = file.stat().st_mtime_ns
    shop.run(get_motion_code, "soke")
    assert file.stat().st_mtime_ns == before


def test_table_holds_the_generator_its_floors_and_its_ceiling(shop, capsys):
    shop.run(test_entry, "soke", "TEST.SAVE_PREDICTIONS=true", "TEST.BASELINES=[nearest_sentence,predicted_stitching]")
    printed = capsys.readouterr().out
    results = shop.folder("results", "toy")
    cells = json.loads((results / "table.json").read_text(encoding="utf-8"))["cells"]
    made = {"generated", "generated, shuffled", "tokenizer reconstruction", "nearest training sentence"}
    with_glosses = "stitched signs, predicted glosses"
    assert {cell["row"] for cell in cells} == {"ground truth", *made, with_glosses}
    assert {cell["corpus"] for cell in cells if cell["row"] == with_glosses} == {"csl", "phoenix"}
    assert {cell["corpus"] for cell in cells} == set(CORPORA)
    made.add(with_glosses)
    metrics = {(cell["metric"], cell["part"]): set() for cell in cells}
    for cell in cells:
        metrics[cell["metric"], cell["part"]].add(cell["row"])
    for metric in ("DTW-JPE", "DTW-PA-JPE"):
        for part in ("body", "left hand", "right hand", "hand", "avg"):
            assert metrics[metric, part] == made
    assert metrics["DTW-VPE", "face"] == metrics["length", None] == metrics["velocity error", "hand"] == made
    texts = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "chrF", "ROUGE-L", "ROUGE-L adaptive", "WER"]
    assert all(metrics[name, None] == {"ground truth", *made} for name in texts)
    assert metrics["speed", "hand"] == metrics["nDTWp", "hand"] == metrics["SiBLEU", "hand"] == made
    of_motion = [cell for cell in cells if cell["metric"].startswith("DTW-")]
    assert all(cell["values"]["m"] > 0 and cell["values"]["mm"] > 0 for cell in of_motion)
    assert all("stand-in" in cell["signature"]["body"] for cell in of_motion)
    assert all(cell["clips"] == cell["total"] == 4 for cell in cells)
    assert "DTW-PA-JPE" in printed and "body:stand-in" in printed
    with (results / "clips.csv").open(encoding="utf-8") as stream:
        clips = list(csv.DictReader(stream))
    for cell in of_motion:  # the table is the mean of the clips
        values = [
            float(clip[f"{cell['metric']} {cell['part']} m"])
            for clip in clips if (clip["corpus"], clip["row"]) == (cell["corpus"], cell["row"])
        ]
        assert np.isclose(np.mean(values), cell["values"]["m"])
    generated = [clip for clip in clips if clip["row"] == "generated"]
    assert len(list((results / "predictions").rglob("*.npz"))) == len(generated)


def test_the_card_of_a_model_holds_the_numbers_of_its_run(shop):
    if not shop.folder("results", "toy", "table.json").is_file():
        shop.run(test_entry, "soke", "TEST.SAVE_PREDICTIONS=true")
    export = shop.folder("experiments", "generator", "toy", "generator")
    card = model_card([described(export)], "me/toy")
    cells = json.loads(shop.folder("results", "toy", "table.json").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        shown = Cell.from_dict(cell)
        assert shown.text().replace("\n", "<br>") in card and str(shown.score.signature) in card
    counts = json.loads(shop.folder("experiments", "generator", "toy", "data.json").read_text(encoding="utf-8"))
    for corpus in corpora_of(load_config(export.parent / "config.yaml")):
        clips = {split: len(corpus.clips(split)) for split in ("train", "val")}
        assert counts[corpus.name] == {"languages": [corpus.language], "clips": clips}
        line = f"| {corpus.name} (an invented sign language) | {corpus.language} | {clips['train']} | {clips['val']} |"
        assert line in card


@pytest.mark.slow
def test_every_model_of_a_configuration_may_come_from_the_hub(shop, hub):  # noqa: F811
    runs = shop.folder("experiments")
    pushed = {"tok": "tokenizer/toy/tokenizer", "gen": "generator/toy/generator", "read": "translation/toy"}
    for name, model in pushed.items():
        push_to_hub.main(["--model", str(runs / model), "--repo", f"me/{name}"])
    hub.put("me/mbart", {p.name: p.read_bytes() for p in shop.folder("mbart").iterdir()})
    named = ["TOKENIZER.PATH=me/tok", "TEST.CHECKPOINT=me/gen@main", "METRIC.BACK_TRANSLATION=me/read"]
    named.append("GENERATOR.MBART=me/mbart")
    here, there = (load_config("configs/demo/soke.yaml", overrides=[*shop.overrides, *more]) for more in ([], named))
    sentences = [Typed("the dog sleeps", "ASL"), Typed("morgen regen", "DGS")]
    for ours, theirs in zip(*(trained_producer(config).produce(sentences) for config in (here, there))):
        assert torch.equal(ours.rotations, theirs.rotations)
    assert named_tokenizer(there).hash == named_tokenizer(here).hash
    readers = [readers_of(config, corpora_of(here)) for config in (here, there)]
    hashes = [{name: reader.hash for name, reader in of.items()} for of in readers]
    assert hashes[0] == hashes[1] and set(hashes[0]) == set(CORPORA)
    data = stage_of(there).data(there, shop.folder("nowhere"))
    new = [stage_of(config).module(config, data).generator for config in (here, there)]
    for name, value in new[0].mbart.state_dict().items():
        if "shared" not in name and "embed_tokens" not in name:  # whose rows of codes are random
            assert torch.equal(value, new[1].mbart.state_dict()[name]), name


def test_a_test_ends_with_one_screen_and_says_what_it_depends_on(shop, capsys):
    search = ["TEST.SEARCH.METHOD=beam", "TEST.SEARCH.BEAMS=2", f"RESULTS={shop.root}/beam"]
    shop.run(test_entry, "soke", *search)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 120 + len(str(shop.root))  # of the last line, which names it
    table = shop.folder("beam", "toy", "table.txt")
    assert lines[-1].endswith(str(table)) and len(table.read_text(encoding="utf-8").splitlines()) > 200
    assert all(any(word in line for line in lines) for word in ("generated, shuffled", "phoenix", "BLEU-4", "length"))
    conditions = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))["conditions"]
    (model,) = conditions["models"].values()
    assert Path(model["folder"]) == shop.folder("experiments", "generator", "toy", "generator")
    assert model["hash"] == folder_hash(Path(model["folder"])) and len(model["hash"]) == 12
    assert (conditions["task"], conditions["search"]["method"], conditions["search"]["beams"]) == ("t2m", "beam", 2)
    readers = {f"METRIC.BACK_TRANSLATION {c}": shop.folder("experiments", "translation", "toy", c, "translation") for c in CORPORA}
    assert conditions["scored_by"] == {name: folder_hash(folder) for name, folder in readers.items()}


def test_two_tests_do_not_write_into_one_folder(shop):
    """What either produces would be taken for the other's, and the table be of the one that ends last."""
    folder = shop.folder("tested", "toy")
    with held(folder) as other:
        told = f"toy is in use: process {other} on .* is testing there; .* choose another --out_dir"
        with pytest.raises(UserError, match=told):
            shop.run(test_entry, "deto", f"RESULTS={folder.parent}")
        assert [path.name for path in folder.iterdir()] == ["run.lock"]
    shop.run(test_entry, "deto", f"RESULTS={folder.parent}")
    assert (folder / "table.json").is_file()


@pytest.mark.slow
def test_two_processes_score_exactly_as_one(shop):
    """On as many threads: their number may change the last digit of a float32 product, see soke/metrics/PROTOCOL.md."""
    block = "TEST.BATCH_SIZE=3"  # two blocks of every corpus, so that both processes have some of each
    command = [sys.executable, "-m", "test", "--cfg", "configs/demo/soke.yaml", *shop.overrides, block]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name, more in (("one", []), ("two", ["DEVICE=2"])):
        more = [f"RESULTS={shop.root}/{name}", *more]
        subprocess.run([*command, *more], check=True, cwd=ROOT, env=environment, capture_output=True)
    one, two = (shop.folder(name, "toy") for name in ("one", "two"))
    assert (one / "table.json").read_text(encoding="utf-8") == (two / "table.json").read_text(encoding="utf-8")
    rows = []
    for folder in (one, two):
        with (folder / "clips.csv").open(encoding="utf-8") as stream:
            rows.append(list(csv.DictReader(stream)))
    assert rows[0] == rows[1] and len(rows[0]) == 3 * 4 * 4  # corpora, rows, clips


@pytest.mark.parametrize("form", ["frames", "saved"])
def test_no_back_translation_model_is_trained_on_what_a_model_has_made(shop, tmp_path, monkeypatch, form):
    """A corpus of saved predictions, in the published form or as they were saved."""
    saved = shop.folder("results", "toy", "predictions", "phoenix")
    if not saved.is_dir():
        shop.run(test_entry, "soke", "TEST.SAVE_PREDICTIONS=true")
    (tmp_path / "corpus").mkdir()
    for file in shop.folder("data", "Phoenix_2014T").iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path / "corpus")
    signers, predictions = Phoenix14T(shop.folder("data", "Phoenix_2014T")), sorted(saved.rglob("*.npz"))
    for number, clip in enumerate([*signers.clips("train"), *signers.clips("val")]):
        source, target = predictions[number % len(predictions)], tmp_path / "corpus" / clip.name
        if form == "saved":
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target.with_suffix(".npz"))
        else:
            write_frames(target, read_motion(source), "images{:04d}.pkl")
    corpus = {"ROOT": str(tmp_path / "corpus")}
    if form == "saved":
        (tmp_path / "my_predictions.py").write_text(READER)
        monkeypatch.syspath_prepend(tmp_path)
        corpus["READER"] = "my_predictions.Predictions"
    given = f"DATASET.CORPORA={{{'mine' if form == 'saved' else 'phoenix'}: {json.dumps(corpus)}}}"
    with pytest.raises(UserError, match="clip .* holds motion made by tokenizer [0-9a-f]{12}, but a back-translation"):
        shop.run(train, "back_translation", f"NAME=made-{form}", given)


READER = """
from soke.data.corpora.listing import Listing
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.storage.saved import read_motion


class Predictions(Phoenix14T):
    name = "mine"

    def _listing(self, split):
        return Listing(self.annotated(split))

    def load(self, clip):
        return read_motion(clip.frames.with_suffix(".npz"))
"""


def test_back_translation_models_are_tested_on_the_signers_motion(shop):
    shop.run(test_entry, "back_translation", f"RESULTS={shop.root}/read")
    cells = json.loads(shop.folder("read", "toy", "table.json").read_text(encoding="utf-8"))["cells"]
    assert {cell["row"] for cell in cells} == {"back-translation model", "back-translation model, shuffled"}
    assert {cell["corpus"] for cell in cells} == set(CORPORA)
    levels = {cell["corpus"]: cell["signature"]["level"] for cell in cells}
    assert levels == {"how2sign": "word", "csl": "jieba", "phoenix": "word"}
    provenance = json.loads(shop.folder("experiments", "translation", "toy", "csl", "provenance.json").read_text())
    assert provenance["trained_on"] == "reference motion" and provenance["corpora"] == ["csl"]


@pytest.mark.slow
def test_without_back_translation_models_the_motion_is_scored_all_the_same(shop, caplog):
    shop.run(test_entry, "soke", f"RESULTS={shop.root}/unread", f"METRIC.BACK_TRANSLATION={shop.root}/nowhere")
    cells = json.loads(shop.folder("unread", "toy", "table.json").read_text(encoding="utf-8"))["cells"]
    assert "DTW-JPE" in {cell["metric"] for cell in cells} and "BLEU-4" not in {cell["metric"] for cell in cells}
    assert "train it with `python -m train --cfg configs/back_translation.yaml --nodebug`" in caplog.text


@pytest.mark.slow
def test_a_generator_that_learns_both_ways_translates(shop):
    changes = ["NAME=both", "GENERATOR.TRANSLATION=0.5", "TRAIN.END_EPOCH=1"]
    shop.run(train, "soke", *changes)
    shop.run(test_entry, "soke", "--task=m2t", *changes)
    cells = json.loads(shop.folder("results", "both", "m2t", "table.json").read_text(encoding="utf-8"))["cells"]
    assert {cell["row"] for cell in cells} == {"generator", "generator, shuffled"}
    assert {cell["metric"] for cell in cells} >= {"BLEU-4", "chrF", "ROUGE-L", "WER"}
    with pytest.raises(UserError, match="GENERATOR.TRANSLATION=0.5"):
        shop.run(test_entry, "soke", "--task=m2t")


def test_tokenizer_is_tested(shop, capsys):
    shop.run(test_entry, "deto", f"RESULTS={shop.root}/rebuilt")
    cells = json.loads(shop.folder("rebuilt", "toy", "table.json").read_text(encoding="utf-8"))["cells"]
    assert {"MPJPE", "PA-MPJPE", "PA-MPVPE", "codebook-use", "DTW-PA-JPE"} <= {cell["metric"] for cell in cells}


def test_pictures_of_a_clip_and_of_a_typed_sentence(shop, tmp_path):
    for shown in (["--demo_dataset=csl"], ["--text=the dog sleeps", "--language=ASL", "--face"]):
        shop.run(vis_mesh, "soke", *shown, f"RESULTS={tmp_path}")
    pictures = tmp_path / "toy" / "pictures"
    assert len(list(pictures.glob("*.mp4"))) == 2
    for sheet in pictures.glob("*.png"):
        assert np.asarray(Image.open(sheet)).std() > 10


@pytest.mark.slow
def test_what_was_retrieved_is_printed(shop, capsys):
    shop.run(vis_mesh, "soke", "--text=the dogs sleep", "--language=ASL", "--show_retrieval")
    printed = capsys.readouterr().out
    assert '"dogs" -> dog (ASL, lemma, ' in printed and '"sleep" -> sleeps (ASL, ' in printed
    mistyped = ["--text=the kitchn", "--language=ASL", "--show_retrieval"]
    shop.run(vis_mesh, "soke", *mistyped)
    assert "no word of the sentence is in the lexicon of ASL" in capsys.readouterr().out
    shop.run(vis_mesh, "soke", *mistyped, "GENERATOR.RETRIEVAL.SIMILAR=0.6")
    assert '"kitchn" -> kitchen (ASL, similar 0.' in capsys.readouterr().out
    shop.run(vis_mesh, "soke", "--demo_dataset=csl", "--show_retrieval")
    assert "(CSL, word, " in capsys.readouterr().out


def test_the_tokenizer_is_trained_on_the_signs_of_the_lexicon_too(shop, tmp_path):
    def trained_on(*more: str) -> dict[str, int]:
        config = load_config("configs/demo/deto.yaml", overrides=[*shop.overrides, *more])
        data = stage_of(config).data(config, tmp_path)
        assert not any(clip.corpus == "lexicon" for clip in data.dataset("val", "motion").clips)
        return dict(Counter(clip.corpus for clip in data.dataset("train", "motion").clips))

    sentences = dict.fromkeys(CORPORA, 12)
    table = read_table(shop.folder("data", "lexicon", "lexicon.csv"), ["language"])
    signs = Counter(row["language"] for row in table.rows)
    assert trained_on() == {**sentences, "lexicon": signs.total()}
    assert trained_on("DATASET.TRAIN_ON_LEXICON=false") == sentences
    phoenix = "DATASET.CORPORA={how2sign: null, csl: null}"
    assert trained_on(phoenix) == {"phoenix": 12, "lexicon": signs["DGS"]}
    with pytest.raises(UserError, match="DATASET.LEXICON is null: .*TRAIN_ON_LEXICON=false"):
        trained_on("DATASET.LEXICON=null")
    statistics = json.loads(shop.folder("experiments", "tokenizer", "toy", "statistics.json").read_text())
    assert statistics["clips"] == sum(sentences.values())  # the signs do not count


@pytest.mark.slow
def test_all_recordings_of_a_word_have_codes_and_one_is_chosen(shop, tmp_path, capsys):
    lexicon, codes = tmp_path / "lexicon", tmp_path / "codes"
    shutil.copytree(shop.folder("data", "lexicon"), lexicon)
    shutil.copytree(shop.folder("codes"), codes)
    sentences = shop.folder("data", "CSL-Daily", "poses")
    seen, held_out = (
        read_entries(shop.folder("data", "CSL-Daily", f"csl_clean.{split}"))[0]["name"] for split in ("train", "test")
    )
    table = lexicon / "lexicon.csv"
    rows = read_table(table, ["word"]).rows
    word = next(row["word"] for row in rows if row["language"] == "CSL")
    more = [
        {"word": word, "language": "CSL", "name": name, "fps": "30", "source": str(sentences / clip), "start": "0",
         "end": end}
        for name, clip, end in (("cut", seen, "45"), ("refused", held_out, "45"))
    ]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(more[0]), restval="")
        writer.writeheader()
        writer.writerows([*rows, *more])
    changes = [f"DATASET.LEXICON={lexicon}", f"DATASET.CODE_PATH={codes}", "GENERATOR.RETRIEVAL.RECORDING=longest"]
    shop.run(get_motion_code, "soke", *changes)
    entry = json.loads((codes / "word2code_CSL.json").read_text(encoding="utf-8"))[word]
    lengths = {r["name"]: len(r["codes"]["body"]) for r in entry["recordings"]}
    assert {r["name"]: r["source"] for r in entry["recordings"]} == {
        next(row["name"] for row in rows if row["word"] == word): None, "cut": f"csl/{seen}"
    }
    assert lengths[entry["chosen"]] == max(lengths.values())
    published = json.loads((codes / "word2code.json").read_text(encoding="utf-8"))[word]
    assert published == next(r["codes"] for r in entry["recordings"] if r["name"] == entry["chosen"])
    shop.run(train, "soke", "NAME=recordings", "TRAIN.END_EPOCH=1", "EVAL.GENERATE_EVERY=0", *changes)
    shop.run(vis_mesh, "soke", f"--text={word}", "--language=CSL", "--show_retrieval", "NAME=recordings", *changes)
    assert f"(CSL, word, recording {entry['chosen']}, " in capsys.readouterr().out
    exported = shop.folder("experiments", "generator", "recordings", "generator")
    assert json.loads((exported / "generator.json").read_text())["spec"]["settings"]["retrieval"]["recording"] == "longest"
    travelling = json.loads((exported / "lexicon.json").read_text(encoding="utf-8"))["CSL"][word]
    assert travelling[0]["name"] == entry["chosen"] and {r["name"] for r in travelling} == set(lengths)


@pytest.mark.slow
def test_published_lists_and_word_codes_are_used_and_travel_with_the_generator(shop, tmp_path, capsys, caplog):
    lists = tmp_path / "lists"
    keywords.main(["--cfg", "configs/demo/soke.yaml", "--out", str(lists), *shop.overrides])
    table = lists / "name2kws_train.json"
    whole = json.loads(table.read_text(encoding="utf-8"))
    first = next(iter(whole))
    table.write_text(json.dumps({name: words for name, words in whole.items() if name != first}))
    changes = [
        f"GENERATOR.RETRIEVAL.KEYWORDS={lists}", f"GENERATOR.RETRIEVAL.WORD_CODES={shop.root}/codes/word2code.json",
        "NAME=published", "TRAIN.END_EPOCH=1", "EVAL.GENERATE_EVERY=0",
    ]
    shop.run(train, "soke", *changes)
    assert f"{table} has no list for 1 of 36 clips, {first} the first of them" in caplog.text
    assert "word2code.json are those of SOKE's public tokenizer" in caplog.text
    exported = shop.folder("experiments", "generator", "published", "generator")
    spec = json.loads((exported / "generator.json").read_text())["spec"]
    assert re.fullmatch("lists [0-9a-f]{12}", spec["settings"]["retrieval"]["keywords"])
    assert re.fullmatch("word2code.json [0-9a-f]{12}", spec["settings"]["retrieval"]["word_codes"])
    shutil.rmtree(lists)  # the export does without
    shop.run(vis_mesh, "soke", "--demo_dataset=csl", "--show_retrieval", *changes)
    assert "(CSL, list, recording of word2code.json, " in capsys.readouterr().out
    shop.run(vis_mesh, "soke", "--text=the dog sleeps", "--language=ASL", "--show_retrieval", *changes)
    assert '"dog" -> dog (ASL, word, recording of word2code.json, ' in capsys.readouterr().out
    with pytest.raises(UserError, match="name2kws_train.json does not exist: .*prepare.keywords"):
        shop.run(train, "soke", *changes, "NAME=gone")
    for split in ("train", "val", "test"):
        keywords.write_keywords(lists / f"name2kws_{split}.json", {"stranger": ["dog"]})
    with pytest.raises(UserError, match="train.json has a list for none of the 36 clips, .*KEYWORDS"):
        shop.run(train, "soke", *changes, "NAME=gone")
    for split in ("train", "val", "test"):
        keywords.write_keywords(lists / f"name2kws_{split}.json", {first: ["unheard-of"]})
    with pytest.raises(UserError, match="train.json names no word of the lexicon, which lacks 'unheard-of'"):
        shop.run(train, "soke", *changes, "NAME=gone")
    english = ["DATASET.CORPORA={csl: null, phoenix: null}", "NAME=gone"]
    with pytest.raises(UserError, match="add phoenix to DATASET.CORPORA, or set GENERATOR.RETRIEVAL.MATCH"):
        shop.run(train, "soke", *changes, *english)


@pytest.mark.slow
def test_generation_is_timed(shop, capsys):
    shop.run(test_entry, "soke", "--count_time", f"RESULTS={shop.root}/timed")
    timings = json.loads(shop.folder("timed", "toy", "timing.json").read_text())["timings"]
    assert [t["batch_size"] for t in timings] == [1, 8, 64] and all(t["mean"] > 0 for t in timings)
    assert "videos/s" in capsys.readouterr().out
    (shop.folder("timed", "toy") / "skipped_clips.txt").write_text("csl/S1\tan old reason\n")
    shop.run(test_entry, "soke", f"RESULTS={shop.root}/timed", "TEST.SPLIT=val")  # nothing of the old test stays
    assert sorted(path.name for path in shop.folder("timed", "toy").iterdir()) == [
        "clips.csv", "config.yaml", "run.lock", "table.csv", "table.json", "table.txt"
    ]
    with pytest.raises(UserError, match="results of another configuration .*TRAIN.STAGE: generator -> tokenizer"):
        shop.run(test_entry, "deto", f"RESULTS={shop.root}/timed")
    with pytest.raises(UserError, match="--count_time times a generator"):
        shop.run(test_entry, "deto", "--count_time")


@pytest.mark.parametrize("search", ["METHOD=sample", "METHOD=beam"])
def test_search_is_configured(shop, search):
    changes = [f"TEST.SEARCH.{search}", "TEST.SEARCH.MIN_STEPS=3", "TEST.WEIGHTS=bfloat16"]
    shop.run(vis_mesh, "soke", "--text=the dog sleeps", "--language=ASL", *changes)
    with pytest.raises(UserError, match="MIN_STEPS is 50, above the longest output of 12 steps"):
        shop.run(vis_mesh, "soke", "--text=the dog sleeps", "--language=ASL", "TEST.SEARCH.MIN_STEPS=50")


@pytest.mark.slow
@pytest.mark.parametrize("decoding", ["sequential", "parallel"])
def test_other_decoding_modes_train_and_sign(shop, decoding):
    changes = [f"GENERATOR.DECODING={decoding}", f"NAME={decoding}", "TRAIN.END_EPOCH=1"]
    shop.run(train, "soke", *changes)
    shop.run(vis_mesh, "soke", "--text=the dog sleeps", "--language=ASL", *changes)
    exported = shop.folder("experiments", "generator", decoding, "generator", "generator.json")
    assert json.loads(exported.read_text(encoding="utf-8"))["spec"]["settings"]["decoding"] == decoding


@pytest.mark.slow
def test_a_trained_generator_learns_by_reward_and_is_tested_by_another_reader(shop):
    of_all = ["DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.phoenix=null"]
    second = shop.folder("experiments", "translation", "second")
    shop.run(train, "back_translation", "NAME=second", "SEED=2", "TRAIN.END_EPOCH=1", *of_all)
    begun = f"TRAIN.INIT={shop.root}/experiments/generator/toy/generator"
    changes = [
        "NAME=grpo", begun, f"POLICY.READER={second}", "POLICY.REWARDS.bleu=0.1", "POLICY.SHARE=1", "TRAIN.END_EPOCH=1",
        *of_all,
    ]
    with pytest.raises(UserError, match="is not the one that would learn by reward: .*multi_head -> sequential"):
        shop.run(train, "soke_grpo", *changes, "NAME=odd", "GENERATOR.DECODING=sequential")
    shop.run(train, "soke_grpo", *changes)
    run = shop.folder("experiments", "generator", "grpo")
    with (run / "csv" / "metrics.csv").open() as stream:
        columns = csv.DictReader(stream).fieldnames
    names = ("reward", "reward_bleu", "reward_dtw", "kl", "steps")
    assert {"start/reward", *(f"{stage}/{name}" for stage in ("train", "val") for name in names)} <= set(columns)
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    assert len(provenance["readers"]) == 1
    assert provenance["begun from"] == folder_hash(shop.folder("experiments", "generator", "toy", "generator"))
    shop.run(test_entry, "soke_grpo", *changes)
    with pytest.raises(UserError, match="of csl in METRIC.BACK_TRANSLATION is the one that rewards the generator"):
        shop.run(test_entry, "soke_grpo", *changes, f"METRIC.BACK_TRANSLATION={second}", "POLICY.READER=elsewhere")


@pytest.mark.slow
def test_the_coupled_baseline_goes_the_whole_way(shop):
    root = shop.root
    changes = [
        f"DATASET.CORPORA.how2sign.ROOT={root}/data/How2Sign", f"DATASET.CODE_PATH={root}/codes-whole",
        f"TOKENIZER.PATH={root}/experiments/tokenizer/s_motiongpt_tokenizer/tokenizer", "TRAIN.END_EPOCH=1",
        "TRAIN.BATCH_SIZE=8", "TRAIN.NUM_WORKERS=0", "EVAL.GENERATE_EVERY=1",
        *(o for o in shop.overrides if not o.startswith(
            ("DATASET.CORPORA", "DATASET.CODE_PATH", "TOKENIZER.PATH", "NAME", "TRAIN.END_EPOCH")
        )),
    ]
    for program, name in (
        (train, "s_motiongpt_tokenizer"), (get_motion_code, "s_motiongpt"), (train, "s_motiongpt"),
        (test_entry, "s_motiongpt"),
    ):
        program.main(["--cfg", f"configs/ablation/{name}.yaml", "--nodebug", *changes])
    assert np.load(next((root / "codes-whole" / "how2sign").glob("*.npy"))).shape[2] == 1
    cells = json.loads(shop.folder("results", "s_motiongpt", "table.json").read_text(encoding="utf-8"))["cells"]
    assert {cell["corpus"] for cell in cells} == {"how2sign"}
    assert {"body", "hand", "avg", "face"} <= {cell["part"] for cell in cells}


@pytest.mark.parametrize(
    ("program", "name", "override", "told"),
    [
        (test_entry, "soke", "GENERATOR.DECODING=parallel", "GENERATOR.DECODING: multi_head -> parallel"),
        (vis_mesh, "soke", "GENERATOR.MAX_STEPS=50", "GENERATOR.MAX_STEPS: 12 -> 50"),
        (vis_mesh, "soke", "DATASET.LEXICON=null", "DATASET.LEXICON: a lexicon -> null"),
        (test_entry, "deto", "TOKENIZER.WIDTH=32", "TOKENIZER.WIDTH: 16 -> 32"),
        (get_motion_code, "soke", "TOKENIZER.DEPTH=2", "TOKENIZER.DEPTH: 3 -> 2"),
        (test_entry, "back_translation", "TRANSLATION.LAYERS=1", "TRANSLATION.LAYERS: 2 -> 1"),
    ],
)
def test_settings_that_the_saved_model_contradicts_are_refused(shop, program, name, override, told):
    with pytest.raises(UserError, match=f"trained with other settings .*{re.escape(told)}"):
        shop.run(program, name, override)


@pytest.mark.slow
def test_one_corpus_alone(shop):
    """Taken out by null, everywhere."""
    root = shop.root
    alone = [
        "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.phoenix=null", "NAME=alone", "TRAIN.END_EPOCH=1",
        f"DATASET.CODE_PATH={root}/codes-alone", f"TOKENIZER.PATH={root}/experiments/tokenizer/alone/tokenizer",
    ]
    base = [o for o in shop.overrides if not o.startswith(("DATASET.CORPORA.how2sign", "DATASET.CORPORA.phoenix"))]
    for program, name in (
        (train, "deto"), (get_motion_code, "soke"), (train, "soke"), (train, "back_translation"), (test_entry, "soke")
    ):
        program.main(["--cfg", f"configs/demo/{name}.yaml", "--nodebug", *base, *alone])
    cells = json.loads(shop.folder("results", "alone", "table.json").read_text(encoding="utf-8"))["cells"]
    coded = {path.name for path in shop.folder("codes-alone").iterdir() if path.is_dir()}
    assert {cell["corpus"] for cell in cells} == {"csl"} and coded == {"csl", "lexicon"}


def test_trial_run_without_nodebug(shop):
    train.main(["--cfg", "configs/demo/deto.yaml", *shop.overrides, "TRAIN.END_EPOCH=50"])
    run = shop.folder("experiments", "tokenizer", "debug--toy")
    assert load_config(run / "config.yaml").train.end_epoch == 1 and (run / "tokenizer").is_dir()


def test_a_finished_run_is_not_overwritten(shop):
    with pytest.raises(UserError, match="TRAIN.RESUME=auto"):
        shop.run(train, "deto")


@pytest.mark.slow  # tests/run/test_saving.py does so with a small model
@pytest.mark.parametrize(("stage", "config"), [("tokenizer", "deto"), ("generator", "soke")])
def test_a_broken_off_run_continues_to_the_same_weights(shop, monkeypatch, stage, config):
    from soke.generator.module import GeneratorModule
    from soke.tokenizer.module import TokenizerModule

    module = TokenizerModule if stage == "tokenizer" else GeneratorModule
    step = module.training_step

    def failing(self, batch, *args):
        if self.current_epoch == 1:
            raise RuntimeError("power cut")
        return step(self, batch, *args)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(module, "training_step", failing)
        shop.run(train, config, "NAME=broken")
    run = shop.folder("experiments", stage, "broken")
    assert not (run / stage).exists()
    shop.run(train, config, "NAME=broken", "TRAIN.RESUME=auto")
    once = load_file(shop.folder("experiments", stage, "toy", stage, "model.safetensors"))
    again = load_file(run / stage / "model.safetensors")
    assert once.keys() == again.keys()
    for name in once:
        torch.testing.assert_close(again[name], once[name], rtol=0, atol=0)


REGRESSOR = (
    "REGRESSOR.WIDTH=16", "REGRESSOR.FEEDFORWARD=16", "REGRESSOR.MAX_FRAMES=44", "EVAL.GENERATE_EVERY=1",
    "EVAL.GENERATE_CLIPS=1",
)


def test_a_regressor_goes_the_whole_way(shop, tmp_path, capsys, monkeypatch):
    """Text to poses without codes: trained, tested beside a mean pose, read back, timed by its reference, drawn."""
    shop.run(train, "progressive_transformer", *REGRESSOR)
    run = shop.folder("experiments", "regressor", "toy")
    assert list(json.loads((run / "provenance.json").read_text())["groups"]) == ["all"]
    results = tmp_path / "free"
    shop.run(test_entry, "progressive_transformer", f"--out_dir={results}", *REGRESSOR)
    table = json.loads((results / "table.json").read_text(encoding="utf-8"))
    cells = table["cells"]
    made = {"generated", "generated, shuffled", "mean pose"}
    assert {cell["row"] for cell in cells} == {"ground truth", *made}
    assert all({c["row"] for c in cells if c["metric"] == metric} >= made for metric in ("DTW-PA-JPE", "BLEU-4", "length"))
    assert {c["values"]["ratio"] for c in cells if (c["metric"], c["row"]) == ("length", "mean pose")} == {1.0}
    assert table["conditions"]["timing"] == "free"
    cut = [note for note in table["notes"] if "motions did not end; they are cut after 44 frames" in note]
    assert len(cut) == 1 and "12 motions" in cut[0] and not any("knows no word" in note for note in table["notes"])
    oracle = tmp_path / "oracle"
    with monkeypatch.context() as other:
        other.setattr(PoseRegressor, "knows_words_of", lambda self, sentence: sentence.corpus != "csl")
        shop.run(test_entry, "progressive_transformer", f"--out_dir={oracle}", *REGRESSOR, "REGRESSOR.TIMING=oracle")
    table = json.loads((oracle / "table.json").read_text(encoding="utf-8"))
    assert {c["row"] for c in table["cells"]} == {
        "ground truth", "generated, oracle timing", "generated, oracle timing, shuffled", "mean pose",
    }
    lengths = [c for c in table["cells"] if (c["metric"], c["row"]) == ("length", "generated, oracle timing")]
    assert all(c["values"]["ratio"] == pytest.approx(1) for c in lengths) and table["conditions"]["timing"] == "oracle"
    assert [note for note in table["notes"] if note.startswith("of 4 of 12 sentences the regressor knows no word")]
    pictures = ["--text=rain in the north", "--language=DGS", f"--out_dir={tmp_path}/pictures"]
    shop.run(vis_mesh, "progressive_transformer", *pictures, *REGRESSOR)
    assert len(list((tmp_path / "pictures").iterdir())) == 2
    with pytest.raises(UserError, match="a sentence without a clip: set REGRESSOR.TIMING=free"):
        shop.run(vis_mesh, "progressive_transformer", *pictures, *REGRESSOR, "REGRESSOR.TIMING=oracle")
    with pytest.raises(UserError, match="REGRESSOR.FUTURE: 1 -> 2"):
        shop.run(test_entry, "progressive_transformer", f"--out_dir={results}", *REGRESSOR, "REGRESSOR.FUTURE=2")


def test_unknown_language_and_empty_sentence(shop):
    with pytest.raises(UserError, match="unknown sign language 'LSF'"):
        shop.run(vis_mesh, "soke", "--text=hello", "--language=LSF")
    with pytest.raises(UserError, match="empty"):
        shop.run(vis_mesh, "soke", "--text= ")
    with pytest.raises(UserError, match="no token that the text tokenizer knows"):
        shop.run(vis_mesh, "soke", "--text=\U0001f600\U0001f680")


def test_a_lexicon_of_another_tokenizer_is_refused(shop, tmp_path):
    codes = tmp_path / "codes"
    shutil.copytree(shop.folder("codes"), codes)
    table = codes / "word2code_ASL.json"
    words = json.loads(table.read_text(encoding="utf-8"))
    for streams, expected in (
        ({"body": [0, 96], "lhand": [0, 1], "rhand": [0, 1]}, "'dog'.* has the code 96 for body.*another tokenizer"),
        ({"body": [0, 1], "lhand": [0], "rhand": [0, 1]}, "word 'dog' lacks codes of equal length"),
    ):
        dog = {"chosen": "a", "recordings": [{"name": "a", "source": None, "codes": streams}]}
        table.write_text(json.dumps({**words, "dog": dog}), encoding="utf-8")
        with pytest.raises(UserError, match=expected):
            shop.run(train, "soke", "NAME=stranger", f"DATASET.CODE_PATH={codes}")


def test_missing_corpus_folder_is_named(shop):
    with pytest.raises(UserError, match="corpus csl: folder .*nowhere does not exist.*DATASET.CORPORA.csl.ROOT"):
        shop.run(train, "deto", "NAME=other", "DATASET.CORPORA.csl.ROOT=/nowhere")


def test_checkpoint_of_another_layout_is_refused(shop):
    checkpoint = shop.folder("experiments", "tokenizer", "toy", "checkpoints", "last.ckpt")
    before = checkpoint.read_bytes()
    parts = (
        "PARTS={body: {joints: [head], jaw: false}, lhand: {joints: [left_wrist]}, rhand: {joints: [right_wrist]}}"
    )
    with pytest.raises(UserError, match=r"PARTS\[1\].joints: .* -> \['left_wrist'\]"):
        shop.run(train, "deto", "NAME=other", parts, f"TRAIN.RESUME={checkpoint}")
    assert checkpoint.read_bytes() == before


def without_poses(shop: Workshop, target: Path, *poses: str) -> list[str]:
    """Overrides that lead to a copy of the data with annotations alone, and the poses below the folders `poses`."""
    whole = shop.folder("data")

    def left_out(folder: str, names: list[str]) -> list[str]:
        below = Path(folder).relative_to(whole).as_posix()
        return [] if below.startswith(poses) else [name for name in names if name.endswith(".pkl")]

    shutil.copytree(whole, target, ignore=left_out, copy_function=shutil.copy2)
    roots = [f"DATASET.CORPORA.{name}.ROOT={target}/{folder}" for name, folder in CORPORA.items()]
    return [*roots, f"DATASET.LEXICON={target}/lexicon"]


def test_codes_are_enough_to_train_a_generator(shop, tmp_path):
    changes = [*without_poses(shop, tmp_path / "bare"), "TRAIN.END_EPOCH=1", "DATASET.STRICT=true"]
    expected = "EVAL.GENERATE_EVERY=1 compares generated motion with the poses of the val split, but .*GENERATE_EVERY=0"
    with pytest.raises(UserError, match=expected):
        shop.run(train, "soke", "NAME=poseless", *changes)
    shop.run(train, "soke", "NAME=poseless", *changes, "EVAL.GENERATE_EVERY=0")
    specs = [
        json.loads(shop.folder("experiments", "generator", name, "generator", "generator.json").read_text())["spec"]
        for name in ("poseless", "toy")
    ]
    assert specs[0] == specs[1] and specs[0]["data"]


def test_poses_of_the_val_split_are_enough_for_validation_by_generation(shop, tmp_path):
    val = ["How2Sign/val", "Phoenix_2014T/dev", "CSL-Daily/poses"]  # CSL-Daily does not tell its splits apart
    shop.run(train, "soke", "NAME=val-poses", *without_poses(shop, tmp_path / "half", *val), "TRAIN.END_EPOCH=1",
             "EVAL.GENERATE_CLIPS=1")
    with shop.folder("experiments", "generator", "val-poses", "csv", "metrics.csv").open() as stream:
        assert "val/DTW_JPE" in csv.DictReader(stream).fieldnames


def test_a_corpus_that_has_no_codes_is_named(shop, tmp_path):
    one = ["DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.csl=null", f"DATASET.CODE_PATH={tmp_path}/codes"]
    shop.run(get_motion_code, "soke", *one, "DATASET.LEXICON=null")
    with pytest.raises(UserError, match="holds no codes of corpus how2sign; run `python -m get_motion_code`"):
        shop.run(train, "soke", "NAME=later", one[-1])
    with pytest.raises(UserError, match=r"tables of words .* do not fit: there is no note .*run `python -m get_motion"):
        shop.run(train, "soke", "NAME=later", *one)


def test_codes_of_other_lengths_are_refused(shop):
    with pytest.raises(UserError, match="`max_frames`=400, here it is 200; run `python -m get_motion_code`"):
        shop.run(train, "soke", "NAME=shorter", "DATASET.MAX_FRAMES=200")


def test_statistics_of_a_dead_run_on_other_corpora_are_computed_again(shop, caplog):
    folder = shop.folder("experiments", "tokenizer", "reborn")
    folder.mkdir(parents=True)
    shutil.copy(shop.folder("experiments", "tokenizer", "toy", "statistics.json"), folder)
    changes = [*shop.overrides, "NAME=reborn", "DATASET.CORPORA.csl=null"]
    config = load_config("configs/demo/deto.yaml", overrides=changes)
    stage_of(config).module(config, stage_of(config).data(config, folder))
    assert json.loads((folder / "statistics.json").read_text())["clips"] == 24
    assert "statistics.json was computed from other clips" in caplog.text
    named = shop.folder("experiments", "tokenizer", "toy", "statistics.json")
    before = named.read_bytes()
    config = load_config("configs/demo/deto.yaml", overrides=[*changes, f"DATASET.STATISTICS={named}"])
    stage_of(config).module(config, stage_of(config).data(config, folder))
    assert named.read_bytes() == before and "which DATASET.STATISTICS names, was computed from other" in caplog.text


def test_a_run_does_not_continue_on_other_sentences(shop):
    annotation = next(shop.folder("data", "How2Sign", "train", "re_aligned").glob("*.csv"))
    before = annotation.read_bytes()
    sentence = read_table(annotation, ("SENTENCE",)).rows[0]["SENTENCE"].encode()
    annotation.write_bytes(before.replace(sentence, sentence + b" now", 1))
    try:
        with pytest.raises(UserError, match="sentences or their codes are others than those that this checkpoint"):
            shop.run(train, "soke", "TRAIN.RESUME=auto")
    finally:
        annotation.write_bytes(before)


def test_back_translation_models_of_other_data_are_told(shop, tmp_path, caplog):
    def readers(*changes: str):
        config = load_config("configs/demo/soke.yaml", overrides=[*shop.overrides, *changes])
        return readers_of(config, corpora_of(config))

    assert set(readers()) == set(CORPORA) and "was trained" not in caplog.text
    copy = tmp_path / "CSL-Daily"
    shutil.copytree(shop.folder("data", "CSL-Daily"), copy)
    shutil.copy(copy / "csl_clean.val", copy / "csl_clean.train")
    assert set(readers(f"DATASET.CORPORA.csl.ROOT={copy}")) == set(CORPORA)
    assert "csl/translation was trained with another csl_clean.train, so its words may be others" in caplog.text
    parts = (
        "PARTS={body: {joints: [head], jaw: false, expression: 0}, lhand: {joints: [left_wrist]}, "
        "rhand: {joints: [right_wrist]}}"
    )
    with pytest.raises(UserError, match="reads expression, jaw, left_.*, which PARTS leaves out"):
        readers(parts)


def test_codes_of_another_tokenizer_are_refused(shop):
    shop.run(train, "deto", "NAME=second", "SEED=7", "TRAIN.END_EPOCH=1")
    other = shop.folder("experiments", "tokenizer", "second", "tokenizer")
    with pytest.raises(UserError, match="were made with tokenizer .* this one is"):
        shop.run(train, "soke", "NAME=third", f"TOKENIZER.PATH={other}")
    with pytest.raises(UserError, match="TOKENIZER.PATH: tokenizer .* -> tokenizer "):
        shop.run(vis_mesh, "soke", "--text=the dog sleeps", f"TOKENIZER.PATH={other}")


@pytest.mark.parametrize(
    ("damage", "expected"), [("truncate", "pickle|damaged|truncated|cut"), ("nan", "holds nan in smplx_expr")]
)
def test_a_bad_frame_is_listed_or_with_strict_refused(shop, tmp_path, damage, expected):
    copy = tmp_path / "CSL-Daily"
    shutil.copytree(shop.folder("data", "CSL-Daily"), copy)
    frame = next((copy / "poses").rglob("*.pkl"))
    clip = frame.parent.name
    if damage == "truncate":
        frame.write_bytes(frame.read_bytes()[:40])
    else:
        content = pickle.loads(frame.read_bytes())
        content["smplx_expr"][3] = np.nan
        frame.write_bytes(pickle.dumps(content))
    where = [f"DATASET.CORPORA={{csl: {{ROOT: {copy}}}}}", f"NAME=damaged-{damage}", "TRAIN.END_EPOCH=1"]
    where += [f"DATASET.CODE_PATH={tmp_path}/codes"]
    with pytest.raises(UserError, match=f"{clip}.*({expected})"):
        shop.run(get_motion_code, "soke", *where, "DATASET.STRICT=true")
    shop.run(get_motion_code, "soke", *where)
    assert not (tmp_path / "codes" / "csl" / f"{clip}.npy").exists()
    assert len(list((tmp_path / "codes" / "csl").glob("*.npy"))) > 10
