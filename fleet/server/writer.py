"""All writing of this process: one thread, which puts what waits into one transaction (group commit).

A request hands in a job and waits for its result. Jobs that came while the last transaction was written
go into the next one together, so the more devices talk, the fewer commits each costs; rollouts are
counted, and the engine asked, once a transaction. A job that fails for a reason of its own (the action
is closed, say) has written nothing, and fails alone. If anything else goes wrong, nothing of the
transaction was done, and each of its jobs is tried by itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fleet.control.standing import Standing, Standings
from fleet.rollout.errors import RolloutError
from fleet.server.clock import Clock
from fleet.store.database import Database
from fleet.store.errors import ConflictError, NotFoundError

T = TypeVar("T")
Work = Callable[[Standings], Any]

_MOST = 1000  # jobs in a transaction
_OWN = (RolloutError, NotFoundError, ConflictError)


@dataclasses.dataclass(frozen=True)
class _Job:
    work: Work
    alone: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclasses.dataclass(frozen=True)
class _Failed:
    error: BaseException


class Writer:
    """The thread that writes.

    Args:
        database: where to.
        clock: tells the moment of each transaction.
        settled: is told, in that thread, how the rollouts stand that a transaction dealt with.
    """

    def __init__(
        self, database: Database, clock: Clock, settled: Callable[[Sequence[Standing]], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._settled = settled
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self.transactions = 0
        self._thread.start()

    async def do(self, work: Callable[[Standings], T]) -> T:
        """Does `work` in a transaction that may be shared; `work` must write nothing before it raises.

        Raises:
            RolloutError, StoreError: what `work` raises, or what is wrong with the database.
        """
        return await self._submit(work, alone=False)

    async def do_alone(self, work: Callable[[Standings], T]) -> T:
        """Does `work` in a transaction of its own, of which nothing is left if it raises.

        Raises:
            RolloutError, StoreError: what `work` raises, or what is wrong with the database.
        """
        return await self._submit(work, alone=True)

    def close(self) -> None:
        """Ends the thread when all that was handed in is done."""
        self._jobs.put(None)
        self._thread.join()

    async def _submit(self, work: Callable[[Standings], T], *, alone: bool) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, alone, loop, future))
        return await future

    def _run(self) -> None:
        held: _Job | None = None
        while (job := held or self._jobs.get()) is not None:
            batch, held, ends = [job], None, False
            while not batch[-1].alone and len(batch) < _MOST:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ends = True
                    break
                if following.alone:
                    held = following
                    break
                batch.append(following)
            self._answer(batch, self._write(batch))
            if ends:
                return

    def _write(self, batch: Sequence[_Job]) -> list[Any]:
        try:
            return self._transaction(batch)
        except Exception as e:  # noqa: BLE001 - whatever it is, the thread goes on and says so
            if len(batch) == 1:
                return [_Failed(e)]
        return [result for job in batch for result in self._write([job])]

    def _transaction(self, batch: Sequence[_Job]) -> list[Any]:
        with self._database.write() as connection:
            standings = Standings(connection, self._clock())
            results = []
            for job in batch:
                try:
                    results.append(job.work(standings))
                except _OWN as e:
                    if job.alone:
                        raise
                    results.append(_Failed(e))
            standings.settle()
        self.transactions += 1
        self._settled(standings.known())
        return results

    def _answer(self, batch: Sequence[_Job], results: Sequence[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for job, result in zip(batch, results, strict=True):
            by_loop.setdefault(job.loop, []).append((job.future, result))
        for loop, answers in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in answers:
        if future.done():
            continue  # its client went away
        if isinstance(result, _Failed):
            future.set_exception(result.error)
        else:
            future.set_result(result)
