"""What a child tells its server, one JSON object a line, on the file descriptor named by SGPO_EVENTS_FD."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["succeeded", "failed", "canceled", "checkpointed", "lost"]
FailureClass = Literal["invalid", "infrastructure", "resources"]


@dataclass(frozen=True, kw_only=True)
class TaskError:
    """A failure as a user reads it: catalogue code, what happened, what to do."""

    code: str
    failure_class: FailureClass
    message: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Phase:
    """`loading`, `running`, `checkpointing` or `publishing`."""

    name: str
    type: Literal["phase"] = "phase"


@dataclass(frozen=True, kw_only=True)
class Progress:
    done: int
    total: int
    unit: Literal["rows", "steps"]
    type: Literal["progress"] = "progress"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """One point of a training curve under TRL's names; step 0 is before the first update."""

    step: int
    values: dict[str, float]
    type: Literal["metrics"] = "metrics"


@dataclass(frozen=True, kw_only=True)
class Log:
    level: Literal["info", "warning", "error"]
    message: str
    type: Literal["log"] = "log"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The last event of a task. rows_in = rows_out + sum(dropped)."""

    outcome: Outcome
    output: str | None = None
    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    error: TaskError | None = None
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    provenance: dict[str, str] = field(default_factory=dict)
    type: Literal["finished"] = "finished"


@dataclass(frozen=True, kw_only=True)
class Idle:
    """After Finished: the child waits for another task line and holds these weights (empty: none, a fresh child is as good)."""

    warm_model: str
    type: Literal["idle"] = "idle"


Event = Phase | Progress | Metrics | Log | Finished | Idle
_TYPES: dict[str, type[Phase] | type[Progress] | type[Metrics] | type[Log] | type[Finished] | type[Idle]] = {
    "phase": Phase,
    "progress": Progress,
    "metrics": Metrics,
    "log": Log,
    "finished": Finished,
    "idle": Idle,
}


def encode_event(event: Event) -> str:
    return json.dumps(asdict(event), ensure_ascii=False)


def decode_event(line: str) -> Event:
    data: dict[str, Any] = json.loads(line)
    if data.get("error") is not None:
        data["error"] = TaskError(**data["error"])
    return _TYPES[data["type"]](**data)
