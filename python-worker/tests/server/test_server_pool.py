"""Which child a task gets: warm, standby or fresh; observed by pid."""

from __future__ import annotations

import asyncio

import psutil
from server_harness import Place, Worker, gone, wait_gone

from sgpo_worker.gen import worker_pb2 as pb


async def run(worker: Worker, task_id: str, spec: dict) -> int:
    """Runs the task to its success; the pid it ran in."""
    await worker.caller.start(task_id, spec)
    pid = await worker.caller.pid(task_id)
    assert (await worker.caller.finished(task_id)).outcome == pb.TASK_OUTCOME_SUCCEEDED
    return pid


def warm(place: Place) -> list[list]:
    return [["pid"], ["finish", "succeeded", place.output], ["idle"]]


async def settled(worker: Worker) -> None:
    while worker.server._supervisor._pool._settling:
        await asyncio.sleep(0.02)


async def test_a_warm_child_serves_the_same_model_again(worker: Worker, place: Place):
    first = await run(worker, "t-1", place.generate(*warm(place)))
    assert await run(worker, "t-2", place.score(*warm(place))) == first
    await settled(worker)
    assert (await worker.caller.worker()).warm_model_digest == place.publish("base", "model.safetensors")
    assert (place.data / "logs" / "t-1" / "1.log").read_text() == "attempt 1 of t-1\n"
    assert (place.data / "logs" / "t-2" / "1.log").read_text() == "attempt 1 of t-2\n"


async def test_another_model_gets_a_fresh_child_and_the_warm_one_is_gone_first(worker: Worker, place: Place):
    first = await run(worker, "t-1", place.generate(*warm(place)))
    await worker.caller.start("t-2", place.generate(*warm(place), model="other"))
    second = await worker.caller.pid("t-2")
    assert second != first
    assert gone(first)
    await worker.caller.finished("t-2")


async def test_a_training_never_runs_in_a_warm_child(worker: Worker, place: Place):
    first = await run(worker, "t-1", place.generate(*warm(place)))
    assert await run(worker, "t-2", place.sft(["pid"], ["finish", "succeeded", place.output])) != first
    assert gone(first)


async def test_a_warm_child_leaves_after_its_idle_time(make_worker, place: Place):
    worker = await make_worker(SGPO_WORKER_IDLE_SECONDS="1")
    pid = await run(worker, "t-1", place.generate(*warm(place)))
    await settled(worker)
    assert (await worker.caller.worker()).warm_model_digest
    await wait_gone(pid)
    assert not (await worker.caller.worker()).warm_model_digest


async def test_a_warm_child_that_dies_is_not_used(worker: Worker, place: Place):
    first = await run(worker, "t-1", place.generate(*warm(place)))
    await settled(worker)
    psutil.Process(first).kill()
    await wait_gone(first)
    assert not (await worker.caller.worker()).warm_model_digest
    assert await run(worker, "t-2", place.generate(*warm(place))) != first


async def test_a_standby_child_is_ready_before_the_task_and_replaced(make_worker, place: Place):
    worker = await make_worker(SGPO_WORKER_STANDBY="1")
    standby = await standby_pid(place)
    assert await run(worker, "t-1", place.sft(["pid"], ["finish", "succeeded", place.output])) == standby
    await settled(worker)
    assert await standby_pid(place) != standby


async def test_a_dead_standby_child_is_replaced_by_a_fresh_one(make_worker, place: Place):
    worker = await make_worker(SGPO_WORKER_STANDBY="1")
    standby = await standby_pid(place)
    psutil.Process(standby).kill()
    await wait_gone(standby)
    assert await run(worker, "t-1", place.sft(["pid"], ["finish", "succeeded", place.output])) != standby


async def test_two_idle_children_are_never_kept(make_worker, place: Place):
    worker = await make_worker(SGPO_WORKER_SLOTS="2")
    for task_id, model in (("t-1", "base"), ("t-2", "other")):
        steps = [["pid"], ["sleep", 0.5], ["finish", "succeeded", place.output], ["idle"]]
        await worker.caller.start(task_id, place.generate(*steps, model=model))
    pids = [await worker.caller.pid("t-1"), await worker.caller.pid("t-2")]
    await asyncio.gather(worker.caller.finished("t-1"), worker.caller.finished("t-2"))
    await settled(worker)
    assert sorted(gone(pid) for pid in pids) == [False, True]


async def test_a_child_sees_a_safe_environment(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["pid"], ["sleep", 60]))
    child = psutil.Process(await worker.caller.pid("t-1")).environ()
    expected = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",
        "SGPO_WORKER_ENGINE": "transformers",
    }
    assert expected.items() <= child.items()
    assert int(child["SGPO_PARENT_PID"]) == psutil.Process().pid
    assert not [name for name in child if name.startswith("SGPO_TLS")]


async def standby_pid(place: Place) -> int:
    for _ in range(200):
        records = list((place.data / "children").glob("*"))
        if len(records) == 1:
            return int(records[0].name)
        await asyncio.sleep(0.02)
    raise AssertionError("no standby child")
