"""Which weights of a model learn, and how fast: by patterns of their names."""

from __future__ import annotations

import difflib
import itertools
import logging
from fnmatch import fnmatchcase
from typing import Any, Iterable, Sequence

import pytorch_lightning as pl
from torch import nn

from soke.errors import UserError
from soke.run.settings import Optim

log = logging.getLogger(__name__)


def groups_of(model: nn.Module, settings: Optim) -> list[Any]:
    """The parameters of a model that learn, for its optimiser: as they are, or in groups by the factors of their learning
    rates, that of all others first. A group keeps its `factor`, which schedules keep to; a table whose first rows have
    another one is a group alone, with `rows`: how many they are, and the share of its rate at which they learn.

    model: may have `tables`, name of a table -> what its first rows are, and its others -> how many; settings name them
           <table>.<what>

    Raises UserError for a factor's pattern that no parameter matches, and where nothing would learn.
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not learning:
        raise UserError("TRAIN.FREEZE leaves no weight that could learn: name fewer")
    if not settings.factors:
        return list(learning.values())
    tables = {table: rows for table, rows in getattr(model, "tables", {}).items() if table in learning}
    parts = {table: [f"{table}.{what}" for what in rows] for table, rows in tables.items()}
    factors = dict.fromkeys([*learning, *itertools.chain(*parts.values())], 1.0)
    for pattern, factor in settings.factors.items():  # the last that matches counts
        matched = _matched([pattern], factors, "TRAIN.OPTIM.FACTORS", "weights that learn")
        factors |= dict.fromkeys([*matched, *itertools.chain(*(parts.get(name, ()) for name in matched))], factor)
    groups: dict[tuple[float, float], list[str]] = {}
    for name in learning:
        first, others = (factors[part] for part in parts.get(name, (name, name)))
        groups.setdefault((others, first / others), []).append(name)
    made = []
    for factor, share in sorted(groups, key=lambda rates: (rates != (1.0, 1.0), rates)):
        names = groups[factor, share]
        made.append({"params": [learning[name] for name in names], "lr": settings.lr * factor, "factor": factor})
        if share != 1:
            made[-1]["rows"] = [next(iter(tables[names[0]].values())), share]
    return made


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """Keeps the weights whose names match one of the patterns as they are, in training, too.

    Returns the modules that have to stay in evaluation mode for that: training would move their running statistics, or
    their codebook (see `Still`). Raises UserError for a pattern that nothing matches, and for one that keeps only some
    of what such a module has.
    """
    parameters, saved = dict(model.named_parameters()), model.state_dict()
    buffers = [name for name, _ in model.named_buffers() if name in saved]
    frozen = set(_matched(patterns, [*parameters, *buffers], "TRAIN.FREEZE", "weights"))
    for name in frozen & parameters.keys():
        parameters[name].requires_grad_(False)
    still = [module for name, module in model.named_modules() if _stays(name, module, frozen)]
    fresh = sorted(frozen & set(getattr(model, "fresh", frozen)))  # it knows where it begins from a trained one
    if fresh:
        log.warning(
            "TRAIN.FREEZE keeps %d weights as they are that nothing has trained yet, %s among them", len(fresh), fresh[0]
        )
    return still


class Still(pl.Callback):
    """Keeps modules in evaluation mode while the others are trained."""

    def __init__(self, modules: Iterable[nn.Module]):
        self.modules = list(modules)

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        for kept in self.modules:
            kept.eval()


def _stays(name: str, module: nn.Module, frozen: set[str]) -> bool:
    """Whether a module with a state that training moves is frozen. Raises UserError where only some of it is."""
    prefix = f"{name}." if name else ""
    buffers = [key for key in module._buffers if key not in module._non_persistent_buffers_set]
    own = [*buffers, *module._parameters] if not list(module.children()) else buffers
    there = [key for key in own if getattr(module, key) is not None]
    kept = [key for key in there if prefix + key in frozen]
    if not buffers or not kept:
        return False
    whole = all(prefix + key in frozen for key in module.state_dict())
    if not whole:
        raise UserError(
            f"TRAIN.FREEZE keeps {prefix}{kept[0]}, but not all of {name}, whose training moves it: name {prefix}*"
        )
    return True


def _matched(patterns: Iterable[str], names: Iterable[str], key: str, what: str) -> list[str]:
    """The names of `what` that match one of the patterns. Raises UserError for a pattern that none does."""
    names = list(names)
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            parts = [name.split(".") for name in names]
            modules = {".".join([*part[:end], "*"]) for part in parts for end in range(1, len(part))}
            close = difflib.get_close_matches(pattern, [*names, *sorted(modules)], n=3, cutoff=0.0)
            raise UserError(f"{key}: {pattern} matches none of the {len(names)} {what}; near are {', '.join(close)}")
        found |= dict.fromkeys(matched)
    return list(found)
