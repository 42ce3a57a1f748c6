"""Entry of the worker: `python -m sgpo_worker.server.main`, configured by SGPO_* variables. Status 0: an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from sgpo_worker.server.config import ConfigError, WorkerConfig, read_config
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.process_family import identify_process
from sgpo_worker.server.server import WorkerServer

_PARENT_POLL_SECONDS = 1.0


async def serve(server: WorkerServer, config: WorkerConfig, log: EventLog) -> None:
    """Runs until SIGTERM, SIGINT or the parent's end. A second signal cuts the grace short. Raises ConfigError."""
    leave = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        log.info("signal", signal=number.name)
        if leave.is_set():
            server.hurry.set()
        leave.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await server.start()
    watching = None if config.parent_pid is None else asyncio.create_task(_watch_parent(config.parent_pid, leave, log))
    await leave.wait()
    if watching is not None:
        watching.cancel()
    await server.stop(config.grace_seconds)


async def _watch_parent(pid: int, leave: asyncio.Event, log: EventLog) -> None:
    identity = identify_process(pid)
    while identity is not None and identify_process(pid) == identity:
        await asyncio.sleep(_PARENT_POLL_SECONDS)
    log.warning("parent is gone", parentPid=pid)
    leave.set()


async def _run(log: EventLog) -> None:
    config = read_config(os.environ)
    await serve(WorkerServer(config, env=os.environ, log=log), config, log)


def main() -> int:
    log = EventLog(sys.stdout)
    try:
        asyncio.run(_run(log))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
