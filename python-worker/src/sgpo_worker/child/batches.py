"""How rows become optimiser steps over devices, and the trainer's arguments that follow from that."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.specs import TrainingParameters


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How one optimiser step's `batch_size` rows are cut: micro_batch_size × accumulation × devices."""

    micro_batch_size: int
    accumulation: int
    devices: int
    warmup_steps: int

    def describe(self) -> str:
        return f"micro-batches of {self.micro_batch_size} × {self.accumulation} accumulated × {self.devices} devices"


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


# For the trainers that would cut rows: lengths are checked before, so nothing is cut, and rows are padded to the longest only.
UNCUT: dict[str, Any] = {"max_length": None, "pad_to_multiple_of": None}


def trainer_arguments(parameters: TrainingParameters, plan: BatchPlan, checkpoints: Path) -> dict[str, Any]:
    """Arguments of every configuration of TRL alike."""
    on_cpu = not torch.cuda.is_available()
    arguments: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "num_train_epochs": parameters.epochs,
        "per_device_train_batch_size": plan.micro_batch_size,
        "per_device_eval_batch_size": plan.micro_batch_size,
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
