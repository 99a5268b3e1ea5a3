"""Ablations: the plan is checked, rows become runs, scores and spreads are what they are said to be."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from prepare.ablation import Plan, _run, read_plan, results_table, row_config, scores
from soke.errors import UserError
from soke.evaluation.references import ALL_CORPORA
from soke.metrics.clips import Score
from soke.metrics.signature import Signature
from soke.report.tables import ResultTable
from soke.run.config import load_config


def test_every_row_of_the_shipped_plan_is_a_configuration():
    plan = read_plan("configs/ablation/decoding.yaml")
    configs = [row_config(plan, row, seed)[0] for seed in plan.seeds for row in plan.rows]
    assert len({config.name for config in configs}) == len(plan.seeds) * len(plan.rows) == 21
    assert {(c.generator.decoding, c.generator.retrieval.words > 0) for c in configs} == {
        (mode, found) for mode in ("multi_head", "sequential", "parallel") for found in (True, False)
    }
    assert {c.seed for c in configs} == set(plan.seeds)
    assert plan.timed and plan.rare and plan.system == "generated"


def test_the_rows_of_m3t_s_table_3_are_those_published():
    """Batch size, width and kind of each row; the codebooks of VQ are as large as those of FSQ."""
    plan = read_plan("configs/ablation/m3t_table3.yaml")
    configs = {row: row_config(plan, row, 1)[0] for row in plan.rows}
    kinds = {row: {q.quantizer["kind"] for q in c.parts if q.quantizer} for row, c in configs.items()}
    found = [(*kinds[row], c.train.batch_size, c.tokenizer.width) for row, c in configs.items()]
    assert found == [("ema", 16, 1024), *(("fsq", size, 1024) for size in (16, 128, 64, 32)), ("fsq", 16, 512),
                     ("fsq", 16, 2048)]
    assert len({tuple(c.tokenizer.streams(c.parts).items()) for c in configs.values()}) == 1
    assert not plan.timed and not plan.rare


def test_command_line_of_a_row_gives_its_configuration():
    plan = Plan("p", "configs/demo/soke.yaml", [7], {"a row": ["GENERATOR.DECODING=parallel"]})
    config, argv = row_config(plan, "a row", 7, ["TRAIN.END_EPOCH=3"])
    assert argv[:3] == ["--cfg", "configs/demo/soke.yaml", "--nodebug"]
    assert load_config(argv[1], overrides=argv[3:]) == config and config.name == "ablation-p-a-row-7"
    assert (config.generator.decoding, config.train.end_epoch) == ("parallel", 3)


def test_a_row_may_stand_on_another_configuration():
    rows = {"SOKE": ["BASE=configs/demo/soke.yaml", "GENERATOR.DECODING=parallel"], "M3T": []}
    plan = Plan("p", "configs/demo/m3t.yaml", [7], rows)
    for row, base, mode in (("SOKE", "configs/demo/soke.yaml", "parallel"), ("M3T", "configs/demo/m3t.yaml", "multi_head")):
        config, argv = row_config(plan, row, 7)
        assert argv[:2] == ["--cfg", base] and load_config(base, overrides=argv[3:]) == config
        assert config.generator.decoding == mode and not any(item.startswith("BASE=") for item in argv)


@pytest.mark.parametrize("content", ["ROWS: {}\n", "BASE: x\nSEEDS: [1]\nROWS: {}\nMORE: 1\n", "- 1\n"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "plan.yaml").write_text(content)
    with pytest.raises(UserError, match="must hold BASE, SEEDS and ROWS"):
        read_plan(str(tmp_path / "plan.yaml"))


def results(folder, cells, clips=()):
    """cells: (row, corpus, metric, part, values); clips: dicts, lines of clips.csv"""
    table = ResultTable("t")
    for row, corpus, metric, part, values in cells:
        table.add(row, corpus, Score(Signature(metric, part, units=tuple(values)), values, {}, 4, None))
    table.save(folder)
    with (folder / "clips.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["corpus", "clip", "row", "DTW-JPE body m", "DTW-JPE body mm"])
        writer.writeheader()
        writer.writerows(clips)
    (folder / "timing.json").write_text(json.dumps({"device": "cpu", "timings": [{"batch_size": 1, "mean": 0.25}]}))
    return folder


def plan_of(*names, system="generated"):
    return Plan("p", "base", [1], {}, system, names)


def test_scores_are_means_over_corpora_and_of_the_rare_alone(tmp_path):
    cells = [("generated", c, "DTW-JPE", "body", {"m": m, "mm": 10 * m}) for c, m in (("csl", 2.0), ("phoenix", 10.0))]
    cells += [("generated, shuffled", "csl", "DTW-JPE", "body", {"m": 99.0, "mm": 99.0})]
    values = {("csl", "a"): 1.0, ("csl", "b"): 3.0, ("phoenix", "a"): 10.0}
    clips = [
        {"corpus": corpus, "clip": clip, "row": row, "DTW-JPE body m": value * times, "DTW-JPE body mm": 0}
        for (corpus, clip), value in values.items() for row, times in (("generated", 1), ("generated, shuffled", 50))
    ]
    folder = results(tmp_path, cells, clips)
    plan = plan_of("DTW-JPE body", "DTW-JPE body mm", "DTW-JPE body rare", "s/video")
    assert scores(folder, plan, {("csl", "b")}) == {
        "DTW-JPE body": 6.0, "DTW-JPE body mm": 60.0, "DTW-JPE body rare": 3.0, "s/video": 0.25
    }
    assert scores(folder, plan, {("csl", "b"), ("phoenix", "a")})["DTW-JPE body rare"] == 6.5
    assert "DTW-JPE body rare" not in scores(folder, plan, set())


def test_what_is_of_all_corpora_together_is_no_mean_over_them(tmp_path):
    cells = [
        ("tokenizer reconstruction", corpus, "codebook-use", "face", {"percent": percent, "codes": 7.0})
        for corpus, percent in (("csl", 40.0), ("phoenix", 50.0), (ALL_CORPORA, 80.0))
    ]
    plan = plan_of("codebook-use face", "codebook-use face codes", system="tokenizer reconstruction")
    found = scores(results(tmp_path, cells), plan, set())
    assert found == {"codebook-use face": 80.0, "codebook-use face codes": 7.0}


def test_a_score_that_no_test_has_given_is_named(tmp_path):
    folder = results(tmp_path, [("generated", "csl", "DTW-JPE", "body", {"m": 1.0})])
    with pytest.raises(UserError, match="no score DTW-VPE face of the row generated; it has DTW-JPE body, DTW-JPE body"):
        scores(folder, plan_of("DTW-VPE face"), set())
    with pytest.raises(UserError, match="no score DTW-JPE body of the row recognised; it has none at all"):
        scores(folder, plan_of("DTW-JPE body", system="recognised"), set())


def test_the_table_shows_mean_and_spread_of_what_all_rows_have():
    plan = plan_of("DTW-JPE hand", "DTW-JPE hand rare", "s/video")
    rows = {"a": [{"DTW-JPE hand": 1.0, "s/video": 3.0}, {"DTW-JPE hand": 2.0, "s/video": 3.0}]}
    console = Console(file=io.StringIO(), width=200)
    console.print(results_table("t", plan, rows))
    assert f"1.500 ±{np.std([1, 2], ddof=1):.3f}" in console.file.getvalue() and "rare" not in console.file.getvalue()


def test_a_failing_run_is_named():
    with pytest.raises(UserError, match="python -m train --cfg nowhere.yaml` failed"):
        _run("train", ["--cfg", "nowhere.yaml"])
