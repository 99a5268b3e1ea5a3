"""Several processes as threads, which meet where processes would."""
from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, BrokenBarrierError, Thread

from soke.errors import UserError
from soke.run.processes import World


class Lockstep(World):
    """One of them. `killed` is the number of the meeting to which it does not come any more."""

    def __init__(self, rank: int, barrier: Barrier, told: list, killed: int | None = None):
        super().__init__(rank, barrier.parties)
        vars(self).update(barrier=barrier, told=told, killed=killed, meetings=0)

    def gathered(self, items):
        vars(self)["meetings"] += 1
        if self.meetings == self.killed:
            self.barrier.abort()
            raise SystemExit
        try:
            self.told[self.rank] = list(items)
            self.barrier.wait()
            everyone = [item for of_one in self.told for item in of_one]
            self.barrier.wait()
        except BrokenBarrierError:
            raise UserError("another process of this command has ended") from None
        return everyone


def together(work: Callable[[World], None], processes: int, killed: int | None = None) -> list[BaseException]:
    """What ended each of the processes, if anything did; killed: see `Lockstep`, of the second one."""
    barrier, told, ended = Barrier(processes), [[] for _ in range(processes)], []

    def run(rank: int) -> None:
        try:
            work(Lockstep(rank, barrier, told, killed if rank == 1 else None))
        except (UserError, SystemExit) as error:
            ended.append(error)

    threads = [Thread(target=run, args=(rank,)) for rank in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended
