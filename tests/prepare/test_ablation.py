"""Ablations: the plan is checked, rows become runs, scores and spreads are what they are said to be."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text
from rich.console import Console

from prepare import plan_runs, plans
from prepare.leaderboard import picture
from prepare.plan_runs import run
from prepare.plans import Plan, ordered, read_plan, results_table, row_config, scores
from soke.build.body import layout_of, scored_body
from soke.build.starting import INIT_HASH, init_hash
from soke.build.testing import SCORED_BY, hashes_of_scorers
from soke.errors import UserError
from soke.evaluation.references import ALL_CORPORA
from soke.metrics.clips import Score
from soke.metrics.signature import Signature
from soke.report.tables import ResultTable
from soke.run.config import load_config, resolve, to_yaml
from soke.run.folders import export_folder
from soke.storage import folder_hash
from soke.tokenizer.saved import saved_hash


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


SIGNLLM = {
    "data_share": ("10 %", "30 %", "100 %"),
    "pose_representation": ("positions", "positions, hands as offsets", "axis-angle", "6D"),
    "added_language": tuple(f"{n} clips{start}" for n in (10, 100, "all") for start in ("", ", from GSL")),
}


@pytest.mark.parametrize("name", SIGNLLM)
def test_the_plans_of_signllm_s_open_questions(name):
    plan = read_plan(f"configs/ablation/signllm_{name}.yaml")
    assert tuple(plan.rows) == SIGNLLM[name]
    configs = {row: row_config(plan, row, 2)[0] for row in plan.rows}
    assert len({c.name for c in configs.values()}) == len(configs)
    assert {(c.train.stage, c.seed) for c in configs.values()} == {("regressor", 2)}
    assert all(c.train.end_epoch % c.eval.every_epochs == 0 for c in configs.values())  # the last epoch is validated


@pytest.mark.parametrize(("name", "clips"), [("data_share", 2400), ("added_language", 300)])
def test_more_and_fewer_clips_are_trained_for_as_many_steps(name, clips):
    """clips: of the eight languages, and of DSGS, at demo size"""
    plan = read_plan(f"configs/ablation/signllm_{name}.yaml")
    steps = []
    for config in (row_config(plan, row, 1)[0] for row in plan.rows):
        chosen = min(clips * config.dataset.train_share, config.dataset.train_clips or clips)
        steps.append(-(-chosen // config.train.batch_size) * config.train.end_epoch)
    assert max(steps) < 1.06 * min(steps)
    shares = {row_config(plan, row, 1)[0].dataset.train_share for row in plan.rows}
    assert shares == ({0.1, 0.3, 1.0} if name == "data_share" else {1.0})


def test_poses_are_compared_on_the_same_joints():
    """And of the same network; rotations differ in nothing but their form."""
    plan = read_plan("configs/ablation/signllm_pose_representation.yaml")
    positions, offsets, angles, six = (row_config(plan, row, 1)[0] for row in plan.rows)
    assert {part.rotation for part in positions.parts} == {"position"}
    assert [part.rotation for part in offsets.parts] == ["position", "offset", "offset"]
    assert [{part.rotation for part in c.parts} for c in (angles, six)] == [{"axis_angle"}, {"6d"}]
    rows = (positions, offsets, angles, six)
    assert [sum(layout_of(c).sizes.values()) for c in rows] == [150, 150, 120, 240]
    assert all((c.regressor, c.train) == (six.regressor, six.train) for c in rows)
    bodies = [scored_body(c, "cpu") for c in rows]
    assert len({(b.label, b.unit, tuple(b.point_sets.items())) for b in bodies}) == 1
    assert [{s.language for s in c.dataset.corpora.values()} for c in (positions,)] == [{"ASL", "CSL", "DGS"}]
    assert layout_of(angles).covers == layout_of(six).covers
    assert positions.metric.back_translation != angles.metric.back_translation  # readers read features


@pytest.mark.slow
def test_rows_begin_from_a_model_of_their_own_seed():
    plan = read_plan("configs/ablation/signllm_added_language.yaml")
    for seed in plan.seeds:
        start, _ = row_config(plan, "seven languages", seed, ["FOLDER=runs"])
        assert len(start.dataset.corpora) == 7 and "dsgs" not in start.dataset.corpora and not start.train.init
        for row in plan.rows:
            config, argv = row_config(plan, row, seed, ["FOLDER=runs"])
            assert config.train.init == str(export_folder(start)) and start.seed == config.seed == seed
            assert list(config.dataset.corpora) == ["dsgs"] and config.regressor == start.regressor
            assert config.train.init_language == ("GSL" if "GSL" in row else "")
            assert load_config(argv[1], overrides=argv[3:]) == config
    clips = [row_config(plan, row, 1)[0].dataset.train_clips for row in plan.rows]
    assert clips == [10, 10, 100, 100, None, None]


@pytest.mark.parametrize(
    ("starts", "init", "fault"),
    [("{a: []}", "<b>", "the row r begins from <b>, which is none of STARTS"), ("{r: []}", "<r>", "r is one of STARTS and")],
)
def test_starts_that_make_no_sense_are_refused(tmp_path, starts, init, fault):
    (tmp_path / "plan.yaml").write_text(f"BASE: x\nSEEDS: [1]\nSTARTS: {starts}\nROWS: {{r: ['TRAIN.INIT={init}']}}\n")
    with pytest.raises(UserError, match=fault):
        read_plan(str(tmp_path / "plan.yaml"))


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


def plan_of(*names):
    return Plan("p", "base", [1], {}, scores=names)


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
    assert scores(folder, plan, {("csl", "b")}, "generated") == {
        "DTW-JPE body": 6.0, "DTW-JPE body mm": 60.0, "DTW-JPE body rare": 3.0, "s/video": 0.25
    }
    assert scores(folder, plan, {("csl", "b"), ("phoenix", "a")}, "generated")["DTW-JPE body rare"] == 6.5
    assert "DTW-JPE body rare" not in scores(folder, plan, set(), "generated")


def test_what_is_of_all_corpora_together_is_no_mean_over_them(tmp_path):
    cells = [
        ("tokenizer reconstruction", corpus, "codebook-use", "face", {"percent": percent, "codes": 7.0})
        for corpus, percent in (("csl", 40.0), ("phoenix", 50.0), (ALL_CORPORA, 80.0))
    ]
    plan = plan_of("codebook-use face", "codebook-use face codes")
    found = scores(results(tmp_path, cells), plan, set(), "tokenizer reconstruction")
    assert found == {"codebook-use face": 80.0, "codebook-use face codes": 7.0}


def test_a_score_that_no_test_has_given_is_named(tmp_path):
    folder = results(tmp_path, [("generated", "csl", "DTW-JPE", "body", {"m": 1.0})])
    with pytest.raises(UserError, match="no score DTW-VPE face of the row generated; it has DTW-JPE body, DTW-JPE body"):
        scores(folder, plan_of("DTW-VPE face"), set(), "generated")
    with pytest.raises(UserError, match="no score DTW-JPE body of the row recognised; it has none at all"):
        scores(folder, plan_of("DTW-JPE body"), set(), "recognised")


def test_the_table_shows_mean_and_spread_of_what_all_rows_have():
    plan = plan_of("DTW-JPE hand", "DTW-JPE hand rare", "s/video")
    rows = {"a": [{"DTW-JPE hand": 1.0, "s/video": 3.0}, {"DTW-JPE hand": 2.0, "s/video": 3.0}]}
    console = Console(file=io.StringIO(), width=200)
    console.print(results_table(plan, rows))
    assert f"1.500 ±{np.std([1, 2], ddof=1):.3f}" in console.file.getvalue() and "rare" not in console.file.getvalue()


def test_a_failing_run_is_named():
    with pytest.raises(UserError, match="python -m train --cfg nowhere.yaml` failed"):
        run(["train", "--cfg", "nowhere.yaml"])


def plan_file(folder, text):
    (folder / "plan.yaml").write_text(f"BASE: configs/demo/soke.yaml\nSEEDS: [1, 2]\n{text}")
    return str(folder / "plan.yaml")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("[OF=b]", "the row r is of the runs of b, which is none of ROWS that has runs of its own"),
        ("[OF=s]", "the row r is of the runs of s, which is none of ROWS that has runs"),
        ("[OF=q, SEED=3]", "the row r is of the runs of q, so that it can have no overrides but SYSTEM"),
    ],
)
def test_a_row_of_other_runs_that_makes_no_sense_is_refused(tmp_path, row, fault):
    with pytest.raises(UserError, match=fault):
        read_plan(plan_file(tmp_path, f"ROWS: {{q: [], s: [OF=q, SYSTEM=x], r: {row}}}\n"))


def stand_in_for_programs(monkeypatch, folder, fails=()):
    """Programs that note their command and environment, and leave behind what train and test leave; those whose NAME is
    among `fails` fail."""
    called = []

    def run(argv, cwd, env, stdout=None, stderr=None):
        program, arguments = argv[2], argv[3:]
        called.append((program, arguments, env.get("OMP_NUM_THREADS")))
        if program not in ("train", "test"):
            (folder / "made").write_text("")
            return subprocess.CompletedProcess(argv, 0)
        config = load_config(arguments[1], overrides=[item for item in arguments[3:] if not item.startswith("--")])
        if config.name in fails:
            return subprocess.CompletedProcess(argv, 1)
        if program == "train":
            export_folder(config).mkdir(parents=True)
            (export_folder(config) / "weights").write_text(str(config.train.end_epoch))
            (export_folder(config) / "generator.json").write_text("{}")
            (config.run_folder / "config.yaml").write_text(to_yaml(config))
            record = {INIT_HASH: init_hash(config)} if config.train.init else {}
            tokenizer = saved_hash(resolve(config.tokenizer.path))
            record |= {"tokenizer hash": tokenizer} if tokenizer else {}
            (config.run_folder / "provenance.json").write_text(json.dumps(record))
        else:
            cells = [("generated", config.seed), ("mean pose", 10.0 * config.seed)]
            results(plans.results_folder(config), [(r, "csl", "DTW-JPE", "hand", {"m": float(v)}) for r, v in cells])
            table = plans.results_folder(config) / "table.json"
            models = {"generator": {"hash": folder_hash(export_folder(config))}}
            conditions = {"models": models, SCORED_BY: hashes_of_scorers(config)}
            table.write_text(json.dumps({**json.loads(table.read_text()), "conditions": conditions}))
            table.with_name("config.yaml").write_text(to_yaml(config))
        return subprocess.CompletedProcess(argv, 0)

    monkeypatch.setattr(plan_runs.subprocess, "run", run)
    return called


def test_no_run_at_a_time_is_refused(capsys):
    with pytest.raises(SystemExit):
        plans.compare("plans", "", ["--cfg", "none.yaml", "--jobs", "0"])
    assert "'0' is no whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_plan_is_run_once_and_goes_on_with_what_is_missing(tmp_path, monkeypatch, jobs):
    """Rows of another row's runs have no run and no time of their own; what is needed is made first."""
    plan = read_plan(plan_file(tmp_path, f"""NEEDS: {{"{tmp_path}/made": prepare.something --out it}}
SCORES: [DTW-JPE hand, s/video]
OVERRIDES: [FOLDER={tmp_path}/runs, RESULTS={tmp_path}/results]
ROWS: {{q: [], mean pose: [OF=q, SYSTEM=mean pose], p: [GENERATOR.DECODING=parallel]}}
"""))
    called = stand_in_for_programs(monkeypatch, tmp_path)
    found = plans.results_of(plan, jobs=jobs)
    assert {row: [of["DTW-JPE hand"] for of in seeds] for row, seeds in found.items()} == {
        "q": [1.0, 2.0], "mean pose": [10.0, 20.0], "p": [1.0, 2.0]
    }
    assert ["s/video" in seeds[0] for seeds in found.values()] == [True, False, True]
    assert called[0][:2] == ("prepare.something", ["--out", "it"])
    assert sorted(program for program, *_ in called[1:]) == ["test"] * 4 + ["train"] * 4
    shares = {threads for _, _, threads in called[1:]}
    assert shares == ({os.environ.get("OMP_NUM_THREADS")} if jobs == 1 else {str(max(1, (os.cpu_count() or 1) // 3))})
    del called[:]
    assert plans.results_of(plan, jobs=jobs) == found and not called


def test_a_plan_that_was_changed_takes_nothing_of_what_it_was(tmp_path, monkeypatch):
    """A row that would be trained otherwise is refused; one that is tested otherwise, or trained anew, is tested again."""
    def plan(row):
        return read_plan(plan_file(tmp_path, f"""SCORES: [DTW-JPE hand]
OVERRIDES: [FOLDER={tmp_path}/runs, RESULTS={tmp_path}/results]
ROWS: {{q: [{row}]}}
"""))

    called = stand_in_for_programs(monkeypatch, tmp_path)
    plans.results_of(plan("TRAIN.NUM_WORKERS=1"))
    del called[:]
    plans.results_of(plan("TRAIN.NUM_WORKERS=2, TEST.SEARCH.BEAMS=3, TEST.SEARCH.METHOD=beam"))
    assert [program for program, *_ in called] == ["test", "test"]
    del called[:]
    with pytest.raises(UserError, match="trained with other settings .*TRAIN.END_EPOCH: .* -> 7: remove it to have it trained"):
        plans.results_of(plan("TRAIN.END_EPOCH=7"))
    assert not called
    shutil.rmtree(tmp_path / "runs")
    plans.results_of(plan("TRAIN.END_EPOCH=7, TEST.SEARCH.BEAMS=3, TEST.SEARCH.METHOD=beam"))
    assert [program for program, *_ in called] == ["train", "test"] * 2


def test_rows_that_began_from_what_was_trained_anew_since_are_refused(tmp_path, monkeypatch):
    """Both where STARTS changed and its folder was removed, and where a tokenizer is another one now."""
    def plan(start):
        return read_plan(plan_file(tmp_path, f"""SCORES: [DTW-JPE hand]
OVERRIDES: [FOLDER={tmp_path}/runs, RESULTS={tmp_path}/results, TOKENIZER.PATH={tmp_path}/tokenizer]
STARTS: {{s: [{start}]}}
ROWS: {{q: [], r: [TRAIN.INIT=<s>]}}
"""))

    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "config.json").write_text('{"hash": "one"}')
    called = stand_in_for_programs(monkeypatch, tmp_path)
    found = plans.results_of(plan("TRAIN.END_EPOCH=3"))
    del called[:]
    assert plans.results_of(plan("TRAIN.END_EPOCH=3")) == found and not called
    with pytest.raises(UserError, match="plan-s-1 was trained with other settings"):
        plans.results_of(plan("TRAIN.END_EPOCH=4"))
    shutil.rmtree(tmp_path / "runs" / "generator" / "ablation-plan-s-1")
    with pytest.raises(UserError, match="plan-s-2 was trained with other settings"):
        plans.results_of(plan("TRAIN.END_EPOCH=4"))
    shutil.rmtree(tmp_path / "runs" / "generator" / "ablation-plan-s-2")
    with pytest.raises(UserError, match="plan-r-1 began from another model than TRAIN.INIT has now .*: remove it to have"):
        plans.results_of(plan("TRAIN.END_EPOCH=4"))
    for seed in (1, 2):
        shutil.rmtree(tmp_path / "runs" / "generator" / f"ablation-plan-r-{seed}")
    assert plans.results_of(plan("TRAIN.END_EPOCH=4")) == found
    (tmp_path / "tokenizer" / "config.json").write_text('{"hash": "two"}')
    with pytest.raises(UserError, match="learnt the codes of another tokenizer than TOKENIZER.PATH has now .one -> two."):
        plans.results_of(plan("TRAIN.END_EPOCH=4"))


def test_rows_are_tested_again_where_a_model_that_scores_was_trained_anew(tmp_path, monkeypatch):
    """A reader of a corpus of the plan, and the auto-encoder; one that scores nothing of it does not count."""
    plan = read_plan(plan_file(tmp_path, f"""SCORES: [DTW-JPE hand]
OVERRIDES: [FOLDER={tmp_path}/runs, RESULTS={tmp_path}/results, METRIC.BACK_TRANSLATION={tmp_path}/readers,
            METRIC.FRECHET={tmp_path}/encoder]
ROWS: {{q: []}}
"""))
    folders = {name: tmp_path / name for name in ("readers/csl/translation", "encoder", "readers/other/translation")}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "weights").write_text("one")
    called = stand_in_for_programs(monkeypatch, tmp_path)
    found = plans.results_of(plan)
    for name, programs in zip(folders, (["test", "test"], ["test", "test"], [])):
        del called[:]
        (folders[name] / "weights").write_text("two")
        assert plans.results_of(plan) == found
        assert [program for program, *_ in called] == programs


def test_the_other_runs_end_before_one_that_failed_is_named(tmp_path, monkeypatch):
    plan = read_plan(plan_file(tmp_path, f"""SCORES: [DTW-JPE hand]
OVERRIDES: [FOLDER={tmp_path}/runs, RESULTS={tmp_path}/results]
ROWS: {{q: [], p: []}}
"""))
    called = stand_in_for_programs(monkeypatch, tmp_path, ["ablation-plan-q-1"])
    with pytest.raises(UserError, match=r"python -m train .*NAME=ablation-plan-q-1 .* failed \(.*q-1.log\); mend that"):
        plans.results_of(plan, jobs=2)
    assert sum(program == "test" for program, *_ in called) == 3


def test_a_row_that_its_tables_lack_is_named(tmp_path):
    """Of one that stands in some corpora's tables alone there is no mean."""
    cells = [("generated", "csl", "DTW-JPE", "hand", {"m": 1.0}), ("mean pose", "csl", "WER", "", {"": 1.0})]
    more = [("mean pose", "phoenix", "WER", "", {"": 3.0}), ("generated", "phoenix", "DTW-JPE", "hand", {"m": 1.0})]
    folder = results(tmp_path / "two", [*cells, *more])
    assert scores(folder, plan_of("WER"), set(), "mean pose", own=False) == {"WER": 2.0}
    folder = results(tmp_path / "one", [*cells, more[1]])
    with pytest.raises(UserError, match="no score WER of the row mean pose; it has none of all corpora"):
        scores(folder, plan_of("WER"), set(), "mean pose", own=False)
    folder = results(tmp_path, cells)
    plan = plan_of("DTW-JPE hand", "WER")
    assert scores(folder, plan, set(), "mean pose", own=False) == {"WER": 1.0}  # a dash in the table
    with pytest.raises(UserError, match="no score DTW-JPE hand of the row stitching; it has none of all corpora"):
        scores(folder, plan, set(), "stitching", own=False)


def test_the_probe_of_ten_coefficients_differs_in_nothing_else():
    """Four streams and quantizers of M3T's; what SOKE's frames do not have, most of the face, eyelids and eyes, is left out."""
    plan = read_plan("configs/ablation/recognition_parts.yaml")
    configs = {row: row_config(plan, row, 1)[0] for row in plan.rows}
    assert {str(resolve(c.tokenizer.path)) for c in configs.values()} <= {str(resolve(path)) for path in plan.needs}
    whole, ten = configs["all"], configs["ten coefficients, all"]
    own = {part.name: part for part in ten.parts}
    assert [replace(part, joints=own[part.name].joints, expression=0, eyelids=False) for part in whole.parts] == [
        replace(part, expression=0) for part in ten.parts
    ]
    assert (own["face"].expression, own["face"].eyelids, own["body"].joints) == (10, False, "upper_body")
    for key in ("train", "recognition", "seed"):
        assert getattr(whole, key) == getattr(ten, key)
    assert (whole.dataset.frames, ten.dataset.frames) == ("smplfx", "soke")
    tokenizers = load_config("configs/demo/m3t_tokenizer.yaml"), load_config("configs/demo/m3t_tokenizer_ten.yaml")
    assert tokenizers[0].train == tokenizers[1].train and tokenizers[1].parts == ten.parts


def test_the_leaderboard_is_every_system_on_the_same_clips():
    """Whatever the frames that a system reads: one reader, the same joints and the same corpora."""
    plan = read_plan("configs/ablation/leaderboard.yaml")
    configs = {row: row_config(plan, row, 1)[0] for row in plan.rows if plan.run_of(row) == row}
    assert len({c.metric.back_translation for c in configs.values()}) == 1
    assert len({tuple(s.root for s in c.dataset.corpora.values()) for c in configs.values()}) == 1
    for config in configs.values():
        tokenizer = config.tokenizer.path if config.train.stage == "generator" else ""
        assert not tokenizer or any(str(resolve(path)) == str(resolve(tokenizer)) for path in plan.needs)
    rows = {row: [{plan.scores[0]: 9.0 - n, **({"s/video": 0.1 + n} if n else {})}] for n, row in enumerate(configs)}
    best = ordered(plan, {"none": [{}], **rows})
    assert list(best) == [*list(rows)[::-1], "none"]  # which has no such score
    assert [text.get_text() for text in picture(plan, best).axes[0].texts] == [list(rows)[0], *list(rows)[:0:-1]]


def test_every_row_of_the_leaderboard_s_picture_has_its_name():
    """Twenty of them, points in one cloud and lines, in one picture: no name covers another, and all are inside."""
    plan, score = read_plan("configs/ablation/leaderboard.yaml"), "sign error rate"
    rng = np.random.default_rng(0)
    points = [{score: e, "s/video": s} for e, s in zip(rng.uniform(20, 45, 14), rng.uniform(0.04, 0.1, 14))]
    rows = {f"a system of a long name, number {i}": [point] for i, point in enumerate(points)}
    rows |= {f"baseline {error:g}": [{score: error}] for error in (0, 0.3, 30, 31, 95, 100)}
    axes = picture(plan, rows | {"without such an error": [{}]}).axes[0]
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the point
    assert {text.get_text() for text in axes.texts} == set(rows) and len(boxes) == 20
    whole = axes.get_window_extent()
    assert all(whole.x0 <= b.x0 and b.x1 <= whole.x1 and whole.y0 <= b.y0 and b.y1 <= whole.y1 for b in boxes)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
