"""What the server tests share: a place to work in, a caller, and ways to wait."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil

from sgpo_worker.gen import worker_pb2 as pb
from sgpo_worker.gen.worker_pb2_grpc import WorkerServiceStub
from sgpo_worker.server.server import WorkerServer

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
CHILD = (sys.executable, str(HERE / "scripted_child.py"))


@dataclass
class Place:
    """A data folder and a store with what tests put there."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def store(self) -> Path:
        return self.root / "store"

    def publish(self, content: str, name: str = "script.json") -> str:
        """An artifact with one file; the worker looks only for its manifest."""
        digest = hashlib.sha256(f"{name} {content}".encode()).hexdigest()
        folder = self.store / digest[:2] / digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
        (folder / "manifest.json").write_text('{"files":[]}')
        return digest

    def script(self, *steps: list) -> str:
        return self.publish(json.dumps(steps))

    def env(self, **more: str) -> dict[str, str]:
        path = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]}
        places = {"SGPO_WORKER_DATA": str(self.data), "SGPO_STORE": str(self.store), "SGPO_WORKER_LISTEN": "127.0.0.1:0"}
        return path | places | {"SGPO_WORKER_STANDBY": "0", "SGPO_WORKER_ENGINE": "transformers"} | more

    @property
    def output(self) -> str:
        return self.publish("weights", "model.safetensors")

    def generate(self, *steps: list, model: str = "base") -> dict:
        artifact = pb.ArtifactRef(digest=self.script(*steps))
        weights = pb.ArtifactRef(digest=self.publish(model, "model.safetensors"))
        spec = pb.GenerateSpec(
            model=weights,
            input=artifact,
            temperature=0.7,
            top_p=0.9,
            max_new_tokens=8,
            max_length=64,
            seed=1,
            block_rows=4,
            dtype=pb.DTYPE_FLOAT32,
        )
        return {"generate": spec}

    def sft(self, *steps: list) -> dict:
        model = pb.ArtifactRef(digest=self.publish("base", "model.safetensors"))
        return {"sft": pb.SftSpec(model=model, dataset=pb.ArtifactRef(digest=self.script(*steps)), training=training())}

    def dpo(self, *steps: list) -> dict:
        model = pb.ArtifactRef(digest=self.publish("base", "model.safetensors"))
        dataset = pb.ArtifactRef(digest=self.script(*steps))
        spec = pb.DpoSpec(
            policy=model, reference=model, dataset=dataset, training=training(), trainer="dpo", loss_types=["sigmoid"], beta=0.01
        )
        return {"dpo": spec}

    def score(self, *steps: list, model: str = "base") -> dict:
        weights = pb.ArtifactRef(digest=self.publish(model, "model.safetensors"))
        artifact = pb.ArtifactRef(digest=self.script(*steps))
        return {"score": pb.ScoreSpec(model=weights, input=artifact, max_length=64, block_rows=4, dtype=pb.DTYPE_BFLOAT16)}


def training(**more: object) -> pb.TrainingParameters:
    values = {
        "epochs": 1,
        "learning_rate": 5e-7,
        "batch_size": 8,
        "micro_batch_size": 4,
        "max_length": 64,
        "warmup_ratio": 0.1,
        "scheduler": "cosine",
        "max_grad_norm": 1,
        "seed": 1,
        "dtype": pb.DTYPE_FLOAT32,
        "save_dtype": pb.DTYPE_BFLOAT16,
    }
    return pb.TrainingParameters(**(values | more))


class Caller:
    """What an orchestrator would do, in one line each."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.stub = WorkerServiceStub(channel)

    async def start(self, task_id: str, spec: dict, *, fence: int = 1, lease: int = 60, attempt: int = 1) -> bool:
        request = pb.StartTaskRequest(
            task_id=task_id, attempt=attempt, fence=fence, lease_seconds=lease, labels={"run_id": "run-1"}, **spec
        )
        return (await self.stub.StartTask(request)).started

    async def watch(self, task_id: str, *, fence: int = 1, after: int = 0) -> list[pb.TaskEvent]:
        request = pb.WatchTaskRequest(task_id=task_id, fence=fence, after_sequence=after)
        async with asyncio.timeout(60):
            return [response.event async for response in self.stub.WatchTask(request)]

    async def watch_some(self, task_id: str, count: int) -> list[pb.TaskEvent]:
        """The first `count` events."""
        stream = self.stub.WatchTask(pb.WatchTaskRequest(task_id=task_id, fence=1))
        events: list[pb.TaskEvent] = []
        async with asyncio.timeout(60):
            async for response in stream:
                events.append(response.event)
                if len(events) == count:
                    stream.cancel()
                    return events
        raise AssertionError(f"only {len(events)} events came")

    async def finished(self, task_id: str, *, fence: int = 1) -> pb.Finished:
        return (await self.watch(task_id, fence=fence))[-1].finished

    async def until(self, task_id: str, text: str, *, fence: int = 1) -> str:
        """The first log message that holds `text`."""
        stream = self.stub.WatchTask(pb.WatchTaskRequest(task_id=task_id, fence=fence))
        async with asyncio.timeout(60):
            async for response in stream:
                if text in response.event.log.message:
                    stream.cancel()
                    return response.event.log.message
        raise AssertionError(f"{text!r} never came")

    async def pid(self, task_id: str, *, fence: int = 1, of: str = "pid") -> int:
        return int((await self.until(task_id, f"{of} ", fence=fence)).rpartition(" ")[2])

    async def cancel(self, task_id: str, mode: int, *, fence: int = 1) -> None:
        await self.stub.CancelTask(pb.CancelTaskRequest(task_id=task_id, fence=fence, mode=mode))

    async def renew(self, task_id: str, *, fence: int = 1, lease: int = 60) -> None:
        await self.stub.RenewLease(pb.RenewLeaseRequest(task_id=task_id, fence=fence, lease_seconds=lease))

    async def worker(self) -> pb.GetWorkerResponse:
        return await self.stub.GetWorker(pb.GetWorkerRequest())


@dataclass
class Worker:
    """A server in this process."""

    server: WorkerServer
    caller: Caller
    log: io.StringIO

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@dataclass
class WorkerProcess:
    """A server in a process of its own."""

    process: subprocess.Popen
    address: str
    lines: list[dict] = field(default_factory=list)

    def rest(self) -> list[dict]:
        """Waits for the end; the log lines since it listened."""
        output, _ = self.process.communicate(timeout=60)
        return [json.loads(line) for line in output.splitlines()]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def wait_gone(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        await asyncio.sleep(0.05)


def is_ours(process: psutil.Process, place: Place) -> bool:
    try:
        return process.environ().get("SGPO_CHILD_OF") == str(place.data)
    except psutil.Error:
        return False
