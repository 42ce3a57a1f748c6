"""Policy and reference must agree before any update when they are the same model."""

from __future__ import annotations

import math
from pathlib import Path

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.child.training_callback import diverged
from sgpo_worker.specs import DpoSpec

_TOLERANCE = 1e-3


def check_same_tokens(policy: Path, reference: Path) -> None:
    """Both models must read the same ids as the same text. Raises `TaskFailure` MODEL.TOKENIZER_MISMATCH."""
    if (policy / "tokenizer.json").read_bytes() != (reference / "tokenizer.json").read_bytes():
        raise TaskFailure(
            "MODEL.TOKENIZER_MISMATCH",
            "invalid",
            "policy and reference have different tokenizer.json files",
            "Use a reference with the policy's tokenizer: the model that the policy started from.",
        )


def check_step_zero(spec: DpoSpec, values: dict[str, float]) -> None:
    """With equal policy and reference the margin is 0 before any update, whatever the loss, and the sigmoid loss is ln 2.

    A new adapter changes nothing, so this holds for adapters too. `values`: loss and metrics of the first batch.
    Raises `TaskFailure` TRAIN.REFERENCE_MISMATCH, or TRAIN.DIVERGED when the loss is no number.
    """
    loss = values["loss"]
    if not math.isfinite(loss):
        raise diverged("loss", loss, 0)
    if spec.policy != spec.reference:
        return
    margin = values["rewards/margins"]
    if not abs(margin) <= _TOLERANCE:
        raise _mismatch(f"margin before any update is {margin:.6f}, not 0")
    if spec.loss_types == ["sigmoid"]:
        expected = math.log(2) * (spec.loss_weights or [1.0])[0]
        if abs(loss - expected) > _TOLERANCE:
            raise _mismatch(f"loss before any update is {loss:.6f}, not ln 2 times its weight = {expected:.6f}")


def _mismatch(what: str) -> TaskFailure:
    return TaskFailure(
        "TRAIN.REFERENCE_MISMATCH",
        "invalid",
        f"policy and reference are the same model, but the {what}",
        "Report this with the model's name: its forward pass is not repeatable. Training in float32 may avoid it.",
    )
