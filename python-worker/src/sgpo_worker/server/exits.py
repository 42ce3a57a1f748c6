"""How a task ended, from what its child said and did. Asks "did we want this?" before "how did it end?"."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sgpo_worker.events import Finished, TaskError
from sgpo_worker.specs import DpoSpec, SftSpec, TaskSpec

StopReason = Literal["checkpoint", "canceled", "lease_expired", "superseded", "shutdown"]
"""Why this server asked a task to end. All but `checkpoint` keep nothing."""

CHECKPOINT_STATUS = 75
DIGEST = re.compile(r"[0-9a-f]{64}")


def is_training(spec: TaskSpec) -> bool:
    return isinstance(spec, SftSpec | DpoSpec)


def artifact_exists(store: Path, digest: str) -> bool:
    return (store / digest[:2] / digest / "manifest.json").is_file()


def judge_stop(stop: StopReason) -> Finished:
    """What is journalled for a task that ended because it was asked to."""
    match stop:
        case "checkpoint":
            return Finished(outcome="checkpointed")
        case "canceled":
            return Finished(outcome="canceled")
        case "lease_expired":
            return Finished(
                outcome="canceled",
                error=_infrastructure(
                    "WORKER.LEASE_EXPIRED",
                    "lease: not renewed in time: the task was ended",
                    "Start the task again with a higher fence; when it repeats, look at the network to the worker",
                ),
            )
        case "superseded":
            return Finished(
                outcome="canceled",
                error=_infrastructure(
                    "WORKER.SUPERSEDED", "fence: a higher one claimed the task on this worker", "Follow the newer attempt"
                ),
            )
        case "shutdown":
            return Finished(
                outcome="lost",
                error=_infrastructure(
                    "WORKER.SHUT_DOWN", "The worker was shut down while the task ran", "Start the task again, here or elsewhere"
                ),
            )


def judge_restart() -> Finished:
    """For a task whose server died: nobody can say how its child went on."""
    return Finished(
        outcome="lost",
        error=_infrastructure(
            "WORKER.RESTARTED",
            "The worker was restarted while the task ran; its child is gone",
            "Start the task again with a higher fence; a training goes on from its last checkpoint",
        ),
    )


def judge_finished(finished: Finished, *, stop: StopReason | None, training: bool, store: Path) -> Finished:
    """Checks a child's own word against what was asked of it and against the store."""
    if stop is not None and stop != "checkpoint":
        return judge_stop(stop)
    fault = _find_fault(finished, store)
    if fault is not None:
        return judge_protocol_error(fault, stop=stop)
    if finished.outcome not in ("canceled", "lost"):
        return finished
    if stop == "checkpoint" and training:
        # It had nothing new to save: an equal task goes on from where this one began.
        return replace(finished, outcome="checkpointed", error=None)
    what = "The child was told to end by something other than its worker"
    return replace(finished, outcome="failed", error=_infrastructure("WORKER.CHILD_EXITED", what, "Start the task again"))


def judge_exit(status: int, *, stop: StopReason | None, training: bool, last_words: Sequence[str]) -> Finished:
    """For a child that ended without a Finished event. `status` is negative for a signal."""
    if stop is not None and stop != "checkpoint":
        return judge_stop(stop)
    if status == CHECKPOINT_STATUS:
        return judge_stop("checkpoint")
    if stop == "checkpoint" and training and status in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        # Asked before it had read its task: what an equal task goes on from still stands.
        return judge_stop("checkpoint")
    tail = "\n".join(last_words)
    said = f"; its last lines:\n{tail}" if tail else "; it had said nothing"
    killed_by = -status if status < 0 else status - 128 if status > 128 else None
    if killed_by is not None:
        memory = killed_by == signal.SIGKILL
        return _failed(
            "WORKER.CHILD_KILLED",
            f"The child was ended by signal {killed_by} ({_signal_name(killed_by)}){said}",
            "Often the kernel ran out of memory: use a smaller micro_batch_size or a host with more memory"
            if memory
            else "Start the task again; when it repeats, the native library in its last lines is at fault",
        )
    if status != 0 and "MemoryError" in tail:
        return _failed(
            "WORKER.CHILD_KILLED",
            f"The child ran out of memory and left with status {status}{said}",
            "Use a smaller micro_batch_size or a host with more memory",
        )
    return _failed(
        "WORKER.CHILD_EXITED",
        f"The child left with status {status} before it had finished{said}",
        "Read the last lines; start the task again",
    )


def judge_protocol_error(what: str, *, stop: StopReason | None) -> Finished:
    """For a child that said what it must not."""
    if stop is not None and stop != "checkpoint":
        return judge_stop(stop)
    return _failed(
        "WORKER.CHILD_PROTOCOL",
        f"The child broke the protocol: {what}",
        "Server and children must be of one version: install the worker again",
    )


def judge_server_error(error: Exception) -> Finished:
    """For a failure on this side of the pipe: a child that cannot be started, a disk that is full."""
    return _failed(
        "WORKER.SERVER_FAILED",
        f"The worker could not run the task: {error!r}",
        "Look at the worker's log, its disk and its limits",
    )


def _find_fault(finished: Finished, store: Path) -> str | None:
    """What a Finished event lacks for its outcome."""
    if finished.outcome == "failed" and finished.error is None:
        return "failed without an error"
    output = finished.output
    if finished.outcome == "succeeded" and (output is None or not DIGEST.fullmatch(output) or not artifact_exists(store, output)):
        return f"succeeded with the output {output!r}, which is not in the store"
    return None


def _failed(code: str, message: str, remedy: str) -> Finished:
    return Finished(outcome="failed", error=_infrastructure(code, message, remedy))


def _infrastructure(code: str, message: str, remedy: str) -> TaskError:
    return TaskError(code=code, failure_class="infrastructure", message=message, remedy=remedy)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
