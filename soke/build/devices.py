"""Devices and processes."""

from __future__ import annotations

import dataclasses

import torch

from soke.run.config import Config
from soke.run.processes import World


def start_processes(config: Config) -> tuple[Config, World]:
    """Starts a process per chosen device for a test, and says which one this is: the configuration is then that of this
    process alone."""
    from lightning_fabric import Fabric  # seconds, which commands of one process do without
    from lightning_fabric.strategies import DDPStrategy

    accelerator, devices = lightning_devices(config)
    settings = {"accelerator": accelerator, "devices": devices, "num_nodes": config.num_nodes}
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


def lightning_devices(config: Config) -> tuple[str, list[int] | int | str]:
    """Lightning's accelerator and devices; on the CPU a list of ids means one process."""
    on_gpu = config.accelerator not in ("auto", "cpu") or (config.accelerator == "auto" and torch.cuda.is_available())
    if not on_gpu and isinstance(config.device, list):
        return "cpu", 1
    return config.accelerator, config.device
