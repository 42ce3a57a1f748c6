"""Training over a host's devices: in this process on one, in one process a GPU (FSDP) on several.

The ranks are ordinary children of this process, in its process group, with the environment that `torchrun` would give them.
`torchrun` itself is left out because its agent answers SIGTERM by ending the ranks, which must first save their checkpoint.
Not yet run on several GPUs: commands, configuration and two ranks on CPUs, which copy the model, are tested; sharding itself
(FSDP), with full weights or with adapters, is not.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.session import Session
from sgpo_worker.child.training_memory import run_with_less_memory
from sgpo_worker.events import Finished, decode_event
from sgpo_worker.specs import DpoSpec, SftSpec

EXIT_OUT_OF_MEMORY = 76
_POLL_SECONDS = 0.5


def train_on_devices(session: Session, spec: SftSpec | DpoSpec, run_here: Callable[[int], Finished]) -> Finished:
    """Runs `run_here(micro_batch_size)` in this process, or ranks over all GPUs where there are several."""
    devices = max(1, torch.cuda.device_count())
    if devices == 1:
        return run_with_less_memory(session, spec, devices, run_here)
    return run_with_less_memory(session, spec, devices, lambda size: _run_ranks(session, devices, size))


def rank_command(micro_batch_size: int, result: Path) -> list[str]:
    """The command of every rank; the task goes to its stdin."""
    return [sys.executable, "-m", "sgpo_worker.child.rank", str(micro_batch_size), str(result)]


def rank_environment(environment: Mapping[str, str], rank: int, devices: int, port: int) -> dict[str, str]:
    """`environment` with what torch.distributed reads, for one of `devices` ranks on this host."""
    return {
        **environment,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(devices),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "SGPO_PARENT_PID": str(os.getpid()),
        "SGPO_EVENTS_FD": environment["SGPO_EVENTS_FD"] if rank == 0 else "-1",
    }


def _run_ranks(session: Session, devices: int, micro_batch_size: int) -> Finished:
    result = session.task.work_dir / "rank-result.json"
    result.unlink(missing_ok=True)
    port = _free_port()
    events_fd = int(os.environ["SGPO_EVENTS_FD"])
    ranks: list[subprocess.Popen[str]] = []
    try:
        for rank in range(devices):
            process = subprocess.Popen(
                rank_command(micro_batch_size, result),
                env=rank_environment(os.environ, rank, devices, port),
                stdin=subprocess.PIPE,
                pass_fds=(events_fd,) if rank == 0 else (),
                text=True,
            )
            ranks.append(process)
            if process.stdin is not None:
                process.stdin.write(session.task.to_json() + "\n")
                process.stdin.close()
        statuses = _wait(session, ranks)
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    if EXIT_OUT_OF_MEMORY in statuses:
        raise torch.OutOfMemoryError(f"CUDA out of memory in rank {statuses.index(EXIT_OUT_OF_MEMORY)} of {devices}")
    if not result.is_file():
        raise TaskFailure(
            "WORKER.FAILED",
            "infrastructure",
            f"the training's processes ended with statuses {statuses} and no result",
            "Read the worker's log of this task for the traceback of the rank that ended first.",
        )
    finished = decode_event(result.read_text(encoding="utf-8"))
    if not isinstance(finished, Finished):
        raise TypeError(f"rank result is a {finished.type} event")
    return finished


def _wait(session: Session, ranks: list[subprocess.Popen[str]]) -> list[int | None]:
    """Waits until all ranks ended, or one ended badly. Passes a stop request on to them once."""
    told = False
    while True:
        statuses = [process.poll() for process in ranks]
        if all(status is not None for status in statuses) or any(status not in (None, 0) for status in statuses):
            return statuses
        if session.stop.requested and not told:
            told = True
            for process in ranks:
                process.terminate()
        time.sleep(_POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
