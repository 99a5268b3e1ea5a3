"""What the steps of all trained models share: means over an epoch, the loss of a batch without clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Mapping, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from soke.errors import UserError
from soke.run import processes

DIVERGED = (
    "so training ends: lower TRAIN.OPTIM.LR or set TRAIN.GRAD_CLIP=1, and continue from the last checkpoint with "
    "TRAIN.RESUME=auto"
)


@contextmanager
def scoring() -> Iterator[None]:
    """Scores of motions that a model in training has made. Raises UserError for those that hold NaN or infinity, which
    large weights make before they are infinite themselves."""
    try:
        yield
    except ValueError as error:
        if "NaN" not in str(error):
            raise
        raise UserError(f"in validation {error}, {DIVERGED}") from error


class EpochMeans:
    """Weighted means over the batches of an epoch, of all processes together.

    Sums stay on the device, which is not waited for before the epoch ends; then the processes add theirs up, once and
    all at the same place. (Lightning's `sync_dist` does so when somebody asks for a value, a progress bar for instance,
    which only process 0 has.)

    stage: train or val, of which the names are logged as <stage>/<name>
    names: all that there may be, the same in every process; what is called <name>/<part> is logged as <name>, the sum of
           the parts' means
    """

    def __init__(self, stage: str, names: Sequence[str]):
        self.stage, self.names = stage, list(names)
        self._sums: dict[tuple[str, ...], Tensor] = {}  # names counted together -> [2, names] of values and weights

    def add(self, values: Mapping[str, Tensor], weight: Tensor | float) -> None:
        """Counts one batch's values [], each a mean over `weight` things."""
        stacked = torch.stack([value.detach() for value in values.values()]).double()
        weights = torch.ones_like(stacked) * weight
        sums = torch.stack([stacked * weights, weights])
        self._sums[tuple(values)] = sums + self._sums.get(tuple(values), 0.0)

    def state(self) -> dict[tuple[str, ...], Tensor] | None:
        return {names: sums.cpu() for names, sums in self._sums.items()} or None

    def load(self, state: dict[tuple[str, ...], Tensor]) -> None:
        self._sums = dict(state)

    def log(self, module: pl.LightningModule) -> dict[str, Tensor]:
        """Logs and returns the means of what was counted, and begins anew. Every process must call it.

        Raises UserError when no process has counted anything.
        """
        sums = torch.zeros(2, len(self.names), dtype=torch.float64, device=module.device)
        for names, counted in self._sums.items():
            for name, column in zip(names, counted.unbind(1)):
                sums[:, self.names.index(name)] += column
        self._sums = {}
        values, weights = processes.sum_over_all(sums)
        means: dict[str, Tensor] = {}
        for name, value, weight, counts in zip(self.names, values, weights, weights.tolist()):
            if counts:
                logged, mean = name.partition("/")[0], (value / weight).float()
                means[logged] = means[logged] + mean if logged in means else mean
        if not means:
            raise UserError(f"no clip of the {self.stage} split can be read: check `corpora`")
        module.log_dict({f"{self.stage}/{name}": mean for name, mean in means.items()})
        return means


def no_loss(module: nn.Module) -> Tensor:
    """The loss of a batch without clips: zero, with a gradient of zero for every parameter, because the other processes
    wait for that of each. No parameter's numbers are read: each takes part with none of them."""
    return sum(parameter.flatten()[:0].sum() for parameter in module.parameters() if parameter.requires_grad)
