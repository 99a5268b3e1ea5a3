"""The key of a study: what was shown, and what may be answered. It stays with who makes the study."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from soke.errors import UserError
from soke.storage import read_json

KEY, SITE, ANSWERS = "key.json", "site", "answers.jsonl"


def hash_of(content: Mapping[str, Any]) -> str:
    """12 hex digits that change with anything that is shown or asked, but for the key's own hash."""
    facts = {name: value for name, value in content.items() if name != "hash"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Key:
    """content: what `make` has written, in plain types"""

    content: Mapping[str, Any]

    @classmethod
    def read(cls, study: Path) -> Key:
        """Of a study's folder. Raises UserError where there is none, or one that was changed."""
        content = read_json(study / KEY, "name the folder that `make` has written")
        if content.get("hash") != hash_of(content):
            raise UserError(f"{study / KEY} was changed since the study was made: answers can no longer be told; restore it")
        return cls(content)

    @property
    def hash(self) -> str:
        return self.content["hash"]

    @property
    def plan(self) -> Mapping[str, Any]:
        return self.content["plan"]

    @property
    def items(self) -> list[Mapping[str, Any]]:
        return self.content["items"]

    @property
    def clips(self) -> list[Mapping[str, Any]]:
        return self.content["clips"]

    @cached_property
    def forms(self) -> list[dict[int, Mapping[str, Any]]]:
        """Of each form: number of an item -> its entry."""
        return [{entry["item"]: entry for entry in form} for form in self.content["forms"]]
