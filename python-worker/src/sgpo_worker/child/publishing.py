"""What a finished training leaves: its weights as model folders, and the statistics file beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgpo_worker.child.measurements import STATISTICS_FILE, best_of, describe_training, read_measurements
from sgpo_worker.child.model_folder import TextSide
from sgpo_worker.child.weights import BestWeights, Weights, write_model
from sgpo_worker.specs import TrainingParameters

LAST_FOLDER = "last"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training at its end."""

    weights: Weights
    """The last ones; only the first rank's are sure to be whole."""
    history: list[dict[str, Any]]
    """TrainerState.log_history, from the first step on, also after a resume."""
    steps: int
    device: str


def write_output(
    out: Path,
    trained: Trained,
    *,
    source: Path,
    text: TextSide,
    parameters: TrainingParameters,
    rows: Mapping[str, Any],
    best: BestWeights,
) -> None:
    """Fills the empty folder `out` with what `parameters.publish` asks for; `rows`: counts for the statistics."""

    def write(weights: Weights, folder: Path) -> int:
        return write_model(weights, folder, source=source, text=text, parameters=parameters)

    if parameters.publish == "last":
        total = write(trained.weights, out)
    else:
        total = write(best.load(_best_step(parameters, trained.history)), out)
        if parameters.publish == "both":
            write(trained.weights, out / LAST_FOLDER)
    statistics = describe_training(
        parameters,
        trained.history,
        steps=trained.steps,
        rows=rows,
        trained_parameters=sum(tensor.numel() for tensor in trained.weights.values()),
        total_parameters=total,
    )
    (out / STATISTICS_FILE).write_text(json.dumps(statistics, indent=2) + "\n", encoding="utf-8")


def _best_step(parameters: TrainingParameters, history: list[dict[str, Any]]) -> int:
    measure = "" if parameters.validation is None else parameters.validation.measure
    best = best_of(read_measurements(history, measure), measure)
    if best is None:
        raise RuntimeError(f"publish is {parameters.publish!r}, but nothing was measured")
    return best.step
