"""Commands in processes of their own: two write what one writes, and one that is killed goes on."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import get_motion_code
import train
from soke.build.stages import stage_of
from soke.run.config import ROOT, keyed, load_config
from soke.run.folders import export_folder
from tests.test_chain import Workshop

pytestmark = pytest.mark.slow
SECONDS = 300
OVERRIDES = (
    "EVAL.BATCH_SIZE=2", "TEST.BATCH_SIZE=2", "TRAIN.NUM_WORKERS=0", "EVAL.GENERATE_EVERY=0", "METRIC.BACK_TRANSLATION=",
    "DATASET.CORPORA.how2sign=null", "GENERATOR.MAX_STEPS=12",
)


def untrained(shop: Workshop, file: str) -> None:
    """Exports what training would begin with."""
    config = load_config(f"configs/demo/{file}.yaml", overrides=shop.overrides)
    stage = stage_of(config)
    with keyed():
        module = stage.module(config, stage.data(config, shop.root))
        module.export(export_folder(config))


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    shop = Workshop(tmp_path_factory.mktemp("continued"), *OVERRIDES)
    shop.overrides = [override for override in shop.overrides if "how2sign.ROOT" not in override]
    shop.furnish()
    untrained(shop, "deto")
    return shop


def start(shop: Workshop, program: str, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", program, "--cfg", "configs/demo/soke.yaml", *shop.overrides, *more]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )


def ended(running: subprocess.Popen) -> tuple[int, str]:
    """Its exit status and what it said, however many processes it has."""
    try:
        _, errors = running.communicate(timeout=SECONDS)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    return running.returncode, errors.decode()[-3000:]


def when(happened: Callable[[], bool], running: subprocess.Popen) -> None:
    begun = time.monotonic()
    while not happened():
        assert running.poll() is None and time.monotonic() < begun + SECONDS, "it ended before"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def content(folder: Path) -> dict[str, list[bytes]]:
    """File -> its lines, in an order that does not tell what was written first."""
    return {
        path.relative_to(folder).as_posix(): sorted(path.read_bytes().split(b"\n"))
        for path in folder.rglob("*") if path.is_file()
    }


def test_two_processes_write_the_codes_of_one_and_go_on_when_one_was_killed(shop):
    folders = {name: shop.folder(name) for name in ("codes", "codes_by_two", "codes_broken")}
    for name, processes in (("codes", 1), ("codes_by_two", 2)):
        assert ended(start(shop, "get_motion_code", f"DATASET.CODE_PATH={folders[name]}", f"DEVICE={processes}"))[0] == 0
    one, two = ({p.relative_to(folders[name]).as_posix(): p.read_bytes() for p in folders[name].rglob("*") if p.is_file()}
                for name in ("codes", "codes_by_two"))
    assert one == two and len([name for name in one if name.endswith(".npy")]) > 30
    broken = [f"DATASET.CODE_PATH={folders['codes_broken']}", "DEVICE=2"]
    running = start(shop, "get_motion_code", *broken)
    when(lambda: len(list(folders["codes_broken"].rglob("*.npy"))) > 4, running)
    (other,) = children(running.pid)
    os.kill(other, signal.SIGKILL)
    status, errors = ended(running)
    assert status != 0, errors
    assert len(list(folders["codes_broken"].rglob("*.npy"))) < len([name for name in one if name.endswith(".npy")])
    assert ended(start(shop, "get_motion_code", *broken))[0] == 0
    assert content(folders["codes_broken"]) == content(folders["codes"])


def test_a_test_that_was_killed_ends_with_the_table_of_one_that_was_not(shop):
    untrained(shop, "soke")
    results = {name: shop.folder("results", name) for name in ("whole", "killed")}
    assert ended(start(shop, "test", f"--out_dir={results['whole']}"))[0] == 0
    running = start(shop, "test", f"--out_dir={results['killed']}", "DEVICE=2")
    when(lambda: len(list(results["killed"].rglob("*.npz"))) > 2, running)
    os.killpg(running.pid, signal.SIGKILL)
    ended(running)
    kept = {path: path.stat().st_mtime_ns for path in results["killed"].rglob("*.npz")}
    assert len(kept) > 2 and not (results["killed"] / "table.json").exists()
    running = start(shop, "test", f"--out_dir={results['killed']}")
    when(lambda: (results["killed"] / "table.json").exists() or len(list(results["killed"].rglob("*.npz"))) > len(kept), running)
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items() if path.exists())
    status, errors = ended(running)
    assert status == 0 and "goes on where it was broken off" in errors
    assert not (results["killed"] / "unfinished").exists()
    for name in ("table.json", "clips.csv"):
        assert (results["killed"] / name).read_bytes() == (results["whole"] / name).read_bytes()
    assert len(json.loads((results["whole"] / "table.json").read_text())) > 1


AUGMENTED = {
    "deto": ["AUGMENT.SPEED=0.1", "AUGMENT.ROTATION_NOISE=1", "AUGMENT.MIRROR={csl: 0.5, phoenix: 0.5}"],
    "soke": ["AUGMENT.DROP_STEP=0.3333"],
    "back_translation": ["AUGMENT.SPEED=0.1", "AUGMENT.TIME_MASK=0.3", "AUGMENT.MIRROR.csl=0.5"],
    "progressive_transformer": ["AUGMENT.SPEED=0.1", "AUGMENT.ROTATION_NOISE=1"],
}


def test_stages_train_with_augmentation_on_the_statistics_of_what_is_there(shop):
    """And learn something else than without."""
    if not shop.folder("codes").is_dir():
        shop.run(get_motion_code, "soke")
    weights, more = {}, ["TRAIN.NUM_WORKERS=1", "TRAIN.END_EPOCH=1", "REGRESSOR.WIDTH=16", "REGRESSOR.FEEDFORWARD=16"]
    for file, overrides in AUGMENTED.items():
        for name, own in (("plain", []), ("augmented", overrides)):
            shop.run(train, file, f"NAME={name}", *more, *own)
            config = load_config(f"configs/demo/{file}.yaml", overrides=[*shop.overrides, f"NAME={name}"])
            for checkpoint in config.run_folder.rglob("last.ckpt"):
                key = file, checkpoint.relative_to(config.run_folder).as_posix()
                weights.setdefault(key, []).append(torch.load(checkpoint, weights_only=True)["state_dict"])
    assert len(weights) == 5
    for key, (plain, augmented) in weights.items():
        assert any(not torch.equal(value, augmented[name]) for name, value in plain.items()), key
        assert all(torch.isfinite(value).all() for value in augmented.values() if value.is_floating_point()), key
    for folder in ("tokenizer/{}", "regressor/{}", "translation/{}/csl"):
        plain, augmented = (
            json.loads(shop.folder("experiments", folder.format(name), "statistics.json").read_text())
            for name in ("plain", "augmented")
        )
        assert plain == augmented


def test_two_processes_pack_the_bytes_of_one(shop):
    stores = []
    for processes in (1, 2):
        stores.append({corpus: shop.folder(f"packed{processes}", corpus) for corpus in ("csl", "phoenix")})
        more = [f"DATASET.CORPORA.{corpus}.PACKED={folder}" for corpus, folder in stores[-1].items()]
        status, errors = ended(start(shop, "prepare.pack_poses", f"DEVICE={processes}", "--workers=2", *more))
        assert status == 0, errors
    for corpus, folder in stores[0].items():
        one, two = (
            {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
            for root in (folder, stores[1][corpus])
        )
        assert one == two and "index.parquet" in one
