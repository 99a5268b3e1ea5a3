"""Run folders: what may continue them, who may write into them; results folders: whose they are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from soke.body.joints import expanded
from soke.build.stages import stage_of
from soke.errors import UserError
from soke.run import folders, locking
from soke.run.config import ROOT, Config, load_config

STATE = {
    "state_dict": {"weight": torch.zeros(3)}, "optimizer_states": [{}], "lr_schedulers": [], "loops": {}, "epoch": 3
}


def config(folder: Path, *overrides: str, file: str = "soke") -> Config:
    return load_config(f"configs/{file}.yaml", overrides=[f"FOLDER={folder}", f"RESULTS={folder}/results", *overrides])


def open_run(settings: Config, debug: bool) -> AbstractContextManager[folders.Run]:
    return folders.open_run(settings, stage_of(settings).trained_by, debug)


def results_folder(settings: Config, out_dir: str | None) -> Path:
    return folders.results_folder(settings, out_dir, stage_of(settings).model_keys)


def trained(folder: Path, *overrides: str, file: str = "soke", state: object = STATE) -> Path:
    """The checkpoint of a run of four epochs of END_EPOCH=10."""
    with open_run(config(folder, "TRAIN.END_EPOCH=10", *overrides, file=file), debug=False) as run:
        run.checkpoints.mkdir()
        torch.save(state, run.checkpoints / folders.LAST)
    return run.checkpoints / folders.LAST


def resumed(folder: Path, *overrides: str, file: str = "soke") -> folders.Run:
    wanted = ["TRAIN.END_EPOCH=10", "TRAIN.RESUME=auto", *overrides]
    with open_run(config(folder, *wanted, file=file), debug=False) as run:
        return run


def test_the_same_settings_continue(tmp_path):
    checkpoint = trained(tmp_path)
    assert resumed(tmp_path).resume_from == str(checkpoint)


@pytest.mark.parametrize(
    ("file", "override", "told"),
    [
        ("soke", "TRAIN.OPTIM.LR=1e-3", "TRAIN.OPTIM.LR: 0.0002 -> 0.001"),
        ("soke", "TRAIN.BATCH_SIZE=7", "TRAIN.BATCH_SIZE: 32 -> 7"),
        ("soke", "SEED=5", "SEED: 1234 -> 5"),
        ("soke", "GENERATOR.DECODING=parallel", "GENERATOR.DECODING: multi_head -> parallel"),
        ("soke", "GENERATOR.FUSION={body: 1, lhand: 2, rhand: 1}", "GENERATOR.FUSION.lhand: absent -> 2.0"),
        ("soke", "DATASET.CORPORA.csl=null", "DATASET.CORPORA.csl.ROOT: data/CSL-Daily -> absent"),
        ("soke", "DATASET.LEXICON=null", "DATASET.LEXICON: data/lexicon -> null"),
        ("soke", "DATASET.MAX_FRAMES=200", "DATASET.MAX_FRAMES: 400 -> 200"),
        ("soke", "DATASET.TRAIN_SHARE=0.3", "DATASET.TRAIN_SHARE: 1.0 -> 0.3"),
        ("soke", "DATASET.TRAIN_CLIPS=10", "DATASET.TRAIN_CLIPS: null -> 10"),
        ("soke", "METRIC.DTW=fastdtw", "METRIC.DTW: exact -> fastdtw"),
        ("soke", "TRAIN.END_EPOCH=20", "TRAIN.END_EPOCH: 10 -> 20"),
        ("soke", "AUGMENT.DROP_STEP=0.3", "AUGMENT.DROP_STEP: 0.0 -> 0.3"),
        ("deto", "AUGMENT.MIRROR={csl: 0.5}", "AUGMENT.MIRROR.csl: absent -> 0.5"),
        ("back_translation", "AUGMENT.TIME_MASK=0.2", "AUGMENT.TIME_MASK: 0.0 -> 0.2"),
        ("progressive_transformer", "AUGMENT.SPEED=0.1", "AUGMENT.SPEED: 0.0 -> 0.1"),
        ("deto", "LOSS.VELOCITY=0.5", "LOSS.VELOCITY: 0.0 -> 0.5"),
        ("deto", "TRAIN.INIT=elsewhere", "TRAIN.INIT: '' -> elsewhere"),
        ("deto", "PARTS.lhand.joints=[left_thumb1]", "PARTS[1].joints: "),
        ("deto", "PARTS.body.quantizer.codes=64", "PARTS[0].quantizer.codes: 96 -> 64"),
        ("deto", "PARTS.body.quantizer={kind: fsq, levels: [8, 5]}", "PARTS[0].quantizer.kind: ema -> fsq"),
    ],
)
def test_other_settings_are_refused_by_name_and_leave_the_run_as_it_was(tmp_path, file, override, told):
    trained(tmp_path, file=file)
    saved = config(tmp_path, file=file).run_folder / "config.yaml"
    before = saved.read_bytes()
    with pytest.raises(UserError, match=f"other settings .*{re.escape(told)}"):
        resumed(tmp_path, override, file=file)
    assert saved.read_bytes() == before


def test_without_a_cosine_a_run_may_have_other_epochs(tmp_path, caplog):
    trained(tmp_path, "TRAIN.OPTIM.SCHEDULE=constant")
    run = resumed(tmp_path, "TRAIN.OPTIM.SCHEDULE=constant", "TRAIN.END_EPOCH=20")
    assert run.config.train.end_epoch == 20 and "TRAIN.END_EPOCH: 10 -> 20" in caplog.text


def test_a_run_of_a_version_before_is_continued(tmp_path):
    """Its keys are those of today; what differs is named by them."""
    trained(tmp_path, file="deto")
    saved = config(tmp_path, file="deto").run_folder / "config.yaml"
    old = yaml.safe_load(saved.read_text())
    codes = {part["name"]: part.pop("quantizer")["codes"] for part in old["PARTS"]}
    for part in old["PARTS"]:
        part["joints"] = list(expanded(part["joints"]))
    for kind in ("EMA", "VQ", "FSQ"):
        del old["TOKENIZER"][kind]
    for key in ("KIND", "SCHEDULE", "PATIENCE", "FACTOR"):
        del old["TRAIN"]["OPTIM"][key]
    del old["LOSS"]["KIND"], old["LOSS"]["CODEBOOK"]
    old["TOKENIZER"] |= {"CODES": codes, "EMA_DECAY": 0.99}
    old["TRANSLATION"] |= {"PATIENCE": 8, "DECAY": 0.7}
    saved.write_text(yaml.safe_dump(old))
    with pytest.raises(UserError, match=r"PARTS\[0\].quantizer.codes: 96 -> 64"):
        resumed(tmp_path, "PARTS.body.quantizer.codes=64", file="deto")
    resumed(tmp_path, file="deto")


def test_back_translation_does_not_depend_on_quantizers(tmp_path):
    trained(tmp_path, file="back_translation")
    resumed(tmp_path, "PARTS.body.quantizer={kind: fsq, levels: [8, 5]}", file="back_translation")
    with pytest.raises(UserError, match=r"PARTS\[0\].jaw: True -> False"):
        resumed(tmp_path, "PARTS.body.jaw=false", file="back_translation")


def test_all_that_differ_are_named_at_once(tmp_path):
    trained(tmp_path)
    with pytest.raises(UserError, match="TRAIN.BATCH_SIZE: 32 -> 7, TRAIN.GRAD_CLIP: 0.0 -> 1.0:"):
        resumed(tmp_path, "TRAIN.GRAD_CLIP=1", "TRAIN.BATCH_SIZE=7", "RENDER.SIZE=64")


def test_what_cannot_matter_may_differ_and_is_recorded(tmp_path, caplog):
    trained(tmp_path)
    changes = [
        "TRAIN.NUM_WORKERS=1", "DEVICE=[0]", "LOGGER.EVERY_STEPS=7", "EVAL.BATCH_SIZE=3", "TEST.SPLIT=val",
        "RENDER.SIZE=64", "DATASET.CORPORA.csl.ROOT=/elsewhere", "TRANSLATION.WIDTH=16", "LOSS.VELOCITY=1",
    ]
    run = resumed(tmp_path, *changes)
    for told in ("TRAIN.NUM_WORKERS: 8 -> 1", "RENDER.SIZE: 512 -> 64", "CORPORA.csl.ROOT: data/CSL-Daily -> /elsewh"):
        assert told in caplog.text
    assert load_config(run.folder / "config.yaml").train.num_workers == 1
    assert load_config(run.folder / "config.0.yaml").train.num_workers == 8


def test_the_schedule_is_extended_when_asked_only(tmp_path):
    trained(tmp_path)
    with pytest.raises(UserError, match="TRAIN.EXTEND=true continues to another TRAIN.END_EPOCH"):
        resumed(tmp_path, "TRAIN.END_EPOCH=20")
    assert resumed(tmp_path, "TRAIN.END_EPOCH=20", "TRAIN.EXTEND=true").config.train.end_epoch == 20
    with pytest.raises(UserError, match="trained for 4 epochs, beyond TRAIN.END_EPOCH=3"):
        resumed(tmp_path, "TRAIN.END_EPOCH=3", "TRAIN.EXTEND=true")


def test_settings_of_a_version_before_count_as_their_defaults(tmp_path):
    trained(tmp_path)
    saved = config(tmp_path).run_folder / "config.yaml"
    saved.write_text(re.sub("  (ACCUMULATE|LABEL_SMOOTHING): .*\n", "", saved.read_text()) + "OLD: 1\n")
    with pytest.raises(UserError, match=r"\(saved -> asked\), TRAIN.ACCUMULATE: absent -> 2:"):
        resumed(tmp_path, "TRAIN.ACCUMULATE=2")
    assert resumed(tmp_path).resume_from


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"no checkpoint", "cannot be read"),
        ("half", "cannot be read"),
        ({"state_dict": {"weight": torch.zeros(3)}}, "holds no state of a training, weights alone"),
        ([1, 2], "holds no state of a training"),
        (nn.Linear(1, 1), "cannot be read"),
    ],
)
def test_what_is_no_checkpoint_of_a_training_is_refused(tmp_path, content, told):
    path = trained(tmp_path)
    if content == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=f"TRAIN.RESUME: .*last.ckpt {told}"):
        resumed(tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    trained(tmp_path)
    run = resumed(tmp_path)
    for module, told in (
        (nn.Linear(3, 1), "3 weights differ|2 weights differ, the first, weight, is .3. there and .1, 3. here"),
        (nn.Module(), r"1 weights differ, the first, weight, is \[3\] there and absent here"),
    ):
        with pytest.raises(UserError, match=told):
            folders.fit(run, None, module, None)


def test_another_stage_s_checkpoint_is_refused(tmp_path):
    checkpoint = trained(tmp_path, file="deto")
    with pytest.raises(UserError, match="TRAIN.STAGE: tokenizer -> generator"):
        resumed(tmp_path, f"TRAIN.RESUME={checkpoint}")
    with pytest.raises(UserError, match="checkpoints is a folder: name the .ckpt"):
        resumed(tmp_path, f"TRAIN.RESUME={checkpoint.parent}")


def test_another_run_s_checkpoint_does_not_take_the_place_of_a_run(tmp_path):
    other = trained(tmp_path, "NAME=other")
    assert resumed(tmp_path, f"TRAIN.RESUME={other}", "NAME=new").resume_from == str(other)
    trained(tmp_path)
    with pytest.raises(UserError, match="generator/soke already holds a run"):
        resumed(tmp_path, f"TRAIN.RESUME={other}")


def test_a_run_that_has_nothing_left_to_train_says_so(tmp_path):
    """Of another run's last checkpoint, under a name of its own."""
    run = resumed(tmp_path, f"TRAIN.RESUME={trained(tmp_path, 'NAME=other')}", "NAME=new")
    module = SimpleNamespace(monitor="val/loss", state_dict=dict)
    with pytest.raises(UserError, match="other/checkpoints/last.ckpt the training is over, so new has trained nothing"):
        folders.export(run, module, SimpleNamespace(interrupted=False, is_global_zero=True))


@pytest.mark.parametrize(
    ("change", "kept"),
    [("TRAIN.OPTIM.LR=1", True), ("DATASET.MAX_FRAMES=200", False), ("DATASET.CORPORA.csl.ROOT=/other", False)],
)
def test_statistics_of_other_data_do_not_stay_in_a_run_that_begins_anew(tmp_path, change, kept):
    with open_run(config(tmp_path), debug=False) as run:
        (run.folder / "statistics.json").write_text("{}")  # and broken off before its first checkpoint
    with open_run(config(tmp_path, change), debug=False):
        assert (run.folder / "statistics.json").exists() == kept


HOLD = """
import os, sys, time
from pathlib import Path
from soke.build.stages import stage_of
from soke.run import folders
from soke.run.config import load_config
config = load_config("configs/soke.yaml", overrides=[f"FOLDER={sys.argv[1]}"])
with folders.open_run(config, stage_of(config).trained_by, debug=sys.argv[2] == "debug"):
    print("open", flush=True)
    if sys.argv[2] == "fork":
        if os.fork() == 0:
            time.sleep(60)  # a worker that outlives its run
            os._exit(0)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["fork", pytest.param("debug", marks=pytest.mark.slow)])
def test_a_second_run_is_refused_while_the_first_lives_and_no_longer(tmp_path, monkeypatch, kind):
    """Another process that has the run open is killed, and leaves a worker."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), kind], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(UserError, match=f"soke is in use: process {other.pid} on .* is training there"):
            with open_run(config(tmp_path), debug=kind == "debug"):
                pass
        for name, value in (("rank", 1), ("node", "1")):  # the same run's other processes are not locked out
            with monkeypatch.context() as patch:
                if name == "rank":
                    patch.setattr(rank_zero_only, "rank", value)
                else:
                    patch.setenv("NODE_RANK", value)
                with open_run(config(tmp_path), debug=kind == "debug"):
                    pass
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with open_run(config(tmp_path), debug=kind == "debug") as run:
            assert (run.folder / "config.yaml").is_file()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(other.pid, signal.SIGKILL)


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch, caplog):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locking.fcntl, "lockf", unsupported)
    with open_run(config(tmp_path), debug=False):
        assert "cannot be locked" in caplog.text and "no second process" in caplog.text


def test_a_run_of_another_machine_that_left_its_lock_is_told_of(tmp_path, caplog):
    lock = config(tmp_path).run_folder / locking.LOCK
    lock.parent.mkdir(parents=True)
    lock.write_text("process 7 on elsewhere\n")
    with open_run(config(tmp_path), debug=False):
        assert "process 7 on elsewhere was training there and did not end in order" in caplog.text
    caplog.clear()
    with open_run(config(tmp_path), debug=False):
        assert not caplog.records


def test_an_error_frees_the_folder(tmp_path):
    with pytest.raises(RuntimeError), open_run(config(tmp_path), debug=False) as run:
        raise RuntimeError
    assert (run.folder / locking.LOCK).read_text() == ""


def test_a_trial_is_one_epoch_whatever_the_warm_up_is(tmp_path):
    with open_run(config(tmp_path, "TRAIN.OPTIM.WARMUP_EPOCHS=3"), debug=True) as run:
        assert (run.config.train.end_epoch, run.config.train.optim.warmup_epochs) == (1, 3)


def test_a_trial_says_so_at_its_start_and_at_its_end(tmp_path, caplog):
    with open_run(config(tmp_path), debug=True) as run:
        (run.folder / "old").mkdir()
        (start,) = caplog.messages
        caplog.clear()
    (end,) = caplog.messages
    assert start == (
        "this is a trial run, debug--soke: one epoch of 4 batches; add --nodebug to train in full"
    ) and end.startswith("this was a trial run, debug--soke") and end.endswith("add --nodebug to train in full")
    with open_run(config(tmp_path), debug=True):
        assert sorted(path.name for path in run.folder.iterdir()) == ["config.yaml", "run.lock", "versions.json"]


def written(folder: Path, settings: Config) -> set[str]:
    """By a test that was timed and wrote lists and predictions."""
    folders.replace_results(folder, settings)
    for name in (*folders._OF_A_TEST, "predictions/csl/a.npz"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return {path.name for path in folder.iterdir()}


def test_a_new_test_replaces_all_of_the_old_one_and_nothing_else(tmp_path):
    settings = config(tmp_path)
    folder = results_folder(settings, None)
    written(folder, settings)
    (folder / "pictures").mkdir()
    (folder / "m2t").mkdir()
    folders.replace_results(folder, config(tmp_path, "TEST.SPLIT=val"))
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "pictures", "m2t"}
    own = tmp_path / "own"
    (own / "predictions").mkdir(parents=True)
    folders.replace_results(own, settings)  # no test was here: what lies there is not ours
    assert (own / "predictions").is_dir()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["GENERATOR.RETRIEVAL.WORDS=0"], "GENERATOR.RETRIEVAL.WORDS: 3 -> 0"),
        (["TEST.CHECKPOINT=elsewhere"], "TEST.CHECKPOINT: '' -> elsewhere"),
        (["FOLDER=elsewhere"], "FOLDER: .* -> elsewhere"),
    ],
)
def test_results_of_another_configuration_are_not_replaced(tmp_path, overrides, told):
    settings = config(tmp_path)
    written(results_folder(settings, None), settings)
    with pytest.raises(UserError, match=f"results/soke holds the results of another configuration .*{told}.*--out_dir"):
        results_folder(config(tmp_path, *overrides), None)
    for harmless in ("TEST.SPLIT=val", "TEST.SEARCH.METHOD=beam", "DATASET.CORPORA.csl=null", "DEVICE=[1]"):
        results_folder(config(tmp_path, harmless), None)
    assert results_folder(config(tmp_path, *overrides, "NAME=other"), None).name == "other"


def test_two_stages_of_one_name_do_not_share_results(tmp_path):
    settings = config(tmp_path, "NAME=both", file="deto")
    written(results_folder(settings, None), settings)
    with pytest.raises(UserError, match="TRAIN.STAGE: tokenizer -> generator"):
        results_folder(config(tmp_path, "NAME=both"), None)
    with pytest.raises(UserError, match="TRAIN.STAGE: tokenizer -> generator"):
        results_folder(config(tmp_path), str(tmp_path / "results" / "both"))
