"""Task specs from the wire's messages to the dataclasses that server and children share."""

from __future__ import annotations

from sgpo_worker.gen import worker_pb2
from sgpo_worker.server.errors import InvalidRequestError
from sgpo_worker.server.problems import Problems
from sgpo_worker.specs import (
    DpoSpec,
    Dtype,
    GenerateSpec,
    LoraParameters,
    PublishedWeights,
    ScoreSpec,
    SftSpec,
    TaskSpec,
    TrainingParameters,
    ValidationParameters,
)

_DTYPES: dict[int, Dtype] = {worker_pb2.DTYPE_FLOAT32: "float32", worker_pb2.DTYPE_BFLOAT16: "bfloat16"}
_PUBLISHED: dict[int, PublishedWeights] = {
    worker_pb2.PUBLISHED_WEIGHTS_UNSPECIFIED: "last",
    worker_pb2.PUBLISHED_WEIGHTS_LAST: "last",
    worker_pb2.PUBLISHED_WEIGHTS_BEST: "best",
    worker_pb2.PUBLISHED_WEIGHTS_BOTH: "both",
}


def read_spec(request: worker_pb2.StartTaskRequest, problems: Problems) -> TaskSpec:
    """The spec as it was sent; notes enum values that mean nothing. Raises InvalidRequestError when none is set."""
    match request.WhichOneof("spec"):
        case "generate":
            return _read_generate(request.generate, problems)
        case "score":
            return _read_score(request.score, problems)
        case "sft":
            return _read_sft(request.sft, problems)
        case "dpo":
            return _read_dpo(request.dpo, problems)
        case _:
            raise InvalidRequestError("spec: not set: give generate, score, sft or dpo")


def _read_generate(message: worker_pb2.GenerateSpec, problems: Problems) -> TaskSpec:
    return GenerateSpec(
        model=message.model.digest,
        input=message.input.digest,
        temperature=message.temperature,
        top_p=message.top_p,
        max_new_tokens=message.max_new_tokens,
        max_length=message.max_length,
        seed=message.seed,
        sample_index=message.sample_index,
        block_rows=message.block_rows,
        dtype=_read_dtype(problems, "generate.dtype", message.dtype),
    )


def _read_score(message: worker_pb2.ScoreSpec, problems: Problems) -> TaskSpec:
    return ScoreSpec(
        model=message.model.digest,
        input=message.input.digest,
        max_length=message.max_length,
        block_rows=message.block_rows,
        dtype=_read_dtype(problems, "score.dtype", message.dtype),
        measure_chrf=message.measure_chrf,
    )


def _read_sft(message: worker_pb2.SftSpec, problems: Problems) -> TaskSpec:
    return SftSpec(
        model=message.model.digest,
        dataset=message.dataset.digest,
        training=_read_training(message.training, problems, "sft.training"),
        chat_template=message.chat_template,
    )


def _read_dpo(message: worker_pb2.DpoSpec, problems: Problems) -> TaskSpec:
    return DpoSpec(
        policy=message.policy.digest,
        reference=message.reference.digest if message.HasField("reference") else None,
        dataset=message.dataset.digest,
        training=_read_training(message.training, problems, "dpo.training"),
        trainer=message.trainer,
        loss_types=list(message.loss_types),
        loss_weights=list(message.loss_weights),
        beta=message.beta,
        label_smoothing=message.label_smoothing,
        ld_alpha=message.ld_alpha if message.HasField("ld_alpha") else None,
        simpo_gamma=message.simpo_gamma if message.HasField("simpo_gamma") else None,
        cpo_alpha=message.cpo_alpha if message.HasField("cpo_alpha") else None,
        desirable_weight=message.desirable_weight if message.HasField("desirable_weight") else None,
        undesirable_weight=message.undesirable_weight if message.HasField("undesirable_weight") else None,
        discopop_tau=message.discopop_tau if message.HasField("discopop_tau") else None,
    )


def _read_training(message: worker_pb2.TrainingParameters, problems: Problems, field: str) -> TrainingParameters:
    return TrainingParameters(
        epochs=message.epochs,
        learning_rate=message.learning_rate,
        batch_size=message.batch_size,
        micro_batch_size=message.micro_batch_size,
        max_length=message.max_length,
        warmup_ratio=message.warmup_ratio,
        scheduler=message.scheduler,
        weight_decay=message.weight_decay,
        max_grad_norm=message.max_grad_norm,
        seed=message.seed,
        dtype=_read_dtype(problems, f"{field}.dtype", message.dtype),
        save_dtype=_read_dtype(problems, f"{field}.save_dtype", message.save_dtype),
        checkpoint_seconds=message.checkpoint_seconds,
        gradient_checkpointing=message.gradient_checkpointing,
        lora=_read_lora(message.lora) if message.HasField("lora") else None,
        publish=_read_publish(problems, f"{field}.publish", message.publish),
        validation=_read_validation(message.validation) if message.HasField("validation") else None,
    )


def _read_lora(message: worker_pb2.LoraParameters) -> LoraParameters:
    return LoraParameters(
        rank=message.rank, alpha=message.alpha, dropout=message.dropout, target_modules=list(message.target_modules)
    )


def _read_validation(message: worker_pb2.ValidationParameters) -> ValidationParameters:
    return ValidationParameters(share=message.share, every_steps=message.every_steps, measure=message.measure)


def _read_publish(problems: Problems, field: str, value: int) -> PublishedWeights:
    problems.check(value in _PUBLISHED, field, value, f"use one of the numbers 0 to {max(_PUBLISHED)} of PublishedWeights")
    return _PUBLISHED.get(value, "last")


def _read_dtype(problems: Problems, field: str, value: int) -> Dtype:
    problems.check(value in _DTYPES, field, value, "use DTYPE_FLOAT32 (1) or DTYPE_BFLOAT16 (2)")
    return _DTYPES.get(value, "float32")
