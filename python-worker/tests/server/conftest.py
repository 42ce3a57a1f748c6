from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from server_harness import CHILD, HERE, Caller, Place, Worker, WorkerProcess, is_ours

from sgpo_worker.server import attempts
from sgpo_worker.server.config import read_config
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.server import WorkerServer


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    place.store.mkdir()
    yield place
    left = [process for process in psutil.process_iter() if is_ours(process, place)]
    for process in left:
        process.kill()
    assert not left, f"processes left behind: {left}"


@pytest.fixture
async def make_worker(place: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator:
    workers: list[Worker] = []
    monkeypatch.setattr(attempts, "_KILL_AFTER_SECONDS", 1.0)

    async def make(**env: str) -> Worker:
        stream = io.StringIO()
        variables = place.env(**env)
        server = WorkerServer(
            read_config(variables), env=variables, log=EventLog(stream), child_command=CHILD, min_lease_seconds=1
        )
        channel = grpc.aio.insecure_channel(await server.start())
        workers.append(Worker(server, Caller(channel), stream))
        return workers[-1]

    yield make
    for worker in workers:
        await worker.caller.channel.close()
        await worker.server.stop(2)


@pytest.fixture
async def worker(make_worker) -> Worker:
    return await make_worker()


@pytest.fixture
def spawn_worker(place: Place) -> Iterator:
    started: list[subprocess.Popen] = []

    def spawn(**env: str) -> WorkerProcess:
        process = subprocess.Popen(
            [sys.executable, HERE / "worker_process.py"], env=place.env(**env), stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "listening":
                return WorkerProcess(process, lines[-1]["address"], lines)
        raise AssertionError(f"the worker left: {lines}")

    yield spawn
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        process.stdout.close()


@pytest.fixture
async def connect() -> AsyncIterator:
    channels: list[grpc.aio.Channel] = []

    def connect(address: str) -> Caller:
        channels.append(grpc.aio.insecure_channel(address))
        return Caller(channels[-1])

    yield connect
    for channel in channels:
        await channel.close()
