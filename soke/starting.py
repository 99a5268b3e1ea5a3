"""Models that begin from a trained one: its weights that fit are taken, and what begins anew is named."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Rows = tuple[Sequence[int], Sequence[int]]  # numbers of ours, and of theirs, of the same things
_SHOWN = 20


@dataclass(frozen=True)
class Begun:
    """What became of a trained model's weights in a new one.

    names:  all weights of the new one, parameters and buffers
    anew:   those that are not the trained one's, or not in all rows -> what is known of it
    unused: weights of the trained one that have no place in the new one
    """

    names: list[str]
    anew: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def within(self, prefix: str) -> Begun:
        """The same of a part of a larger model, whose names begin so."""
        anew = {prefix + name: detail for name, detail in self.anew.items()}
        return Begun([prefix + name for name in self.names], anew, [prefix + name for name in self.unused])

    def __add__(self, other: Begun) -> Begun:
        return Begun(self.names + other.names, {**self.anew, **other.anew}, self.unused + other.unused)

    def __str__(self) -> str:
        """A sentence without its end; counted, with the names of whole modules where nothing of them was taken."""
        said = f"{len(self.names) - len(self.anew)} of {len(self.names)} weights are taken"
        if self.anew:
            listed = [f"{name} ({detail})" if detail else name for name, detail in _modules(self.anew, self.names)]
            said += f", {len(self.anew)} begin anew: {shown(listed)}"
        if self.unused:
            listed = [name for name, _ in _modules(dict.fromkeys(self.unused, ""), self.unused)]
            said += f"; {len(self.unused)} of the trained one's have no place: {shown(listed)}"
        return said


@torch.no_grad()
def take(
    model: nn.Module, theirs: Mapping[str, Tensor], rows: Mapping[str, Rows] | None = None, keeps: Collection[str] = ()
) -> Begun:
    """Gives a model the weights of a trained one that fit: those of the same name and shape, and of tables the rows that
    mean the same. What training moves by itself, a codebook or a batch norm, is taken as a whole or not at all.

    theirs: name -> weight of the trained one
    rows:   name of a table -> which of its rows are which of theirs
    keeps:  names of weights that stay as they are and do not count
    """
    rows = rows or {}
    ours = {name: value for name, value in model.state_dict().items() if name not in keeps}
    fits = {
        name for name, value in ours.items()
        if name not in rows and name in theirs and theirs[name].shape == value.shape
    }
    for unit in _units(model):
        if not unit <= fits:
            fits -= unit
    anew = {}
    for name, value in ours.items():
        other = theirs.get(name)
        if name in fits:
            value.copy_(other)
        elif name in rows and other is not None and other.shape[1:] == value.shape[1:]:
            mine, of = (torch.tensor(list(numbers), dtype=torch.long) for numbers in rows[name])
            value[mine] = other[of].to(value)
            if len(mine) < len(value):
                anew[name] = f"{len(value) - len(mine)} of its {len(value)} rows"
        else:
            unlike = other is not None and other.shape != value.shape
            anew[name] = f"{list(other.shape)} there, {list(value.shape)} here" if unlike else ""
    unused = [name for name in theirs if name not in ours and name not in keeps]
    return Begun(list(ours), anew, unused)


def _units(model: nn.Module) -> Iterator[set[str]]:
    """Names of the weights of each module that has a state which training moves by itself."""
    for name, module in model.named_modules():
        own = set(module.state_dict())
        if not list(module.children()) and own & module._buffers.keys():
            yield {f"{name}.{key}" if name else key for key in own}


def _modules(names: Mapping[str, str], among: Sequence[str]) -> ItemsView[str, str]:
    """name -> detail, where all of a module is among the names without a detail, the largest such module in their place,
    with how many they are."""
    found: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, detail in names.items():
        path = name.split(".")
        prefixes = (".".join(path[:end]) + "." for end in range(1, len(path)))
        whole = next((p for p in prefixes if all(names.get(n) == "" for n in among if n.startswith(p))), None)
        if detail or whole is None:
            found[name] = detail
        else:
            counts[whole] = counts.get(whole, 0) + 1
            found[f"{whole}*"] = f"{counts[whole]}"
    return found.items()


def shown(names: Sequence[str]) -> str:
    """The first of many, and how many more they are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
