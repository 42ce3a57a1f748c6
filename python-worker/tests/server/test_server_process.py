"""The server as a process: killed, told to leave, restarted, and what it leaves behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time

import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from server_harness import SOURCE, Place, gone, wait_gone

from sgpo_worker.gen import worker_pb2 as pb

STUBBORN = [["grandchild"], ["on_term", "ignore"], ["progress", 5], ["pid"], ["sleep", 120]]


async def test_after_kill_9_the_attempt_is_lost_and_no_orphan_stays(spawn_worker, connect, place: Place):
    first = spawn_worker(SGPO_WORKER_STANDBY="1")
    caller = connect(first.address)
    await caller.start("t-1", place.sft(*STUBBORN))
    pids = [await caller.pid("t-1"), await caller.pid("t-1", of="grandchild")]
    before = await caller.watch_some("t-1", 7)
    identity = await caller.worker()
    first.process.kill()
    first.process.wait()
    assert not any(gone(pid) for pid in pids)

    second = spawn_worker()
    assert all(gone(pid) for pid in pids)
    caller = connect(second.address)
    events = await caller.watch("t-1")
    assert events[:7] == before
    assert [event.sequence for event in events] == list(range(1, 9))
    finished = events[-1].finished
    assert (finished.outcome, finished.error.code) == (pb.TASK_OUTCOME_LOST, "WORKER.RESTARTED")
    again = await caller.worker()
    assert again.worker_id == identity.worker_id
    assert again.instance_id != identity.instance_id
    assert await caller.start("t-1", place.sft(*STUBBORN)) is False
    await caller.start("t-1", place.sft(["finish", "succeeded", place.output]), fence=2)
    assert (await caller.finished("t-1", fence=2)).outcome == pb.TASK_OUTCOME_SUCCEEDED


async def test_sigterm_checkpoints_trainings_loses_the_rest_and_leaves_with_0(spawn_worker, connect, place: Place):
    worker = spawn_worker(SGPO_WORKER_SLOTS="2", SGPO_WORKER_STANDBY="1")
    caller = connect(worker.address)
    await caller.start("train", place.sft(["on_term", "checkpoint"], ["pid"], ["sleep", 120]))
    await caller.start("generate", place.generate(["on_term", "leave"], ["pid"], ["sleep", 120]))
    pids = [await caller.pid(task_id) for task_id in ("train", "generate")]
    streams = [asyncio.create_task(caller.watch(task_id)) for task_id in ("train", "generate")]
    await asyncio.sleep(0.2)
    worker.process.send_signal(signal.SIGTERM)
    trained, generated = [(await stream)[-1].finished for stream in streams]
    assert trained.outcome == pb.TASK_OUTCOME_CHECKPOINTED
    assert (generated.outcome, generated.error.code) == (pb.TASK_OUTCOME_LOST, "WORKER.SHUT_DOWN")
    lines = await asyncio.to_thread(worker.rest)
    assert worker.process.returncode == 0
    assert lines[-1]["event"] == "modules"
    assert lines[-1]["forbidden"] == [], "the server must never import these"
    assert all(gone(pid) for pid in pids)
    assert not list((place.data / "children").glob("*"))


async def test_a_training_that_outlasts_the_grace_is_killed(spawn_worker, connect, place: Place):
    worker = spawn_worker(SGPO_WORKER_GRACE_SECONDS="1")
    caller = connect(worker.address)
    await caller.start("t-1", place.sft(*STUBBORN))
    pids = [await caller.pid("t-1"), await caller.pid("t-1", of="grandchild")]
    stream = asyncio.create_task(caller.watch("t-1"))
    await asyncio.sleep(0.2)
    started = time.monotonic()
    worker.process.send_signal(signal.SIGINT)
    finished = (await stream)[-1].finished
    assert (finished.outcome, finished.error.code) == (pb.TASK_OUTCOME_LOST, "WORKER.SHUT_DOWN")
    assert await asyncio.to_thread(worker.process.wait, 30) == 0
    assert time.monotonic() - started < 15
    assert all(gone(pid) for pid in pids)


async def test_a_second_signal_cuts_the_grace_short(spawn_worker, connect, place: Place):
    worker = spawn_worker(SGPO_WORKER_GRACE_SECONDS="60")
    caller = connect(worker.address)
    await caller.start("t-1", place.sft(["on_term", "ignore"], ["pid"], ["sleep", 120]))
    await caller.pid("t-1")
    worker.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    assert worker.process.poll() is None
    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, 30) == 0


async def test_the_worker_leaves_with_its_parent(spawn_worker, connect, place: Place):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"]) as parent:
        worker = spawn_worker(SGPO_PARENT_PID=str(parent.pid))
        caller = connect(worker.address)
        await caller.start("t-1", place.generate(["pid"], ["sleep", 120]))
        pid = await caller.pid("t-1")
        parent.kill()
    assert await asyncio.to_thread(worker.process.wait, 30) == 0
    assert gone(pid)


def test_two_workers_never_share_a_data_folder(spawn_worker, place: Place):
    spawn_worker()
    failed = subprocess.run(
        [sys.executable, "-m", "sgpo_worker.server.main"],
        env=place.env(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert failed.returncode == 2
    assert failed.stderr.startswith("SGPO_WORKER_DATA: ")


def test_two_workers_never_share_a_port(spawn_worker, place: Place, tmp_path):
    worker = spawn_worker()
    env = place.env(SGPO_WORKER_LISTEN=worker.address, SGPO_WORKER_DATA=str(tmp_path / "other"))
    command = [sys.executable, "-m", "sgpo_worker.server.main"]
    failed = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1].startswith(f"SGPO_WORKER_LISTEN: '{worker.address}'")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({"SGPO_STORE": "/nowhere"}, "SGPO_STORE: '/nowhere': "), ({"SGPO_WORKER_SLOTS": "many"}, "SGPO_WORKER_SLOTS: 'many': ")],
)
def test_a_wrong_variable_ends_the_worker_with_one_line(place: Place, variables: dict, expected: str):
    command = [sys.executable, "-m", "sgpo_worker.server.main"]
    failed = subprocess.run(command, env=place.env(**variables), capture_output=True, text=True, timeout=30, check=False)
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
    assert failed.stderr.startswith(expected)


async def test_health_says_serving_until_the_worker_drains(worker):
    health = health_pb2_grpc.HealthStub(worker.caller.channel)
    for service in ("", "sgpo.worker.v1.WorkerService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await worker.caller.stub.Drain(pb.DrainRequest())
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_get_worker_says_what_reaches_results(worker):
    answer = await worker.caller.worker()
    assert (answer.device_kind, answer.engine, answer.deterministic, answer.slots) == ("cpu", "transformers", True, 1)
    assert len(answer.devices) == 1
    assert {"sgpo_worker", "python", "torch", "transformers", "trl", "tokenizers"} <= set(answer.versions)
    assert answer.worker_id.startswith("worker-")


def test_importing_the_entry_loads_no_heavy_library():
    program = "import sys, sgpo_worker.server.main; print({'torch', 'transformers', 'pyarrow', 'numpy'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, timeout=30, check=True
    )
    assert found.stdout == "set()\n"


async def test_a_process_with_a_reused_pid_is_left_alone(spawn_worker, place: Place):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True) as stranger:
        (place.data / "children").mkdir(parents=True)
        (place.data / "children" / str(stranger.pid)).write_text("another-boot:1")
        spawn_worker()
        assert psutil.Process(stranger.pid).is_running()
        assert not gone(stranger.pid)
        stranger.kill()
    await wait_gone(stranger.pid)
