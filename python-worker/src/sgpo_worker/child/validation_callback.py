"""Measures the validation rows while a trainer runs, and keeps the best weights."""

from __future__ import annotations

import math
from collections.abc import Callable

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sgpo_worker.child.measurements import best_of, read_measurements
from sgpo_worker.child.session import Session
from sgpo_worker.child.training_callback import diverged
from sgpo_worker.child.weights import BestWeights, Weights
from sgpo_worker.specs import ValidationParameters

# Figures about the machine, and a running total that says nothing about the validation rows.
_NOT_TOLD = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_model_preparation_time", "eval_num_tokens")


class ValidationCallback(TrainerCallback):
    """Asks for a measurement every `every_steps` steps and at the last one, and tells it as metrics "eval_…".

    `keep_best`: set when best weights are published; `gather` then gives the trained weights, in all ranks at once.
    """

    def __init__(self, session: Session, validation: ValidationParameters, keep_best: BestWeights | None) -> None:
        self.gather: Callable[[], Weights] | None = None
        self._session = session
        self._validation = validation
        self._keep_best = keep_best
        self._best_at_checkpoint: int | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._commit(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if state.global_step % self._validation.every_steps == 0 or state.global_step == state.max_steps:
            control.should_evaluate = True

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: object,
    ) -> None:
        values = {name: float(value) for name, value in metrics.items() if name.startswith("eval_") and name not in _NOT_TOLD}
        self._session.metrics(state.global_step, {name: value for name, value in values.items() if math.isfinite(value)})
        measured = f"eval_{self._validation.measure}"
        if not math.isfinite(values[measured]):
            raise diverged(measured, values[measured], state.global_step)
        if self._keep_best is not None and self.gather is not None and self._best_step(state) == state.global_step:
            weights = self.gather()
            if state.is_world_process_zero:
                self._keep_best.save(state.global_step, weights)
                self._keep_best.keep([state.global_step, self._best_at_checkpoint])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._commit(state)

    def _commit(self, state: TrainerState) -> None:
        """What is best now is what a training that goes on from this state needs."""
        self._best_at_checkpoint = self._best_step(state)
        if self._keep_best is not None and state.is_world_process_zero:
            self._keep_best.keep([self._best_at_checkpoint])

    def _best_step(self, state: TrainerState) -> int | None:
        best = best_of(read_measurements(state.log_history, self._validation.measure), self._validation.measure)
        return None if best is None else best.step
