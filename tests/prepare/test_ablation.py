"""Ablations: the plan is checked, rows become runs, rare sentences and spreads are what they are said to be."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from prepare.ablation import _run, read_plan, results_table, row_config, scores
from soke.errors import UserError
from soke.run.config import load_config


def test_every_row_of_the_shipped_plan_is_a_configuration():
    base, seeds, rows = read_plan("configs/ablation/decoding.yaml")
    configs = [row_config("decoding", base, row, seed, changes)[0] for seed in seeds for row, changes in rows.items()]
    assert len({config.name for config in configs}) == len(seeds) * len(rows) == 21
    assert {(c.generator.decoding, c.generator.retrieval.words > 0) for c in configs} == {
        (mode, found) for mode in ("multi_head", "sequential", "parallel") for found in (True, False)
    }
    assert {c.seed for c in configs} == set(seeds)


def test_command_line_of_a_row_gives_its_configuration():
    config, argv = row_config("p", "configs/demo/soke.yaml", "a row", 7, ["GENERATOR.DECODING=parallel"])
    assert argv[:3] == ["--cfg", "configs/demo/soke.yaml", "--nodebug"]
    assert load_config(argv[1], overrides=argv[3:]) == config and config.name == "ablation-p-a-row-7"


@pytest.mark.parametrize("content", ["ROWS: {}\n", "BASE: x\nSEEDS: [1]\nROWS: {}\nMORE: 1\n", "- 1\n"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "plan.yaml").write_text(content)
    with pytest.raises(UserError, match="must hold BASE, SEEDS and ROWS"):
        read_plan(str(tmp_path / "plan.yaml"))


def test_scores_are_means_over_corpora_and_of_the_rare_alone(tmp_path):
    columns = [f"{name} {part} m" for name in ("DTW-JPE", "DTW-PA-JPE") for part in ("body", "hand", "avg")]
    values = {("csl", "a"): 1.0, ("csl", "b"): 3.0, ("phoenix", "a"): 10.0}
    with (tmp_path / "clips.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["corpus", "clip", "row", *columns])
        writer.writeheader()
        for (corpus, clip), value in values.items():
            numbers = {column: value * (2 if "hand" in column else 3 if "avg" in column else 1) for column in columns}
            writer.writerow({"corpus": corpus, "clip": clip, "row": "generated", **numbers})
            writer.writerow({"corpus": corpus, "clip": clip, "row": "generated, shuffled", **{c: 99 for c in columns}})
    (tmp_path / "timing.json").write_text(json.dumps({"timings": [{"mean": 0.25}]}))
    found = scores(tmp_path, {("csl", "b")})
    assert found["DTW-JPE body"] == 6.0 and found["DTW-JPE hand"] == 12.0  # the mean of 2 and 10, of 4 and 20
    assert found["DTW-JPE avg"] == 18.0
    assert found["DTW-JPE body rare"] == 3.0 and found["s/video"] == 0.25


def test_the_table_shows_mean_and_spread():
    names = [f"{n} {k}" for n in ("DTW-JPE", "DTW-PA-JPE") for k in ("body", "hand", "avg")] + ["s/video"]
    rows = {"a": [dict.fromkeys(names, 1.0), dict.fromkeys(names, 2.0)]}
    console = Console(file=io.StringIO(), width=200)
    console.print(results_table("t", rows))
    assert f"1.500 ±{np.std([1, 2], ddof=1):.3f}" in console.file.getvalue() and "rare" not in console.file.getvalue()


def test_a_failing_run_is_named():
    with pytest.raises(UserError, match="python -m train --cfg nowhere.yaml` failed"):
        _run("train", ["--cfg", "nowhere.yaml"])
