"""TRL's KTOTrainer on pairs: each becomes a desirable and an undesirable row of the same micro-batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import RandomSampler, Sampler
from transformers import PreTrainedTokenizerBase
from trl import KTOConfig, KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from sgpo_worker.child.batches import UNCUT
from sgpo_worker.child.measured_trainer import MeasuredTrainer
from sgpo_worker.child.training_set import Example
from sgpo_worker.specs import DpoSpec


class KtoTrainer(MeasuredTrainer, KTOTrainer):
    """KTOTrainer on `prompt_ids`, `chosen_ids`, `rejected_ids`: a row of its data set is a pair, as for every other trainer."""

    def _prepare_dataset(self, dataset: Dataset, *args: object, **kwargs: object) -> Dataset:
        """The rows as they are: they hold token ids already, and each fits."""
        return dataset

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        """Shuffled, as for every other trainer. TRL wants a fixed order because it makes the rows of the KL term beforehand."""
        return RandomSampler(self.train_dataset if train_dataset is None else train_dataset)


@dataclass(frozen=True, kw_only=True)
class PairCollator:
    """n pairs → 2n rows: all chosen answers, then all rejected ones.

    For the KL term each row's prompt gets the answer of the row before it. In this order that is another prompt's answer, from
    two pairs on; an epoch's last micro-batch may hold a single one, whose KL term then comes from its own two answers.
    """

    rows: DataCollatorForUnpairedPreference
    with_kl: bool

    def __call__(self, pairs: list[Example]) -> dict[str, torch.Tensor]:
        rows: list[dict[str, Any]] = [
            {"prompt_ids": pair["prompt_ids"], "completion_ids": pair[side], "label": side == "chosen_ids"}
            for side in ("chosen_ids", "rejected_ids")
            for pair in pairs
        ]
        if self.with_kl:
            before = [rows[-1], *rows[:-1]]
            rows = [{**row, "KL_completion_ids": other["completion_ids"]} for row, other in zip(rows, before, strict=True)]
        batch: dict[str, torch.Tensor] = self.rows(rows)
        return batch


def collate_pairs(tokenizer: PreTrainedTokenizerBase, spec: DpoSpec) -> PairCollator:
    """The collator for the spec's loss; only "kto" has a KL term."""
    return PairCollator(
        rows=DataCollatorForUnpairedPreference(pad_token_id=tokenizer.pad_token_id), with_kl=spec.loss_types == ["kto"]
    )


def kto_config(spec: DpoSpec, arguments: dict[str, Any]) -> KTOConfig:
    """TRL's configuration; what the spec leaves out keeps TRL's default."""
    named = {"desirable_weight": spec.desirable_weight, "undesirable_weight": spec.undesirable_weight}
    return KTOConfig(
        **arguments,
        **UNCUT,
        **{name: value for name, value in named.items() if value is not None},
        loss_type=spec.loss_types[0],
        beta=spec.beta,
        disable_dropout=False,
        precompute_ref_log_probs=False,
        # The collator needs columns that TRL does not know.
        remove_unused_columns=False,
        # Asked for by TRL; see KtoTrainer for the order that is used.
        train_sampling_strategy="sequential",
    )
