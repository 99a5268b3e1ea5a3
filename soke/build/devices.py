"""Devices and processes."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import torch

from soke.errors import UserError
from soke.run.config import Config
from soke.run.processes import World


def start_processes(config: Config) -> tuple[Config, World]:
    """Starts a process per chosen device for a test, and says which one this is: the configuration is then that of this
    process alone."""
    from lightning_fabric import Fabric  # seconds, which commands of one process do without
    from lightning_fabric.strategies import DDPStrategy

    settings = lightning_devices(config)
    fabric = Fabric(**settings)
    if fabric.world_size > 1:  # what is exchanged is small and lies on the CPU
        fabric = Fabric(**settings, strategy=DDPStrategy(process_group_backend="gloo"))
        fabric.launch()
    if fabric.device.type == "cuda":
        config = dataclasses.replace(config, device=[fabric.device.index])
    return config, World(fabric.global_rank, fabric.world_size)


def device_of(config: Config) -> str:
    """Where single-process work runs: the first chosen GPU, if there is one."""
    if config.accelerator == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{config.device[0]}" if isinstance(config.device, list) and config.device else "cuda"


def lightning_devices(config: Config) -> dict[str, Any]:
    """Lightning's accelerator, devices and num_nodes; on the CPU a list of ids means one process.

    Processes that torchrun or srun has started are as many as it has started. Raises UserError where the configuration
    asks for others, and for GPUs that are not there.
    """
    on_gpu = config.accelerator not in ("auto", "cpu") or (config.accelerator == "auto" and torch.cuda.is_available())
    listed = isinstance(config.device, list)
    accelerator, devices = ("cpu", 1) if listed and not on_gpu else (config.accelerator, config.device)
    found = _started()
    if found is None:
        _require_there(config)
        return {"accelerator": accelerator, "devices": devices, "num_nodes": config.num_nodes}
    starter, each, nodes = found
    asked = len(config.device) if listed else config.device
    if asked not in ("auto", each) or config.num_nodes not in (1, nodes):
        raise UserError(
            f"{starter} has started {each} processes on each of {nodes} machines, but DEVICE asks for {asked} and "
            f"NUM_NODES for {config.num_nodes}: leave DEVICE=auto and NUM_NODES=1, which follow {starter}"
        )
    return {"accelerator": accelerator, "devices": devices if listed and on_gpu else each, "num_nodes": nodes}


def _require_there(config: Config) -> None:
    """Raises UserError for GPUs that are not visible."""
    gpus, device = torch.cuda.device_count(), config.device
    if config.accelerator in ("gpu", "cuda") and not gpus and not torch.backends.mps.is_available():
        raise UserError(
            f"ACCELERATOR is {config.accelerator}, but no GPU is visible: take ACCELERATOR=auto or cpu, or see to its driver "
            "and to CUDA_VISIBLE_DEVICES"
        )
    asked = max([0, *(number + 1 for number in device)]) if isinstance(device, list) else device
    if gpus and config.accelerator in ("auto", "gpu", "cuda") and isinstance(asked, int) and asked > gpus:
        raise UserError(f"DEVICE is {device}, but {gpus} GPUs are visible, the first of which is 0: choose among them")


def _started() -> tuple[str, int, int] | None:
    """Who has started this process as one of several, how many on each machine, on how many machines; None: nobody."""
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        world, each = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return "torchrun", each, world // each
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", 1))
        return "srun", int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None
