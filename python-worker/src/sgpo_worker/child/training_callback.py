"""Follows a running trainer: tells progress and metrics, saves by time, and stops at a step when asked to."""

from __future__ import annotations

import math
import time

import torch
import torch.distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sgpo_worker.child.checkpoints import CheckpointFolder
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.session import Session


class TrainingCallback(TrainerCallback):
    """One trainer's link to its task. `stopped` is true when SIGTERM ended the training early, with a checkpoint."""

    def __init__(self, session: Session, checkpoints: CheckpointFolder, checkpoint_seconds: int) -> None:
        self.stopped = False
        self._session = session
        self._checkpoints = checkpoints
        self._checkpoint_seconds = checkpoint_seconds
        self._saved_at = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._saved_at = time.monotonic()
        self._session.steps(state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._session.steps(state.global_step, state.max_steps)
        seconds = time.monotonic() - self._saved_at
        save_due = 0 < self._checkpoint_seconds <= seconds and state.global_step < state.max_steps
        stop, save_due = _agree(self._session.stop.requested, save_due)
        if stop or save_due:
            self._session.phase("checkpointing")
            control.should_save = True
            control.should_training_stop = control.should_training_stop or stop
            self.stopped = stop

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if state.is_world_process_zero:
            self._checkpoints.complete(state.global_step)
        self._saved_at = time.monotonic()
        if not self.stopped:
            self._session.phase("running")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float | str] | None = None,
        **kwargs: object,
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        values = {name: float(value) for name, value in logs.items() if isinstance(value, (int, float))}
        self._session.metrics(state.global_step, {name: value for name, value in values.items() if math.isfinite(value)})
        for name in ("loss", "grad_norm"):
            if not math.isfinite(values.get(name, 0.0)):
                raise diverged(name, values[name], state.global_step)


def diverged(name: str, value: float, step: int) -> TaskFailure:
    """The failure of a training whose loss or gradient is no number any more."""
    return TaskFailure(
        "TRAIN.DIVERGED",
        "invalid",
        f"{name} is {value} at step {step}",
        "Lower learning_rate, raise warmup_ratio, lower max_grad_norm, or train in float32.",
    )


def _agree(stop: bool, save_due: bool) -> tuple[bool, bool]:
    """What any of the ranks wants, so that all of them save at the same step."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return stop, save_due
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    wishes = torch.tensor([stop, save_due], dtype=torch.int32, device=device)
    torch.distributed.all_reduce(wishes, op=torch.distributed.ReduceOp.MAX)
    return bool(wishes[0]), bool(wishes[1])
