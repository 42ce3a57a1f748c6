"""What made an output: software versions, device, text side and training, as flat text for `Finished.provenance`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from sgpo_worker.specs import DpoSpec, SftSpec

_PACKAGES = ("torch", "transformers", "trl", "peft", "tokenizers", "vllm")


def software_versions(packages: tuple[str, ...] = _PACKAGES) -> dict[str, str]:
    """Versions of Python and of those of `packages` that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_run(*, engine: str, device: str, dtype: str, batch_rule: str, text_side: dict[str, str]) -> dict[str, str]:
    """What every task tells. `text_side`: `describe_tokenizer` of the model that read the rows."""
    return {"engine": engine, "device": device, "dtype": dtype, "batch_rule": batch_rule, **software_versions(), **text_side}


def describe_spec(spec: SftSpec | DpoSpec) -> dict[str, str]:
    """What a training tells beside that: trainer, losses, which weights were trained and which were published."""
    facts = {"trainer": "sft", "lora": "none", "publish": spec.training.publish}
    if isinstance(spec, DpoSpec):
        weights = spec.loss_weights or [1.0] * len(spec.loss_types)
        losses = " + ".join(f"{weight:g} × {name}" for name, weight in zip(spec.loss_types, weights, strict=True))
        facts |= {"trainer": spec.trainer, "losses": losses}
    lora = spec.training.lora
    if lora is not None:
        targets = ",".join(lora.target_modules) or "all-linear"
        facts["lora"] = f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, {targets}"
    validation = spec.training.validation
    if validation is not None:
        facts["validation"] = f"{validation.share:g} of the rows, {validation.measure} every {validation.every_steps} steps"
    return facts
