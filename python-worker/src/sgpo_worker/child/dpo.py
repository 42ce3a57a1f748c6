"""Preference optimisation with TRL's DPOTrainer, on token ids of our own making, against an explicit frozen reference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.launch import train_on_devices
from sgpo_worker.child.model_folder import load_model, load_tokenizer, read_stop_ids
from sgpo_worker.child.rows import Row, answer_text, read_rows
from sgpo_worker.child.session import Session
from sgpo_worker.child.training import Example, TrainingSet, train
from sgpo_worker.child.training_callback import TrainingCallback, diverged
from sgpo_worker.events import Finished
from sgpo_worker.specs import DpoSpec

_STEP_ZERO_TOLERANCE = 1e-3
_STEP_ZERO_NAMES = (
    "rewards/margins",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)


class PreferenceTrainer(DPOTrainer):
    """DPOTrainer on `prompt_ids`, `chosen_ids`, `rejected_ids`, which tells the first batch's metrics before any update.

    Those come from the first forward pass of the training itself, so they cost nothing and cannot differ from what is trained.
    """

    def __init__(self, *, on_first_batch: Callable[[dict[str, float]], None], **arguments: object) -> None:
        self._on_first_batch: Callable[[dict[str, float]], None] | None = on_first_batch
        super().__init__(**arguments)

    def _prepare_dataset(self, dataset: Dataset, *args: object, **kwargs: object) -> Dataset:
        """The rows as they are: they hold token ids already, and each fits."""
        return dataset

    def compute_loss(self, model: object, inputs: object, *args: object, **kwargs: object) -> torch.Tensor:
        loss: torch.Tensor = super().compute_loss(model, inputs, *args, **kwargs)
        if self._on_first_batch is not None:
            if self.state.global_step == 0:
                recorded = self._metrics["train"]
                values = {name: float(recorded[name][-1]) for name in _STEP_ZERO_NAMES}
                self._on_first_batch({"loss": float(loss.detach()), **values})
            self._on_first_batch = None
        return loss

    def create_model_card(self, *args: object, **kwargs: object) -> None:
        """Nothing: a checkpoint is not for publication."""


def run_dpo(session: Session, spec: DpoSpec) -> Finished:
    """Runs the task to its end; see `train` for what it may raise, and TRAIN.REFERENCE_MISMATCH."""
    return train_on_devices(session, spec, lambda micro_batch_size: train_dpo(session, spec, micro_batch_size))


def train_dpo(session: Session, spec: DpoSpec, micro_batch_size: int) -> Finished:
    """One try with this micro-batch, in this process."""
    session.phase("loading")
    rows = read_rows(open_artifact(session.store, spec.dataset), ["id", "prompt", "chosen", "rejected"])
    folder = open_artifact(session.store, spec.policy)
    reference_folder = open_artifact(session.store, spec.reference)
    tokenizer = load_tokenizer(folder)
    check_same_tokens(folder, reference_folder)
    data = tokenize_preferences(rows, ChatFormat(tokenizer, read_stop_ids(folder, tokenizer)), spec.training.max_length)

    def on_first_batch(values: dict[str, float]) -> None:
        session.metrics(0, values)
        check_step_zero(spec, values["loss"])

    def make_trainer(arguments: dict[str, Any], callback: TrainingCallback) -> DPOTrainer:
        return PreferenceTrainer(
            model=load_model(folder, "float32"),
            ref_model=load_model(reference_folder, "float32").requires_grad_(False),
            args=DPOConfig(
                **arguments,
                loss_type=[spec.loss_type],
                beta=spec.beta,
                label_smoothing=spec.label_smoothing,
                disable_dropout=True,
                # The reference stays in memory and sees the same batches as the policy, so that the margin is exactly 0 at step 0
                # whatever the padding. Computed beforehand, in other batches, its log-probabilities differ by rounding.
                precompute_ref_log_probs=False,
            ),
            train_dataset=Dataset.from_list([dict(example) for example in data.examples]),
            processing_class=tokenizer,
            callbacks=[callback],
            on_first_batch=on_first_batch,
        )

    return train(
        session,
        spec,
        source=folder,
        tokenizer=tokenizer,
        data=data,
        micro_batch_size=micro_batch_size,
        make_trainer=make_trainer,
    )


def tokenize_preferences(rows: list[Row], chat: ChatFormat, max_length: int) -> TrainingSet:
    """{prompt, chosen, rejected} rows → `prompt_ids`, `chosen_ids`, `rejected_ids`. Drops "too_long" and "identical_tokens"."""
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        chosen = chat.conversation(row["prompt"], answer_text(row, "chosen"))
        rejected = chat.conversation(row["prompt"], answer_text(row, "rejected"))
        if max(chosen.tokens, rejected.tokens) > max_length:
            dropped["too_long"] += 1
        elif chosen.completion_ids == rejected.completion_ids:
            dropped["identical_tokens"] += 1
        else:
            examples.append(
                {
                    "prompt_ids": chosen.prompt_ids,
                    "chosen_ids": chosen.completion_ids,
                    "rejected_ids": rejected.completion_ids,
                }
            )
    return TrainingSet(examples=examples, dropped=dict(dropped))


def check_same_tokens(policy: Path, reference: Path) -> None:
    """Both models must read the same ids as the same text. Raises `TaskFailure` MODEL.TOKENIZER_MISMATCH."""
    if (policy / "tokenizer.json").read_bytes() != (reference / "tokenizer.json").read_bytes():
        raise TaskFailure(
            "MODEL.TOKENIZER_MISMATCH",
            "invalid",
            "policy and reference have different tokenizer.json files",
            "Use a reference with the policy's tokenizer: the model that the policy started from.",
        )


def check_step_zero(spec: DpoSpec, loss: float) -> None:
    """Equal policy and reference give a loss of ln 2 before any update; anything else means that the two are not computed alike.

    Raises `TaskFailure` TRAIN.REFERENCE_MISMATCH, or TRAIN.DIVERGED when the loss is no number.
    """
    if not math.isfinite(loss):
        raise diverged("loss", loss, 0)
    if spec.loss_type == "sigmoid" and spec.policy == spec.reference and abs(loss - math.log(2)) > _STEP_ZERO_TOLERANCE:
        raise TaskFailure(
            "TRAIN.REFERENCE_MISMATCH",
            "invalid",
            f"policy and reference are the same model, but the loss before any update is {loss:.6f}, not ln 2 = 0.693147",
            "Report this with the model's name: its forward pass is not repeatable. Training in float32 may avoid it.",
        )
