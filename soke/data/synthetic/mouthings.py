"""Mouthings: the shapes of a word on its sign, blended into each other as a mouth blends them (coarticulation)."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soke.data.synthetic.facial_actions import FacialActions
from soke.data.synthetic.visemes import VISEMES

_LEAD, _TRAIL = 0.06, 0.08  # s by which the mouth begins before the hands' stroke, and ends after it
_WIDTH = 0.36  # standard deviation of a shape's influence, as a share of its duration
_CLOSING = {"pbm": 2.0, "fv": 1.6}  # shapes that the lips must reach win over their neighbours
_REST = 0.05  # weight of the mouth at rest, against a shape's 1 at its own moment


@dataclass(frozen=True)
class MouthShapes:
    """The S shapes of a whole performance, in order.

    names:    S names of `VISEMES`
    at:       [S] s, when each is reached
    seconds:  [S] s that each lasts
    strength: [S] 1 as in `VISEMES`, less for a lazy mouth
    """

    names: tuple[str, ...]
    at: Tensor
    seconds: Tensor
    strength: Tensor


def place_shapes(mouthings: Sequence[tuple[str, ...]], strokes: Tensor) -> MouthShapes:
    """One word's shapes on each sign: strokes [signs, 2] s. They share the sign's time by their own durations."""
    names, at, seconds = [], [], []
    for shapes, (start, end) in zip(mouthings, strokes.tolist()):
        shares = torch.tensor([VISEMES[shape].seconds for shape in shapes])
        lasting = (end - start + _LEAD + _TRAIL) * shares / shares.sum()
        names += shapes
        at.append(start - _LEAD + lasting.cumsum(0) - lasting / 2)
        seconds.append(lasting)
    return MouthShapes(tuple(names), torch.cat(at), torch.cat(seconds), torch.ones(len(names)))


def mouth(
    shapes: MouthShapes, time: Tensor, actions: FacialActions, habits: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Strengths of the facial actions [T, A] and the jaw's opening [T], rad, at times [T] s.

    habits: [V, A] a person's factors for each action in each of `VISEMES`

    Every moment is the weighted mean of all shapes and of the mouth at rest, where a shape's weight falls off around
    its own moment (dominance functions, Cohen and Massaro 1993): neighbours colour each other, and a shape that has
    little time is not quite reached.
    """
    every = habits * torch.stack([actions.strengths(viseme.actions) for viseme in VISEMES.values()])
    order = list(VISEMES)
    targets = every[[order.index(name) for name in shapes.names]]  # [S, A]
    jaw = torch.tensor([VISEMES[name].jaw for name in shapes.names])
    weight = torch.tensor([_CLOSING.get(name, 1.0) for name in shapes.names])
    distance = (time[:, None] - shapes.at) / (_WIDTH * shapes.seconds)
    influence = weight * (-0.5 * distance.square()).exp()  # [T, S]
    influence = influence / (influence.sum(1, keepdim=True) + _REST)
    return influence @ (targets * shapes.strength[:, None]), influence @ (jaw * shapes.strength)
