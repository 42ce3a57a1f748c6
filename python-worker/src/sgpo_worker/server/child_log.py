"""Where a child's stdout and stderr go."""

from __future__ import annotations

from pathlib import Path

_TAIL_BYTES = 32 * 1024


class ChildLog:
    """A log file that can be exchanged while its child writes on: a child may wait before a task, and serve several."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._waiting = True

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def assign(self, path: Path) -> None:
        """From now on `path`. What was said before the first task moves there too: it may tell why that task fails."""
        path.parent.mkdir(parents=True, exist_ok=True)
        before = self._path.read_bytes() if self._waiting and self._path.exists() else b""
        ended = self._file.closed
        self._file.close()
        if self._waiting:
            self._path.unlink(missing_ok=True)
        self._waiting = False
        self._path, self._file = path, path.open("ab", buffering=0)
        self._file.write(before)
        if ended:
            self._file.close()

    def tail(self, lines: int) -> list[str]:
        """The last `lines` lines."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]

    def close(self) -> None:
        """No more output. A child that never had a task and said nothing leaves no file."""
        self._file.close()
        if self._waiting and self._path.stat().st_size == 0:
            self._path.unlink()
