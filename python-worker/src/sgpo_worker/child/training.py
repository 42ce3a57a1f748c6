"""What every training shares: from rows and a trainer to the published folder, or to a checkpoint when SIGTERM asks for it."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, Trainer, TrainerCallback, set_seed

from sgpo_worker.artifacts import publish
from sgpo_worker.child.batches import BatchPlan, is_first_rank, plan_batches, trainer_arguments, world_size
from sgpo_worker.child.checkpoints import CheckpointFolder
from sgpo_worker.child.lora import check_targets, lora_config
from sgpo_worker.child.model_folder import TextSide, describe_tokenizer
from sgpo_worker.child.provenance import describe_run, describe_spec
from sgpo_worker.child.publishing import Trained, write_output
from sgpo_worker.child.session import Session
from sgpo_worker.child.training_callback import TrainingCallback
from sgpo_worker.child.training_set import Example, Split, TrainingSet, split_rows
from sgpo_worker.child.validation_callback import ValidationCallback
from sgpo_worker.child.weights import BestWeights, trained_weights
from sgpo_worker.events import Finished
from sgpo_worker.specs import DpoSpec, SftSpec, TrainingParameters


@dataclass(frozen=True, kw_only=True)
class TrainerParts:
    """What TRL's trainers take alike."""

    arguments: dict[str, Any]
    train_dataset: Dataset
    eval_dataset: Dataset | None
    callbacks: list[TrainerCallback]
    peft_config: LoraConfig | None

    def keywords(self) -> dict[str, Any]:
        """Those that a trainer's constructor takes under the same names."""
        return {
            "train_dataset": self.train_dataset,
            "eval_dataset": self.eval_dataset,
            "callbacks": self.callbacks,
            "peft_config": self.peft_config,
        }


class MakeTrainer(Protocol):
    """Loads the models and builds TRL's trainer; called again with a smaller plan after running out of memory."""

    def __call__(self, parts: TrainerParts) -> Trainer: ...


def train(
    session: Session,
    spec: SftSpec | DpoSpec,
    *,
    source: Path,
    text: TextSide,
    data: TrainingSet,
    micro_batch_size: int,
    make_trainer: MakeTrainer,
) -> Finished:
    """One training from its newest checkpoint to the published model folder, or to a checkpoint when SIGTERM asks for it.

    `source` is the folder of the trained model. Raises `TaskFailure` DATASET.NO_ROWS_LEFT when no row is left to train on.
    """
    parameters = spec.training
    split = split_rows(data, parameters)
    checkpoints = CheckpointFolder(session.task.work_dir, spec)
    plan = plan_batches(len(split.training), parameters, micro_batch_size, world_size())
    counts = Finished(outcome="succeeded", rows_in=data.rows_in, rows_out=len(data.examples), dropped=data.dropped)
    if session.stop.requested:
        return replace(counts, outcome="checkpointed")

    set_seed(parameters.seed)
    best = BestWeights(checkpoints.path)
    trained = _train_to_end(
        session, parameters, split=split, plan=plan, checkpoints=checkpoints, best=best, make_trainer=make_trainer
    )
    if trained is None:
        return replace(counts, outcome="checkpointed")
    if not is_first_rank():
        return counts
    # What the trainer held, optimiser and all, is needed for the model that is written.
    gc.collect()
    rows = {
        "in": data.rows_in,
        "trained": len(split.training),
        "validation": len(split.validation),
        "dropped": dict(sorted(data.dropped.items())),
    }
    output = publish(
        session.store,
        lambda folder: write_output(folder, trained, source=source, text=text, parameters=parameters, rows=rows, best=best),
    )
    checkpoints.remove()
    provenance = describe_run(
        engine="trl",
        device=trained.device,
        dtype=parameters.dtype,
        batch_rule=plan.describe(),
        text_side=describe_tokenizer(source, text),
    )
    return replace(counts, output=output, provenance=provenance | describe_spec(spec))


def _train_to_end(
    session: Session,
    parameters: TrainingParameters,
    *,
    split: Split,
    plan: BatchPlan,
    checkpoints: CheckpointFolder,
    best: BestWeights,
    make_trainer: MakeTrainer,
) -> Trained | None:
    """The training itself; none when it was stopped and left a checkpoint."""
    following = TrainingCallback(session, checkpoints, parameters.checkpoint_seconds)
    measuring: ValidationCallback | None = None
    if parameters.validation is not None:
        measuring = ValidationCallback(session, parameters.validation, None if parameters.publish == "last" else best)
    trainer = make_trainer(
        TrainerParts(
            arguments=trainer_arguments(parameters, plan, checkpoints.path),
            train_dataset=_dataset(split.training),
            eval_dataset=_dataset(split.validation) if split.validation else None,
            callbacks=[following] if measuring is None else [following, measuring],
            peft_config=None if parameters.lora is None else lora_config(parameters.lora),
        )
    )
    if len(trainer.train_dataset) != len(split.training):
        raise RuntimeError(f"the trainer took {len(trainer.train_dataset)} of {len(split.training)} rows")
    if parameters.lora is not None:
        check_targets(trainer.model, parameters.lora)
    if measuring is not None:
        measuring.gather = lambda: trained_weights(trainer, plan.devices)
    # It would print every metric into the log, which has them as events.
    trainer.remove_callback(PrinterCallback)
    resume_from = checkpoints.newest()
    if resume_from is not None:
        session.info(f"Going on from step {resume_from.name.removeprefix('checkpoint-')}.")
    session.phase("running")
    trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    if following.stopped:
        return None
    session.phase("publishing")
    return Trained(
        weights=trained_weights(trainer, plan.devices),
        history=trainer.state.log_history,
        steps=trainer.state.global_step,
        device=str(trainer.accelerator.device),
    )


def _dataset(examples: list[Example]) -> Dataset:
    return Dataset.from_list([dict(example) for example in examples])
