"""train.py under DeepSpeed on CPUs (gloo), which Lightning allows on GPUs alone.

Run by tests/test_many_processes.py: DS_ACCELERATOR=cpu python -m tests.on_deepspeed ...
"""

from __future__ import annotations

from argparse import Namespace

import pytorch_lightning.strategies.deepspeed as lightning
from pytorch_lightning.strategies import DDPStrategy

import train
from soke.build import strategies
from soke.run import cli

_teardown = lightning.DeepSpeedStrategy.teardown


def teardown(self: lightning.DeepSpeedStrategy) -> None:
    """Weights lie in one long tensor, which they leave where they move from a GPU."""
    _teardown(self)
    for weight in self.lightning_module.parameters():
        weight.data = weight.data.clone()


if __name__ == "__main__":
    lightning.DeepSpeedStrategy.teardown = teardown
    strategies.device_of = lambda config: "cuda"
    lightning.DeepSpeedStrategy.setup_environment = DDPStrategy.setup_environment
    lightning._validate_device_index_selection = lambda devices: None
    lightning.argparse = Namespace(Namespace=lambda device_rank: Namespace(device_rank=-1))  # CPUs have no numbers
    cli.run(train.main)
