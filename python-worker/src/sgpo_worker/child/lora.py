"""Low-rank adapters: how they are put on, told apart from what cannot be trained, merged and saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file

from sgpo_worker.child.failures import TaskFailure
from sgpo_worker.specs import LoraParameters

ADAPTER_FOLDER = "adapter"
_ALL_LINEAR = "all-linear"


def lora_config(lora: LoraParameters) -> LoraConfig:
    """PEFT's configuration of `lora`. The adapter starts as zero, so a new one leaves the model as it is."""
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # declared a whole number, only ever divided by r
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) or _ALL_LINEAR,
        bias="none",
        task_type="CAUSAL_LM",
    )


def check_targets(model: PeftModel, lora: LoraParameters) -> None:
    """Raises `TaskFailure` SPEC.CONFLICT for a name that no module has, and for embeddings or the output layer.

    Those two often share their weights: an adapter merged into one would change the other.
    """
    adapted: list[str] = cast(Any, model.base_model).targeted_module_names
    for name in lora.target_modules:
        if not any(module == name or module.endswith(f".{name}") for module in adapted):
            raise _conflict(f"no module of the model is named {name!r}; adapted: {sorted(set(_last_names(adapted)))}")
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if isinstance(layer, BaseTunerLayer):
            raise _conflict(
                f"target_modules {lora.target_modules} name the embeddings or the output layer, which may share weights"
            )


def save_adapter(model: PeftModel, folder: Path, dtype: torch.dtype, base: str) -> None:
    """Writes `adapter_config.json` and `adapter_model.safetensors` as PEFT reads them; `base`: digest of the model it belongs to.

    Not by PEFT's own writer, which adds a model card, the path of the base model, and a list whose order changes.
    """
    folder.mkdir()
    weights = get_peft_model_state_dict(model)
    save_file(
        {name: weights[name].detach().to(dtype).contiguous() for name in sorted(weights)},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    config = model.active_peft_config.to_dict()
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _last_names(modules: list[str]) -> list[str]:
    return [name.rsplit(".", 1)[-1] for name in modules]


def _conflict(message: str) -> TaskFailure:
    return TaskFailure(
        "SPEC.CONFLICT",
        "invalid",
        f"training.lora.target_modules: {message}",
        "Name linear layers of the model's blocks, as q_proj, or leave target_modules empty for all of them.",
    )
