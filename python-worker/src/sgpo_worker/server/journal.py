"""Journals: what an attempt said, one JSON object a line, numbered from 1 without gaps.

A reader gets the past from the file and then follows live, so watching again after any disconnect loses and repeats nothing.
The file `journals/<task_id>/<fence>.jsonl` is also the record that the attempt was ever accepted: the highest fence of a task
is the highest name in its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sgpo_worker.events import Event, Finished, decode_event
from sgpo_worker.server.errors import InvalidRequestError

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    sequence: int
    at_ns: int
    """Wall clock, nanoseconds since the epoch."""
    event: Event


def check_task_id(task_id: str) -> str:
    """The id, fit for a path. Raises InvalidRequestError."""
    if not _TASK_ID.fullmatch(task_id):
        raise InvalidRequestError(f"task_id: {task_id[:80]!r}: use 1 to 64 letters, digits, '_' or '-'")
    return task_id


class Journal:
    """One attempt's journal. Written by one server; any number of readers."""

    def __init__(self, path: Path) -> None:
        """Opens or creates `path`. What a crash left half-written at its end is cut off."""
        self.path = path
        self.last_sequence = 0
        self.finished: Finished | None = None
        self._size = 0
        self._changed = asyncio.Event()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def append(self, event: Event) -> JournalEntry:
        """Adds an event and wakes the readers. A Finished is on disk before anybody reads it. Raises OSError."""
        if self.finished is not None:
            raise RuntimeError(f"{self.path.name} already holds a Finished event")
        entry = JournalEntry(sequence=self.last_sequence + 1, at_ns=time.time_ns(), event=event)
        data = {"sequence": entry.sequence, "at_ns": entry.at_ns, "event": asdict(event)}
        line = (json.dumps(data, ensure_ascii=False) + "\n").encode()
        try:
            self._write(line)
            if isinstance(event, Finished):
                os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        self.last_sequence = entry.sequence
        if isinstance(event, Finished):
            self.finished = event
        self._wake()
        return entry

    async def follow(self, after_sequence: int) -> AsyncIterator[JournalEntry]:
        """Entries after `after_sequence`, first from disk and then as they come; ends after Finished or `close`."""
        with self.path.open("rb") as file:
            while True:
                # Taken before reading: an entry added in between must not be slept over.
                changed = self._changed
                for entry in self._read(file.fileno()):
                    if entry.sequence > after_sequence:
                        yield entry
                complete = self.finished is not None or self._file < 0
                if complete and os.lseek(file.fileno(), 0, os.SEEK_CUR) >= self._size:
                    return
                await changed.wait()

    def close(self) -> None:
        """Gives the file back; readers end."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _read(self, file: int) -> Iterator[JournalEntry]:
        """Entries from the file's position to what `append` has completed."""
        rest = b""
        position = os.lseek(file, 0, os.SEEK_CUR)
        while position < self._size:
            chunk = os.read(file, min(_CHUNK_BYTES, self._size - position))
            position += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _decode(line)

    def _recover(self) -> None:
        with self.path.open("rb") as file:
            for line in file:
                try:
                    if not line.endswith(b"\n"):
                        break
                    entry = _decode(line)
                except (ValueError, KeyError, TypeError):
                    break
                if entry.sequence != self.last_sequence + 1 or self.finished is not None:
                    break
                self._size += len(line)
                self.last_sequence = entry.sequence
                if isinstance(entry.event, Finished):
                    self.finished = entry.event
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)


class JournalFolder:
    """All journals of a worker."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def create(self, task_id: str, fence: int) -> Journal:
        folder = self.root / check_task_id(task_id)
        folder.mkdir(exist_ok=True)
        return Journal(folder / f"{fence}.jsonl")

    def exists(self, task_id: str, fence: int) -> bool:
        return (self.root / check_task_id(task_id) / f"{fence}.jsonl").is_file()

    def newest_fence(self, task_id: str) -> int | None:
        """The highest fence this worker has ever accepted for the task."""
        return max((int(path.stem) for path in (self.root / check_task_id(task_id)).glob("[0-9]*.jsonl")), default=None)

    def attempts(self) -> Iterator[tuple[str, int]]:
        """Every (task_id, fence) there is a journal of."""
        for path in sorted(self.root.glob("*/[0-9]*.jsonl")):
            yield path.parent.name, int(path.stem)


def _decode(line: bytes) -> JournalEntry:
    data = json.loads(line)
    return JournalEntry(sequence=data["sequence"], at_ns=data["at_ns"], event=decode_event(json.dumps(data["event"])))
