"""Task specs as the server hands them to a child: the proto messages of worker.proto as plain, torch-free dataclasses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Dtype = Literal["float32", "bfloat16"]
PublishedWeights = Literal["last", "best", "both"]


@dataclass(frozen=True, kw_only=True)
class GenerateSpec:
    """One sampled answer a row; tables and drop reasons as in worker.proto."""

    model: str
    input: str
    temperature: float
    top_p: float
    max_new_tokens: int
    max_length: int
    seed: int
    sample_index: int
    block_rows: int
    dtype: Dtype
    kind: Literal["generate"] = "generate"


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """Log-probabilities of given answers, and chrF when asked for."""

    model: str
    input: str
    max_length: int
    block_rows: int
    dtype: Dtype
    measure_chrf: bool
    kind: Literal["score"] = "score"


@dataclass(frozen=True, kw_only=True)
class LoraParameters:
    """Low-rank adapters. `target_modules`: names as PEFT takes them; empty for every linear layer but the output layer."""

    rank: int
    alpha: float
    dropout: float
    target_modules: list[str]


@dataclass(frozen=True, kw_only=True)
class ValidationParameters:
    """Rows set aside and measured every `every_steps` optimiser steps and at the last one, by TRL's name without "eval_"."""

    share: float
    every_steps: int
    measure: str


@dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """What SFT and preference optimisation share; units as in worker.proto."""

    epochs: float
    learning_rate: float
    batch_size: int
    micro_batch_size: int
    max_length: int
    warmup_ratio: float
    scheduler: str
    weight_decay: float
    max_grad_norm: float
    seed: int
    dtype: Dtype
    save_dtype: Dtype
    checkpoint_seconds: int
    gradient_checkpointing: bool
    lora: LoraParameters | None = None
    publish: PublishedWeights = "last"
    validation: ValidationParameters | None = None


@dataclass(frozen=True, kw_only=True)
class SftSpec:
    """Supervised fine-tuning: {prompt, completion} rows (loss on the completion) or {messages} rows (loss on every answer)."""

    model: str
    dataset: str
    training: TrainingParameters
    chat_template: str = ""
    """Empty for the model's own, "auto", or a name of `sgpo_worker.chat_templates`."""
    kind: Literal["sft"] = "sft"


@dataclass(frozen=True, kw_only=True)
class DpoSpec:
    """Preference optimisation of `policy` on {prompt, chosen, rejected} rows; trainers, losses and parameters as in `losses.py`.

    `reference` is frozen, and None for trainers without one. None elsewhere stands for TRL's default.
    """

    policy: str
    reference: str | None
    dataset: str
    training: TrainingParameters
    trainer: str
    loss_types: list[str]
    loss_weights: list[float]
    """As many as loss_types; empty: 1 each."""
    beta: float
    label_smoothing: float = 0.0
    ld_alpha: float | None = None
    simpo_gamma: float | None = None
    cpo_alpha: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None
    discopop_tau: float | None = None
    kind: Literal["dpo"] = "dpo"


TaskSpec = GenerateSpec | ScoreSpec | SftSpec | DpoSpec
_KINDS: dict[str, type[GenerateSpec] | type[ScoreSpec] | type[SftSpec] | type[DpoSpec]] = {
    "generate": GenerateSpec,
    "score": ScoreSpec,
    "sft": SftSpec,
    "dpo": DpoSpec,
}


@dataclass(frozen=True, kw_only=True)
class ChildTask:
    """One line on a child's stdin: what to run and where. Artifacts are digests, resolved in `store`."""

    task_id: str
    attempt: int
    store: Path
    work_dir: Path
    """Kept over the attempts of a task: `checkpoints/` lies here. The child may write anything below it."""
    spec: TaskSpec

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "store": str(self.store), "work_dir": str(self.work_dir)})

    @staticmethod
    def from_json(line: str) -> ChildTask:
        data: dict[str, Any] = json.loads(line)
        spec: dict[str, Any] = data["spec"]
        if "training" in spec:
            spec["training"] = _read_training(spec["training"])
        return ChildTask(
            task_id=data["task_id"],
            attempt=data["attempt"],
            store=Path(data["store"]),
            work_dir=Path(data["work_dir"]),
            spec=_KINDS[spec["kind"]](**spec),
        )


def _read_training(values: dict[str, Any]) -> TrainingParameters:
    lora, validation = values["lora"], values["validation"]
    return TrainingParameters(
        **{
            **values,
            "lora": None if lora is None else LoraParameters(**lora),
            "validation": None if validation is None else ValidationParameters(**validation),
        }
    )
