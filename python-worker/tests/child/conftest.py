from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from sgpo_worker.child.session import Session, StopRequest
from sgpo_worker.events import Event, decode_event
from sgpo_worker.specs import ChildTask, TaskSpec

from . import tiny

# Tests share their machine; threads that wait for each other by spinning make a tiny model many times slower on a busy one.
torch.set_num_threads(1)


@dataclass
class Bench:
    """A session in this process whose events a test can read."""

    session: Session
    path: Path

    def events(self) -> list[Event]:
        return [decode_event(line) for line in self.path.read_text().splitlines()]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def model(store: Path) -> str:
    return tiny.publish_model(store)


@pytest.fixture
def bench(store: Path, tmp_path: Path) -> Iterator[Callable[[TaskSpec], Bench]]:
    descriptors: list[int] = []

    def make(spec: TaskSpec) -> Bench:
        path = tmp_path / f"events-{len(descriptors)}.jsonl"
        descriptors.append(os.open(path, os.O_CREAT | os.O_WRONLY))
        task = ChildTask(task_id="task", attempt=1, store=store, work_dir=tmp_path / "work", spec=spec)
        return Bench(Session(task, descriptors[-1], StopRequest()), path)

    yield make
    for descriptor in descriptors:
        os.close(descriptor)
