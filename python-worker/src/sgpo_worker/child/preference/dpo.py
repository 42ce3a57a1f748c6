"""TRL's DPOTrainer against an explicit frozen reference: one loss, or several with weights."""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from sgpo_worker.child.batches import UNCUT
from sgpo_worker.child.measured_trainer import MeasuredTrainer
from sgpo_worker.specs import DpoSpec


class DpoTrainer(MeasuredTrainer, DPOTrainer):
    """DPOTrainer on `prompt_ids`, `chosen_ids`, `rejected_ids`.

    TRL uses a given reference model also when an adapter is trained; only without one would it take the policy less its adapter.
    """

    def _prepare_dataset(self, dataset: Dataset, *args: object, **kwargs: object) -> Dataset:
        """The rows as they are: they hold token ids already, and each fits."""
        return dataset


def dpo_config(spec: DpoSpec, arguments: dict[str, Any]) -> DPOConfig:
    """TRL's configuration; what the spec leaves out keeps TRL's default."""
    chosen = {} if spec.discopop_tau is None else {"discopop_tau": spec.discopop_tau}
    return DPOConfig(
        **arguments,
        **UNCUT,
        **chosen,
        loss_type=list(spec.loss_types),
        loss_weights=list(spec.loss_weights) or None,
        beta=spec.beta,
        label_smoothing=spec.label_smoothing,
        ld_alpha=spec.ld_alpha,
        disable_dropout=False,
        # The reference stays in memory and sees the same batches as the policy, so that the margin is exactly 0 at step 0
        # whatever the padding. Computed beforehand, in other batches, its log-probabilities differ by rounding.
        precompute_ref_log_probs=False,
    )
