"""What a test has produced, and read, so far, so that one that was broken off goes on with the clips that it has not."""
from __future__ import annotations

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from soke.body.motion import JointMotion, Motion
from soke.data.clip import Clip
from soke.data.fingerprints import digest
from soke.data.storage.saved import read_motions, write_motions
from soke.errors import UserError
from soke.evaluation.protocols import Producer
from soke.storage import read_json, write_json

_log = logging.getLogger(__name__)


class Unfinished:
    """A file for each block of clips, written when it has been produced, and named by a hash of all that it depends on:
    what was produced in other circumstances, or of other clips, is never found.

    folder:  of the tests that were broken off
    depends: what all that is produced depends on besides the clips, such as models, settings and versions; plain types
    """

    def __init__(self, folder: Path, depends: Mapping[str, Any]):
        self.folder = folder
        self._own = folder / digest(depends)
        self._told = False

    def begin(self) -> None:
        """Removes what other tests have left; to be called by one process."""
        for path in self.folder.glob("*"):
            if path != self._own:
                shutil.rmtree(path, ignore_errors=True)

    def end(self) -> None:
        """Removes everything: the test is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def produced(self, producer: Producer, clips: Sequence[Clip], signed: Sequence[Motion | JointMotion]) -> list[Motion]:
        """The producer's motions for a block of clips, made now or before; of what was made before, its `counts` are
        added.

        signed: the clips' references
        """
        file = self._file(clips, signed, [producer.name, dict(producer.conditions)], ".npz")
        counts: Counter[str] = getattr(producer, "counts", Counter())
        found = self._found(file, lambda: read_motions(file), len(clips))
        if found is not None:
            motions, counted = found
            counts.update(counted)
            return motions
        before = Counter(counts)
        motions = producer.produce(clips)
        write_motions(file, motions, {name: count - before[name] for name, count in counts.items()})
        return motions

    def translated(
        self, name: str, translate: Callable[[Sequence[Motion]], list[str]], clips: Sequence[Clip],
        motions: Sequence[Motion | JointMotion],
    ) -> list[str]:
        """The texts of a translator of this name for these very motions of a block of clips, made now or before."""
        file = self._file(clips, motions, [name], ".json")
        found = self._found(file, lambda: (read_json(file, "")["texts"], {}), len(clips))
        if found is not None:
            return found[0]
        texts = translate(motions)
        write_json(file, {"texts": texts})
        return texts

    def _file(self, clips: Sequence[Clip], motions: Sequence[Motion | JointMotion], maker: list[Any], suffix: str) -> Path:
        facts = [[c.corpus, c.name, c.split, c.language, c.text, c.gloss, c.signer, c.prompt, c.fps] for c in clips]
        return self._own / f"{digest([maker, facts, [_hash(motion) for motion in motions]])}{suffix}"

    def _found(self, file: Path, read: Callable[[], tuple[list[Any], Mapping[str, int]]], count: int) -> Any:
        """What `read` gives of a file that is there and whole; else None."""
        if not file.is_file():
            return None
        try:
            made, counted = read()
        except (UserError, KeyError) as error:
            _log.warning("%s is not whole (%s): it is made again", file, error)
            return None
        if len(made) != count:
            return None
        if not self._told:
            self._told = True
            _log.info("the test goes on where it was broken off: what %s holds is not made again", self._own)
        return made, counted


def _hash(motion: Motion | JointMotion) -> str:
    """Of all that a motion holds."""
    found = hashlib.blake2b(digest_size=8)
    for name, value in vars(motion).items():
        found.update(name.encode())
        if isinstance(value, Tensor):
            found.update(f"{value.dtype}{list(value.shape)}".encode())
            found.update(value.cpu().contiguous().numpy().tobytes())
        else:
            found.update(repr(sorted(value) if isinstance(value, frozenset) else value).encode())
    return found.hexdigest()
