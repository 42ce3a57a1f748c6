"""Task specs as the server hands them to a child: the proto messages of worker.proto as plain, torch-free dataclasses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Dtype = Literal["float32", "bfloat16"]


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
class TrainingParameters:
    """What SFT and DPO share; units as in worker.proto."""

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


@dataclass(frozen=True, kw_only=True)
class SftSpec:
    """Supervised fine-tuning on {prompt, completion} rows, loss on the completion only."""

    model: str
    dataset: str
    training: TrainingParameters
    kind: Literal["sft"] = "sft"


@dataclass(frozen=True, kw_only=True)
class DpoSpec:
    """Preference optimisation of `policy` against the frozen `reference` on {prompt, chosen, rejected} rows."""

    policy: str
    reference: str
    dataset: str
    training: TrainingParameters
    loss_type: str
    beta: float
    label_smoothing: float
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
            spec["training"] = TrainingParameters(**spec["training"])
        return ChildTask(
            task_id=data["task_id"],
            attempt=data["attempt"],
            store=Path(data["store"]),
            work_dir=Path(data["work_dir"]),
            spec=_KINDS[spec["kind"]](**spec),
        )
