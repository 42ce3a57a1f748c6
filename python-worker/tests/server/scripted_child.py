"""A child that speaks the protocol without torch: it does what `script.json` in its task's input or data set says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from sgpo_worker.events import (
    Event,
    Finished,
    Idle,
    Log,
    Metrics,
    Phase,
    Progress,
    TaskError,
    encode_event,
)
from sgpo_worker.specs import ChildTask

EVENTS = int(os.environ["SGPO_EVENTS_FD"])


def emit(event: Event) -> None:
    raw(encode_event(event) + "\n")


def raw(text: str) -> None:
    os.write(EVENTS, text.encode())


def run(task: ChildTask) -> None:
    spec = task.spec
    source = getattr(spec, "input", None) or spec.dataset
    model = getattr(spec, "model", "")
    print(f"attempt {task.attempt} of {task.task_id}", flush=True)
    name = ""
    for name, *values in json.loads((task.store / source[:2] / source / "script.json").read_text()):
        step(name, values, task, model)
    if name != "idle":
        sys.exit(0)


def step(name: str, values: list, task: ChildTask, model: str) -> None:  # noqa: PLR0912 one branch a command
    match name:
        case "phase":
            emit(Phase(name=values[0]))
        case "progress":
            for done in range(1, values[0] + 1):
                emit(Progress(done=done, total=values[0], unit="rows"))
        case "metrics":
            emit(Metrics(step=0, values={"loss": 0.6931}))
        case "pid":
            emit(Log(level="info", message=f"pid {os.getpid()}"))
        case "log":
            emit(Log(level="warning", message=values[0]))
        case "raw":
            raw(values[0])
        case "say":
            print(values[0], flush=True)
        case "sleep":
            time.sleep(values[0])
        case "memory":
            task.__dict__["ballast"] = bytearray(os.urandom(1024)) * 1024 * values[0]
        case "on_term":
            on_term(values[0], task)
        case "grandchild":
            # In a session of its own and deaf to SIGTERM, as a rank of a distributed launcher may be.
            program = (
                "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
            )
            child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE)
            child.stdout.readline()
            emit(Log(level="info", message=f"grandchild {child.pid}"))
        case "work_file":
            path = task.work_dir / "checkpoints" / "step-1"
            emit(Log(level="info", message="resumed" if path.exists() else "fresh"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("1")
        case "finish":
            output = values[1] if len(values) > 1 else None
            emit(Finished(outcome=values[0], output=output, rows_in=3, rows_out=2, dropped={"too_long": 1}))
        case "fail":
            error = TaskError(code="TRAIN.DIVERGED", failure_class="invalid", message="loss: nan", remedy="lower learning_rate")
            emit(Finished(outcome="failed", error=error))
        case "idle":
            emit(Idle(warm_model=model))
        case "signal":
            os.kill(os.getpid(), values[0])
            time.sleep(30)
        case "exit":
            sys.exit(values[0])
        case "memory_error":
            raise MemoryError
        case _:
            raise ValueError(name)


def on_term(what: str, task: ChildTask) -> None:
    def checkpoint(*_: object) -> None:
        emit(Phase(name="checkpointing"))
        time.sleep(0.3)
        emit(Finished(outcome="checkpointed"))
        os._exit(75)

    def leave(*_: object) -> None:
        emit(Finished(outcome="canceled"))
        os._exit(143)

    handlers = {"checkpoint": checkpoint, "ignore": signal.SIG_IGN, "leave": leave, "status_75": lambda *_: os._exit(75)}
    signal.signal(signal.SIGTERM, handlers[what])


def main() -> None:
    for line in sys.stdin:
        run(ChildTask.from_json(line))


if __name__ == "__main__":
    main()
