"""How several processes share a training."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.strategies import ModelParallelStrategy, Strategy

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


def strategy_of(config: Config) -> Strategy | str:
    """Lightning's: one process, or several that each have the whole model or a part of it."""
    return FullySharded() if config.train.strategy == "fsdp" else "auto"
