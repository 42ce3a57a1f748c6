"""Log lines of the server: one JSON object a line, a fixed `event` and fields."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO


class EventLog:
    """Writes events to `stream`; `bind` gives a log whose every line carries more fields."""

    def __init__(self, stream: TextIO, fields: Mapping[str, object] | None = None) -> None:
        self._stream = stream
        self._fields = dict(fields or {})

    def bind(self, fields: Mapping[str, object]) -> EventLog:
        return EventLog(self._stream, {**self._fields, **fields})

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({**self._fields, **fields, "at": at, "level": level, "event": event}, default=str)
        # The reader of the log may leave before the worker; its tasks must still be ended in order.
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self._stream, flush=True)
