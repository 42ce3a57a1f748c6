"""WorkerService over gRPC: reads requests, asks the supervisor, writes answers. The one place that knows status codes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

import grpc

from sgpo_worker.gen import worker_pb2
from sgpo_worker.server.config import Engine
from sgpo_worker.server.device import Hardware
from sgpo_worker.server.errors import (
    InvalidRequestError,
    NoCapacityError,
    NotFoundError,
    RequestError,
    SequenceError,
    StaleFenceError,
)
from sgpo_worker.server.journal import check_task_id
from sgpo_worker.server.log import EventLog
from sgpo_worker.server.mapping import read_lease, read_start, write_entry
from sgpo_worker.server.pool import ChildPool
from sgpo_worker.server.problems import Problems
from sgpo_worker.server.supervisor import Supervisor

_STATUS: dict[type[RequestError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    StaleFenceError: grpc.StatusCode.FAILED_PRECONDITION,
    NoCapacityError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    SequenceError: grpc.StatusCode.OUT_OF_RANGE,
}
_MODES: dict[int, Literal["now", "at_checkpoint"]] = {
    worker_pb2.CANCEL_MODE_NOW: "now",
    worker_pb2.CANCEL_MODE_AT_CHECKPOINT: "at_checkpoint",
}


@dataclass(frozen=True, kw_only=True)
class WorkerIdentity:
    """What GetWorker answers and never changes while the process lives."""

    worker_id: str
    instance_id: str
    versions: dict[str, str]
    hardware: Hardware
    engine: Engine


class WorkerServicer:
    """Answers the calls of worker.proto. `on_drain` is told when the worker stops taking tasks."""

    def __init__(
        self,
        *,
        identity: WorkerIdentity,
        supervisor: Supervisor,
        pool: ChildPool,
        min_lease_seconds: int,
        on_drain: Callable[[], Awaitable[None]],
        log: EventLog,
    ) -> None:
        self._identity = identity
        self._supervisor = supervisor
        self._pool = pool
        self._min_lease_seconds = min_lease_seconds
        self._on_drain = on_drain
        self._log = log

    async def GetWorker(
        self, request: worker_pb2.GetWorkerRequest, context: grpc.aio.ServicerContext
    ) -> worker_pb2.GetWorkerResponse:
        identity = self._identity
        return worker_pb2.GetWorkerResponse(
            worker_id=identity.worker_id,
            instance_id=identity.instance_id,
            versions=identity.versions,
            device_kind=identity.hardware.kind,
            devices=identity.hardware.devices,
            slots=self._supervisor.slots,
            draining=self._supervisor.draining,
            running=[worker_pb2.RunningTask(task_id=task_id, fence=fence) for task_id, fence in self._supervisor.running()],
            warm_model_digest=self._pool.warm_model,
            engine=identity.engine,
            deterministic=identity.engine == "transformers" and identity.hardware.kind == "cpu",
        )

    async def StartTask(
        self, request: worker_pb2.StartTaskRequest, context: grpc.aio.ServicerContext
    ) -> worker_pb2.StartTaskResponse:
        try:
            started = self._supervisor.start(read_start(request, min_lease_seconds=self._min_lease_seconds))
        except (RequestError, OSError) as error:
            await self._refuse(context, "StartTask", error)
        return worker_pb2.StartTaskResponse(started=started)

    async def WatchTask(
        self, request: worker_pb2.WatchTaskRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[worker_pb2.WatchTaskResponse]:
        try:
            journal, owned = self._supervisor.open_journal(check_task_id(request.task_id), request.fence)
        except (RequestError, OSError) as error:
            await self._refuse(context, "WatchTask", error)
        try:
            if request.after_sequence > journal.last_sequence:
                await self._refuse(
                    context,
                    "WatchTask",
                    SequenceError(
                        f"after_sequence: {request.after_sequence}: the journal ends at {journal.last_sequence}: watch from 0"
                    ),
                )
            async for entry in journal.follow(request.after_sequence):
                yield write_entry(entry)
            if journal.finished is None:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the journal could not be written to its end: watch again")
        finally:
            if owned:
                journal.close()

    async def RenewLease(
        self, request: worker_pb2.RenewLeaseRequest, context: grpc.aio.ServicerContext
    ) -> worker_pb2.RenewLeaseResponse:
        try:
            problems = Problems()
            read_lease(problems, request.lease_seconds, self._min_lease_seconds)
            problems.refuse()
            self._supervisor.renew(check_task_id(request.task_id), request.fence, request.lease_seconds)
        except (RequestError, OSError) as error:
            await self._refuse(context, "RenewLease", error)
        return worker_pb2.RenewLeaseResponse()

    async def CancelTask(
        self, request: worker_pb2.CancelTaskRequest, context: grpc.aio.ServicerContext
    ) -> worker_pb2.CancelTaskResponse:
        try:
            mode = _MODES.get(request.mode)
            if mode is None:
                raise InvalidRequestError(f"mode: {request.mode}: use CANCEL_MODE_NOW (1) or CANCEL_MODE_AT_CHECKPOINT (2)")
            self._supervisor.cancel(check_task_id(request.task_id), request.fence, mode)
        except (RequestError, OSError) as error:
            await self._refuse(context, "CancelTask", error)
        return worker_pb2.CancelTaskResponse()

    async def Drain(self, request: worker_pb2.DrainRequest, context: grpc.aio.ServicerContext) -> worker_pb2.DrainResponse:
        self._supervisor.drain()
        await self._on_drain()
        return worker_pb2.DrainResponse()

    async def _refuse(self, context: grpc.aio.ServicerContext, call: str, error: RequestError | OSError) -> NoReturn:
        """Ends the call with the status that belongs to the error."""
        if isinstance(error, RequestError):
            await context.abort(_STATUS[type(error)], str(error))
        self._log.error("call failed", call=call, error=str(error))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the worker's disk does not answer: look at its log and try again")
        raise AssertionError("abort always raises")
