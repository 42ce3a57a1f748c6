"""What a training measured, read from the trainer's own log, so that it survives a resume with the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sgpo_worker.losses import HIGHEST_IS_BEST
from sgpo_worker.specs import TrainingParameters

STATISTICS_FILE = "training_statistics.json"
LogHistory = Sequence[Mapping[str, Any]]
"""TrainerState.log_history: one entry a step for the training ("loss", …) and one a measurement ("eval_loss", …)."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A value of the named measure on the validation rows after an optimiser step."""

    step: int
    value: float


def read_measurements(history: LogHistory, measure: str) -> list[Measurement]:
    """Every value of `measure` (TRL's name without "eval_"), in the order of steps."""
    name = f"eval_{measure}"
    return [Measurement(step=entry["step"], value=float(entry[name])) for entry in history if name in entry]


def best_of(measurements: Sequence[Measurement], measure: str) -> Measurement | None:
    """The lowest loss or the highest accuracies or margins, the earlier one of equals; none of none."""
    sign = -1 if measure in HIGHEST_IS_BEST else 1
    return min(measurements, key=lambda measured: (sign * measured.value, measured.step), default=None)


def describe_training(
    parameters: TrainingParameters,
    history: LogHistory,
    *,
    steps: int,
    rows: Mapping[str, Any],
    trained_parameters: int,
    total_parameters: int,
) -> dict[str, Any]:
    """The statistics file of a finished training: nothing in it depends on time or place."""
    measure = None if parameters.validation is None else parameters.validation.measure
    measurements = [] if measure is None else read_measurements(history, measure)
    best = None if measure is None else best_of(measurements, measure)
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    return {
        "rows": dict(rows),
        "steps": steps,
        "epochs": parameters.epochs,
        "published": parameters.publish,
        "measure": measure,
        "measurements": [asdict(measured) for measured in measurements],
        "best": None if best is None else asdict(best),
        "loss": {"first": losses[0], "last": losses[-1]},
        "parameters": {"trained": trained_parameters, "total": total_parameters},
    }
