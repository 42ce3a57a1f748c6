"""What a running task may do to the outside: tell events, and learn that it was asked to stop."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sgpo_worker.events import Event, Finished, Idle, Log, Metrics, Outcome, Phase, Progress, encode_event
from sgpo_worker.specs import ChildTask


class Canceled(BaseException):
    """Raised where the main thread is when SIGTERM arrives. Not an `Exception`, so that nobody takes it for a failure."""


class StopRequest:
    """What SIGTERM does: it sets `requested`, and inside `raising()` it also raises `Canceled` where the main thread is.

    Training looks at `requested` at its optimiser steps. Everything else runs inside `raising()`, apart from single event lines,
    which are written whole (`whole()`), and `Canceled` comes after them.
    """

    def __init__(self) -> None:
        self.requested = False
        self._raising = False
        self._whole = False

    def install(self) -> None:
        """Takes SIGTERM over for this process; to be called in the main thread."""
        signal.signal(signal.SIGTERM, self._handle)

    @contextmanager
    def raising(self) -> Iterator[None]:
        self._raising = True
        try:
            self._raise_if_requested()
            yield
        finally:
            self._raising = False

    @contextmanager
    def whole(self) -> Iterator[None]:
        self._whole = True
        try:
            yield
        finally:
            self._whole = False
        self._raise_if_requested()

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        self.requested = True
        if not self._whole:
            self._raise_if_requested()

    def _raise_if_requested(self) -> None:
        if self._raising and self.requested:
            raise Canceled


class Session:
    """One task's line to the server. `events_fd` takes one JSON object a line; -1 for a process that must stay silent."""

    def __init__(self, task: ChildTask, events_fd: int, stop: StopRequest) -> None:
        self.task = task
        self.stop = stop
        self._events_fd = events_fd
        self._started = time.monotonic()

    @property
    def store(self) -> Path:
        return self.task.store

    def phase(self, name: str) -> None:
        self._emit(Phase(name=name))

    def rows(self, done: int, total: int) -> None:
        self._emit(Progress(done=done, total=total, unit="rows"))

    def steps(self, done: int, total: int) -> None:
        self._emit(Progress(done=done, total=total, unit="steps"))

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self._emit(Metrics(step=step, values=values))

    def info(self, message: str) -> None:
        self._emit(Log(level="info", message=message))

    def warning(self, message: str) -> None:
        self._emit(Log(level="warning", message=message))

    def idle(self, warm_model: str) -> None:
        self._emit(Idle(warm_model=warm_model))

    def finished(self, event: Finished) -> Outcome:
        """Tells the end of the task, with time and memory filled in."""
        self._emit(
            Finished(
                outcome=event.outcome,
                output=event.output,
                rows_in=event.rows_in,
                rows_out=event.rows_out,
                dropped=event.dropped,
                error=event.error,
                seconds=round(time.monotonic() - self._started, 3),
                peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                provenance=event.provenance,
            )
        )
        return event.outcome

    def _emit(self, event: Event) -> None:
        if self._events_fd < 0:
            return
        line = memoryview((encode_event(event) + "\n").encode())
        with self.stop.whole():
            while line:
                line = line[os.write(self._events_fd, line) :]


def die_with_parent(parent_pid: int, poll_seconds: float = 2.0) -> None:
    """Ends this process when `parent_pid` is gone: at once by the kernel on Linux, within `poll_seconds` elsewhere.

    The kernel's signal follows the thread that forked, which may end before its process; hence the thread as well.
    """
    if sys.platform == "linux":
        _set_parent_death_signal()

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(poll_seconds)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _set_parent_death_signal() -> None:
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
