"""What all pages of one viewer share."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from soke.render.settings import Render
from soke.viewer.signing import Signer
from soke.viewer.sources import Source


@dataclass
class World:
    """sources: what can be browsed
    signers:    systems that sign what is typed
    notes:      what cannot be shown, and what to do about it
    render:     of pictures and videos that are saved
    """

    sources: Sequence[Source]
    signers: Sequence[Signer] = ()
    notes: list[str] = field(default_factory=list)
    render: Render = Render(512, "auto")

    def source(self, name: str) -> Source | None:
        return next((source for source in self.sources if source.name == name), None)

    def signer(self, name: str) -> Signer | None:
        return next((signer for signer in self.signers if signer.name == name), None)

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(language for signer in self.signers for language in signer.languages))

    @property
    def status(self) -> list[str]:
        """What is to be known at this moment, a line each."""
        return [*self.notes, *(signer.status for signer in self.signers if signer.status)]
