"""Starting, following and ending attempts, over gRPC against a server in this process."""

from __future__ import annotations

import asyncio
import signal

import grpc
import pytest
from server_harness import Caller, Place, Worker, gone, wait_gone

from sgpo_worker.gen import worker_pb2 as pb

SLOW = [["pid"], ["sleep", 60]]
NOW, AT_CHECKPOINT = pb.CANCEL_MODE_NOW, pb.CANCEL_MODE_AT_CHECKPOINT


async def refused(call, code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code, caught.value.details()
    return caught.value.details()


async def test_a_task_runs_and_tells_everything_in_order(worker: Worker, place: Place):
    steps = [["phase", "loading"], ["metrics"], ["progress", 3], ["log", "careful"], ["finish", "succeeded", place.output]]
    assert await worker.caller.start("t-1", place.generate(*steps))
    events = await worker.caller.watch("t-1")
    assert [event.sequence for event in events] == list(range(1, 8))
    assert [event.WhichOneof("event") for event in events] == ["phase", "metrics", *["progress"] * 3, "log", "finished"]
    assert events[1].metrics.values["loss"] == pytest.approx(0.6931)
    finished = events[-1].finished
    assert finished.outcome == pb.TASK_OUTCOME_SUCCEEDED
    assert finished.output.digest == place.output
    assert finished.rows_in == finished.rows_out + sum(finished.dropped.values()) == 3
    assert finished.seconds > 0
    assert finished.peak_rss_bytes > 5_000_000
    assert events[-1].at.ToDatetime().year >= 2026
    assert {"event", "at", "level", "taskId", "attempt", "fence", "run_id"} <= set(worker.lines()[-1])
    assert (place.data / "logs" / "t-1" / "1.log").read_text() == "attempt 1 of t-1\n"


async def test_memory_is_the_peak_of_the_whole_group(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.sft(["memory", 200], ["sleep", 1.5], ["finish", "succeeded", place.output]))
    assert (await worker.caller.finished("t-1")).peak_rss_bytes > 200 * 1024 * 1024


async def test_start_is_idempotent_and_a_lower_fence_is_refused(worker: Worker, place: Place):
    spec = place.generate(*SLOW)
    assert await worker.caller.start("t-1", spec, fence=5) is True
    assert await worker.caller.start("t-1", spec, fence=5) is False
    assert "fence: 4:" in await refused(worker.caller.start("t-1", spec, fence=4), grpc.StatusCode.FAILED_PRECONDITION)
    assert "fence: 4:" in await refused(worker.caller.renew("t-1", fence=4), grpc.StatusCode.FAILED_PRECONDITION)
    await refused(worker.caller.cancel("t-1", NOW, fence=4), grpc.StatusCode.FAILED_PRECONDITION)
    assert [(task.task_id, task.fence) for task in (await worker.caller.worker()).running] == [("t-1", 5)]
    await worker.caller.cancel("t-1", NOW, fence=5)
    await worker.caller.finished("t-1", fence=5)
    assert await worker.caller.start("t-1", spec, fence=5) is False


async def test_ten_simultaneous_starts_start_once(worker: Worker, place: Place):
    spec = place.generate(["sleep", 0.3], ["finish", "succeeded", place.output])
    started = await asyncio.gather(*(worker.caller.start("t-1", spec) for _ in range(10)))
    assert sorted(started) == [False] * 9 + [True]
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_SUCCEEDED


async def test_a_higher_fence_ends_the_running_attempt_first(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["on_term", "ignore"], ["pid"], ["sleep", 60]), fence=1)
    old = await worker.caller.pid("t-1", fence=1)
    assert await worker.caller.start("t-1", place.generate(["pid"], ["finish", "succeeded", place.output]), fence=2, attempt=2)
    finished, successor = await asyncio.gather(worker.caller.finished("t-1", fence=1), worker.caller.watch("t-1", fence=2))
    assert finished.outcome == pb.TASK_OUTCOME_CANCELED
    assert finished.error.code == "WORKER.SUPERSEDED"
    assert gone(old)
    assert successor[-1].finished.outcome == pb.TASK_OUTCOME_SUCCEEDED


async def test_only_the_newest_of_several_claims_runs(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(*SLOW), fence=1)
    await worker.caller.pid("t-1")
    spec = place.generate(["pid"], ["finish", "succeeded", place.output])
    for fence in (2, 3, 4):
        await worker.caller.start("t-1", spec, fence=fence)
    outcomes = [(await worker.caller.finished("t-1", fence=fence)).outcome for fence in (1, 2, 3, 4)]
    assert outcomes == [pb.TASK_OUTCOME_CANCELED] * 3 + [pb.TASK_OUTCOME_SUCCEEDED]
    assert len(await worker.caller.watch("t-1", fence=3)) == 1


async def test_slots_are_counted_and_freed_with_finished(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["sleep", 0.5], ["finish", "succeeded", place.output]))
    second = place.generate(["finish", "succeeded", place.output])
    assert "slots: 1 of 1" in await refused(worker.caller.start("t-2", second), grpc.StatusCode.RESOURCE_EXHAUSTED)
    await refused(worker.caller.watch("t-2"), grpc.StatusCode.NOT_FOUND)
    await worker.caller.finished("t-1")
    assert await worker.caller.start("t-2", second)
    assert (await worker.caller.finished("t-2")).outcome == pb.TASK_OUTCOME_SUCCEEDED


async def test_two_slots_run_side_by_side(make_worker, place: Place):
    worker = await make_worker(SGPO_WORKER_SLOTS="2")
    for task_id in ("t-1", "t-2"):
        await worker.caller.start(task_id, place.generate(*SLOW))
    assert await worker.caller.pid("t-1") != await worker.caller.pid("t-2")
    assert len((await worker.caller.worker()).running) == 2


async def test_watching_again_loses_and_repeats_nothing(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["progress", 1000], ["finish", "succeeded", place.output]))
    seen: list[pb.TaskEvent] = []
    connections = 0
    while not seen or not seen[-1].HasField("finished"):
        connections += 1
        after = seen[-1].sequence if seen else 0
        stream = worker.caller.stub.WatchTask(pb.WatchTaskRequest(task_id="t-1", fence=1, after_sequence=after))
        batch = 0
        async for response in stream:
            seen.append(response.event)
            batch += 1
            if batch == 37 and connections < 25:
                stream.cancel()
                break
    assert connections == 25
    assert [event.sequence for event in seen] == list(range(1, 1002))
    assert [event.progress.done for event in seen[:-1]] == list(range(1, 1001))
    assert await worker.caller.watch("t-1", after=1001) == []
    assert "ends at 1001" in await refused(worker.caller.watch("t-1", after=1002), grpc.StatusCode.OUT_OF_RANGE)


async def test_many_watchers_see_the_same(worker: Worker, place: Place):
    await worker.caller.start(
        "t-1", place.generate(["progress", 200], ["sleep", 0.3], ["progress", 200], ["finish", "succeeded", place.output])
    )
    views = await asyncio.gather(*(worker.caller.watch("t-1") for _ in range(8)))
    assert all(view == views[0] for view in views)
    assert len(views[0]) == 401


async def test_a_lease_that_runs_out_ends_the_child(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.sft(["grandchild"], ["on_term", "checkpoint"], ["pid"], ["sleep", 60]), lease=1)
    pid = await worker.caller.pid("t-1")
    grandchild = await worker.caller.pid("t-1", of="grandchild")
    finished = await worker.caller.finished("t-1")
    assert finished.outcome == pb.TASK_OUTCOME_CANCELED
    assert finished.error.code == "WORKER.LEASE_EXPIRED"
    assert gone(pid)
    await wait_gone(grandchild)


async def test_a_renewed_lease_keeps_the_task(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["sleep", 2.5], ["finish", "succeeded", place.output]), lease=1)
    for _ in range(4):
        await asyncio.sleep(0.5)
        await worker.caller.renew("t-1", lease=1)
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_SUCCEEDED
    await worker.caller.renew("t-1", lease=1)


async def test_an_expired_lease_cannot_be_renewed(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["on_term", "ignore"], *SLOW), lease=1)
    await worker.caller.pid("t-1")
    await asyncio.sleep(1.3)
    assert "ran out" in await refused(worker.caller.renew("t-1"), grpc.StatusCode.FAILED_PRECONDITION)


async def test_cancel_now_ends_everything_and_is_idempotent(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.sft(["grandchild"], ["on_term", "checkpoint"], ["pid"], ["sleep", 60]))
    pid = await worker.caller.pid("t-1")
    grandchild = await worker.caller.pid("t-1", of="grandchild")
    await worker.caller.cancel("t-1", NOW)
    await worker.caller.cancel("t-1", NOW)
    finished = await worker.caller.finished("t-1")
    assert finished.outcome == pb.TASK_OUTCOME_CANCELED
    assert not finished.HasField("error")
    assert gone(pid)
    await wait_gone(grandchild)
    await worker.caller.cancel("t-1", NOW)


async def test_a_child_deaf_to_sigterm_is_killed(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["on_term", "ignore"], *SLOW))
    pid = await worker.caller.pid("t-1")
    await worker.caller.cancel("t-1", NOW)
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_CANCELED
    assert gone(pid)


@pytest.mark.parametrize("how", ["checkpoint", "status_75"])
async def test_a_training_is_checkpointed_and_goes_on(worker: Worker, place: Place, how: str):
    await worker.caller.start("t-1", place.dpo(["work_file"], ["on_term", how], *SLOW))
    await worker.caller.pid("t-1")
    await worker.caller.cancel("t-1", AT_CHECKPOINT)
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_CHECKPOINTED
    await worker.caller.start("t-1", place.dpo(["work_file"], ["finish", "succeeded", place.output]), fence=2, attempt=2)
    events = await worker.caller.watch("t-1", fence=2)
    assert events[0].log.message == "resumed"
    assert events[-1].finished.outcome == pb.TASK_OUTCOME_SUCCEEDED
    await asyncio.sleep(0.2)
    assert not (place.data / "work" / "t-1").exists()


async def test_at_checkpoint_ends_other_tasks_now(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["on_term", "leave"], *SLOW))
    await worker.caller.pid("t-1")
    await worker.caller.cancel("t-1", AT_CHECKPOINT)
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_CANCELED


async def test_a_checkpoint_wish_gives_way_to_cancel_now(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.sft(["on_term", "ignore"], *SLOW))
    await worker.caller.pid("t-1")
    await worker.caller.cancel("t-1", AT_CHECKPOINT)
    await asyncio.sleep(0.3)
    await worker.caller.cancel("t-1", NOW)
    await worker.caller.cancel("t-1", AT_CHECKPOINT)
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_CANCELED


async def test_unknown_tasks_and_modes(worker: Worker, place: Place):
    caller = worker.caller
    await refused(caller.watch("nobody"), grpc.StatusCode.NOT_FOUND)
    await refused(caller.renew("nobody"), grpc.StatusCode.NOT_FOUND)
    await refused(caller.cancel("nobody", NOW), grpc.StatusCode.NOT_FOUND)
    await caller.start("t-1", place.generate(["finish", "succeeded", place.output]), fence=3)
    await caller.finished("t-1", fence=3)
    await refused(caller.renew("t-1", fence=4), grpc.StatusCode.NOT_FOUND)
    await refused(caller.watch("t-1", fence=2), grpc.StatusCode.NOT_FOUND)
    assert "mode: 0:" in await refused(
        caller.cancel("t-1", pb.CANCEL_MODE_UNSPECIFIED, fence=3), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert "lease_seconds: 0:" in await refused(caller.renew("t-1", fence=3, lease=0), grpc.StatusCode.INVALID_ARGUMENT)
    for bad in ("../../etc", "a/b", "", "x" * 65, "a\n"):
        assert "task_id:" in await refused(caller.watch(bad), grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_killed_child_is_told_with_its_last_words(worker: Worker, place: Place, number: signal.Signals):
    await worker.caller.start("t-1", place.generate(["say", "allocating\nmore"], ["progress", 2], ["signal", number]))
    events = await worker.caller.watch("t-1")
    assert len(events) == 3
    finished = events[-1].finished
    assert finished.outcome == pb.TASK_OUTCOME_FAILED
    assert finished.error.code == "WORKER.CHILD_KILLED"
    assert finished.error.failure_class == pb.FAILURE_CLASS_INFRASTRUCTURE
    assert f"signal {int(number)} ({number.name})" in finished.error.message
    assert finished.error.message.endswith("allocating\nmore")
    assert finished.error.remedy


@pytest.mark.parametrize(
    ("steps", "code", "part"),
    [
        ([["say", "no luck"], ["exit", 3]], "WORKER.CHILD_EXITED", "status 3"),
        ([["exit", 0]], "WORKER.CHILD_EXITED", "status 0"),
        ([["memory_error"]], "WORKER.CHILD_KILLED", "out of memory"),
        ([["raw", "not json\n"], ["sleep", 60]], "WORKER.CHILD_PROTOCOL", "not json"),
        ([["raw", '{"type":"progress","done":-1,"total":1,"unit":"rows"}\n'], ["sleep", 60]], "WORKER.CHILD_PROTOCOL", "-1"),
        ([["raw", '{"type":"surprise"}\n'], ["sleep", 60]], "WORKER.CHILD_PROTOCOL", "surprise"),
        ([["raw", "[]\n"], ["sleep", 60]], "WORKER.CHILD_PROTOCOL", "[]"),
        ([["idle"], ["sleep", 60]], "WORKER.CHILD_PROTOCOL", "Idle before Finished"),
        ([["raw", '{"type":"phase","na'], ["exit", 1]], "WORKER.CHILD_EXITED", "status 1"),
        ([["finish", "succeeded", "0" * 64]], "WORKER.CHILD_PROTOCOL", "not in the store"),
        ([["finish", "succeeded"]], "WORKER.CHILD_PROTOCOL", "not in the store"),
        ([["finish", "failed"]], "WORKER.CHILD_PROTOCOL", "without an error"),
        ([["finish", "canceled"]], "WORKER.CHILD_EXITED", "something other than its worker"),
        ([["fail"]], "TRAIN.DIVERGED", "loss: nan"),
    ],
)
async def test_every_bad_end_is_a_failure_with_a_code(worker: Worker, place: Place, steps: list, code: str, part: str):
    await worker.caller.start("t-1", place.generate(*steps))
    finished = await worker.caller.finished("t-1")
    assert finished.outcome == pb.TASK_OUTCOME_FAILED
    assert finished.error.code == code
    assert part in finished.error.message
    assert finished.error.remedy
    assert (await worker.caller.worker()).running == []


async def test_text_that_the_wire_cannot_carry_is_marked_not_fatal(worker: Worker, place: Place):
    await worker.caller.start(
        "t-1",
        place.generate(["raw", '{"type":"log","level":"info","message":"a\\ud800b"}\n'], ["finish", "succeeded", place.output]),
    )
    events = await worker.caller.watch("t-1")
    assert events[0].log.message == "a?b"
    assert events[-1].finished.outcome == pb.TASK_OUTCOME_SUCCEEDED


async def test_a_child_that_cannot_be_started_fails_the_task(worker: Worker, place: Place, monkeypatch: pytest.MonkeyPatch):
    async def broken() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(worker.server, "_start_child", broken)
    monkeypatch.setattr(worker.server._supervisor._pool, "_start", broken)
    await worker.caller.start("t-1", place.generate(*SLOW))
    finished = await worker.caller.finished("t-1")
    assert (finished.outcome, finished.error.code) == (pb.TASK_OUTCOME_FAILED, "WORKER.SERVER_FAILED")


async def test_a_full_disk_ends_the_task_and_its_journal_is_completed_later(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["pid"], ["sleep", 0.5], ["progress", 3], ["sleep", 60]))
    pid = await worker.caller.pid("t-1")
    journal = worker.server._supervisor._active["t-1", 1].journal

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    journal._write = full
    await refused(worker.caller.watch("t-1"), grpc.StatusCode.UNAVAILABLE)
    await wait_gone(pid)
    finished = await worker.caller.finished("t-1")
    assert finished.outcome == pb.TASK_OUTCOME_LOST


async def test_drain_refuses_new_tasks_and_lets_running_ones_go_on(worker: Worker, place: Place):
    await worker.caller.start("t-1", place.generate(["sleep", 0.5], ["finish", "succeeded", place.output]))
    await worker.caller.stub.Drain(pb.DrainRequest())
    await worker.caller.stub.Drain(pb.DrainRequest())
    assert (await worker.caller.worker()).draining
    spec = place.generate(["finish", "succeeded", place.output])
    assert "draining" in await refused(worker.caller.start("t-2", spec), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert await worker.caller.start("t-1", spec) is False
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_SUCCEEDED


async def test_a_caller_that_goes_away_leaves_the_task_alone(worker: Worker, place: Place, connect):
    other: Caller = connect(await_address(worker))
    await other.start("t-1", place.generate(["progress", 1], ["sleep", 0.6], ["finish", "succeeded", place.output]))
    watching = asyncio.create_task(other.watch("t-1"))
    await asyncio.sleep(0.2)
    watching.cancel()
    await other.channel.close()
    assert (await worker.caller.finished("t-1")).outcome == pb.TASK_OUTCOME_SUCCEEDED


def await_address(worker: Worker) -> str:
    return next(line["address"] for line in worker.lines() if line["event"] == "listening")
