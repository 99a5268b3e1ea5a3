"""A folder in which another process works."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soke.run.config import ROOT

_HOLD = """
import sys, time
from pathlib import Path
from soke.run.locking import locked
with locked(Path(sys.argv[1]), "", ""):
    print("open", flush=True)
    time.sleep(60)
"""


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """The number of a process that has locked `folder`, until the block ends."""
    other = subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "open\n"
        yield other.pid
    finally:
        other.kill()
        other.wait()
