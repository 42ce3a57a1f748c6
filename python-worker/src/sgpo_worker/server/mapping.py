"""Between the wire's messages and the dataclasses that server and children share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgpo_worker.events import Event, Finished, Idle, Log, Metrics, Phase, Progress, TaskError
from sgpo_worker.gen import worker_pb2
from sgpo_worker.server.journal import JournalEntry, check_task_id
from sgpo_worker.server.problems import Problems
from sgpo_worker.server.spec_mapping import read_spec
from sgpo_worker.server.validation import check_spec
from sgpo_worker.specs import TaskSpec

_OUTCOMES: dict[str, worker_pb2.TaskOutcome] = {
    "succeeded": worker_pb2.TASK_OUTCOME_SUCCEEDED,
    "failed": worker_pb2.TASK_OUTCOME_FAILED,
    "canceled": worker_pb2.TASK_OUTCOME_CANCELED,
    "checkpointed": worker_pb2.TASK_OUTCOME_CHECKPOINTED,
    "lost": worker_pb2.TASK_OUTCOME_LOST,
}
_FAILURE_CLASSES: dict[str, worker_pb2.FailureClass] = {
    "invalid": worker_pb2.FAILURE_CLASS_INVALID,
    "infrastructure": worker_pb2.FAILURE_CLASS_INFRASTRUCTURE,
    "resources": worker_pb2.FAILURE_CLASS_RESOURCES,
}
_LOG_LEVELS = ("info", "warning", "error")


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """A StartTaskRequest that has passed every check that needs neither disk nor state."""

    task_id: str
    attempt: int
    fence: int
    lease_seconds: int
    labels: Mapping[str, str]
    spec: TaskSpec


def read_start(request: worker_pb2.StartTaskRequest, *, min_lease_seconds: int) -> StartRequest:
    """Raises InvalidRequestError that names every field at fault."""
    problems = Problems()
    task_id = check_task_id(request.task_id)
    problems.check(request.attempt >= 1, "attempt", request.attempt, "give 1 for the first attempt")
    problems.check(request.fence >= 1, "fence", request.fence, "give a number from 1 that rises with every claim")
    read_lease(problems, request.lease_seconds, min_lease_seconds)
    spec = read_spec(request, problems)
    check_spec(spec, problems)
    problems.refuse()
    return StartRequest(
        task_id=task_id,
        attempt=request.attempt,
        fence=request.fence,
        lease_seconds=request.lease_seconds,
        labels=dict(request.labels),
        spec=spec,
    )


def read_lease(problems: Problems, seconds: int, min_lease_seconds: int) -> None:
    problems.check(seconds >= min_lease_seconds, "lease_seconds", seconds, f"give at least {min_lease_seconds}")


def write_entry(entry: JournalEntry) -> worker_pb2.WatchTaskResponse:
    event = write_event(entry.event)
    event.sequence = entry.sequence
    event.at.FromNanoseconds(entry.at_ns)
    return worker_pb2.WatchTaskResponse(event=event)


def write_event(event: Event) -> worker_pb2.TaskEvent:
    """The event on the wire, not yet numbered; empty for Idle. Raises TypeError, ValueError or KeyError for unfit values."""
    match event:
        case Phase():
            return worker_pb2.TaskEvent(phase=worker_pb2.Phase(name=event.name))
        case Progress():
            return worker_pb2.TaskEvent(progress=worker_pb2.Progress(done=event.done, total=event.total, unit=event.unit))
        case Metrics():
            return worker_pb2.TaskEvent(metrics=worker_pb2.Metrics(step=event.step, values=event.values))
        case Log():
            if event.level not in _LOG_LEVELS:
                raise ValueError(f"level: {event.level!r}: use one of {', '.join(_LOG_LEVELS)}")
            return worker_pb2.TaskEvent(log=worker_pb2.Log(level=event.level, message=event.message))
        case Finished():
            return worker_pb2.TaskEvent(finished=_write_finished(event))
        case Idle():
            if not isinstance(event.warm_model, str):
                raise TypeError("warm_model must be a string")
            return worker_pb2.TaskEvent()


def _write_finished(event: Finished) -> worker_pb2.Finished:
    return worker_pb2.Finished(
        outcome=_OUTCOMES[event.outcome],
        output=None if event.output is None else worker_pb2.ArtifactRef(digest=event.output),
        rows_in=event.rows_in,
        rows_out=event.rows_out,
        dropped=event.dropped,
        error=None if event.error is None else _write_error(event.error),
        seconds=event.seconds,
        peak_rss_bytes=event.peak_rss_bytes,
        provenance=event.provenance,
    )


def _write_error(error: TaskError) -> worker_pb2.TaskError:
    return worker_pb2.TaskError(
        code=error.code,
        failure_class=_FAILURE_CLASSES[error.failure_class],
        message=error.message,
        remedy=error.remedy,
    )
