"""What SFT and DPO share: steps and batches, the trainer's arguments, checkpoints, running out of memory, and publishing."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedTokenizerBase, PrinterCallback, Trainer, set_seed

from sgpo_worker.artifacts import publish
from sgpo_worker.child.checkpoints import CheckpointFolder
from sgpo_worker.child.failures import TaskFailure, is_out_of_memory
from sgpo_worker.child.model_folder import describe_tokenizer, save_model_folder
from sgpo_worker.child.provenance import describe_run
from sgpo_worker.child.session import Session
from sgpo_worker.child.training_callback import TrainingCallback
from sgpo_worker.events import Finished
from sgpo_worker.specs import DpoSpec, SftSpec, TrainingParameters

Example = Mapping[str, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Token ids of the kept rows, in the table's order, and the count of the others by reason."""

    examples: list[Example]
    dropped: dict[str, int]

    @property
    def rows_in(self) -> int:
        return len(self.examples) + sum(self.dropped.values())


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How one optimiser step's `batch_size` rows are cut: micro_batch_size × accumulation × devices."""

    micro_batch_size: int
    accumulation: int
    devices: int
    warmup_steps: int

    def describe(self) -> str:
        return f"micro-batches of {self.micro_batch_size} × {self.accumulation} accumulated × {self.devices} devices"


class MakeTrainer(Protocol):
    """Loads the models and builds TRL's trainer; called again with a smaller plan after running out of memory."""

    def __call__(self, arguments: dict[str, Any], callback: TrainingCallback) -> Trainer: ...


def plan_batches(rows: int, parameters: TrainingParameters, micro_batch_size: int, devices: int) -> BatchPlan:
    """Raises `TaskFailure` SPEC.CONFLICT when batch_size is no multiple of micro_batch_size × devices."""
    at_once = micro_batch_size * devices
    if parameters.batch_size % at_once != 0:
        raise TaskFailure(
            "SPEC.CONFLICT",
            "invalid",
            f"batch_size {parameters.batch_size} is not a multiple of micro_batch_size {micro_batch_size} × {devices} devices",
            f"Set batch_size to a multiple of {at_once}, or lower micro_batch_size.",
        )
    steps = math.ceil(parameters.epochs * math.ceil(rows / parameters.batch_size))
    return BatchPlan(
        micro_batch_size=micro_batch_size,
        accumulation=parameters.batch_size // at_once,
        devices=devices,
        warmup_steps=math.ceil(parameters.warmup_ratio * steps),
    )


def smaller_micro_batch(batch_size: int, micro_batch_size: int, devices: int) -> int | None:
    """The largest micro-batch of at most half the size that still divides the batch; none below 1."""
    for size in range(micro_batch_size // 2, 0, -1):
        if batch_size % (size * devices) == 0:
            return size
    return None


def run_with_less_memory(
    session: Session, parameters: TrainingParameters, devices: int, run: Callable[[int], Finished]
) -> Finished:
    """Calls `run(micro_batch_size)`, with half the size after each time memory runs out; the effective batch stays.

    Raises `TaskFailure` TRAIN.OUT_OF_MEMORY when a single row does not fit.
    """
    size: int | None = parameters.micro_batch_size
    while size is not None:
        try:
            return run(size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: the exception's frames hold the tensors that have to go.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        failed, size = size, smaller_micro_batch(parameters.batch_size, size, devices)
        if size is not None:
            session.warning(f"Out of memory with micro_batch_size {failed}; going on with {size} from the last checkpoint.")
    raise TaskFailure(
        "TRAIN.OUT_OF_MEMORY",
        "resources",
        f"memory ran out with micro_batch_size 1 and max_length {parameters.max_length}",
        "Lower max_length, set gradient_checkpointing, or run the task on devices with more memory.",
    )


def train(
    session: Session,
    spec: SftSpec | DpoSpec,
    *,
    source: Path,
    tokenizer: PreTrainedTokenizerBase,
    data: TrainingSet,
    micro_batch_size: int,
    make_trainer: MakeTrainer,
) -> Finished:
    """One training from its newest checkpoint to the published model folder, or to a checkpoint when SIGTERM asks for it.

    `source` is the folder of the trained model. Raises `TaskFailure` DATASET.NO_ROWS_LEFT for an empty `data`.
    """
    if not data.examples:
        raise TaskFailure(
            "DATASET.NO_ROWS_LEFT",
            "invalid",
            f"none of {data.rows_in} rows can be trained on; dropped: {data.dropped}",
            f"Give more rows, or raise max_length (now {spec.training.max_length}).",
        )
    checkpoints = CheckpointFolder(session.task.work_dir, spec)
    plan = plan_batches(len(data.examples), spec.training, micro_batch_size, world_size())
    counts = Finished(outcome="succeeded", rows_in=data.rows_in, rows_out=len(data.examples), dropped=data.dropped)
    if session.stop.requested:
        return replace(counts, outcome="checkpointed")

    set_seed(spec.training.seed)
    callback = TrainingCallback(session, checkpoints, spec.training.checkpoint_seconds)
    trainer = make_trainer(trainer_arguments(spec.training, plan, checkpoints.path), callback)
    if len(trainer.train_dataset) != len(data.examples):
        raise RuntimeError(f"the trainer took {len(trainer.train_dataset)} of {len(data.examples)} rows")
    # It would print every metric into the log, which has them as events.
    trainer.remove_callback(PrinterCallback)
    resume_from = checkpoints.newest()
    if resume_from is not None:
        session.info(f"Going on from step {resume_from.name.removeprefix('checkpoint-')}.")
    session.phase("running")
    trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    if callback.stopped:
        return replace(counts, outcome="checkpointed")

    session.phase("publishing")
    state = trainer.accelerator.get_state_dict(trainer.model) if plan.devices > 1 else None
    if not is_first_rank():
        return counts
    model = trainer.accelerator.unwrap_model(trainer.model)
    device = str(trainer.accelerator.device)
    output = publish(
        session.store,
        lambda folder: save_model_folder(model, tokenizer, folder, spec.training.save_dtype, source=source, state=state),
    )
    checkpoints.remove()
    provenance = describe_run(
        engine="trl",
        device=device,
        dtype=spec.training.dtype,
        batch_rule=plan.describe(),
        text_side=describe_tokenizer(source, tokenizer),
    )
    return replace(counts, output=output, provenance=provenance)


def trainer_arguments(parameters: TrainingParameters, plan: BatchPlan, checkpoints: Path) -> dict[str, Any]:
    """Arguments of TRL's SFTConfig and DPOConfig alike. Lengths are checked before, so the trainer must cut nothing."""
    on_cpu = not torch.cuda.is_available()
    arguments: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "num_train_epochs": parameters.epochs,
        "per_device_train_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.accumulation,
        "learning_rate": parameters.learning_rate,
        "lr_scheduler_type": parameters.scheduler,
        "warmup_steps": plan.warmup_steps,
        "weight_decay": parameters.weight_decay,
        "max_grad_norm": parameters.max_grad_norm,
        "optim": "adamw_torch",
        "seed": parameters.seed,
        "data_seed": parameters.seed,
        "bf16": parameters.dtype == "bfloat16",
        "use_cpu": on_cpu,
        "gradient_checkpointing": parameters.gradient_checkpointing,
        "max_length": None,
        "pad_to_multiple_of": None,
        "dataloader_pin_memory": not on_cpu,
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
    }
    if plan.devices > 1:
        arguments |= {
            "gradient_checkpointing": False,
            "fsdp": True,
            "fsdp_config": {
                "version": 2,
                "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
                "reshard_after_forward": True,
                "state_dict_type": "FULL_STATE_DICT",
                "activation_checkpointing": parameters.gradient_checkpointing,
            },
        }
    return arguments


def world_size() -> int:
    """Processes of this training, one a device."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_rank() -> bool:
    """True in the process that tells events and publishes."""
    return os.environ.get("RANK", "0") == "0"
