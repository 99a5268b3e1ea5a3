"""The whole way once for joint positions: tokenizer, codes, generator, back-translation, test, pictures; toy size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

import get_motion_code
import test as test_entry
import train
import vis_mesh
from prepare import small_mbart
from soke.body.joints import SKELETON_50
from soke.body.motion import JointMotion
from soke.build.body import body_model, layout_of
from soke.data.storage.saved import read_motion
from soke.errors import UserError
from soke.run.config import load_config
from tests.data.skels_writing import write_skels_corpus

pytestmark = pytest.mark.slow  # SOKE's and M3T's chains walk the same way
FILES = {name: f"configs/skels/{name}.yaml" for name in ("tokenizer", "soke", "back_translation")}


class Workshop:
    """A folder for data, runs and results of the shipped configurations for .skels, at toy size."""

    def __init__(self, root: Path):
        self.root = root
        self.overrides = [
            f"DATASET.CORPORA.skels.ROOT={root}/data", f"DATASET.CODE_PATH={root}/codes", f"FOLDER={root}/experiments",
            f"RESULTS={root}/results", f"GENERATOR.MBART={root}/mbart", "TOKENIZER.WIDTH=16", "TOKENIZER.CODE_DIM=16",
            "TRAIN.NUM_WORKERS=0", "TRAIN.END_EPOCH=2", "EVAL.EVERY_EPOCHS=1", "ACCELERATOR=cpu",
            "EVAL.GENERATE_EVERY=1", "GENERATOR.MAX_STEPS=12", "RENDER.BACKEND=software", "RENDER.SIZE=64",
            "LOGGER.TENSORBOARD=false", "TRANSLATION.WIDTH=16", "TRANSLATION.FEEDFORWARD=16", "TRANSLATION.BEAMS=[1]",
            "TRANSLATION.LENGTH_PENALTIES=[0]", "TRANSLATION.MAX_TOKENS=8",
        ]

    def run(self, program, config: str, *more: str) -> None:
        flags = [item for item in more if item.startswith("-")]
        rest = [item for item in more if not item.startswith("-")]
        program.main(["--cfg", FILES[config], "--nodebug", *flags, *self.overrides, *rest])

    def logged(self, stage: str, name: str) -> dict[str, list[float]]:
        """Column -> values of a run's metrics."""
        with (self.root / "experiments" / stage / name / "csv" / "metrics.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        return {column: [float(row[column]) for row in rows if row[column]] for column in rows[0]}

    def cells(self, folder: str) -> list[dict]:
        return json.loads((self.root / "results" / folder / "table.json").read_text(encoding="utf-8"))["cells"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, body) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("skels"))
    write_skels_corpus(shop.root / "data", body)
    small_mbart.main([
        "--cfg", FILES["soke"], "--out", str(shop.root / "mbart"), "--size", "tiny", *shop.overrides,
    ])
    shop.run(train, "tokenizer")
    shop.run(get_motion_code, "soke")
    shop.run(train, "soke")
    shop.run(train, "back_translation")
    return shop


def test_a_tokenizer_of_positions_is_validated_by_its_joints(shop):
    logged = shop.logged("tokenizer", "skels-tokenizer")
    errors = {column.removeprefix("val/"): values for column, values in logged.items() if "JPE" in column}
    assert set(errors) == {"MPJPE_body", "MPJPE_hand", "PA_MPJPE_body", "PA_MPJPE_hand"}  # there are no vertices
    assert all(len(values) == 2 and min(values) > 0 for values in errors.values())
    assert errors["PA_MPJPE_hand"][-1] < errors["MPJPE_hand"][-1] < 1000  # thousandths of the shoulders' width


def test_a_generator_is_validated_by_generation(shop):
    logged = shop.logged("generator", "skels-soke")
    scores = {f"val/DTW{align}_JPE{part}" for align in ("", "_PA") for part in ("_body", "_hand", "")}
    assert scores <= set(logged) and all(len(logged[name]) == 2 for name in scores)
    average = (8 * logged["val/DTW_JPE_body"][-1] + 42 * logged["val/DTW_JPE_hand"][-1]) / 50
    assert logged["val/DTW_JPE"][-1] == pytest.approx(average, rel=1e-5)


def test_codes_have_a_column_per_part(shop):
    codes = np.load(next((shop.root / "codes" / "skels").rglob("*.npy")))
    assert codes.ndim == 3 and codes.shape[2] == 3


def test_scores_have_signatures_of_their_own_and_say_their_unit(shop, capsys):
    shop.run(test_entry, "soke", "TEST.SAVE_PREDICTIONS=true")
    screen = capsys.readouterr().out
    assert "body:skeleton-50" in screen and "PT-DTW" in screen and "DTW-MJE" in screen
    assert screen.count("Lengths are in the corpora's own unit, here called unit") == 1
    cells = shop.cells("skels-soke")
    made = {"generated", "generated, shuffled", "tokenizer reconstruction"}
    assert {cell["row"] for cell in cells} == {"ground truth", *made}
    units = {}
    for cell in cells:
        units.setdefault(cell["metric"], set()).add(tuple(cell["values"]))
    assert units["DTW-JPE"] == units["DTW-PA-JPE"] == {("unit", "milliunit")}
    assert (units["velocity error"], units["diversity"]) == ({("unit/s",)}, {("milliunit",)})
    assert not any("m" in of_metric or "mm" in of_metric for found in units.values() for of_metric in found)
    assert units["PT-DTW"] == units["DTW-MJE"] == {("unit",)}
    assert "DTW-VPE" not in units and {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"} <= set(units)
    joints = {(c["metric"], c["part"]): c["signature"]["joints"] for c in cells if c["metric"].startswith("DTW")}
    for metric in ("DTW-JPE", "DTW-PA-JPE"):
        assert joints[metric, "body"] == "8of8" and joints[metric, "left hand"] == "21of21"
        assert joints[metric, "avg"] == "8of8+21of21"
    saved = read_motion(next((shop.root / "results" / "skels-soke" / "predictions").rglob("*.npz")))
    assert isinstance(saved, JointMotion) and saved.joints == SKELETON_50 and saved.made_by


def test_a_tokenizer_is_tested(shop):
    shop.run(test_entry, "tokenizer")
    metrics = {(cell["metric"], cell["part"]) for cell in shop.cells("skels-tokenizer")}
    assert {("MPJPE", "body"), ("PA-MPJPE", "hand"), ("codebook-use", "lhand"), ("DTW-JPE", "avg")} <= metrics
    assert not any("MPVPE" in metric for metric, _ in metrics)


def test_a_back_translation_model_is_tested(shop):
    shop.run(test_entry, "back_translation")
    assert {cell["metric"] for cell in shop.cells("skels-back_translation")} >= {"BLEU-4", "WER"}


def test_stick_figures_of_a_clip_and_of_a_typed_sentence(shop):
    shop.run(vis_mesh, "soke")
    shop.run(vis_mesh, "soke", "--text=morgen regnet es", "--language=DGS")
    with pytest.raises(UserError, match=r"joints alone \(skeleton-50\) has no face"):
        shop.run(vis_mesh, "soke", "--face")
    folder = shop.root / "results" / "skels-soke" / "pictures"
    videos, sheets = list(folder.glob("*.mp4")), list(folder.glob("*.png"))
    assert len(videos) == len(sheets) == 2
    for sheet in sheets:
        pixels = np.asarray(Image.open(sheet).convert("RGB")).reshape(-1, 3).astype(int)
        left, right = ((pixels[:, 0] - pixels[:, 2]), (pixels[:, 2] - pixels[:, 0]))
        assert (left > 60).sum() > 50 and (right > 60).sum() > 50  # an orange and a blue hand
    for video in videos:
        frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(video))
        assert frames >= 4 and seconds == pytest.approx(frames / 25.0, abs=0.05)


def test_the_body_follows_from_the_layout_and_the_reader(shop, tmp_path, monkeypatch):
    config = load_config(FILES["tokenizer"], overrides=shop.overrides)
    body = body_model(config, "cpu")
    assert (body.label, body.unit, body.up, body.joints) == ("skeleton-50", "unit", "-y", SKELETON_50)
    assert layout_of(config).sizes == {"body": 24, "lhand": 63, "rhand": 63}
    (tmp_path / "metric_reader.py").write_text(
        "from soke.data.corpora.skels import SkelsCorpus\n\n\nclass Metric(SkelsCorpus):\n    name, unit, up = 'metric', 'm', '+y'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    other = f"DATASET.CORPORA.metric={{ROOT: {shop.root}/data, READER: metric_reader.Metric}}"
    assert body_model(load_config(FILES["tokenizer"], overrides=[*shop.overrides, "DATASET.CORPORA.skels=null", other]),
                      "cpu").unit == "m"
    with pytest.raises(UserError, match=r"differ in unit or direction \(skels: unit, -y is up, metric: m, \+y is up\)"):
        body_model(load_config(FILES["tokenizer"], overrides=[*shop.overrides, other]), "cpu")
