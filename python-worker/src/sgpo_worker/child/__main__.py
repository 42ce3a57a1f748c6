"""`python -m sgpo_worker.child`: reads one `ChildTask` a line on stdin and tells events on the descriptor SGPO_EVENTS_FD.

The heavy imports come before the first line, so that a child started ahead of its task begins at once. After a generate or score
task the child keeps its model, tells `Idle` and waits for the next line; a training or a failure ends the process.
SGPO_PARENT_PID (optional) names the process to live and die with; SGPO_WORKER_ENGINE (optional) the inference engine.

Exit status: 0 done or nothing left to do, 75 a checkpoint was saved on SIGTERM, 143 ended by SIGTERM, 1 failed (see the event).
"""

from __future__ import annotations

import logging
import os
import select
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from sgpo_worker.child.session import Canceled, Session, StopRequest, die_with_parent
from sgpo_worker.events import Finished, Outcome
from sgpo_worker.specs import ChildTask, DpoSpec, GenerateSpec, ScoreSpec, SftSpec

if TYPE_CHECKING:
    from sgpo_worker.child.inference import InferenceRunner

EXIT_STATUS: dict[Outcome, int] = {"succeeded": 0, "checkpointed": 75, "canceled": 143, "failed": 1, "lost": 1}

# No library may ask the network for anything, tell anybody about a run, or draw bars into the log.
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "warning",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


def main() -> int:
    """Serves tasks until stdin ends or a task ends the process; returns the exit status."""
    if "SGPO_PARENT_PID" in os.environ:
        die_with_parent(int(os.environ["SGPO_PARENT_PID"]))
    os.environ.update(_QUIET)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    events_fd = int(os.environ["SGPO_EVENTS_FD"])
    stop = StopRequest()
    stop.install()
    try:
        with stop.raising():
            _import_libraries()
        return _serve(events_fd, stop)
    except Canceled:
        return 0


def _import_libraries() -> None:
    """The imports that take seconds. TRL's take one more, so they are left to the trainings when a task already waits."""
    import sgpo_worker.child.inference
    import sgpo_worker.child.transformers_engine

    if not select.select([sys.stdin], [], [], 0)[0]:
        import sgpo_worker.child.preference.dpo
        import sgpo_worker.child.sft  # noqa: F401


def _serve(events_fd: int, stop: StopRequest) -> int:
    from sgpo_worker.child.inference import InferenceRunner

    inference = InferenceRunner()
    while True:
        with stop.raising():
            line = sys.stdin.readline()
        if not line:
            return 0
        task = ChildTask.from_json(line)
        session = Session(task, events_fd, stop)
        outcome = run_task(session, inference)
        if outcome != "succeeded" or isinstance(task.spec, (SftSpec, DpoSpec)):
            return EXIT_STATUS[outcome]
        session.idle(inference.warm_model)


def run_task(session: Session, inference: InferenceRunner) -> Outcome:
    """Runs one task to its Finished event, whatever happens. Returns the outcome."""
    from sgpo_worker.child.failures import find_error

    try:
        finished = _run_spec(session, inference)
    except Canceled:
        finished = Finished(outcome="canceled")
    except Exception as error:
        traceback.print_exc()
        finished = Finished(outcome="failed", error=find_error(error))
    return session.finished(finished)


def _run_spec(session: Session, inference: InferenceRunner) -> Finished:
    spec = session.task.spec
    if isinstance(spec, (GenerateSpec, ScoreSpec)):
        with session.stop.raising():
            return inference.run(session, spec)
    if isinstance(spec, SftSpec):
        from sgpo_worker.child.sft import run_sft

        return run_sft(session, spec)
    from sgpo_worker.child.preference.run import run_preference

    return run_preference(session, spec)


def _exit(status: int) -> NoReturn:
    """Leaves without waiting for threads of libraries."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _exit(main())
