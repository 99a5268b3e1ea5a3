"""Hashes of models, which tell whether two of them do the same."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class StateHash:
    """12 hex digits of a model's facts and weights, computed again only when a tensor was written to or replaced.

    The tensors that were hashed are held, so that no other can come to lie where one of them was.
    """

    def __init__(self) -> None:
        self._held: list[Tensor] = []
        self._of: tuple[list[tuple[int, int]], str] = ([], "")
        self._hash = ""

    def __call__(self, facts: Any, state: Mapping[str, Tensor]) -> str:
        """facts: in plain types; state: name -> tensor"""
        written = json.dumps(facts, sort_keys=True)
        current = [(tensor.data_ptr(), tensor._version) for tensor in state.values()], written
        if self._of != current:
            digest = hashlib.sha256(written.encode())
            for name, tensor in sorted(state.items()):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            self._held, self._of, self._hash = list(state.values()), current, digest.hexdigest()[:12]
        return self._hash
