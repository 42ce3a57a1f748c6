"""What a preference training may hold: a loss its trainer has, the parameters which that reads, and a reference or none."""

from __future__ import annotations

import math

from sgpo_worker.losses import OPTIONAL_PARAMETERS, SFT_MEASURES, TRAINERS, Loss, Trainer
from sgpo_worker.server.problems import Problems
from sgpo_worker.server.training_checks import check_training
from sgpo_worker.specs import DpoSpec

_FIXES = {
    "label_smoothing": "give a number from 0 to below 0.5",
    "ld_alpha": "give a share from 0 to 1; 1 keeps all of the log-probability",
    "simpo_gamma": "give 0 or a positive number, as 0.5",
    "cpo_alpha": "give 0 (no likelihood term) or a positive number, as 1",
    "desirable_weight": "give 0 or a positive number, as 1",
    "undesirable_weight": "give 0 or a positive number, as 1",
    "discopop_tau": "give a positive number, as 0.05",
}


def check_preference(spec: DpoSpec, problems: Problems) -> None:
    """Notes each field that cannot work, and each that TRL would ignore."""
    trainer = TRAINERS.get(spec.trainer)
    problems.check(trainer is not None, "dpo.trainer", spec.trainer[:80], f"use one of {', '.join(TRAINERS)}")
    check_training(spec.training, "dpo.training", SFT_MEASURES if trainer is None else trainer.measures, problems)
    problems.check(math.isfinite(spec.beta) and spec.beta > 0, "dpo.beta", spec.beta, "give a positive number, as 0.01")
    _check_ranges(spec, problems)
    if trainer is not None:
        _check_reference(spec, trainer, problems)
        _check_losses(spec, trainer, problems)


def _check_ranges(spec: DpoSpec, problems: Problems) -> None:
    for name in OPTIONAL_PARAMETERS:
        value = getattr(spec, name)
        if value is not None:
            problems.check(_fits(name, value), f"dpo.{name}", value, _FIXES[name])
    problems.check(
        (spec.desirable_weight, spec.undesirable_weight) != (0, 0),
        "dpo.undesirable_weight",
        spec.undesirable_weight,
        "give it or desirable_weight a positive number: nothing would be trained on",
    )


def _fits(name: str, value: float) -> bool:
    match name:
        case "label_smoothing":
            return 0 <= value < 0.5
        case "ld_alpha":
            return 0 <= value <= 1
        case "discopop_tau":
            return math.isfinite(value) and value > 0
        case _:
            return math.isfinite(value) and value >= 0


def _check_reference(spec: DpoSpec, trainer: Trainer, problems: Problems) -> None:
    problems.check(
        not trainer.reference or spec.reference is not None,
        "dpo.reference",
        spec.reference,
        f"give the model that trainer {spec.trainer!r} compares with: an artifact's digest",
    )
    problems.check(
        trainer.reference or spec.reference is None,
        "dpo.reference",
        spec.reference,
        f"leave it out: trainer {spec.trainer!r} has no reference",
    )


def _check_losses(spec: DpoSpec, trainer: Trainer, problems: Problems) -> None:
    known = [name for name in spec.loss_types if name in trainer.losses]
    for name in spec.loss_types or [""]:
        problems.check(
            name in trainer.losses,
            "dpo.loss_types",
            name[:80],
            f"use {_choice(list(trainer.losses))} for trainer {spec.trainer!r}",
        )
    problems.check(
        len(set(spec.loss_types)) == len(spec.loss_types), "dpo.loss_types", spec.loss_types[:20], "give each loss once"
    )
    problems.check(
        trainer.combines or len(spec.loss_types) <= 1,
        "dpo.loss_types",
        spec.loss_types[:20],
        f"give one loss: trainer {spec.trainer!r} takes no sum",
    )
    _check_weights(spec, trainer, problems)
    losses = [trainer.losses[name] for name in known]
    if losses and len(known) == len(spec.loss_types):
        _check_read(spec, losses, problems)


def _check_weights(spec: DpoSpec, trainer: Trainer, problems: Problems) -> None:
    weights = spec.loss_weights
    problems.check(
        trainer.combines or not weights,
        "dpo.loss_weights",
        weights[:20],
        f"leave them out: trainer {spec.trainer!r} has one loss",
    )
    problems.check(
        len(weights) in (0, len(spec.loss_types)),
        "dpo.loss_weights",
        weights[:20],
        f"give {len(spec.loss_types)} weights, one for each loss, or none for 1 each",
    )
    problems.check(
        all(math.isfinite(weight) and weight >= 0 for weight in weights) and (not weights or any(weights)),
        "dpo.loss_weights",
        weights[:20],
        "give numbers of 0 or more, at least one above 0",
    )


def _check_read(spec: DpoSpec, losses: list[Loss], problems: Problems) -> None:
    asked = ", ".join(spec.loss_types)
    reads = frozenset[str]().union(*(loss.reads for loss in losses))
    needs = frozenset[str]().union(*(loss.needs for loss in losses))
    for name in OPTIONAL_PARAMETERS:
        value = getattr(spec, name)
        given = bool(value) if name == "label_smoothing" else value is not None
        problems.check(
            name in reads or not given,
            f"dpo.{name}",
            value,
            f"leave it out: {asked} of trainer {spec.trainer!r} does not read it",
        )
        problems.check(
            name not in needs or bool(value), f"dpo.{name}", value, f"give a number above 0, as 1e-3: {asked} needs it"
        )
    least = max(loss.least_pairs for loss in losses)
    problems.check(
        spec.training.micro_batch_size >= least,
        "dpo.training.micro_batch_size",
        spec.training.micro_batch_size,
        f"give at least {least}: {asked} compares the pairs of a micro-batch with each other",
    )


def _choice(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
