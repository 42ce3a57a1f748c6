"""Which attempts run here: fences, slots, leases, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from sgpo_worker.server.attempts import Attempt, AttemptPlan
from sgpo_worker.server.errors import NoCapacityError, NotFoundError, StaleFenceError
from sgpo_worker.server.exits import judge_restart
from sgpo_worker.server.journal import Journal, JournalFolder
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.mapping import StartRequest
from sgpo_worker.server.pool import ChildPool
from sgpo_worker.server.validation import check_artifacts
from sgpo_worker.specs import ChildTask


class Supervisor:
    """Runs each accepted attempt in a child. The journals are its memory; it holds only what is alive."""

    def __init__(self, *, data: Path, store: Path, slots: int, journals: JournalFolder, pool: ChildPool, log: EventLog) -> None:
        self.slots = slots
        self.draining = False
        self._data = data
        self._store = store
        self._journals = journals
        self._pool = pool
        self._log = log
        self._active: dict[tuple[str, int], Attempt] = {}

    def running(self) -> list[tuple[str, int]]:
        """(task_id, fence) of every attempt that has not finished."""
        return sorted(self._active)

    def start(self, request: StartRequest) -> bool:
        """Accepts an attempt; False when it was accepted before. A running one with a lower fence ends first and gives its slot.

        Raises StaleFenceError, NotFoundError for an artifact, NoCapacityError.
        """
        newest = self._journals.newest_fence(request.task_id) or 0
        if request.fence < newest:
            raise StaleFenceError(
                f"fence: {request.fence}: a claim with fence {newest} was seen for {request.task_id}: give up this attempt"
            )
        if request.fence == newest:
            return False
        check_artifacts(request.spec, self._store)
        if self.draining:
            raise NoCapacityError("worker: draining: start the task on another worker")
        busy = {task_id for task_id, _ in self._active} - {request.task_id}
        if len(busy) >= self.slots:
            raise NoCapacityError(f"slots: {self.slots} of {self.slots} in use: wait until a task ends or use another worker")
        journal = self._journals.create(request.task_id, request.fence)
        key = (request.task_id, request.fence)
        attempt = Attempt(
            self._plan(request),
            journal=journal,
            pool=self._pool,
            log=self._log,
            on_finished=lambda: self._forget(key),
        )
        predecessor = self._newest_active(request.task_id)
        if predecessor is not None:
            predecessor.stop("superseded")
        self._active[key] = attempt
        attempt.begin(predecessor)
        return True

    def renew(self, task_id: str, fence: int, seconds: float) -> None:
        """Raises StaleFenceError for a claim that was overtaken or ran out, NotFoundError for an unknown one."""
        self._check_known(task_id, fence)
        attempt = self._active.get((task_id, fence))
        if attempt is not None and not attempt.renew(seconds):
            raise StaleFenceError(
                f"lease: ran out: attempt {fence} of {task_id} is being ended; start it again with a higher fence"
            )

    def cancel(self, task_id: str, fence: int, mode: Literal["now", "at_checkpoint"]) -> None:
        """Raises as `renew` does. A finished attempt stays as it ended."""
        self._check_known(task_id, fence)
        attempt = self._active.get((task_id, fence))
        if attempt is not None:
            attempt.cancel(mode)

    def open_journal(self, task_id: str, fence: int) -> tuple[Journal, bool]:
        """The journal and whether it is the caller's to close. Raises NotFoundError."""
        attempt = self._active.get((task_id, fence))
        if attempt is not None:
            return attempt.journal, False
        if not self._journals.exists(task_id, fence):
            raise NotFoundError(f"task_id, fence: {task_id}, {fence}: this worker has no journal of that attempt")
        journal = self._journals.create(task_id, fence)
        try:
            if journal.finished is None:
                # Its end could not be written when it came, for want of disk.
                journal.append(judge_restart())
        except BaseException:
            journal.close()
            raise
        return journal, True

    def drain(self) -> None:
        """From now on refuses new attempts; running ones go on."""
        self.draining = True

    async def shut_down(self, grace_seconds: float, hurry: asyncio.Event) -> None:
        """Drains; trainings may save a checkpoint within the grace, or until `hurry`; returns when all ends are journalled."""
        self.drain()
        self._log.info("worker shuts down", running=len(self._active), graceSeconds=grace_seconds)
        for attempt in list(self._active.values()):
            attempt.shut_down(checkpoint=True)
        hurried = asyncio.create_task(hurry.wait())
        ends = asyncio.create_task(_wait_all(self._active.values()))
        await asyncio.wait({hurried, ends}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        for attempt in list(self._active.values()):
            attempt.shut_down(checkpoint=False)
        await ends
        await self._pool.close()

    def _check_known(self, task_id: str, fence: int) -> None:
        newest = self._journals.newest_fence(task_id)
        if newest is None or fence > newest or not (fence < newest or self._journals.exists(task_id, fence)):
            raise NotFoundError(f"task_id, fence: {task_id}, {fence}: this worker knows no such attempt")
        if fence < newest:
            raise StaleFenceError(f"fence: {fence}: a claim with fence {newest} was seen for {task_id}: give up this attempt")

    def _forget(self, key: tuple[str, int]) -> None:
        del self._active[key]

    def _newest_active(self, task_id: str) -> Attempt | None:
        fences = [fence for other, fence in self._active if other == task_id]
        return self._active[task_id, max(fences)] if fences else None

    def _plan(self, request: StartRequest) -> AttemptPlan:
        return AttemptPlan(
            task=ChildTask(
                task_id=request.task_id,
                attempt=request.attempt,
                store=self._store,
                work_dir=self._data / "work" / request.task_id,
                spec=request.spec,
            ),
            fence=request.fence,
            lease_seconds=request.lease_seconds,
            log_path=self._data / "logs" / request.task_id / f"{request.attempt}.log",
            labels=request.labels,
        )


async def _wait_all(attempts: Iterable[Attempt]) -> None:
    await asyncio.gather(*(attempt.done for attempt in attempts if attempt.done is not None))
