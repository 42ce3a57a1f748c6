"""What TRL's trainers without a reference (CPO, ORPO) have in common: both tokenise rows themselves and gather metrics alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sgpo_worker.child.measured_trainer import MeasuredTrainer
from sgpo_worker.child.training_set import Example
from sgpo_worker.specs import DpoSpec

_NOT_TRAINED = -100


class UnreferencedTrainer(MeasuredTrainer):
    """To be put before CPOTrainer or ORPOTrainer among a class's bases; takes `prompt_ids`, `chosen_ids`, `rejected_ids`."""

    def recorded(self, mode: str) -> Mapping[str, list[float]]:
        metrics: Mapping[str, list[float]] = self._stored_metrics[mode]
        return metrics

    def tokenize_row(self, feature: Example, model: object = None) -> dict[str, list[int]]:
        """TRL's columns from ids of our own making: never cut, never another BOS or end token."""
        columns: dict[str, list[int]] = {}
        for side in ("chosen", "rejected"):
            prompt, answer = list(feature["prompt_ids"]), list(feature[f"{side}_ids"])
            columns[f"{side}_input_ids"] = prompt + answer
            columns[f"{side}_attention_mask"] = [1] * (len(prompt) + len(answer))
            columns[f"{side}_labels"] = [_NOT_TRAINED] * len(prompt) + answer
        return columns


def unreferenced_arguments(spec: DpoSpec, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of CPOConfig and ORPOConfig alike."""
    return {
        **arguments,
        "beta": spec.beta,
        "disable_dropout": False,
        # Only told to TRL so that it takes no length of its own: the rows fit already.
        "max_length": spec.training.max_length,
        "remove_unused_columns": False,
    }
