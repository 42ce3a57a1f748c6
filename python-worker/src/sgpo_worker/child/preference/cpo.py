"""TRL's CPOTrainer: CPO, and SimPO as its loss "simpo"."""

from __future__ import annotations

from typing import Any

from trl.experimental.cpo import CPOConfig, CPOTrainer

from sgpo_worker.child.preference.unreferenced import UnreferencedTrainer, unreferenced_arguments
from sgpo_worker.specs import DpoSpec


class CpoTrainer(UnreferencedTrainer, CPOTrainer):
    """CPOTrainer on token ids."""


def cpo_config(spec: DpoSpec, arguments: dict[str, Any]) -> CPOConfig:
    """TRL's configuration; what the spec leaves out keeps TRL's default."""
    named = {"cpo_alpha": spec.cpo_alpha, "simpo_gamma": spec.simpo_gamma}
    return CPOConfig(
        **unreferenced_arguments(spec, arguments),
        **{name: value for name, value in named.items() if value is not None},
        loss_type=spec.loss_types[0],
        label_smoothing=spec.label_smoothing,
    )
