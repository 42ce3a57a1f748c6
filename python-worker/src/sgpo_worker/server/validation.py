"""What a spec may hold. A field left out is 0 on the wire, so that 0 is refused wherever it means nothing."""

from __future__ import annotations

import math
from pathlib import Path

from sgpo_worker.server.errors import InvalidRequestError, NotFoundError
from sgpo_worker.server.exits import DIGEST, artifact_exists
from sgpo_worker.specs import DpoSpec, GenerateSpec, ScoreSpec, SftSpec, TaskSpec, TrainingParameters

# Schedulers of transformers that need no further arguments.
_SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt")
# Losses of TRL's DPOTrainer.
_LOSS_TYPES = (
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
)


class Problems:
    """Everything wrong with a request, as "field: value: fix"."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def check(self, right: bool, field: str, value: object, fix: str) -> None:
        if not right:
            self._found.append(f"{field}: {value!r}: {fix}")

    def refuse(self) -> None:
        """Raises InvalidRequestError when there is any."""
        if self._found:
            raise InvalidRequestError("; ".join(self._found))


def check_spec(spec: TaskSpec, problems: Problems) -> None:
    """Notes each field that cannot work; looks neither at the store nor into any artifact."""
    for field, digest in _artifacts(spec):
        problems.check(
            DIGEST.fullmatch(digest) is not None, field, digest[:80], "give an artifact's digest: 64 lower-case hex digits"
        )
    match spec:
        case GenerateSpec():
            _check_generate(spec, problems)
        case ScoreSpec():
            problems.check(
                spec.max_length >= 2, "score.max_length", spec.max_length, "give the most tokens of prompt and answer, at least 2"
            )
            problems.check(spec.block_rows >= 1, "score.block_rows", spec.block_rows, "give the rows of a batch, at least 1")
        case SftSpec():
            _check_training(spec.training, "sft.training", problems)
        case DpoSpec():
            _check_training(spec.training, "dpo.training", problems)
            _check_preference(spec, problems)


def check_artifacts(spec: TaskSpec, store: Path) -> None:
    """Raises NotFoundError that names every artifact of the spec that the store does not hold."""
    missing = [
        f"{field}: {digest}: is not in the artifact store: publish it, or check that worker and caller share one store"
        for field, digest in _artifacts(spec)
        if not artifact_exists(store, digest)
    ]
    if missing:
        raise NotFoundError("; ".join(missing))


def _artifacts(spec: TaskSpec) -> list[tuple[str, str]]:
    match spec:
        case GenerateSpec() | ScoreSpec():
            return [(f"{spec.kind}.model", spec.model), (f"{spec.kind}.input", spec.input)]
        case SftSpec():
            return [("sft.model", spec.model), ("sft.dataset", spec.dataset)]
        case DpoSpec():
            return [("dpo.policy", spec.policy), ("dpo.reference", spec.reference), ("dpo.dataset", spec.dataset)]


def _check_generate(spec: GenerateSpec, problems: Problems) -> None:
    heat = spec.temperature
    problems.check(math.isfinite(heat) and heat >= 0, "generate.temperature", heat, "give 0 (greedy) or a positive number")
    problems.check(
        0 < spec.top_p <= 1, "generate.top_p", spec.top_p, "give a number above 0 and at most 1; 1 keeps the whole distribution"
    )
    problems.check(spec.max_new_tokens >= 1, "generate.max_new_tokens", spec.max_new_tokens, "give at least 1")
    problems.check(
        spec.max_length > spec.max_new_tokens,
        "generate.max_length",
        spec.max_length,
        f"give more than max_new_tokens ({spec.max_new_tokens}): the prompt needs room",
    )
    problems.check(spec.block_rows >= 1, "generate.block_rows", spec.block_rows, "give the rows of a batch, at least 1")


def _check_training(training: TrainingParameters, field: str, problems: Problems) -> None:
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


def _check_preference(spec: DpoSpec, problems: Problems) -> None:
    problems.check(spec.loss_type in _LOSS_TYPES, "dpo.loss_type", spec.loss_type[:80], f"use one of {', '.join(_LOSS_TYPES)}")
    problems.check(math.isfinite(spec.beta) and spec.beta > 0, "dpo.beta", spec.beta, "give a positive number, as 0.01")
    problems.check(
        0 <= spec.label_smoothing < 0.5, "dpo.label_smoothing", spec.label_smoothing, "give a number from 0 to below 0.5"
    )
