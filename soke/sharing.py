"""What saved models have in common that can be pushed to the hub."""
from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from soke.hub import push, safe_files


class Shared:
    """Whoever has `save_pretrained(folder)`. What a run has recorded besides, data, settings and scores, is in the card that
    `python -m prepare.push_to_hub` writes."""

    def push_to_hub(self, repo: str, private: bool = False, licence: str = "", text: str = "") -> str:
        """Makes this model, with a card, the content of a repository on the hub; returns the commit's address.

        repo:    user/name, or user/name@branch; made if it is not there, for its owner alone if `private`
        licence: of the weights, by the hub's identifier; "": the card says that none is stated
        text:    for the card, in Markdown
        Raises UserError for what the hub refuses.
        """
        from soke.report.model_card import Described, model_card  # which signing a sentence does without

        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            self.save_pretrained(folder)
            card = model_card([Described(folder)], repo.partition("@")[0], licence, text)
            return push(folder, safe_files(folder), repo, card, private)
