"""One attempt at a task: from its claim on a slot to its Finished event."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sgpo_worker.events import Event, Finished, Idle, Log
from sgpo_worker.server.children import Child, ChildProtocolError
from sgpo_worker.server.exits import (
    StopReason,
    is_training,
    judge_exit,
    judge_finished,
    judge_protocol_error,
    judge_server_error,
    judge_stop,
)
from sgpo_worker.server.journal import Journal
from sgpo_worker.server.leases import Lease
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.pool import ChildPool
from sgpo_worker.specs import ChildTask

_SAMPLE_SECONDS = 1.0
_KILL_AFTER_SECONDS = 5.0
_TAIL_LINES = 20


@dataclass(frozen=True, kw_only=True)
class AttemptPlan:
    """What an attempt is about; fixed when it is accepted."""

    task: ChildTask
    fence: int
    lease_seconds: float
    log_path: Path
    labels: Mapping[str, str]


class Attempt:
    """Runs by itself from `begin` on; `done` ends when its Finished event is journalled, or could not be."""

    def __init__(
        self, plan: AttemptPlan, *, journal: Journal, pool: ChildPool, log: EventLog, on_finished: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.journal = journal
        self._on_finished = on_finished
        self._pool = pool
        self._log = log.bind({**plan.labels, "taskId": plan.task.task_id, "attempt": plan.task.attempt, "fence": plan.fence})
        self._training = is_training(plan.task.spec)
        self._stop: StopReason | None = None
        self._child: Child | None = None
        self._ending: asyncio.Task[int] | None = None
        self._peak_rss_bytes = 0
        self._started = time.monotonic()
        self._lease = Lease(plan.lease_seconds, lambda: self.stop("lease_expired"))
        self.done: asyncio.Task[None] | None = None

    def begin(self, predecessor: Attempt | None) -> None:
        """Starts running, once the `predecessor` at the same task has ended."""
        self.done = asyncio.create_task(self._run(predecessor))

    def renew(self, seconds: float) -> bool:
        """Extends the lease. False when it had already run out."""
        return self._lease.renew(seconds)

    def cancel(self, mode: Literal["now", "at_checkpoint"]) -> None:
        self.stop("checkpoint" if mode == "at_checkpoint" and self._training else "canceled")

    def shut_down(self, *, checkpoint: bool) -> None:
        """The worker leaves: a training may save a checkpoint first, everything else is lost."""
        self.stop("checkpoint" if checkpoint and self._training else "shutdown")

    def stop(self, reason: StopReason) -> None:
        """Asks it to end. The first reason stays, except that a wish for a checkpoint gives way to any other."""
        if self._stop is not None and (self._stop != "checkpoint" or reason == "checkpoint"):
            return
        self._stop = reason
        self._log.info("task is asked to end", reason=reason)
        if self._child is not None:
            self._end_child(self._child, reason)

    def _end_child(self, child: Child, reason: StopReason) -> None:
        if reason == "checkpoint":
            child.ask_to_leave()
        else:
            self._ending = asyncio.create_task(child.end(leave_seconds=0, term_seconds=_KILL_AFTER_SECONDS))

    async def _run(self, predecessor: Attempt | None) -> None:
        if predecessor is not None and predecessor.done is not None:
            await asyncio.wait({predecessor.done})
        try:
            finished = await self._drive()
        except Exception as error:
            self._log.error("task failed inside the worker", error=repr(error))
            finished = judge_server_error(error) if self._stop is None else judge_stop(self._stop)
        if finished.outcome == "succeeded":
            # Its checkpoints are of no use any more; a later attempt must not meet them half removed.
            await asyncio.to_thread(shutil.rmtree, self.plan.task.work_dir, ignore_errors=True)
        self._lease.end()
        self._finish(finished)

    def _finish(self, finished: Finished) -> None:
        complete = replace(
            finished,
            seconds=finished.seconds or time.monotonic() - self._started,
            peak_rss_bytes=finished.peak_rss_bytes or self._peak_rss_bytes,
        )
        # Whoever reads the end may at once start another task: the slot is free first.
        self._on_finished()
        try:
            self.journal.append(complete)
        except OSError as error:
            # Readers are told to come again; the journal is completed when somebody does.
            self._log.error("journal cannot be written", error=str(error))
        finally:
            self.journal.close()
        self._log.info(
            "task finished",
            outcome=complete.outcome,
            seconds=round(complete.seconds, 3),
            peakRssBytes=complete.peak_rss_bytes,
            **({"code": complete.error.code, "message": complete.error.message} if complete.error is not None else {}),
        )

    async def _drive(self) -> Finished:
        if self._stop is not None:
            return judge_stop(self._stop)
        child = await self._pool.acquire(self.plan.task.spec)
        # Whoever asks it to end may have come while the last child was being waited for.
        if (stop := self._stop) is not None:
            self._pool.put_back(child)
            return judge_stop(stop)
        self._child = child
        sampler = asyncio.create_task(self._sample(child))
        try:
            self.plan.task.work_dir.mkdir(parents=True, exist_ok=True)
            child.assign(self.plan.task, self.plan.log_path)
            self._log.info("task started", pid=child.pid)
            return await self._follow(child)
        except Exception:
            await child.end(leave_seconds=0, term_seconds=_KILL_AFTER_SECONDS)
            raise
        finally:
            sampler.cancel()
            self._child = None
            if self._ending is not None:
                await asyncio.wait({self._ending})
            self._pool.give_back(child)

    async def _follow(self, child: Child) -> Finished:
        """Journals what the child says until it has finished or is gone."""
        try:
            while (event := await child.next_event()) is not None:
                if isinstance(event, Finished):
                    self._peak_rss_bytes = max(self._peak_rss_bytes, child.family.measure())
                    return judge_finished(event, stop=self._stop, training=self._training, store=self.plan.task.store)
                self._record(event)
        except ChildProtocolError as error:
            await child.end(leave_seconds=0, term_seconds=_KILL_AFTER_SECONDS)
            return judge_protocol_error(str(error), stop=self._stop)
        # It can say nothing more, so it has no reason to stay.
        status = await child.end()
        return judge_exit(status, stop=self._stop, training=self._training, last_words=await child.last_words(_TAIL_LINES))

    def _record(self, event: Event) -> None:
        if isinstance(event, Idle):
            raise ChildProtocolError("Idle before Finished")
        self.journal.append(event)
        if isinstance(event, Log):
            write = {"info": self._log.info, "warning": self._log.warning, "error": self._log.error}[event.level]
            write("child says", message=event.message)

    async def _sample(self, child: Child) -> None:
        while True:
            self._peak_rss_bytes = max(self._peak_rss_bytes, child.family.measure())
            await asyncio.sleep(_SAMPLE_SECONDS)
