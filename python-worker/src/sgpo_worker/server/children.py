"""Child processes: started in a session of their own, told one task a line, heard through a pipe of events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgpo_worker.events import Event, decode_event, encode_event
from sgpo_worker.server.child_log import ChildLog
from sgpo_worker.server.mapping import write_event
from sgpo_worker.server.process_family import MARK, ProcessFamily, identify_process
from sgpo_worker.specs import ChildTask

_EVENT_LIMIT_BYTES = 16 * 1024 * 1024
_LEAVE_SECONDS = 10.0
_STRAGGLER_SECONDS = 5.0
_SECRETS = ("SGPO_TLS_CERT", "SGPO_TLS_KEY", "SGPO_TLS_CLIENT_CA")


class ChildProtocolError(Exception):
    """A child said something that is no event."""


@dataclass(frozen=True, kw_only=True)
class ChildCommand:
    """How children are started."""

    command: Sequence[str]
    env: Mapping[str, str]
    data: Path


def build_child_env(env: Mapping[str, str], *, engine: str, data: Path) -> dict[str, str]:
    """A child's environment: the server's without its TLS files, offline, and gentle to its neighbours."""
    kept = {name: value for name, value in env.items() if name not in _SECRETS}
    return {
        **kept,
        # A spinning OpenMP thread takes the core that another child, or this server, needs.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",
        "SGPO_WORKER_ENGINE": engine,
        "SGPO_PARENT_PID": str(os.getpid()),
        MARK: str(data),
    }


class Child:
    """One child process, leader of its own process group. Made by `start_child`."""

    def __init__(
        self,
        *,
        transport: asyncio.SubprocessTransport,
        protocol: _ChildProtocol,
        events: asyncio.StreamReader,
        log: ChildLog,
        record: Path,
    ) -> None:
        self.pid = transport.get_pid()
        self.family = protocol.family
        self.exited: asyncio.Future[int] = protocol.exited
        """The exit status once it is gone; negative: the signal that ended it."""
        self.warm_model = ""
        """Digest of the weights it holds while idle."""
        self._transport = transport
        self._silent = protocol.silent
        self._events = events
        self._log = log
        self._record = record
        self.exited.add_done_callback(lambda _: self._forget())

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    def assign(self, task: ChildTask, log_path: Path) -> None:
        """Tells the task. A child that is already gone is found out by its events ending."""
        self.warm_model = ""
        self._log.assign(log_path)
        self._write((task.to_json() + "\n").encode())

    async def next_event(self) -> Event | None:
        """The next event, or None when there will be no more. Raises ChildProtocolError."""
        try:
            line = await self._events.readline()
        except ValueError as error:
            raise ChildProtocolError(f"an event of more than {_EVENT_LIMIT_BYTES} bytes") from error
        if not line.endswith(b"\n"):
            # A last line without its end was cut short by the child's death.
            return None
        try:
            event = decode_event(line.decode(errors="replace"))
            # JSON may carry lone surrogates, which neither UTF-8 nor protobuf can: they become "?".
            event = decode_event(encode_event(event).encode(errors="replace").decode())
            # What has no form on the wire must not reach the journal, where every reader would trip over it.
            write_event(event)
            return event
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ChildProtocolError(f"a line that is no event ({error!r}): {line[:200]!r}") from error

    def log_tail(self, lines: int) -> list[str]:
        return self._log.tail(lines)

    async def last_words(self, lines: int) -> list[str]:
        """The log's last lines once the child is gone; waits a moment for output that is still in the pipe."""
        await asyncio.wait({self._silent}, timeout=2)
        return self._log.tail(lines)

    def ask_to_leave(self) -> None:
        """SIGTERM to the leader alone: a training saves a checkpoint, and tells its ranks itself."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    async def end(self, *, leave_seconds: float = _LEAVE_SECONDS, term_seconds: float = 5.0) -> int:
        """Ends it and waits until it is gone: closes stdin, then SIGTERM to all, then SIGKILL. Returns the exit status."""
        stdin = self._transport.get_pipe_transport(0)
        if stdin is not None:
            stdin.close()
        if leave_seconds > 0:
            await asyncio.wait({self.exited}, timeout=leave_seconds)
        if self.alive:
            self.family.signal(signal.SIGTERM)
            await asyncio.wait({self.exited}, timeout=term_seconds)
        if self.alive:
            self.family.kill()
        return await asyncio.shield(self.exited)

    def _write(self, data: bytes) -> None:
        stdin = self._transport.get_pipe_transport(0)
        if isinstance(stdin, asyncio.WriteTransport) and not stdin.is_closing():
            stdin.write(data)

    def _forget(self) -> None:
        self._record.unlink(missing_ok=True)


class _ChildProtocol(asyncio.SubprocessProtocol):
    """Takes the output to the log; knows of the exit at once, even while a straggler holds a pipe open."""

    def __init__(self, log: ChildLog) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.silent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when all output is in the log."""
        self.family = ProcessFamily(0)
        self.events: asyncio.ReadTransport | None = None
        self._log = log
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.SubprocessTransport):
            self._transport = transport
            self.family = ProcessFamily(transport.get_pid())

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self._log.write(data)

    def process_exited(self) -> None:
        # What the leader left behind would hold memory, devices and the pipes.
        self.family.kill()
        if self._transport is not None:
            self.exited.set_result(self._transport.get_returncode() or 0)
        asyncio.get_running_loop().call_later(_STRAGGLER_SECONDS, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._log.close()
        self.silent.set_result(None)

    def _close(self) -> None:
        if self.events is not None:
            self.events.close()
        if self._transport is not None:
            self._transport.close()


async def start_child(how: ChildCommand) -> Child:
    """Starts a child that waits for a task. Raises OSError when the program cannot be started."""
    loop = asyncio.get_running_loop()
    folder = how.data / "children"
    folder.mkdir(exist_ok=True)
    log = ChildLog(how.data / "logs" / f"child-{secrets.token_hex(6)}.log")
    events_read, events_write = os.pipe()
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: _ChildProtocol(log),
            *how.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(events_write,),
            start_new_session=True,
            env={**how.env, "SGPO_EVENTS_FD": str(events_write)},
        )
    except BaseException:
        os.close(events_read)
        log.close()
        raise
    finally:
        # With the write end closed here, the child's end is the events' end.
        os.close(events_write)
    events = asyncio.StreamReader(limit=_EVENT_LIMIT_BYTES)
    reading, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(events), os.fdopen(events_read, "rb", buffering=0)
    )
    protocol.events = reading
    pid = transport.get_pid()
    record = folder / str(pid)
    record.write_text(identify_process(pid) or "")
    return Child(transport=transport, protocol=protocol, events=events, log=log, record=record)
