"""Preference optimisation tasks: rows, models and the trainer that the spec names."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from trl.trainer import disable_dropout_in_model

from sgpo_worker.artifacts import open_artifact
from sgpo_worker.child.chat import ChatFormat
from sgpo_worker.child.launch import train_on_devices
from sgpo_worker.child.measured_trainer import FirstBatch
from sgpo_worker.child.model_folder import load_model
from sgpo_worker.child.preference.step_zero import check_same_tokens, check_step_zero
from sgpo_worker.child.preference.tokens import tokenize_preferences
from sgpo_worker.child.rows import read_rows
from sgpo_worker.child.session import Session
from sgpo_worker.child.text_side import read_text_side
from sgpo_worker.child.training import TrainerParts, train
from sgpo_worker.events import Finished
from sgpo_worker.specs import DpoSpec


def run_preference(session: Session, spec: DpoSpec) -> Finished:
    """Runs the task to its end; see `train` for what it may raise, and TRAIN.REFERENCE_MISMATCH."""
    return train_on_devices(session, spec, lambda micro_batch_size: train_preference(session, spec, micro_batch_size))


def train_preference(session: Session, spec: DpoSpec, micro_batch_size: int) -> Finished:
    """One try with this micro-batch, in this process."""
    session.phase("loading")
    rows = read_rows(
        open_artifact(session.store, spec.dataset),
        ["id", "prompt", "chosen", "rejected"],
        optional=["chosen_unfinished", "rejected_unfinished"],
    )
    folder = open_artifact(session.store, spec.policy)
    reference_folder = None if spec.reference is None else open_artifact(session.store, spec.reference)
    if reference_folder is not None:
        check_same_tokens(folder, reference_folder)
    text = read_text_side(folder)
    data = tokenize_preferences(rows, ChatFormat(text.tokenizer, text.stop_ids), spec.training.max_length)

    def on_first_batch(values: dict[str, float]) -> None:
        session.metrics(0, values)
        check_step_zero(spec, values)

    def make_trainer(parts: TrainerParts) -> Trainer:
        model = _load_without_dropout(folder)
        reference = None if reference_folder is None else _load_without_dropout(reference_folder).requires_grad_(False)
        return _make_trainer(
            spec, parts, model=model, reference=reference, tokenizer=text.tokenizer, on_first_batch=on_first_batch
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


def _load_without_dropout(folder: Path) -> PreTrainedModel:
    """Policy and reference must compute alike. Done here and not by TRL, which would also silence the dropout of an adapter."""
    model = load_model(folder, "float32")
    disable_dropout_in_model(model)
    return model


def _make_trainer(
    spec: DpoSpec,
    parts: TrainerParts,
    *,
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    tokenizer: PreTrainedTokenizerBase,
    on_first_batch: FirstBatch,
) -> Trainer:
    # Imported when needed: TRL's trainers take long to import.
    keywords = parts.keywords() | {"model": model, "processing_class": tokenizer, "on_first_batch": on_first_batch}
    match spec.trainer:
        case "dpo":
            from sgpo_worker.child.preference.dpo import DpoTrainer, dpo_config

            return DpoTrainer(ref_model=reference, args=dpo_config(spec, parts.arguments), **keywords)
        case "kto":
            from sgpo_worker.child.preference.kto import KtoTrainer, collate_pairs, kto_config

            collator = collate_pairs(tokenizer, spec)
            return KtoTrainer(ref_model=reference, args=kto_config(spec, parts.arguments), data_collator=collator, **keywords)
        case "cpo":
            from sgpo_worker.child.preference.cpo import CpoTrainer, cpo_config

            return CpoTrainer(args=cpo_config(spec, parts.arguments), **keywords)
        case "orpo":
            from sgpo_worker.child.preference.orpo import OrpoTrainer, orpo_config

            return OrpoTrainer(args=orpo_config(spec, parts.arguments), **keywords)
        case _:
            raise ValueError(f"trainer {spec.trainer!r} is not one of losses.TRAINERS")
