"""Supervised fine-tuning with TRL's SFTTrainer, on token ids of our own making, loss on the completion only."""

from __future__ import annotations

from collections import Counter
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.launch import train_on_devices
from sgpo_worker.child.model_folder import load_model, load_tokenizer, read_stop_ids
from sgpo_worker.child.rows import Row, answer_text, read_rows
from sgpo_worker.child.session import Session
from sgpo_worker.child.training import Example, TrainingSet, train
from sgpo_worker.child.training_callback import TrainingCallback
from sgpo_worker.events import Finished
from sgpo_worker.specs import SftSpec

_NOT_TRAINED = -100


class CompletionTrainer(SFTTrainer):
    """SFTTrainer whose checkpoints carry no model card."""

    def create_model_card(self, *args: object, **kwargs: object) -> None:
        """Nothing: a checkpoint is not for publication."""


def run_sft(session: Session, spec: SftSpec) -> Finished:
    """Runs the task to its end; see `train` for what it may raise."""
    return train_on_devices(session, spec, lambda micro_batch_size: train_sft(session, spec, micro_batch_size))


def train_sft(session: Session, spec: SftSpec, micro_batch_size: int) -> Finished:
    """One try with this micro-batch, in this process."""
    session.phase("loading")
    rows = read_rows(open_artifact(session.store, spec.dataset), ["id", "prompt", "completion"])
    folder = open_artifact(session.store, spec.model)
    tokenizer = load_tokenizer(folder)
    data = tokenize_sft(rows, ChatFormat(tokenizer, read_stop_ids(folder, tokenizer)), spec.training.max_length)

    def make_trainer(arguments: dict[str, Any], callback: TrainingCallback) -> SFTTrainer:
        return CompletionTrainer(
            model=load_model(folder, "float32"),
            args=SFTConfig(**arguments),
            train_dataset=Dataset.from_list([dict(example) for example in data.examples]),
            processing_class=tokenizer,
            callbacks=[callback],
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


def tokenize_sft(rows: list[Row], chat: ChatFormat, max_length: int) -> TrainingSet:
    """{prompt, completion} rows → `input_ids` and `labels` (-100 on the prompt). Drops "too_long"."""
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        conversation = chat.conversation(row["prompt"], answer_text(row, "completion"))
        if conversation.tokens > max_length:
            dropped["too_long"] += 1
            continue
        completion = conversation.completion_ids
        examples.append(
            {
                "input_ids": conversation.prompt_ids + completion,
                "labels": [_NOT_TRAINED] * len(conversation.prompt_ids) + completion,
            }
        )
    return TrainingSet(examples=examples, dropped=dict(dropped))
