"""The child as its server sees it: lines in, events out, signals and exit statuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sgpo_worker.child.sft import run_sft
from sgpo_worker.events import Event, Finished, Idle, Progress, decode_event
from sgpo_worker.specs import ChildTask, LoraParameters, TaskSpec

from . import tiny
from .conftest import Bench
from .test_inference import PROMPTS, generate_spec, publish_answers, score_spec
from .test_training import ANSWERS, sft_spec

SECONDS = 120.0
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


class Child:
    """A child process, its stdin and its events."""

    def __init__(self, store: Path, work_dir: Path, **environment: str) -> None:
        self.store, self.work_dir = store, work_dir
        reader, writer = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sgpo_worker.child"],
            stdin=subprocess.PIPE,
            env={**ENVIRONMENT, "SGPO_EVENTS_FD": str(writer), "SGPO_PARENT_PID": str(os.getpid()), **environment},
            pass_fds=(writer,),
            text=True,
            start_new_session=True,
        )
        os.close(writer)
        self.lines = os.fdopen(reader)

    def send(self, spec: TaskSpec) -> None:
        assert self.process.stdin
        task = ChildTask(task_id="task", attempt=1, store=self.store, work_dir=self.work_dir, spec=spec)
        self.process.stdin.write(task.to_json() + "\n")
        self.process.stdin.flush()

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        for line in self.lines:
            event = decode_event(line)
            if wanted(event):
                return event
        raise AssertionError("the child ended before the event came")

    def finish(self) -> Any:
        return self.until(lambda event: isinstance(event, Finished))

    def status(self) -> int:
        return self.process.wait(SECONDS)


@pytest.fixture
def start(store: Path, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def make(**environment: str) -> Child:
        children.append(Child(store, tmp_path / "work", **environment))
        return children[-1]

    yield make
    for child in children:
        child.process.kill()
        child.process.wait()
        child.lines.close()


def test_one_child_generates_scores_and_leaves_when_stdin_ends(start: Callable[..., Child], store: Path, model: str) -> None:
    child = start()
    child.send(generate_spec(model, tiny.publish_prompts(store, PROMPTS)))
    assert child.finish().outcome == "succeeded"
    assert child.until(lambda event: isinstance(event, Idle)) == Idle(warm_model=model)
    child.send(score_spec(model, publish_answers(store, [("what?", "tea", None)])))
    finished = child.finish()
    assert (finished.outcome, finished.rows_out) == ("succeeded", 1)
    assert finished.peak_rss_bytes > 50_000_000
    assert finished.seconds > 0
    assert child.process.stdin
    child.process.stdin.close()
    assert child.status() == 0


def test_sigterm_makes_a_training_save_and_an_equal_task_go_on(
    start: Callable[..., Child], bench: Callable[..., Bench], store: Path, model: str
) -> None:
    # An adapter, because its configuration holds a set, whose order changes from process to process.
    adapter = LoraParameters(rank=4, alpha=8.0, dropout=0.1, target_modules=[])
    spec = sft_spec(model, tiny.publish_sft(store, ANSWERS), epochs=30.0, lora=adapter)
    child = start()
    child.send(spec)
    child.until(lambda event: isinstance(event, Progress) and event.done >= 3)
    child.process.send_signal(signal.SIGTERM)
    assert child.finish().outcome == "checkpointed"
    assert child.status() == 75
    again = start()
    again.send(spec)
    first = again.until(lambda event: isinstance(event, Progress))
    assert isinstance(first, Progress)
    assert first.done >= 3
    resumed = again.finish()
    assert (resumed.outcome, again.status()) == ("succeeded", 0)
    assert run_sft(bench(spec).session, spec).output == resumed.output


def test_sigterm_ends_a_generation_at_once(start: Callable[..., Child], store: Path, model: str) -> None:
    child = start()
    child.send(generate_spec(model, tiny.publish_prompts(store, PROMPTS * 500), max_new_tokens=100, block_rows=1))
    child.until(lambda event: isinstance(event, Progress))
    child.process.send_signal(signal.SIGTERM)
    assert child.finish().outcome == "canceled"
    assert child.status() == 143


def test_a_failure_is_told_with_its_remedy(start: Callable[..., Child], store: Path, model: str) -> None:
    child = start()
    child.send(generate_spec(model, "0" * 64))
    error = child.finish().error
    assert (error.code, error.failure_class) == ("ARTIFACT.MISSING_FILES", "infrastructure")
    assert error.remedy
    assert child.status() == 1


def test_an_idle_child_leaves_quietly_on_sigterm(start: Callable[..., Child]) -> None:
    child = start()
    time.sleep(1.0)
    child.process.send_signal(signal.SIGTERM)
    assert child.status() in (0, -signal.SIGTERM)
    assert child.lines.read() == ""


def test_a_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'sgpo_worker.child'], stdin=subprocess.PIPE,"
        " env={**os.environ, 'SGPO_EVENTS_FD': '2', 'SGPO_PARENT_PID': str(os.getpid())}, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(3)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.wait(SECONDS)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.1)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
