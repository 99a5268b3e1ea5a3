"""Several processes and several machines train as one process that has all of their batches, FSDP as DDP; a machine that
goes down and an error of one process end the others within seconds, and what was broken off goes on to the same numbers.
DeepSpeed does so where it is installed, on CPUs (tests/on_deepspeed.py).

Machines are simulated: processes that share a folder, and else reach each other by sockets on the loopback device.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import get_motion_code
import test as test_entry
import train
from soke.build import devices, strategies
from soke.errors import UserError
from soke.generator.producer import SignProducer
from soke.run.config import ROOT, load_config
from tests.recognition.test_stage import write_shop
from tests.test_chain import Workshop

SECONDS = 600  # after which processes are taken to be waiting for each other
LOSS, GRADIENT = 1e-5, 1e-4  # greatest relative differences between numbers of processes, in float32
STAGES = (
    "tokenizer", "generator", "translation/csl", "regressor", "retrieval/csl", "motion_autoencoder", "grpo", "recognition",
)
GENERATOR = ["EVAL.GENERATE_CLIPS=2", "GENERATOR.TRANSLATION=0.4", "GENERATOR.RETRIEVAL.DROP=0", "TRAIN.GRAD_CLIP=0.5"]

slow = pytest.mark.slow
needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs DeepSpeed")
DIVIDED = ["fsdp", pytest.param("deepspeed", marks=needs_deepspeed)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workshop:
    """Nine training clips, so that one process has none in the last batch; a trained tokenizer, codes, mBART without
    dropout."""
    more = (
        "DATASET.CORPORA.how2sign=null", "DATASET.CORPORA.phoenix=null", "TRAIN.NUM_WORKERS=0", "TRANSLATION.BEAMS=[1]",
        "DATASET.TRAIN_CLIPS=9", "EVAL.GENERATE_CLIPS=2", "LOGGER.EVERY_STEPS=1", "DEVICE=1", "TRAIN.BATCH_SIZE=4",
    )
    shop = Workshop(tmp_path_factory.mktemp("many"), *more)
    shop.overrides = [o for o in shop.overrides if "how2sign.ROOT" not in o and "phoenix.ROOT" not in o]
    shop.furnish()
    model = shop.folder("mbart", "config.json")
    settings = json.loads(model.read_text())
    model.write_text(json.dumps(settings | {name: 0.0 for name in settings if name.endswith("dropout")}))
    shop.run(train, "deto", "TRAIN.END_EPOCH=1")
    shop.run(get_motion_code, "soke")
    return shop


def environment(**more: str) -> dict[str, str]:
    left = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "TORCHELASTIC_"))}
    return {**left, "OMP_NUM_THREADS": "1", **more}


def started(command: list[str], **more: str) -> subprocess.Popen:
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )


def ended(running: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit status and what was said of each."""
    try:
        return [(process.returncode, said) for process in running for said in [process.communicate(timeout=SECONDS)[0]]]
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def succeeded(running: list[subprocess.Popen]) -> None:
    for status, said in ended(running):
        assert status == 0, said[-4000:]


def on_machines(arguments: list[str], program: str = "train", **more: str) -> list[subprocess.Popen]:
    """A process on each of two machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    machine = {"NODES": "2", "PROCESSES": "1", "ADDRESS": "127.0.0.1", "PORT": port, "PROGRAM": program, **more}
    command = ["bash", "prepare/cluster/torchrun.sh", *arguments]
    return [started(command, NODE=str(node), **machine) for node in range(2)]


def trained(shop: Workshop, name: str, *more: str) -> list[str]:
    """The arguments of the generator's training."""
    return ["--cfg", "configs/demo/soke.yaml", "--nodebug", *shop.overrides, *GENERATOR, f"NAME={name}", *more]


def logged(run: Path, pattern: str = "loss") -> dict[tuple[str, str], float]:
    """(Step, name) -> every loss of a run's log."""
    with (run / "csv" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {(row["step"], key): float(value) for row in rows for key, value in row.items() if value and pattern in key}


def run_of(shop: Workshop, stage: str, name: str) -> Path:
    if stage == "grpo":
        return shop.folder("experiments", "grpo", "generator", name)
    if stage == "recognition":
        return shop.folder("signs", "experiments", "recognition", name)
    kind, *corpus = stage.split("/")
    return shop.folder("experiments", kind, name, *corpus)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


TWO = ["DEVICE=2", "TRAIN.BATCH_SIZE=2"]


def divided_by(strategy: str) -> list[str]:
    return [*TWO, f"TRAIN.STRATEGY={strategy}"]


def train_generator(shop: Workshop, name: str, *more: str) -> Path:
    """Its run."""
    program = "tests.on_deepspeed" if "TRAIN.STRATEGY=deepspeed" in more else "train"
    succeeded([started([sys.executable, "-m", program, *trained(shop, name, *more)], DS_ACCELERATOR="cpu")])
    return run_of(shop, "generator", name)


@pytest.fixture(scope="module")
def one(shop) -> Path:
    """The run of a generator that one process has trained."""
    return train_generator(shop, "undivided")


@pytest.fixture(scope="module", params=DIVIDED)
def divided(request, shop) -> Path:
    """The same, divided among two."""
    return train_generator(shop, request.param, *divided_by(request.param))


def same_numbers(one: Path, divided: Path) -> None:
    """Relative differences: of losses 1e-5, of gradients, before they are clipped, and of scores of motion 1e-4."""
    assert logged(one) == pytest.approx(logged(divided), rel=LOSS)
    assert len(logged(one)) >= 12
    for name in ("grad_norm", "JPE"):
        assert logged(one, name) == pytest.approx(logged(divided, name), rel=GRADIENT) and len(logged(one, name)) >= 2


@slow
def test_a_divided_generator_is_trained_as_by_one_process(one, divided):
    same_numbers(one, divided)


@slow
def test_what_is_exported_of_a_divided_generator_is_that_of_one_process(shop, one, divided):
    """1e-6 at weights of size 1; and it signs, and is tested by one process."""
    ours, theirs = (load_file(run / "generator" / "model.safetensors") for run in (one, divided))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert len({(run / "generator" / "model.safetensors").stat().st_size for run in (one, divided)}) == 1
    SignProducer.from_pretrained(divided / "generator").generate(["the dog sleeps"], ["CSL"])
    shop.run(test_entry, "soke", f"NAME={divided.name}", *GENERATOR[1:3], "METRIC.BACK_TRANSLATION=")
    assert shop.folder("results", divided.name, "table.json").is_file()


@slow
@needs_deepspeed
def test_what_goes_with_one_process_goes_with_deepspeed(shop):
    """The last step of an epoch has one batch of two."""
    more = [
        "TRAIN.ACCUMULATE=2", "TRAIN.AVERAGE=0.9", "TRAIN.OPTIM.FACTORS={mbart.*: 0.1}",
        "TRAIN.FREEZE=[mbart.encoder.layers.0.*]",
    ]
    same_numbers(train_generator(shop, "all-one", *more), train_generator(shop, "all-two", *divided_by("deepspeed"), *more))


@slow
@needs_deepspeed
def test_compiled_steps_under_deepspeed_are_those_of_one_process(shop, one):
    same_numbers(one, train_generator(shop, "compiled", *divided_by("deepspeed"), "TRAIN.COMPILE=true"))


@slow
@pytest.mark.parametrize("strategy", DIVIDED)
def test_a_divided_training_goes_on_in_the_middle_of_an_epoch(shop, strategy):
    """Its optimiser's state is written in the middle of epochs, too: killed there, it goes on to the same weights."""
    more = [*divided_by(strategy), "TRAIN.SAVE.EVERY_STEPS=1", "TRAIN.SAVE.EVERY_EPOCHS=0", "TRAIN.SAVE.KEEP=-1"]
    whole = train_generator(shop, f"mid-whole-{strategy}", *more)
    kept = sorted((whole / "checkpoints").glob("epoch_0.step_*.ckpt"))
    begun = run_of(shop, "generator", f"mid-{strategy}")
    shutil.copytree(whole, begun)
    shutil.rmtree(begun / "generator")
    shutil.copy(kept[0], begun / "checkpoints" / "last.ckpt")
    train_generator(shop, begun.name, *more, "TRAIN.RESUME=auto")
    torch.testing.assert_close(weights(begun), weights(whole), rtol=0, atol=0)


@slow
@pytest.mark.parametrize("strategy", DIVIDED)
@pytest.mark.parametrize("way", ["to one", "from one"])
def test_a_divided_training_goes_on_in_one_process_and_the_other_way_round(shop, strategy, way):
    """With the optimiser's state: two epochs here and one there are three epochs here, 1e-6. The batch of one process is
    that of two together."""
    extended, name = ["TRAIN.OPTIM.SCHEDULE=constant", "TRAIN.END_EPOCH=3"], f"{strategy}-{way.replace(' ', '-')}"
    start, then = [], divided_by(strategy)
    if way == "to one":
        start, then = then, start
    whole = train_generator(shop, f"whole-{name}", *start, *extended)
    begun = train_generator(shop, name, *start, extended[0])
    saved, size = begun / "config.yaml", 2 if then else 4  # of each process: together as many as before
    of_generator = r"(?<=TRAIN:\n  STAGE: generator\n  )BATCH_SIZE: \d"
    saved.write_text(re.sub(of_generator, f"BATCH_SIZE: {size}", saved.read_text()))
    train_generator(shop, name, *then, *extended, "TRAIN.RESUME=auto")
    ours, theirs = map(weights, (whole, begun))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def stages(shop) -> Workshop:
    """Every stage trained by one process, by two, and by one on each of two machines."""
    shop.folder("signs").mkdir()
    signs = write_shop(shop.folder("signs"))
    # computes the features: the run that does so draws other first weights than those that find them
    train.main(["--cfg", str(signs), "--nodebug", "NAME=first", "TRAIN.END_EPOCH=1"])
    shop.run(train, "soke", "NAME=start", "TRAIN.END_EPOCH=1")
    program = "tests.on_many_processes"
    for name, size, command in (
        ("one", 4, lambda arguments, **more: [started([sys.executable, "-m", program, *arguments], **more)]),
        ("two", 2, lambda arguments, **more: [started([sys.executable, "-m", program, *arguments, "DEVICE=2"], **more)]),
        ("machines", 2, lambda arguments, **more: on_machines([*arguments, "DEVICE=auto"], program, **more)),
    ):
        succeeded(command([*shop.overrides, f"NAME={name}", f"TRAIN.BATCH_SIZE={size}"], SHOP=str(shop.root)))
    return shop


@slow
@pytest.mark.parametrize("name", ["two", "machines"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_trained_as_by_one_process(stages, stage, name):
    """All losses, per step of the log and per epoch, of training and of validation."""
    for what, tolerance in (("loss", LOSS), ("grad_norm", GRADIENT)):
        one, many = (logged(run_of(stages, stage, which), what) for which in ("one", name))
        assert many == pytest.approx(one, rel=tolerance, abs=1e-7)
    assert len(logged(run_of(stages, stage, "one"))) >= 4


@pytest.fixture(scope="module")
def uninterrupted(shop) -> dict[str, torch.Tensor]:
    """Weights of a generator that two machines have trained."""
    succeeded(on_machines(trained(shop, "whole", "DEVICE=auto", "TRAIN.BATCH_SIZE=2")))
    return weights(run_of(shop, "generator", "whole"))


@slow
def test_a_machine_goes_down_the_other_ends_and_both_go_on_to_the_same_numbers(shop, uninterrupted):
    arguments = trained(shop, "down", "DEVICE=auto", "TRAIN.BATCH_SIZE=2")
    running = on_machines(arguments, "tests.on_failing_processes", FAILS="1 kill")
    running[1].wait(SECONDS)
    since = time.monotonic()
    (first, said), _ = ended(running)
    assert first != 0 and time.monotonic() - since < 60
    assert said.count("error: another process of this training has ended") == 1 and "TRAIN.RESUME=auto" in said
    run = run_of(shop, "generator", "down")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    assert not [path for path in run.rglob(".*") if path.is_file()]
    succeeded(on_machines(arguments))
    torch.testing.assert_close(weights(run), uninterrupted, rtol=0, atol=0)


SRUN = """#!/usr/bin/env bash
# stands in for srun: a task on each of two machines; --kill-on-bad-exit
shift
export SLURM_NTASKS=2 SLURM_NNODES=2 SLURM_NTASKS_PER_NODE=1 SLURM_NODELIST=127.0.0.1 SLURM_LOCALID=0 SLURM_JOB_NAME=soke
SLURM_PROCID=0 SLURM_NODEID=0 "$@" &
first=$!
SLURM_PROCID=1 SLURM_NODEID=1 "$@" &
second=$!
wait -n || { status=$?; sleep 5; kill -9 $first $second 2> /dev/null; exit $status; }
wait -n
"""
SCONTROL = """#!/usr/bin/env bash
echo "$@" >> "$ASKED"
"""


@pytest.fixture
def slurm(tmp_path, shop) -> dict[str, str]:
    """The environment of a job."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "4217", "SLURM_SUBMIT_DIR": str(ROOT), "MASTER_PORT": port,
        "ASKED": str(tmp_path / "asked"),
    }


@slow
def test_a_job_of_two_machines_that_loses_one_goes_on_to_the_same_numbers(shop, slurm, uninterrupted):
    """The batch script as it is, with stand-ins for srun and scontrol; its job is then sent again."""
    arguments = trained(shop, "job", "DEVICE=auto", "TRAIN.BATCH_SIZE=2")
    script = ["bash", "prepare/cluster/slurm.sbatch", *arguments]
    ((status, said),) = ended([started(script, **slurm, PROGRAM="tests.on_failing_processes", FAILS="1 die")])
    assert status != 0 and said.count("error: another process of this training has ended") <= 1
    succeeded([started(script, **slurm)])
    run = run_of(shop, "generator", "job")
    torch.testing.assert_close(weights(run), uninterrupted, rtol=0, atol=0)
    assert not list(run.rglob("hpc_ckpt*"))


@slow
def test_a_job_whose_time_is_over_is_queued_again(shop, slurm):
    running = started(["bash", "prepare/cluster/slurm.sbatch", *trained(shop, "over", "DEVICE=auto")], **slurm)
    while not (run_of(shop, "generator", "over") / "config.yaml").is_file():
        assert running.poll() is None
        time.sleep(0.2)
    running.send_signal(signal.SIGUSR1)
    succeeded([running])
    assert Path(slurm["ASKED"]).read_text() == "requeue 4217\n"


@slow
@pytest.mark.parametrize("fails, error", [
    ("0 user", "error: clip seven is broken"), ("1 user", "error: clip seven is broken"),
    ("all user", "error: clip seven is broken"), ("1 bug", "ValueError: a bug of ours"),
])
def test_an_error_of_one_process_ends_all_and_is_said_once(shop, fails, error):
    name = f"fails-{fails.replace(' ', '-')}"
    arguments = trained(shop, name, *TWO)
    running = started([sys.executable, "-m", "tests.on_failing_processes", *arguments], FAILS=fails)
    ((status, said),) = ended([running])
    assert status in (1, 2) and said.count(error) == 1
    assert said.count("Traceback") == ("bug" in fails) and said.count("error: ") == ("user" in fails)
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)  # nobody of them is left


def started_by(monkeypatch, **variables: str) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


TORCHRUN = {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2"}
JOB = {"SLURM_NTASKS": "6", "SLURM_NNODES": "3", "SLURM_JOB_NAME": "soke"}


@pytest.mark.parametrize("variables", [TORCHRUN, JOB], ids=["torchrun", "srun"])
@pytest.mark.parametrize("asked", [[], ["DEVICE=2"], ["DEVICE=2", "NUM_NODES=3"]])
def test_processes_are_as_many_as_torchrun_or_srun_has_started(monkeypatch, variables, asked):
    started_by(monkeypatch, **variables)
    config = load_config("configs/soke.yaml", overrides=["ACCELERATOR=cpu", *asked])
    assert devices.lightning_devices(config) == {"accelerator": "cpu", "devices": 2, "num_nodes": 3}


@pytest.mark.parametrize("variables", [TORCHRUN, JOB], ids=["torchrun", "srun"])
@pytest.mark.parametrize("asked", ["DEVICE=3", "NUM_NODES=2"])
def test_others_than_were_started_are_refused(monkeypatch, variables, asked):
    started_by(monkeypatch, **variables)
    config = load_config("configs/soke.yaml", overrides=["ACCELERATOR=cpu", asked])
    with pytest.raises(UserError, match="has started 2 processes on each of 3 machines.*leave DEVICE=auto"):
        devices.lightning_devices(config)


@pytest.mark.parametrize("file", ["deto", "back_translation", "progressive_transformer", "recognition"])
@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed"])
def test_models_that_are_small_are_not_divided(file, strategy):
    with pytest.raises(UserError, match=f"TRAIN.STRATEGY is {strategy}, but a model of stage .* is not divided"):
        load_config(f"configs/{file}.yaml", overrides=[f"TRAIN.STRATEGY={strategy}"])


@pytest.mark.parametrize("override, told", [
    ("TRAIN.AVERAGE=0.9", "TRAIN.AVERAGE needs TRAIN.STRATEGY=ddp or deepspeed"),
    ("TRAIN.LORA={RANK: 2}", "TRAIN.LORA needs TRAIN.STRATEGY=ddp or deepspeed"),
])
def test_what_a_divided_model_cannot_have_is_refused(override, told):
    with pytest.raises(UserError, match=told):
        load_config("configs/soke.yaml", overrides=["TRAIN.STRATEGY=fsdp", override])
    load_config("configs/soke.yaml", overrides=[override])


def test_learning_by_reward_is_not_divided():
    with pytest.raises(UserError, match="POLICY.SHARE needs TRAIN.STRATEGY=ddp or deepspeed"):
        load_config("configs/soke_grpo.yaml", overrides=["TRAIN.STRATEGY=fsdp"])


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed"])
def test_a_divided_model_is_not_scaled(strategy):
    with pytest.raises(UserError, match="needs TRAIN.PRECISION=32-true or bf16-mixed, not 16-mixed"):
        load_config("configs/soke.yaml", overrides=[f"TRAIN.STRATEGY={strategy}", "TRAIN.PRECISION=16-mixed"])


@pytest.mark.parametrize("installed, device, override, told", [
    (None, "cuda", "DEVICE=2", "needs DeepSpeed: pip install deepspeed"),
    (True, "cpu", "DEVICE=2", "needs CUDA GPUs, and none is used"),
    (True, "cuda:2", "DEVICE=[2,3]", "takes GPUs from 0 on, .* CUDA_VISIBLE_DEVICES=2,3 and leave DEVICE=auto"),
])
def test_deepspeed_is_refused_where_it_cannot_run(monkeypatch, installed, device, override, told):
    monkeypatch.setattr(strategies, "find_spec", lambda name: installed)
    monkeypatch.setattr(strategies, "device_of", lambda config: device)
    with pytest.raises(UserError, match=told):
        strategies.strategy_of(load_config("configs/soke.yaml", overrides=["TRAIN.STRATEGY=deepspeed", override]))


def test_rows_of_a_table_have_no_rate_of_their_own_under_deepspeed():
    table = torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(3, 2))], "rows": [2, 0.1]}])
    with pytest.raises(UserError, match="rows of a table with a rate of their own need TRAIN.STRATEGY=ddp or fsdp"):
        strategies.DividedStates._setup_model_and_optimizer(None, None, table)
