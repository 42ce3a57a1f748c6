"""Leases: an attempt runs only while somebody keeps saying that it should. Measured on the monotonic clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Lease:
    """Calls `on_expired` once, `seconds` after the last renewal, unless `end` came first."""

    def __init__(self, seconds: float, on_expired: Callable[[], None]) -> None:
        self._on_expired = on_expired
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._expire)
        self.expired = False

    def renew(self, seconds: float) -> bool:
        """Runs from now on for `seconds`. False when it had already run out or ended: too late."""
        if self.expired or self._timer.cancelled():
            return False
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._expire)
        return True

    def end(self) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        self._on_expired()
