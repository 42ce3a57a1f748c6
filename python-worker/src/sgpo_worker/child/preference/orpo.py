"""TRL's ORPOTrainer: likelihood of the chosen answer and an odds-ratio term, in one training without a reference."""

from __future__ import annotations

from typing import Any

from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from sgpo_worker.child.preference.unreferenced import UnreferencedTrainer, unreferenced_arguments
from sgpo_worker.specs import DpoSpec


class OrpoTrainer(UnreferencedTrainer, ORPOTrainer):
    """ORPOTrainer on token ids."""


def orpo_config(spec: DpoSpec, arguments: dict[str, Any]) -> ORPOConfig:
    """TRL's configuration."""
    return ORPOConfig(**unreferenced_arguments(spec, arguments))
