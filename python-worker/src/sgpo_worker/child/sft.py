"""Supervised fine-tuning with TRL's SFTTrainer, on token ids of our own making: loss on answers and their ends alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from transformers import Trainer
from trl import SFTConfig, SFTTrainer

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.batches import UNCUT
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.launch import train_on_devices
from sgpo_worker.child.measured_trainer import MeasuredTrainer
from sgpo_worker.child.model_folder import load_model
from sgpo_worker.child.rows import Message, Row, answer_text, read_rows
from sgpo_worker.child.session import Session
from sgpo_worker.child.text_side import choose_text_side
from sgpo_worker.child.training import TrainerParts, train
from sgpo_worker.child.training_set import Example, TrainingSet
from sgpo_worker.events import Finished
from sgpo_worker.specs import SftSpec

_NOT_TRAINED = -100


class SftTrainer(MeasuredTrainer, SFTTrainer):
    """SFTTrainer on `input_ids` and `labels`."""


def run_sft(session: Session, spec: SftSpec) -> Finished:
    """Runs the task to its end; see `train` for what it may raise."""
    return train_on_devices(session, spec, lambda micro_batch_size: train_sft(session, spec, micro_batch_size))


def train_sft(session: Session, spec: SftSpec, micro_batch_size: int) -> Finished:
    """One try with this micro-batch, in this process."""
    session.phase("loading")
    rows = read_rows(
        open_artifact(session.store, spec.dataset), ["id", "prompt", "completion"], ["id", "messages"], optional=["unfinished"]
    )
    folder = open_artifact(session.store, spec.model)
    text = choose_text_side(folder, spec.chat_template)
    if text.rewritten:
        session.info(f"Using the chat template {text.template}, which is saved with the model.")
    data = tokenize_sft(rows, ChatFormat(text.tokenizer, text.stop_ids), spec.training.max_length)

    def make_trainer(parts: TrainerParts) -> Trainer:
        return SftTrainer(
            model=load_model(folder, "float32"),
            args=SFTConfig(**parts.arguments, **UNCUT),
            processing_class=text.tokenizer,
            **parts.keywords(),
        )

    return train(
        session,
        spec,
        source=folder,
        text=text,
        data=data,
        micro_batch_size=micro_batch_size,
        make_trainer=make_trainer,
    )


def tokenize_sft(rows: list[Row], chat: ChatFormat, max_length: int) -> TrainingSet:
    """{prompt, completion} or {messages} rows → `input_ids` and `labels` (-100 outside the answers). Drops "too_long".

    A completion marked as unfinished gets no end token.
    """
    examples: list[Example] = []
    ids: list[str] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        example = _tokenize_dialogue(row, chat) if "messages" in row else _tokenize_completion(row, chat)
        if len(example["input_ids"]) > max_length:
            dropped["too_long"] += 1
            continue
        examples.append(example)
        ids.append(row["id"])
    return TrainingSet(examples=examples, ids=ids, dropped=dict(dropped))


def _tokenize_completion(row: Row, chat: ChatFormat) -> Example:
    conversation = chat.conversation(row["prompt"], answer_text(row, "completion"))
    completion = conversation.learnt_ids(unfinished=bool(row.get("unfinished")))
    return {
        "input_ids": conversation.prompt_ids + completion,
        "labels": [_NOT_TRAINED] * len(conversation.prompt_ids) + completion,
    }


def _tokenize_dialogue(row: Row, chat: ChatFormat) -> Example:
    messages: Sequence[Message] = row["messages"]
    if not messages or messages[-1]["role"] != "assistant":
        raise TaskFailure(
            "DATASET.WRONG_COLUMNS",
            "invalid",
            f"row {row['id']}: messages has the roles {[message['role'] for message in messages]}",
            "End every conversation with an assistant message: what follows the last one teaches nothing.",
        )
    dialogue = chat.dialogue(messages)
    labels = [_NOT_TRAINED] * len(dialogue.ids)
    for answer in dialogue.answers:
        labels[answer.start : answer.stop] = dialogue.ids[answer.start : answer.stop]
    return {"input_ids": dialogue.ids, "labels": labels}
