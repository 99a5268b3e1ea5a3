"""How several processes share a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from pytorch_lightning.plugins import DeepSpeedPrecision
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy, Strategy
from torch import nn

from soke.build.devices import device_of
from soke.errors import UserError
from soke.run.config import Config


class FullySharded(ModelParallelStrategy):
    """FSDP, torch's second. Checkpoints are whole, those of any number of processes."""

    def __init__(self) -> None:
        super().__init__(save_distributed_checkpoint=False)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Weights that several modules share are one tensor, which is written once."""
        state, first = super().lightning_module_state_dict(), {}
        for name, weight in self.model.named_parameters(remove_duplicate=False):
            if name in state:
                state[name] = state[first.setdefault(weight, name)]
        return state


class _Float32(DeepSpeedPrecision):
    """Weights and batches as they are; Lightning would round them, and DeepSpeed knows by itself when to do so."""

    def __init__(self) -> None:
        super().__init__("32-true")

    def convert_input(self, data: Any) -> Any:
        return data


class DividedStates(DeepSpeedStrategy):
    """DeepSpeed's ZeRO 1: each process has the whole model, and a part of the optimiser's state. Checkpoints are whole,
    those of any number of processes.

    ZeRO 2 adds up gradients in the order in which each process has computed them, which is another one in a process
    without clips; ZeRO 1 does so when all are there, in one order.

    autocast: layers compute in bfloat16 where that is safe
    """

    # Lightning's checkpoints instead of DeepSpeed's folders
    save_checkpoint = DDPStrategy.save_checkpoint
    load_checkpoint = DDPStrategy.load_checkpoint
    load_model_state_dict = DDPStrategy.load_model_state_dict
    lightning_restore_optimizer = True
    handles_gradient_accumulation = False  # by itself DeepSpeed would accumulate beyond the end of an epoch

    def __init__(self, autocast: bool) -> None:
        super().__init__(stage=1, overlap_comm=False, logging_batch_size_per_gpu=1)
        self.config["torch_autocast"] = {
            "enabled": autocast, "dtype": "bfloat16", "lower_precision_safe_modules": [],  # gradients stay float32
        }

    def setup_environment(self) -> None:
        super().setup_environment()
        self.precision_plugin = _Float32()

    def _format_batch_size_and_grad_accum_config(self) -> None:
        super()._format_batch_size_and_grad_accum_config()
        self.config["gradient_accumulation_steps"] = 1  # by which DeepSpeed would divide the loss after Lightning has

    def _setup_model_and_optimizer(self, model: nn.Module, optimizer: Any, lr_scheduler: Any = None) -> tuple[Any, Any]:
        if any("rows" in group for group in optimizer.param_groups):
            raise UserError(
                "TRAIN.OPTIM.FACTORS: rows of a table with a rate of their own need TRAIN.STRATEGY=ddp or fsdp, not "
                "deepspeed: name the whole table, or set another strategy"
            )
        return super()._setup_model_and_optimizer(model, optimizer, lr_scheduler)

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        self.deepspeed_engine.set_gradient_accumulation_boundary(False)
        try:
            yield
        finally:
            self.deepspeed_engine.set_gradient_accumulation_boundary(True)

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """That of an optimiser that is not divided; every process must call it, and the first has it."""
        from deepspeed.utils import safe_get_full_optimizer_state

        optimizer._hp_optimizer_states_linked = False  # it links all groups after the first one's first step, to nothing
        optimizer._lazy_init_hp_params_optimizer_state()
        own, groups, state = optimizer.optimizer.state_dict(), [], {}
        for group, weights in zip(own["param_groups"], optimizer.bit16_groups, strict=True):
            part = own["state"][group["params"][0]]
            groups.append({**group, "params": list(range(len(state), len(state) + len(weights)))})
            for weight in weights:
                whole = {key: safe_get_full_optimizer_state(weight, key) for key in part if key != "step"}
                kept = {key: value.cpu() for key, value in whole.items()} if self.is_global_zero else {}
                state[len(state)] = {"step": part["step"].clone(), **kept}
        return {"state": state, "param_groups": groups}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Takes this process's part of it, and of the weights that were loaded before."""
        from deepspeed.utils import safe_set_full_optimizer_state

        (optimizer,), (saved,) = self.optimizers, checkpoint["optimizer_states"]
        for group, theirs in zip(optimizer.param_groups, saved["param_groups"], strict=True):
            (part,), whole = group["params"], [saved["state"][number] for number in theirs["params"]]
            group.update({key: value for key, value in theirs.items() if key != "params"})
            moments = {key: torch.zeros_like(part) for key in whole[0] if key != "step"}
            optimizer.optimizer.state[part] = {"step": whole[0]["step"].to(self.root_device), **moments}
        optimizer._lazy_init_hp_params_optimizer_state()  # whose places the weights learn thereby
        for weights, theirs in zip(optimizer.bit16_groups, saved["param_groups"]):
            for weight, number in zip(weights, theirs["params"], strict=True):
                for key, value in saved["state"][number].items():
                    if key != "step":
                        safe_set_full_optimizer_state(weight, value.to(self.root_device), key)
        optimizer.refresh_fp32_params()


def strategy_of(config: Config) -> Strategy | str:
    """Lightning's: one process, or several that each have the whole model or a part of it. Raises UserError where there
    is no DeepSpeed, or no GPU for it."""
    if config.train.strategy == "fsdp":
        return FullySharded()
    if config.train.strategy == "ddp":
        return "auto"
    if find_spec("deepspeed") is None:
        raise UserError("TRAIN.STRATEGY=deepspeed needs DeepSpeed: pip install deepspeed, or set it to fsdp")
    if not device_of(config).startswith("cuda"):
        raise UserError("TRAIN.STRATEGY=deepspeed needs CUDA GPUs, and none is used: set it to fsdp, which needs none")
    if isinstance(config.device, list) and config.device != list(range(len(config.device))):
        raise UserError(
            f"TRAIN.STRATEGY=deepspeed takes GPUs from 0 on, not DEVICE={config.device}: choose them by "
            f"CUDA_VISIBLE_DEVICES={','.join(map(str, config.device))} and leave DEVICE=auto"
        )
    return DividedStates(config.train.precision == "bf16-mixed")
