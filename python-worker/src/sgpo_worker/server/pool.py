"""The children that wait: standby ones that have done their imports, and at most one that still holds a model's weights."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from sgpo_worker.events import Idle
from sgpo_worker.server.children import Child, ChildProtocolError
from sgpo_worker.server.log import EventLog
from sgpo_worker.specs import GenerateSpec, ScoreSpec, TaskSpec

_SETTLE_SECONDS = 30.0
_LEAVE_SECONDS = 10.0


class ChildPool:
    """Gives a child to a task and takes it back. Weights of an ended task never stay in memory beside those of a new one."""

    def __init__(self, *, start: Callable[[], Awaitable[Child]], standby: int, idle_seconds: float, log: EventLog) -> None:
        self._start = start
        self._standby_wanted = standby
        self._idle_seconds = idle_seconds
        self._log = log
        self._standby: list[Child] = []
        self._idle: Child | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._filling: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        """Watches over children between a task and their end, or their next wait: a new task waits for them."""
        self._leaving: set[Child] = set()
        """The children of `_settling`."""
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def warm_model(self) -> str:
        """Digest of the model an idle child holds, or empty."""
        return self._idle.warm_model if self._idle is not None and self._idle.alive else ""

    def fill(self) -> None:
        """Starts missing standby children in the background."""
        if not self._closed:
            self._spawn(self._fill(), self._filling)

    async def acquire(self, spec: TaskSpec) -> Child:
        """The idle child when it holds the very model that the task computes with, else a fresh one. Raises OSError."""
        async with self._turn:
            if self._settling:
                await asyncio.wait(self._settling)
            idle = self._take_idle()
            if idle is not None:
                if isinstance(spec, GenerateSpec | ScoreSpec) and idle.alive and idle.warm_model == spec.model:
                    return idle
                await idle.end()
            while self._standby:
                child = self._standby.pop(0)
                if child.alive:
                    self.fill()
                    return child
                self._log.warning("standby child is gone", pid=child.pid, status=child.exited.result(), tail=child.log_tail(5))
            child = await self._start()
            self.fill()
            return child

    def give_back(self, child: Child) -> None:
        """Takes a child whose task is over: it says Idle within a while and is kept, or it is ended."""
        self._leaving.add(child)
        self._spawn(self._settle(child), self._settling)

    def put_back(self, child: Child) -> None:
        """Takes back a child that was acquired and then given nothing to do: it is as it was."""
        if self._closed or not child.alive:
            self._retire(child)
        elif child.warm_model:
            self._keep(child)
        else:
            self._standby.insert(0, child)

    async def close(self) -> None:
        """Ends every child that is here or on its way here."""
        self._closed = True
        idle = self._take_idle()
        children = [*self._standby, *self._leaving, *([idle] if idle is not None else [])]
        self._standby.clear()
        await asyncio.gather(*(child.end(leave_seconds=0, term_seconds=2) for child in children))
        while pending := self._settling | self._filling:
            await asyncio.wait(pending)

    async def _fill(self) -> None:
        while len(self._standby) < self._standby_wanted and not self._closed:
            try:
                child = await self._start()
            except OSError as error:
                # The next task starts a child itself and reports this to its caller.
                self._log.error("standby child cannot be started", error=str(error))
                return
            if self._closed or len(self._standby) >= self._standby_wanted:
                await child.end(leave_seconds=0, term_seconds=2)
                return
            self._standby.append(child)

    async def _settle(self, child: Child) -> None:
        idle = await self._says_idle(child)
        if not idle:
            await child.end(leave_seconds=0 if self._closed else _LEAVE_SECONDS)
        self._leaving.discard(child)
        if idle:
            self._keep(child)

    async def _says_idle(self, child: Child) -> bool:
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                event = await child.next_event()
        except TimeoutError:
            self._log.warning("child neither leaves nor waits after its task", pid=child.pid)
            return False
        except ChildProtocolError as error:
            self._log.warning("child breaks the protocol after its task", pid=child.pid, error=str(error))
            return False
        if self._closed or not isinstance(event, Idle) or not event.warm_model:
            return False
        child.warm_model = event.warm_model
        return True

    def _keep(self, child: Child) -> None:
        previous = self._take_idle()
        if previous is not None:
            self._retire(previous)
        self._idle = child
        self._idle_timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._end_idle, child)

    def _take_idle(self) -> Child | None:
        idle, self._idle = self._idle, None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        return idle

    def _end_idle(self, child: Child) -> None:
        if self._idle is child:
            self._take_idle()
            self._retire(child)

    def _retire(self, child: Child) -> None:
        self._leaving.add(child)
        self._spawn(self._end(child), self._settling)

    async def _end(self, child: Child) -> None:
        await child.end(leave_seconds=_LEAVE_SECONDS)
        self._leaving.discard(child)

    def _spawn(self, work: Coroutine[None, None, None], held: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        held.add(task)
        task.add_done_callback(held.discard)
