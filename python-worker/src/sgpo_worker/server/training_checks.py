"""What the parameters of a training may hold."""

from __future__ import annotations

import math
import re

from sgpo_worker.server.problems import Problems
from sgpo_worker.specs import LoraParameters, TrainingParameters, ValidationParameters

# Schedulers of transformers that need no further arguments.
_SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")
_HIGHEST_RANK = 4096
_MODULE_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")


def check_training(training: TrainingParameters, field: str, measures: tuple[str, ...], problems: Problems) -> None:
    """Notes what is wrong with `training`, named `field`; `measures`: what the training can be judged by."""

    def check(right: bool, name: str, value: object, fix: str) -> None:
        problems.check(right, f"{field}.{name}", value, fix)

    check(0 < training.epochs <= 1000, "epochs", training.epochs, "give a number above 0 and at most 1000")
    check(
        0 < training.learning_rate <= 1, "learning_rate", training.learning_rate, "give a number above 0 and at most 1, as 5e-7"
    )
    check(training.batch_size >= 1, "batch_size", training.batch_size, "give the rows of an optimiser step, at least 1")
    check(
        training.micro_batch_size >= 1,
        "micro_batch_size",
        training.micro_batch_size,
        "give the rows of a forward pass, at least 1",
    )
    if training.micro_batch_size >= 1:
        check(
            training.batch_size % training.micro_batch_size == 0,
            "micro_batch_size",
            training.micro_batch_size,
            f"give a divisor of batch_size ({training.batch_size})",
        )
    check(
        training.max_length >= 2, "max_length", training.max_length, "give the most tokens of prompt and completion, at least 2"
    )
    check(0 <= training.warmup_ratio < 1, "warmup_ratio", training.warmup_ratio, "give a share of the steps, from 0 to below 1")
    check(training.scheduler in _SCHEDULERS, "scheduler", training.scheduler[:80], f"use one of {', '.join(_SCHEDULERS)}")
    decay = training.weight_decay
    check(math.isfinite(decay) and decay >= 0, "weight_decay", decay, "give 0 or a positive number")
    norm = training.max_grad_norm
    check(math.isfinite(norm) and norm > 0, "max_grad_norm", norm, "give a positive number, as 1")
    if training.lora is not None:
        _check_lora(training.lora, f"{field}.lora", problems)
    if training.validation is not None:
        _check_validation(training.validation, f"{field}.validation", measures, problems)
    check(
        training.publish == "last" or training.validation is not None,
        "publish",
        training.publish,
        "set validation, whose measure tells the best weights, or publish the last ones",
    )


def _check_lora(lora: LoraParameters, field: str, problems: Problems) -> None:
    problems.check(1 <= lora.rank <= _HIGHEST_RANK, f"{field}.rank", lora.rank, f"give a whole number from 1 to {_HIGHEST_RANK}")
    problems.check(
        math.isfinite(lora.alpha) and lora.alpha > 0, f"{field}.alpha", lora.alpha, "give a positive number, as 2 × rank"
    )
    problems.check(0 <= lora.dropout < 1, f"{field}.dropout", lora.dropout, "give a share from 0 to below 1")
    for name in lora.target_modules:
        problems.check(
            _MODULE_NAME.fullmatch(name) is not None,
            f"{field}.target_modules",
            name[:80],
            "give the name of a module, as q_proj: letters, digits, dots and underscores",
        )
    problems.check(
        len(set(lora.target_modules)) == len(lora.target_modules),
        f"{field}.target_modules",
        lora.target_modules,
        "give each name once",
    )


def _check_validation(validation: ValidationParameters, field: str, measures: tuple[str, ...], problems: Problems) -> None:
    problems.check(
        0 < validation.share <= 0.5, f"{field}.share", validation.share, "give a share of the rows above 0 and at most 0.5"
    )
    problems.check(
        validation.every_steps >= 1,
        f"{field}.every_steps",
        validation.every_steps,
        "give the steps between measurements, at least 1",
    )
    problems.check(
        validation.measure in measures,
        f"{field}.measure",
        validation.measure[:80],
        f"use one of {', '.join(measures)}, which this training measures",
    )
