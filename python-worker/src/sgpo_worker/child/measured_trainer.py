"""What is added to TRL's trainers: the metrics of step 0, measures that count every row alike, and no model cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from transformers import Trainer

FirstBatch = Callable[[dict[str, float]], None]
_STEP_ZERO_NAMES = (
    "rewards/margins",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
    "nll_loss",
    "kl",
)


class MeasuredTrainer(Trainer):
    """To be put before a trainer of TRL among a class's bases.

    `on_first_batch` is told the metrics of the first batch before any update. They come from the training's own first forward
    pass, so they cost nothing and cannot differ from what is trained.
    """

    def __init__(self, *, on_first_batch: FirstBatch | None = None, **arguments: object) -> None:
        self._on_first_batch = on_first_batch
        super().__init__(**arguments)

    def recorded(self, mode: str) -> Mapping[str, list[float]]:
        """Where TRL's trainer gathers the values that it logs as their mean; `mode` is "train" or "eval"."""
        metrics: Mapping[str, list[float]] = self._metrics[mode]
        return metrics

    def compute_loss(self, model: object, inputs: object, *args: object, **kwargs: object) -> torch.Tensor:
        loss: torch.Tensor = super().compute_loss(model, inputs, *args, **kwargs)
        if self._on_first_batch is not None:
            if self.state.global_step == 0:
                values = {name: float(found[-1]) for name, found in self.recorded("train").items() if name in _STEP_ZERO_NAMES}
                self._on_first_batch({"loss": float(loss.detach()), **values})
            self._on_first_batch = None
        return loss

    def prediction_step(self, model: object, inputs: Mapping[str, torch.Tensor], *args: object, **kwargs: object) -> object:
        rows = max(len(values) for values in inputs.values())
        result: object = super().prediction_step(model, inputs, *args, **kwargs)
        # TRL takes the mean over batches, in which the rows of a smaller last batch would count more than others.
        for values in self.recorded("eval").values():
            values.extend(values[-1:] * (rows - 1))
        return result

    def create_model_card(self, *args: object, **kwargs: object) -> None:
        """Nothing: a checkpoint is not for publication."""
